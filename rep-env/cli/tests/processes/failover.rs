//! Masters that die, freeze and come back.

use crate::group::Group;
use crate::load::{Answer, Load, judged};
use redis::{RedisResult, Value};
use rustix::process::Signal;

#[test]
fn a_killed_master_takes_no_acknowledged_write_with_it() {
    let mut group = Group::alone(3);
    let load = Load::start(&group);
    load.wait_for_more(500);
    let master = group.master();
    group.kill(master);
    load.wait_for_more(500);
    let next = group.master();
    assert_ne!(next, master);
    group.start(master);
    load.wait_for_more(500);
    let ledger = load.stop();
    group.assert_converged();
    ledger.assert_kept(&group);
    assert!(ledger.count(Answer::Acked) >= 1500);
}

#[test]
fn a_group_that_is_killed_as_a_whole_keeps_what_it_acknowledged() {
    let mut group = Group::alone(3);
    let load = Load::start(&group);
    for _ in 0..5 {
        load.wait_for_more(200);
        group.kill_all();
        (0..3).for_each(|at| group.start(at));
    }
    load.wait_for_more(200);
    let ledger = load.stop();
    group.assert_converged();
    ledger.assert_kept(&group);
}

#[test]
fn a_master_that_was_frozen_acknowledges_nothing_and_serves_nothing_old() {
    let group = Group::alone(3);
    let (old, _) = group.put(&ALL, "k", "old");
    let mut reads = group.connect(old);
    let mut writes = group.connect(old);

    group.signal(old, Signal::STOP);
    let (_, new_term) = group.put(&others(old), "k", "new");

    // The frozen process will find these before it learns anything.
    let count = 40;
    let mut packed = (Vec::new(), Vec::new());
    for number in 0..count {
        packed.0.extend(redis::cmd("GET").arg("k").get_packed_command());
        let set = redis::cmd("SET").arg(format!("stale-{number}")).arg("x").get_packed_command();
        packed.1.extend(set);
    }
    reads.send_packed_command(&packed.0).unwrap();
    writes.send_packed_command(&packed.1).unwrap();
    group.signal(old, Signal::CONT);

    for _ in 0..count {
        let read = answered(reads.recv_response());
        assert!(read.is_err() || read == Ok(Value::BulkString(b"new".into())), "{read:?}");
    }
    let answers: Vec<Answer> = (0..count)
        .map(|_| match answered(writes.recv_response()) {
            Ok(Value::Okay) => Answer::Acked,
            Ok(other) => panic!("{other:?}"),
            Err(error) => judged(&error).expect("the connection lives"),
        })
        .collect();
    group.assert_converged();
    if group.master_of(&ALL, 0).1 == new_term {
        assert!(!answers.contains(&Answer::Acked), "{answers:?}");
    }
    assert_eq!(group.get("k").as_deref(), Some("new"));
    for (number, answer) in answers.iter().enumerate() {
        let found = group.get(&format!("stale-{number}"));
        match answer {
            Answer::Acked => assert!(found.is_some()),
            Answer::Refused => assert!(found.is_none(), "refused, and there: {number}"),
            Answer::Unknown => {}
        }
    }
}

/// The sequence by which Berkeley DB JE HA lost a commit: a master logs a tail that nobody has, and dies. The other two
/// elect, commit one write, and its master dies at once. The first one returns, with a longer log than the only one that has the
/// commit, and must not win by that.
#[test]
fn a_longer_tail_of_an_older_term_does_not_win_over_a_commit() {
    let mut group = Group::alone(3);
    let first = log_a_tail(&group);
    group.kill(first);
    others(first).iter().for_each(|at| group.signal(*at, Signal::CONT));

    let (second, _) = group.put(&others(first), "commit", "survives");
    group.kill(second);

    group.start(first);
    assert_eq!(group.get("commit").as_deref(), Some("survives"));
    group.start(second);
    group.assert_converged();
    assert_eq!(group.get("commit").as_deref(), Some("survives"));
}

/// Freezes the replicas and writes at the master, until it has logged something that it cannot have acknowledged. That
/// master.
fn log_a_tail(group: &Group) -> usize {
    loop {
        let (master, _) = group.put(&ALL, "before", "x");
        let before = log_end(group, master);
        let others = others(master);
        others.iter().for_each(|at| group.signal(*at, Signal::STOP));
        let mut packed = Vec::new();
        for number in 0..50 {
            packed.extend(
                redis::cmd("SET").arg(format!("tail-{number}")).arg("x").get_packed_command(),
            );
        }
        let mut writes = group.connect(master);
        writes.send_packed_command(&packed).unwrap();
        // It steps down soon, having lost its quorum; a slow machine may be too late, and tries again.
        let response = answered(writes.recv_response());
        let refusal = response.expect_err("there is no quorum");
        if log_end(group, master) > before {
            assert_eq!(refusal.code(), Some("UNKNOWNOUTCOME"), "{refusal}");
            return master;
        }
        others.iter().for_each(|at| group.signal(*at, Signal::CONT));
    }
}

const ALL: [usize; 3] = [0, 1, 2];

fn others(at: usize) -> Vec<usize> {
    ALL.into_iter().filter(|other| *other != at).collect()
}

fn log_end(group: &Group, at: usize) -> u64 {
    let last = group.status(at).unwrap().last;
    last.rsplit('.').next().unwrap().parse().unwrap()
}

fn answered(response: RedisResult<Value>) -> RedisResult<Value> {
    response.and_then(Value::extract_error)
}
