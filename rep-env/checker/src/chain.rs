//! Versions whose order is known: can each have come about between what was seen before it and after it?
//!
//! Version `i` came about at one moment, after everything that says "not yet" began and before everything that says "there
//! it is" ended. With the order known, the earliest moment of a version is the latest of these lower bounds up to it, so
//! one pass decides whether real time and the order of versions have a cycle, and names two operations of it.

use crate::operation::{Moment, Operation};

/// Bounds of each version, by its place in the order.
#[derive(Debug)]
pub(crate) struct Chain {
    versions: Vec<Version>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Version {
    after: Option<(Moment, usize)>,
    before: Option<(Moment, usize)>,
}

/// Two operations that real time and the versions put in opposite orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// It ended before `late` began, and saw or made the later version.
    pub(crate) early: usize,
    /// It saw or made the earlier version.
    pub(crate) late: usize,
}

impl Chain {
    pub(crate) fn new(versions: usize) -> Self {
        Self { versions: vec![Version::default(); versions] }
    }

    /// The version came about while this operation was open.
    pub(crate) fn made<O>(&mut self, version: usize, at: usize, operation: &Operation<O>) {
        self.not_before(version, at, operation);
        self.seen(version, at, operation);
    }

    /// The version was not there yet when this operation looked.
    pub(crate) fn not_before<O>(&mut self, version: usize, at: usize, operation: &Operation<O>) {
        let after = &mut self.versions[version].after;
        if after.is_none_or(|(moment, _)| operation.invoked > moment) {
            *after = Some((operation.invoked, at));
        }
    }

    /// The version was there when this operation looked.
    pub(crate) fn seen<O>(&mut self, version: usize, at: usize, operation: &Operation<O>) {
        let before = &mut self.versions[version].before;
        if before.is_none_or(|(moment, _)| operation.latest() < moment) {
            *before = Some((operation.latest(), at));
        }
    }

    /// The first cycle, if there is one.
    pub(crate) fn cycle(&self) -> Option<Cycle> {
        let mut latest: Option<(Moment, usize)> = None;
        for version in &self.versions {
            latest = latest.max(version.after);
            if let (Some((begun, late)), Some((ended, early))) = (latest, version.before)
                && ended < begun
            {
                return Some(Cycle { early, late });
            }
        }
        None
    }
}
