//! Writing to a connection: whole frames, in order, by those who wait and by those who do not.

use std::fmt;
#[cfg(not(target_os = "linux"))]
use std::io::Write;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::time::Instant;

use bytes::Bytes;

use crate::channel::TrySent;
use crate::error::NetError;
use crate::frame::FRAME_HEADER_BYTES;
use crate::socket::channel::Line;
use crate::socket::cover::Cover;
#[cfg(target_os = "linux")]
use crate::socket::reading::left_until;

/// What the writers of one connection share, one of them at a time.
#[derive(Default)]
pub(super) struct Writing {
    /// What ended the writing.
    pub(super) failed: Option<NetError>,
    /// Bytes for the socket that it has not taken yet: what is left of a frame, of at most one. Sealed, if the connection has a cover.
    rest: Vec<u8>,
}

/// How much room for a rest is kept when it is written. Sealing needs about as much again and again; more than that was a long frame's.
const REST_KEPT_BYTES: usize = 512 << 10;

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing")
            .field("failed", &self.failed)
            .field("rest_bytes", &self.rest.len())
            .finish()
    }
}

impl Writing {
    /// Writes a frame behind whatever is left of the one before, waiting for room.
    pub(super) fn write(
        &mut self,
        line: &Line,
        header: &[u8; FRAME_HEADER_BYTES],
        parts: &[Bytes],
    ) -> io::Result<()> {
        self.flush(&line.stream)?;
        match parts {
            [part] => self.write_slices(line, &mut [IoSlice::new(header), IoSlice::new(part)]),
            parts => self.write_slices(line, &mut slices_of(header, parts)),
        }
    }

    fn write_slices(&mut self, line: &Line, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let Some(cover) = &line.cover else { return write_all(&line.stream, slices, None) };
        while !slices.is_empty() {
            let sealed = cover.seal(slices, &mut self.rest)?;
            IoSlice::advance_slices(&mut slices, sealed);
            self.flush(&line.stream)?;
        }
        Ok(())
    }

    /// Writes of a frame what there is room for now, and keeps the rest.
    pub(super) fn try_write(
        &mut self,
        line: &Line,
        header: &[u8; FRAME_HEADER_BYTES],
        parts: &[Bytes],
    ) -> io::Result<TrySent> {
        if !self.rest.is_empty() || parts.len() >= SLICES_MAX {
            return Ok(TrySent::NotNow);
        }
        let mut slices = slices_of(header, parts);
        match &line.cover {
            None => {
                let written = match write_now(&line.stream, &slices) {
                    Err(error) if is_for_later(&error) => return Ok(TrySent::NotNow),
                    written => written?,
                };
                self.keep_rest(&slices, written);
            }
            Some(cover) => {
                seal_all(&**cover, &mut slices, &mut self.rest)?;
                self.write_rest_now(&line.stream)?;
            }
        }
        Ok(if self.rest.is_empty() { TrySent::Whole } else { TrySent::Partly })
    }

    /// Writes what is left of a frame, waiting for room.
    pub(super) fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        write_all(stream, &mut [IoSlice::new(&self.rest)], None)?;
        self.rest.clear();
        self.rest.shrink_to(REST_KEPT_BYTES);
        Ok(())
    }

    /// Says that nothing follows, as far as that goes without waiting.
    pub(super) fn write_end(&mut self, line: &Line) {
        let Some(cover) = &line.cover else { return };
        if self.failed.is_none() {
            cover.seal_end(&mut self.rest);
            let _ = self.write_rest_now(&line.stream);
        }
    }

    fn write_rest_now(&mut self, stream: &TcpStream) -> io::Result<()> {
        match write_now(stream, &[IoSlice::new(&self.rest)]) {
            Ok(written) => drop(self.rest.drain(..written)),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn keep_rest(&mut self, slices: &[IoSlice<'_>], written: usize) {
        let mut skip = written;
        for slice in slices {
            let skipped = skip.min(slice.len());
            skip -= skipped;
            self.rest.extend_from_slice(&slice[skipped..]);
        }
    }
}

fn seal_all(
    cover: &dyn Cover,
    mut slices: &mut [IoSlice<'_>],
    wire: &mut Vec<u8>,
) -> io::Result<()> {
    while !slices.is_empty() {
        let sealed = cover.seal(slices, wire)?;
        IoSlice::advance_slices(&mut slices, sealed);
    }
    Ok(())
}

fn slices_of<'a>(header: &'a [u8; FRAME_HEADER_BYTES], parts: &'a [Bytes]) -> Vec<IoSlice<'a>> {
    let mut slices = Vec::with_capacity(1 + parts.len());
    slices.push(IoSlice::new(header));
    slices.extend(parts.iter().map(|part| IoSlice::new(part)));
    slices
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Writes what the socket takes now.
#[cfg(target_os = "linux")]
fn write_now(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags)?)
}

/// Elsewhere a socket cannot be asked to wait for one call and not for another: nothing is written without waiting.
#[cfg(not(target_os = "linux"))]
fn write_now(_stream: &TcpStream, _slices: &[IoSlice<'_>]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Writes all slices; in one system call, if the socket takes them.
pub(crate) fn write_all(
    stream: &TcpStream,
    mut slices: &mut [IoSlice<'_>],
    deadline: Option<Instant>,
) -> io::Result<()> {
    while !slices.is_empty() {
        match write_some(stream, slices, deadline) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(bytes) => IoSlice::advance_slices(&mut slices, bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes what the socket takes, waiting until it takes something.
///
/// The waiting is done with `poll`, because a blocking write does not notice that the peer has closed: the end of its stream wakes those who
/// read, and a peer that is gone without having made room would leave the writer to find out by a timer.
#[cfg(target_os = "linux")]
fn write_some(
    stream: &TcpStream,
    slices: &[IoSlice<'_>],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let slices = &slices[..slices.len().min(SLICES_MAX)];
    loop {
        match write_now(stream, slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return written,
        }
        let mut wanted = [PollFd::new(stream, PollFlags::OUT | PollFlags::RDHUP)];
        let left = deadline.and_then(|deadline| Timespec::try_from(left_until(deadline)).ok());
        if poll(&mut wanted, left.as_ref())? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let events = wanted[0].revents();
        // A connection that is given up has ended as well. Why is worth more than that.
        if events.contains(PollFlags::ERR)
            && let Some(error) = stream.take_error()?
        {
            return Err(error);
        }
        if events.contains(PollFlags::RDHUP) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

/// The system takes no more slices than this in one call.
const SLICES_MAX: usize = 1024;

#[cfg(not(target_os = "linux"))]
fn write_some(
    mut stream: &TcpStream,
    slices: &[IoSlice<'_>],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    if let Some(deadline) = deadline {
        stream.set_write_timeout(Some(left_until(deadline)))?;
    }
    stream.write_vectored(slices)
}
