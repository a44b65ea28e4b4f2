//! A log in which every entry is unique: an append is told its position, a read names one.
//!
//! The positions are the order of versions, so what is left to ask is whether each position holds one entry, each entry
//! one position, and whether real time agrees. One pass over sorted bounds (`chain`), O(n log n).

use crate::chain::{Chain, Cycle};
use crate::operation::Operation;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use thiserror::Error;

/// What a log was asked, with its answer. Positions are numbers that grow; there may be holes between them, where entries
/// of others lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOp<V> {
    /// This entry was appended.
    Append {
        /// The entry, which nobody else appends.
        value: V,
        /// Where it stands. Not known of a pending append.
        position: Option<u64>,
    },
    /// One position was read.
    Read {
        /// Where.
        position: u64,
        /// What stands there; `None`: the log ends before it.
        value: Option<V>,
    },
}

/// Why a log is not linearizable. The numbers are places in the slice that was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogAnomaly {
    /// Two operations say of one position that different entries stand there.
    #[error("operations {one} and {other} give position {position} two entries")]
    TwoEntries {
        /// The position.
        position: u64,
        /// The one.
        one: usize,
        /// The other.
        other: usize,
    },
    /// Two operations find one entry at two positions: it was applied twice, or moved.
    #[error("operations {one} and {other} give one entry two positions")]
    TwoPositions {
        /// The one.
        one: usize,
        /// The other.
        other: usize,
    },
    /// An entry was read that nobody appended.
    #[error("operation {read} reads an entry that was never appended")]
    NeverAppended {
        /// The read.
        read: usize,
    },
    /// What was seen or made by an operation is later in the log than what one that began after it saw or made.
    #[error("operation {early} ended before {late} began, and knew a later end of the log")]
    Backwards {
        /// What ended first.
        early: usize,
        /// What began after that.
        late: usize,
    },
}

/// Checks a log in which every entry is appended once.
///
/// A pending append may have happened or not, and is placed where a read finds its entry; pending reads say nothing. An
/// acknowledged append without a position says only that its entry stands somewhere.
///
/// # Errors
///
/// What is wrong, first come.
pub fn check_log<V: Eq + Hash + Debug>(
    operations: &[Operation<LogOp<V>>],
) -> Result<(), LogAnomaly> {
    let appends: HashMap<&V, usize> = operations
        .iter()
        .enumerate()
        .filter_map(|(at, operation)| match &operation.what {
            LogOp::Append { value, .. } => Some((value, at)),
            LogOp::Read { .. } => None,
        })
        .collect();
    let entries = entries(operations, &appends)?;
    let positions = positions(operations);
    let mut chain = Chain::new(positions.len());
    for (at, operation) in operations.iter().enumerate().filter(|(_, operation)| speaks(operation))
    {
        match &operation.what {
            LogOp::Append { position: Some(position), .. } => {
                chain.made(positions[position], at, operation);
            }
            LogOp::Append { position: None, .. } => (),
            LogOp::Read { position, value: Some(_) } => {
                chain.seen(positions[position], at, operation);
            }
            LogOp::Read { position, value: None } => {
                chain.not_before(positions[position], at, operation);
            }
        }
    }
    // A pending append that was read somewhere came about after it began; an answered one before it ended, too.
    for (value, (position, _)) in &entries {
        let at = appends[value];
        chain.made(positions[position], at, &operations[at]);
    }
    chain.cycle().map_or(Ok(()), |Cycle { early, late }| Err(LogAnomaly::Backwards { early, late }))
}

/// A pending operation's answer is not known.
fn speaks<V>(operation: &Operation<LogOp<V>>) -> bool {
    operation.returned.is_some()
}

