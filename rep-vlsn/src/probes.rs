//! Probes for a simulator: which rare moments its runs have met, and rare moments made on purpose.
//!
//! A run that meets no rare moment proves nothing about it. So the shipped code says `sometimes!(condition, "name")` where
//! something seldom happens, and a simulator that has not seen each name in ten thousand seeds is too tame. And it asks
//! `buggify!("name")` where it may as well take the slow path: in a run in which that site is armed (one in four) it does so
//! every fourth time. Both are there under `--cfg rep_coverage` only; in every other build they are nothing, and `false`.
//!
//! What is known belongs to the thread, as a simulated world does. Source of the rates: FoundationDB's `BUGGIFY`.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static RUN: RefCell<Run> = const { RefCell::new(Run::none()) };
}

/// One run, as its probes see it.
#[derive(Debug)]
struct Run {
    /// What sites are armed by; without one, none is.
    seed: Option<u64>,
    asked: u64,
    met: BTreeMap<&'static str, u64>,
}

impl Run {
    const fn none() -> Self {
        Run { seed: None, asked: 0, met: BTreeMap::new() }
    }
}

/// A run begins on this thread.
pub fn begin(seed: u64) {
    RUN.replace(Run { seed: Some(seed), ..Run::none() });
}

/// The run is over: how often each site was met, or fired.
pub fn end() -> BTreeMap<&'static str, u64> {
    RUN.replace(Run::none()).met
}

/// Says that a moment has come.
pub fn meet(name: &'static str) {
    RUN.with_borrow_mut(|run| *run.met.entry(name).or_default() += 1);
}

/// Whether a site takes its slow path now.
pub fn fires(name: &'static str) -> bool {
    RUN.with_borrow_mut(|run| {
        let Some(seed) = run.seed else { return false };
        run.asked += 1;
        let armed = mix(seed ^ hash(name)).is_multiple_of(4);
        let fires = armed && mix(seed ^ run.asked).is_multiple_of(4);
        if fires {
            *run.met.entry(name).or_default() += 1;
        }
        fires
    })
}

fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of splitmix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
