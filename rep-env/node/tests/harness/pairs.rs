//! Rules of two members of whom one is designated, each of which a planted bug breaks.

use crate::harness::Group;
use rep_node::{Change, Durability, MemberType, Outcome, Quorums};
use rep_vlsn::{NodeId, SyncClass};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than the designated one waits for the other.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// Two who hold the data; the designated one comes first.
pub(crate) struct Pair {
    pub(crate) group: Group,
    pub(crate) designated: NodeId,
    pub(crate) other: NodeId,
}

impl Pair {
    /// The designated one is the master, too.
    pub(crate) fn new() -> Pair {
        let mut group = Group::new(&["n1", "n2"]);
        group.start_all();
        group.run_until("a master", |group| group.master().is_some());
        group.run_until("both in sync", Group::in_sync);
        let designated = group.the_master();
        let other = group.ids().into_iter().find(|id| *id != designated).unwrap();
        group.changed(Change::Quorums(Quorums::Designated(designated))).unwrap();
        group.run_for(Duration::from_secs(1));
        Pair { group, designated, other }
    }

    /// The other one is the master.
    pub(crate) fn of_which_the_other_reigns() -> Pair {
        let Pair { mut group, designated, other } = Pair::new();
        group.transfer(designated, &[other], false);
        group.run_until("the other reigns", |group| group.master() == Some(other));
        group.run_for(Duration::from_secs(1));
        Pair { group, designated, other }
    }

    /// Whether the master of the day acknowledges a write within two seconds.
    pub(crate) fn commits(&mut self, payload: &str) -> bool {
        self.commits_with(payload, Durability::default())
    }

    pub(crate) fn commits_with(&mut self, payload: &str, durability: Durability) -> bool {
        let master = self.group.the_master();
        let request = self.group.propose_with(master, payload, durability, PATIENCE);
        self.group.run_until("the commit ends", |group| group.outcome(master, request).is_some());
        matches!(self.group.outcome(master, request), Some(Outcome::Committed { .. }))
    }

    pub(crate) fn kind_of_other(&self, at: NodeId) -> MemberType {
        self.group.membership(at).members[&self.other].kind
    }

    pub(crate) fn goes_on_alone(&mut self) {
        let designated = self.designated;
        self.group.run_until("it goes on alone", |group| {
            let alone = group.membership(designated).electorate().voters.len() == 1;
            alone && group.master() == Some(designated)
        });
    }
}

/// All that there is to it: one goes on alone, the other comes back and votes, and both are needed again.
pub(crate) fn the_designated_one_goes_on_and_takes_the_other_back() {
    for by_the_other in [false, true] {
        let mut pair = match by_the_other {
            true => Pair::of_which_the_other_reigns(),
            false => Pair::new(),
        };
        let (designated, other) = (pair.designated, pair.other);
        assert!(pair.commits("both have this"));
        pair.group.crash(other);
        pair.goes_on_alone();
        assert!(pair.commits("one has this"));
        assert_eq!(pair.kind_of_other(designated), MemberType::Learner);
        let said = pair.group.node(designated).status(pair.group.now).problems;
        assert!(said.iter().any(|it| it.starts_with("one copy")), "{said:?}");

        pair.group.start(other);
        pair.group.run_until("it votes again", |group| {
            let kind = group.membership(other).members[&other].kind;
            kind == MemberType::Electable && group.payloads(other).len() == 2
        });
        assert!(pair.commits("both have this, too"));
        assert_eq!(pair.group.payloads(other).len(), 3);
        assert_eq!(pair.group.membership(other).quorums, Quorums::Designated(designated));
    }
}

/// Whatever it has heard of the override, and whatever it was before.
pub(crate) fn the_other_one_is_never_elected_alone() {
    for overridden in [false, true] {
        let mut pair = Pair::new();
        let (designated, other) = (pair.designated, pair.other);
        assert!(pair.commits("both have this"));
        if overridden {
            pair.group.isolate(other);
            pair.goes_on_alone();
            assert!(pair.commits("one has this"));
        }
        pair.group.crash(designated);
        pair.group.heal();
        pair.group.run_for(LONG * 3);
        assert_eq!(pair.group.master(), None, "the designated one is away");
        let said = pair.group.node(other).status(pair.group.now).problems;
        assert!(said.iter().any(|it| it.contains("is designated")), "{said:?}");
        pair.group.start(designated);
        let all = if overridden { 2 } else { 1 };
        pair.group.run_until("both go on", |group| {
            group.master().is_some() && group.payloads(other).len() == all
        });
        assert!(pair.commits("both have this, too"));
    }
}

/// The designated one loses what it had not synced; the other one has it, and comes back just in time.
pub(crate) fn it_asks_the_other_first() {
    let mut pair = Pair::new();
    let (designated, other) = (pair.designated, pair.other);
    for id in [designated, other] {
        pair.group.machines.get_mut(&id).unwrap().hold_syncs = true;
    }
    let in_memory = Durability::default().local(SyncClass::NoSync).replica(SyncClass::NoSync);
    assert!(pair.commits_with("in memory", in_memory));
    pair.group.isolate(other);
    pair.group.crash(designated);
    pair.group.start(designated);
    assert!(pair.group.payloads(designated).is_empty(), "it has lost it");
    pair.group.run_for(Duration::from_secs(3));
    assert_eq!(pair.group.master(), None, "it waits for the other one");
    pair.group.heal();
    pair.group.release_disks();
    pair.group.run_until("both go on", |group| {
        group.master().is_some() && group.payloads(designated).len() == 1
    });
}

/// The other one reigns, cut off, and has written what nobody else has.
pub(crate) fn an_override_fences_the_other_side() {
    let mut pair = Pair::of_which_the_other_reigns();
    let (designated, other) = (pair.designated, pair.other);
    pair.group.isolate(other);
    let lost = pair.group.propose_with(other, "lost", Durability::default(), LONG * 2);
    pair.goes_on_alone();
    assert!(pair.commits("one has this"));
    pair.group.heal();
    pair.group.run_until("it follows", Group::in_sync);
    pair.group.run_until("it is told", |group| group.outcome(other, lost).is_some());
    assert!(!matches!(pair.group.outcome(other, lost), Some(Outcome::Committed { .. })));
    assert_eq!(pair.group.payloads(other), ["one has this"]);
    assert_eq!(pair.group.master(), Some(designated));
}
