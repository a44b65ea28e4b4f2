//! How much of the log's head may go.
//!
//! A log that grows for ever fills any disk. An entry can go once nobody needs it from here: this node's own store has
//! it durably, every other member has synced it, and no transfer stands on it. A member that is away would keep the
//! log for ever, so what is kept for others has a bound in bytes and in time; who falls behind that gets a copy of the
//! state instead of entries, and never a gap.
//!
//! A master knows what the others have synced. A replica does not, and may be the next master: it keeps all that the
//! bounds allow.
//!
//! A member that is given a copy has to put it in place before it follows. What comes after the copy is kept for it meanwhile, beyond
//! the bounds that others have ([`Lingering`]), or it would be too far behind once more.
//!
//! The order is fixed: what the head said of the group is durable beside the log (`past`) before a file is removed.

use crate::membership::Membership;
use crate::node::Node;
use crate::offering::Pin;
use crate::output::Output;
use crate::past::Past;
use rep_vlsn::{Incarnation, LogPoint, LogView, NodeId, SegmentSize, Term, Vlsn, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a node knows of the head of its log.
#[derive(Debug, Default)]
pub(crate) struct Cleaning {
    /// What the cell `past` holds.
    kept: Option<Past>,
    /// What it will hold, and the cleaning that waits for it.
    keeping: Option<(Past, Vlsn)>,
    /// Files are being removed.
    under_way: bool,
    /// Each file of the log, by its first entry: when it is begun the one before it is full.
    seen: BTreeMap<Vlsn, Seen>,
    /// The entries of the copies that are being given: what follows them stays, as far as the bounds allow.
    pins: BTreeMap<Pin, Given>,
    pinned: u64,
    /// Members that were given a copy and are not within the bounds of others yet.
    lingering: BTreeMap<NodeId, Lingering>,
}

/// A copy that is being given: on which entry it stands, and to whom.
#[derive(Clone, Copy, Debug)]
struct Given {
    at: Vlsn,
    taker: Incarnation,
}

/// When this node saw a file first, and how old that was then.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Duration,
    age: Duration,
}

/// However old a file is said to be, it is kept for this part of the bound in each run: clocks step, and a member that was away a moment ago
/// is not to need a copy for that.
const YOUNG_PART: u32 = 64;

/// What is kept for a member after its copy was given: it has to put that in place, and to catch up.
#[derive(Clone, Copy, Debug)]
struct Lingering {
    incarnation: Incarnation,
    /// The copy stands on it.
    copy: Vlsn,
    /// It needs what follows.
    at: Vlsn,
    since: Duration,
}

impl Cleaning {
    /// Pins are numbered from `pinned` on, so that those of an earlier node on this directory are none of this one's.
    pub(crate) fn new(kept: Option<Past>, pinned: u64) -> Self {
        Cleaning { kept, pinned, ..Cleaning::default() }
    }

    /// What an opening has found: how old the files are, of which none may get older than `age_max` without this node's looking on for a while.
    pub(crate) fn opened(
        mut self,
        now: Duration,
        ages: &[(Vlsn, Duration)],
        age_max: Duration,
    ) -> Self {
        let oldest = age_max.saturating_sub(age_max / YOUNG_PART);
        let oldest = if mutant!("node-clean-by-the-clock") { Duration::MAX } else { oldest };
        let seen =
            |(first, age): &(Vlsn, Duration)| (*first, Seen { at: now, age: (*age).min(oldest) });
        self.seen = ages.iter().map(seen).collect();
        self
    }

    /// For how long that file has been there.
    fn age(&self, now: Duration, first: Vlsn) -> Duration {
        let since = |seen: &Seen| now.saturating_sub(seen.at).saturating_add(seen.age);
        self.seen.get(&first).map_or(Duration::ZERO, since)
    }

    pub(crate) fn kept(&self) -> Option<&Past> {
        self.kept.as_ref()
    }

    pub(crate) fn pin(&mut self, at: Vlsn, taker: Incarnation) -> Pin {
        self.pinned = self.pinned.wrapping_add(1);
        let pin = Pin(self.pinned);
        self.pins.insert(pin, Given { at, taker });
        pin
    }

