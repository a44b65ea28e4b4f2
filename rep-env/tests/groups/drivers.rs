//! Whoever brings news drives the node: threads of ours and of callers alike. What that must not change for a caller.

use crate::world::{BOTH, Net, PATIENCE, World};
use rep_env::{CommitHandle, CommitToken, Consistency, Error, ReplicatedEnvironment};
use rep_vlsn::{LogPoint, Vlsn};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// A task's waker that does something of its own, once.
struct Then(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for Then {
    fn wake(self: Arc<Self>) {
        let then = self.0.lock().unwrap().take();
        if let Some(then) = then {
            then();
        }
    }
}

fn begin_commit(env: &ReplicatedEnvironment, value: &str) -> Result<CommitHandle, Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), b"alice", value.as_bytes())?;
    txn.commit()
}

/// Commits until one is still pending when it is polled, whose outcome calls `then`.
fn when_committed(env: &ReplicatedEnvironment, then: impl FnOnce() + Send + 'static) {
    let waker = Waker::from(Arc::new(Then(Mutex::new(Some(Box::new(then))))));
    loop {
        let mut handle = begin_commit(env, "1").unwrap();
        if Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending() {
            return;
        }
    }
}

#[test]
fn a_waker_may_begin_and_commit() {
    for world in World::both_steady() {
        world.put("alice", "0");
        let env = world.env(world.master()).clone();
        let (tell, told) = mpsc::sync_channel::<Result<CommitHandle, Error>>(1);
        let own = env.clone();
        when_committed(&env, move || tell.send(begin_commit(&own, "2")).unwrap());
        let token: CommitToken = told.recv_timeout(PATIENCE).unwrap().unwrap().wait().unwrap();
        world.assert_everywhere(token, "alice", "2");
    }
}

#[test]
fn wakers_that_commit_in_turn_do_not_pile_up_their_calls() {
    const LINKS: usize = 10_000;

    /// Commits once more whenever the last commit is done, on the thread that says so.
    struct Chain {
        env: ReplicatedEnvironment,
        state: Mutex<(usize, Option<CommitHandle>)>,
        done: mpsc::SyncSender<()>,
    }

    impl Chain {
        fn go_on(self: &Arc<Self>) {
            let mut state = self.state.lock().unwrap();
            loop {
                let polled = state.1.as_mut().map(|handle| {
                    let waker = Waker::from(Arc::clone(self));
                    Pin::new(handle).poll(&mut Context::from_waker(&waker))
                });
                match polled {
                    Some(Poll::Pending) => return,
                    Some(Poll::Ready(outcome)) => drop(outcome.unwrap()),
                    None => {}
                }
                if state.0 == LINKS {
                    let _ = self.done.send(());
                    return;
                }
                *state = (state.0 + 1, Some(begin_commit(&self.env, "1").unwrap()));
            }
        }
    }

    impl Wake for Chain {
        fn wake(self: Arc<Self>) {
            // The waker may come while the commit is being polled; then that one looks again.
            self.go_on();
        }
    }

    let hub = rep_env::net::mem::Hub::default();
    let config = rep_env::RepConfig::builder("bank", "n1").members(["n1=here"]).ephemeral();
    let env =
        ReplicatedEnvironment::open(config.transport(hub.transport()).build().unwrap()).unwrap();
    env.wait_for_master(PATIENCE).unwrap();
    let (done, is_done) = mpsc::sync_channel(1);
    let chain = Arc::new(Chain { env, state: Mutex::new((0, None)), done });
    chain.go_on();
    is_done.recv_timeout(PATIENCE).unwrap();
    chain.env.close().unwrap();
}

#[test]
fn closing_from_a_waker_is_refused_and_the_last_drop_there_does_not_hang() {
    for net in BOTH {
        let world = World::running(net, 1);
        world.put("alice", "0");
        let (tell, told) = mpsc::sync_channel(1);
        let own = world.env(0).clone();
        when_committed(world.env(0), move || tell.send(own.close()).unwrap());
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Err(Error::WouldDeadlock));
    }
    let mut world = World::running(Net::Memory, 1);
    world.put("alice", "0");
    let env = world.env(0).clone();
    world.envs.clear();
    let mut events = env.subscribe().states();
    let own = env.clone();
    when_committed(&env, move || drop(own));
    drop(env);
    assert_eq!(events.by_ref().last().unwrap().new, rep_env::NodeState::Shutdown);
}

#[test]
fn a_waker_that_panics_harms_nobody_but_its_own_task() {
    let world = World::steady(Net::Memory, 3);
    world.put("alice", "0");
    let env = world.env(world.master()).clone();
    let (tell, told) = mpsc::sync_channel(1);
    when_committed(&env, move || {
        tell.send(()).unwrap();
        panic!("as a broken executor would");
    });
    told.recv_timeout(PATIENCE).unwrap();
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
    assert_eq!(env.stats().commits_unknown, 0);
}

#[test]
fn a_caller_may_drive_while_another_closes() {
    for net in BOTH {
        for _ in 0..5 {
            let world = World::running(net, 1);
            world.put("alice", "0");
            let env = world.env(0).clone();
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    let env = env.clone();
                    thread::spawn(move || {
                        while let Ok(handle) = begin_commit(&env, "1") {
                            drop(handle);
                        }
                    })
                })
                .collect();
            env.close().unwrap();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
        }
    }
}

/// A task's waker ran on the watch, came back with more reads than the inbox holds, and waited for room: the watch waited for
/// the watch, and where there is no other member nobody comes by.
#[test]
fn a_waker_may_leave_more_than_the_inbox_holds() {
    const READS: usize = 20_000;
    let hub = rep_env::net::mem::Hub::default();
    let mut timing = rep_env::config::Timing::default();
    timing.read_timeout = Duration::from_millis(500);
    let config = rep_env::RepConfig::builder("bank", "n1").members(["n1=here"]).ephemeral();
    let config = config.timing(timing).transport(hub.transport()).build().unwrap();
    let env = ReplicatedEnvironment::open(config).unwrap();
    env.wait_for_master(PATIENCE).unwrap();
    let point = begin_commit(&env, "1").unwrap().wait().unwrap().point();
    let ahead = LogPoint::new(point.term, Vlsn::new(point.vlsn.get() + 1000));
    let ahead = CommitToken::new(env.group().unwrap(), ahead);
    let (tell, told) = mpsc::sync_channel(1);
    let own = env.clone();
    let then = move || {
        (0..READS).for_each(|_| drop(own.read(Consistency::Linearizable)));
        tell.send(thread::current().name().map(str::to_owned)).unwrap();
    };
    let waker = Waker::from(Arc::new(Then(Mutex::new(Some(Box::new(then))))));
    // It times out, which is the watch's to find.
    let mut read = env.read(Consistency::AtLeast(ahead));
    assert!(Pin::new(&mut read).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().as_deref(), Some("rep-watch"));
    begin_commit(&env, "2").unwrap().wait().unwrap();
    env.close().unwrap();
}
