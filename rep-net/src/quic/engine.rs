//! The one thread on which everything asynchronous runs.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quinn::{
    AsyncTimer, AsyncUdpSocket, Connection, ConnectionError, Endpoint, EndpointConfig, Runtime,
    ServerConfig, TokioRuntime,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::sync::{Condvar, Mutex, broken};

/// How long the last words of channels and connections may take to go out when nobody is left who uses them.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A runtime, and its thread `rep-quic`. Dropping it ends both, after the last words have gone out.
pub(super) struct Engine {
    runtime: Handle,
    stop: Arc<Notify>,
    tasks: Arc<Tasks>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (handle, stop) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("rep-quic".into())
            .spawn(move || runtime.block_on(stopped.notified()))?;
        Ok(Self { runtime: handle, stop, tasks: Arc::default(), thread: Some(thread) })
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(self.tasks.watch(task));
    }

    /// A task that nobody waits for when everything else has ended.
    pub(super) fn spawn_unasked(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// An endpoint that listens on that socket, and the tasks that keep the socket open: the endpoint's own, and one for each connection.
    pub(super) fn listening(
        &self,
        config: EndpointConfig,
        server: ServerConfig,
        socket: UdpSocket,
    ) -> io::Result<(Endpoint, Arc<Tasks>)> {
        let tasks = Arc::new(Tasks::default());
        let counted_by = vec![Arc::clone(&self.tasks), Arc::clone(&tasks)];
        let runtime = Arc::new(Driver { runtime: self.runtime.clone(), counted_by });
        Ok((Endpoint::new(config, Some(server), socket, runtime)?, tasks))
    }

    /// An endpoint that calls from that socket. Nobody waits for its tasks: quinn keeps each connection that has ended for as long as a late datagram
    /// might come, three seconds if it never came about, and then the socket is gone anyway. What has something to say has a
    /// [`farewell`](Self::farewell).
    pub(super) fn calling(&self, socket: UdpSocket) -> io::Result<Endpoint> {
        let runtime = Arc::new(Driver { runtime: self.runtime.clone(), counted_by: Vec::new() });
        Endpoint::new(EndpointConfig::default(), None, socket, runtime)
    }

    /// Has the end of a connection that was dialled be waited for: until the peer may have heard of it, and heard again if it had missed it.
    pub(super) fn farewell(&self, connection: Connection) {
        self.spawn(async move {
            if let ConnectionError::LocallyClosed = connection.closed().await {
                tokio::time::sleep((3 * connection.rtt()).min(LAST_WORDS)).await;
            }
        });
    }

    /// For what has to be made where it will run.
    pub(super) fn within<R>(&self, make: impl FnOnce() -> R) -> R {
        let _context = self.runtime.enter();
        make()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let is_own = thread.thread().id() == thread::current().id();
        if !is_own {
            self.tasks.wait_until_none(Instant::now() + LAST_WORDS);
        }
        self.stop.notify_one();
        if !is_own && thread.join().is_err() {
            tracing::error!("the thread rep-quic panicked");
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// How many tasks there are of some kind, and a way to wait until there are none.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Tasks {
    fn watch<F: Future<Output = ()>>(
        self: &Arc<Self>,
        task: F,
    ) -> impl Future<Output = ()> + use<F> {
        let place = self.enter();
        async move {
            task.await;
            drop(place);
        }
    }

    fn enter(self: &Arc<Self>) -> Place {
        *self.running.lock() += 1;
        Place(Arc::clone(self))
    }

    /// Waits until none is running; false if the deadline passes first.
    pub(super) fn wait_until_none(&self, deadline: Instant) -> bool {
        let mut running = self.running.lock();
        let mut passed = false;
        while *running > 0 && !passed {
            (running, passed) = self.ended.wait_until(running, Some(deadline));
        }
        *running == 0
    }
}

/// A task's place among the others.
struct Place(Arc<Tasks>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        if !broken("task-ends-in-silence") {
            self.0.ended.notify_all();
        }
    }
}

/// What quinn runs its tasks by: tokio, with every task counted by whoever waits for it.
#[derive(Debug)]
struct Driver {
    runtime: Handle,
    counted_by: Vec<Arc<Tasks>>,
}

impl Runtime for Driver {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _context = self.runtime.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let places: Vec<_> = self.counted_by.iter().map(Tasks::enter).collect();
        self.runtime.spawn(async move {
            future.await;
            drop(places);
        });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _context = self.runtime.enter();
        TokioRuntime.wrap_udp_socket(socket)
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{break_line, explore, never, thread};

    /// Two tasks end, one after the other or at once, while somebody waits for that.
    fn the_last_one_is_waited_for() {
        let tasks = Arc::new(Tasks::default());
        let places = [tasks.enter(), tasks.enter()];
        let ending = places.map(|place| thread::spawn(move || drop(place)));
        assert!(tasks.wait_until_none(never()));
        assert_eq!(*tasks.running.lock(), 0);
        ending.into_iter().for_each(|task| task.join().unwrap());
    }

    #[test]
    fn loom_who_waits_for_the_tasks_of_a_transport_is_woken_by_the_last() {
        explore(the_last_one_is_waited_for);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_a_task_that_ends_in_silence_is_waited_for() {
        break_line("task-ends-in-silence");
        explore(the_last_one_is_waited_for);
    }
}
