//! What the tests of transports share: a handler that gives its channels out, and a table with it.
#![allow(dead_code)] // each test uses a part of it

#[cfg(feature = "tls")]
pub(crate) mod bank;
#[cfg(feature = "tls")]
pub(crate) mod clerk;
#[cfg(feature = "quic")]
pub(crate) mod raw_quic;
#[cfg(feature = "quic")]
pub(crate) mod relay;
#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rep_net::frame;
use rep_net::queue::{Lane, Queue};
use rep_net::{
    Address, Bytes, Channel, Hello, Host, Listener, RefuseReason, ServiceHandler, ServiceTable,
    Transport,
};

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Says three frames to a channel, in two pieces that part at each byte in turn, with a receive in between that gives up. The prefix of a frame that
/// came apart once put a stream out of step for ever.
pub(crate) fn frames_split_at_every_byte(channel: &dyn Channel, mut say: impl FnMut(&[u8])) {
    let frames = [&b"first"[..], b"", b"third"];
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
    for split in 0..=bytes.len() {
        let mut received = Vec::new();
        for part in [&bytes[..split], &bytes[split..]] {
            say(part);
            received.extend(channel.receive(Instant::now()).unwrap());
        }
        while received.len() < frames.len() {
            received.push(channel.receive(soon()).unwrap().expect("the rest has been sent"));
        }
        assert_eq!(received, frames, "split at {split}");
    }
    assert_eq!(channel.receive(Instant::now()), Ok(None));
}

/// A frame, as it is on the wire.
pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(payload);
    [&frame::header(std::slice::from_ref(&payload)), &payload[..]].concat()
}

/// Hands every channel out through a queue.
pub(crate) struct Desk {
    pub(crate) arrivals: Queue<(Hello, Arc<dyn Channel>)>,
}

impl Desk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { arrivals: Queue::new([Lane { items_max: 1000, bytes_max: 0 }]) })
    }

    pub(crate) fn next(&self) -> (Hello, Arc<dyn Channel>) {
        self.arrivals.pop(Some(soon())).expect("the desk is open").expect("somebody arrives")
    }
}

impl ServiceHandler for Desk {
    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        if hello.node == "stranger" {
            return Err(RefuseReason::NotMember { detail: "nobody knows you".into() });
        }
        Ok(())
    }

    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>) {
        let _ = self.arrivals.try_push(0, 0, (hello, channel));
    }
}

/// Node n1 of the group `bank`, with the service `peer` at this desk.
pub(crate) fn table(desk: &Arc<Desk>) -> Arc<ServiceTable> {
    let services = ServiceTable::new();
    services.host(Host::new("bank", "n1", [1; 16])).unwrap();
    services.register("bank", "peer", Arc::clone(desk) as Arc<dyn ServiceHandler>).unwrap();
    Arc::new(services)
}

pub(crate) fn hello() -> Hello {
    Hello::new("bank", "peer").from_node("n2", [2; 16])
}

/// A listener at a desk, and both ends of as many channels through it as are wanted.
pub(crate) struct Party {
    pub(crate) desk: Arc<Desk>,
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) dialler: Arc<dyn Transport>,
}

impl Party {
    pub(crate) fn new(
        listening: &dyn Transport,
        address: &str,
        dialler: Arc<dyn Transport>,
    ) -> Self {
        let desk = Desk::new();
        let listener = listening.listen(&address.into(), table(&desk)).unwrap();
        Self { desk, listener, dialler }
    }

    pub(crate) fn address(&self) -> &Address {
        self.listener.local_address()
    }

    pub(crate) fn connect(&self) -> (Arc<dyn Channel>, Arc<dyn Channel>) {
        let dialled = self.dialler.dial(self.address(), &hello(), soon()).unwrap();
        (dialled, self.desk.next().1)
    }
}
