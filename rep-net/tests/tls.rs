//! What TLS adds to a network: callers that stop in the middle of a handshake, streams that are cut. Certificates that are exchanged while
//! everything runs are in `rotation.rs`.
#![cfg(all(feature = "tls", not(rep_loom)))]

mod common;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::bank::Files;
use common::tls::{Authority, Raw, framed, pair, raw_listener, usual};
use common::{Party, frames_split_at_every_byte, hello, soon};
use rcgen::KeyPair;
use rep_net::hello::{Answer, Hello};
use rep_net::tls::EXPIRY_WARNING;
use rep_net::{
    Address, Bytes, DialError, FrameError, Limits, NetError, RefuseReason, TlsConfig, TlsTransport,
    Transport,
};
use rustls::version::TLS13;

fn party(change: impl FnOnce(&mut Limits)) -> Party {
    let mut limits = Limits::default();
    change(&mut limits);
    let (n1, n2) = pair(&limits);
    Party::new(&n1, "127.0.0.1:0", Arc::new(n2))
}

#[test]
fn how_long_our_certificate_is_valid_can_be_read() {
    const DAY: Duration = Duration::from_secs(86_400);
    let authority = Authority::new("bank's");
    let mut params = usual("rep://bank/n2");
    let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(2_524_608_000);
    params.not_after = expiry.into();
    let certificate = authority.sign(&params).transport(&authority.pem()).certificate();
    assert_eq!(certificate.not_after, expiry);
    assert!(certificate.not_before < SystemTime::now());
    assert_eq!(certificate.identities[0].to_uri(), "rep://bank/n2");
    assert_eq!(certificate.days_left(expiry - EXPIRY_WARNING), 30);
    assert_eq!(certificate.days_left(expiry - DAY / 2), 0);
    assert_eq!(certificate.days_left(expiry + DAY / 2), -1);
    assert_eq!(certificate.days_left(expiry + DAY + DAY / 2), -2);
}

#[test]
fn what_cannot_be_read_is_named_and_leaves_the_old_in_force() {
    let authority = Authority::new("bank's");
    let files = Files::new(&authority.issue("rep://bank/n1"), &authority.pem());
    let n1: TlsTransport = files.speak();
    let n2 = authority.issue("rep://bank/n2").transport(&authority.pem());
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
    let said = |name: &str, spoil: &dyn Fn(&Path)| {
        let path = files.at(name);
        let before = fs::read(&path).unwrap();
        spoil(&path);
        let error = n1.reload().unwrap_err().to_string();
        fs::write(&path, before).unwrap();
        assert!(error.contains(name), "{error}");
        party.connect();
        error
    };
    let empty: &dyn Fn(&Path) = &|path| fs::write(path, "").unwrap();
    let gone: &dyn Fn(&Path) = &|path| fs::remove_file(path).unwrap();
    for name in ["node.crt", "node.key", "ca.crt"] {
        assert!(said(name, empty).contains("it has to be PEM"));
        assert!(said(name, gone).contains("check the path"));
        assert!(
            said(name, &|path| fs::write(path, "-----BEGIN NONSENSE-----\n").unwrap())
                .contains("PEM")
        );
    }
    let other = authority.issue("rep://bank/n1");
    said("node.key", &|path| fs::write(path, &other.key).unwrap());
    n1.reload().unwrap();
}

