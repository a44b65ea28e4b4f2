//! One connection's TLS: bytes to records and back.
//!
//! rustls keeps the state of both directions in one value. It lies behind one lock, which is held while bytes are sealed or opened and
//! never while anybody waits for the socket: a reader waits with sealed bytes as all it has, and takes the lock when some have come.
//! So a send never waits behind a receive, nor the other way round (docs/decisions/0018).

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::time::SystemTime;

use rustls::Connection;
use rustls::pki_types::CertificateDer;

use crate::error::TlsError;
use crate::frame::FrameDecoder;
use crate::socket::{Cover, End};
use crate::sync::{Mutex, MutexGuard};
use crate::tls::faults;

/// How many bytes are sealed at once, which is how long a reader of the same connection may have to wait for the lock.
const SEALED_AT_ONCE_BYTES: usize = 128 << 10;

/// The TLS of one connection.
pub(super) struct Session {
    connection: Mutex<Connection>,
    /// From when on our own certificate is valid.
    own_not_before: SystemTime,
}

impl Session {
    pub(super) fn new(mut connection: Connection, own_not_before: SystemTime) -> Self {
        connection.set_buffer_limit(Some(SEALED_AT_ONCE_BYTES));
        Self { connection: Mutex::new(connection), own_not_before }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.lock().is_handshaking()
    }

    /// What this end has to send before it can go on.
    pub(super) fn pending(&self) -> io::Result<Vec<u8>> {
        let mut wire = Vec::new();
        take_sealed(&mut self.connection.lock(), &mut wire)?;
        Ok(wire)
    }

    /// What is spoken under TLS, as both ends agreed.
    pub(super) fn protocol(&self) -> Option<Vec<u8>> {
        self.connection.lock().alpn_protocol().map(<[u8]>::to_vec)
    }

    /// The certificate that the peer showed and whose key it has.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.connection.lock().peer_certificates()?.first().cloned()
    }
}

impl Cover for Session {
    fn seal(&self, plain: &[IoSlice<'_>], wire: &mut Vec<u8>) -> io::Result<usize> {
        let mut connection = self.connection.lock();
        let sealed = connection.writer().write_vectored(plain)?;
        take_sealed(&mut connection, wire)?;
        match sealed {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(sealed),
        }
    }

    fn open(&self, mut wire: &[u8], decoder: &mut FrameDecoder) -> Result<End, TlsError> {
        let mut connection = self.connection.lock();
        while !wire.is_empty() {
            let broken = |error: io::Error| TlsError::Broken(error.to_string());
            connection.read_tls(&mut wire).map_err(broken)?;
            let state = connection
                .process_new_packets()
                .map_err(|error| faults::seen_by(self.own_not_before, faults::of(&error)))?;
            let (bytes, ended) = (state.plaintext_bytes_to_read(), state.peer_has_closed());
            take_opened(&mut connection, bytes, decoder).map_err(broken)?;
            if ended {
                return Ok(End::Said);
            }
        }
        Ok(End::NotYet)
    }

    fn seal_end(&self, wire: &mut Vec<u8>) {
        let mut connection = self.connection.lock();
        connection.send_close_notify();
        // Into memory, which takes everything.
        let _ = take_sealed(&mut connection, wire);
    }
}

fn take_sealed(connection: &mut MutexGuard<'_, Connection>, wire: &mut Vec<u8>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(wire)?;
    }
    Ok(())
}

fn take_opened(
    connection: &mut MutexGuard<'_, Connection>,
    mut bytes: usize,
    decoder: &mut FrameDecoder,
) -> io::Result<()> {
    while bytes > 0 {
        let taken = connection.reader().read(decoder.space())?;
        decoder.filled(taken);
        bytes -= taken;
    }
    Ok(())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are in there.
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
