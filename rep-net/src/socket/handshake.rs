//! A connection on which the Hello is being said. Small bounds, and an end.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::time::Instant;

use bytes::Bytes;

use crate::channel::Peer;
use crate::error::{FrameError, TlsError};
use crate::frame::{self, FRAME_HEADER_BYTES, FrameDecoder};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::seats::Seat;
use crate::socket::channel::{Line, SocketChannel};
use crate::socket::cover::{Covering, Patience, Side};
use crate::socket::reading::{ReadError, ReadHalf, is_timeout};
use crate::socket::writing::write_all;

/// One end of a connection before its Hello is accepted.
pub(super) struct Handshake {
    line: Line,
    half: ReadHalf,
    /// Whom the peer has proved to be, if the transport asks for proof.
    pub(super) proved: Option<Vec<Identity>>,
    deadline: Instant,
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The deadline passed.
    TimedOut,
    /// The connection ended, or failed.
    Ended(String),
    /// What came is no frame.
    Frame(FrameError),
    /// What covers the connection did not come about, or broke.
    Tls(TlsError),
}

impl Handshake {
    /// Covers the connection; what follows is said under the cover.
    pub(super) fn begin(
        covering: &dyn Covering,
        side: Side,
        stream: TcpStream,
        deadline: Instant,
        limits: &Limits,
    ) -> Result<Self, HandshakeError> {
        let bytes_max = limits.first_frame_bytes_max();
        let decoder = FrameDecoder::new(bytes_max, bytes_max + FRAME_HEADER_BYTES);
        let mut half = ReadHalf::new(decoder);
        let patience = Patience { deadline, bytes_max: limits.tls_handshake_bytes_max };
        let covered = covering.cover(side, &stream, &mut half, patience)?;
        let line = Line { stream, cover: covered.cover };
        Ok(Self { line, half, proved: covered.proved, deadline })
    }

    /// Sends a frame and waits for the answer. Even if the sending fails: a listener that is too busy to read says so and hangs up.
    pub(super) fn ask(&mut self, frame: &Bytes) -> Result<Bytes, HandshakeError> {
        let sent = self.send(frame);
        let answer = self.receive();
        match (sent, answer) {
            (_, Ok(answer)) => Ok(answer),
            // Why it was not heard is worth more than that it was not.
            (_, Err(error @ HandshakeError::Tls(_))) => Err(error),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        }
    }

    pub(super) fn send(&mut self, frame: &Bytes) -> Result<(), HandshakeError> {
        let header = frame::header(std::slice::from_ref(frame));
        let plain = [&header[..], &frame[..]].concat();
        let bytes = match &self.line.cover {
            None => plain,
            Some(cover) => {
                let mut wire = Vec::new();
                let mut rest = &plain[..];
                while !rest.is_empty() {
                    let sealed = cover.seal(&[IoSlice::new(rest)], &mut wire).map_err(ended)?;
                    rest = &rest[sealed..];
                }
                wire
            }
        };
        write_all(&self.line.stream, &mut [IoSlice::new(&bytes)], Some(self.deadline))
            .map_err(ended)
    }

    pub(super) fn receive(&mut self) -> Result<Bytes, HandshakeError> {
        let cover = self.line.cover.as_deref();
        match self.half.read_frame(&self.line.stream, cover, self.deadline) {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(HandshakeError::TimedOut),
            Err(ReadError::End | ReadError::Frame(_))
                if cover.is_none() && is_tls(self.half.decoder.begun()) =>
            {
                Err(HandshakeError::Tls(TlsError::TlsSpoken))
            }
            Err(ReadError::End | ReadError::CutOff) => {
                Err(HandshakeError::Ended("the connection was closed".into()))
            }
            Err(ReadError::Io(error)) => Err(ended(error)),
            Err(ReadError::Frame(error)) => Err(HandshakeError::Frame(error)),
            Err(ReadError::Cover(error)) => Err(HandshakeError::Tls(error)),
        }
    }

    /// Says nothing more. A cover's last word is the peer's to expect.
    pub(super) fn end(self) {
        if let Some(cover) = &self.line.cover {
            let mut wire = Vec::new();
            cover.seal_end(&mut wire);
            let _ = write_all(&self.line.stream, &mut [IoSlice::new(&wire)], Some(self.deadline));
        }
    }

    pub(super) fn into_channel(
        self,
        peer: Peer,
        seat: Option<Seat>,
        limits: &Limits,
    ) -> io::Result<SocketChannel> {
        let Self { line, mut half, .. } = self;
        #[cfg(not(target_os = "linux"))]
        line.stream.set_write_timeout(None)?;
        half.decoder.set_bounds(limits.frame_bytes_max, limits.read_block_bytes);
        Ok(SocketChannel::new(line, peer, seat, half, limits.frame_bytes_max))
    }
}

/// Whether what should be a frame is a record of TLS: an alert, or a handshake.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, 0..=4, ..])
}

pub(crate) fn ended(error: io::Error) -> HandshakeError {
    if is_timeout(&error) {
        HandshakeError::TimedOut
    } else {
        HandshakeError::Ended(error.to_string())
    }
}
