//! A set to which unique elements are added, and which is read whole: what became of each element?
//!
//! The questions and their names are those of Jepsen's `set-full`. An element is *known* from the moment at which its
//! addition was acknowledged, or a read that holds it was answered, whichever is first. Every read that begins after that has to
//! hold it. Time and memory are linear in what was read, beside sorting.

use crate::operation::{Moment, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// What a set was asked, with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetOp<V> {
    /// This element was added.
    Add(V),
    /// These are all elements.
    Read(Vec<V>),
}

/// What became of the elements, each list in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetReport<V> {
    /// Known, and missing from then on: the last read that began after it was known, and after the last one that holds it, misses it.
    pub lost: Vec<V>,
    /// Known, missing in some later read, and there again in a read that began after that one.
    pub stale: Vec<V>,
    /// Acknowledged, and no read began after that: nothing can be said of them. Not a fault.
    pub never_read: Vec<V>,
    /// Read, and never added, or read by an operation that ended before the addition began.
    pub unexpected: Vec<V>,
    /// Read at least once although nobody knows the outcome of their addition. Not a fault.
    pub recovered: Vec<V>,
}

impl<V> SetReport<V> {
    /// Is there nothing lost, stale or unexpected?
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.stale.is_empty() && self.unexpected.is_empty()
    }
}

/// Tells what became of each element. No element may be added twice, and none is ever removed.
///
/// Pending additions may have happened or not; pending reads say nothing.
pub fn check_set<V: Ord + Clone + Debug>(operations: &[Operation<SetOp<V>>]) -> SetReport<V> {
    let mut reads: Vec<(&Operation<SetOp<V>>, &[V])> = operations
        .iter()
        .filter(|operation| operation.returned.is_some())
        .filter_map(|operation| match &operation.what {
            SetOp::Read(elements) => Some((operation, &**elements)),
            SetOp::Add(_) => None,
        })
        .collect();
    reads.sort_by_key(|(read, _)| read.invoked);
    let begun: Vec<Moment> = reads.iter().map(|(read, _)| read.invoked).collect();
    let fates = fates(operations, &reads);
    let pick = |fault: fn(&Fate, &[Moment]) -> bool| -> Vec<V> {
        let found = fates.iter().filter(|(_, fate)| fault(fate, &begun));
        found.map(|(element, _)| (*element).clone()).collect()
    };
    SetReport {
        lost: pick(Fate::is_lost),
        stale: pick(Fate::is_stale),
        never_read: pick(Fate::is_never_read),
        unexpected: pick(|fate, _| fate.unexpected),
        recovered: pick(|fate, _| fate.pending && !fate.holders.is_empty() && !fate.unexpected),
    }
}

/// What is known of one element.
#[derive(Debug)]
struct Fate {
    pending: bool,
    /// From when on every read has to hold it.
    known: Moment,
    unexpected: bool,
    /// The reads that hold it, by their place in the order in which they began.
    holders: BTreeSet<usize>,
}

fn fates<'a, V: Ord>(
    operations: &'a [Operation<SetOp<V>>],
    reads: &[(&Operation<SetOp<V>>, &'a [V])],
) -> BTreeMap<&'a V, Fate> {
    let mut added: BTreeMap<&V, &Operation<SetOp<V>>> = BTreeMap::new();
    let mut fates: BTreeMap<&V, Fate> = BTreeMap::new();
    for operation in operations {
        if let SetOp::Add(element) = &operation.what {
            let fate = Fate {
                pending: operation.returned.is_none(),
                known: operation.latest(),
                unexpected: false,
                holders: BTreeSet::new(),
            };
            added.insert(element, operation);
            fates.insert(element, fate);
        }
    }
    for (place, (read, elements)) in reads.iter().enumerate() {
        for element in *elements {
            let fate = fates.entry(element).or_insert_with(|| Fate {
                pending: false,
                known: Moment::MAX,
                unexpected: true,
                holders: BTreeSet::new(),
            });
            fate.known = fate.known.min(read.latest());
            fate.unexpected |= added.get(element).is_some_and(|added| read.precedes(added));
            fate.holders.insert(place);
        }
    }
    fates
}

impl Fate {
    /// The reads from this place on have to hold it.
    fn due(&self, begun: &[Moment]) -> usize {
        begun.partition_point(|&moment| moment <= self.known)
    }

    fn is_lost(&self, begun: &[Moment]) -> bool {
        let due = self.due(begun);
        !self.unexpected && due < begun.len() && !self.holders.contains(&(begun.len() - 1))
    }

    fn is_stale(&self, begun: &[Moment]) -> bool {
        let due = self.due(begun);
        let Some(&last) = self.holders.last() else { return false };
        // Up to the last read that holds it, as many have to hold it as there are.
        !self.unexpected && last >= due && self.holders.range(due..).count() < last + 1 - due
    }

    fn is_never_read(&self, begun: &[Moment]) -> bool {
        !self.pending
            && !self.unexpected
            && self.due(begun) == begun.len()
            && self.holders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SetOp::{Add, Read};

    fn done(from: u64, to: u64, what: SetOp<u32>) -> Operation<SetOp<u32>> {
        Operation::done(from, to, what)
    }

    #[test]
    fn each_fate_has_its_name() {
        let report = check_set(&[
            done(1, 2, Add(1)),
            done(3, 4, Add(2)),
            done(3, 4, Add(3)),
            Operation::pending(3, Add(4)),
            Operation::pending(3, Add(5)),
            done(5, 6, Read(vec![1, 2])),
            done(7, 8, Read(vec![1, 3, 9])),
            done(9, 10, Read(vec![1, 3, 4])),
            done(9, 12, Add(6)),
        ]);
        assert_eq!((report.lost, report.stale), (vec![2], vec![3]));
        assert_eq!((report.never_read, report.unexpected), (vec![6], vec![9]));
        assert_eq!(report.recovered, [4]);
    }

    #[test]
    fn a_read_that_overlaps_the_addition_may_miss_it() {
        let report = check_set(&[
            done(1, 4, Add(1)),
            done(2, 3, Read(vec![1])),
            // It began before anybody knew of the element.
            done(3, 5, Read(vec![])),
            done(6, 7, Read(vec![1])),
        ]);
        assert!(report.is_clean(), "{report:?}");
    }

    #[test]
    fn a_pending_addition_that_was_seen_may_not_vanish() {
        let report = check_set(&[
            Operation::pending(1, Add(1)),
            done(2, 3, Read(vec![1])),
            done(4, 5, Read(vec![])),
        ]);
        assert_eq!(report.lost, [1]);
    }

    #[test]
    fn an_element_is_not_read_before_it_is_added() {
        let report = check_set(&[done(1, 2, Read(vec![1])), done(3, 4, Add(1))]);
        assert_eq!(report.unexpected, [1]);
    }
}
