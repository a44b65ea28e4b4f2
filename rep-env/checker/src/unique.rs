//! A register in which every value is written once.
//!
//! Then each read names its write, and the operations fall into *clusters*: a write and the reads of its value, which in any
//! order stand together. One cluster has to come before another if some operation of it was answered before some operation
//! of the other was asked for; the history is linearizable if and only if no read precedes its write and no two clusters
//! each have to come before the other. So it is decided in the time that sorting takes, where a search might never end.
//! (Gibbons & Korach, *Testing Shared Memories*, 1997: their zones.)

use crate::operation::Operation;
use crate::register::RegisterOp;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use thiserror::Error;

/// Why a history of unique values is not linearizable. The numbers are places in the slice that was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegisterAnomaly {
    /// A value was read that nobody wrote: invented, or of a write that failed.
    #[error("operation {read} reads a value that was never written")]
    NeverWritten {
        /// The read.
        read: usize,
    },
    /// A value was read before anybody asked to write it.
    #[error("operation {read} reads what operation {write} had not begun to write")]
    ReadBeforeWritten {
        /// The read.
        read: usize,
        /// The write, which began after the read had ended.
        write: usize,
    },
    /// Two values would each have to come before the other: of a stale read, the older value came back.
    #[error(
        "{} of one value ended before {} of another began, and {} of the other ended before {} of the one began",
        told(*first_ended), told(*other_begun), told(*other_ended), told(*first_begun)
    )]
    ThereAndBack {
        /// Of one value: what ended first. `None` is the initial value, which was there before everything.
        first_ended: Option<usize>,
        /// Of the other value: what began after that.
        other_begun: Option<usize>,
        /// Of the other value: what ended first.
        other_ended: Option<usize>,
        /// Of the one value: what began after that.
        first_begun: Option<usize>,
    },
}

fn told(at: Option<usize>) -> String {
    at.map_or("the initial value".to_owned(), |at| format!("operation {at}"))
}

/// The caller's doing: the check does not apply to this history.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotApplicable {
    /// A value was written twice, or is the initial one.
    #[error("operation {write} writes a value that is not its own")]
    NotUnique {
        /// The second write of the value.
        write: usize,
    },
    /// Neither a read nor a write.
    #[error("operation {operation} is neither a read nor a write")]
    NeitherReadNorWrite {
        /// The operation.
        operation: usize,
    },
}

/// Checks a register that holds `initial` at first and in which every value is written once: `Ok(Ok(()))` if it is
/// linearizable.
///
/// Pending writes may have happened or not; pending reads say nothing. Time O(n log n), memory O(n).
///
/// # Errors
///
/// [`NotApplicable`] if a value is written twice, or if an operation compares.
pub fn check_unique_register<V: Eq + Hash + Debug>(
    initial: &V,
    operations: &[Operation<RegisterOp<V>>],
) -> Result<Result<(), RegisterAnomaly>, NotApplicable> {
    let writes = writes(initial, operations)?;
    let mut clusters: HashMap<&V, Cluster> = HashMap::new();
    clusters.insert(initial, Cluster::INITIAL);
    for (value, &at) in &writes {
        clusters.insert(value, Cluster::of(at, &operations[at]));
    }
    for (at, operation) in operations.iter().enumerate() {
        let RegisterOp::Read(value) = &operation.what else { continue };
        if operation.returned.is_none() {
            continue;
        }
        let Some(cluster) = clusters.get_mut(value) else {
            return Ok(Err(RegisterAnomaly::NeverWritten { read: at }));
        };
        let write = writes.get(value).copied();
        if let Some(write) = write.filter(|&write| operation.precedes(&operations[write])) {
            return Ok(Err(RegisterAnomaly::ReadBeforeWritten { read: at, write }));
        }
        cluster.take(at, operation);
    }
    Ok(there_and_back(&clusters.into_values().collect::<Vec<_>>()))
}

fn writes<'a, V: Eq + Hash>(
    initial: &V,
    operations: &'a [Operation<RegisterOp<V>>],
) -> Result<HashMap<&'a V, usize>, NotApplicable> {
    let mut writes = HashMap::new();
    for (at, operation) in operations.iter().enumerate() {
        match &operation.what {
            RegisterOp::Read(_) => (),
            RegisterOp::Write(value) => {
                if value == initial || writes.insert(value, at).is_some() {
                    return Err(NotApplicable::NotUnique { write: at });
                }
            }
            RegisterOp::Cas { .. } | RegisterOp::CasFailed { .. } => {
                return Err(NotApplicable::NeitherReadNorWrite { operation: at });
            }
        }
    }
    Ok(writes)
}

