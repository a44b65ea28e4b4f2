//! What only a network does: strangers, ports that are taken, peers that die in the middle of a frame.
#![cfg(not(rep_loom))]

mod common;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Desk, Party, framed, frames_split_at_every_byte, hello, soon, table};
use rep_net::frame::FrameDecoder;
use rep_net::hello::Answer;
use rep_net::{
    Address, Bytes, Channel, DialError, FrameError, HelloError, Limits, NetError, RefuseReason,
    TcpTransport, Transport,
};

fn party(change: impl FnOnce(&mut Limits)) -> Party {
    let mut limits = Limits::default();
    change(&mut limits);
    let transport = TcpTransport::new(limits);
    Party::new(&transport, "127.0.0.1:0", Arc::new(transport.clone()))
}

/// A caller that speaks for itself.
struct Raw(TcpStream, FrameDecoder);

impl Raw {
    fn connect(address: &Address) -> Self {
        let stream = TcpStream::connect(address.as_str()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream, FrameDecoder::new(1 << 20, 4096))
    }

    /// Connected, and let in.
    fn accepted(party: &Party) -> (Self, Arc<dyn Channel>) {
        let mut raw = Self::connect(party.address());
        raw.0.write_all(&framed(&hello().encode().unwrap())).unwrap();
        assert!(matches!(raw.answer(), Some(Answer::Accepted(_))));
        (raw, party.desk.next().1)
    }

    /// The next frame; none if the connection ended.
    fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.1.next_frame().unwrap() {
                return Some(frame);
            }
            match self.0.read(self.1.space()) {
                Ok(0) => return None,
                Ok(bytes) => self.1.filled(bytes),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn answer(&mut self) -> Option<Answer> {
        self.frame().map(|frame| Answer::decode(&frame).unwrap())
    }
}

#[test]
fn a_port_that_is_taken_fails_loudly() {
    let party = party(|_| ());
    let taken = TcpTransport::default().listen(party.address(), table(&Desk::new())).unwrap_err();
    assert!(matches!(taken, NetError::Listen { kind: io::ErrorKind::AddrInUse, .. }), "{taken}");
    // Also by the name, which has two addresses on most hosts and must not silently settle for the other one.
    let port = party.address().as_str().rsplit(':').next().unwrap();
    let taken =
        TcpTransport::default().listen(&format!("localhost:{port}").into(), table(&Desk::new()));
    assert!(
        matches!(taken, Err(NetError::Listen { kind: io::ErrorKind::AddrInUse, .. })),
        "{taken:?}"
    );
}

#[test]
fn an_address_that_means_nothing_is_an_error_on_both_sides() {
    for address in ["", "no port", "127.0.0.1:99999", "no-such-host.invalid:1"] {
        let address = Address::from(address);
        let listen = TcpTransport::default().listen(&address, table(&Desk::new()));
        assert!(matches!(listen, Err(NetError::Listen { .. })), "{listen:?}");
        let dial = TcpTransport::default().dial(&address, &hello(), soon());
        assert!(matches!(dial, Err(DialError::Unreachable { .. })), "{dial:?}");
    }
}

#[test]
fn names_are_resolved_and_a_bound_socket_can_be_listened_on() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let desk = Desk::new();
    let listener = TcpTransport::default().listen_on(socket, table(&desk)).unwrap();
    assert_eq!(listener.local_address().as_str(), format!("127.0.0.1:{port}"));
    TcpTransport::default().dial(&format!("localhost:{port}").into(), &hello(), soon()).unwrap();
    desk.next();
}

#[test]
fn nobody_listening_is_told_from_nobody_answering() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = TcpTransport::default().dial(&free.into(), &hello(), soon()).unwrap_err();
    assert!(refused.is_refused(), "{refused}");

    // It takes calls (the system does) and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(mute.local_addr().unwrap());
    let deadline = Instant::now() + Duration::from_millis(50);
    let silent = TcpTransport::default().dial(&address, &hello(), deadline).unwrap_err();
    assert!(matches!(silent, DialError::TimedOut { .. }), "{silent}");
    assert!(Instant::now() >= deadline);

    // It hangs up on whoever calls, also on a first caller that is still in its backlog. Were it gone by then, it would refuse.
    let (end, ended) = mpsc::sync_channel::<()>(1);
    mute.set_nonblocking(true).unwrap();
    let hanging_up = thread::spawn(move || {
        while ended.recv_timeout(Duration::from_millis(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
            drop(mute.accept());
        }
    });
    let hung_up = TcpTransport::default().dial(&address, &hello(), soon());
    drop(end);
    hanging_up.join().unwrap();
    assert!(matches!(hung_up, Err(DialError::HungUp { .. })), "{hung_up:?}");
}

