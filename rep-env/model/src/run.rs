//! Exploring, and telling what was found.

use crate::model::Group;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::fmt;
use std::time::{Duration, Instant};

/// What an exploration found.
#[derive(Debug)]
pub struct Report {
    /// Worlds that differ.
    pub worlds: usize,
    /// Steps between them.
    pub steps: usize,
    /// The longest way that was gone.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// States of single members, steps of single members, and letters.
    pub extent: (usize, usize, usize),
    /// Whether everything within the bounds was seen.
    pub is_whole: bool,
    /// What was found of each property.
    pub found: Vec<Found>,
}

/// What was found of one property.
#[derive(Debug)]
pub struct Found {
    /// The property, in words.
    pub what: &'static str,
    /// Whether it must always hold; else it must be seen once.
    pub always: bool,
    /// The actions that lead to where it breaks, or is seen.
    pub way: Option<Vec<String>>,
}

/// How to explore.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// On how many threads.
    pub threads: usize,
    /// How long at most.
    pub limit: Duration,
    /// Whether to go breadth first, which finds short ways and takes more memory.
    pub breadth_first: bool,
    /// Whether to end as soon as a rule is seen broken.
    pub until_broken: bool,
}

/// Explores everything within a group's bounds.
pub fn explore(group: Group, manner: Manner) -> Report {
    let begun = Instant::now();
    let until = match manner.until_broken {
        true => HasDiscoveries::AnyFailures,
        false => HasDiscoveries::All,
    };
    let builder = group.checker().threads(manner.threads).timeout(manner.limit);
    let builder = builder.finish_when(until);
    match manner.breadth_first {
        true => report(&builder.spawn_bfs().join(), begun, manner),
        false => report(&builder.spawn_dfs().join(), begun, manner),
    }
}

fn report(checker: &impl Checker<Group>, begun: Instant, manner: Manner) -> Report {
    let took = begun.elapsed();
    let group = checker.model();
    let mut ways = checker.discoveries();
    let found = group.properties().into_iter().map(|property| Found {
        what: property.name,
        always: property.expectation == Expectation::Always,
        way: ways.remove(property.name).map(|path| {
            path.into_actions().into_iter().map(|action| format!("{action:?}")).collect()
        }),
    });
    Report {
        found: found.collect(),
        worlds: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        took,
        extent: group.extent(),
        is_whole: took < manner.limit,
    }
}

impl Report {
    /// Whether no rule was seen broken, and everything that there was to be seen was.
    pub fn is_good(&self) -> bool {
        self.found.iter().all(|found| found.always != found.way.is_some())
    }

    /// The rules that were seen broken.
    pub fn broken(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.always && found.way.is_some())
    }
}

impl Found {
    /// What kind of property it is.
    pub fn kind(&self) -> &'static str {
        if self.always { "always" } else { "sometimes" }
    }

    /// What is known of it, if everything was looked at or not.
    pub fn verdict(&self, is_whole: bool) -> String {
        match (self.always, &self.way) {
            (true, None) if is_whole => "holds".to_owned(),
            (true, None) => "not seen broken".to_owned(),
            (true, Some(way)) => format!("BROKEN after {} steps", way.len()),
            (false, Some(way)) => format!("seen after {} steps", way.len()),
            (false, None) => "NEVER SEEN".to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { worlds, steps, depth, took, extent: (states, moves, letters), .. } = self;
        let (whole, seconds) =
            (if self.is_whole { "whole" } else { "NOT WHOLE" }, took.as_secs_f64());
        write!(
            f,
            "{whole}: {worlds} worlds, {steps} steps, depth {depth}, {seconds:.1} s; \
             made of {states} states of a member, {moves} steps of a member, {letters} letters"
        )
    }
}