    pub(crate) fn unpin(&mut self, pin: Pin) -> Option<Vlsn> {
        self.pins.remove(&pin).map(|given| given.at)
    }

    /// The copy at `at` was given to that member: what follows is kept until it has caught up.
    pub(crate) fn linger(&mut self, now: Duration, at: Vlsn, taker: (NodeId, Incarnation)) {
        let (id, incarnation) = taker;
        if !mutant!("restore-pin-ends-with-the-copy") {
            self.lingering.insert(id, Lingering { incarnation, copy: at, at, since: now });
        }
    }

    /// How many copies are being given.
    pub(crate) fn pins(&self) -> usize {
        self.pins.len()
    }

    /// Those whom a copy is given, or was given and who are not within the bounds of others yet.
    pub(crate) fn takers(&self) -> impl Iterator<Item = Incarnation> {
        let given = self.pins.values().map(|given| given.taker);
        given.chain(self.lingering.values().map(|lingering| lingering.incarnation))
    }

    /// The entry that a member's copy stands on, and whether it is still being given.
    pub(crate) fn copy_of(&self, id: NodeId, ruling: &Membership) -> Option<(Vlsn, bool)> {
        let taker = ruling.members.get(&id)?.incarnation;
        let given = self.pins.values().filter(|given| given.taker == taker);
        let given = given.map(|given| (given.at, true)).max();
        given.or_else(|| self.lingering.get(&id).map(|lingering| (lingering.copy, false)))
    }

    fn is_idle(&self) -> bool {
        self.keeping.is_none() && !self.under_way
    }

    /// The term of an entry, as far as it is known: of one that is held, or was once.
    pub(crate) fn term_of(&self, log: &LogView, vlsn: Vlsn) -> Option<Term> {
        let gone = || self.kept.as_ref()?.history.term_at(vlsn);
        log.term_at(vlsn).or_else(|| gone().filter(|_| vlsn < log.first()))
    }

    fn see(&mut self, now: Duration, segments: &[SegmentSize]) {
        let first = segments.first().map_or(Vlsn::NULL, |segment| segment.first);
        self.seen = self.seen.split_off(&first);
        for segment in segments {
            self.seen.entry(segment.first).or_insert(Seen { at: now, age: Duration::ZERO });
        }
    }
}

impl Node {
    /// The store is durable up to `point`: no crash takes that back. `segments` are the files of the log, oldest first.
    pub fn handle_checkpointed(
        &mut self,
        now: Duration,
        point: LogPoint,
        segments: &[SegmentSize],
    ) {
        self.clock = now;
        if self.is_over() || self.log_failed.is_some() {
            return;
        }
        self.cleaning.see(now, segments);
        self.follow_the_takers(now, segments);
        // A machine that names more than it was given has none of it.
        let point = point.min(self.applied);
        let before = self.clean_before(now, point.vlsn, segments);
        if self.cleaning.is_idle() && segments.get(1).is_some_and(|next| next.first <= before) {
            self.begin_cleaning(before);
        }
    }

    /// The first entry that somebody still needs from here, or that the bounds keep.
    fn clean_before(&self, now: Duration, checkpoint: Vlsn, segments: &[SegmentSize]) -> Vlsn {
        // The entry of the checkpoint itself stays: it says where in the history the state stands.
        let own = if mutant!("node-clean-above-checkpoint") { self.dvlsn() } else { checkpoint };
        let others = self.synced_by_all();
        let others = if mutant!("node-clean-unsynced") { own } else { others };
        own.min(others.max(self.past_the_bounds(now, segments))).min(self.pinned(segments))
    }

    /// The first entry that a copy stands on which is being given, or that its taker needs next. A log of more than twice the bytes that
    /// are kept for others is cleaned all the same: who takes so long begins again.
    fn pinned(&self, segments: &[SegmentSize]) -> Vlsn {
        let limit = self.config.retention.bytes.saturating_mul(2);
        let given = self.cleaning.pins.values().map(|given| given.at);
        let lingering = self.cleaning.lingering.values().map(|lingering| lingering.at);
        let first = given.chain(lingering).min().filter(|_| !mutant!("restore-pin-ignored"));
        let no_pin = Vlsn::new(u64::MAX);
        first.map_or(no_pin, |first| first.max(oldest_within(segments, limit)))
    }

