//! How long things may take. Two groups differ in one option: what the one has done, the other has not.

use super::{NEVER, SHORT, Weather, begin_put, group, under};
use crate::world::{Net, World, eventually, put, steady, view_at};
use rep_env::config::{Limits, RepConfigBuilder, Timing};
use rep_env::store::{Entry, StateMachine, StoreError};
use rep_env::{
    CommitToken, Consistency, Durability, Error, LogPoint, NodeState, RepConfig,
    ReplicatedEnvironment, SyncClass, Term, Vlsn,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A silence that is longer than all that a test does from the last contact on.
const LONG: Duration = Duration::from_secs(60);

/// Nobody is given up for being slow.
fn calm(timing: &mut Timing) {
    steady(timing);
    timing.disk_stall = NEVER;
    timing.ack_timeout = NEVER;
}

/// A calm group of two that differs from others in what `tune` does, its master, and the weather it lives in.
fn pair(tune: impl Fn(&mut Timing, &mut Limits)) -> (World, ReplicatedEnvironment, Arc<Weather>) {
    let (world, weather) = group(2, |timing, limits| {
        calm(timing);
        tune(timing, limits);
    });
    world.put("alice", "0");
    let master = world.env(world.master()).clone();
    (world, master, weather)
}

/// A node alone, writable.
fn alone(tune: impl Fn(&mut Timing, &mut Limits)) -> (World, ReplicatedEnvironment) {
    let (world, _) = group(1, tune);
    world.put("alice", "0");
    let env = world.env(0).clone();
    (world, env)
}

/// Does something that is to wait, in a thread of its own.
fn waiting<T: Send + 'static>(
    env: &ReplicatedEnvironment,
    wait: impl FnOnce(&ReplicatedEnvironment) -> T + Send + 'static,
) -> JoinHandle<T> {
    let env = env.clone();
    thread::spawn(move || wait(&env))
}

/// What waits still does; it ends when its environment does.
fn still_waits<T>(env: &ReplicatedEnvironment, waiter: JoinHandle<T>) {
    assert!(!waiter.is_finished(), "it did not wait");
    env.close().unwrap();
    waiter.join().unwrap();
}

fn frames_sent(env: &ReplicatedEnvironment) -> u64 {
    env.stats().replicas.iter().map(|replica| replica.frames_sent).sum()
}

#[test]
pub(super) fn a_master_says_that_it_is_there_as_often_as_told() {
    let of = |heartbeat| pair(move |timing, _| timing.heartbeat = heartbeat);
    let (rarely, often) = (of(Duration::from_secs(1)), of(Duration::from_millis(2)));
    let (begun, rare) = (frames_sent(&often.1), frames_sent(&rarely.1));
    eventually("many heartbeats", || (frames_sent(&often.1) >= begun + 200).then_some(()));
    assert!(frames_sent(&rarely.1) < rare + 100);
}

#[test]
pub(super) fn a_master_that_hears_nobody_goes_on_as_long_as_told() {
    let of = |timeout| pair(move |timing, _| timing.election_timeout = timeout);
    let (never, soon) = (of(LONG), of(Duration::from_millis(400)));
    never.2.cut();
    soon.2.cut();
    eventually("an end", || (soon.1.state() != NodeState::Master).then_some(()));
    assert_eq!(never.1.state(), NodeState::Master);
}

#[test]
pub(super) fn a_round_that_is_not_answered_is_tried_again_as_soon_as_told() {
    // Members that never heard of each other but for their Hello: each asks whether it may found the group.
    let of = |round| {
        let (mut world, weather) = (World::new(Net::Memory, 2), Arc::new(Weather::default()));
        weather.cut();
        for at in 0..2 {
            let config = under(&weather, &mut world, at).tune(|timing, _| {
                timing.election_timeout = Duration::from_secs(1);
                timing.round_timeout = round;
            });
            world.open_as(at, config.build().unwrap());
        }
        world
    };
    let (never, soon) = (of(NEVER), of(Duration::from_millis(5)));
    eventually("many rounds", || (frames_sent(soon.env(0)) >= 200).then_some(()));
    let asked = frames_sent(never.env(0));
    assert!(asked < 60, "{asked}, most of them pings");
}