#[test]
fn no_key_is_ever_shown() {
    let authority = Authority::new("bank's");
    let issued = authority.issue("rep://bank/n1");
    let config = issued.trusting(&authority.pem());
    let transport = issued.transport(&authority.pem());
    let spoiled = TlsConfig::from_pem(
        &*issued.certificate,
        issued.key.replace("PRIVATE KEY", "PRIVATE TREASURE"),
        authority.pem(),
    );
    let error = TlsTransport::new(spoiled, Limits::default()).unwrap_err();
    let party = party(|_| ());
    let (dialled, accepted) = party.connect();
    let shown = format!("{config:?} {transport:?} {error:?} {error} {dialled:?} {accepted:?}");
    // Neither as it lies in its file, nor as bytes are printed.
    let key = KeyPair::from_pem(&issued.key).unwrap().serialize_der();
    let hexadecimal: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{key:?}");
    let secrets = [issued.key.lines().nth(1).unwrap(), &hexadecimal[72..], &list[180..300]];
    for secret in secrets {
        assert!(secret.len() > 40 && !shown.contains(&secret[..40]));
    }
    assert!(!shown.contains("-----BEGIN"));
    // Nor is anything that was said, which would be long besides.
    assert!(shown.len() < 20_000, "{} bytes", shown.len());
}

#[test]
fn frames_split_at_every_byte_into_records_are_received_between_deadlines() {
    let authority = Authority::new("bank's");
    let n1 = authority.issue("rep://bank/n1").transport(&authority.pem());
    let n2 = authority.issue("rep://bank/n2");
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2.transport(&authority.pem())));
    let mut raw = Raw::connect(party.address(), n2.raw_client(&[&TLS13])).unwrap();
    raw.say(&hello().encode().unwrap()).unwrap();
    assert!(matches!(Answer::decode(&raw.hear().unwrap()), Ok(Answer::Accepted(_))));
    let channel = party.desk.next().1;
    frames_split_at_every_byte(&*channel, |part| raw.0.write_all(part).unwrap());
}

#[test]
fn frames_sent_together_with_the_hello_are_not_lost() {
    let authority = Authority::new("bank's");
    let n1 = authority.issue("rep://bank/n1").transport(&authority.pem());
    let n2 = authority.issue("rep://bank/n2");
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2.transport(&authority.pem())));
    let mut raw = Raw::connect(party.address(), n2.raw_client(&[&TLS13])).unwrap();
    let together =
        [framed(&hello().encode().unwrap()), framed(b"first"), framed(&[7; 100_000])].concat();
    raw.0.write_all(&together).unwrap();
    let channel = party.desk.next().1;
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"first"[..]);
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), [7; 100_000][..]);
    // Its word that nothing follows comes with the last of it.
    raw.0.conn.writer().write_all(&framed(b"last")).unwrap();
    raw.0.conn.send_close_notify();
    raw.0.flush().unwrap();
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"last"[..]);
    assert_eq!(channel.receive(soon()), Err(NetError::Closed));
}

#[test]
fn keys_are_changed_in_the_middle_and_a_broken_frame_is_still_one() {
    let authority = Authority::new("bank's");
    let n1 = authority.issue("rep://bank/n1").transport(&authority.pem());
    let n2 = authority.issue("rep://bank/n2");
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2.transport(&authority.pem())));
    let mut raw = Raw::connect(party.address(), n2.raw_client(&[&TLS13])).unwrap();
    raw.say(&hello().encode().unwrap()).unwrap();
    assert!(matches!(Answer::decode(&raw.hear().unwrap()), Ok(Answer::Accepted(_))));
    let channel = party.desk.next().1;
    for round in 0..20_u8 {
        raw.0.conn.refresh_traffic_keys().unwrap();
        raw.say(&[round; 1000]).unwrap();
        assert_eq!(channel.receive(soon()).unwrap().unwrap(), [round; 1000][..]);
        channel.send(Bytes::from(vec![round; 1000])).unwrap();
        assert_eq!(raw.hear().unwrap(), [round; 1000][..]);
    }
    let mut flipped = framed(b"damaged before it was sealed");
    flipped[12] ^= 1;
    raw.0.write_all(&flipped).unwrap();
    raw.0.flush().unwrap();
    let error = channel.receive(soon()).unwrap_err();
    assert!(matches!(error, NetError::Frame(FrameError::Checksum { .. })), "{error}");
}

