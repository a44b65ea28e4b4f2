//! The listener's side of a QUIC connection: whatever datagrams come from a stranger, whatever a caller's handshake is spoiled into before it is
//! packed and sealed, and whatever is said by somebody who has proved who it is. Nobody is let in who should not be, what is answered is what a
//! plain reading of the Hello says, and who calls as it should is let in all the while.

use std::any::Any;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::common::clerk::{Clerk, sayings};
use crate::common::hello;
use crate::common::raw_quic::raw_client;
use crate::common::relay::Relay;
use crate::common::tls::framed;
use crate::kit::Input;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::crypto::{
    self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
};
use quinn::{ClientConfig, ConnectError, ConnectionId, Endpoint, Side, VarInt};
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use rep_net::{Limits, QuicTransport, Transport};
use rustls::version::TLS13;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Longer than anything takes that comes to an end.
const LONG: Duration = Duration::from_secs(15);
/// How long a caller whose handshake was spoiled waits for a word about it. There may be none: the listener may be waiting for more.
const SHORT: Duration = Duration::from_millis(100);
/// What a caller says in a handshake is about as long.
const FLIGHTS_BYTES: usize = 1500;
/// A stranger sends at most so many datagrams.
const DATAGRAMS_MAX: usize = 20;
/// The first datagram of a connection is at least as long, or it is not looked at.
const FIRST_DATAGRAM_BYTES: usize = 1200;
/// Among so many inputs there is a call as it should be.
const EACH: usize = 64;

pub(crate) static CLERK: LazyLock<Clerk<QuicTransport>> = LazyLock::new(|| {
    let mut limits = Limits::default();
    limits.hello_timeout = Duration::from_millis(500);
    Clerk::new(|config| QuicTransport::new(config, limits).expect("it is sound"))
});

/// Where all calls come from. Its runtime goes on while somebody calls.
static CALLERS: LazyLock<(Runtime, Endpoint)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let endpoint = runtime.block_on(async { Endpoint::client(([127, 0, 0, 1], 0).into()) });
    (runtime, endpoint.expect("a port is free"))
});

/// Where datagrams of a stranger come from: where there is one, an address of its own, whose places are not the callers'.
static STRANGER: LazyLock<UdpSocket> = LazyLock::new(|| {
    let socket = UdpSocket::bind("127.0.0.2:0").or_else(|_| UdpSocket::bind("127.0.0.1:0"));
    socket.expect("a port is free")
});

static INPUTS: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let before = CLERK.let_in();
    match input.below(3) {
        0 => {
            send_raw(&mut input);
            assert_eq!(CLERK.let_in(), before, "nobody has proved anything");
        }
        1 => {
            let count = 1 + input.below(4);
            let spoils: Vec<_> = (0..count).map(|_| spoil(&mut input)).collect();
            let (config, spoiled) = spoiling(spoils);
            let was_spoiled = || spoiled.load(Ordering::SeqCst) > 0;
            let heard = converse(config, &good_hello(), was_spoiled);
            let let_in = CLERK.let_in() - before;
            assert!(let_in == 0 || !was_spoiled(), "a forgery was believed");
            CLERK.check(&good_hello(), &heard, let_in);
        }
        _ => {
            let said = input.rest();
            let heard = converse(plain(), said, || false);
            CLERK.check(said, &heard, CLERK.let_in() - before);
        }
    }
    if INPUTS.fetch_add(1, Ordering::SeqCst).is_multiple_of(EACH) {
        call_until_let_in();
    }
}

/// A place in what a caller says in its handshake, and what is done to the byte there.
fn spoil(input: &mut Input<'_>) -> (usize, u8) {
    (usize::from(input.word()) % FLIGHTS_BYTES, input.byte())
}

fn good_hello() -> Vec<u8> {
    framed(&hello().encode().expect("it may be sent"))
}

fn at() -> SocketAddr {
    CLERK.address().as_str().parse().expect("an address in digits")
}

/// Sends datagrams, some of them as long as a first one has to be. Nobody waits for what comes of them.
fn send_raw(input: &mut Input<'_>) {
    for _ in 0..DATAGRAMS_MAX {
        if input.is_empty() {
            return;
        }
        let is_first = input.is();
        let mut datagram = input.long().to_vec();
        if is_first && datagram.len() < FIRST_DATAGRAM_BYTES {
            datagram.resize(FIRST_DATAGRAM_BYTES, 0);
        }
        let _ = STRANGER.send_to(&datagram, at());
    }
}

/// Calls, says that, and gives what was answered if the stream ended in order.
fn converse(config: ClientConfig, said: &[u8], may_be_in_vain: impl Fn() -> bool) -> Vec<u8> {
    let (runtime, _) = &*CALLERS;
    runtime.block_on(async {
        let mut talk = pin!(talk(config, said));
        match timeout(SHORT, &mut talk).await {
            Ok(heard) => heard,
            Err(_) if may_be_in_vain() => None,
            Err(_) => timeout(LONG, talk).await.expect("the listener says something in the end"),
        }
        .unwrap_or_default()
    })
}