#[test]
fn a_port_that_answers_another_protocol_is_no_peer() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(other.local_addr().unwrap());
    let answering = thread::spawn(move || {
        for answer in
            [b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), framed(b"something else, well framed")]
        {
            let (mut stream, _) = other.accept().unwrap();
            stream.write_all(&answer).unwrap();
            let _ = stream.read(&mut [0; 1000]);
        }
    });
    let dial = || TcpTransport::default().dial(&address, &hello(), soon()).unwrap_err();
    assert!(matches!(dial(), DialError::HungUp { .. }));
    assert!(matches!(dial(), DialError::BadAnswer { .. }));
    answering.join().unwrap();
}

#[test]
fn an_answer_from_somebody_else_is_not_believed() {
    // A peer that does not check whom a Hello is meant for.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(other.local_addr().unwrap());
    let answering = thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let answer = b"rep!hi\r\n\x00\x01\x000123456789abcdef\x04\x00bank\x02\x00n9";
        stream.write_all(&framed(answer)).unwrap();
        let _ = stream.read(&mut [0; 1000]);
    });
    let error = TcpTransport::default().dial(&address, &hello().to_node("n1"), soon()).unwrap_err();
    let DialError::BadAnswer {
        error: HelloError::AnotherAnswered { field: "node", found, .. },
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(found, "n9");
    answering.join().unwrap();
}

#[test]
fn strangers_are_dropped_and_told_why_if_they_would_understand() {
    let party = party(|_| ());
    let say = |bytes: &[u8]| {
        let mut raw = Raw::connect(party.address());
        raw.0.write_all(bytes).unwrap();
        raw.answer()
    };
    assert_eq!(say(&framed(b"some other protocol")), None);
    let malformed =
        |answer| matches!(answer, Some(Answer::Refused(RefuseReason::Malformed { .. })));
    let good = hello().encode().unwrap();
    assert!(malformed(say(&framed(&good[..good.len() - 1]))), "truncated");
    assert!(malformed(say(&framed(&[&good[..], b"x"].concat()))), "trailing");
    assert!(malformed(say(&[0xff; 64])), "four gigabytes announced");
    assert!(malformed(say(&5000_u32.to_le_bytes().repeat(2))), "more than a Hello may have");
    let mut flipped = framed(&good);
    flipped[20] ^= 1;
    assert!(malformed(say(&flipped)), "wrong checksum");
    assert!(party.desk.arrivals.is_empty());
    party.connect();
}

#[test]
fn a_caller_that_says_hello_too_slowly_is_dropped_and_disturbs_nobody() {
    // Enough for those who are not slow, also on a slow machine.
    let party = party(|limits| limits.hello_timeout = Duration::from_secs(3));
    let start = Instant::now();
    let mut silent = Raw::connect(party.address());
    let mut dripping = Raw::connect(party.address());
    let dropped = thread::spawn(move || {
        // A byte now and then does not buy more time.
        for byte in framed(&hello().encode().unwrap()) {
            if dripping.0.write_all(&[byte]).is_err() {
                break;
            }
            thread::park_timeout(Duration::from_millis(200));
        }
        assert_eq!(dripping.answer(), None);
    });
    party.connect();
    assert_eq!(silent.answer(), None);
    assert!(start.elapsed() >= Duration::from_secs(3));
    dropped.join().unwrap();
}

#[test]
fn a_listener_that_answers_by_drips_is_given_up_at_the_deadline() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(slow.local_addr().unwrap());
    let dripping = thread::spawn(move || {
        let (mut stream, _) = slow.accept().unwrap();
        // A frame of the longest answer there may be, of which a byte comes now and then.
        let answer = framed(&[b'r'; 4096]);
        for byte in answer {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
    });
    let deadline = Instant::now() + Duration::from_millis(300);
    let given_up = TcpTransport::default().dial(&address, &hello(), deadline).unwrap_err();
    assert!(matches!(given_up, DialError::TimedOut { .. }), "{given_up}");
    assert!(Instant::now() >= deadline);
    dripping.join().unwrap();
}

#[test]
fn one_caller_too_many_without_a_hello_is_told_busy_and_room_comes_back() {
    let party = party(|limits| limits.half_open_max = 3);
    let waiting: Vec<Raw> = (0..3).map(|_| Raw::connect(party.address())).collect();
    // The acceptor takes calls in the order they came, so these three are in.
    let busy = party.dialler.dial(party.address(), &hello(), soon()).unwrap_err();
    assert_eq!(busy.refuse_reason(), Some(&RefuseReason::Busy), "{busy}");
    drop(waiting);
    let end = soon();
    while let Err(error) = party.dialler.dial(party.address(), &hello(), soon()) {
        assert_eq!(error.refuse_reason(), Some(&RefuseReason::Busy), "{error}");
        assert!(Instant::now() < end, "the places of callers that left never came back");
    }
    // Those let in do not count: more than three of them are fine.
    let channels: Vec<_> =
        (0..6).map(|_| party.dialler.dial(party.address(), &hello(), soon()).unwrap()).collect();
    assert_eq!(channels.len(), 6);
}