/// A wire between n2 and n1 that does to what n2 sends whatever `meddle` says.
fn meddled(
    address: &Address,
    meddle: impl Fn(usize, &mut Vec<u8>) -> bool + Send + 'static,
) -> Address {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let through = Address::from(socket.local_addr().unwrap());
    let address = address.clone();
    thread::spawn(move || {
        let (mut caller, _) = socket.accept().unwrap();
        let mut listener = TcpStream::connect(address.as_str()).unwrap();
        let (mut to, mut from) = (caller.try_clone().unwrap(), listener.try_clone().unwrap());
        thread::spawn(move || io::copy(&mut from, &mut to));
        let mut seen = 0;
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = caller.read(&mut buffer) {
            let mut passed = buffer[..bytes].to_vec();
            let goes_on = meddle(seen, &mut passed);
            seen += bytes;
            if listener.write_all(&passed).is_err() || !goes_on {
                break;
            }
        }
        let _ = listener.shutdown(Shutdown::Both);
        let _ = caller.shutdown(Shutdown::Both);
    });
    through
}

#[test]
fn a_stream_that_is_cut_between_two_frames_is_lost_not_closed() {
    let party = party(|_| ());
    let cut = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&cut);
    let through = meddled(party.address(), move |_, _| !seen.load(Ordering::Relaxed));
    let dialled = party.dialler.dial(&through, &hello(), soon()).unwrap();
    let accepted = party.desk.next().1;
    dialled.send(Bytes::from_static(b"before")).unwrap();
    assert_eq!(accepted.receive(soon()).unwrap().unwrap(), b"before"[..]);
    cut.store(true, Ordering::Relaxed);
    dialled.send(Bytes::from_static(b"after")).unwrap();
    assert_eq!(accepted.receive(soon()).unwrap().unwrap(), b"after"[..]);
    for _ in 0..2 {
        let lost = accepted.receive(soon());
        assert!(
            matches!(lost, Err(NetError::Lost { kind: io::ErrorKind::UnexpectedEof, .. })),
            "{lost:?}"
        );
    }
}

#[test]
fn a_bit_that_is_changed_on_the_way_is_noticed() {
    let party = party(|_| ());
    let through = meddled(party.address(), |_, passed| {
        // Only of what is longer than anything in the handshake.
        let last = passed.len() - 1;
        passed[last] ^= u8::from(last > 3000);
        true
    });
    let dialled = party.dialler.dial(&through, &hello(), soon()).unwrap();
    let accepted = party.desk.next().1;
    let _ = dialled.send(Bytes::from(vec![1; 100_000]));
    let lost = accepted.receive(soon());
    assert!(
        matches!(lost, Err(NetError::Lost { kind: io::ErrorKind::InvalidData, .. })),
        "{lost:?}"
    );
    assert!(accepted.send(Bytes::from_static(b"to nobody")).is_err());
}

/// The first record of a caller.
fn client_hello() -> Vec<u8> {
    let authority = Authority::new("bank's");
    let config = authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    let name = "somebody".try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut record = Vec::new();
    connection.write_tls(&mut record).unwrap();
    record
}

fn stall(address: &Address, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address.as_str()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(said).unwrap();
    stream
}

#[test]
fn callers_who_stop_in_the_middle_of_a_handshake_hold_up_nobody_and_have_an_end() {
    let party = party(|limits| limits.hello_timeout = Duration::from_millis(700));
    let record = client_hello();
    let begun = Instant::now();
    let stalled: Vec<_> = (0..12)
        .map(|caller| stall(party.address(), &record[..record.len() * caller / 11]))
        .collect();
    // All of these are let in while those sit there.
    for _ in 0..20 {
        party.connect();
    }
    for mut stream in stalled {
        let _ = io::copy(&mut stream, &mut io::sink());
    }
    assert!(begun.elapsed() >= Duration::from_millis(700), "somebody was cut off early");
    assert!(begun.elapsed() < Duration::from_secs(20), "somebody never was");
}

