//! Laying TLS over a new connection: the handshake, within its bounds, and what is said when it fails.

use std::io::IoSlice;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use crate::error::TlsError;
use crate::frame::FrameDecoder;
use crate::socket::{
    Cover, Covered, Covering, End, HandshakeError, Patience, ReadHalf, Side, ended, write_all,
};
use crate::tls::material::{Material, PROTOCOL};
use crate::tls::session::Session;
use crate::tls::{Credentials, faults};

/// How long a caller who is refused is listened to, so that it reads why before its words, unheard, break the connection.
const LINGER: Duration = Duration::from_secs(1);

impl Covering for Credentials {
    fn cover(
        &self,
        side: Side,
        stream: &TcpStream,
        half: &mut ReadHalf,
        patience: Patience,
    ) -> Result<Covered, HandshakeError> {
        let material = self.material();
        let session = begin(side, &material)?;
        if let Err(error) = shake_hands(&session, stream, half, patience) {
            if let HandshakeError::Tls(error) = &error {
                say_why(error, side, &session, stream, half, patience);
            }
            return Err(error);
        }
        if session.protocol().as_deref() != Some(PROTOCOL) {
            return Err(HandshakeError::Tls(TlsError::OtherProtocol));
        }
        let certificate = session.certificate();
        let proved = certificate.map(|der| material.naming.identities(&der)).unwrap_or_default();
        Ok(Covered { cover: Some(Box::new(session)), proved: Some(proved) })
    }

    /// An alert, which is all that can be said to somebody with whom no key is shared.
    fn busy(&self) -> Vec<u8> {
        faults::bare_alert(faults::BUSY)
    }
}

fn begin(side: Side, material: &Material) -> Result<Session, HandshakeError> {
    let connection = match side {
        Side::Dialling => {
            // It is asked for, and used for nothing: it is not sent, and who is meant is looked for in the certificate by ourselves.
            let nobody = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
            ClientConnection::new(Arc::clone(&material.client), nobody).map(Connection::from)
        }
        Side::Listening => {
            ServerConnection::new(Arc::clone(&material.server)).map(Connection::from)
        }
    };
    match connection {
        Ok(connection) => Ok(Session::new(connection, material.certificate.not_before)),
        Err(error) => Err(HandshakeError::Tls(faults::of(&error))),
    }
}

/// Sends and receives until both ends have what they need of each other.
fn shake_hands(
    session: &Session,
    stream: &TcpStream,
    half: &mut ReadHalf,
    Patience { deadline, bytes_max }: Patience,
) -> Result<(), HandshakeError> {
    let mut received = 0;
    loop {
        send_pending(session, stream, deadline)?;
        if !session.is_handshaking() {
            return Ok(());
        }
        if received > bytes_max {
            return Err(HandshakeError::Tls(TlsError::TooLong { bytes_max }));
        }
        let open = |wire: &[u8], decoder: &mut FrameDecoder| {
            session.open(wire, decoder).map(|end| (wire.len(), end))
        };
        match half.read_with(stream, deadline, open).map_err(ended)? {
            None if Instant::now() >= deadline => return Err(HandshakeError::TimedOut),
            None => {}
            Some(opened) => match opened.map_err(HandshakeError::Tls)? {
                (0, _) | (_, End::Said) => {
                    return Err(HandshakeError::Ended("the connection was closed".into()));
                }
                (bytes, End::NotYet) => received += bytes,
            },
        }
    }
}

fn send_pending(
    session: &Session,
    stream: &TcpStream,
    deadline: Instant,
) -> Result<(), HandshakeError> {
    let wire = session.pending().map_err(ended)?;
    let mut slices = [IoSlice::new(&wire)];
    match wire.is_empty() {
        true => Ok(()),
        false => write_all(stream, &mut slices, Some(deadline)).map_err(ended),
    }
}

/// Sends the alert that tells the peer why. A listener then hears the rest out: were it to hang up on words that it has not read, the
/// system would break the connection, and the alert with it.
fn say_why(
    error: &TlsError,
    side: Side,
    session: &Session,
    stream: &TcpStream,
    half: &mut ReadHalf,
    Patience { deadline, bytes_max }: Patience,
) {
    let sent = match error {
        TlsError::NotTls => {
            let alert = faults::bare_alert(faults::NO_TLS);
            write_all(stream, &mut [IoSlice::new(&alert)], Some(deadline)).is_ok()
        }
        _ => send_pending(session, stream, deadline).is_ok(),
    };
    if !sent || side == Side::Dialling || stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let deadline = deadline.min(Instant::now() + LINGER);
    let mut heard = 0;
    while heard <= bytes_max && Instant::now() < deadline {
        match half.read_with(stream, deadline, |wire, _| wire.len()) {
            Ok(Some(0)) | Err(_) => return,
            Ok(bytes) => heard += bytes.unwrap_or(0),
        }
    }
}
