//! `rep transfer-master`, `rep shutdown-group`, `rep restore`, and a master that is asked to end.

use crate::group::{Group, PATIENCE, eventually, rep};
use crate::line::run;
use crate::status::assert_documented;
use std::fs;

#[test]
fn a_mastership_is_handed_over_by_a_command_at_any_member() {
    let group = Group::steady(3);
    let (old, term) = group.put(&[0, 1, 2], "k", "v");
    let asked = (old + 1) % 3;
    let target = (old + 2) % 3;
    let (address, name) = (&group.addresses[asked], group.name(target));
    let (code, stdout, stderr) = run(rep().args(["transfer-master", address, "--to", &name]));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, format!("the master is {name} at {}\n", group.addresses[target]));
    let (new, next) = group.master_of(&[0, 1, 2], term);
    assert_eq!(new, target);
    assert_eq!(next, term + 1, "one election, and no silence to be waited for");
    let (code, _, stderr) = run(rep().args(["transfer-master", address, "--to", "nobody"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("\"nobody\" is no member"), "{stderr}");
}

#[test]
fn a_master_that_is_asked_to_end_hands_its_mastership_over_first() {
    let mut group = Group::steady(3);
    let (old, term) = group.put(&[0, 1, 2], "k", "v");
    eventually("streams to both", || {
        let report = group.status(old)?;
        let streams = |replica: &rep_env::ReplicaStats| replica.state == "stream";
        let fed =
            report.members.iter().filter_map(|it| it.replica.as_ref()).filter(|it| streams(it));
        (fed.count() == 2).then_some(())
    });
    assert_eq!(group.terminate(old).code(), Some(0));
    let log = fs::read_to_string(group.home(old).with_extension("log")).unwrap();
    assert!(log.contains("handed the mastership over"), "{log}");
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    let (_, next) = group.master_of(&others, term);
    assert_eq!(next, term + 1);
}

#[test]
fn a_members_copy_is_replaced_by_a_command_and_the_masters_is_not() {
    let group = Group::steady(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "v");
    let replica = (master + 1) % 3;
    let order = |at: usize, source: &str| {
        run(rep().args(["restore", &*group.addresses[at], "--from", source]))
    };
    let (code, _, stderr) = order(master, &group.name(replica));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("is the master"), "{stderr}");
    let (code, _, stderr) = order(replica, "nobody");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("\"nobody\" is no member"), "{stderr}");
    let (code, stdout, stderr) = order(replica, &group.name(master));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, format!("the copy from {} is in place\n", group.name(master)));
    assert!(stderr.contains("a copy is being fetched") && stderr.contains("--cancel"), "{stderr}");
    let report = eventually("a follower", || {
        group.status(replica).filter(|report| report.state == "replica")
    });
    assert_eq!(report.stats.restores, 1);
    assert_documented(&serde_json::to_value(report).unwrap());
    let (code, _, stderr) = run(rep().args(["restore", &*group.addresses[replica], "--cancel"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no copy is being fetched"), "{stderr}");
}

#[test]
fn a_group_is_shut_down_by_one_command_and_every_process_ends_well() {
    let mut group = Group::steady(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "v");
    let asked = (master + 1) % 3;
    let (code, stdout, stderr) = run(rep().args(["shutdown-group", &group.addresses[asked]]));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, "the group is shut down; all members hold the same\n");
    for at in 0..3 {
        assert_eq!(group.ended(at).code(), Some(0), "within {PATIENCE:?}");
        group.start(at);
    }
    group.assert_converged();
}
