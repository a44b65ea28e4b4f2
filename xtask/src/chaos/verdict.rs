//! Whether what clients were told can have been said by one register.

use super::figures::Figures;
use std::path::Path;

/// Judges the history in this file.
pub(super) fn judge(_path: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    figures.note("histories NOT JUDGED");
    Ok(())
}
