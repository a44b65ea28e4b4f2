//! The channel over one connection, once the Hello is accepted.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use bytes::Bytes;

use crate::channel::{Channel, Peer, TrySent};
use crate::error::NetError;
use crate::frame::{self, FRAME_HEADER_BYTES};
use crate::seats::Seat;
use crate::socket::cover::Cover;
use crate::socket::reading::{ReadError, ReadHalf};
use crate::socket::writing::Writing;
use crate::sync::{AtomicBool, Mutex, OnceLock, Ordering};
use crate::turn::Turn;

/// A connection, and what covers it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(super) stream: TcpStream,
    pub(super) cover: Option<Box<dyn Cover>>,
}

/// A channel over one connection.
#[derive(Debug)]
pub(crate) struct SocketChannel {
    line: Line,
    peer: Peer,
    /// The peer's, if it called and has proved who it is.
    _seat: Option<Seat>,
    frame_bytes_max: usize,
    /// Set by our own close; tells the errors that it causes from those that just happen.
    closed: AtomicBool,
    /// How the connection was lost. The system says so once, to whichever direction asks first; to the other it looks like an orderly end.
    lost: OnceLock<NetError>,
    /// One writer at a time.
    writing: Mutex<Writing>,
    /// One reader at a time; the others wait until their own deadlines.
    reading: Turn<Box<ReadHalf>>,
}

impl Channel for SocketChannel {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.send_parts(std::slice::from_ref(&frame))
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        let header = self.header_of(parts)?;
        self.write_with(&mut self.writing.lock(), |writing| {
            writing.write(&self.line, &header, parts)
        })
    }

    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        let header = self.header_of(parts)?;
        let Some(mut writing) = self.writing.try_lock() else { return Ok(TrySent::NotNow) };
        self.write_with(&mut writing, |writing| writing.try_write(&self.line, &header, parts))
    }

    fn flush(&self) -> Result<(), NetError> {
        self.write_with(&mut self.writing.lock(), |writing| writing.flush(&self.line.stream))
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        let Some(mut half) = self.reading.take(deadline) else { return Ok(None) };
        let received = self.receive_with(&mut half, deadline);
        self.reading.give_back(half);
        received
    }

    fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.say_end();
        self.shut();
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }
}

impl SocketChannel {
    pub(super) fn new(
        line: Line,
        peer: Peer,
        seat: Option<Seat>,
        half: ReadHalf,
        frame_bytes_max: usize,
    ) -> Self {
        Self {
            line,
            peer,
            _seat: seat,
            frame_bytes_max,
            closed: AtomicBool::new(false),
            lost: OnceLock::new(),
            writing: Mutex::new(Writing::default()),
            reading: Turn::new(Box::new(half)),
        }
    }

    fn header_of(&self, parts: &[Bytes]) -> Result<[u8; FRAME_HEADER_BYTES], NetError> {
        let bytes = parts.iter().map(Bytes::len).sum();
        let bytes_max = self.frame_bytes_max;
        if bytes > bytes_max {
            return Err(NetError::FrameTooLarge { bytes, bytes_max });
        }
        Ok(frame::header(parts))
    }

    fn write_with<R>(
        &self,
        writing: &mut Writing,
        write: impl FnOnce(&mut Writing) -> io::Result<R>,
    ) -> Result<R, NetError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(NetError::Closed);
        }
        if let Some(error) = &writing.failed {
            return Err(error.clone());
        }
        write(writing).map_err(|error| {
            // Part of a frame may be out: nothing sensible can follow it.
            let error = self.why(&error);
            writing.failed = Some(error.clone());
            self.shut();
            error
        })
    }

    fn receive_with(
        &self,
        half: &mut ReadHalf,
        deadline: Instant,
    ) -> Result<Option<Bytes>, NetError> {
        if let Some(error) = &half.ended {
            return Err(error.clone());
        }
        let ended = match half.read_frame(&self.line.stream, self.line.cover.as_deref(), deadline) {
            Ok(frame) => return Ok(frame),
            Err(ReadError::Frame(error)) => error.into(),
            Err(ReadError::End) if !half.decoder.is_mid_frame() => {
                self.why(&io::ErrorKind::NotConnected.into())
            }
            Err(ReadError::End | ReadError::CutOff) => {
                self.why(&io::ErrorKind::UnexpectedEof.into())
            }
            Err(ReadError::Io(error)) => self.why(&error),
            Err(ReadError::Cover(error)) => {
                self.say_end();
                self.why(&io::Error::new(io::ErrorKind::InvalidData, error))
            }
        };
        half.ended = Some(ended.clone());
        // The other half has nobody to talk to either; a send that is blocked ends now.
        self.shut();
        Err(ended)
    }

    /// What an error of the system means for the channel.
    fn why(&self, error: &io::Error) -> NetError {
        match error.kind() {
            _ if self.closed.load(Ordering::Acquire) => NetError::Closed,
            // The other side closed, unless it only looks like that.
            io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => {
                self.lost.get().cloned().unwrap_or(NetError::Closed)
            }
            _ => self.lost.get_or_init(|| NetError::lost(error)).clone(),
        }
    }

    /// Tells the peer that nothing follows. Not while somebody writes: that may be stuck in the middle of a frame, and the peer, to whom the
    /// channel is then lost, is right about that.
    fn say_end(&self) {
        if let Some(mut writing) = self.writing.try_lock() {
            writing.write_end(&self.line);
        }
    }

    fn shut(&self) {
        // Fails if the connection is gone already, which is as well.
        let _ = self.line.stream.shutdown(Shutdown::Both);
    }
}

impl Drop for SocketChannel {
    fn drop(&mut self) {
        self.close();
        // A socket released with unread bytes sends a reset, and a reset may overtake what we had sent. So read what
        // there is, within reason.
        if self.line.stream.set_nonblocking(true).is_ok() {
            let mut sink = [0; 16 << 10];
            for _ in 0..256 {
                if !matches!((&self.line.stream).read(&mut sink), Ok(1..)) {
                    break;
                }
            }
        }
    }
}
