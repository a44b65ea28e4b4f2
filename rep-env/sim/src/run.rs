//! One seed from its first event to its verdict.
//!
//! Trouble, then healing, then the proof of life: a master serves a write that began after everything healed, and
//! all members that can agree do (`life`).

mod life;
mod relays;
mod shipped;
mod watch;

pub(crate) use relays::FED_WITHIN;

use crate::case::Case;
use crate::counts::Counts;
use crate::coverage::{self, Coverage};
use crate::faults::Inflicted;
use crate::oracle::{Invariant, Violation};
use crate::passenger::Passenger;
use crate::report::Failure;
use crate::scenario::Failover;
use crate::swarm::Swarm;
use crate::trace::Detail;
use crate::world::World;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What a run was, if nothing broke.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Over every event: two runs of a seed have the same.
    pub trace: u64,
    /// Events that happened.
    pub events: u64,
    /// Virtual time that passed.
    pub virtual_time: Duration,
    /// What happened, in numbers.
    pub counts: Counts,
    /// Whether the run got as far as serving writes before trouble ended.
    pub made_progress: bool,
    /// How long the group was without a master, in the scenes that take it away.
    pub failover: Option<Failover>,
}

/// What is played to a world.
pub(crate) type Play = fn(&mut World);

/// Runs one seed of the swarm.
///
/// # Errors
///
/// The first invariant that did not hold, with the story of how it came to that.
pub fn run_seed(seed: u64, detail: Detail) -> Result<Outcome, Box<Failure>> {
    play(seed, Swarm::draw(seed), detail, swarm_play).map_err(|failure| with_case(seed, failure))
}

/// Runs one seed of the swarm in a world of so many members.
///
/// # Errors
///
/// As [`run_seed`].
pub fn run_seed_among(seed: u64, members: u32, detail: Detail) -> Result<Outcome, Box<Failure>> {
    let swarm = Swarm::draw_of(seed, Some(members));
    play(seed, swarm.clone(), detail, swarm_play).map_err(|mut failure| {
        let faults = std::mem::take(&mut failure.faults);
        failure.replay = format!("{} -- --members {members}", failure.replay);
        failure.case = Some(Case::of(&failure, swarm, faults));
        failure
    })
}

/// As [`run_seed`], and tells what the run has met.
///
/// # Errors
///
/// As [`run_seed`].
pub fn run_seed_covered(seed: u64) -> Result<(Outcome, Coverage), Box<Failure>> {
    let act = |world: &mut World| {
        world.coverage = Some(Box::default());
        swarm_play(world);
    };
    let (mut world, violation) = attempt(seed, Swarm::draw(seed), Detail::Hash, act, None);
    if violation.is_some() {
        return run_seed(seed, Detail::Hash).and(Err(Box::new(Failure::unstable(seed))));
    }
    let mut coverage = world.coverage.take().map(|coverage| *coverage).unwrap_or_default();
    coverage.probes = std::mem::take(&mut world.probes);
    Ok((world.outcome(), coverage))
}

/// The failure of a seed, with what it takes to play it without the seed's makers of trouble.
fn with_case(seed: u64, mut failure: Box<Failure>) -> Box<Failure> {
    let faults = std::mem::take(&mut failure.faults);
    failure.case = Some(Case::of(&failure, Swarm::draw(seed), faults));
    failure
}

/// Plays a swarm's world with these faults and no others.
pub(crate) fn play_list(
    seed: u64,
    swarm: Swarm,
    faults: &[Inflicted],
    detail: Detail,
) -> Result<Outcome, Box<Failure>> {
    let (world, violation) = attempt(seed, swarm.clone(), detail, swarm_play, Some(faults));
    let Some(violation) = violation else { return Ok(world.outcome()) };
    if detail != Detail::Hash {
        return Err(Box::new(Failure::of(world, violation)));
    }
    let (again, seen) = attempt(seed, swarm, Detail::Last, swarm_play, Some(faults));
    Err(Box::new(Failure::of(again, seen.unwrap_or(violation))))
}

/// Runs one seed twice, and compares: first as its makers of trouble have it, then from the list of the faults that came.
/// So one comparison shows that the seed gives one run, and that no fault went by the list.
///
/// # Errors
///
/// As [`run_seed`]; and if the two runs differ.
pub fn run_seed_twice(seed: u64) -> Result<Outcome, Box<Failure>> {
    twice(seed, Swarm::draw(seed), swarm_play).or_else(|failure| {
        let differ = failure.violation.invariant == Invariant::Determinism;
        // Whatever else has broken is told by a run of its own, with the story.
        if differ { Err(failure) } else { run_seed(seed, Detail::Hash) }
    })
}

