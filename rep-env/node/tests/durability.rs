//! What each durability waits for, what it survives, and how a loss is told.

#[path = "harness/copies.rs"]
mod copies;
#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use rep_node::{Acks, Durability, Event, Outcome, ReadKind};
use rep_vlsn::{LogPoint, NodeId, SyncClass, Vlsn};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

fn weak() -> Durability {
    Durability::default().local(SyncClass::NoSync).replica(SyncClass::NoSync)
}

/// A group of three whose disks write at once and sync when they are told.
fn group_that_syncs_when_told() -> (Group, NodeId, Vec<NodeId>) {
    let (mut group, master, others) = copies::held_group();
    for id in group.ids() {
        let machine = group.machines.get_mut(&id).unwrap();
        (machine.hold_log, machine.hold_syncs) = (false, true);
    }
    (group, master, others)
}

fn committed(outcome: Option<&Outcome>) -> LogPoint {
    match outcome {
        Some(Outcome::Committed { point }) => *point,
        other => panic!("{other:?} is no commit"),
    }
}

#[test]
fn every_commit_waits_for_just_what_it_asked() {
    copies::every_commit_waits_for_just_what_it_asked();
}

#[test]
fn an_old_terms_commit_waits_until_it_is_durable() {
    copies::an_old_terms_commit_waits_until_it_is_durable();
}

