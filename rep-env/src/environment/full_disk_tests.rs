//! A disk that has no space for another file of the log, and has some again.

use super::*;
use crate::CommitToken;
use crate::runtime::start_on;
use rep_net::mem::Hub;
use rep_vlsn::disk::mem::MemDisk;
use std::thread;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

/// A group of three on disks in memory.
fn group() -> Vec<(ReplicatedEnvironment, MemDisk)> {
    group_of(&["n1=a", "n2=b", "n3=c"])
}

fn group_of(members: &[&str]) -> Vec<(ReplicatedEnvironment, MemDisk)> {
    let hub = Hub::default();
    let open = |number: usize| {
        let config = RepConfig::builder("bank", format!("n{number}"))
            .members(members.iter().copied())
            .transport(hub.transport())
            .home("(memory)")
            .store(crate::StoreKind::Memory)
            .tune(|_, limits| limits.segment_bytes = 1 << 20);
        let disk = MemDisk::new();
        let config = config.build().unwrap();
        let path = "(memory)".into();
        let started = start_on(disk.clone(), path, config, runtime::databases, None).unwrap();
        (ReplicatedEnvironment::of(started), disk)
    };
    (1..=members.len()).map(open).collect()
}

/// Looks until there is something to see.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Some(seen) => return seen,
            None => assert!(start.elapsed() < PATIENCE, "{what} did not come"),
        }
        thread::park_timeout(Duration::from_millis(2));
    }
}

fn put(env: &ReplicatedEnvironment, value: &[u8]) -> Result<CommitToken, Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), b"alice", value)?;
    txn.commit()?.wait()
}

fn master(group: &[(ReplicatedEnvironment, MemDisk)]) -> usize {
    eventually("a master", || group.iter().position(|(env, _)| env.state() == NodeState::Master))
}

#[test]
fn a_master_whose_disk_is_full_gives_its_place_and_is_a_member_again_when_there_is_space() {
    let group = group();
    let full = master(&group);
    let (env, disk) = &group[full];
    disk.fill(true);
    let value = vec![7; 200 << 10];
    // What its present file has no room for is not acknowledged here.
    eventually("another master", || {
        let _ = put(env, &value);
        (env.state() != NodeState::Master).then_some(())
    });
    let token =
        eventually("a write elsewhere", || put(&group[master(&group)].0, b"elsewhere").ok());
    assert_ne!(master(&group), full);
    assert!(env.read(Consistency::None).wait().is_ok(), "what is there can be read");
    disk.fill(false);
    let view = eventually("the write", || env.read(Consistency::AtLeast(token)).wait().ok());
    let alice = view.get(&env.database("accounts"), b"alice").unwrap();
    assert_eq!(alice.as_deref(), Some(&b"elsewhere"[..]));
    group.iter().for_each(|(env, _)| env.close().unwrap());
}

/// It was told "no master is known, try again", of which it can make nothing.
#[test]
fn who_writes_at_a_member_whose_disk_is_full_is_told_of_the_disk() {
    let group = group_of(&["n1=a"]);
    let (env, disk) = &group[master(&group)];
    disk.fill(true);
    let value = vec![7; 200 << 10];
    let refused = eventually("a refusal", || match put(env, &value) {
        Err(error @ Error::DiskFull) => Some(error),
        Ok(_) | Err(_) => None,
    });
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    let order = env.remove_member("n1", PATIENCE, false).unwrap_err();
    assert_eq!(order, Error::DiskFull);
    disk.fill(false);
    eventually("a write", || put(env, b"again").ok());
    env.close().unwrap();
}
