//! Every durability against every state of three copies, and a model of what it takes: told to three pure nodes, whose
//! disks do what the case says and nothing else.

use crate::harness::Group;
use rep_node::{Acks, Durability, Outcome, Request};
use rep_vlsn::{NodeId, SyncClass, Vlsn};
use std::time::Duration;

/// How far a member has come with the entries of the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Copy {
    InMemory,
    Written,
    Synced,
}

const STATES: [Copy; 3] = [Copy::InMemory, Copy::Written, Copy::Synced];
const CLASSES: [SyncClass; 3] = [SyncClass::NoSync, SyncClass::WriteNoSync, SyncClass::Sync];
const ACKS: [Acks; 3] = [Acks::None, Acks::SimpleMajority, Acks::All];
const PATIENCE: Duration = Duration::from_secs(2);

/// Every durability there is, the weakest first.
fn durabilities() -> Vec<Durability> {
    let mut all = Vec::new();
    for acks in ACKS {
        for replica in CLASSES {
            for local in CLASSES {
                all.push(Durability::default().local(local).replica(replica).acks(acks));
            }
        }
    }
    all
}

impl Copy {
    /// The model: what a class takes.
    fn meets(self, class: SyncClass) -> bool {
        match class {
            SyncClass::Sync => self == Copy::Synced,
            SyncClass::WriteNoSync | SyncClass::NoSync => self >= Copy::Written,
        }
    }
}

/// One case: where the master's copy is, and those of the two others.
#[derive(Debug)]
struct Case {
    master: Copy,
    others: [Copy; 2],
}

impl Case {
    /// The model: whether a commit that asks for this may be told success.
    fn satisfies(&self, asked: Durability) -> bool {
        let others = self.others.iter().filter(|copy| copy.meets(asked.replica)).count();
        let enough = match asked.acks {
            Acks::None => true,
            Acks::SimpleMajority => others >= 1,
            Acks::All => others == 2,
        };
        let durable = self.is_durable() && asked.acks != Acks::All;
        durable || (self.master.meets(asked.local) && enough)
    }

    fn is_durable(&self) -> bool {
        let copies = [self.master, self.others[0], self.others[1]];
        copies.iter().filter(|copy| **copy == Copy::Synced).count() >= 2
    }

    /// The model: how many of the three hold the entry as asked.
    fn holders(&self, asked: Durability) -> usize {
        let others = self.others.iter().filter(|copy| copy.meets(asked.replica)).count();
        others + usize::from(self.master.meets(asked.local))
    }
}