#[test]
fn a_commit_of_all_names_the_member_that_is_gone_though_the_entry_is_durable() {
    let (mut group, master, others) = copies::held_group();
    group.release_disks();
    group.crash(others[1]);
    let all = Durability::default().acks(Acks::All);
    let request = group.propose_with(master, "x", all, PATIENCE);
    assert_eq!(group.node(master).dvlsn(), group.node(master).log().last().vlsn);
    assert_eq!(group.outcome(master, request), None);
    let admission = group.node(master).admission(group.now);
    assert_eq!((admission.live, admission.need(Acks::All)), (2, 3));
    assert_eq!(admission.missing, [others[1]]);
    group.run_for(PATIENCE);
    match group.outcome(master, request) {
        Some(Outcome::Unknown { acked_by, missing, needed: 3, deposed: false, .. }) => {
            assert_eq!((acked_by.len(), &**missing), (2, &others[1..]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_that_asks_nobody_counts_with_both_others_gone_as_long_as_the_reign_lasts() {
    let (mut group, master, others) = copies::held_group();
    group.release_disks();
    others.iter().for_each(|other| group.crash(*other));
    let alone = Durability::default().acks(Acks::None);
    let request = group.propose_with(master, "x", alone, PATIENCE);
    let point = committed(group.outcome(master, request));
    assert!(group.node(master).dvlsn() < point.vlsn, "acknowledged, and not durable");
    assert_eq!(group.node(master).cvlsn(), point.vlsn);
    assert!(group.node(master).applied().vlsn < point.vlsn, "nobody reads it yet");
    group.run_until("it gives up", |group| group.master().is_none());
}

#[test]
fn killing_every_process_loses_nothing_that_a_majority_holds() {
    let (mut group, master, others) = group_that_syncs_when_told();
    group.crash(others[1]);
    let request = group.propose_with(master, "kept", weak(), PATIENCE);
    let point = committed(group.outcome(master, request));
    assert!(group.node(master).dvlsn() < point.vlsn, "written, synced nowhere");
    [master, others[0]].into_iter().for_each(|id| group.kill(id));
    group.start_all();
    group.run_until("all hold it again", |group| {
        let holds = |id| group.payloads(id).iter().any(|held| held == "kept");
        group.master().is_some_and(|master| group.node(master).dvlsn() >= point.vlsn)
            && group.ids().into_iter().all(holds)
    });
}

/// What a power cut takes from a commit that asked for no sync is told: by an event at the member that still had it, to
/// a read that asks for it, and to the commit itself if it still waits.
#[test]
fn what_a_power_cut_takes_is_told_to_everyone_who_may_have_relied_on_it() {
    let (mut group, master, others) = group_that_syncs_when_told();
    group.crash(others[1]);
    let request = group.propose_with(master, "lost", weak(), PATIENCE);
    let point = committed(group.outcome(master, request));
    let all = weak().acks(Acks::All);
    let waits = group.propose_with(master, "waits", all, Duration::from_secs(60));
    group.crash(others[0]);
    group.isolate(master);
    others.iter().for_each(|other| group.start(*other));
    group.run_until("the others go on without it", |group| {
        others.iter().any(|id| group.master() == Some(*id) && group.node(*id).dvlsn() >= point.vlsn)
    });
    let next = others.iter().copied().find(|id| group.master() == Some(*id)).unwrap();
    group.propose(next, "in its place");
    group.heal();
    group.run_until("its rollback is told", |group| {
        let told = |event: &Event| matches!(event, Event::RolledBack { dropped } if dropped.contains(&point.vlsn));
        group.machines[&master].events.iter().any(told)
    });
    let node = group.node(master);
    assert!(node.cvlsn() <= node.log().last().vlsn, "what is gone is acknowledged no more");
    group.run_until("the pending commit is told", |g| g.outcome(master, waits).is_some());
    assert!(matches!(group.outcome(master, waits), Some(Outcome::RolledBack { .. })));
    let id = group.node(master).group().unwrap();
    let read = group.read(master, ReadKind::AtLeast { group: id, point });
    group.run_until("the read is answered", |group| group.outcome(master, read).is_some());
    assert_eq!(group.outcome(master, read), Some(&Outcome::RolledBack { point }));
}

/// Most members are not all, also when the master that was to count them has become a replica.
#[test]
fn a_commit_of_all_is_not_told_success_after_its_master_has_stepped_down() {
    let (mut group, master, others) = copies::held_group();
    group.release_disks();
    group.crash(others[1]);
    let all = Durability::default().acks(Acks::All);
    let request = group.propose_with(master, "x", all, Duration::from_secs(8));
    group.cut(master, others[0]);
    group.run_until("it gives up", |group| group.node(master).master() != Some(master));
    group.heal();
    group.run_for(Duration::from_secs(8));
    match group.outcome(master, request) {
        Some(Outcome::Unknown { acked_by, missing, needed: 3, deposed: true, .. }) => {
            assert_eq!((acked_by.len(), &**missing), (2, &others[1..]), "as it was known last");
        }
        other => panic!("{other:?}"),
    }
}

/// Leadership follows durable progress also where nobody waits for it: what was acknowledged weakly is owed a sync.
#[test]
fn a_master_whose_disk_writes_and_never_syncs_gives_up_though_its_commits_succeed() {
    let (mut group, master, _) = group_that_syncs_when_told();
    let request = group.propose_with(master, "x", weak(), PATIENCE);
    committed(group.outcome(master, request));
    let begun = group.now;
    group.run_until("it gives up", |group| group.node(master).master() != Some(master));
    assert!(group.now - begun >= Duration::from_secs(5), "the disk has its time");
}

#[test]
fn a_weak_write_is_applied_everywhere_once_it_is_synced_and_not_before() {
    let (mut group, master, _) = group_that_syncs_when_told();
    let request = group.propose_with(master, "x", weak(), PATIENCE);
    let point = committed(group.outcome(master, request));
    let applied = |group: &Group| -> Vec<Vlsn> {
        group.ids().into_iter().map(|id| group.node(id).applied().vlsn).collect()
    };
    group.run_for(Duration::from_millis(300));
    assert!(applied(&group).iter().all(|vlsn| *vlsn < point.vlsn), "{:?}", applied(&group));
    group.ids().into_iter().for_each(|id| group.sync_now(id));
    group.run_until("all apply it", |g| applied(g).iter().all(|vlsn| *vlsn >= point.vlsn));
}
