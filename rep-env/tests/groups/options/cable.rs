//! Cables in bad weather.

use bytes::Bytes;
use rep_env::net::{
    Address, Channel, DialError, Hello, Listener, NetError, Peer, ServiceTable, Transport,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What happens to everything that goes over the cables of a group.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    cut: AtomicBool,
    streams_cut: AtomicBool,
    acks_cut: AtomicBool,
    copies_cut: AtomicBool,
    lone: Mutex<Option<Address>>,
    wires: Mutex<Vec<Arc<dyn Channel>>>,
    sends_held: AtomicBool,
    reads_held: AtomicBool,
}

impl Weather {
    /// From now on everything that is sent vanishes, in silence.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// From now on everything that belongs to a log vanishes; heartbeats and votes arrive.
    pub(crate) fn cut_streams(&self) {
        self.streams_cut.store(true, Ordering::SeqCst);
    }

    /// From now on what members say about the log that they are sent vanishes; the log itself arrives.
    pub(crate) fn cut_acks(&self) {
        self.acks_cut.store(true, Ordering::SeqCst);
    }

    /// From now on everything that belongs to a copy of the state vanishes.
    pub(super) fn cut_copies(&self) {
        self.copies_cut.store(true, Ordering::SeqCst);
    }

    /// From now on everything from and to this member vanishes, and everything else arrives.
    pub(crate) fn isolate(&self, member: &Address) {
        *self.lone.lock().unwrap() = Some(member.clone());
        self.streams_cut.store(false, Ordering::SeqCst);
        self.acks_cut.store(false, Ordering::SeqCst);
    }

    /// Everything arrives again, by cables that are new: of the old ones nobody knows what they lost.
    pub(crate) fn clear(&self) {
        *self.lone.lock().unwrap() = None;
        for flag in [&self.cut, &self.streams_cut, &self.acks_cut] {
            flag.store(false, Ordering::SeqCst);
        }
        self.wires.lock().unwrap().drain(..).for_each(|wire| wire.close());
    }

    /// From now on whoever dialled does not get rid of what it sends.
    pub(super) fn hold_sends(&self) {
        self.sends_held.store(true, Ordering::SeqCst);
    }

    /// From now on whoever dialled does not read.
    pub(super) fn hold_reads(&self) {
        self.reads_held.store(true, Ordering::SeqCst);
    }
}

/// A transport whose cables can be cut: at the dialling end, for both directions.
#[derive(Debug)]
pub(super) struct Cable {
    inner: Arc<dyn Transport>,
    weather: Arc<Weather>,
    from: Address,
}

impl Cable {
    /// The cables of the member that listens at `from`.
    pub(super) fn new(inner: Arc<dyn Transport>, weather: Arc<Weather>, from: Address) -> Cable {
        Cable { inner, weather, from }
    }
}

impl Transport for Cable {
    fn dial(
        &self,
        address: &Address,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Arc<dyn Channel>, DialError> {
        let inner = self.inner.dial(address, hello, deadline)?;
        let weather = Arc::clone(&self.weather);
        let (is_stream, is_copy) = (hello.service == "feeder", hello.service == "restore");
        weather.wires.lock().unwrap().push(Arc::clone(&inner));
        let ends = [self.from.clone(), address.clone()];
        let closed = AtomicBool::new(false);
        Ok(Arc::new(Wire { inner, weather, is_stream, is_copy, ends, closed }))
    }

    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        self.inner.listen(address, services)
    }
}

#[derive(Debug)]
struct Wire {
    inner: Arc<dyn Channel>,
    weather: Arc<Weather>,
    is_stream: bool,
    is_copy: bool,
    ends: [Address; 2],
    closed: AtomicBool,
}

impl Wire {
    fn is_cut(&self) -> bool {
        let streams = self.is_stream && self.weather.streams_cut.load(Ordering::SeqCst);
        let copies = self.is_copy && self.weather.copies_cut.load(Ordering::SeqCst);
        let lone =
            || self.weather.lone.lock().unwrap().as_ref().is_some_and(|at| self.ends.contains(at));
        streams || copies || self.weather.cut.load(Ordering::SeqCst) || lone()
    }

    /// Does what is sent at this end vanish? The end that dialled a stream is the one that acknowledges.
    fn swallows(&self) -> bool {
        self.is_stream && self.weather.acks_cut.load(Ordering::SeqCst) || self.is_cut()
    }

    /// Waits while it is held back, or until `deadline`.
    fn wait(&self, held: &AtomicBool, deadline: Option<Instant>) {
        while held.load(Ordering::SeqCst)
            && !self.closed.load(Ordering::SeqCst)
            && deadline.is_none_or(|deadline| Instant::now() < deadline)
        {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

impl Channel for Wire {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.wait(&self.weather.sends_held, None);
        if self.swallows() { Ok(()) } else { self.inner.send(frame) }
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        self.wait(&self.weather.sends_held, None);
        if self.swallows() { Ok(()) } else { self.inner.send_parts(parts) }
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        self.wait(&self.weather.reads_held, Some(deadline));
        loop {
            match self.inner.receive(deadline)? {
                Some(_) if self.is_cut() => {}
                frame => return Ok(frame),
            }
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.inner.close();
    }

    fn peer(&self) -> &Peer {
        self.inner.peer()
    }

    fn frame_bytes_max(&self) -> usize {
        self.inner.frame_bytes_max()
    }
}