/// Where each entry stands, and who says so.
fn entries<'a, V: Eq + Hash>(
    operations: &'a [Operation<LogOp<V>>],
    appends: &HashMap<&'a V, usize>,
) -> Result<HashMap<&'a V, (u64, usize)>, LogAnomaly> {
    let mut entries: HashMap<&V, (u64, usize)> = HashMap::new();
    let mut holders: BTreeMap<u64, (&V, usize)> = BTreeMap::new();
    for (at, operation) in operations.iter().enumerate().filter(|(_, operation)| speaks(operation))
    {
        let (value, position) = match &operation.what {
            LogOp::Append { value, position: Some(position) } => (value, *position),
            LogOp::Read { value: Some(value), position } => (value, *position),
            LogOp::Append { position: None, .. } | LogOp::Read { value: None, .. } => continue,
        };
        if !appends.contains_key(value) {
            return Err(LogAnomaly::NeverAppended { read: at });
        }
        let (holder, one) = *holders.entry(position).or_insert((value, at));
        if holder != value {
            return Err(LogAnomaly::TwoEntries { position, one, other: at });
        }
        let (known, one) = *entries.entry(value).or_insert((position, at));
        if known != position {
            return Err(LogAnomaly::TwoPositions { one, other: at });
        }
    }
    Ok(entries)
}

/// The positions that were spoken of, numbered in order.
fn positions<V>(operations: &[Operation<LogOp<V>>]) -> BTreeMap<u64, usize> {
    let spoken = operations.iter().filter_map(|operation| match &operation.what {
        LogOp::Append { position, .. } => *position,
        LogOp::Read { position, .. } => Some(*position),
    });
    let mut positions: BTreeMap<u64, usize> = spoken.map(|position| (position, 0)).collect();
    positions.values_mut().zip(0..).for_each(|(number, at)| *number = at);
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(from: u64, to: u64, value: &str, position: u64) -> Operation<LogOp<&str>> {
        Operation::done(from, to, LogOp::Append { value, position: Some(position) })
    }

    fn read(from: u64, to: u64, position: u64, value: Option<&str>) -> Operation<LogOp<&str>> {
        Operation::done(from, to, LogOp::Read { position, value })
    }

    #[test]
    fn positions_follow_real_time() {
        assert_eq!(check_log(&[append(1, 4, "b", 2), append(2, 3, "a", 1)]), Ok(()));
        let found = check_log(&[append(1, 2, "b", 2), append(3, 4, "a", 1)]);
        assert_eq!(found, Err(LogAnomaly::Backwards { early: 0, late: 1 }));
    }

    #[test]
    fn the_end_of_the_log_does_not_come_back() {
        let append = append(1, 2, "a", 7);
        assert_eq!(check_log(&[append.clone(), read(1, 4, 7, None)]), Ok(()));
        let found = check_log(&[append, read(3, 4, 7, None)]);
        assert_eq!(found, Err(LogAnomaly::Backwards { early: 0, late: 1 }));
    }

    #[test]
    fn a_pending_append_stands_where_it_is_read_and_no_longer_vanishes() {
        let pending = || Operation::pending(1, LogOp::Append { value: "a", position: None });
        assert_eq!(check_log(&[pending(), read(2, 3, 1, None), read(4, 5, 1, Some("a"))]), Ok(()));
        let vanished = [pending(), read(2, 3, 1, Some("a")), read(4, 5, 1, None)];
        assert_eq!(check_log(&vanished), Err(LogAnomaly::Backwards { early: 1, late: 2 }));
        let early = [read(2, 3, 1, Some("a")), Operation::pending(4, pending().what)];
        assert_eq!(check_log(&early), Err(LogAnomaly::Backwards { early: 0, late: 1 }));
    }

    #[test]
    fn a_position_has_one_entry_and_an_entry_one_position() {
        let twice = check_log(&[append(1, 2, "a", 1), read(3, 4, 2, Some("a"))]);
        assert_eq!(twice, Err(LogAnomaly::TwoPositions { one: 0, other: 1 }));
        let both = check_log(&[append(1, 2, "a", 1), append(3, 4, "b", 1)]);
        assert_eq!(both, Err(LogAnomaly::TwoEntries { position: 1, one: 0, other: 1 }));
        let invented = check_log(&[read(3, 4, 2, Some("a"))]);
        assert_eq!(invented, Err(LogAnomaly::NeverAppended { read: 0 }));
    }
}
