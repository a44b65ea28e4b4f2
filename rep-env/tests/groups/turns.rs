//! Whose turn it is, for how long, and what those are told who have to wait for it.

use crate::world::{Net, PATIENCE, World, get, put, view_at};
use rep_env::config::Timing;
use rep_env::{Error, ReplicatedEnvironment};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);
const HOUR: Duration = Duration::from_secs(3600);

fn alone(tune: impl FnOnce(&mut Timing)) -> (World, ReplicatedEnvironment) {
    let mut world = World::new(Net::Memory, 1);
    let config = world.config(0).tune(|timing, _| tune(timing)).build().unwrap();
    let env = world.open_as(0, config);
    world.put("alice", "0");
    (world, env)
}

/// Begins a transaction in a thread of this name; it is held until the other end says so, which may be by dropping it.
fn holder(
    env: &ReplicatedEnvironment,
    name: &str,
) -> (mpsc::SyncSender<()>, thread::JoinHandle<()>) {
    let (go, gone) = mpsc::sync_channel(0);
    let (held, holding) = mpsc::sync_channel(0);
    let env = env.clone();
    let hold = move || {
        let mut txn = env.begin().unwrap();
        txn.put(&env.database("accounts"), b"alice", b"forgotten").unwrap();
        held.send(()).unwrap();
        let _ = gone.recv();
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(hold).unwrap();
    holding.recv().unwrap();
    (go, thread)
}

#[test]
fn who_waits_too_long_is_told_who_holds_the_turn_and_for_how_long() {
    let (_world, env) = alone(|timing| {
        timing.begin_timeout = SHORT;
        timing.txn_timeout = HOUR;
    });
    let (go, holder) = holder(&env, "the-bookkeeper");
    let first = env.begin().unwrap_err();
    let Error::BeginTimeout { waited, holder: name, age } = &first else { panic!("{first}") };
    assert_eq!((&**name, *waited >= SHORT, *age >= SHORT), ("the-bookkeeper", true, true));
    assert!(first.to_string().contains("the-bookkeeper"), "{first}");
    let second = env.try_begin().unwrap_err();
    let Error::TurnTaken { holder: name, age: later } = &second else { panic!("{second}") };
    assert!(name == "the-bookkeeper" && later >= age, "it has grown older: {second}");
    drop(go);
    holder.join().unwrap();
    env.try_begin().unwrap().abort();
}

/// It ends as a `?` ends it, or a panic: nothing happened, and who waited is next, long before anything runs out.
#[test]
fn a_dropped_transaction_has_no_effect_and_frees_the_turn() {
    let (world, env) = alone(|timing| {
        timing.begin_timeout = HOUR;
        timing.txn_timeout = HOUR;
    });
    let before = env.vlsn_range();
    let (go, holder) = holder(&env, "forgetful");
    let waiter = {
        let env = env.clone();
        thread::spawn(move || put(&env, "bob", "1"))
    };
    drop(go);
    holder.join().unwrap();
    let token = waiter.join().unwrap().unwrap();
    let view = view_at(&env, token);
    assert_eq!(get(&view, "alice").as_deref(), Some("0"));
    let before = before.unwrap().end().get();
    assert_eq!(env.vlsn_range().unwrap().end().get(), before + 1, "only bob's was logged");
    let panicked = thread::scope(|scope| {
        let panics = || {
            let _txn = env.begin().unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        };
        scope.spawn(panics).join().is_err()
    });
    assert!(panicked);
    world.put("bob", "2");
}

/// The holder learns of it at its next step, whatever that is, and nothing of what it wrote is ever seen.
#[test]
fn an_expired_transaction_says_so_at_every_step_and_has_no_effect() {
    let timeout = Duration::from_millis(400);
    let (world, env) = alone(|timing| timing.txn_timeout = timeout);
    let accounts = env.database("accounts");
    let mut expired = crate::world::eventually("a step in time", || {
        let mut txn = env.begin().ok()?;
        txn.put(&accounts, b"alice", b"expired").ok()?;
        Some(txn)
    });
    // The turn goes to the next in line when the time is up, and no sooner.
    let token = world.put("bob", "1");
    let told = Error::TxnExpired { timeout };
    assert_eq!(expired.get(&accounts, b"alice").unwrap_err(), told);
    assert_eq!(expired.range(&accounts, ..).err(), Some(told.clone()));
    assert_eq!(expired.put(&accounts, b"alice", b"late").unwrap_err(), told);
    assert_eq!(expired.delete(&accounts, b"alice").unwrap_err(), told);
    assert_eq!(expired.commit().unwrap_err(), told);
    assert_eq!(get(&view_at(&env, token), "alice").as_deref(), Some("0"));
}

/// One that nobody waits behind has expired all the same: otherwise it would depend on others whether a commit counts.
#[test]
fn a_transaction_expires_though_nobody_waits_for_its_turn() {
    let (_world, env) = alone(|timing| timing.txn_timeout = Duration::from_millis(1));
    let mut txn = env.begin().unwrap();
    let accounts = env.database("accounts");
    crate::world::eventually("its time", || txn.put(&accounts, b"alice", b"1").err());
    assert!(matches!(txn.commit(), Err(Error::TxnExpired { .. })));
    // Whether the next one is in time is not what is asked here.
    crate::world::eventually("a commit in time", || put(&env, "alice", "2").ok());
}

#[test]
fn whoever_waits_for_the_turn_when_the_environment_closes_is_told() {
    let (_world, env) = alone(|timing| {
        timing.begin_timeout = HOUR;
        timing.txn_timeout = HOUR;
    });
    let (go, holder) = holder(&env, "holder");
    let (tell, told) = mpsc::sync_channel(4);
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let (env, tell) = (env.clone(), tell.clone());
            thread::spawn(move || tell.send(env.begin().map(drop)).unwrap())
        })
        .collect();
    env.close().unwrap();
    (0..4).for_each(|_| assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Err(Error::Closed)));
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    drop(go);
    holder.join().unwrap();
}
