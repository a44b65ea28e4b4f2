//! One TCP connection: the handshake, then the channel.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::channel::{Channel, Peer, TrySent};
use crate::error::{FrameError, NetError};
use crate::frame::{self, FRAME_HEADER_BYTES, FrameDecoder};
use crate::hello::HELLO_BYTES_MAX;
use crate::limits::Limits;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};
use crate::tcp::writing::{Writing, write_all};

/// A channel over one TCP connection.
#[derive(Debug)]
pub(super) struct TcpChannel {
    stream: TcpStream,
    peer: Peer,
    frame_bytes_max: usize,
    /// Set by our own close; tells the errors that it causes from those that just happen.
    closed: AtomicBool,
    /// One writer at a time.
    writing: Mutex<Writing>,
    /// The reading half, absent while a thread reads with it. So that others can wait for it until their own deadline.
    reading: Mutex<Option<Box<ReadHalf>>>,
    reading_returned: Condvar,
}

#[derive(Debug)]
struct ReadHalf {
    decoder: FrameDecoder,
    /// The timeout that the socket is set to now.
    timeout: Option<Duration>,
    /// What ended the reading, if it is over.
    ended: Option<NetError>,
}

impl Channel for TcpChannel {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.send_parts(std::slice::from_ref(&frame))
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        let header = self.header_of(parts)?;
        self.write_with(&mut self.writing.lock(), |writing| {
            writing.write(&self.stream, &header, parts)
        })
    }

    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        let header = self.header_of(parts)?;
        let Some(mut writing) = self.writing.try_lock() else { return Ok(TrySent::NotNow) };
        self.write_with(&mut writing, |writing| writing.try_write(&self.stream, &header, parts))
    }

    fn flush(&self) -> Result<(), NetError> {
        self.write_with(&mut self.writing.lock(), |writing| writing.flush(&self.stream))
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        let Some(mut half) = self.take_read_half(deadline) else { return Ok(None) };
        let received = self.receive_with(&mut half, deadline);
        *self.reading.lock() = Some(half);
        self.reading_returned.notify_one();
        received
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.shut();
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }
}

impl TcpChannel {
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

    fn take_read_half(&self, deadline: Instant) -> Option<Box<ReadHalf>> {
        let mut reading = self.reading.lock();
        let mut timed_out = false;
        loop {
            if let Some(half) = reading.take() {
                return Some(half);
            }
            if timed_out {
                return None;
            }
            (reading, timed_out) = self.reading_returned.wait_until(reading, Some(deadline));
        }
    }

    fn receive_with(
        &self,
        half: &mut ReadHalf,
        deadline: Instant,
    ) -> Result<Option<Bytes>, NetError> {
        if let Some(error) = &half.ended {
            return Err(error.clone());
        }
        let ended = match read_frame(&self.stream, half, deadline) {
            Ok(frame) => return Ok(frame),
            Err(ReadError::Frame(error)) => error.into(),
            Err(ReadError::End) if !half.decoder.is_mid_frame() => NetError::Closed,
            Err(ReadError::End) => self.why(&io::ErrorKind::UnexpectedEof.into()),
            Err(ReadError::Io(error)) => self.why(&error),
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
            // The other side closed before we wrote.
            io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => NetError::Closed,
            _ => NetError::lost(error),
        }
    }

    fn shut(&self) {
        // Fails if the connection is gone already, which is as well.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Drop for TcpChannel {
    fn drop(&mut self) {
        self.close();
        // A socket released with unread bytes sends a reset, and a reset may overtake what we had sent. So read what
        // there is, within reason.
        if self.stream.set_nonblocking(true).is_ok() {
            let mut sink = [0; 16 << 10];
            for _ in 0..256 {
                if !matches!((&self.stream).read(&mut sink), Ok(1..)) {
                    break;
                }
            }
        }
    }
}

/// A connection on which the Hello is being said. Small bounds, and an end.
pub(super) struct Handshake {
    stream: TcpStream,
    half: ReadHalf,
}

/// Why a handshake came to nothing.
pub(super) enum HandshakeError {
    TimedOut,
    Ended(String),
    Frame(FrameError),
}

impl Handshake {
    pub(super) fn new(stream: TcpStream) -> Self {
        let decoder = FrameDecoder::new(HELLO_BYTES_MAX, HELLO_BYTES_MAX + FRAME_HEADER_BYTES);
        Self { stream, half: ReadHalf { decoder, timeout: None, ended: None } }
    }