    /// What is kept for who was given a copy moves on with what that member has synced, and ends as soon as it follows within the bounds
    /// that all others have, is no member any more, or has taken as long as anybody is waited for.
    fn follow_the_takers(&mut self, now: Duration, segments: &[SegmentSize]) {
        let (kept_for_all, patience) =
            (self.past_the_bounds(now, segments), self.config.retention.age);
        let mut lingering = std::mem::take(&mut self.cleaning.lingering);
        lingering.retain(|id, it| {
            let synced = self.synced_by(*id);
            it.at = it.at.max(synced);
            let follows = synced >= it.copy && synced >= kept_for_all;
            let belongs =
                self.in_force.ruling().is_some_and(|ruling| ruling.admits(*id, it.incarnation));
            // Who feeds it not keeps nothing for it: others would not hear when it has caught up.
            let feeds = self.reign.is_some() || self.relayed_to(*id) > Vlsn::NULL;
            feeds && belongs && !follows && now.saturating_sub(it.since) < patience
        });
        self.cleaning.lingering = lingering;
    }

    /// The last entry that member is known to have synced.
    pub(crate) fn synced_by(&self, id: NodeId) -> Vlsn {
        let acked = self.reign.as_ref().map(|reign| reign.acks.points(id).0.vlsn);
        acked.unwrap_or(Vlsn::NULL).max(self.relayed_to(id))
    }

    /// The last entry that every other member is known to have synced.
    fn synced_by_all(&self) -> Vlsn {
        let Some(ruling) = self.membership() else { return Vlsn::NULL };
        let holders = ruling.members.values().filter(|member| member.kind.holds_data());
        let others = holders.map(|member| member.id).filter(|id| *id != self.config.me);
        others.map(|id| self.synced_by(id)).min().unwrap_or(self.log.synced())
    }

    /// The first entry of the oldest file that is kept for others.
    fn past_the_bounds(&self, now: Duration, segments: &[SegmentSize]) -> Vlsn {
        let retention = self.config.retention;
        let old = |next: &SegmentSize| self.cleaning.age(now, next.first) >= retention.age;
        first_kept(segments, |bytes, next| bytes > retention.bytes || old(next))
    }

    fn begin_cleaning(&mut self, before: Vlsn) {
        let Some(membership) = self.in_force.settled(self.dvlsn()) else { return };
        let (kept, history) = (self.cleaning.kept.as_ref(), self.log.history());
        let past = Past::before(before, membership, kept, history);
        if kept == Some(&past) || mutant!("node-clean-before-past") {
            return self.clean(before);
        }
        self.output(Output::PersistPast { before, value: past.encode() });
        self.cleaning.keeping = Some((past, before));
    }

    pub(crate) fn past_kept(&mut self, before: Vlsn) {
        if let Some((past, _)) = self.cleaning.keeping.take_if(|(_, asked)| *asked == before) {
            self.cleaning.kept = Some(past);
            self.clean(before);
        }
    }

    fn clean(&mut self, before: Vlsn) {
        self.cleaning.under_way = true;
        self.output(Output::Clean { before });
    }

    pub(crate) fn log_cleaned(&mut self, first: Vlsn) {
        self.cleaning.under_way = false;
        self.log.clean(first);
    }
}

/// The first entry of the oldest file that stays when files may take `bytes_max` bytes, the newest whatever it takes; null if all stay.
pub fn oldest_within(segments: &[SegmentSize], bytes_max: u64) -> Vlsn {
    first_kept(segments, |bytes, _| bytes > bytes_max)
}

/// Lets files go from the oldest on, as long as `goes` says so of the bytes that there are and the file that comes next.
fn first_kept(segments: &[SegmentSize], goes: impl Fn(u64, &SegmentSize) -> bool) -> Vlsn {
    let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let mut first = Vlsn::NULL;
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        if !goes(bytes, next) {
            break;
        }
        bytes -= segment.bytes;
        first = next.first;
    }
    first
}