/// D-1.
pub(crate) fn twice(
    seed: u64,
    swarm: Swarm,
    act: impl Fn(&mut World),
) -> Result<Outcome, Box<Failure>> {
    let (first, violation) = attempt(seed, swarm.clone(), Detail::Hash, &act, None);
    if let Some(violation) = violation {
        return Err(Box::new(Failure::of(first, violation)));
    }
    let faults = &first.faults.ledger.inflicted;
    let (second, _) = attempt(seed, swarm, Detail::Hash, &act, Some(faults));
    if first.trace.hash() == second.trace.hash() {
        return Ok(first.outcome());
    }
    let hashes = (first.trace.hash(), second.trace.hash());
    let what = format!("trace {:016x}, then {:016x}", hashes.0, hashes.1);
    let violation = Violation { invariant: Invariant::Determinism, what };
    Err(Box::new(Failure::bare(seed, violation)))
}

/// Runs one seed with a passenger on every member; `board` makes one.
pub(crate) fn play_boarded(
    seed: u64,
    detail: Detail,
    board: &dyn Fn() -> Box<dyn Passenger>,
) -> Result<Outcome, Box<Failure>> {
    let act = |world: &mut World| {
        world.ids().into_iter().for_each(|id| world.passengers.board(id, board()));
        swarm_play(world);
    };
    let (world, violation) = attempt(seed, Swarm::draw(seed), detail, act, None);
    let Some(violation) = violation else { return Ok(world.outcome()) };
    let (again, seen) = attempt(seed, Swarm::draw(seed), Detail::Last, act, None);
    Err(Box::new(Failure::of(again, seen.unwrap_or(violation))))
}

/// Plays something to a world of this seed; a failure is played again with its lines written down.
pub(crate) fn play(
    seed: u64,
    swarm: Swarm,
    detail: Detail,
    act: Play,
) -> Result<Outcome, Box<Failure>> {
    let (world, violation) = attempt(seed, swarm.clone(), detail, act, None);
    let Some(violation) = violation else { return Ok(world.outcome()) };
    if detail != Detail::Hash {
        return Err(Box::new(Failure::of(world, violation)));
    }
    let hash = world.trace.hash();
    let (again, seen) = attempt(seed, swarm, Detail::Last, act, None);
    let (other, same) = (again.trace.hash(), again.trace.hash() == hash);
    let mut failure = Failure::of(again, seen.unwrap_or(violation));
    if !same {
        failure
            .lines
            .push(format!("THE SEED DOES NOT REPLAY: trace {hash:016x}, then {other:016x}"));
    }
    Err(Box::new(failure))
}

/// One run, with the faults that its makers have for it or with those that are given.
fn attempt(
    seed: u64,
    swarm: Swarm,
    detail: Detail,
    act: impl Fn(&mut World),
    given: Option<&[Inflicted]>,
) -> (World, Option<Violation>) {
    let mut world = World::new(seed, swarm, detail);
    given.into_iter().for_each(|faults| world.faults.ledger.play(faults));
    coverage::begin_probes(seed);
    let ended = quietly(|| catch_unwind(AssertUnwindSafe(|| act(&mut world))));
    world.probes = coverage::end_probes();
    if world.failure.is_none() && ended.is_ok() {
        world.judge_history();
    }
    let panicked = ended.err().map(|_| {
        let what = PANIC.with_borrow_mut(std::mem::take);
        Violation { invariant: Invariant::NoPanic, what }
    });
    let violation = panicked.or_else(|| world.failure.take());
    (world, violation)
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static QUIET: RefCell<bool> = const { RefCell::new(false) };
}

/// A panic inside a run is a finding: its message goes into the report and not onto the screen.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.with_borrow(|quiet| *quiet) {
                PANIC.with_borrow_mut(|what| *what = info.to_string().replace('\n', ": "));
            } else {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = act();
    QUIET.set(false);
    result
}

pub(crate) fn swarm_play(world: &mut World) {
    world.ids().into_iter().for_each(|id| world.start(id));
    world.add_clients(world.swarm.load.clients);
    world.begin_faults();
    world.run_for(world.swarm.chaos);
    world.prove_life();
}

impl World {
    /// The last word on a run that nobody else found fault with.
    fn judge_history(&mut self) {
        match self.history.recording.judge() {
            Ok(judged) => self.counts.judged(judged),
            Err(violation) => self.fail(violation),
        }
    }

    fn outcome(&self) -> Outcome {
        let mut counts = self.counts.clone();
        let net = &self.network.counts;
        counts.lost = self.oracle.lost_count();
        counts.given_up = u64::from(self.oracle.gave_up.is_some());
        counts.frames = net.frames;
        counts.dropped = net.dropped;
        counts.duplicated = net.duplicated;
        counts.reordered = net.reordered;
        counts.replayed = net.replayed;
        counts.corrupt = net.corrupt;
        counts.queued = net.queued;
        counts.resets = net.resets;
        Outcome {
            trace: self.trace.hash(),
            events: self.trace.events,
            virtual_time: self.now,
            made_progress: counts.acked > 0,
            failover: self.failover,
            counts,
        }
    }
}