#[test]
pub(super) fn a_master_whose_writes_stay_behind_goes_on_as_long_as_told() {
    let of = |stall| pair(move |timing, _| timing.disk_stall = stall);
    let (never, soon) = (of(NEVER), of(Duration::from_secs(3)));
    for (_, master, weather) in [&never, &soon] {
        weather.cut_streams();
        drop(begin_put(master, b"1").unwrap());
    }
    eventually("an end", || (soon.1.state() != NodeState::Master).then_some(()));
    assert_eq!(never.1.state(), NodeState::Master);
}

#[test]
pub(super) fn what_asked_for_no_sync_waits_for_one_as_long_as_told() {
    let (_soon_world, soon) = alone(|timing, _| timing.sync_interval = Duration::from_millis(5));
    let (_never_world, never) = alone(|timing, _| {
        timing.disk_stall = NEVER;
        timing.sync_interval = NEVER / 2;
    });
    let weak = |env: &ReplicatedEnvironment| {
        let mut txn = env.begin().unwrap();
        txn.put(&env.database("accounts"), b"alice", b"1").unwrap();
        let durability = Durability::default().local(SyncClass::NoSync).replica(SyncClass::NoSync);
        txn.commit_with(durability).unwrap().wait().unwrap()
    };
    let (unsynced, synced) = (weak(&never), weak(&soon));
    // What is not synced is not durable, and shows in no read.
    let waiter = waiting(&never, move |env| env.read(Consistency::AtLeast(unsynced)).wait().err());
    view_at(&soon, synced);
    still_waits(&never, waiter);
}

/// A node whose only companion is not there: how often it dials.
fn lonely(min: Duration, max: Duration) -> (World, ReplicatedEnvironment) {
    let mut world = World::new(Net::Memory, 2);
    let config = world.config(0).tune(|timing, _| {
        timing.redial_min = min;
        timing.redial_max = max;
    });
    let env = world.open_as(0, config.build().unwrap());
    (world, env)
}

fn dials_of(soon: &ReplicatedEnvironment, late: &ReplicatedEnvironment, few: u64) {
    eventually("many dials", || (soon.stats().dials >= 200).then_some(()));
    assert!(late.stats().dials < few, "{}", late.stats().dials);
}

#[test]
pub(super) fn the_first_pause_before_a_redial_is_as_long_as_told() {
    let (_late_world, late) = lonely(NEVER, NEVER);
    let (_soon_world, soon) = lonely(Duration::from_millis(1), Duration::from_millis(1));
    dials_of(&soon, &late, 10);
}

#[test]
pub(super) fn pauses_before_a_redial_grow_as_long_as_told() {
    let (_late_world, late) = lonely(Duration::from_millis(1), NEVER);
    let (_soon_world, soon) = lonely(Duration::from_millis(1), Duration::from_millis(2));
    dials_of(&soon, &late, 60);
}

#[test]
pub(super) fn a_dial_that_nobody_answers_is_given_up_as_soon_as_told() {
    // The other member's port is bound, and nobody ever looks at who calls.
    let silent = |patience| {
        let mut world = World::new(Net::Tcp, 2);
        let config = world.config(0).tune(|timing, _| timing.dial_timeout = patience);
        let env = world.open_as(0, config.build().unwrap());
        (world, env)
    };
    let (_never_world, never) = silent(NEVER);
    eventually("a dial", || (never.stats().dials > 0).then_some(()));
    let (_soon_world, soon) = silent(Duration::from_millis(20));
    eventually("dials given up", || (soon.stats().dials_failed >= 3).then_some(()));
    assert_eq!(never.stats().dials_failed, 0);
}

#[test]
pub(super) fn a_commit_waits_for_members_as_long_as_told() {
    let of = |patience| {
        pair(move |timing, _| {
            timing.replicas_wait = patience;
            timing.election_timeout = LONG;
        })
    };
    let left = |(mut world, master, _): (World, ReplicatedEnvironment, Arc<Weather>)| {
        world.leave_alone(world.master());
        (world, master)
    };
    let (never, soon) = (of(NEVER), of(SHORT));
    let ((_never_world, never), (_soon_world, soon)) = (left(never), left(soon));
    let waiter = waiting(&never, |env| begin_put(env, b"2").err());
    let error = begin_put(&soon, b"2").unwrap_err();
    assert!(matches!(error, Error::InsufficientReplicas { .. }), "{error}");
    still_waits(&never, waiter);
}

