#![allow(dead_code, reason = "each test binary uses its part of the harness")]
//! A group with a secondary that a replica feeds; and the rules of relaying, for the planted bugs to break.

use crate::harness::Group;
use rep_node::rep_stream::{Connection, RefuseReason};
use rep_node::{FeedFrom, FeederMessage, Link, MemberType, Message, NodeState, Outcome};
use rep_vlsn::{NodeId, Vlsn};
use std::time::Duration;

/// Longer than a relay is passed over.
pub(crate) const LONG: Duration = Duration::from_secs(6);

pub(crate) struct Relayed {
    pub(crate) group: Group,
    pub(crate) master: NodeId,
    /// Who feeds the secondary.
    pub(crate) relay: NodeId,
    /// The other one who could.
    pub(crate) other: NodeId,
    pub(crate) secondary: NodeId,
}

impl Relayed {
    pub(crate) fn new() -> Relayed {
        let mut group = Group::new(&["n1", "n2", "n3"]);
        group.feed_from = FeedFrom::Replica;
        group.start_all();
        group.run_until("everybody follows", |group| group.master().is_some() && group.in_sync());
        let secondary = group.join_as("s", MemberType::Secondary);
        group.run_until("it is relayed to", |group| is_relayed(group, secondary));
        let (master, relay) = (group.the_master(), source(&group, secondary).expect("is fed"));
        let is_other = |id: &NodeId| ![master, relay, secondary].contains(id);
        let other = group.ids().into_iter().find(is_other).expect("there are three");
        Relayed { group, master, relay, other, secondary }
    }

    /// A write that is applied everywhere.
    pub(crate) fn write(&mut self) {
        write(&mut self.group);
    }

    /// How many entries were sent to the secondary by `id`.
    pub(crate) fn fed_by(&self, id: NodeId) -> u64 {
        self.group.fed.get(&(id, self.secondary)).copied().unwrap_or(0)
    }
}

pub(crate) fn write(group: &mut Group) {
    let master = group.the_master();
    let write = group.propose(master, "w");
    group.run_until("committed", |group| {
        matches!(group.outcome(master, write), Some(Outcome::Committed { .. }))
    });
    group.run_until("applied by all", |group| {
        let applied = group.node(master).applied();
        let mut running = group.machines.values().filter_map(|machine| machine.node.as_ref());
        running.all(|node| node.applied() == applied)
    });
}

pub(crate) fn source(group: &Group, id: NodeId) -> Option<NodeId> {
    group.node(id).status(group.now).source
}

/// Whether it follows its master, and somebody else feeds it.
pub(crate) fn is_relayed(group: &Group, id: NodeId) -> bool {
    let status = group.node(id).status(group.now);
    status.master.is_some() && status.source.is_some() && status.source != status.master
}

// ---- rules that planted bugs break ----

pub(crate) fn the_master_sends_a_secondary_nothing_that_a_replica_feeds() {
    let mut relayed = Relayed::new();
    (0..20).for_each(|_| relayed.write());
    let Relayed { group, master, relay, other, secondary } = &relayed;
    assert_eq!((relayed.fed_by(*master), relayed.fed_by(*other)), (0, 0));
    let last = group.node(*secondary).log().last();
    assert_eq!((relayed.fed_by(*relay), last), (last.vlsn.get(), group.node(*master).log().last()));
    assert_eq!(group.node(*secondary).state(), NodeState::Replica);
}

/// A master that dies with it may be followed by one that never had it.
pub(crate) fn what_is_not_durable_is_not_relayed() {
    let Relayed { mut group, master, relay, other, secondary } = Relayed::new();
    for id in [relay, other] {
        group.machines.get_mut(&id).unwrap().hold_syncs = true;
    }
    let durable = group.node(master).dvlsn();
    group.propose(master, "not yet");
    group.run_for(Duration::from_millis(300));
    assert!(group.node(relay).log().last().vlsn > durable, "the relay has it");
    assert_eq!(group.node(secondary).log().last().vlsn, durable, "and keeps it to itself");
    group.release_disks();
    group.run_until("durable, and relayed", |group| {
        group.node(secondary).log().last() == group.node(master).log().last()
    });
}

pub(crate) fn a_relay_that_falls_silent_is_passed_over() {
    let mut relayed = Relayed::new();
    relayed.group.frozen.insert(relayed.relay);
    let Relayed { group, other, secondary, .. } = &mut relayed;
    group.run_until("fed by the other", |group| source(group, *secondary) == Some(*other));
    let write = group.propose(group.the_master(), "w");
    let (master, is_last) = (group.the_master(), |group: &Group, id| group.node(id).log().last());
    group.run_until("it has it", |group| {
        group.outcome(master, write).is_some()
            && is_last(group, *secondary) == is_last(group, master)
    });
}

/// It may not have heard yet that the secondary was admitted. The master has.
pub(crate) fn what_a_relay_says_is_no_word_of_the_masters() {
    let Relayed { mut group, master, relay, secondary, .. } = Relayed::new();
    let link = Link { peer: relay, ..group.fed_link(relay, secondary) };
    let connection = Connection { term: group.node(secondary).term(), epoch: link.epoch };
    let refused = FeederMessage::Refused { connection, reason: RefuseReason::NotMember };
    group.act(secondary, |node, now| {
        node.handle_message(now, link, Message::ToReplica(refused)).expect("it may say so");
    });
    assert!(!group.machines[&secondary].asks, "it is admitted");
    assert_eq!(group.node(secondary).master(), Some(master), "it is heard as before");
    group.run_until("fed again", |group| is_relayed(group, secondary));
}

/// The first entry that the master's log holds.
pub(crate) fn first(group: &Group, id: NodeId) -> Vlsn {
    group.machines[&id].first
}