#[test]
fn a_handshake_by_drips_is_given_up_at_the_deadline() {
    let party = party(|limits| limits.hello_timeout = Duration::from_millis(300));
    let mut stream = stall(party.address(), b"");
    let begun = Instant::now();
    for byte in client_hello() {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    party.connect();
}

#[test]
fn a_caller_too_many_is_told_busy_before_any_handshake_and_one_address_is_not_all() {
    let party = party(|limits| {
        limits.hello_timeout = Duration::from_secs(60);
        limits.half_open_per_address_max = 3;
    });
    let stalled: Vec<_> = (0..3).map(|_| stall(party.address(), b"\x16")).collect();
    let busy = party.dialler.dial(party.address(), &hello(), soon()).unwrap_err();
    assert_eq!(busy.refuse_reason(), Some(&RefuseReason::Busy), "{busy}");
    drop(stalled);
    let end = soon();
    while let Err(error) = party.dialler.dial(party.address(), &hello(), soon()) {
        assert_eq!(error.refuse_reason(), Some(&RefuseReason::Busy), "{error}");
        assert!(Instant::now() < end, "the places of callers that left never came back");
    }
}

#[test]
fn nonsense_for_a_handshake_is_broken_off_and_the_next_caller_is_served() {
    let party = party(|limits| limits.hello_timeout = Duration::from_millis(500));
    let record = client_hello();
    let mut seed = 1_u32;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below
    };
    for _ in 0..150 {
        let mut spoiled = record.clone();
        for _ in 0..=random(4) {
            let at = random(spoiled.len());
            spoiled[at] = random(256) as u8;
        }
        spoiled.truncate(1 + random(spoiled.len()));
        let mut stream = stall(party.address(), &spoiled);
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = io::copy(&mut stream, &mut io::sink());
    }
    assert!(party.desk.arrivals.is_empty());
    party.connect();
}

#[test]
fn a_handshake_that_goes_on_and_on_is_broken_off() {
    let party = party(|_| ());
    // A message of 60,000 bytes is announced, which is allowed, and comes in records of one; then there are headers without end.
    let mut stream = stall(party.address(), &[22, 3, 1, 0, 4, 11, 0, 0xea, 0x60]);
    let record = [22, 3, 3, 0, 1, 0].repeat(500);
    let mut sent = 0;
    while stream.write_all(&record).is_ok() {
        sent += record.len();
        assert!(sent < 16 << 20, "it goes on listening");
    }
    party.connect();
}

#[test]
fn how_much_of_a_handshake_is_heard_can_be_asked_for() {
    // A caller's certificate alone takes some hundred bytes.
    for (tls_handshake_bytes_max, is_heard) in [(8_000, true), (100, false)] {
        let party = party(|limits| limits.tls_handshake_bytes_max = tls_handshake_bytes_max);
        let dialled = party.dialler.dial(party.address(), &hello(), soon());
        assert_eq!(dialled.is_ok(), is_heard, "{dialled:?}");
    }
}

#[test]
fn a_listener_that_stops_in_the_middle_of_a_handshake_is_given_up_at_the_deadline() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_, n2) = pair(&Limits::default());
    let deadline = Instant::now() + Duration::from_millis(100);
    let silent = n2.dial(&mute.local_addr().unwrap().into(), &hello(), deadline).unwrap_err();
    assert!(matches!(silent, DialError::TimedOut { during: "agreeing on TLS", .. }), "{silent}");
    assert!(Instant::now() >= deadline);
}

#[test]
fn a_dialler_says_nothing_to_somebody_else_than_it_meant() {
    let authority = Authority::new("bank's");
    let (address, listening) = {
        let config = authority.issue("rep://bank/n3").raw_server(&[&TLS13]);
        raw_listener(config, |mut stream| {
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard);
            assert!(heard.is_empty(), "it heard {heard:?}");
        })
    };
    let n2 = authority.issue("rep://bank/n2").transport(&authority.pem());
    let to_n1 = Hello::new("bank", "peer").from_node("n2", [2; 16]).to_node("n1");
    assert!(n2.dial(&address, &to_n1, soon()).unwrap_err().tls_error().is_some());
    listening.join().unwrap();
}