/// A group of three with a master, whose disks do nothing unasked from now on.
pub(crate) fn held_group() -> (Group, NodeId, Vec<NodeId>) {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let master = group.master().unwrap();
    let caught_up = |group: &Group, id| group.node(id).applied() == group.node(master).log().last();
    group.run_until("all caught up", |g| g.ids().into_iter().all(|id| caught_up(g, id)));
    for id in group.ids() {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    let others = group.ids().into_iter().filter(|id| *id != master).collect();
    (group, master, others)
}

/// A commit resolves when the copies that its durability asks for are there, not before, and whatever else waits.
pub(crate) fn every_commit_waits_for_just_what_it_asked() {
    for master in STATES {
        for first in STATES {
            for second in STATES {
                check(&Case { master, others: [first, second] });
            }
        }
    }
}

fn check(case: &Case) {
    let (mut group, master, others) = held_group();
    let before = group.node(master).dvlsn();
    let asked: Vec<(Durability, Request)> = durabilities()
        .into_iter()
        .map(|asked| (asked, group.propose_with(master, "x", asked, PATIENCE)))
        .collect();
    let copies = [(master, case.master), (others[0], case.others[0]), (others[1], case.others[1])];
    for (id, copy) in copies {
        match copy {
            Copy::InMemory => {}
            Copy::Written => group.write(id),
            Copy::Synced => group.sync_now(id),
        }
    }
    check_outcomes(case, &group, master, &asked);
    check_watermarks(case, &group, master, before);
    group.run_for(PATIENCE);
    check_expired(case, &group, master, &asked);
}

fn check_outcomes(case: &Case, group: &Group, master: NodeId, asked: &[(Durability, Request)]) {
    for (durability, request) in asked {
        let outcome = group.outcome(master, *request);
        let told = matches!(outcome, Some(Outcome::Committed { .. }));
        assert_eq!(told, case.satisfies(*durability), "{case:?}, {durability:?}: {outcome:?}");
        assert_eq!(outcome.is_some(), told, "{case:?}, {durability:?}: {outcome:?}");
    }
}

fn check_watermarks(case: &Case, group: &Group, master: NodeId, before: Vlsn) {
    let (node, all) = (group.node(master), durabilities());
    let leading = all.iter().take_while(|asked| case.satisfies(**asked)).count();
    let durable = if case.is_durable() { all.len() } else { 0 };
    let at = |count: usize| Vlsn::new(before.get() + count as u64);
    assert_eq!(node.dvlsn(), at(durable), "{case:?}");
    assert_eq!(node.cvlsn(), at(leading.max(durable)), "{case:?}");
    for id in group.ids() {
        let node = group.node(id);
        assert!(node.applied().vlsn <= node.dvlsn(), "{case:?}: {id} applies what is not durable");
    }
}

/// Who runs out of time is told who held the entry as it asked, and who did not.
fn check_expired(case: &Case, group: &Group, master: NodeId, asked: &[(Durability, Request)]) {
    for (durability, request) in asked {
        match group.outcome(master, *request) {
            Some(Outcome::Committed { .. }) => assert!(case.satisfies(*durability)),
            Some(Outcome::Unknown { acked_by, missing, needed, .. }) => {
                let (acks, holders) = (durability.acks, case.holders(*durability));
                let need = if acks == Acks::All { 3 } else { 2 - usize::from(acks == Acks::None) };
                assert_eq!((acked_by.len(), *needed), (holders, need), "{case:?}, {durability:?}");
                assert_eq!(missing.len(), 3 - holders, "{case:?}, {durability:?}");
            }
            other => panic!("{case:?}, {durability:?}: {other:?}"),
        }
    }
}

/// Holding by class is an argument about entries of the master's own term. An entry of an earlier term that enough
/// members hold may still lose against a log without it, so its commit waits until it is durable.
pub(crate) fn an_old_terms_commit_waits_until_it_is_durable() {
    let (mut group, master, others) = held_group();
    let weak = Durability::default().local(SyncClass::NoSync).replica(SyncClass::NoSync);
    let patience = Duration::from_secs(60);
    group.isolate(master);
    let old = group.propose_with(master, "old", weak, patience);
    group.write(master);
    // Its disk is stalled for nobody: it gives up because no quorum answers.
    group.frozen.extend(&others);
    group.run_until("it gave up", |group| group.master().is_none());
    group.frozen.clear();
    group.heal();
    let first = group.node(master).term();
    group.run_until("it reigns again", |group| {
        let node = group.node(master);
        node.role() == rep_node::Role::Leader && node.term() > first
    });
    let new = group.propose_with(master, "new", weak, patience);
    group.run_until("both others hold it", |group| {
        others.iter().all(|other| group.payloads(*other).iter().any(|held| held == "new"))
    });
    group.ids().into_iter().for_each(|id| group.write(id));
    assert!(matches!(group.outcome(master, new), Some(Outcome::Committed { .. })));
    assert_eq!(group.outcome(master, old), None, "held by all, durable nowhere");
    group.ids().into_iter().for_each(|id| group.sync_now(id));
    group.run_until("it is durable", |group| group.outcome(master, old).is_some());
    assert!(matches!(group.outcome(master, old), Some(Outcome::Committed { .. })));
}
