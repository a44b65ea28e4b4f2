//! What quinn is told: the certificates in force, and every bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, ServerConfig,
    TransportConfig, ValidationTokenConfig, VarInt,
};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::CertificateFault;
use crate::limits::Limits;
use crate::sync::Mutex;
use crate::tls::{Material, Watched};

/// The least that a channel may have under way. Less would have a frame wait for the network many times over.
const WINDOW_BYTES_MIN: usize = 64 << 10;

/// The least that a connection may have sent and not seen acknowledged.
const SENT_BYTES_MIN: u64 = 1 << 20;

/// What a caller may send before somebody looks at it. A first packet or two.
const UNSEEN_BYTES_MAX: u64 = 8 << 10;

/// The smallest datagram that every path has to carry, and what every connection begins with: it fits through a path of 1280 bytes.
/// Larger ones are tried out later.
const DATAGRAM_BYTES_MIN: u16 = 1200;

/// How many bytes of a channel may be under way in one direction, or have come and not been received.
pub(super) fn window_bytes(limits: &Limits) -> u32 {
    let bytes = limits.queue_bytes_max.max(WINDOW_BYTES_MIN);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// For a socket that is listened on.
///
/// The secret by which connections are broken off is derived from the node's private key, and what they are called is not checked, so that a
/// process that was started again at the same place ends the connections of the one before when something comes on them: their other ends
/// need not wait for a silence. Each place has a secret of its own, or one could be asked to break off the connections of another.
pub(super) fn endpoint(material: &Material, at: SocketAddr) -> EndpointConfig {
    let secret = hmac::sign(&material.reset_key, at.to_string().as_bytes());
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
    let mut config = EndpointConfig::new(Arc::new(secret));
    config.cid_generator(|| Box::new(AnyName(SystemRandom::new())));
    config
}

/// Calls connections by eight bytes of chance.
struct AnyName(SystemRandom);

impl ConnectionIdGenerator for AnyName {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut name = [0; NAME_BYTES];
        self.0.fill(&mut name).expect("the system has chance to give");
        ConnectionId::new(&name)
    }

    fn cid_len(&self) -> usize {
        NAME_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

const NAME_BYTES: usize = 8;

pub(super) fn server(material: &Material, limits: &Limits) -> Arc<ServerConfig> {
    let tls = QuicServerConfig::try_from(Arc::clone(&material.server)).expect(HAS_SUITE);
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    let mut transport = transport(limits);
    transport.max_concurrent_bidi_streams(VarInt::from_u32(limits.quic_channels_max));
    let mut no_tokens = ValidationTokenConfig::default();
    no_tokens.sent(0);
    server
        .transport_config(Arc::new(transport))
        .validation_token_config(no_tokens)
        .max_incoming(limits.half_open_max)
        .incoming_buffer_size(UNSEEN_BYTES_MAX)
        .incoming_buffer_size_total(UNSEEN_BYTES_MAX * limits.half_open_max as u64)
        // Whoever has moved dials again: an address that is counted stays the one that it was.
        .migration(false);
    Arc::new(server)
}

/// For one connection; what the verifier finds wrong is noted, because all that is left of it otherwise is an alert.
pub(super) fn client(
    material: &Material,
    limits: &Limits,
    found: &Arc<Mutex<Option<CertificateFault>>>,
) -> ClientConfig {
    let mut tls = (*material.client).clone();
    let watched = Watched::new(Arc::clone(&material.verifier), Arc::clone(found));
    tls.dangerous().set_certificate_verifier(Arc::new(watched));
    let tls = QuicClientConfig::try_from(tls).expect(HAS_SUITE);
    let mut client = ClientConfig::new(Arc::new(tls));
    let mut transport = transport(limits);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .keep_alive_interval(Some(limits.quic_keepalive));
    client.transport_config(Arc::new(transport));
    client
}

const HAS_SUITE: &str = "every provider of ours has AES-128-GCM";

fn transport(limits: &Limits) -> TransportConfig {
    let window = window_bytes(limits);
    // Enough for all channels at once, so that one that nobody reads does not hold up the others.
    let all_windows = u64::from(window) * u64::from(limits.quic_channels_max);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(window))
        .receive_window(VarInt::from_u64(all_windows).unwrap_or(VarInt::MAX))
        .send_window((2 * u64::from(window)).max(SENT_BYTES_MIN))
        .max_idle_timeout(Some(idle(limits.quic_idle_timeout)))
        .initial_mtu(DATAGRAM_BYTES_MIN)
        .min_mtu(DATAGRAM_BYTES_MIN);
    transport
}

fn idle(timeout: Duration) -> IdleTimeout {
    IdleTimeout::try_from(timeout).unwrap_or(IdleTimeout::from(VarInt::MAX))
}
