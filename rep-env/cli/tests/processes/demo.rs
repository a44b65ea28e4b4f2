//! The demonstration, as a newcomer runs it.

use crate::group::{eventually, rep, send, wait};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// Processes, or threads; nothing is lost and nothing is left behind.
fn run(transport: &str) {
    let place = TempDir::new().unwrap();
    let mut command = rep();
    command.args(["demo", "--json", "--transport", transport]).env("TMPDIR", place.path());
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let outcome: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&outcome["writes_lost"], &outcome["converged"]), (&0.into(), &true.into()));
    assert!(outcome["writes_acked"].as_u64().unwrap() > 1000, "{outcome}");
    let failovers = outcome["failovers"].as_array().unwrap();
    assert!(failovers.len() >= 2);
    assert!(failovers.iter().all(|failover| failover["killed"] != failover["master"]));
    let nodes = outcome["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(|node| node["digest"] == nodes[0]["digest"]));
    assert_empty(place.path());
}

#[test]
fn the_demo_of_processes_loses_nothing() {
    run("tcp");
}

#[cfg(feature = "tls")]
#[test]
fn the_demo_over_tls_loses_nothing() {
    run("tls");
}

#[cfg(feature = "quic")]
#[test]
fn the_demo_over_quic_loses_nothing() {
    run("quic");
}

#[test]
fn the_demo_of_threads_loses_nothing() {
    run("memory");
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let place = TempDir::new().unwrap();
    let (mut demo, addresses) = begin(place.path());
    send(&demo, Signal::INT);
    assert_eq!(wait(&mut demo).code(), Some(1));
    assert_empty(place.path());
    assert_gone(&addresses);
}

#[test]
fn the_members_of_a_demo_that_is_killed_end_too() {
    let place = TempDir::new().unwrap();
    let (mut demo, addresses) = begin(place.path());
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert_gone(&addresses);
}

/// A demo that has come as far as having members; where those listen.
fn begin(place: &Path) -> (Child, Vec<String>) {
    let mut command = rep();
    command.arg("demo").env("TMPDIR", place).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut demo = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(demo.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let addresses: Vec<String> = line
        .split(['=', ',', '\n'])
        .filter(|word| word.starts_with("127."))
        .map(str::to_owned)
        .collect();
    assert_eq!(addresses.len(), 3, "{line}");
    eventually("members that listen", || {
        addresses.iter().all(|address| TcpStream::connect(address).is_ok()).then_some(())
    });
    (demo, addresses)
}

fn assert_gone(addresses: &[String]) {
    eventually("the end of the members", || {
        addresses.iter().all(|address| TcpStream::connect(address).is_err()).then_some(())
    });
}

fn assert_empty(place: &Path) {
    let left: Vec<_> = place.read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