async fn talk(config: ClientConfig, said: &[u8]) -> Option<Vec<u8>> {
    let (_, endpoint) = &*CALLERS;
    let connection = endpoint.connect_with(config, at(), "somebody").ok()?.await.ok()?;
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(said).await.ok()?;
    send.finish().ok()?;
    let heard = receive.read_to_end(1 << 16).await.ok();
    connection.close(VarInt::from_u32(0), b"");
    heard
}

/// Strangers may have taken every place for a moment, never for long.
fn call_until_let_in() {
    let (before, end) = (CLERK.let_in(), Instant::now() + LONG);
    while CLERK.let_in() == before {
        assert!(Instant::now() < end, "nobody is let in any more");
        converse(plain(), &good_hello(), || false);
    }
}

/// Waits until every connection that was called for is forgotten at this end.
#[allow(dead_code, reason = "for the tests")]
pub(crate) fn settle() {
    let (runtime, endpoint) = &*CALLERS;
    runtime.block_on(endpoint.wait_idle());
}

fn plain() -> ClientConfig {
    raw_client(CLERK.n2.raw_client(&[&TLS13]))
}

/// How to call with a handshake that is spoiled, and how often it was.
fn spoiling(spoils: Vec<(usize, u8)>) -> (ClientConfig, Arc<AtomicUsize>) {
    let config = QuicClientConfig::try_from(CLERK.n2.raw_client(&[&TLS13])).expect("a suite");
    let spoiled = Arc::new(AtomicUsize::new(0));
    let spoiling =
        Spoiling { config: Arc::new(config), spoils: unique(spoils), spoiled: spoiled.clone() };
    (ClientConfig::new(Arc::new(spoiling)), spoiled)
}

/// Twice the same place may be as if nothing had been.
fn unique(mut spoils: Vec<(usize, u8)>) -> Vec<(usize, u8)> {
    spoils.retain(|(_, change)| *change != 0);
    spoils.sort_unstable();
    spoils.dedup_by_key(|(at, _)| *at);
    spoils
}

struct Spoiling {
    config: Arc<QuicClientConfig>,
    spoils: Vec<(usize, u8)>,
    spoiled: Arc<AtomicUsize>,
}

impl crypto::ClientConfig for Spoiling {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        name: &str,
        parameters: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let session = Arc::clone(&self.config).start_session(version, name, parameters)?;
        Ok(Box::new(SpoiledSession { session, spoiling: self, written: 0 }))
    }
}

/// A caller's side of a handshake, of which other bytes are sent than were meant. Everything that is said in one is under its two proofs.
struct SpoiledSession {
    session: Box<dyn Session>,
    spoiling: Arc<Spoiling>,
    written: usize,
}

impl Session for SpoiledSession {
    fn write_handshake(&mut self, buffer: &mut Vec<u8>) -> Option<Keys> {
        let begin = buffer.len();
        let keys = self.session.write_handshake(buffer);
        let new = &mut buffer[begin..];
        for (at, change) in &self.spoiling.spoils {
            if let Some(byte) = at.checked_sub(self.written).and_then(|at| new.get_mut(at)) {
                *byte ^= change;
                self.spoiling.spoiled.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.written += new.len();
        keys
    }

    fn initial_keys(&self, name: &ConnectionId, side: Side) -> Keys {
        self.session.initial_keys(name, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.session.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.session.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.session.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.session.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        self.session.read_handshake(bytes)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.session.transport_parameters()
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.session.next_1rtt_keys()
    }

    fn is_valid_retry(&self, name: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.session.is_valid_retry(name, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.session.export_keying_material(output, label, context)
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let spoiled = [[0, 0, 2], [6, 0, 1], [60, 0, 7], [200, 0, 255], [0, 2, 1], [44, 3, 16]];
    let mut seeds: Vec<Vec<u8>> =
        spoiled.iter().map(|spoil| [&[1, 0][..], spoil].concat()).collect();
    seeds.extend(sayings().iter().map(|said| [&[2][..], said].concat()));
    let relay = Relay::to(CLERK.address());
    let n2 = QuicTransport::new(CLERK.config_of_n2(), Limits::default()).expect("it is sound");
    let end = Instant::now() + LONG;
    // Its end shows that it has been counted.
    let _ = n2.dial(&relay.address(), &hello(), end).expect("it is let in").receive(end);
    let recorded = relay.recorded();
    seeds.push(raw(recorded.iter().take(DATAGRAMS_MAX)));
    seeds.extend(recorded.iter().filter(|datagram| !datagram.is_empty()).map(|one| raw([one])));
    seeds
}

fn raw<'a>(datagrams: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut seed = vec![0];
    for datagram in datagrams {
        seed.push(0);
        seed.extend((datagram.len() as u16).to_le_bytes());
        seed.extend(datagram);
    }
    seed
}
