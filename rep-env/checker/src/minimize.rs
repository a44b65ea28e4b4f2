//! The smallest part of a bad history that is still bad, and for the same reason.
//!
//! Simply leaving operations out would find too little: without the write of 7, a read of 7 is bad whatever else happened. So
//! an operation that changes something is not taken out but made *pending*: it may have happened at any time from its
//! invocation on, or not at all. What remains then cannot be explained even so, and is bad alone as well.

use crate::operation::{Moment, Operation};

/// How often a smaller history is tried at most.
const TRIES_MAX: usize = 20_000;

/// What is left of a bad history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smallest {
    /// The operations that make it bad, as places in the slice that was given; all of them were answered.
    pub places: Vec<usize>,
    /// Was everything tried? Otherwise a smaller one may exist.
    pub complete: bool,
}

/// Leaves out of a history, for which `is_bad` holds, what it is bad without.
///
/// `looks` says which operations change nothing and may be left out altogether. `is_bad` may answer `false` when it does not
/// know; then the operation stays. It is called 20,000 times at most, and no more once `give_up` says so.
pub fn minimize<O: Clone>(
    operations: &[Operation<O>],
    looks: impl Fn(&O) -> bool,
    mut is_bad: impl FnMut(&[Operation<O>]) -> bool,
    give_up: impl Fn() -> bool,
) -> Smallest {
    let mut part = Part::whole(operations, looks);
    let complete = part.cut(&mut is_bad, &give_up) && part.thin(&mut is_bad, &give_up);
    Smallest { places: part.kept(), complete }
}

/// A history of which some operations are left out.
pub(crate) struct Part<'a, O, L> {
    operations: &'a [Operation<O>],
    looks: L,
    /// What was answered later counts as open, what was asked later is left out.
    until: Moment,
    keep: Vec<bool>,
    tries: usize,
}

impl<'a, O: Clone, L: Fn(&O) -> bool> Part<'a, O, L> {
    pub(crate) fn whole(operations: &'a [Operation<O>], looks: L) -> Self {
        let keep = operations.iter().map(|operation| operation.returned.is_some()).collect();
        Self { operations, looks, until: Moment::MAX, keep, tries: 0 }
    }

    /// The operations that are in it, with their answers.
    pub(crate) fn kept(&self) -> Vec<usize> {
        let answered = |at: &usize| {
            self.operations[*at].returned.is_some_and(|returned| returned <= self.until)
        };
        (0..self.operations.len()).filter(|&at| self.keep[at]).filter(answered).collect()
    }

    pub(crate) fn history(&self) -> Vec<Operation<O>> {
        let begun = self.operations.iter().zip(&self.keep);
        let begun = begun.filter(|(operation, _)| operation.invoked <= self.until);
        let taken = begun.filter_map(|(operation, &keep)| {
            let returned = operation.returned.filter(|&returned| keep && returned <= self.until);
            let gone = returned.is_none() && (self.looks)(&operation.what);
            (!gone).then(|| Operation { returned, ..operation.clone() })
        });
        taken.collect()
    }

    /// Cuts off what came after the history had become bad. A beginning of a linearizable history is linearizable, so the
    /// place is found by halving. `false`: given up.
    pub(crate) fn cut(
        &mut self,
        mut is_bad: impl FnMut(&[Operation<O>]) -> bool,
        give_up: &impl Fn() -> bool,
    ) -> bool {
        let mut ends: Vec<Moment> =
            self.operations.iter().filter_map(|operation| operation.returned).collect();
        ends.sort_unstable();
        let (mut good, mut bad) = (0, ends.len());
        while good < bad {
            let middle = good + (bad - good) / 2;
            let before = std::mem::replace(&mut self.until, ends[middle]);
            match self.ask(&mut is_bad, give_up) {
                Some(true) => bad = middle,
                Some(false) => {
                    good = middle + 1;
                    self.until = before;
                }
                None => {
                    self.until = before;
                    return false;
                }
            }
        }
        true
    }

