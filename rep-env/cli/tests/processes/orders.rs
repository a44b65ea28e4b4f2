//! `rep transfer-master`, `rep shutdown-group`, `rep restore`, and a master that is asked to end.

use crate::group::{Group, PATIENCE, eventually, rep};
use crate::line::run;
use crate::load::Load;
use crate::status::assert_documented;
use rep_env::admin::{AdminClient, StatusReport};
use rep_env::net::{Limits, TcpTransport};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

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

/// The bar for the first write at the next master, from the return of the call, in the middle of many.
const AT_ONCE: Duration = Duration::from_millis(200);
/// As many transfers have a middle that says something.
const MANY: usize = 20;
/// How long an order may try.
const DEADLINE: Duration = Duration::from_secs(2);

/// `REP_TRANSFERS` of them, to measure; one is enough to look for lost writes.
#[test]
fn under_load_the_next_master_writes_at_once_and_a_target_that_hangs_leaves_the_old_one_writing() {
    let rounds = std::env::var("REP_TRANSFERS").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    let group = Group::steady_alone(3);
    let load = Load::start(&group);
    let mut took: Vec<Duration> = Vec::new();
    let mut master = group.master();
    for round in 0..rounds {
        load.wait_for_more(100);
        let target = (master + 1) % 3;
        took.push(hand_over(&group, (master, target), round));
        master = target;
    }
    took.sort();
    let (middle, most) = (took[rounds / 2], took[rounds - 1]);
    println!(
        "first write after a transfer: {middle:?} in the middle of {rounds}, {most:?} at most"
    );
    let bar = if rounds < MANY { Duration::from_secs(10) } else { AT_ONCE };
    assert!(middle <= bar, "{took:?}");

    // One that lags and hangs is waited for until the deadline, and the reign goes on.
    let hangs = (master + 1) % 3;
    let term = group.status(master).unwrap().term;
    group.signal(hangs, Signal::STOP);
    // Now it surely lacks something.
    load.wait_for_more(100);
    let stderr = hand_over_in_vain(&group, master, hangs);
    assert!(stderr.contains("is still the master"), "{stderr}");
    load.wait_for_more(100);
    let report = assert_writes(&group, master);
    assert_eq!(report.term, term);
    group.signal(hangs, Signal::CONT);
    let ledger = load.stop();
    group.assert_converged();
    ledger.assert_kept(&group);

    // One that holds all there is when it hangs is named for the next term, and never takes it: somebody else does.
    await_no_lag(&group, master, hangs);
    group.signal(hangs, Signal::STOP);
    let stderr = hand_over_in_vain(&group, master, hangs);
    let words = ["was elected, which was not asked for", "no master of the next term"];
    assert!(words.iter().any(|it| stderr.contains(it)), "{stderr}");
    let others: Vec<usize> = (0..3).filter(|at| *at != hangs).collect();
    let (_, next) = group.put(&others, "after", "it");
    assert!(next > term);
    group.signal(hangs, Signal::CONT);
    group.assert_converged();
}

/// How long it was from the return of the call until a write at the next master.
fn hand_over(group: &Group, (master, target): (usize, usize), round: usize) -> Duration {
    let mut connection = group.connect(target);
    let transport = TcpTransport::new(Limits::default());
    let client = AdminClient::connect(&transport, &group.addresses[master], PATIENCE);
    client.unwrap().transfer_master(&[group.name(target)], PATIENCE, false).unwrap();
    let returned = Instant::now();
    let write = || redis::cmd("SET").arg("after").arg(round).query::<()>(&mut connection).ok();
    eventually("a write at the new master", write);
    returned.elapsed()
}

/// What is said of an order whose target hangs.
fn hand_over_in_vain(group: &Group, master: usize, target: usize) -> String {
    let (address, name, begun) = (&group.addresses[master], group.name(target), Instant::now());
    let deadline = DEADLINE.as_secs().to_string();
    let mut order = rep();
    order.args(["transfer-master", address, "--to", &name, "--timeout", &deadline]);
    let (code, _, stderr) = run(&mut order);
    assert_eq!(code, Some(1), "{stderr}");
    let took = begun.elapsed();
    assert!(took < DEADLINE + Duration::from_secs(20), "{took:?} of a machine that has other work");
    stderr
}

/// Waits until the master knows that a member holds all there is.
fn await_no_lag(group: &Group, master: usize, member: usize) {
    let name = group.name(member);
    eventually("a member that lacks nothing", || {
        let report = group.status(master)?;
        let replicas = report.members.iter().filter_map(|it| it.replica.as_ref());
        let lag = replicas.filter(|it| it.name == name).find_map(|it| it.lag);
        (lag == Some(0)).then_some(())
    });
}

/// The old master takes writes, now.
fn assert_writes(group: &Group, master: usize) -> StatusReport {
    let () = redis::cmd("SET").arg("after").arg("it").query(&mut group.connect(master)).unwrap();
    let report = group.status(master).unwrap();
    assert_eq!(report.state, "master");
    report
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
