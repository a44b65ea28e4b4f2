use crate::world::{Net, World, get, view_at};
use rep_env::Consistency;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor there is.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn commits_and_reads_can_be_awaited() {
    let world = World::running(Net::Memory, 3);
    world.put("alice", "0");
    let env = world.env(world.master()).clone();
    let value = block_on(async {
        let mut txn = env.begin()?;
        txn.put(&env.database("accounts"), b"alice", b"1")?;
        let token = txn.commit()?.await?;
        env.read(Consistency::AtLeast(token)).await?;
        let view = env.read(Consistency::Linearizable).await?;
        Ok::<_, rep_env::Error>(get(&view, "alice"))
    });
    assert_eq!(value.unwrap().as_deref(), Some("1"));
}

#[test]
fn whoever_waits_may_say_for_ever() {
    let world = World::running(Net::Tcp, 1);
    let env = world.env(0);
    env.wait_for_master(Duration::MAX).unwrap();
    assert!(env.subscribe().next_within(Duration::MAX).is_some());
    let mut txn = env.begin().unwrap();
    txn.put(&env.database("accounts"), b"alice", b"1").unwrap();
    txn.commit().unwrap().wait_for(Duration::MAX).unwrap().unwrap();
    assert_eq!(rep_env::admin::status(&env.local_addr(), Duration::MAX).unwrap().state, "master");
}

#[test]
fn a_dropped_handle_cancels_nothing() {
    let world = World::running(Net::Memory, 3);
    world.put("alice", "0");
    let env = world.env(world.master());
    let mut txn = env.begin().unwrap();
    txn.put(&env.database("accounts"), b"alice", b"1").unwrap();
    drop(txn.commit().unwrap());
    drop(env.read(Consistency::Linearizable));
    let token = world.put("bob", "1");
    assert_eq!(get(&view_at(env, token), "alice").as_deref(), Some("1"));
}

#[test]
fn handles_outlive_threads_and_environments_are_shared() {
    fn is_static<T: Send + Unpin + 'static>(value: T) -> T {
        value
    }
    let world = World::running(Net::Memory, 3);
    world.put("alice", "0");
    let env = world.env(world.master()).clone();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let env = env.clone();
            thread::spawn(move || {
                let commit = |number: u32| {
                    let mut txn = env.begin().unwrap();
                    let key = format!("{writer}-{number}");
                    txn.put(&env.database("accounts"), key.as_bytes(), b"x").unwrap();
                    is_static(txn.commit().unwrap())
                };
                (0..50).map(commit).collect::<Vec<_>>()
            })
        })
        .collect();
    let handles: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let mut points: Vec<_> =
        handles.into_iter().map(|handle| handle.wait().unwrap().point()).collect();
    points.sort();
    points.dedup();
    assert_eq!(points.len(), 200);
    is_static(env.read(Consistency::None)).wait().unwrap();
}