#[test]
fn closing_hangs_up_on_those_who_have_not_said_hello() {
    let party = party(|limits| limits.hello_timeout = Duration::from_secs(60));
    let mut silent = Raw::connect(party.address());
    party.connect(); // so that the one before it has been taken
    let start = Instant::now();
    party.listener.close();
    assert!(start.elapsed() < Duration::from_secs(10), "it waited for the caller");
    assert_eq!(silent.answer(), None);
}

#[test]
fn frames_sent_together_with_the_hello_are_not_lost() {
    let party = party(|_| ());
    let mut raw = Raw::connect(party.address());
    let together =
        [framed(&hello().encode().unwrap()), framed(b"first"), framed(b"second")].concat();
    raw.0.write_all(&together).unwrap();
    let channel = party.desk.next().1;
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"first"[..]);
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"second"[..]);
}

#[test]
fn a_half_read_frame_survives_deadlines() {
    let party = party(|_| ());
    let (mut raw, channel) = Raw::accepted(&party);
    for piece in framed(b"piece by piece").chunks(3) {
        assert_eq!(channel.receive(Instant::now() + Duration::from_millis(2)), Ok(None));
        raw.0.write_all(piece).unwrap();
    }
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"piece by piece"[..]);
}

#[test]
fn frames_split_at_every_byte_are_received_between_deadlines() {
    let party = party(|_| ());
    let (mut raw, channel) = Raw::accepted(&party);
    frames_split_at_every_byte(&*channel, |part| raw.0.write_all(part).unwrap());
}

/// Whoever sends would wait for ever: its words are acknowledged by the other system, which has no more room for them.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_takes_nothing_is_given_up_after_the_user_timeout() {
    let party = party(|limits| limits.user_timeout = Duration::from_secs(1));
    let (_raw, channel) = Raw::accepted(&party);
    let (tell, told) = mpsc::sync_channel(1);
    let sending = Arc::clone(&channel);
    let sender = thread::spawn(move || {
        let frame = Bytes::from(vec![7; 64 << 10]);
        let error = loop {
            if let Err(error) = sending.send(frame.clone()) {
                break error;
            }
        };
        let _ = tell.send(error);
    });
    let error = told.recv_timeout(Duration::from_secs(20));
    let heard = channel.receive(Instant::now());
    channel.close();
    sender.join().unwrap();
    assert!(matches!(error, Ok(NetError::Lost { .. })), "{error:?}");
    // The system tells it once. It must not look like an orderly end to who asks second.
    assert_eq!(heard.unwrap_err(), error.unwrap());
}

#[test]
fn what_is_heard_before_the_hello_is_accepted_is_bounded_as_was_asked() {
    let long = hello().greeting(vec![7; 1000]);
    for (hello_bytes_max, is_heard) in [(1 << 20, true), (4096, true), (500, false)] {
        let party = party(|limits| limits.hello_bytes_max = hello_bytes_max);
        let dialler = TcpTransport::default();
        match dialler.dial(party.address(), &long, soon()) {
            Ok(_) => assert!(is_heard),
            Err(error) => {
                let reason = error.refuse_reason();
                assert!(matches!(reason, Some(RefuseReason::Malformed { .. })), "{error}");
                assert!(!is_heard);
            }
        }
        dialler.dial(party.address(), &hello(), soon()).unwrap();
        // Whatever was asked, no Hello is longer.
        let mut raw = Raw::connect(party.address());
        raw.0.write_all(&framed(&[0; 4097])).unwrap();
        assert!(matches!(raw.answer(), Some(Answer::Refused(RefuseReason::Malformed { .. }))));
    }
}

#[test]
fn a_close_at_any_moment_ends_all_who_wait_on_either_side() {
    let party = party(|limits| limits.read_block_bytes = 4096);
    for moment in 0..300_usize {
        let (dialled, accepted) = party.connect();
        let closing = if moment % 2 == 0 { &dialled } else { &accepted };
        thread::scope(|scope| {
            let sending = |end: &Arc<dyn Channel>| {
                (0_u32..).take_while(|number| end.send(long_frame(*number)).is_ok()).count()
            };
            let receiving = |end: &Arc<dyn Channel>| {
                let next = || end.receive(soon()).ok().map(|frame| frame.expect("in time"));
                (0_u32..)
                    .zip(std::iter::from_fn(next))
                    .all(|(number, frame)| frame == long_frame(number))
            };
            let receivers = [&dialled, &accepted].map(|end| {
                scope.spawn(move || sending(end));
                scope.spawn(move || receiving(end))
            });
            (0..moment * 20).for_each(|_| std::hint::spin_loop());
            closing.close();
            for receiver in receivers {
                assert!(
                    receiver.join().unwrap(),
                    "what came before the end is the beginning of what was sent"
                );
            }
        });
    }
}

