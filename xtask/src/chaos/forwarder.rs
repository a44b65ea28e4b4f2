//! The one thread that carries every packet between the namespaces, or does not.
//!
//! It is a thread of this process, and its control is a lock around [`Links`]: nothing else has to be spoken to. The kernel here
//! has no netem, and needs none.

use super::chance::Chance;
use super::links::{Links, Port, destination};
use super::names;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Packets under way. More are dropped, as a switch does whose memory is full.
const PACKETS_MAX: usize = 1 << 16;
/// Packets taken from one device before the others have their turn.
const BURST: usize = 64;
/// More than the devices' MTU of 1500.
const PACKET_BYTES_MAX: usize = 2048;
/// How soon a stop is noticed.
const LOOK: Duration = Duration::from_millis(20);

/// The forwarder at work. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Forwarder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    links: Mutex<Links>,
    stop: AtomicBool,
    carried: AtomicU64,
    dropped: AtomicU64,
}

impl Forwarder {
    /// Forwards between these devices, each of which is the port of its place.
    pub(super) fn start(tuns: Vec<File>, links: Links, seed: u64) -> anyhow::Result<Forwarder> {
        let shared = Arc::new(Shared {
            links: Mutex::new(links),
            stop: AtomicBool::new(false),
            carried: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let switch = Switch::new(tuns, Arc::clone(&shared), Chance::split(seed, "weather"));
        let thread = thread::Builder::new().name("forwarder".to_owned());
        let thread = thread.spawn(move || switch.run())?;
        Ok(Forwarder { shared, thread: Some(thread) })
    }

    /// Changes the links.
    pub(super) fn change(&self, change: impl FnOnce(&mut Links)) {
        change(&mut self.shared.links.lock());
    }

    /// Packets that arrived, and those that did not.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.shared.carried.load(Ordering::Relaxed), self.shared.dropped.load(Ordering::Relaxed))
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has said on stderr why it panicked, if it did.
            let _ = thread.join();
        }
    }
}

struct Switch {
    tuns: Vec<File>,
    shared: Arc<Shared>,
    chance: Chance,
    under_way: BinaryHeap<Reverse<Packet>>,
    /// When the last packet arrives that keeps its order, by link.
    last_due: Vec<Instant>,
    sequence: u64,
}

/// Ordered by when it is due; of packets due together, by when they came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Instant,
    sequence: u64,
    to: Port,
    bytes: Vec<u8>,
}

impl Switch {
    fn new(tuns: Vec<File>, shared: Arc<Shared>, chance: Chance) -> Switch {
        let last_due = vec![Instant::now(); tuns.len() * tuns.len()];
        Switch { tuns, shared, chance, under_way: BinaryHeap::new(), last_due, sequence: 0 }
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            for from in self.wait() {
                self.take_from(from);
            }
            self.deliver_due();
        }
    }

    /// The devices that have something, as soon as one has, or a packet is due.
    fn wait(&self) -> Vec<Port> {
        let due = self.under_way.peek().map(|Reverse(packet)| packet.due);
        let time = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        let mut fds: Vec<_> = self.tuns.iter().map(|tun| PollFd::new(tun, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&time)) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(_) => {
                let ready = |(_, fd): &(Port, &PollFd<'_>)| fd.revents().contains(PollFlags::IN);
                fds.iter().enumerate().filter(ready).map(|(port, _)| port).collect()
            }
        }
    }

    fn take_from(&mut self, from: Port) {
        let mut bytes = [0; PACKET_BYTES_MAX];
        for _ in 0..BURST {
            match self.tuns[from].read(&mut bytes) {
                Ok(count) => self.route(from, &bytes[..count]),
                // Empty, or its namespace is going away.
                Err(_) => return,
            }
        }
    }

    fn route(&mut self, from: Port, bytes: &[u8]) {
        let to = destination(bytes).and_then(names::port).filter(|to| *to < self.tuns.len());
        // What is not for one of us is what a kernel says when a link comes up.
        let Some(to) = to else { return };
        let fate = self.shared.links.lock().fate(from, to, &mut self.chance);
        if fate.copies.is_empty() || self.under_way.len() >= PACKETS_MAX {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for copy in fate.copies {
            let last_due = &mut self.last_due[from * self.tuns.len() + to];
            let mut due = Instant::now() + copy.delay;
            if copy.in_order {
                due = due.max(*last_due);
                *last_due = due;
            }
            self.sequence += 1;
            let packet = Packet { due, sequence: self.sequence, to, bytes: bytes.to_vec() };
            self.under_way.push(Reverse(packet));
        }
    }

    fn deliver_due(&mut self) {
        let now = Instant::now();
        while self.under_way.peek().is_some_and(|Reverse(packet)| packet.due <= now) {
            let Some(Reverse(packet)) = self.under_way.pop() else { return };
            let count = match self.tuns[packet.to].write(&packet.bytes) {
                Ok(_) => &self.shared.carried,
                Err(_) => &self.shared.dropped,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
