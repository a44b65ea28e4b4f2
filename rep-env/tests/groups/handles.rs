use crate::world::{Net, World, eventually, get, view_at};
use rep_env::{CommitHandle, Consistency};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
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
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
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
    let world = World::steady(Net::Memory, 3);
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
    assert!(env.subscribe().states().next_within(Duration::MAX).is_some());
    let mut txn = env.begin().unwrap();
    txn.put(&env.database("accounts"), b"alice", b"1").unwrap();
    txn.commit().unwrap().wait_for(Duration::MAX).unwrap().unwrap();
    assert_eq!(rep_env::admin::status(&env.local_addr(), Duration::MAX).unwrap().state, "master");
}

#[test]
fn a_dropped_handle_cancels_nothing() {
    let world = World::steady(Net::Memory, 3);
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
    let world = World::steady(Net::Memory, 3);
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

/// Begins to wait for a commit, until one is still on its way when it is asked for.
fn pending_commit(world: &World, value: &str, waker: &Waker) -> CommitHandle {
    let env = world.env(world.master());
    eventually("a commit on its way", || {
        let mut txn = env.begin().ok()?;
        txn.put(&env.database("accounts"), b"alice", value.as_bytes()).ok()?;
        let mut handle = txn.commit().ok()?;
        let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(waker));
        polled.is_pending().then_some(handle)
    })
}

#[test]
fn a_handle_may_wander_from_task_to_task() {
    let world = World::steady(Net::Tcp, 3);
    world.put("alice", "0");
    let here = Waker::from(Arc::new(Unpark(thread::current())));
    let handle = pending_commit(&world, "1", &here);
    let there = thread::spawn(move || block_on(handle));
    let token = there.join().unwrap().unwrap();
    world.assert_everywhere(token, "alice", "1");
}

#[test]
fn a_handle_dropped_in_the_middle_of_being_awaited_cancels_nothing() {
    let world = World::steady(Net::Tcp, 3);
    world.put("alice", "0");
    drop(pending_commit(&world, "1", Waker::noop()));
    let token = world.put("bob", "1");
    world.assert_everywhere(token, "alice", "1");
}

/// As a runtime does: one task spawns others, each of which begins, commits and waits, on any of its threads.
#[test]
fn tasks_of_a_small_runtime_commit_side_by_side() {
    let world = World::steady(Net::Memory, 3);
    world.put("alice", "0");
    let env = world.env(world.master()).clone();
    let (tasks, row) = mpsc::sync_channel::<Pin<Box<dyn Future<Output = ()> + Send>>>(40);
    let done = Arc::new(AtomicUsize::new(0));
    for number in 0..40 {
        let (env, done) = (env.clone(), Arc::clone(&done));
        let task = async move {
            // No turn is held over an await: a transaction is built and committed in one step.
            let handle = {
                let mut txn = env.begin().unwrap();
                txn.put(&env.database("accounts"), format!("key-{number}").as_bytes(), b"x")
                    .unwrap();
                txn.commit().unwrap()
            };
            let token = handle.await.unwrap();
            env.read(Consistency::AtLeast(token)).await.unwrap();
            done.fetch_add(1, Ordering::Relaxed);
        };
        tasks.send(Box::pin(task)).unwrap();
    }
    drop(tasks);
    let row = Mutex::new(row);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = row.lock().unwrap().try_recv();
                    let Ok(task) = next else { return };
                    block_on(task);
                }
            });
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), 40);
}

/// All of them have committed before the first is waited for, and none would ever get further on a thread that waited for one.
#[test]
fn one_thread_of_tokio_has_many_commits_and_reads_on_their_way() {
    const TASKS: usize = 40;
    let world = World::steady(Net::Memory, 3);
    world.put("alice", "0");
    let env = world.env(world.master()).clone();
    let all_committed = Arc::new(tokio::sync::Barrier::new(TASKS));
    let task = |number: usize| {
        let (env, all_committed) = (env.clone(), Arc::clone(&all_committed));
        async move {
            let handle = {
                let mut txn = env.begin()?;
                txn.put(&env.database("accounts"), format!("key-{number}").as_bytes(), b"x")?;
                txn.commit()?
            };
            all_committed.wait().await;
            let view = env.read(Consistency::AtLeast(handle.await?)).await?;
            Ok::<_, rep_env::Error>(get(&view, &format!("key-{number}")))
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS).map(|number| tokio::spawn(task(number))).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap().as_deref(), Some("x"));
        }
    });
}

#[test]
fn the_pairs_of_a_range_outlive_their_view_and_an_absent_database_is_empty() {
    let world = World::running(Net::Memory, 1);
    let token = world.put("alice", "1");
    let env = world.env(0);
    let pairs = view_at(env, token).range(&env.database("accounts"), ..);
    let pairs = thread::spawn(move || pairs.map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(pairs.join().unwrap(), [("alice".into(), "1".into())]);
    let (view, absent) = (view_at(env, token), env.database("absent"));
    assert_eq!(view.get(&absent, b"alice").unwrap(), None);
    assert_eq!((view.len(&absent).unwrap(), view.range(&absent, ..).count()), (0, 0));
    assert_eq!(env.begin().unwrap().get(&absent, b"alice").unwrap(), None);
}