fn long_frame(number: u32) -> Bytes {
    Bytes::from(number.to_le_bytes().repeat(2_000))
}

#[test]
fn a_connection_cut_in_the_middle_of_a_frame_is_lost_not_closed() {
    let party = party(|_| ());
    let (mut raw, channel) = Raw::accepted(&party);
    raw.0.write_all(&framed(b"whole")).unwrap();
    raw.0.write_all(&framed(b"never whole")[..12]).unwrap();
    drop(raw);
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"whole"[..]);
    for _ in 0..3 {
        assert!(matches!(channel.receive(soon()), Err(NetError::Lost { .. })));
    }
    assert!(channel.send(Bytes::from_static(b"to nobody")).is_err());
}

#[test]
fn a_peer_that_breaks_a_frame_is_cut_off() {
    let party = party(|limits| limits.frame_bytes_max = 1000);
    let mut flipped = framed(b"damaged");
    flipped[10] ^= 4;
    for (bytes, expected) in
        [(flipped, "checksum"), (framed(&[0; 1001]), "length"), (vec![0xff; 100], "length")]
    {
        let (mut raw, channel) = Raw::accepted(&party);
        raw.0.write_all(&bytes).unwrap();
        let error = channel.receive(soon()).unwrap_err();
        match expected {
            "checksum" => {
                assert!(matches!(error, NetError::Frame(FrameError::Checksum { .. })), "{error}")
            }
            _ => assert!(matches!(error, NetError::Frame(FrameError::TooLarge { .. })), "{error}"),
        }
        assert_eq!(channel.receive(soon()), Err(error));
        assert!(channel.send(Bytes::from_static(b"goodbye")).is_err());
        assert_eq!(raw.frame(), None);
    }
}

#[test]
fn many_small_frames_and_their_answers_cost_no_delay() {
    // With Nagle's algorithm on, or a frame in two writes, each of these would wait for a delayed acknowledgement: 40 ms.
    let party = party(|_| ());
    let (dialled, accepted) = party.connect();
    let rounds = 500;
    let echo = thread::spawn(move || {
        for _ in 0..rounds {
            accepted.send(accepted.receive(soon()).unwrap().unwrap()).unwrap();
        }
    });
    let mut fastest = Duration::MAX;
    for number in 0..rounds {
        let start = Instant::now();
        dialled.send(Bytes::from(vec![number as u8; 100])).unwrap();
        assert_eq!(dialled.receive(soon()).unwrap().unwrap()[0], number as u8);
        fastest = fastest.min(start.elapsed());
    }
    echo.join().unwrap();
    // Others may have the machine for a while, but not each time.
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
}

/// Where nobody answers, by agreement of all networks.
const ELSEWHERE: &str = "192.0.2.1:9";

#[test]
fn what_others_could_read_is_neither_said_nor_listened_to_unless_that_is_wanted() {
    let plain = TcpTransport::default();
    let refused = plain.dial(&ELSEWHERE.into(), &hello(), soon()).unwrap_err();
    assert!(matches!(refused, DialError::Plaintext { .. }), "{refused}");
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = plain.listen(&address.into(), table(&Desk::new())).unwrap_err();
        assert!(matches!(refused, NetError::Plaintext { .. }), "{refused}");
    }
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let refused = plain.listen_on(everywhere, table(&Desk::new())).unwrap_err();
    assert!(matches!(refused, NetError::Plaintext { .. }), "{refused}");
    assert!(refused.to_string().contains("allow_plaintext()"));
}

#[test]
fn what_others_could_read_is_said_if_that_is_wanted() {
    let plain = TcpTransport::default().allow_plaintext();
    let listener = plain.listen(&"0.0.0.0:0".into(), table(&Desk::new())).unwrap();
    let port = listener.local_address().as_str().rsplit_once(':').unwrap().1;
    // And one's own host is anybody's to dial, also by its other spelling.
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]"] {
        let at = format!("{host}:{port}").into();
        TcpTransport::default().dial(&at, &hello(), soon()).unwrap();
    }
    let deadline = Instant::now() + Duration::from_millis(50);
    let nobody = plain.dial(&ELSEWHERE.into(), &hello(), deadline).unwrap_err();
    assert!(!matches!(nobody, DialError::Plaintext { .. }), "{nobody}");
}
