//! Every bound of this crate, by name.
//!
//! A stranger who can open a connection must not be able to make a process spend memory, threads or time without
//! bound, and a friend who is slow must not either. Each number below is one such bound.

use std::time::Duration;

use crate::hello::HELLO_BYTES_MAX;

/// Bounds that a transport is made with. Start from [`Limits::default`] and change fields.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest frame before a Hello is accepted, and so the longest Hello that is heard, and the longest answer. Default
    /// [`HELLO_BYTES_MAX`], 4 KiB, which is as long as either can be: more means the same.
    pub hello_bytes_max: usize,
    /// Longest frame, after a Hello is accepted. Default 16 MiB.
    pub frame_bytes_max: usize,
    /// TLS: bytes of a handshake that are read before it is broken off; certificates take a few thousand. Default 64 KiB. It may be passed by what
    /// one read brings, 4 KiB.
    pub tls_handshake_bytes_max: usize,
    /// How long a caller may take from being accepted until its Hello is complete, TLS included (over QUIC, for each of the two). Default 5 s.
    pub hello_timeout: Duration,
    /// How many callers of one listener may be without an accepted Hello at a time; one more is told `Busy`. Default 64.
    pub half_open_max: usize,
    /// How many of them may call from one address (of IPv6: from one /64), so that nobody takes all the places alone; one more is told
    /// `Busy`. Default 16.
    pub half_open_per_address_max: usize,
    /// TLS and QUIC: how many channels that one listener has accepted may be a single peer's (a node of a group, as proved) at a time, and over QUIC
    /// how many connections; one more is told `TooManyChannels`. A channel counts until its accepted end is dropped. Default 64, where a member of a
    /// group needs one for each service that it uses, and as many again for a moment after it was started again. (Memory and plain TCP prove no
    /// names, and whoever announced another's could take that other's channels away.)
    pub channels_per_peer_max: usize,
    /// Memory channels: frames queued in one direction before `send` blocks. Default 1024.
    pub queue_items_max: usize,
    /// Memory channels and QUIC: bytes queued in one direction before `send` blocks; one longer frame travels alone. Over QUIC it is also how many
    /// bytes of a channel may be under way or wait to be received, at least 64 KiB. Default 4 MiB.
    pub queue_bytes_max: usize,
    /// TCP: size of a read buffer, and so how many small frames one system call may bring. Default 256 KiB.
    pub read_block_bytes: usize,
    /// TCP: how long a connection may be idle before the system asks whether its other end still exists. Default 10 s.
    pub keepalive_idle: Duration,
    /// TCP: time between two such questions. Default 3 s; three unanswered ones end the connection.
    pub keepalive_interval: Duration,
    /// TCP, Linux: how long sent bytes may stay unacknowledged, or the peer without room for more, before the connection is given up;
    /// QUIC: how long a channel that was closed may take to deliver what was queued. Default 30 s. It is the upper bound of a blocked `send`.
    pub user_timeout: Duration,
    /// QUIC: how many channels one connection may have. Default 32; a dialler that wants more makes another connection.
    pub quic_channels_max: u32,
    /// QUIC: how long a connection may be silent before its dialler makes sure that the other end is there. Default 150 ms; a group wants it
    /// below its election timeout.
    pub quic_keepalive: Duration,
    /// QUIC: after how long a silence a connection is lost, and every channel on it. Default 2 s.
    pub quic_idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello_bytes_max: HELLO_BYTES_MAX,
            frame_bytes_max: 16 << 20,
            tls_handshake_bytes_max: 64 << 10,
            hello_timeout: Duration::from_secs(5),
            half_open_max: 64,
            half_open_per_address_max: 16,
            channels_per_peer_max: 64,
            queue_items_max: 1024,
            queue_bytes_max: 4 << 20,
            read_block_bytes: 256 << 10,
            keepalive_idle: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(3),
            user_timeout: Duration::from_secs(30),
            quic_channels_max: 32,
            quic_keepalive: Duration::from_millis(150),
            quic_idle_timeout: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// What is heard before a Hello is accepted.
    pub(crate) fn first_frame_bytes_max(&self) -> usize {
        self.hello_bytes_max.min(HELLO_BYTES_MAX)
    }
}
