//! How fast a master lets writes in while somebody lags who was given a copy (decision 36).
//!
//! What follows a copy is kept for its taker, within bounds. Writers that are faster than it fill those, and then all the copying was in
//! vain: the next copy would end no better. So they are slowed down before that, in proportion to what the taker does: while the copy is given,
//! to what makes the room last as long as the patience; while it catches up, to half of what it takes.
//!
//! This is a kindness, and has ends. One entry is let in every [`PAUSE_MAX`], and `FLOOR_BYTES_PER_S`, whatever the taker does. It is nobody's who
//! is silent, nor anybody's whom the bounds have left behind; and once the patience is used up it comes back only slowly.
//!
//! | a taker is | ends by |
//! |---|---|
//! | not waited for | it lacks more than three quarters of what is kept for others |
//! | waited for | it lacks less than a quarter; it is silent; its log is gone; the patience is used up |
//! | given up | half of the patience is there again |

use crate::node::Node;
use crate::volume::Volume;
use rep_vlsn::{Incarnation, NodeId, Vlsn, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// However slow a straggler is, an entry is let in when the one before it was so long ago.
pub const PAUSE_MAX: Duration = Duration::from_millis(500);
/// And so many bytes a second.
const FLOOR_BYTES_PER_S: u64 = 64 << 10;
/// Patience comes back so many times slower than it goes.
const REGAIN: u32 = 10;
/// Who was not heard for this part of the patience is not waited for.
const SILENT_PART: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// So many seconds of its rate may be owed.
const DEBT_SECONDS: u64 = 2;
/// It is looked at so often at most, as what may be let in meanwhile would round to nothing.
const GRAIN: Duration = Duration::from_millis(1);

/// How a master slows its writers down, and for whom.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    takers: BTreeMap<NodeId, Taker>,
    reckoned: Duration,
    /// When an entry was let in last.
    admitted: Duration,
}

/// A member that was given a copy in this reign, or is given one.
#[derive(Clone, Copy, Debug)]
struct Taker {
    incarnation: Incarnation,
    heard: Duration,
    /// It had come so far when it was looked at last.
    at: Vlsn,
    /// Bytes that it lacked then.
    lag: u64,
    /// For how long writers were slowed down for it, as far as that is not made up for.
    spent: Duration,
    slows: bool,
    given_up: bool,
    /// Bytes that may be let in before anybody has to wait, and how many more a second, whatever it does.
    credit: i64,
    rate: u64,
}

/// Where a taker stands.
#[derive(Clone, Copy, Debug)]
struct Stand {
    /// It needs what follows.
    at: Vlsn,
    /// It takes a stream, with its copy in place.
    follows: bool,
    /// It is there.
    heard: bool,
}

/// What bounds the slowing down.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    patience: Duration,
    /// Bytes that are kept for anybody.
    kept: u64,
    /// Bytes of credit at most.
    burst: u64,
}

/// One look at the takers.
#[derive(Clone, Copy, Debug)]
struct Look<'a> {
    /// Since the one before.
    elapsed: Duration,
    bounds: &'a Bounds,
    volume: &'a Volume,
}

impl Taker {
    fn new(now: Duration, incarnation: Incarnation) -> Self {
        Taker {
            incarnation,
            heard: now,
            at: Vlsn::NULL,
            lag: 0,
            spent: Duration::ZERO,
            slows: false,
            given_up: false,
            credit: 0,
            rate: FLOOR_BYTES_PER_S,
        }
    }

    /// Looks at it after so much time; `lag` is what it lacks.
    fn reckon(&mut self, now: Duration, stand: Option<Stand>, lag: u64, look: &Look<'_>) {
        let bounds = look.bounds;
        self.spend(look.elapsed, bounds.patience);
        self.lag = lag;
        let Some(stand) = stand else {
            self.slows = false;
            return;
        };
        if stand.heard {
            self.heard = now;
        }
        let is_there = now.saturating_sub(self.heard) <= bounds.patience / SILENT_PART
            || mutant!("pace-of-the-silent");
        let room = bounds.kept.saturating_mul(2).saturating_sub(self.lag);
        let is_far = match self.slows {
            true => self.lag > bounds.kept / 4,
            false => self.lag > bounds.kept / 4 * 3,
        };
        let began = !self.slows;
        self.slows = is_far && is_there && room > 0 && !self.given_up && !mutant!("pace-of-nobody");
        if !self.slows {
            return;
        }
        if began {
            (self.credit, self.at) = (0, stand.at);
            return;
        }
        self.grant(stand, room, look);
    }

    /// Time in which writers are slowed down, and time in which they are not.
    fn spend(&mut self, elapsed: Duration, patience: Duration) {
        self.spent = match self.slows {
            true => self.spent + elapsed,
            false => self.spent.saturating_sub(elapsed / REGAIN),
        };
        let is_used_up = self.spent >= patience && !mutant!("pace-outlives-the-patience");
        self.given_up = is_used_up || (self.given_up && self.spent > patience / 2);
    }

