//! What a member says is wrong, produced on whole groups of pure nodes: each sentence comes when it is true, and goes when it
//! is not. The sentences themselves are tried one by one where they are made.

#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use rep_node::{NodeState, PersistFailed};
use rep_vlsn::NodeId;
use std::time::Duration;

const N1: NodeId = NodeId::new(1);

fn problems(group: &Group, id: NodeId) -> Vec<String> {
    group.node(id).status(group.now).problems
}

fn says(group: &Group, id: NodeId, words: &str) -> bool {
    problems(group, id).iter().any(|problem| problem.contains(words))
}

fn await_words(group: &mut Group, id: NodeId, words: &str) {
    group.run_until(words, |group| says(group, id, words));
}

fn await_quiet(group: &mut Group) {
    group.run_until("nothing is wrong", |group| {
        group.ids().into_iter().all(|id| problems(group, id).is_empty())
    });
}

/// Three nodes in sync: the master, and the two others.
fn in_sync() -> (Group, NodeId, [NodeId; 2]) {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let master = group.master().unwrap();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    await_quiet(&mut group);
    (group, master, [others[0], others[1]])
}

fn name(id: NodeId) -> String {
    format!("n{}", id.get())
}

#[test]
fn an_unfounded_group_names_who_is_missing_for_its_founding() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start(N1);
    await_words(
        &mut group,
        N1,
        "not founded yet, which takes every listed member; not in reach: n2, n3",
    );
    group.start(NodeId::new(2));
    await_words(&mut group, N1, "not in reach: n3");
    group.start(NodeId::new(3));
    await_quiet(&mut group);
}

#[test]
fn a_member_without_a_quorum_names_who_is_not_in_reach() {
    let (mut group, master, [a, b]) = in_sync();
    group.crash(master);
    group.crash(b);
    let words = format!("no master: 1 of 2 needed voters are in reach; not in reach: {}", {
        let mut missing = [name(master), name(b)];
        missing.sort();
        missing.join(", ")
    });
    await_words(&mut group, a, &words);
    group.start(b);
    group.run_until("a master", |group| group.master().is_some());
    assert!(!says(&group, a, "no master"));
}

#[test]
fn an_election_under_way_is_told_with_its_term() {
    let (mut group, master, [a, b]) = in_sync();
    group.lose.insert("election message");
    group.crash(master);
    await_words(&mut group, a, "no master: an election is under way at term");
    await_words(&mut group, b, "no master: an election is under way at term");
    group.lose.clear();
    group.run_until("a master", |group| group.master().is_some());
}

#[test]
fn a_failed_log_is_told_until_the_restart() {
    let (mut group, _, [a, _]) = in_sync();
    group.act(a, |node, now| {
        node.handle_persist_failed(now, PersistFailed::Log, "no space".into());
    });
    assert!(says(&group, a, "the log failed and takes no more entries: no space; restart"));
    group.crash(a);
    group.start(a);
    await_quiet(&mut group);
}

#[test]
fn a_node_that_cannot_promise_says_that_it_halted() {
    let (mut group, _, [a, _]) = in_sync();
    group.act(a, |node, now| {
        node.handle_persist_failed(now, PersistFailed::Fence, "worn out".into());
    });
    assert!(says(&group, a, "halted: the promise cannot be written: worn out"));
}

#[test]
fn a_replica_says_that_it_is_cut_off_or_still_syncs_up() {
    let (mut group, master, [a, _]) = in_sync();
    group.lose.insert("feeder message");
    let stream = group.fed_link(master, a);
    group.act(master, |node, now| node.handle_link_down(now, stream));
    group.crash(a);
    group.start(a);
    await_words(&mut group, a, "behind: syncing up with the master");
    await_words(&mut group, master, &format!("{} is behind: syncing up", name(a)));
    group.lose.clear();
    await_quiet(&mut group);
}

#[test]
fn a_master_names_the_copies_that_are_gone_or_silent_and_why_writes_wait() {
    let (mut group, master, [a, b]) = in_sync();
    group.frozen.insert(b);
    await_words(&mut group, master, &format!("{} is behind: connected, and silent", name(b)));
    assert!(!says(&group, master, "writes wait"));
    group.crash(b);
    await_words(&mut group, master, &format!("{} is behind: not connected", name(b)));
    group.crash(a);
    assert!(says(&group, master, "writes wait: 1 of 2 needed voters would acknowledge; missing: "));
    let missing = [a, b].map(|id| format!("{} (not connected)", name(id))).join(", ");
    assert!(says(&group, master, &missing), "{:?}", problems(&group, master));
}

#[test]
fn writes_that_wait_for_others_disks_name_them() {
    let (mut group, master, [a, b]) = in_sync();
    for id in [a, b] {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    group.propose(master, "waits");
    let words = format!("not synced at: {}, {}", name(a), name(b));
    await_words(&mut group, master, &words);
    await_words(&mut group, a, "slow disk: the oldest of");
    group.release_disks();
    await_quiet(&mut group);
}

#[test]
fn a_slow_disk_is_told_and_so_is_a_mastership_that_ended_by_it() {
    let (mut group, master, _) = in_sync();
    group.machines.get_mut(&master).unwrap().hold_log = true;
    group.propose(master, "held up");
    await_words(&mut group, master, "slow disk: the oldest of");
    group.run_until("it gives up", |group| group.node(master).state() != NodeState::Master);
    assert!(says(&group, master, "no master: "), "{:?}", problems(&group, master));
    group.release_disks();
    await_quiet(&mut group);
}

#[test]
fn a_wiped_member_is_told_why_it_is_refused() {
    let (mut group, _, [a, _]) = in_sync();
    group.crash(a);
    group.wipe(a);
    group.start(a);
    await_words(&mut group, a, "refused: incarnation");
}

#[test]
fn every_member_has_the_same_matrix_of_round_trips() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    let whole = |group: &Group, id: NodeId| {
        let rows = group.node(id).nearness();
        rows.len() == 3 && rows.values().all(|row| row.len() == 2)
    };
    group.run_until("all have all rows", |group| group.ids().iter().all(|id| whole(group, *id)));
    group.run_for(Duration::from_secs(10));
    let ids = group.ids();
    let rows: Vec<_> = ids.iter().map(|id| group.node(*id).nearness()).collect();
    let near = |a: Duration, b: Duration| a.abs_diff(b) * 4 <= a;
    for (from, to) in ids.iter().flat_map(|from| ids.iter().map(move |to| (from, to))) {
        let told: Vec<_> = rows.iter().map(|rows| rows[from].get(to).copied()).collect();
        assert!(told.iter().all(|trip| trip.is_some() == (from != to)), "{from} to {to}: {told:?}");
        let trips: Vec<Duration> = told.into_iter().flatten().collect();
        assert!(trips.iter().all(|trip| near(trips[0], *trip)), "{from} to {to}: {trips:?}");
    }
    group.crash(ids[2]);
    group.start(ids[2]);
    group.run_until("whoever comes back is told", |group| whole(group, ids[2]));
}