    /// Leaves out what can go, first of what only looks: a value that came back is plainer from its write and the other's
    /// than from two who saw it. `false`: given up.
    pub(crate) fn thin(
        &mut self,
        mut is_bad: impl FnMut(&[Operation<O>]) -> bool,
        give_up: &impl Fn() -> bool,
    ) -> bool {
        let stages =
            [true, false].map(|only_looks| self.thin_stage(&mut is_bad, give_up, only_looks));
        stages.iter().all(Option::is_some)
    }

    /// Leaves out runs of operations, shorter and shorter ones, at last one at a time until none can go.
    fn thin_stage(
        &mut self,
        is_bad: &mut impl FnMut(&[Operation<O>]) -> bool,
        give_up: &impl Fn() -> bool,
        only_looks: bool,
    ) -> Option<()> {
        let mut length = self.spare(only_looks).len().div_ceil(2);
        loop {
            let spare = self.spare(only_looks);
            for run in spare.chunks(length.max(1)) {
                run.iter().for_each(|&at| self.keep[at] = false);
                let tried = self.ask(is_bad, give_up);
                if tried != Some(true) {
                    run.iter().for_each(|&at| self.keep[at] = true);
                }
                tried?;
            }
            if length <= 1 && self.spare(only_looks).len() == spare.len() {
                return Some(());
            }
            length = (length / 2).max(1);
        }
    }

    fn ask(
        &mut self,
        is_bad: &mut impl FnMut(&[Operation<O>]) -> bool,
        give_up: &impl Fn() -> bool,
    ) -> Option<bool> {
        self.tries += 1;
        (self.tries <= TRIES_MAX && !give_up()).then(|| is_bad(&self.history()))
    }

    /// What might be left out.
    fn spare(&self, only_looks: bool) -> Vec<usize> {
        let mut kept = self.kept();
        kept.retain(|&at| !only_looks || (self.looks)(&self.operations[at].what));
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::{Register, RegisterOp};
    use crate::{Budget, Verdict, check};
    use RegisterOp::{CasFailed, Read, Write};

    fn smallest(operations: &[Operation<RegisterOp<u32>>]) -> Smallest {
        let is_bad = |history: &[Operation<RegisterOp<u32>>]| {
            check(&Register { initial: 0 }, history, &Budget::default()) == Verdict::NotLinearizable
        };
        assert!(is_bad(operations));
        let looks = |op: &RegisterOp<u32>| matches!(op, Read(_) | CasFailed { .. });
        minimize(operations, looks, is_bad, || false)
    }

    /// A long good history, then a stale read, then more.
    #[test]
    fn a_stale_read_is_left_with_both_writes() {
        let mut operations: Vec<_> = (1..40)
            .map(|at| Operation::done(u64::from(at) * 10, u64::from(at) * 10 + 5, Write(at)))
            .collect();
        operations.push(Operation::done(401, 402, Read(39)));
        operations.push(Operation::done(411, 412, Read(38)));
        operations.push(Operation::done(421, 422, Write(50)));
        let found = smallest(&operations);
        assert!(found.complete);
        // The write of 38, one of what proves that 39 came after it, and the stale read.
        assert_eq!(found.places.len(), 3, "{found:?}");
        assert!(found.places.contains(&37) && found.places.contains(&40), "{found:?}");
    }

    #[test]
    fn an_invented_value_needs_nothing_else() {
        let operations = [
            Operation::done(1, 2, Write(1)),
            Operation::done(3, 4, Read(7)),
            Operation::done(5, 6, Read(1)),
        ];
        assert_eq!(smallest(&operations).places, [1]);
    }

    #[test]
    fn who_gives_up_has_a_bad_history_still() {
        let operations = [Operation::done(1, 2, Write(1)), Operation::done(3, 4, Read(7))];
        let found = minimize(&operations, |_| true, |_| true, || true);
        assert_eq!((found.places, found.complete), (vec![0, 1], false));
    }
}
