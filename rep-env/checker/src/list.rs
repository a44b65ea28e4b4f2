//! A list to which unique elements are appended, and which is read whole.
//!
//! All reads of such a list are beginnings of one another, so the longest one is the order of versions, and every read says
//! where in it the list ended. (Elle's list-append analysis rests on the same observation: Kingsbury & Alvaro, *Elle*, 2020.)
//! Time and memory are linear in what was read, beside sorting.

use crate::chain::{Chain, Cycle};
use crate::operation::Operation;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use thiserror::Error;

/// What a list was asked, with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOp<V> {
    /// This element, which nobody else appends, was put at the end.
    Append(V),
    /// This is the whole list.
    Read(Vec<V>),
}

/// Why a list is not linearizable. The numbers are places in the slice that was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListAnomaly {
    /// Neither read is a beginning of the other: two histories were served, or an entry was lost and replaced.
    #[error("operations {one} and {other} read lists of which neither begins the other")]
    Forked {
        /// The longest read.
        one: usize,
        /// A read that is no beginning of it.
        other: usize,
    },
    /// An element occurs twice: it was applied twice.
    #[error("operation {read} reads an element twice, at {first} and {second}")]
    Twice {
        /// The read.
        read: usize,
        /// The one index of the element.
        first: usize,
        /// The other.
        second: usize,
    },
    /// An element was read that nobody appended.
    #[error("operation {read} reads an element that was never appended, at {index}")]
    NeverAppended {
        /// The read.
        read: usize,
        /// The index of the element.
        index: usize,
    },
    /// What began later knew less, or an element that was appended later stands earlier.
    #[error("operation {early} ended before {late} began, and knew a later state of the list")]
    Backwards {
        /// What ended first.
        early: usize,
        /// What began after that.
        late: usize,
    },
}

/// Checks a list that is empty at first and to which each element is appended once.
///
/// Pending appends may have happened or not; pending reads say nothing.
///
/// # Errors
///
/// What is wrong, first come.
pub fn check_list<V: Eq + Hash + Debug>(
    operations: &[Operation<ListOp<V>>],
) -> Result<(), ListAnomaly> {
    let reads: Vec<(usize, &[V])> = operations
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.returned.is_some())
        .filter_map(|(at, operation)| match &operation.what {
            ListOp::Read(list) => Some((at, &**list)),
            ListOp::Append(_) => None,
        })
        .collect();
    let (longest, order) =
        reads.iter().copied().max_by_key(|(_, list)| list.len()).unwrap_or((0, &[]));
    if let Some(&(other, _)) = reads.iter().find(|(_, list)| !order.starts_with(list)) {
        return Err(ListAnomaly::Forked { one: longest, other });
    }
    let places = places(longest, order)?;
    let mut appended = vec![false; order.len()];
    // The last version is what came of appends that nobody saw: they all happened after everything that was read.
    let mut chain = Chain::new(order.len() + 1);
    for (at, operation) in operations.iter().enumerate() {
        match &operation.what {
            ListOp::Append(value) => match places.get(value) {
                Some(&place) => {
                    appended[place] = true;
                    chain.made(place, at, operation);
                }
                None if operation.returned.is_some() => chain.seen(order.len(), at, operation),
                None => (),
            },
            ListOp::Read(list) if operation.returned.is_some() => {
                if let Some(last) = list.len().checked_sub(1) {
                    chain.seen(last, at, operation);
                }
                chain.not_before(list.len(), at, operation);
            }
            ListOp::Read(_) => (),
        }
    }
    if let Some(index) = appended.iter().position(|appended| !appended) {
        return Err(ListAnomaly::NeverAppended { read: longest, index });
    }
    chain
        .cycle()
        .map_or(Ok(()), |Cycle { early, late }| Err(ListAnomaly::Backwards { early, late }))
}

fn places<V: Eq + Hash>(read: usize, order: &[V]) -> Result<HashMap<&V, usize>, ListAnomaly> {
    let mut places = HashMap::new();
    for (second, value) in order.iter().enumerate() {
        if let Some(first) = places.insert(value, second) {
            return Err(ListAnomaly::Twice { read, first, second });
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ListOp::{Append, Read};

    fn done(from: u64, to: u64, what: ListOp<u32>) -> Operation<ListOp<u32>> {
        Operation::done(from, to, what)
    }

    #[test]
    fn reads_are_beginnings_of_one_another_in_real_time() {
        let good = [
            done(1, 4, Append(1)),
            done(2, 3, Append(2)),
            done(3, 6, Read(vec![2])),
            done(5, 8, Read(vec![2, 1])),
        ];
        // The first append ended before the last read began, and after the first one had begun.
        assert_eq!(check_list(&good), Ok(()));
        let stale = [good[0].clone(), good[1].clone(), done(5, 6, Read(vec![2]))];
        assert_eq!(check_list(&stale), Err(ListAnomaly::Backwards { early: 0, late: 2 }));
    }

    #[test]
    fn forks_repetitions_and_inventions_are_told_apart() {
        let appends = [done(1, 9, Append(1)), done(1, 9, Append(2))];
        let with = |reads: &[&[u32]]| -> Result<(), ListAnomaly> {
            let reads = reads.iter().map(|list| done(2, 9, Read(list.to_vec())));
            check_list(&appends.iter().cloned().chain(reads).collect::<Vec<_>>())
        };
        assert_eq!(with(&[&[1], &[2]]), Err(ListAnomaly::Forked { one: 3, other: 2 }));
        let twice = ListAnomaly::Twice { read: 2, first: 0, second: 2 };
        assert_eq!(with(&[&[1, 2, 1]]), Err(twice));
        assert_eq!(with(&[&[3]]), Err(ListAnomaly::NeverAppended { read: 2, index: 0 }));
        assert_eq!(with(&[&[1, 2], &[1], &[]]), Ok(()));
    }

    #[test]
    fn a_lost_append_is_found_by_the_read_that_misses_it() {
        let lost = [done(1, 2, Append(1)), done(3, 4, Read(vec![]))];
        assert_eq!(check_list(&lost), Err(ListAnomaly::Backwards { early: 0, late: 1 }));
        let pending = [Operation::pending(1, Append(1)), done(3, 4, Read(vec![]))];
        assert_eq!(check_list(&pending), Ok(()));
    }
}