#[test]
pub(super) fn a_commit_waits_for_room_as_long_as_told() {
    let of = |patience| {
        pair(move |timing, limits| {
            timing.busy_wait = patience;
            limits.overlay_bytes_max = 1 << 20;
        })
    };
    let (never, soon) = (of(NEVER), of(SHORT));
    let value = vec![7; 700 << 10];
    for (_, master, weather) in [&never, &soon] {
        weather.cut_streams();
        drop(begin_put(master, &value).unwrap());
    }
    let another = value.clone();
    let waiter = waiting(&never.1, move |env| begin_put(env, &another).err());
    let error = begin_put(&soon.1, &value).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    still_waits(&never.1, waiter);
}

#[test]
pub(super) fn a_logged_commit_waits_for_acknowledgements_as_long_as_told() {
    let of = |patience| pair(move |timing, _| timing.ack_timeout = patience);
    // The shorter one is long enough for a group to be founded on a slow disk.
    let (never, soon) = (of(NEVER), of(Duration::from_secs(2)));
    never.2.cut_streams();
    let pending = begin_put(&never.1, b"1").unwrap();
    soon.2.cut_streams();
    let error = begin_put(&soon.1, b"1").unwrap().wait().unwrap_err();
    assert!(matches!(error, Error::InsufficientAcks { .. }), "{error}");
    assert!(pending.outcome().is_none());
}

#[test]
pub(super) fn a_read_waits_as_long_as_told() {
    let of = |patience| alone(move |timing, _| timing.read_timeout = patience);
    let ((_never_world, never), (_soon_world, soon)) = (of(NEVER), of(SHORT));
    let read_ahead = |env: &ReplicatedEnvironment| {
        let last = *env.vlsn_range().unwrap().end();
        let ahead = LogPoint::new(Term::new(1), Vlsn::new(last.get() + 1000));
        let token = CommitToken::new(env.group().unwrap(), ahead);
        env.read(Consistency::AtLeast(token)).wait().err()
    };
    let waiter = waiting(&never, read_ahead);
    let error = read_ahead(&soon).unwrap();
    assert!(matches!(error, Error::ReadTimeout { .. }), "{error}");
    still_waits(&never, waiter);
}

#[test]
pub(super) fn a_transaction_waits_for_its_turn_as_long_as_told() {
    let of = |patience| {
        alone(move |timing, _| {
            timing.begin_timeout = patience;
            timing.txn_timeout = NEVER;
        })
    };
    let ((_never_world, never), (_soon_world, soon)) = (of(NEVER), of(SHORT));
    let (_held, _also_held) = (never.begin().unwrap(), soon.begin().unwrap());
    let waiter = waiting(&never, |env| env.begin().err());
    let error = soon.begin().unwrap_err();
    assert!(matches!(error, Error::BeginTimeout { .. }), "{error}");
    still_waits(&never, waiter);
}

#[test]
pub(super) fn a_transaction_holds_the_turn_as_long_as_told() {
    let of = |hold| {
        alone(move |timing, _| {
            timing.txn_timeout = hold;
            timing.begin_timeout = if hold == NEVER { SHORT } else { NEVER };
        })
    };
    let ((_never_world, never), (_soon_world, soon)) = (of(NEVER), of(SHORT));
    let (held, expired) = (never.begin().unwrap(), soon.begin().unwrap());
    drop(soon.begin().unwrap());
    assert!(matches!(expired.commit(), Err(Error::TxnExpired { .. })));
    assert!(matches!(never.begin(), Err(Error::BeginTimeout { .. })));
    held.commit().unwrap().wait().unwrap();
}

#[test]
pub(super) fn the_store_is_made_durable_as_often_as_told() {
    let of = |interval| {
        let (world, env) = alone(move |timing, _| timing.checkpoint_interval = interval);
        put(&env, "alice", "1").unwrap();
        (world, env)
    };
    let ((_never_world, never), (_soon_world, soon)) = (of(NEVER), of(Duration::from_millis(5)));
    let begun = never.stats().checkpoints;
    eventually("checkpoints", || (soon.stats().checkpoints >= 1).then_some(()));
    assert_eq!(never.stats().checkpoints, begun);
}

/// A machine that is stuck until it is let go.
struct Stuck {
    applied: LogPoint,
    begun: Arc<AtomicBool>,
    go: Arc<AtomicBool>,
}

impl StateMachine for Stuck {
    type Reader = ();
    type Output = ();

    fn reader(&self) {}

