//! The thread of one client: bytes in, commands, bytes out.
//!
//! Replies are flushed when the input is used up. While writes are undecided the thread looks for more input before it
//! waits for them, so that a client that goes on sending goes on being served.

use super::reply::Version;
use super::request::Requests;
use super::server::Port;
use super::session::Session;
use rustix::net::{RecvFlags, Shutdown, recv, shutdown, sockopt};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Replies are sent when there are so many bytes of them, even if there is more input.
const FLUSH_BYTES: usize = 64 << 10;
/// Bytes read at a time.
const READ_BYTES: usize = 32 << 10;
/// A client that takes no reply for so long is hung up on.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// After the last words to a client: how long it may go on talking before it is hung up on.
const LINGER: Duration = Duration::from_millis(200);

/// Serves one client until it leaves, or is asked to.
pub(crate) fn serve(port: &Port, stream: &TcpStream, id: i64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    sockopt::set_socket_keepalive(stream, true)?;
    Connection {
        stream,
        session: Session::new(port, id),
        requests: Requests::default(),
        scratch: vec![0; READ_BYTES].into(),
    }
    .run()
}

/// Tells a client why it is not served.
pub(crate) fn refuse(mut stream: &TcpStream, why: &str) {
    let mut out = bytes::BytesMut::new();
    super::reply::Reply::error(why).write(Version::default(), &mut out);
    // It may be gone, or take nothing; that is its affair.
    let _ = stream.set_write_timeout(Some(LINGER)).and_then(|()| stream.write_all(&out));
}

struct Connection<'p> {
    stream: &'p TcpStream,
    session: Session<'p>,
    requests: Requests,
    scratch: Box<[u8]>,
}

impl Connection<'_> {
    fn run(mut self) -> io::Result<()> {
        loop {
            if !self.run_requests()? {
                return self.end();
            }
            let read = if self.session.waits() {
                self.session.settle_decided();
                self.flush()?;
                match recv(self.stream, &mut *self.scratch, RecvFlags::DONTWAIT) {
                    Ok((read, _)) => Some(read),
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
                    Err(error) => return Err(error.into()),
                }
            } else {
                self.session.arrived();
                self.flush()?;
                Some(self.read()?)
            };
            match read {
                None => self.session.settle_some(),
                Some(0) => return self.end(),
                Some(bytes) => {
                    self.requests.buffer().extend_from_slice(&self.scratch[..bytes]);
                    self.session.arrived();
                }
            }
        }
    }

    /// Runs every command that is whole; false if the connection is to end.
    fn run_requests(&mut self) -> io::Result<bool> {
        loop {
            match self.requests.next() {
                Ok(Some(request)) => self.session.run(request),
                Ok(None) => return Ok(true),
                Err(error) => {
                    self.session.refuse(error);
                    return Ok(false);
                }
            }
            if self.session.quits() {
                return Ok(false);
            }
            if self.session.out().len() >= FLUSH_BYTES {
                self.flush()?;
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        loop {
            match self.stream.read(&mut self.scratch) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.session.count();
        let out = self.session.out();
        if !out.is_empty() {
            self.stream.write_all(out)?;
            // What is larger was one large reply; it is not kept for the next.
            if out.capacity() > 4 * FLUSH_BYTES { *out = Default::default() } else { out.clear() }
        }
        Ok(())
    }

    /// Answers what is unanswered. Closing a socket that has unread input would take the answers back, so what the
    /// client still sends is read for a moment and thrown away.
    fn end(mut self) -> io::Result<()> {
        self.session.settle_all();
        self.flush()?;
        shutdown(self.stream, Shutdown::Write)?;
        self.stream.set_read_timeout(Some(LINGER))?;
        for _ in 0..64 {
            if self.read()? == 0 {
                break;
            }
        }
        Ok(())
    }
}
