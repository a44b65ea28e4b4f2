//! Reading from a connection: frames, until a deadline, whatever covers them.

use std::fmt;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::error::{FrameError, NetError, TlsError};
use crate::frame::FrameDecoder;
use crate::socket::cover::{Cover, End};

/// How many sealed bytes are read at once. They are opened into the decoder right away, so that no more than these wait.
const SEALED_BLOCK_BYTES: usize = 64 << 10;

/// The same before the Hello, where what has been read is counted.
#[cfg(feature = "tls")]
const FIRST_BLOCK_BYTES: usize = 4 << 10;

/// The reading half of a connection; whoever has it reads.
pub(crate) struct ReadHalf {
    pub(crate) decoder: FrameDecoder,
    /// Room for sealed bytes, once some are to be read.
    sealed: Vec<u8>,
    /// The peer has said that nothing follows what is in the decoder.
    end_said: bool,
    /// The timeout that the socket is set to now.
    timeout: Option<Duration>,
    /// What ended the reading, if it is over.
    pub(super) ended: Option<NetError>,
}

#[derive(Debug)]
pub(crate) enum ReadError {
    /// The peer said that nothing follows; without a cover, it ended its stream.
    End,
    /// The stream ended without that word.
    CutOff,
    Io(io::Error),
    Frame(FrameError),
    Cover(TlsError),
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf")
            .field("decoder", &self.decoder)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl ReadHalf {
    pub(super) fn new(decoder: FrameDecoder) -> Self {
        Self { decoder, sealed: Vec::new(), end_said: false, timeout: None, ended: None }
    }

    /// The next frame, or `None` if it was not complete by the deadline. What has arrived stays in the decoder.
    pub(super) fn read_frame(
        &mut self,
        stream: &TcpStream,
        cover: Option<&dyn Cover>,
        deadline: Instant,
    ) -> Result<Option<Bytes>, ReadError> {
        let mut mind_deadline = false;
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(ReadError::Frame)? {
                return Ok(Some(frame));
            }
            if self.end_said {
                return Err(ReadError::End);
            }
            // Read once even if the deadline has passed: what is there already counts as arrived.
            if mind_deadline && Instant::now() >= deadline {
                return Ok(None);
            }
            mind_deadline = true;
            match cover {
                None => self.read_plain(stream, deadline)?,
                Some(cover) => self.read_sealed(stream, cover, deadline)?,
            }
        }
    }

    fn read_plain(&mut self, stream: &TcpStream, deadline: Instant) -> Result<(), ReadError> {
        let space = self.decoder.space();
        match read_some(stream, &mut self.timeout, space, deadline) {
            Ok(Some(0)) => Err(ReadError::End),
            Ok(bytes) => {
                self.decoder.filled(bytes.unwrap_or(0));
                Ok(())
            }
            Err(error) => Err(ReadError::Io(error)),
        }
    }

    fn read_sealed(
        &mut self,
        stream: &TcpStream,
        cover: &dyn Cover,
        deadline: Instant,
    ) -> Result<(), ReadError> {
        let read = self.read_sealed_bytes(stream, SEALED_BLOCK_BYTES, deadline);
        match read.map_err(ReadError::Io)? {
            None => Ok(()),
            Some(0) => Err(ReadError::CutOff),
            Some(bytes) => {
                let opened = cover.open(&self.sealed[..bytes], &mut self.decoder);
                self.end_said = opened.map_err(ReadError::Cover)? == End::Said;
                Ok(())
            }
        }
    }

    fn read_sealed_bytes(
        &mut self,
        stream: &TcpStream,
        bytes_max: usize,
        deadline: Instant,
    ) -> io::Result<Option<usize>> {
        if self.sealed.is_empty() {
            self.sealed = vec![0; SEALED_BLOCK_BYTES];
        }
        read_some(stream, &mut self.timeout, &mut self.sealed[..bytes_max], deadline)
    }

    /// Reads sealed bytes and has `open` look at them together with the decoder; none of them: the stream has ended, or nothing came by the
    /// deadline. For what a cover has to say before there are frames.
    #[cfg(feature = "tls")]
    pub(crate) fn read_with<R>(
        &mut self,
        stream: &TcpStream,
        deadline: Instant,
        open: impl FnOnce(&[u8], &mut FrameDecoder) -> R,
    ) -> io::Result<Option<R>> {
        let read = self.read_sealed_bytes(stream, FIRST_BLOCK_BYTES, deadline)?;
        Ok(read.map(|bytes| open(&self.sealed[..bytes], &mut self.decoder)))
    }
}

/// Reads what there is; `None` if nothing came in a while, at the latest by the deadline.
fn read_some(
    mut stream: &TcpStream,
    current: &mut Option<Duration>,
    space: &mut [u8],
    deadline: Instant,
) -> io::Result<Option<usize>> {
    set_timeout(stream, current, left_until(deadline))?;
    match stream.read(space) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
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

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
