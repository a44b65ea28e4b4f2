//! What was found rotten in a home, by the scrub or by whoever read an entry, and what becomes of its member.
//!
//! A member that cannot vouch for what it holds any more is silent from that moment on: it neither votes nor acknowledges. One that is the only copy of its group's data
//! goes on, for there is nobody to go on in its place, until the others are enough without it (decision 31).

use crate::runtime::inbox::Input;
use crate::runtime::peers::Watch;
use crate::runtime::shared::Shared;
use crate::sync::{AtomicBool, Mutex, Ordering};
use rep_net::queue::{Lane, Queue};
use rep_node::{Membership, NodeStatus};
use rep_vlsn::error::ReadError;
use rep_vlsn::{NodeId, Vlsn};
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// Findings that are remembered; what comes on top is neither said nor counted.
const FINDINGS_MAX: usize = 64;
/// For so long is said that the log could not be read: whoever needs what stands there tries again much sooner.
const SAID_FOR: Duration = Duration::from_secs(60);

/// What the scrub of a node, and its readers, have come to.
#[derive(Debug)]
pub(crate) struct Scrubbing {
    /// Nothing is ever in it: its end is the order to stop.
    stop: Queue<()>,
    news: Mutex<News>,
    /// Whether this member goes on with what has rotted in it.
    goes_on: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct News {
    /// What has rotted, in words; and whether this member goes on all the same.
    damage: Option<(String, bool)>,
    /// The places where something was found in this run, each of which is said and counted once.
    known: BTreeSet<(String, bool)>,
    /// Why the scrub gets nothing to read.
    trouble: Option<String>,
    /// Why an entry could not be read, and when.
    unread: Option<(String, Instant)>,
}

impl Default for Scrubbing {
    fn default() -> Self {
        let stop = Queue::new([Lane { items_max: 1, bytes_max: 0 }]);
        Scrubbing { stop, news: Mutex::default(), goes_on: AtomicBool::new(false) }
    }
}

impl Scrubbing {
    pub(crate) fn stop(&self) {
        self.stop.close();
    }

    /// Waits so long; false once all is over.
    pub(crate) fn goes_on_after(&self, pause: Duration) -> bool {
        self.stop.pop(Some(Instant::now() + pause)).is_ok()
    }

    /// What has rotted, in words.
    pub(crate) fn damage(&self) -> Option<String> {
        self.news.lock().damage.as_ref().map(|(what, _)| what.clone())
    }

    /// What this member goes on with although it has rotted, in words.
    pub(crate) fn borne(&self) -> Option<String> {
        if self.goes_on.load(Ordering::Relaxed) { self.damage() } else { None }
    }

    /// The whole home is not what it was.
    pub(crate) fn disowned(&self, why: &str) {
        self.found(why, why, false);
    }

    /// Something has rotted at that place; tells whether it was not known yet.
    pub(super) fn found(&self, place: &str, what: &str, goes_on: bool) -> bool {
        let mut news = self.news.lock();
        news.damage = Some((what.to_owned(), goes_on));
        self.goes_on.store(goes_on, Ordering::Relaxed);
        news.known.len() < FINDINGS_MAX && news.known.insert((place.to_owned(), goes_on))
    }

    /// The scrub gets nothing to read, or does again; tells whether that is news.
    pub(super) fn trouble(&self, why: Option<&str>) -> bool {
        let mut news = self.news.lock();
        let is_news = news.trouble.as_deref() != why;
        news.trouble = why.map(str::to_owned);
        is_news
    }

    fn unread(&self, why: &str) -> bool {
        let now = Instant::now();
        let before = self.news.lock().unread.replace((why.to_owned(), now));
        before.is_none_or(|(said, at)| said != why || now.duration_since(at) > SAID_FOR)
    }

    /// What is wrong, in words, as long as the member goes on: else its end says it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let News { damage, trouble, unread, .. } = self.news.lock().clone();
        let only = |what| {
            format!(
                "damage was found: {what}; the group cannot go on without this copy of its data, so it goes on: copy its home, and add members until the others are enough"
            )
        };
        let damage = damage.filter(|(_, goes_on)| *goes_on).map(|(what, _)| only(what));
        let trouble = trouble.map(|why| format!("the home cannot be scrubbed: {why}"));
        let unread = unread.filter(|(_, at)| at.elapsed() <= SAID_FOR);
        let unread =
            unread.map(|(why, _)| format!("the log cannot be read: {why}; it is tried again"));
        damage.into_iter().chain(trouble).chain(unread).collect()
    }
}

