//! Rules of an arbiter, each of which a planted bug breaks.

use crate::harness::Group;
use rep_node::{Acks, Durability, MemberType, Message, Outcome};
use rep_vlsn::{LogPoint, NodeId, Vlsn};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Two who hold the data, and an arbiter; the master comes first.
pub(crate) struct Trio {
    pub(crate) group: Group,
    pub(crate) master: NodeId,
    pub(crate) other: NodeId,
    pub(crate) arbiter: NodeId,
}

impl Trio {
    pub(crate) fn new() -> Trio {
        let mut group = Group::new(&["n1", "n2"]);
        group.start_all();
        group.run_until("a master", |group| group.master().is_some());
        let arbiter = group.join_as("judge", MemberType::Arbiter);
        group.run_until("it votes", |group| {
            group
                .ids()
                .iter()
                .filter(|id| **id != arbiter)
                .all(|id| group.membership(*id).members.contains_key(&arbiter))
        });
        group.run_for(Duration::from_secs(1));
        let master = group.the_master();
        let other = group.ids().into_iter().find(|id| ![master, arbiter].contains(id)).unwrap();
        Trio { group, master, other, arbiter }
    }

    /// Whether the master of the day acknowledges a write within two seconds.
    pub(crate) fn commits(&mut self, payload: &str, acks: Acks) -> bool {
        let master = self.group.the_master();
        let durability = Durability::default().acks(acks);
        let request = self.group.propose_with(master, payload, durability, PATIENCE);
        self.group.run_until("the commit ends", |group| group.outcome(master, request).is_some());
        matches!(self.group.outcome(master, request), Some(Outcome::Committed { .. }))
    }
}

pub(crate) fn a_lone_copy_goes_on_and_a_stale_one_is_not_elected() {
    let Trio { group, master, other, arbiter } = Trio::new();
    let mut trio = Trio { group, master, other, arbiter };
    assert!(trio.commits("both have this", Acks::SimpleMajority));
    trio.group.crash(other);
    assert!(trio.commits("one has this", Acks::SimpleMajority));
    trio.group.crash(master);
    trio.group.start(other);
    trio.group.run_for(Duration::from_secs(10));
    assert_eq!(trio.group.master(), None, "the only copy is away");
    trio.group.start(master);
    trio.group.run_until("it is back", |group| {
        group.master() == Some(master) && group.payloads(other).len() == 2
    });
}

pub(crate) fn an_arbiter_is_not_asked_beside_two_copies() {
    let mut trio = Trio::new();
    for payload in ["a", "b", "c"] {
        assert!(trio.commits(payload, Acks::SimpleMajority));
    }
    trio.group.run_for(Duration::from_secs(2));
    assert_eq!(trio.group.count("vouch"), 0);
}

pub(crate) fn an_arbiter_vouches_only_for_what_its_master_has_synced() {
    let mut trio = Trio::new();
    let master = trio.master;
    trio.group.crash(trio.other);
    trio.group.run_for(Duration::from_secs(1));
    trio.group.machines.get_mut(&master).unwrap().hold_syncs = true;
    assert!(!trio.commits("in memory", Acks::SimpleMajority), "nobody has it on a disk");
    let dvlsn = trio.group.node(master).dvlsn();
    assert!(dvlsn <= trio.group.node(master).log().synced());
}

/// The arbiter promised another term while what it was asked to vouch for was on its way to its disk.
pub(crate) fn an_arbiter_says_nothing_below_its_fence() {
    let Trio { mut group, master, other, arbiter } = Trio::new();
    group.run_for(Duration::from_secs(1));
    group.cut(master, other);
    group.machines.get_mut(&arbiter).unwrap().hold_vouch = true;
    let request = group.propose_with(master, "lost", Durability::default(), PATIENCE * 10);
    group.run_until("it is asked", |group| !group.machines[&arbiter].vouched.vlsn.is_null());
    // The master falls silent, and does not know it.
    group.frozen.insert(master);
    group.run_until("another master", |group| {
        group.node(other).state() == rep_node::NodeState::Master
            || group.node(arbiter).durable_fence().term > group.node(master).term()
    });
    group.vouch(arbiter);
    group.frozen.remove(&master);
    group.settle();
    let outcome = group.outcome(master, request);
    assert!(!matches!(outcome, Some(Outcome::Committed { .. })), "{outcome:?}");
}

/// A question that was asked before comes again while the answer to a later one is on its way to the disk.
pub(crate) fn what_an_arbiter_wrote_down_never_goes_back() {
    let Trio { mut group, master, other, arbiter } = Trio::new();
    group.crash(other);
    group.run_for(Duration::from_secs(1));
    group.machines.get_mut(&arbiter).unwrap().hold_vouch = true;
    group.propose_with(master, "a", Durability::default(), PATIENCE);
    group.run_until("it is asked", |group| !group.machines[&arbiter].vouched.vlsn.is_null());
    let asked = group.machines[&arbiter].vouched;
    let earlier = LogPoint::new(asked.term, Vlsn::new(asked.vlsn.get() - 1));
    let link = group.peer_link(arbiter, master);
    group.act(arbiter, |node, now| {
        let again = Message::Vouch { term: asked.term, point: earlier };
        node.handle_message(now, link, again).expect("a question");
    });
    group.vouch(arbiter);
    group.settle();
    assert_eq!(group.machines[&arbiter].vouched, asked, "what was said is there after a restart");
}

/// A commit that asks for all asks those who hold the data.
pub(crate) fn an_arbiter_is_not_missed_where_all_copies_are_asked_for() {
    let Trio { mut group, master, other, arbiter } = Trio::new();
    group.crash(other);
    group.crash(arbiter);
    let all = Durability::default().acks(Acks::All);
    let request = group.propose_with(master, "x", all, PATIENCE);
    group.run_for(Duration::from_millis(300));
    let is_live = |group: &Group, id| group.node(master).admission(group.now).missing.contains(&id);
    group.run_until("both are missed", |group| is_live(group, other) && is_live(group, arbiter));
    let admission = group.node(master).admission(group.now);
    assert_eq!(admission.missing_for(Acks::All), [other]);
    assert_eq!(admission.missing_for(Acks::SimpleMajority).len(), 2);
    group.run_until("it ends", |group| group.outcome(master, request).is_some());
    match group.outcome(master, request) {
        Some(Outcome::Unknown { acked_by, missing, needed: 2, .. }) => {
            assert_eq!((&**acked_by, &**missing), (&[master][..], &[other][..]));
        }
        other => panic!("{other:?}"),
    }
}
