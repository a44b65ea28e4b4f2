//! Beginning a log anew, behind a state that was copied from another member.

use crate::beginning::Beginning;
use crate::cell::{DurableCell, peek};
use crate::config::LogConfig;
use crate::cut::{CUT_CELL, Cut};
use crate::disk::{Disk, DiskFile};
use crate::error::{CellError, During, OpenError};
use crate::ids::{Epoch, Vlsn};
use crate::mutant;
use crate::segment::{LOG_DIR, Mark, SEGMENT_HEADER_BYTES, first_of, segment_name};

/// Throws the log of a disk away, whatever is in it and however damaged, and leaves one that holds a single entry, durably. It looks
/// then like a log that was cleaned up to that entry.
///
/// It may be called again at any time, and has to be after a crash or an error within it, before the log is opened: until it
/// has returned, [`open`](super::open) may find the old log, a damaged one, or none. The caller has written down durably that it is to be
/// called, and has no further use for the old log.
///
/// The old log goes first, so that a full disk has room for the new one.
///
/// # Errors
///
/// The disk's.
pub fn begin_with<D: Disk>(
    disk: &D,
    config: &LogConfig,
    beginning: &Beginning,
) -> Result<(), OpenError> {
    disk.create_dir(LOG_DIR).during("make the log's directory")?;
    disk.sync_dir("").during("sync directory")?;
    let cut = last_cut(disk)?;
    let epoch = cut.map_or(Epoch::default(), |cut| cut.epoch).next();
    remove_all(disk, cut.map_or(Vlsn::FIRST, |cut| cut.first))?;
    make_first(disk, config, beginning, epoch)?;
    let mut cell = fresh_cell(disk)?;
    let first = beginning.point().vlsn;
    cell.store(&Cut { epoch, first, keep: None }.encode())?;
    tracing::info!(%first, "the log begins anew");
    Ok(())
}

/// What the cell says, if that can be read: with the log goes what it was about.
fn last_cut<D: Disk>(disk: &D) -> Result<Option<Cut>, OpenError> {
    let state = peek(disk, CUT_CELL)?;
    Ok(state.value.and_then(|value| Cut::decode(&value)))
}

/// Removes every file of the log. Its head goes first, durably: what a crash leaves of the rest is then a log without its head, which
/// is damaged, and not a shorter one.
fn remove_all<D: Disk>(disk: &D, head: Vlsn) -> Result<(), OpenError> {
    let names = disk.list(LOG_DIR).during("list the log's files")?;
    let is_head = |name: &String| first_of(name).is_some_and(|first| first <= head);
    let (heads, rest): (Vec<String>, Vec<String>) = names.into_iter().partition(is_head);
    for names in [heads, rest] {
        for name in names {
            disk.remove(&format!("{LOG_DIR}/{name}")).during("remove what was the log")?;
        }
        if !mutant!("vlsn-begin-removes-at-once") {
            disk.sync_dir(LOG_DIR).during("sync directory")?;
        }
    }
    Ok(())
}

/// The first segment, whole and vouched for before it gets its name.
fn make_first<D: Disk>(
    disk: &D,
    config: &LogConfig,
    beginning: &Beginning,
    epoch: Epoch,
) -> Result<(), OpenError> {
    let header = beginning.header();
    let record = beginning.record().bytes();
    let name = segment_name(header.first);
    let making = format!("{name}.new");
    let file = disk.create(&making).during("make a segment")?;
    file.allocate(config.segment_len(record.len())).during("allocate segment")?;
    let mark = |synced, dvlsn, at| Mark { epoch, synced, dvlsn }.encode(header.seed(), at);
    let at = SEGMENT_HEADER_BYTES as u64;
    // All before the entry is in the state that the log stands beside, and the entry is durable in the group.
    let before = mark(header.prev.vlsn, header.prev.vlsn, at);
    let parts = [&header.encode()[..], &before, record].concat();
    file.write_at(0, &parts).during("write the first entry")?;
    file.sync().during("sync")?;
    let at = parts.len() as u64;
    file.write_at(at, &mark(header.first, header.first, at)).during("write mark")?;
    file.sync().during("sync")?;
    disk.rename(&making, &name).during("name segment")?;
    Ok(disk.sync_dir(LOG_DIR).during("sync directory")?)
}

/// The cell to be stored to: one that cannot be read is made anew.
fn fresh_cell<D: Disk>(disk: &D) -> Result<DurableCell<D>, OpenError> {
    match DurableCell::open(disk.clone(), CUT_CELL) {
        Ok((cell, _)) => Ok(cell),
        Err(CellError::Damaged { .. }) => {
            disk.remove(CUT_CELL).during("remove a damaged cell")?;
            Ok(DurableCell::open(disk.clone(), CUT_CELL)?.0)
        }
        Err(error) => Err(error.into()),
    }
}