/// Something has rotted in the home, at that place of it: the member says so, and says nothing more unless the group needs it.
pub(super) fn found(shared: &Shared, place: &str, what: &str) {
    let goes_on = is_needed(shared);
    if shared.scrubbing.found(place, what, goes_on) {
        tracing::error!(node = %shared.name, %what, goes_on, "damage was found");
        shared.counters.damage_found.add(1);
    }
    if !goes_on {
        shared.inbox.completed(Input::DamageFound(what.to_owned()));
    }
}

/// Of a master that has gone on with damage for the want of others: whether there are enough of them now. If so, what was found.
pub(crate) fn outgrown(shared: &Shared, status: impl FnOnce() -> NodeStatus) -> Option<String> {
    let what = shared.scrubbing.borne()?;
    let status = status();
    let recorded = shared.recorded.lock().clone()?;
    suffice_without(&recorded, &status).then_some(())?;
    shared.scrubbing.found(&what, &what, false);
    Some(what)
}

/// Whether there is nobody to go on with, or was not when damage was found first: then a master decides when there is ([`outgrown`]). Its own
/// store covers what has rotted in its log, or it would have halted for lack of it: so nothing is lost by its being counted until then.
fn is_needed(shared: &Shared) -> bool {
    let me = shared.directory.me();
    let recorded = shared.recorded.lock();
    let Some(membership) = &*recorded else { return true };
    let others = membership.members.values().filter(|member| member.id != me);
    !others.clone().any(|member| member.kind.is_copy()) || shared.scrubbing.borne().is_some()
}

/// Whether the other voters that are here could elect one of them, and acknowledge what it writes: each has synced the very entry that makes them
/// as many. To whoever is no master nobody says what it has synced.
fn suffice_without(membership: &Membership, status: &NodeStatus) -> bool {
    let electorate = membership.electorate();
    let knows = |id: &NodeId| {
        let member = status.members.iter().find(|member| member.id == *id);
        member.is_some_and(|it| it.connected && it.synced >= Some(membership.at.vlsn))
    };
    let others = membership.members.values().filter(|member| member.id != status.me);
    let others: std::collections::BTreeMap<_, _> = others
        .filter(|member| member.kind.votes() && knows(&member.id))
        .map(|member| (member.id, member.incarnation))
        .collect();
    others.len() >= electorate.commit_need && electorate.is_election_quorum(&others)
}

/// Who reads the log meets what has rotted before the scrub does.
impl Watch for Shared {
    fn damaged(&self, vlsn: Vlsn, error: &ReadError) {
        found(self, &place_of(vlsn), &format!("log: {error}"));
    }

    fn unreadable(&self, error: &io::Error) {
        let why = error.to_string();
        if self.scrubbing.unread(&why) {
            tracing::warn!(node = %self.name, %why, "the log cannot be read; it is tried again");
        }
    }
}

/// One entry that has rotted is one finding, whoever meets it.
pub(super) fn place_of(vlsn: Vlsn) -> String {
    format!("log: entry {vlsn}")
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    /// A member that goes on with two rotten entries meets both in each round.
    #[test]
    fn each_finding_is_news_once_and_they_are_bounded() {
        let scrubbing = Scrubbing::default();
        let rounds = ["entry 7", "entry 9", "entry 7", "entry 9"];
        let news = rounds.map(|what| scrubbing.found(what, what, true));
        assert_eq!(news, [true, true, false, false]);
        assert_eq!(scrubbing.damage().as_deref(), Some("entry 9"));
        assert_eq!(scrubbing.borne(), scrubbing.damage());
        let last = scrubbing.found("entry 9", "entry 9", false);
        assert!(last && scrubbing.borne().is_none(), "and this member does not go on any more");
        let more = |n: &usize| scrubbing.found(&format!("more: {n}"), "more", false);
        let many = (0..2 * FINDINGS_MAX).filter(more);
        assert_eq!(many.count(), FINDINGS_MAX - 3);
    }

    #[test]
    fn what_could_not_be_read_is_said_and_is_no_damage() {
        let scrubbing = Scrubbing::default();
        assert!(scrubbing.unread("input/output error") && !scrubbing.unread("input/output error"));
        let said = ["the log cannot be read: input/output error; it is tried again"];
        assert_eq!(scrubbing.problems(), said);
        assert_eq!(scrubbing.damage(), None);
    }
}
