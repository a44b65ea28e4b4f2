//! What may lie between the frames and the socket.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::error::TlsError;
use crate::frame::FrameDecoder;
use crate::identity::Identity;
use crate::socket::handshake::HandshakeError;
use crate::socket::reading::ReadHalf;

/// Seals what is sent and opens what has come. It touches no socket, and nothing in it waits: whoever calls it does the reading and
/// the writing, so that neither direction is ever held up by the other.
pub(crate) trait Cover: Debug + Send + Sync {
    /// Seals a beginning of `plain` and appends it to `wire`; how many bytes of `plain` that was, at least one if there is one.
    ///
    /// What is appended has to be written before anything that is sealed later.
    fn seal(&self, plain: &[IoSlice<'_>], wire: &mut Vec<u8>) -> io::Result<usize>;

    /// Opens `wire`, which came from the socket, into the decoder.
    fn open(&self, wire: &[u8], decoder: &mut FrameDecoder) -> Result<End, TlsError>;

    /// Appends to `wire` the word that nothing follows.
    fn seal_end(&self, wire: &mut Vec<u8>);
}

/// Whether the peer has said that nothing follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only a cover says so"))]
    NotYet,
    Said,
}

/// Which end of a connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialling,
    Listening,
}

/// How long, and to how many bytes, a peer is listened to until the connection is covered.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nothing is said for a cover"))]
pub(crate) struct Patience {
    pub(crate) deadline: Instant,
    pub(crate) bytes_max: usize,
}

/// What a transport does with a connection before the Hello is said on it.
pub(crate) trait Covering: Debug + Send + Sync {
    /// Covers a new connection. What the peer has sent behind its part of that, opened, is in the half's decoder afterwards.
    fn cover(
        &self,
        side: Side,
        stream: &TcpStream,
        half: &mut ReadHalf,
        patience: Patience,
    ) -> Result<Covered, HandshakeError>;

    /// Whether what is said may go to that address, or be heard there.
    fn may_be_used_at(&self, at: &SocketAddr) -> bool {
        let _ = at;
        true
    }

    /// What a caller is sent who is one too many: a few bytes, in the language that it speaks.
    fn busy(&self) -> Vec<u8>;
}

/// What came of covering a connection.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    /// None: the bytes of the frames are the bytes on the wire.
    pub(crate) cover: Option<Box<dyn Cover>>,
    /// Whom the peer has proved to be, if this transport asks for proof.
    pub(crate) proved: Option<Vec<Identity>>,
}

/// Nothing in between, and nothing proved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plain {
    /// It was said that others may read and forge everything.
    pub(crate) may_be_exposed: bool,
}

impl Covering for Plain {
    fn may_be_used_at(&self, at: &SocketAddr) -> bool {
        self.may_be_exposed || at.ip().to_canonical().is_loopback()
    }

    fn cover(
        &self,
        _side: Side,
        _stream: &TcpStream,
        _half: &mut ReadHalf,
        _patience: Patience,
    ) -> Result<Covered, HandshakeError> {
        Ok(Covered::default())
    }

    fn busy(&self) -> Vec<u8> {
        use crate::hello::{Answer, RefuseReason};

        let answer = Answer::Refused(RefuseReason::Busy).encode();
        [&crate::frame::header(std::slice::from_ref(&answer)), &answer[..]].concat()
    }
}
