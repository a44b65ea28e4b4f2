//! Making a failure small: of a case that breaks something, one with less in it that breaks the same.
//!
//! Each attempt is a whole run, played from its list of faults, and counts if the same invariant breaks. First the run is
//! ended where it broke; then faults are left out, by halves, quarters and so on (delta debugging; Zeller and
//! Hildebrandt, "Simplifying and isolating failure-inducing input", 2002); then clients, members and whatever else a world
//! has more of than it needs. That is repeated until nothing can be left out, or until the caller has had enough.

use crate::case::Case;
use crate::faults::Inflicted;
use crate::swarm::Swarm;
use crate::trace::Detail;
use std::time::Duration;

/// Makes the case smaller while `go_on` says so; the smallest one that was found.
pub fn shrink(case: Case, go_on: impl FnMut() -> bool) -> Case {
    let mut search = Search { best: case, draws: DRAWS, go_on };
    // A case of another time, or of a run that nothing replays, is left as it is.
    if !search.best.still_fails() {
        return search.best;
    }
    while search.round() || search.more_draws() {}
    search.best
}

/// Draws that an attempt gets at first, and at last.
const DRAWS: u64 = 4;
const DRAWS_MAX: u64 = 256;

struct Search<G> {
    best: Case,
    draws: u64,
    go_on: G,
}

/// One way to have less of a world; false if there is nothing to take away.
type Cut = fn(&mut Swarm) -> bool;

const CUTS: &[Cut] = &[
    |swarm| fewer(&mut swarm.load.clients),
    |swarm| swap(&mut swarm.load.keys, 1),
    |swarm| swap(&mut swarm.load.reads, 0.0),
    |swarm| swap(&mut swarm.load.weak, 0.0),
    |swarm| swap(&mut swarm.load.slow_turns, 0.0),
    |swarm| swap(&mut swarm.process.drift_ppm, 0),
    |swarm| swap(&mut swarm.disk.slow, None),
    |swarm| swap(&mut swarm.net.hostile, false),
    |swarm| swap(&mut swarm.process.recipe, None),
    |swarm| swap(&mut swarm.process.traps, 0),
    |swarm| swap(&mut swarm.members.join, false),
    halve_chaos,
];

impl<G: FnMut() -> bool> Search<G> {
    /// Tries everything once; whether anything helped.
    fn round(&mut self) -> bool {
        let ended = self.end_where_it_breaks();
        let fewer_faults = self.leave_out_faults();
        let fewer_members = self.leave_out_members();
        let smaller = CUTS.iter().filter(|cut| self.cut(**cut)).count();
        ended || fewer_faults || fewer_members || smaller > 0
    }

    /// Nothing helped: whether to be more patient.
    fn more_draws(&mut self) -> bool {
        self.draws *= 4;
        self.draws <= DRAWS_MAX && (self.go_on)()
    }

    /// Takes the attempt if it still breaks the same. With a fault less, all delays after it are drawn differently, and what
    /// follows may just miss its moment: so it gets a few draws.
    fn keep_if_it_fails(&mut self, attempt: Case) -> bool {
        for draw in 0..self.draws {
            if !(self.go_on)() {
                return false;
            }
            let seed = attempt.seed.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let drawn = attempt.drawn_from(seed);
            if drawn.still_fails() {
                self.best = drawn;
                return true;
            }
        }
        false
    }

    /// Trouble after the failure cannot have caused it.
    fn end_where_it_breaks(&mut self) -> bool {
        let Err(failure) = self.best.run(Detail::Brief) else { return false };
        let mut attempt = self.best.clone();
        attempt.faults.retain(|fault| fault.at <= failure.at);
        let fewer = attempt.faults.len() < self.best.faults.len();
        let shorter = failure.at < attempt.swarm.chaos;
        if shorter {
            attempt.swarm.chaos = failure.at + Duration::from_nanos(1);
        }
        (fewer || shorter) && self.keep_if_it_fails(attempt)
    }

    fn leave_out_faults(&mut self) -> bool {
        let before = self.best.faults.len();
        let mut size = before.div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.best.faults.len() {
                let mut attempt = self.best.clone();
                let end = (at + size).min(attempt.faults.len());
                attempt.faults.drain(at..end);
                if !self.keep_if_it_fails(attempt) {
                    at = end;
                }
            }
            size /= 2;
        }
        self.best.faults.len() < before
    }

    /// Without the machine of the highest number, and what was done to it.
    fn leave_out_members(&mut self) -> bool {
        let mut helped = false;
        while self.best.swarm.machines() > 1 {
            let mut attempt = self.best.clone();
            match attempt.swarm.members.spares {
                0 => attempt.swarm.nodes -= 1,
                _ => attempt.swarm.members.spares -= 1,
            }
            let (most, nodes) = (attempt.swarm.machines(), attempt.swarm.nodes);
            let damaged_max = &mut attempt.swarm.process.damaged_max;
            *damaged_max = nodes.min(*damaged_max);
            attempt.faults.retain(|Inflicted { fault, .. }| fault.is_among(most));
            if !self.keep_if_it_fails(attempt) {
                break;
            }
            helped = true;
        }
        helped
    }

    fn cut(&mut self, cut: Cut) -> bool {
        let mut helped = false;
        loop {
            let mut attempt = self.best.clone();
            if !cut(&mut attempt.swarm) || !self.keep_if_it_fails(attempt) {
                return helped;
            }
            helped = true;
        }
    }
}

fn fewer(count: &mut u32) -> bool {
    let less = *count / 2;
    less > 0 && swap(count, less)
}

fn swap<T: PartialEq>(value: &mut T, simpler: T) -> bool {
    let differs = *value != simpler;
    *value = simpler;
    differs
}

fn halve_chaos(swarm: &mut Swarm) -> bool {
    let half = swarm.chaos / 2;
    half >= swarm.heartbeat && swap(&mut swarm.chaos, half)
}
