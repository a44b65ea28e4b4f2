//! What is wrong, in words: why there is no master, why a copy is behind, why writes wait.
//!
//! The facts are gathered in one place and the sentences made in another, both here; so each sentence can be tried by
//! itself, and nobody else has to find words.

use crate::feeding::Fed;
use crate::links::Slot;
use crate::membership::joining::Joining;
use crate::node::Node;
use crate::pace::Slowed;
use crate::restoring::RestoreProgress;
use rep_stream::Progress;
use rep_vlsn::{NodeId, Term, Vlsn};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A copy that lacks fewer entries is not called behind: so many may be in flight.
const BEHIND_ENTRIES: u64 = 10_000;
/// What waits for longer than this part of `disk_stall` is worth a word.
const SLOW_PART: u32 = 10;
const MIB: f64 = (1 << 20) as f64;

/// Something that keeps a node or its group from doing what it is for. Names are of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Halted { reason: String },
    LogFailed { why: String },
    Unfounded { missing: Vec<String> },
    OutOfReach { reach: usize, need: usize, missing: Vec<String> },
    DiskStalled,
    Election { term: Term },
    NotConnected { source: String },
    SyncingUp { source: String },
    ApplyingLate { entries: u64 },
    GivenCopy { source: Option<String>, bytes: u64, of: Option<(u64, u64)>, taken: Duration },
    WaitsForCopy { at_least: Vlsn, why: String },
    MakesWay,
    Joining,
    Admitted,
    OneCopy { arbiter: String },
    Alone { other: String },
    NeedsDesignated { name: String },
    WaitsToGoAlone { other: String, left: Duration },
    DiskFull { bytes: u64 },
    SlowDisk { waited: Duration, bytes: u64 },
    Draining,
    Slowed { name: String, lag: u64, left: Duration },
    LeftBehind { name: String, lag: u64 },
    DiskQueueFull { bytes: u64, bytes_max: u64 },
    TooFewLive { live: usize, need: usize, missing: Vec<String> },
    NotDurable { next: Vlsn, waited: Duration, missing: Vec<String> },
    CopyBehind { name: String, why: Behind },
    Refused { by: String, reason: String },
    Twin { name: String },
}

/// Why another member's copy is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    NotConnected,
    NoStream,
    Silent,
    SyncingUp,
    WaitsForRestore,
    CatchingUp { entries: u64 },
}

