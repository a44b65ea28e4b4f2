use crate::world::{BOTH, Net, PATIENCE, World, put};
use rep_env::store::{Entry, StateMachine, StoreError};
use rep_env::{Consistency, Error, LogPoint, NodeState, RepConfig, ReplicatedEnvironment};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn after_close_everything_says_closed() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        world.put("alice", "1");
        let env = world.env(0).clone();
        world.close(0);
        env.close().unwrap();
        assert_eq!(env.state(), NodeState::Shutdown);
        assert_eq!(env.begin().unwrap_err(), Error::Closed);
        assert_eq!(env.try_begin().unwrap_err(), Error::Closed);
        for consistency in [Consistency::None, Consistency::Linearizable] {
            assert_eq!(env.read(consistency).wait().unwrap_err(), Error::Closed);
        }
        assert_eq!(env.wait_for_master(PATIENCE).unwrap_err(), Error::Closed);
        assert_eq!(env.stats().commits_failed, 0);
    }
}

#[test]
fn closing_under_load_resolves_every_handle() {
    for world in World::both_steady() {
        world.put("alice", "0");
        let env = world.env(world.master()).clone();
        let (begun, many_begun) = mpsc::sync_channel(100);
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (env, begun) = (env.clone(), begun.clone());
                thread::spawn(move || {
                    let mut handles = Vec::new();
                    loop {
                        let committed = env.begin().and_then(|mut txn| {
                            txn.put(&env.database("accounts"), b"alice", b"1")?;
                            txn.commit()
                        });
                        match committed {
                            Ok(handle) => handles.push(handle),
                            Err(error) => return (handles, error),
                        }
                        let _ = begun.try_send(());
                    }
                })
            })
            .collect();
        (0..100).for_each(|_| many_begun.recv().unwrap());
        env.close().unwrap();
        for writer in writers {
            let (handles, error) = writer.join().unwrap();
            assert!(matches!(error, Error::Closed | Error::NotMaster { .. }), "{error}");
            for handle in handles {
                match handle.wait_for(PATIENCE).expect("every handle is resolved") {
                    Ok(_)
                    | Err(
                        Error::Closed | Error::NotMaster { .. } | Error::InsufficientAcks { .. },
                    ) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn members_that_close_while_they_meet_leave_nothing_behind() {
    for net in BOTH {
        let mut world = World::new(net, 3);
        for round in 0..10 {
            (0..3).for_each(|at| drop(world.open(at)));
            // Each round ends at another moment of their acquaintance.
            crate::world::eventually("a few steps", || {
                (world.env(0).stats().steps >= round).then_some(())
            });
            (0..3).for_each(|at| world.close(at));
        }
    }
}

#[test]
fn the_last_handle_closes_and_frees_directory_and_port() {
    let mut world = World::running(Net::Tcp, 1);
    let token = world.put("alice", "1");
    let again = world.config(0).build().unwrap();
    let clone = world.env(0).clone();
    world.envs.clear();
    let locked = ReplicatedEnvironment::open(again).unwrap_err();
    assert!(matches!(locked, Error::Locked { .. }), "{locked}");
    drop(clone);
    world.envs.push(None);
    world.open(0);
    world.assert_everywhere(token, "alice", "1");
}

#[test]
fn a_transaction_that_is_open_when_the_environment_closes_is_told() {
    let world = World::running(Net::Memory, 1);
    world.put("alice", "1");
    let env = world.env(0);
    let mut txn = env.begin().unwrap();
    env.close().unwrap();
    assert_eq!(txn.put(&env.database("accounts"), b"alice", b"2"), Err(Error::Closed));
    assert_eq!(txn.commit().unwrap_err(), Error::Closed);
    assert_eq!(put(env, "alice", "3"), Err(Error::Closed));
}

/// Tries to close the environment that it belongs to, from within.
struct Suicidal {
    applied: LogPoint,
    env: Arc<Mutex<Option<ReplicatedEnvironment<Suicidal>>>>,
    told: mpsc::SyncSender<Result<(), Error>>,
}

impl StateMachine for Suicidal {
    type Reader = ();
    type Output = ();

    fn reader(&self) {}

    fn applied(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, batch: &[Entry], _results: &mut Vec<()>) -> Result<(), StoreError> {
        self.applied = batch.last().expect("never empty").point;
        // Waits for the handle, which its owner puts here as soon as it has it.
        loop {
            if let Some(env) = self.env.lock().unwrap().take() {
                let _ = self.told.send(env.close());
                // This may be the last handle: dropping it here must not wait for this very thread.
            }
            if Arc::strong_count(&self.env) == 1 {
                return Ok(());
            }
            thread::yield_now();
        }
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
fn closing_from_within_is_refused_and_the_last_drop_there_does_not_hang() {
    let (told, outcome) = mpsc::sync_channel(1);
    let place = Arc::new(Mutex::new(None));
    let machine = Suicidal { applied: LogPoint::NULL, env: Arc::clone(&place), told };
    let config = RepConfig::builder("bank", "n1").members(["n1=here"]).ephemeral();
    let hub = rep_env::net::mem::Hub::default();
    let config = config.transport(hub.transport()).build().unwrap();
    let env = ReplicatedEnvironment::open_with(config, machine).unwrap();
    let mut events = env.subscribe().states();
    *place.lock().unwrap() = Some(env);
    assert_eq!(outcome.recv().unwrap(), Err(Error::WouldDeadlock));
    drop(place);
    assert_eq!(events.by_ref().last().unwrap().new, NodeState::Shutdown);
}

/// Its disk hangs for as long as somebody holds the gate.
struct Stuck {
    applied: LogPoint,
    gate: Arc<Mutex<()>>,
}

impl StateMachine for Stuck {
    type Reader = ();
    type Output = ();

    fn reader(&self) {}

    fn applied(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, batch: &[Entry], results: &mut Vec<()>) -> Result<(), StoreError> {
        drop(self.gate.lock().unwrap());
        self.applied = batch.last().expect("never empty").point;
        let data = batch.iter().filter(|entry| entry.kind == rep_vlsn::Kind::Data).count();
        results.extend(std::iter::repeat_n((), data));
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        drop(self.gate.lock().unwrap());
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

/// The thread that applies was stuck and the others had ended, with the lock: another environment opened the same home, while
/// the old machine still wrote there.
#[test]
fn a_thread_stuck_in_its_disk_is_left_and_named_and_keeps_the_directory() {
    let (mut world, gate) = (World::new(Net::Memory, 1), Arc::new(Mutex::new(())));
    let mut open = |close_timeout| {
        let config = world.config(0).tune(|timing, _| timing.close_timeout = close_timeout);
        let machine = Stuck { applied: LogPoint::NULL, gate: Arc::clone(&gate) };
        ReplicatedEnvironment::open_with(config.build().unwrap(), machine)
    };
    let env = open(Duration::from_millis(100)).unwrap();
    env.wait_for_master(PATIENCE).unwrap();
    env.replicate(b"entry").unwrap().wait().unwrap();
    let held = gate.lock().unwrap();
    let stuck = env.close().unwrap_err();
    let Error::CloseTimeout { threads, .. } = &stuck else { panic!("{stuck}") };
    assert!(threads.contains(&"rep-apply".to_owned()), "{stuck}");
    assert!(matches!(env.close(), Err(Error::CloseTimeout { .. })), "it is still stuck");
    assert!(matches!(open(PATIENCE), Err(Error::Locked { .. })), "its directory is still its own");
    drop(held);
    crate::world::eventually("the end", || env.close().ok());
    open(PATIENCE).unwrap().close().unwrap();
}

#[test]
fn many_may_close_at_once_and_again() {
    let world = World::running(Net::Tcp, 1);
    world.put("alice", "1");
    thread::scope(|scope| {
        let closers: Vec<_> = (0..4).map(|_| scope.spawn(|| world.env(0).close())).collect();
        for closer in closers {
            assert_eq!(closer.join().unwrap(), Ok(()));
        }
    });
    assert_eq!(world.env(0).close(), Ok(()));
}

/// What only tells of a name, a place or the past still does; what would do something says `Closed`.
#[test]
fn every_method_of_a_closed_environment_has_an_answer() {
    let world = World::running(Net::Memory, 1);
    let token = world.put("alice", "1");
    let env = world.env(0);
    let view = crate::world::view_at(env, token);
    let group = env.group();
    env.close().unwrap();
    assert_eq!(
        (env.name(), env.group_name(), env.group(), env.members().len()),
        ("n1", "bank", group, 1)
    );
    assert_eq!(env.local_addr(), world.address(0));
    assert_eq!((&*env.config().name, &*env.config().advertise), ("n1", &*world.address(0)));
    assert_eq!(env.membership().unwrap().members.len(), 1);
    assert!(env.master().is_none_or(|master| master.name == "n1"));
    assert_eq!(env.stats().commits_durable, 1);
    assert_eq!(env.vlsn_range().unwrap().end(), &token.point().vlsn);
    assert_eq!(
        env.subscribe().states().map(|event| event.new).collect::<Vec<_>>(),
        [NodeState::Shutdown]
    );
    let read = env.read(Consistency::AtLeast(token)).wait();
    assert_eq!(read.unwrap_err(), Error::Closed);
    assert_eq!(env.reader(Consistency::None).wait().unwrap_err(), Error::Closed);
    // A view that was had before stays what it was, or says that it cannot.
    match view.get(&env.database("accounts"), b"alice") {
        Ok(value) => assert_eq!(value.as_deref(), Some(&b"1"[..])),
        Err(StoreError::Engine { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}