    fn grant(&mut self, stand: Stand, room: u64, look: &Look<'_>) {
        let (bounds, elapsed) = (look.bounds, look.elapsed);
        let taken = look.volume.between(self.at, stand.at);
        self.at = self.at.max(stand.at);
        let left = bounds.patience.saturating_sub(self.spent).max(GRAIN);
        self.rate = FLOOR_BYTES_PER_S;
        if !stand.follows {
            self.rate = self.rate.saturating_add(part(room, SECOND, left));
        }
        let half = if stand.follows { taken / 2 } else { 0 };
        let granted = half.saturating_add(part(self.rate, elapsed, SECOND));
        let credit = self.credit.saturating_add(i64::try_from(granted).unwrap_or(i64::MAX));
        self.credit = credit.min(i64::try_from(bounds.burst).unwrap_or(i64::MAX));
    }

    /// When it has credit again, if nothing is heard of it.
    fn ready(&self, reckoned: Duration) -> Duration {
        let lacks = self.credit.min(0).unsigned_abs() + 1;
        let nanos = u128::from(lacks) * 1_000_000_000 / u128::from(self.rate);
        reckoned + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) + GRAIN
    }
}

/// `amount` times `elapsed / whole`.
fn part(amount: u64, elapsed: Duration, whole: Duration) -> u64 {
    let share = u128::from(amount) * elapsed.as_nanos() / whole.as_nanos().max(1);
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl Pace {
    /// Nobody was given a copy yet.
    pub(crate) fn new(now: Duration) -> Self {
        Pace { takers: BTreeMap::new(), reckoned: now, admitted: now }
    }

    fn slowing(&self) -> impl Iterator<Item = (NodeId, &Taker)> {
        self.takers.iter().filter(|(_, taker)| taker.slows).map(|(id, taker)| (*id, taker))
    }

    /// Whether nothing is to be let in now.
    fn holds(&self, now: Duration) -> bool {
        let paused = now < self.admitted + PAUSE_MAX || mutant!("pace-stops-writers");
        paused && self.slowing().any(|(_, taker)| taker.credit <= 0)
    }

    /// An entry was let in. One that was let in for the sake of [`PAUSE_MAX`] may be long, and is not made up for by hours of small ones.
    pub(crate) fn charge(&mut self, now: Duration, bytes: u64) {
        self.admitted = now;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        for taker in self.takers.values_mut().filter(|taker| taker.slows) {
            let debt_max =
                i64::try_from(taker.rate.saturating_mul(DEBT_SECONDS)).unwrap_or(i64::MAX);
            taker.credit = taker.credit.saturating_sub(bytes).max(-debt_max);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        if !self.holds(self.reckoned) {
            return None;
        }
        let waits = self.slowing().filter(|(_, taker)| taker.credit <= 0);
        let ready = waits.map(|(_, taker)| taker.ready(self.reckoned)).max()?;
        // Sooner nothing would be looked at.
        Some(ready.min(self.admitted + PAUSE_MAX).max(self.reckoned + GRAIN))
    }
}

/// Somebody for whom writers are slowed down, or are so no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slowed {
    pub(crate) id: NodeId,
    pub(crate) lag: u64,
    /// For how much longer; `None` if it was given up.
    pub(crate) left: Option<Duration>,
}

impl Node {
    /// Whether new commits have to wait so that a straggler catches up: never for longer than [`PAUSE_MAX`].
    pub(crate) fn holds_writers(&self, now: Duration) -> bool {
        self.reign.as_ref().is_some_and(|reign| reign.pace.holds(now))
    }

    pub(crate) fn pace_next_timeout(&self) -> Option<(Duration, &'static str)> {
        let at = self.reign.as_ref().and_then(|reign| reign.pace.next_timeout());
        at.map(|at| (at, "pace"))
    }

    /// For whom writers are slowed down, and who was given up although it is still far behind.
    pub(crate) fn slowed(&self) -> Vec<Slowed> {
        let patience = self.config.straggler_patience;
        let far = self.config.retention.bytes / 4 * 3;
        let takers = self.reign.iter().flat_map(|reign| &reign.pace.takers);
        let of_note = takers.filter(|(_, it)| it.slows || (it.given_up && it.lag > far));
        of_note
            .map(|(id, it)| {
                let left = it.slows.then(|| patience.saturating_sub(it.spent));
                Slowed { id: *id, lag: it.lag, left }
            })
            .collect()
    }

    /// Looks at all who were given a copy: how much may be let in until next time.
    pub(crate) fn keep_pace(&mut self, now: Duration) {
        let Some(reign) = &mut self.reign else { return };
        let elapsed = now.saturating_sub(reign.pace.reckoned);
        if self.config.straggler_patience.is_zero() || elapsed < GRAIN {
            return;
        }
        let mut pace = std::mem::take(&mut reign.pace);
        self.meet_takers(now, &mut pace);
        let bounds = Bounds {
            patience: self.config.straggler_patience,
            kept: self.config.retention.bytes,
            burst: self.config.window_bytes as u64,
        };
        let look = Look { elapsed, bounds: &bounds, volume: &self.volume };
        let last = self.log.last().vlsn;
        for (id, taker) in &mut pace.takers {
            let stand = self.stand_of(now, *id);
            let lag = stand.map_or(0, |stand| self.volume.between(stand.at, last));
            taker.reckon(now, stand, lag, &look);
        }
        pace.reckoned = now;
        if let Some(reign) = &mut self.reign {
            reign.pace = pace;
        }
    }

    /// Who is given a copy is looked after from then on; who is no member any more is not.
    fn meet_takers(&self, now: Duration, pace: &mut Pace) {
        let Some(ruling) = self.membership() else { return };
        for incarnation in self.cleaning.takers() {
            if let Some(member) = ruling.of_incarnation(incarnation) {
                pace.takers.entry(member.id).or_insert_with(|| Taker::new(now, incarnation));
            }
        }
        pace.takers.retain(|id, taker| ruling.admits(*id, taker.incarnation));
    }

    /// `None` for who is not here, or needs what is gone already: nothing would come of waiting for it. Who takes a stream has what it needs, or
    /// would not take it.
    fn stand_of(&self, now: Duration, id: NodeId) -> Option<Stand> {
        let (live, synced) = (self.is_fed_live(now, id), self.synced_by(id));
        // What is pinned is held within bounds, too.
        let is_held = |at: Vlsn| at.next() >= self.log.first() || mutant!("pace-of-what-is-gone");
        match self.cleaning.copy_of(id, self.membership()?) {
            Some((at, true)) => is_held(at).then_some(Stand { at, follows: false, heard: true }),
            Some((copy, false)) => {
                let (follows, heard) = (live && synced >= copy, live || self.hears(now, id));
                let at = copy.max(synced);
                (live || is_held(at)).then_some(Stand { at, follows, heard })
            }
            None => live.then_some(Stand { at: synced, follows: true, heard: true }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { patience: Duration::from_secs(100), kept: 1000, burst: 500 };

    /// A taker that was looked at once a second, so many times; it lacked `lag` and took nothing.
    fn looked_at(mut taker: Taker, times: u64, lag: u64) -> Taker {
        let volume = Volume::new(Vlsn::NULL, 0);
        let look = Look { elapsed: SECOND, bounds: &BOUNDS, volume: &volume };
        for _ in 0..times {
            let now = taker.heard + SECOND;
            let stand = Stand { at: Vlsn::NULL, follows: true, heard: true };
            taker.reckon(now, Some(stand), lag, &look);
        }
        taker
    }

    fn fresh() -> Taker {
        Taker::new(Duration::ZERO, Incarnation([1; 16]))
    }

    #[test]
    fn it_begins_above_three_quarters_and_ends_below_one() {
        assert!(!looked_at(fresh(), 3, 750).slows);
        let slowed = looked_at(fresh(), 3, 751);
        assert!(slowed.slows);
        assert!(looked_at(slowed, 3, 251).slows);
        assert!(!looked_at(slowed, 3, 250).slows);
        assert!(
            !looked_at(looked_at(slowed, 3, 250), 3, 750).slows,
            "it does not begin anew there"
        );
    }

    #[test]
    fn who_was_given_up_is_waited_for_again_when_half_of_the_patience_is_back() {
        let given_up = looked_at(fresh(), 102, 900);
        assert!(given_up.given_up && !given_up.slows);
        assert!(given_up.spent > BOUNDS.patience - SECOND);
        // It comes back ten times slower than it went.
        let later = looked_at(given_up, 490, 900);
        assert!(later.given_up && !later.slows);
        let again = looked_at(later, 30, 900);
        assert!(!again.given_up && again.slows);
    }

    #[test]
    fn no_more_is_let_in_at_once_than_a_burst() {
        let idle = looked_at(fresh(), 50, 900);
        assert_eq!(idle.credit, 500);
    }

    #[test]
    fn the_slowest_of_two_takers_is_waited_for() {
        let mut pace = Pace::new(Duration::ZERO);
        let taker = |credit| Taker { slows: true, credit, ..fresh() };
        pace.takers.insert(NodeId::new(2), taker(10));
        pace.takers.insert(NodeId::new(3), taker(400));
        assert!(!pace.holds(Duration::ZERO));
        pace.charge(Duration::ZERO, 10);
        assert!(pace.holds(Duration::ZERO), "the first has nothing left");
        assert_eq!(pace.takers[&NodeId::new(3)].credit, 390);
        assert!(!pace.holds(PAUSE_MAX), "an entry every half second, whatever they do");
        let ended = Taker { slows: false, ..taker(-10) };
        pace.takers.insert(NodeId::new(2), ended);
        assert!(!pace.holds(Duration::ZERO));
    }
}