impl Display for Behind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Behind::NotConnected => write!(f, "not connected"),
            Behind::NoStream => write!(f, "connected, and asks for no stream"),
            Behind::Silent => write!(f, "connected, and silent"),
            Behind::SyncingUp => write!(f, "syncing up"),
            Behind::WaitsForRestore => write!(f, "waits for a restore"),
            Behind::CatchingUp { entries } => write!(f, "catching up, {entries} entries behind"),
        }
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Halted { reason } => write!(f, "halted: {reason}"),
            Problem::LogFailed { why } => {
                write!(f, "the log failed and takes no more entries: {why}; restart")
            }
            Problem::Unfounded { missing } => write!(
                f,
                "no master: the group is not founded yet, which takes every listed member; not in reach: {}",
                missing.join(", ")
            ),
            Problem::OutOfReach { reach, need, missing } => write!(
                f,
                "no master: {reach} of {need} needed voters are in reach; not in reach: {}",
                missing.join(", ")
            ),
            Problem::DiskStalled => write!(
                f,
                "no master: this node gave its mastership up, because its disk stands still"
            ),
            Problem::Election { term } => {
                write!(f, "no master: an election is under way at term {}", term.get())
            }
            Problem::NotConnected { source } => {
                write!(f, "behind: not connected to {source}")
            }
            Problem::SyncingUp { source } => {
                write!(f, "behind: syncing up with {source}")
            }
            Problem::ApplyingLate { entries } => {
                write!(f, "behind: {entries} durable entries are not applied yet")
            }
            Problem::GivenCopy { source: None, .. } => write!(f, "asks for a copy of the state"),
            Problem::GivenCopy { source: Some(source), bytes, of, taken } => {
                let mib = *bytes as f64 / MIB;
                let rate = mib / taken.as_secs_f64().max(f64::EPSILON);
                write!(f, "is being given a copy by {source}: {mib:.1} MiB, {rate:.1} MiB/s")?;
                match of.filter(|(given, all)| *all > 0 && given <= all) {
                    Some((given, all)) => write!(f, ", {} % done", percent(given, all)),
                    None => Ok(()),
                }
            }
            Problem::WaitsForCopy { at_least, why } => {
                write!(
                    f,
                    "too far behind: needs a copy of the state at entry {at_least} or later; {why}"
                )
            }
            Problem::Joining => write!(
                f,
                "there is a group, and this directory is no member of it yet: members are asked to admit it"
            ),
            Problem::Admitted => write!(f, "was admitted, and is being opened as a member"),
            Problem::OneCopy { arbiter } => write!(
                f,
                "one copy: what is acknowledged now is on this disk alone, and {arbiter} vouches for it; bring the other copy back"
            ),
            Problem::Alone { other } => write!(
                f,
                "one copy: this node was elected alone while {other} was silent; what is acknowledged now is on this disk alone, until {other} has caught up and votes again"
            ),
            Problem::NeedsDesignated { name } => write!(
                f,
                "no master: {name} is designated, and nobody is elected without it; bring it back"
            ),
            Problem::WaitsToGoAlone { other, left } => write!(
                f,
                "no master: {other} is silent; this node is designated, and is elected alone in {} ms unless {other} is heard",
                left.as_millis()
            ),
            Problem::MakesWay => write!(f, "puts the copy that it was given in place"),
            Problem::DiskFull { bytes } => write!(
                f,
                "the disk is full: {bytes} bytes wait for space, which somebody has to make; this node is no master meanwhile"
            ),
            Problem::SlowDisk { waited, bytes } => write!(
                f,
                "slow disk: the oldest of {bytes} unsynced bytes waits for {} ms",
                waited.as_millis()
            ),
            Problem::Draining => write!(
                f,
                "writes wait: the mastership is being handed over, or the group shut down"
            ),
            Problem::Slowed { name, lag, left } => write!(
                f,
                "writes are slowed down for {name}, which was given a copy and lacks {:.1} MiB: for {} s at most",
                *lag as f64 / MIB,
                left.as_secs()
            ),
            Problem::LeftBehind { name, lag } => write!(
                f,
                "{name} is slower than the writers, lacks {:.1} MiB, and is waited for no more: they were slowed down for it as long as they may be",
                *lag as f64 / MIB
            ),
            Problem::DiskQueueFull { bytes, bytes_max } => {
                write!(f, "writes wait: {bytes} of {bytes_max} bytes wait for this node's disk")
            }
            Problem::TooFewLive { live, need, missing } => write!(
                f,
                "writes wait: {live} of {need} needed voters would acknowledge; missing: {}",
                missing.join(", ")
            ),
            Problem::NotDurable { next, waited, missing } => write!(
                f,
                "writes wait: entry {next} is not durable after {} ms; not synced at: {}",
                waited.as_millis(),
                missing.join(", ")
            ),
            Problem::CopyBehind { name, why } => write!(f, "{name} is behind: {why}"),
            Problem::Refused { by, reason } => write!(f, "{by}: {reason}"),
            Problem::Twin { name } => write!(
                f,
                "{name}: a second process shows its data directory (a copy of it?) and is turned away; stop one of the two"
            ),
        }
    }
}

fn percent(given: u64, all: u64) -> u128 {
    u128::from(given) * 100 / u128::from(all)
}

impl Node {
    /// What is wrong at this moment; nothing, if nothing is.
    pub(crate) fn problems(&self, now: Duration) -> Vec<Problem> {
        let halted = self.halted.iter().map(|why| Problem::Halted { reason: why.to_string() });
        let failed = self.log_failed.iter().map(|why| Problem::LogFailed { why: why.clone() });
        let mut problems: Vec<Problem> = halted.chain(failed).collect();
        if self.is_ended() {
            return problems;
        }
        problems.extend(self.why_no_member());
        problems.extend(self.why_copied(now));
        if self.is_over() {
            return problems;
        }
        problems.extend(match (&self.reign, self.master()) {
            (None, None) if self.why_no_member().is_some() => None,
            (None, None) => Some(self.why_no_master(now)),
            (None, Some(master)) => self.why_behind(master),
            (Some(_), _) => None,
        });
        problems.extend(self.disk_problems(now));
        problems.extend(self.why_writes_wait(now));
        problems.extend(self.why_writes_are_slow());
        problems.extend(self.one_copy(now));
        let without = self.goes_on_without().map(|other| self.name_of(other));
        problems.extend(without.map(|other| Problem::Alone { other }));
        problems.extend(self.copies_behind(now));
        problems.extend(self.refusals.iter().map(|(by, refusal)| Problem::Refused {
            by: self.name_of(*by),
            reason: refusal.reason.clone(),
        }));
        let twins = self.links.twins(now).map(|id| Problem::Twin { name: self.name_of(id) });
        problems.extend(twins);
        problems
    }

