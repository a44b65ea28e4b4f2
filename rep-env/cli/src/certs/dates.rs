//! Days, as certificates count them.

use anyhow::Context;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A certificate is good from a little before it was made: clocks differ.
const BEFORE: Duration = Duration::from_secs(60 * 60);

/// From when and until when something made now is good.
pub(super) fn span(now: SystemTime, days: u32) -> anyhow::Result<(OffsetDateTime, OffsetDateTime)> {
    let from = now.checked_sub(BEFORE).context("the clock of this machine stands before 1970")?;
    let until = now.checked_add(DAY * days).context("the clock of this machine is far ahead")?;
    Ok((from.into(), until.into()))
}

/// Whole days from now until then; negative if it is over.
pub(super) fn days_left(now: SystemTime, until: i64) -> i64 {
    let now = OffsetDateTime::from(now).unix_timestamp();
    (until - now).div_euclid(DAY.as_secs() as i64)
}

/// The day of a moment, as in 2026-11-26.
pub(super) fn day(moment: i64) -> String {
    OffsetDateTime::from_unix_timestamp(moment)
        .map_or_else(|_| "?".to_owned(), |moment| moment.date().to_string())
}