    /// Sends a frame and waits for the answer. Even if the sending fails: a listener that is too busy to read says so and hangs up.
    pub(super) fn ask(
        &mut self,
        frame: &Bytes,
        deadline: Instant,
    ) -> Result<Bytes, HandshakeError> {
        let sent = self.send(frame, deadline);
        let answer = self.receive(deadline);
        match (sent, answer) {
            (_, Ok(answer)) => Ok(answer),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        }
    }

    pub(super) fn send(&mut self, frame: &Bytes, deadline: Instant) -> Result<(), HandshakeError> {
        let header = frame::header(std::slice::from_ref(frame));
        let mut slices = [IoSlice::new(&header), IoSlice::new(frame)];
        write_all(&self.stream, &mut slices, Some(deadline)).map_err(|error| {
            if is_timeout(&error) {
                HandshakeError::TimedOut
            } else {
                HandshakeError::Ended(error.to_string())
            }
        })
    }

    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Bytes, HandshakeError> {
        match read_frame(&self.stream, &mut self.half, deadline) {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(HandshakeError::TimedOut),
            Err(ReadError::End) => Err(HandshakeError::Ended("the connection was closed".into())),
            Err(ReadError::Io(error)) => Err(HandshakeError::Ended(error.to_string())),
            Err(ReadError::Frame(error)) => Err(HandshakeError::Frame(error)),
        }
    }

    pub(super) fn into_channel(self, peer: Peer, limits: &Limits) -> io::Result<TcpChannel> {
        let Self { stream, mut half } = self;
        #[cfg(not(target_os = "linux"))]
        stream.set_write_timeout(None)?;
        half.decoder.set_bounds(limits.frame_bytes_max, limits.read_block_bytes);
        Ok(TcpChannel {
            stream,
            peer,
            frame_bytes_max: limits.frame_bytes_max,
            closed: AtomicBool::new(false),
            writing: Mutex::new(Writing::default()),
            reading: Mutex::new(Some(Box::new(half))),
            reading_returned: Condvar::default(),
        })
    }
}

enum ReadError {
    End,
    Io(io::Error),
    Frame(FrameError),
}

/// The next frame, or `None` if it was not complete by the deadline. What has arrived stays in the decoder.
fn read_frame(
    stream: &TcpStream,
    half: &mut ReadHalf,
    deadline: Instant,
) -> Result<Option<Bytes>, ReadError> {
    let mut mind_deadline = false;
    loop {
        if let Some(frame) = half.decoder.next_frame().map_err(ReadError::Frame)? {
            return Ok(Some(frame));
        }
        // Read once even if the deadline has passed: what is there already counts as arrived.
        if mind_deadline && Instant::now() >= deadline {
            return Ok(None);
        }
        mind_deadline = true;
        set_timeout(stream, &mut half.timeout, left_until(deadline)).map_err(ReadError::Io)?;
        let mut reader = stream;
        match reader.read(half.decoder.space()) {
            Ok(0) => return Err(ReadError::End),
            Ok(bytes) => half.decoder.filled(bytes),
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Io(error)),
        }
    }
}

/// Sets the read timeout so that a read ends by then. A timeout that is somewhat shorter than needed is left as it is: the
/// caller goes on reading when it passes, and a system call for each read is saved.
fn set_timeout(
    stream: &TcpStream,
    current: &mut Option<Duration>,
    left: Duration,
) -> io::Result<()> {
    if current.is_some_and(|timeout| timeout <= left && timeout >= left / 2) {
        return Ok(());
    }
    let timeout = (left - left / 4).max(SHORTEST_WAIT);
    stream.set_read_timeout(Some(timeout))?;
    *current = Some(timeout);
    Ok(())
}

/// A socket cannot be asked to wait for no time at all.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

pub(super) fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
