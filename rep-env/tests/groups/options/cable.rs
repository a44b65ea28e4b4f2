//! Cables in bad weather.

use bytes::Bytes;
use rep_env::net::{
    Address, Channel, DialError, Hello, Listener, NetError, Peer, ServiceTable, Transport,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What happens to everything that goes over the cables of a group.
#[derive(Debug, Default)]
pub(super) struct Weather {
    cut: AtomicBool,
    streams_cut: AtomicBool,
    sends_held: AtomicBool,
    reads_held: AtomicBool,
}

impl Weather {
    /// From now on everything that is sent vanishes, in silence.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// From now on everything that belongs to a log vanishes; heartbeats and votes arrive.
    pub(super) fn cut_streams(&self) {
        self.streams_cut.store(true, Ordering::SeqCst);
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
}

impl Cable {
    pub(super) fn new(inner: Arc<dyn Transport>, weather: Arc<Weather>) -> Cable {
        Cable { inner, weather }
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
        let is_stream = hello.service == "feeder";
        Ok(Arc::new(Wire { inner, weather, is_stream, closed: AtomicBool::new(false) }))
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
    closed: AtomicBool,
}

impl Wire {
    fn is_cut(&self) -> bool {
        let streams = self.is_stream && self.weather.streams_cut.load(Ordering::SeqCst);
        streams || self.weather.cut.load(Ordering::SeqCst)
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
        if self.is_cut() { Ok(()) } else { self.inner.send(frame) }
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        self.wait(&self.weather.sends_held, None);
        if self.is_cut() { Ok(()) } else { self.inner.send_parts(parts) }
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