/// All operations on one value. Moments are signed here, so that the initial value's can be before all.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    /// The first moment by which one of them had ended, and which.
    ended: (i128, Option<usize>),
    /// The last moment at which one of them began, and which.
    begun: (i128, Option<usize>),
}

impl Cluster {
    /// As if the initial value had been written before everything.
    const INITIAL: Cluster = Cluster { ended: (-1, None), begun: (-1, None) };

    fn of<O>(at: usize, operation: &Operation<O>) -> Self {
        Self {
            ended: (operation.latest().into(), Some(at)),
            begun: (operation.invoked.into(), Some(at)),
        }
    }

    fn take<O>(&mut self, at: usize, operation: &Operation<O>) {
        let other = Self::of(at, operation);
        if other.ended.0 < self.ended.0 {
            self.ended = other.ended;
        }
        if other.begun.0 > self.begun.0 {
            self.begun = other.begun;
        }
    }

    /// Did an operation of this one end before one of the other began?
    fn precedes(&self, other: &Cluster) -> bool {
        self.ended.0 < other.begun.0
    }
}

/// Looks for two clusters of which each precedes the other.
///
/// Of two such clusters one precedes itself (a *forward* one): from its first end to its last beginning its value has to
/// stand. If two forward ones overlap, neighbours in the order of their first ends do; and if none do, a cluster that is
/// not forward can only lie in the last one that ended before it began.
fn there_and_back(clusters: &[Cluster]) -> Result<(), RegisterAnomaly> {
    let (mut forward, others): (Vec<&Cluster>, Vec<&Cluster>) =
        clusters.iter().partition(|cluster| cluster.precedes(cluster));
    forward.sort_by_key(|cluster| cluster.ended.0);
    for pair in forward.windows(2) {
        apart(pair[0], pair[1])?;
    }
    for other in others {
        let before = forward.partition_point(|cluster| cluster.precedes(other));
        if let Some(last) = before.checked_sub(1).map(|at| forward[at]) {
            apart(last, other)?;
        }
    }
    Ok(())
}

fn apart(one: &Cluster, other: &Cluster) -> Result<(), RegisterAnomaly> {
    if !(one.precedes(other) && other.precedes(one)) {
        return Ok(());
    }
    Err(RegisterAnomaly::ThereAndBack {
        first_ended: one.ended.1,
        other_begun: other.begun.1,
        other_ended: other.ended.1,
        first_begun: one.begun.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use RegisterOp::{Read, Write};

    fn judge(operations: &[Operation<RegisterOp<u32>>]) -> Result<(), RegisterAnomaly> {
        check_unique_register(&0, operations).expect("every value is unique")
    }

    #[test]
    fn a_stale_read_names_what_came_between() {
        let operations = [
            Operation::done(1, 2, Write(1)),
            Operation::done(3, 4, Write(2)),
            Operation::done(5, 6, Read(1)),
        ];
        let found = judge(&operations).unwrap_err();
        assert_eq!(
            found,
            RegisterAnomaly::ThereAndBack {
                first_ended: Some(0),
                other_begun: Some(1),
                other_ended: Some(1),
                first_begun: Some(2),
            }
        );
        assert_eq!(judge(&operations[..2]), Ok(()));
    }

    #[test]
    fn the_initial_value_does_not_come_back() {
        let operations = [Operation::done(1, 2, Write(1)), Operation::done(3, 4, Read(0))];
        assert!(judge(&operations).is_err());
        assert_eq!(judge(&operations[1..]), Ok(()));
    }

    #[test]
    fn a_pending_write_may_have_happened_whenever_a_read_says_so() {
        let read = Operation::done(3, 4, Read(1));
        assert_eq!(judge(&[Operation::pending(1, Write(1)), read.clone()]), Ok(()));
        let early = judge(&[Operation::pending(5, Write(1)), read.clone()]);
        assert_eq!(early, Err(RegisterAnomaly::ReadBeforeWritten { read: 1, write: 0 }));
        assert_eq!(judge(&[read]), Err(RegisterAnomaly::NeverWritten { read: 0 }));
    }

    #[test]
    fn a_value_that_is_not_its_writers_own_is_refused() {
        let twice = [Operation::done(1, 2, Write(1)), Operation::done(3, 4, Write(1))];
        let refused = check_unique_register(&0, &twice);
        assert_eq!(refused, Err(NotApplicable::NotUnique { write: 1 }));
        assert!(check_unique_register(&1, &twice).is_err());
    }
}