    fn applied(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, batch: &[Entry], _results: &mut Vec<()>) -> Result<(), StoreError> {
        self.begun.store(true, Ordering::SeqCst);
        while !self.go.load(Ordering::SeqCst) {
            thread::park_timeout(Duration::from_millis(1));
        }
        self.applied = batch.last().expect("never empty").point;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        Ok(self.applied)
    }

    fn snapshot(&self) -> Result<Box<dyn rep_env::store::Snapshot>, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }

    fn install(
        &mut self,
        _chunks: &mut rep_env::store::state_machine::Chunks<'_>,
    ) -> Result<LogPoint, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }

    fn digest(&self) -> Result<rep_env::store::Digest, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }
}

#[test]
pub(super) fn a_close_waits_for_the_threads_as_long_as_told() {
    let go = Arc::new(AtomicBool::new(false));
    let open = |patience| {
        let hub = rep_env::net::mem::Hub::default();
        let begun = Arc::new(AtomicBool::new(false));
        let stuck = Arc::clone(&begun);
        let machine = Stuck { applied: LogPoint::NULL, begun, go: Arc::clone(&go) };
        let config: RepConfigBuilder = RepConfig::builder("bank", "n1").members(["n1=here"]);
        let config = config.ephemeral().transport(hub.transport());
        let config = config.tune(|timing, _| timing.close_timeout = patience).build().unwrap();
        let env = ReplicatedEnvironment::open_with(config, machine).unwrap();
        eventually("an entry that is being applied", || stuck.load(Ordering::SeqCst).then_some(()));
        env
    };
    let (never, soon) = (open(NEVER), open(SHORT));
    let closing = thread::spawn(move || never.close());
    let error = soon.close().unwrap_err();
    assert!(matches!(error, Error::CloseTimeout { .. }), "{error}");
    assert!(!closing.is_finished());
    go.store(true, Ordering::SeqCst);
    closing.join().unwrap().unwrap();
    eventually("an end", || soon.close().ok());
}

#[test]
pub(super) fn the_log_is_kept_for_a_member_that_is_away_as_long_as_told() {
    let of = |age| super::memory::first_kept(move |timing, _| timing.log_retention = age);
    let ((_long_world, long), (_short_world, short)) = (of(NEVER), of(Duration::ZERO));
    eventually("a cleaning", || (short() > 1).then_some(()));
    assert_eq!(long(), 1);
}

#[test]
pub(super) fn another_source_is_asked_when_one_is_silent_for_as_long_as_told() {
    let of = |patience| {
        let (world, weather) = group(3, |timing, _| {
            steady(timing);
            timing.restore_timeout = patience;
        });
        let (master, replica) = (world.master(), world.replica());
        weather.cut_copies();
        let env = world.env(replica).clone();
        let before = env.stats().dials;
        env.restore_from(world.env(master).name()).unwrap();
        (world, move || env.stats().dials - before)
    };
    let ((_patient_world, patient), (_short_world, short)) = (of(NEVER), of(SHORT));
    eventually("another attempt", || (short() > 1).then_some(()));
    assert!(patient() <= 1);
}

/// A copy is given so slowly that more is written meanwhile than is kept for anybody.
#[test]
pub(super) fn writers_are_slowed_down_for_a_straggler_as_told() {
    let of = |patience| {
        let (world, _) = group(3, |timing, limits| {
            steady(timing);
            timing.straggler_patience = patience;
            limits.log_retention_bytes = 1 << 20;
            limits.restore_bytes_per_s = 64 << 10;
        });
        let (env, taker) = (world.env(world.master()).clone(), world.env(world.replica()).clone());
        let value = "x".repeat(900 << 10);
        // Chunks enough for the rate to be felt: a message goes whole.
        for name in ["alice", "bob", "carol", "dave"] {
            put(&env, name, &value).unwrap();
        }
        taker.restore_from(env.name()).unwrap();
        eventually("a copy that is given", || (env.stats().restores_given > 0).then_some(()));
        put(&env, "alice", &value).unwrap();
        (world, move || try_put(&env))
    };
    let ((_patient_world, patient), (_hasty_world, hasty)) = (of(NEVER), of(Duration::ZERO));
    let waits = |answer| matches!(answer, Err(Error::Paced { .. }));
    eventually("a refusal", || waits(patient()).then_some(()));
    assert!((0..20).all(|_| !waits(hasty())));
}

/// A commit that does not wait.
fn try_put(env: &ReplicatedEnvironment) -> Result<(), Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), b"eve", &[7; 64 << 10])?;
    txn.try_commit_with(Durability::default()).map(|_| ())
}