    fn named(&self, ids: impl Iterator<Item = NodeId>) -> Vec<String> {
        ids.map(|id| self.name_of(id)).collect()
    }

    fn other_voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.electorate.voters.keys().copied().filter(|id| *id != self.config.me)
    }

    /// Whether this directory is somebody in its group.
    fn why_no_member(&self) -> Option<Problem> {
        match self.joining {
            Joining::Settled | Joining::Inquiring => None,
            Joining::Asking => Some(Problem::Joining),
            Joining::Admitted => Some(Problem::Admitted),
        }
    }

    /// For whom writers wait, or do no more.
    fn why_writes_are_slow(&self) -> Vec<Problem> {
        let tell = |it: Slowed| {
            let (name, lag) = (self.name_of(it.id), it.lag);
            match it.left {
                Some(left) => Problem::Slowed { name, lag, left },
                None => Problem::LeftBehind { name, lag },
            }
        };
        self.slowed().into_iter().map(tell).collect()
    }

    /// Whether what is acknowledged leans on an arbiter's word.
    fn one_copy(&self, now: Duration) -> Option<Problem> {
        let arbiter = self.arbiter.filter(|_| self.reign.is_some())?;
        let leans = self.lacks_copies(now) && self.hears(now, arbiter);
        leans.then(|| Problem::OneCopy { arbiter: self.name_of(arbiter) })
    }

    /// Where the copy stands that this member needs.
    fn why_copied(&self, now: Duration) -> Option<Problem> {
        let waits = self.restoring.as_ref()?.waits_for();
        let progress = self.restore_progress(now);
        Some(match (progress, waits) {
            (Some(RestoreProgress { source, bytes, of, taken, .. }), _) => {
                let source = source.map(|source| self.name_of(source));
                Problem::GivenCopy { source, bytes, of, taken }
            }
            (None, Some((at_least, why))) => Problem::WaitsForCopy { at_least, why },
            (None, None) => Problem::MakesWay,
        })
    }

    fn why_no_master(&self, now: Duration) -> Problem {
        let (reach, need) = (self.voters_in_reach(), self.electorate.election_need);
        let missing = self.named(self.other_voters().filter(|id| !self.is_in_reach(*id, now)));
        if let Some(name) = self.misses_designated() {
            return Problem::NeedsDesignated { name: self.name_of(name) };
        }
        if let Some((other, left)) = self.waits_to_go_alone() {
            return Problem::WaitsToGoAlone { other: self.name_of(other), left };
        }
        match () {
            () if reach < need && self.membership().is_none() => Problem::Unfounded { missing },
            () if reach < need => Problem::OutOfReach { reach, need, missing },
            () if self.disk_stalled => Problem::DiskStalled,
            () => Problem::Election { term: self.term() },
        }
    }

    fn is_in_reach(&self, id: NodeId, now: Duration) -> bool {
        let patience = self.config.timing.election_timeout * 2;
        self.links
            .get(id, Slot::Peer)
            .is_some_and(|open| self.is_member(open) && now.saturating_sub(open.heard) <= patience)
    }

    fn why_behind(&self, master: NodeId) -> Option<Problem> {
        let asked = self.following.as_ref().map_or(master, |following| following.source);
        let name = self.name_of(asked);
        let source = match asked == master {
            true => format!("the master, {name}"),
            false => format!("{name}, which is to feed it"),
        };
        let in_sync = self.following.as_ref().is_some_and(|following| following.in_sync());
        let entries = self.dvlsn().distance_from(self.applied.vlsn);
        match in_sync {
            // Its refusal says more, or the copy.
            false if self.refusals.contains_key(&master) || self.restoring.is_some() => None,
            false if self.links.get(asked, Slot::Source).is_none() => {
                Some(Problem::NotConnected { source })
            }
            false => Some(Problem::SyncingUp { source }),
            true => (entries >= BEHIND_ENTRIES).then_some(Problem::ApplyingLate { entries }),
        }
    }

    fn disk_problems(&self, now: Duration) -> impl Iterator<Item = Problem> {
        let waited = self.unsynced.front().map(|entry| now.saturating_sub(entry.1));
        let bytes = self.unsynced_bytes;
        let slow = waited
            .filter(|waited| *waited >= self.slow())
            .map(|waited| Problem::SlowDisk { waited, bytes });
        let bytes_max = self.config.unsynced_bytes_max;
        let full = self.reign.is_some() && bytes >= bytes_max;
        let no_space = self.disk_full.then_some(Problem::DiskFull { bytes });
        let slow = slow.filter(|_| !self.disk_full);
        no_space
            .into_iter()
            .chain(slow)
            .chain(full.then_some(Problem::DiskQueueFull { bytes, bytes_max }))
    }

    fn slow(&self) -> Duration {
        self.config.timing.disk_stall / SLOW_PART
    }

    fn why_writes_wait(&self, now: Duration) -> Option<Problem> {
        let reign = self.reign.as_ref()?;
        if self.drains() {
            return Some(Problem::Draining);
        }
        let (live, need) = (self.live_voters(now).0, self.electorate.commit_need);
        if live < need {
            let missing = self.other_voters().filter_map(|id| {
                let why = self.why_not_live(id, now)?;
                Some(format!("{} ({why})", self.name_of(id)))
            });
            return Some(Problem::TooFewLive { live, need, missing: missing.collect() });
        }
        let next = self.dvlsn().next();
        let waited = reign.without_progress(now);
        if next > self.log.last().vlsn || waited < self.slow() {
            return None;
        }
        let lacks = |id: &NodeId| reign.acks.points(*id).0.vlsn < next;
        let missing = self.named(self.electorate.voters.keys().copied().filter(lacks));
        Some(Problem::NotDurable { next, waited, missing })
    }

    /// Why a member would not acknowledge a write made now; `None` if it would.
    fn why_not_live(&self, id: NodeId, now: Duration) -> Option<Behind> {
        let fed = self.reign.as_ref()?.fed.get(&id);
        let heard =
            |fed: &Fed| now.saturating_sub(fed.heard) <= self.config.timing.election_timeout;
        match fed {
            _ if !self.holds_data(id) => (!self.hears(now, id)).then_some(Behind::NotConnected),
            None if self.links.get(id, Slot::Peer).is_none() => Some(Behind::NotConnected),
            None if self.relay_of(id).is_some() => None,
            None => Some(Behind::NoStream),
            Some(fed) if fed.feeder.progress() == Progress::Restore => {
                Some(Behind::WaitsForRestore)
            }
            Some(fed) if !heard(fed) => Some(Behind::Silent),
            Some(fed) if !fed.in_sync => Some(Behind::SyncingUp),
            Some(_) => None,
        }
    }

    /// The members whose copies are behind this master's.
    fn copies_behind(&self, now: Duration) -> impl Iterator<Item = Problem> + '_ {
        self.others().filter(|id| self.holds_data(*id)).filter_map(move |id| {
            let synced = self.reign.as_ref()?.acks.points(id).0.vlsn;
            let entries = self.log.last().vlsn.distance_from(synced);
            let late = (entries >= BEHIND_ENTRIES).then_some(Behind::CatchingUp { entries });
            let why = self.why_not_live(id, now).or(late)?;
            Some(Problem::CopyBehind { name: self.name_of(id), why })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn given_by(source: Option<&str>, of: Option<(u64, u64)>) -> Problem {
        let (source, bytes) = (source.map(str::to_owned), 12_897_485);
        Problem::GivenCopy { source, bytes, of, taken: Duration::from_secs(3) }
    }

    fn all() -> Vec<(Problem, &'static str)> {
        let (source, waited) = (String::from("the master, n1"), Duration::from_millis(700));
        let behind = |why| Problem::CopyBehind { name: "n3".into(), why };
        vec![
            (Problem::Halted { reason: "why".into() }, "halted: why"),
            (
                Problem::LogFailed { why: "full".into() },
                "the log failed and takes no more entries: full; restart",
            ),
            (
                Problem::Unfounded { missing: names(&["n2", "n3"]) },
                "no master: the group is not founded yet, which takes every listed member; not in reach: n2, n3",
            ),
            (
                Problem::OutOfReach { reach: 1, need: 2, missing: names(&["n2", "n3"]) },
                "no master: 1 of 2 needed voters are in reach; not in reach: n2, n3",
            ),
            (
                Problem::DiskStalled,
                "no master: this node gave its mastership up, because its disk stands still",
            ),
            (
                Problem::Election { term: Term::new(7) },
                "no master: an election is under way at term 7",
            ),
            (
                Problem::NotConnected { source: source.clone() },
                "behind: not connected to the master, n1",
            ),
            (Problem::SyncingUp { source }, "behind: syncing up with the master, n1"),
            (
                Problem::ApplyingLate { entries: 12 },
                "behind: 12 durable entries are not applied yet",
            ),
            (
                given_by(Some("n2"), Some((37, 100))),
                "is being given a copy by n2: 12.3 MiB, 4.1 MiB/s, 37 % done",
            ),
            (given_by(Some("n2"), None), "is being given a copy by n2: 12.3 MiB, 4.1 MiB/s"),
            (given_by(None, None), "asks for a copy of the state"),
            (
                Problem::WaitsForCopy { at_least: Vlsn::new(9), why: "n2 gives none: busy".into() },
                "too far behind: needs a copy of the state at entry 9 or later; n2 gives none: busy",
            ),
            (Problem::MakesWay, "puts the copy that it was given in place"),
            (
                Problem::DiskFull { bytes: 99 },
                "the disk is full: 99 bytes wait for space, which somebody has to make; this node is no master meanwhile",
            ),
            (
                Problem::SlowDisk { waited, bytes: 99 },
                "slow disk: the oldest of 99 unsynced bytes waits for 700 ms",
            ),
            (
                Problem::Draining,
                "writes wait: the mastership is being handed over, or the group shut down",
            ),
            (
                Problem::Slowed {
                    name: "n3".into(),
                    lag: 3 << 29,
                    left: Duration::from_millis(540_700),
                },
                "writes are slowed down for n3, which was given a copy and lacks 1536.0 MiB: for 540 s at most",
            ),
            (
                Problem::LeftBehind { name: "n3".into(), lag: 3 << 29 },
                "n3 is slower than the writers, lacks 1536.0 MiB, and is waited for no more: they were slowed down for it as long as they may be",
            ),
            (
                Problem::DiskQueueFull { bytes: 9, bytes_max: 8 },
                "writes wait: 9 of 8 bytes wait for this node's disk",
            ),
            (
                Problem::TooFewLive { live: 1, need: 2, missing: names(&["n2 (not connected)"]) },
                "writes wait: 1 of 2 needed voters would acknowledge; missing: n2 (not connected)",
            ),
            (
                Problem::NotDurable { next: Vlsn::new(5), waited, missing: names(&["n2", "n3"]) },
                "writes wait: entry 5 is not durable after 700 ms; not synced at: n2, n3",
            ),
            (behind(Behind::NotConnected), "n3 is behind: not connected"),
            (behind(Behind::NoStream), "n3 is behind: connected, and asks for no stream"),
            (behind(Behind::Silent), "n3 is behind: connected, and silent"),
            (behind(Behind::SyncingUp), "n3 is behind: syncing up"),
            (behind(Behind::WaitsForRestore), "n3 is behind: waits for a restore"),
            (
                behind(Behind::CatchingUp { entries: 12_345 }),
                "n3 is behind: catching up, 12345 entries behind",
            ),
            (Problem::Refused { by: "n2".into(), reason: "no".into() }, "n2: no"),
            (
                Problem::Twin { name: "n2".into() },
                "n2: a second process shows its data directory (a copy of it?) and is turned away; stop one of the two",
            ),
        ]
    }

    #[test]
    fn every_problem_has_its_sentence() {
        for (problem, sentence) in all() {
            assert_eq!(problem.to_string(), sentence);
        }
    }
}
