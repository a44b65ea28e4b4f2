//! The listener's side of a TLS connection: whatever comes instead of a handshake, whatever one is spoiled into on its way, and whatever is
//! said after it by somebody who has proved who it is. Nobody is let in who should not be, what is refused is refused in TLS's words or in an
//! answer that a plain reading of the Hello agrees with, and the listener hangs up by itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::common::clerk::{Clerk, sayings};
use crate::common::hello;
use crate::common::tls::{framed, record};
use crate::kit::Input;
use rep_net::{Limits, TlsTransport, Transport};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection};

/// Longer than a listener waits for anybody.
const LONG: Duration = Duration::from_secs(15);
/// What a caller sends before it is let in is about as long.
const FLIGHTS_BYTES: usize = 2048;
/// Before the first message of a handshake.
const RECORD_HEADER_BYTES: usize = 5;

pub(crate) static CLERK: LazyLock<Clerk<TlsTransport>> = LazyLock::new(|| {
    let mut limits = Limits::default();
    limits.hello_timeout = Duration::from_secs(2);
    Clerk::new(|config| TlsTransport::new(config, limits).expect("it is sound"))
});

static N2: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| Arc::new(CLERK.n2.raw_client(&[&TLS13])));

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let before = CLERK.let_in();
    match input.below(3) {
        0 => {
            let lengths = input.short();
            say_raw(&input.pieces(lengths));
            assert_eq!(CLERK.let_in(), before, "nobody has proved anything");
        }
        1 => {
            let count = 1 + input.below(4);
            let spoils: Vec<_> = (0..count).map(|_| spoil(&mut input)).collect();
            let said = framed(&hello().encode().expect("it may be sent"));
            let caller = Caller::call(spoils).converse(&said);
            let let_in = CLERK.let_in() - before;
            assert!(let_in <= usize::from(!caller.hello_was_spoiled), "a forgery was believed");
            CLERK.check(&said, &caller.heard, let_in);
        }
        _ => {
            let said = input.rest();
            let caller = Caller::call(Vec::new()).converse(said);
            CLERK.check(said, &caller.heard, CLERK.let_in() - before);
        }
    }
}

/// A place in what a caller sends, and what is done to the byte there.
fn spoil(input: &mut Input<'_>) -> (usize, u8) {
    (usize::from(input.word()) % FLIGHTS_BYTES, input.byte())
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect(CLERK.address().as_str()).expect("somebody listens");
    stream.set_read_timeout(Some(LONG)).expect("it may be set");
    stream.set_nodelay(true).expect("it may be set");
    stream
}

/// Says something, and hears the listener out: it speaks TLS, whatever was said.
fn say_raw(pieces: &[&[u8]]) {
    let mut stream = connect();
    let _ = pieces.iter().try_for_each(|piece| stream.write_all(piece));
    let _ = stream.shutdown(Shutdown::Write);
    let (heard, in_order) = hear_out(&mut stream);
    let mut rest = &heard[..];
    while let [kind, major, _, high, low, after @ ..] = rest {
        assert!(matches!((kind, major), (20..=23, 3)), "no record of TLS: {heard:?}");
        let bytes = usize::from(u16::from_be_bytes([*high, *low]));
        assert!(bytes <= after.len() || !in_order, "a record was cut short");
        rest = &after[bytes.min(after.len())..];
    }
    assert!(rest.is_empty() || !in_order);
}

/// Everything until the listener hangs up; and whether it did in order, which it does not if it had not read all that was said.
fn hear_out(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let begun = Instant::now();
    let mut heard = Vec::new();
    let end = stream.read_to_end(&mut heard);
    assert!(begun.elapsed() < LONG, "the listener never hung up");
    (heard, end.is_ok())
}

/// n2, whose bytes are spoiled on their way.
struct Caller {
    tls: ClientConnection,
    stream: TcpStream,
    spoils: Vec<(usize, u8)>,
    sent: usize,
    hello_was_spoiled: bool,
    heard: Vec<u8>,
}

impl Caller {
    fn call(spoils: Vec<(usize, u8)>) -> Self {
        let name = "somebody".try_into().expect("a name");
        let tls = ClientConnection::new(Arc::clone(&N2), name).expect("it may call");
        let (sent, hello_was_spoiled, heard) = (0, false, Vec::new());
        Self { tls, stream: connect(), spoils, sent, hello_was_spoiled, heard }
    }

    /// Shakes hands, says that, and hears the listener out.
    fn converse(mut self, said: &[u8]) -> Self {
        let mut to_say = Some(said);
        loop {
            if !self.tls.is_handshaking()
                && let Some(said) = to_say.take()
            {
                let _ = self.tls.writer().write_all(said);
            }
            let sent = self.send();
            let is_past = |(at, _): &(usize, u8)| *at < self.sent;
            if to_say.is_none() || !self.spoils.is_empty() && self.spoils.iter().all(is_past) {
                // Whoever waits for more than was said waits in vain.
                let _ = self.stream.shutdown(Shutdown::Write);
            }
            if !sent || !self.take_in() {
                break;
            }
        }
        hear_out(&mut self.stream);
        self
    }

    fn send(&mut self) -> bool {
        let mut wire = Vec::new();
        while self.tls.wants_write() && self.tls.write_tls(&mut wire).is_ok() {}
        let first_record = match (self.sent, &wire[..]) {
            (0, [_, _, _, high, low, ..]) => u16::from_be_bytes([*high, *low]).into(),
            _ => 0,
        };
        for (at, change) in self.spoils.iter().filter(|(_, change)| *change != 0) {
            if let Some(byte) = at.checked_sub(self.sent).and_then(|at| wire.get_mut(at)) {
                *byte ^= change;
                let message = RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + first_record;
                // Twice the same place may be as if nothing had been.
                self.hello_was_spoiled |= message.contains(at) && self.is_only_one_at(*at);
            }
        }
        self.sent += wire.len();
        self.stream.write_all(&wire).is_ok()
    }

    fn is_only_one_at(&self, at: usize) -> bool {
        self.spoils.iter().filter(|(other, _)| *other == at).count() == 1
    }

    /// False if nothing more will come of it.
    fn take_in(&mut self) -> bool {
        let taken = match self.tls.read_tls(&mut self.stream) {
            Ok(bytes) => bytes > 0,
            Err(error) => {
                let is_silence =
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!is_silence, "the listener never hung up");
                false
            }
        };
        let goes_on = taken && self.tls.process_new_packets().is_ok();
        // Its end is an error that says that there is nothing now.
        let _ = self.tls.reader().read_to_end(&mut self.heard);
        goes_on
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let spoiled = [[40, 0, 1], [3, 0, 7], [0, 2, 255], [0, 3, 1], [200, 4, 16]];
    let mut seeds: Vec<Vec<u8>> =
        spoiled.iter().map(|spoil| [&[1, 0][..], spoil].concat()).collect();
    seeds.extend(sayings().iter().map(|said| [&[2][..], said].concat()));
    let raw = |bytes: &[u8]| [&[0, 1, 255][..], bytes].concat();
    seeds.extend(sayings().iter().map(|said| raw(said)));
    let recorded = record(CLERK.address(), |through| {
        let n2 = TlsTransport::new(CLERK.config_of_n2(), Limits::default()).expect("it is sound");
        let end = Instant::now() + LONG;
        // Its end shows that it has been counted.
        let _ = n2.dial(through, &hello(), end).expect("it is let in").receive(end);
    });
    seeds.push(raw(&recorded));
    seeds.push([&[0, 2, 0, 90][..], &recorded].concat());
    seeds
}
