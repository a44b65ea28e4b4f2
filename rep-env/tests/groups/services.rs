//! Services of the application on the port of a member.

use crate::world::{BOTH, Net, PATIENCE, World, eventually};
use rep_env::net::tcp::TcpTransport;
use rep_env::net::{
    Address, Channel, DialError, Hello, Limits, RefuseReason, ServiceHandler, Transport,
};
use rep_env::{Error, services};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Instant;

/// Sends back what it is sent.
struct Echo;

impl ServiceHandler for Echo {
    fn accept(&self, _hello: Hello, channel: Arc<dyn Channel>) {
        while let Ok(Some(frame)) = channel.receive(Instant::now() + PATIENCE) {
            if channel.send(frame).is_err() {
                break;
            }
        }
    }
}

fn dial(world: &World, at: usize, service: &str) -> Result<Arc<dyn Channel>, DialError> {
    let hello = Hello::new("bank", service);
    let address = Address::new(world.address(at));
    let deadline = Instant::now() + PATIENCE;
    match world.net {
        Net::Memory => world.hub.transport().dial(&address, &hello, deadline),
        Net::Tcp => TcpTransport::new(Limits::default()).dial(&address, &hello, deadline),
    }
}

#[test]
fn one_member_calls_a_service_of_another_by_name() {
    for net in BOTH {
        let world = World::running(net, 2);
        (0..2).for_each(|at| world.env(at).register_service("echo", Arc::new(Echo)).unwrap());
        for at in 0..2 {
            let channel = dial(&world, at, "echo").unwrap();
            for word in ["one", "two"] {
                channel.send(word.into()).unwrap();
                let heard = channel.receive(Instant::now() + PATIENCE).unwrap();
                assert_eq!(heard.as_deref(), Some(word.as_bytes()));
            }
            channel.close();
        }
        world.put("alice", "1");
    }
}

#[test]
fn names_that_are_taken_or_the_node_s_own_are_refused() {
    let world = World::running(Net::Memory, 1);
    let env = world.env(0);
    env.register_service("echo", Arc::new(Echo)).unwrap();
    let long = "n".repeat(256);
    for name in ["echo", "peer", "feeder", "admin", "restore", "join", "", &long] {
        let refused = env.register_service(name, Arc::new(Echo)).unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{name}: {refused}");
    }
    let unknown = dial(&world, 0, "nothing").unwrap_err();
    assert!(
        matches!(unknown, DialError::RefusedHello { reason: RefuseReason::UnknownService, .. }),
        "{unknown:?}"
    );
}

#[test]
fn callers_of_a_service_are_bounded() {
    let world = World::running(Net::Memory, 1);
    world.env(0).register_service("echo", Arc::new(Echo)).unwrap();
    let mut callers = Vec::new();
    let refused = eventually("a refusal", || match dial(&world, 0, "echo") {
        Ok(channel) => {
            callers.push(channel);
            None
        }
        Err(error) => Some(error),
    });
    assert!(
        matches!(refused, DialError::RefusedHello { reason: RefuseReason::Busy, .. }),
        "{refused:?}"
    );
    assert!(callers.len() <= services::CALLERS_MAX + 1, "{}", callers.len());
    callers.drain(..).for_each(|channel| channel.close());
    eventually("room", || dial(&world, 0, "echo").ok());
}

#[test]
fn services_end_when_their_environment_is_closed() {
    for net in BOTH {
        let mut world = World::running(net, 1);
        let env = world.env(0).clone();
        env.register_service("echo", Arc::new(Echo)).unwrap();
        let channel = dial(&world, 0, "echo").unwrap();
        world.close(0);
        assert!(channel.receive(Instant::now() + PATIENCE).is_err(), "it was hung up on");
        assert_eq!(env.register_service("late", Arc::new(Echo)), Err(Error::Closed));
        assert!(dial(&world, 0, "echo").is_err());
    }
}

/// Tries to close the environment that serves it.
struct Suicidal {
    env: Mutex<Option<rep_env::ReplicatedEnvironment>>,
    told: mpsc::SyncSender<Result<(), Error>>,
}

impl ServiceHandler for Suicidal {
    fn accept(&self, _hello: Hello, _channel: Arc<dyn Channel>) {
        let env = self.env.lock().unwrap().take().expect("it is called once");
        let _ = self.told.send(env.close());
    }
}

#[test]
fn a_handler_that_closes_its_environment_is_refused() {
    let world = World::running(Net::Memory, 1);
    let (told, outcome) = mpsc::sync_channel(1);
    let env = Mutex::new(Some(world.env(0).clone()));
    world.env(0).register_service("suicide", Arc::new(Suicidal { env, told })).unwrap();
    let _channel = dial(&world, 0, "suicide").unwrap();
    assert_eq!(outcome.recv().unwrap(), Err(Error::WouldDeadlock));
    world.put("alice", "1");
}

/// Begins commits whose outcomes tell on which threads tasks are woken.
struct Committing {
    env: Mutex<Option<rep_env::ReplicatedEnvironment>>,
    woken: Arc<Woken>,
    done: mpsc::SyncSender<()>,
}

#[derive(Default)]
struct Woken(Mutex<std::collections::BTreeSet<String>>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        let name = thread::current().name().unwrap_or("an unnamed thread").to_owned();
        self.0.lock().unwrap().insert(name);
    }
}

impl ServiceHandler for Committing {
    fn accept(&self, _hello: Hello, _channel: Arc<dyn Channel>) {
        let env = self.env.lock().unwrap().take().expect("it is called once");
        let waker = Waker::from(Arc::clone(&self.woken));
        for _ in 0..COMMITS {
            let mut txn = env.begin().unwrap();
            txn.put(&env.database("accounts"), b"alice", b"1").unwrap();
            let mut handle = txn.commit().unwrap();
            let _ = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
        }
        drop(env);
        let _ = self.done.send(());
    }
}

const COMMITS: usize = 3000;

/// A handler is the application's code on a thread of ours. It may hold a lock while it commits; had its thread woken a task
/// that wants this lock, it would have met itself.
#[test]
fn a_handler_that_commits_wakes_nobody_on_its_own_thread() {
    let world = World::running(Net::Memory, 1);
    world.put("alice", "0");
    let (done, is_done) = mpsc::sync_channel(1);
    let woken = Arc::<Woken>::default();
    let env = Mutex::new(Some(world.env(0).clone()));
    let handler = Committing { env, woken: Arc::clone(&woken), done };
    world.env(0).register_service("commit", Arc::new(handler)).unwrap();
    let _channel = dial(&world, 0, "commit").unwrap();
    is_done.recv_timeout(PATIENCE).unwrap();
    world.put("alice", "2");
    let woken = woken.0.lock().unwrap().clone();
    assert!(!woken.is_empty());
    assert!(!woken.contains("rep-serve-commit"), "{woken:?}");
}
