//! The command line: what is printed, and how it ends.

use crate::group::{Group, PATIENCE, eventually, rep, wait};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output};

pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn status(group: &Group, at: usize) -> (Option<i32>, String, String) {
    run(rep().args(["status", &group.addresses[at]]))
}

#[test]
fn status_tells_by_its_exit_code_whether_there_is_a_master() {
    let mut group = Group::new(3);
    let (code, _, stderr) = status(&group, 0);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("cannot connect"), "{stderr}");

    group.start(0);
    let (code, stdout, _) = status(&group, 0);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("none known") && stdout.contains("problem"), "{stdout}");

    group.start(1);
    group.start(2);
    group.master();
    for at in 0..3 {
        eventually("a master within reach", || (status(&group, at).0 == Some(0)).then_some(()));
    }
    let (_, stdout, _) = run(rep().args(["status", "--json", &group.addresses[1]]));
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["group_name"], &report["me"]["name"]), (&"bank".into(), &"n2".into()));
    assert_eq!(report["members"].as_array().unwrap().len(), 3);
}

#[test]
fn sigterm_is_an_orderly_end() {
    let mut group = Group::running(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "v");
    let mut connection = group.connect(master);
    for at in 0..3 {
        let status = group.terminate(at);
        assert_eq!(status.code(), Some(0), "{status}");
    }
    // Whoever is still connected is told that nobody is there any more.
    assert!(redis::cmd("PING").query::<()>(&mut connection).is_err());
    (0..3).for_each(|at| group.start(at));
    assert_eq!(group.get("k").as_deref(), Some("v"));
}

#[test]
fn port_0_is_any_free_one_and_is_told() {
    let group = Group::new(1);
    let mut command = group.serve(0);
    command.args(["--listen", "127.0.0.1:0", "--resp", "localhost:0", "--store", "memory"]);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (members, resp) =
        line.trim().strip_prefix("listening on ").unwrap().split_once(", resp on ").unwrap();
    let (code, stdout, _) = eventually("an answer", || {
        Some(run(rep().args(["status", members]))).filter(|(code, _, _)| *code == Some(0))
    });
    assert_eq!(code, Some(0), "{stdout}");
    assert!(!resp.ends_with(":0"), "{resp}");
    let mut connection = crate::group::connect(resp).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let () = redis::cmd("PING").query(&mut connection).unwrap();
    // The pipe that a parent holds closes when the parent dies.
    drop(child.stdin.take());
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
pub(crate) fn what_would_be_open_to_everybody_has_to_be_asked_for() {
    let group = Group::new(3);
    let (code, _, stderr) = run(group.serve(0).args(["--resp", "0.0.0.0:0"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--resp-allow-plaintext"), "{stderr}");
    let (code, _, stderr) = run(group.serve(0).args(["--listen", "0.0.0.0:0"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("allow_plaintext"), "{stderr}");
    // Nor is anybody elsewhere asked in the clear.
    let (code, _, stderr) = run(rep().args(["status", "192.0.2.1:9"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("allow_plaintext"), "{stderr}");
}

#[test]
pub(crate) fn what_cannot_work_is_refused_before_anything_runs() {
    let group = Group::new(3);
    let (code, _, stderr) = run(group.serve(0).args(["--resp-advertise", "a:1"]));
    assert_eq!(code, Some(1), "{stderr}");
    for transport in ["tls", "quic"] {
        let (code, _, stderr) = run(group.serve(0).args(["--transport", transport]));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("need certificates"), "never in the clear instead: {stderr}");
    }
    let (code, _, stderr) = run(group.serve(0).args(["--transport", "pigeon"]));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("tcp, tls, quic"), "{stderr}");
    let (code, _, stderr) = run(group.serve(0).args(["--advertise", "elsewhere:1"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("advertise"), "{stderr}");
}
