//! What has rotted is met by whoever reads it, before any scrub comes there, or where there is none.

use super::*;
use rep_env::net::mem::Hub;
use rep_env::shipping::segments::{Segment, SegmentSink, ShardId};
use rep_env::store::state_machine::Chunks;
use rep_env::store::{Digest, Entry, Snapshot, StateMachine, StoreError};
use rep_env::{GroupId, LogPoint, RepConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// What is found here, a reader has found.
pub(super) fn unscrubbed(timing: &mut Timing, limits: &mut Limits) {
    scrubbed(timing, limits);
    limits.scrub_bytes_per_s = 0;
}

fn assert_silent(env: &ReplicatedEnvironment) {
    let found = eventually("damage that is found", || env.damage_found());
    assert!(found.starts_with("log: entry "), "{found}");
    eventually("silence", || (env.state() == NodeState::Shutdown).then_some(()));
    let refused = env.begin().map(drop).unwrap_err();
    let is_said = |reason: &str| reason.starts_with("damage was found: log: entry ");
    assert!(matches!(&refused, Error::Halted { reason } if is_said(reason)), "{refused}");
    assert_eq!((env.stats().damage_found, env.stats().scrubs), (1, 0));
}

/// A master went on reigning, and counted itself for what it could not send, while the newcomer dialled it again and again.
#[test]
fn a_master_that_cannot_feed_what_has_rotted_falls_silent_and_another_one_feeds() {
    let mut world = World::new(Net::Memory, 4);
    let config = world.own_config(0).bootstrap().tune(unscrubbed).build().unwrap();
    world.open_as(0, config).wait_for_master(PATIENCE).unwrap();
    for at in [1, 2] {
        let config = world.own_config(at).join([world.address(0)]).tune(unscrubbed);
        let config = config.build().unwrap();
        world.open_as(at, config);
        world.wait_for(at, MemberType::Electable);
    }
    fill(&world);
    let at = world.master();
    flip_a_bit(&world.home(at));
    let helper = world.address((at + 1) % 3);
    let config = world.own_config(3).join([helper.clone()]).tune(unscrubbed).build().unwrap();
    world.open_as(3, config);
    assert_silent(&world.env(at).clone());
    world.wait_for(3, MemberType::Electable);
    world.close(at);
    let config = world.own_config(at).join([helper]).tune(unscrubbed).build().unwrap();
    world.open_as(at, config);
    world.wait_for_another(at, 4);
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
    assert!(world.home(at).join("damaged-1/identity").exists());
}

/// Takes what it is given, and has none of it.
struct Nowhere;

impl SegmentSink for Nowhere {
    type Error = String;

    fn acknowledged(&mut self, _: GroupId, _: ShardId) -> Result<LogPoint, String> {
        Ok(LogPoint::NULL)
    }

    fn take(&mut self, _: &Segment) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_member_that_cannot_ship_what_has_rotted_falls_silent() {
    let world = World::tuned(Net::Memory, 3, unscrubbed);
    fill(&world);
    let at = world.replica();
    flip_a_bit(&world.home(at));
    let env = world.env(at);
    let _shipment = env.ship_to("nowhere", Nowhere).unwrap();
    assert_silent(env);
    world.put("meanwhile", "writing goes on");
}

/// Applies only while it may.
#[derive(Default)]
struct Gated {
    applied: LogPoint,
    shut: Arc<AtomicBool>,
}

impl StateMachine for Gated {
    type Reader = ();
    type Output = ();

    fn reader(&self) {}

    fn applied(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, batch: &[Entry], results: &mut Vec<()>) -> Result<(), StoreError> {
        eventually("a gate that opens", || (!self.shut.load(Ordering::SeqCst)).then_some(()));
        let before = self.applied.vlsn;
        for entry in batch.iter().filter(|entry| entry.point.vlsn > before) {
            self.applied = entry.point;
            results.extend((entry.kind == rep_vlsn::Kind::Data).then_some(()));
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        Ok(LogPoint::NULL)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }

    fn install(&mut self, _chunks: &mut Chunks<'_>) -> Result<LogPoint, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }

    fn digest(&self) -> Result<Digest, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }
}

type Member = (ReplicatedEnvironment<Gated>, Arc<AtomicBool>);

fn gated(dir: &TempDir) -> Vec<Member> {
    let hub = Hub::default();
    let open = |number: usize| {
        let config = RepConfig::builder("gates", format!("n{number}"))
            .members(["n1=a", "n2=b", "n3=c"])
            .transport(hub.transport())
            .tune(unscrubbed)
            .tune(|timing, _| steady(timing))
            .home(dir.path().join(number.to_string()));
        let machine = Gated::default();
        let shut = Arc::clone(&machine.shut);
        (ReplicatedEnvironment::open_with(config.build().unwrap(), machine).unwrap(), shut)
    };
    (1..=3).map(open).collect()
}

/// It was called a failure of the store, and nobody came back from that.
#[test]
fn a_member_that_cannot_apply_what_has_rotted_says_that_its_log_is_damaged() {
    let dir = TempDir::new().unwrap();
    let group = gated(&dir);
    let state_of = |env: &ReplicatedEnvironment<Gated>| env.state();
    let at = eventually("a follower", || {
        let led = group.iter().any(|(env, _)| state_of(env) == NodeState::Master);
        group.iter().position(|(env, _)| led && state_of(env) == NodeState::Replica)
    });
    let (env, shut) = &group[at];
    shut.store(true, Ordering::SeqCst);
    let write = || {
        eventually("a write", || {
            let master = group.iter().find(|(env, _)| state_of(env) == NodeState::Master)?;
            master.0.replicate(&[b'x'; 100 << 10][..]).ok()?.wait().ok().map(drop)
        });
    };
    (0..40).for_each(|_| write());
    // More than is read at once lies between what it stands at and the last full file.
    let home = dir.path().join((at + 1).to_string());
    let rotten = eventually("full files", || {
        let files = files(&home);
        (files.len() > 3).then(|| files[files.len() - 2].clone())
    });
    flip_a_bit_of(&rotten);
    shut.store(false, Ordering::SeqCst);
    let found = eventually("damage that is found", || env.damage_found());
    assert!(found.starts_with("log: entry "), "{found}");
    let halted = eventually("the halt", || match env.replicate(&[1]) {
        Err(Error::Halted { reason }) => Some(reason),
        _ => None,
    });
    assert_eq!(halted, format!("damage was found: {found}"));
    write();
    group.iter().for_each(|(env, _)| env.close().unwrap());
}
