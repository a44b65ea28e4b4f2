//! A wire of datagrams between diallers and a listener, that carries, counts, drops and is cut as a test wants.
#![allow(dead_code)] // each test uses a part of it

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rep_net::Address;

/// How often its threads look whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// Datagrams come in on one socket, and for each caller go on from a socket of its own.
pub(crate) struct Relay {
    wire: Arc<Wire>,
    threads: Vec<JoinHandle<()>>,
}

struct Wire {
    front: UdpSocket,
    target: SocketAddr,
    over: AtomicBool,
    /// Nothing goes through to the listener.
    deaf: AtomicBool,
    /// Nothing comes back.
    mute: AtomicBool,
    /// How many datagrams will still go through to the listener.
    left: AtomicUsize,
    bytes_max: AtomicUsize,
    longest: AtomicUsize,
    dropped: AtomicUsize,
    connections: Mutex<BTreeSet<Vec<u8>>>,
    recorded: Mutex<Vec<Vec<u8>>>,
}

impl Relay {
    pub(crate) fn to(address: &Address) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        front.set_read_timeout(Some(LOOK)).unwrap();
        let wire = Arc::new(Wire {
            front,
            target: address.as_str().parse().unwrap(),
            over: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            left: AtomicUsize::new(usize::MAX),
            bytes_max: AtomicUsize::new(usize::MAX),
            longest: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            connections: Mutex::default(),
            recorded: Mutex::default(),
        });
        let forward = Arc::clone(&wire);
        Self { wire, threads: vec![thread::spawn(move || forward.carry_forward())] }
    }

    pub(crate) fn address(&self) -> Address {
        self.wire.front.local_addr().unwrap().into()
    }

    /// From now on nothing goes through.
    pub(crate) fn cut(&self) {
        self.wire.deaf.store(true, Ordering::Relaxed);
        self.wire.mute.store(true, Ordering::Relaxed);
    }

    /// From now on one datagram goes through, and nothing comes back.
    pub(crate) fn carry_one_and_nothing_back(&self) {
        self.wire.left.store(1, Ordering::Relaxed);
        self.wire.mute.store(true, Ordering::Relaxed);
    }

    /// From now on datagrams that are longer are lost.
    pub(crate) fn carry_at_most(&self, bytes: usize) {
        self.wire.bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// From now on everything goes through again.
    pub(crate) fn mend(&self) {
        self.wire.deaf.store(false, Ordering::Relaxed);
        self.wire.mute.store(false, Ordering::Relaxed);
    }

    /// How many connections were begun through this.
    pub(crate) fn connections(&self) -> usize {
        self.wire.connections.lock().unwrap().len()
    }

    /// The longest datagram that went through, and how many did not because they were too long.
    pub(crate) fn longest_and_dropped(&self) -> (usize, usize) {
        (self.wire.longest.load(Ordering::Relaxed), self.wire.dropped.load(Ordering::Relaxed))
    }

    /// What callers sent.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        self.wire.recorded.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.wire.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

impl Wire {
    fn carry_forward(self: Arc<Self>) {
        let mut behind: BTreeMap<SocketAddr, (UdpSocket, JoinHandle<()>)> = BTreeMap::new();
        let mut buffer = [0; 65_536];
        while !self.over.load(Ordering::Relaxed) {
            let Ok((bytes, from)) = self.front.recv_from(&mut buffer) else { continue };
            let datagram = &buffer[..bytes];
            self.note(datagram);
            let (socket, _) = behind.entry(from).or_insert_with(|| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_read_timeout(Some(LOOK)).unwrap();
                let (wire, back) = (Arc::clone(&self), socket.try_clone().unwrap());
                (socket, thread::spawn(move || wire.carry_back(&back, from)))
            });
            if !self.deaf.load(Ordering::Relaxed) && self.fits(bytes) && self.may_go(bytes) {
                let _ = socket.send_to(datagram, self.target);
            }
        }
        behind.into_values().for_each(|(_, thread)| thread.join().unwrap());
    }

    fn carry_back(&self, socket: &UdpSocket, to: SocketAddr) {
        let mut buffer = [0; 65_536];
        while !self.over.load(Ordering::Relaxed) {
            let Ok((bytes, _)) = socket.recv_from(&mut buffer) else { continue };
            if !self.mute.load(Ordering::Relaxed) && self.fits(bytes) {
                let _ = self.front.send_to(&buffer[..bytes], to);
            }
        }
    }

    fn may_go(&self, bytes: usize) -> bool {
        // An empty one says nothing, and does not count.
        let less = |left: usize| left.checked_sub(usize::from(bytes > 0));
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn fits(&self, bytes: usize) -> bool {
        let fits = bytes <= self.bytes_max.load(Ordering::Relaxed);
        match fits {
            true => self.longest.fetch_max(bytes, Ordering::Relaxed),
            false => self.dropped.fetch_add(1, Ordering::Relaxed),
        };
        fits
    }

    fn note(&self, datagram: &[u8]) {
        if let Some(name) = name_of_connection(datagram) {
            self.connections.lock().unwrap().insert(name.to_vec());
        }
        let mut recorded = self.recorded.lock().unwrap();
        if recorded.len() < 100 {
            recorded.push(datagram.to_vec());
        }
    }
}

/// What the caller calls a connection that it begins.
fn name_of_connection(datagram: &[u8]) -> Option<&[u8]> {
    const INITIAL: u8 = 0xc0;
    let is_initial = datagram.first()? & 0xf0 == INITIAL;
    let (length, rest) = datagram.get(5..)?.split_first()?;
    let (length, rest) = rest.get(usize::from(*length)..)?.split_first()?;
    is_initial.then(|| rest.get(..usize::from(*length)))?
}
