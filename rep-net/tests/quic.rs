//! What QUIC adds to a network: connections that channels share, that are lost as a whole, whose datagrams have a length.
#![cfg(all(feature = "quic", not(rep_loom)))]

mod common;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::bank::{Bank, Proving, to_n1};
use common::raw_quic::RawCaller;
use common::relay::Relay;
use common::tls::{Authority, Issued, quic_pair};
use common::{Desk, Party, frames_split_at_every_byte, hello, soon, table};
use rep_net::hello::Answer;
use rep_net::{
    Bytes, Channel, DialError, Limits, NetError, QuicTransport, RefuseReason, TcpTransport,
    TlsConfig, TlsTransport, Transport,
};
use rustls::version::TLS13;

/// Longer than anything here takes; reached only by what hangs.
const LONG: Duration = Duration::from_secs(60);

fn party(change: impl FnOnce(&mut Limits)) -> Party {
    let mut limits = Limits::default();
    change(&mut limits);
    let (n1, n2) = quic_pair(&limits);
    Party::new(&n1, "127.0.0.1:0", Arc::new(n2))
}

type Ends = (Arc<dyn Channel>, Arc<dyn Channel>);

fn through(party: &Party, relay: &Relay) -> Ends {
    connect(party, relay, &*party.dialler)
}

fn connect(party: &Party, relay: &Relay, dialler: &dyn Transport) -> Ends {
    let dialled = dialler.dial(&relay.address(), &hello(), soon()).unwrap();
    (dialled, party.desk.next().1)
}

fn say_and_hear((left, right): &Ends) {
    left.send(Bytes::from_static(b"there")).unwrap();
    assert_eq!(right.receive(soon()).unwrap().unwrap(), b"there"[..]);
    right.send(Bytes::from_static(b"and back")).unwrap();
    assert_eq!(left.receive(soon()).unwrap().unwrap(), b"and back"[..]);
}

#[test]
fn frames_split_at_every_byte_are_received_between_deadlines() {
    let bank = Bank::<QuicTransport>::new();
    let config = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    let mut raw = RawCaller::connect(bank.n1.address(), config).unwrap();
    raw.say(&to_n1().encode().unwrap()).unwrap();
    assert!(matches!(Answer::decode(&raw.hear().unwrap()), Ok(Answer::Accepted(_))));
    let channel = bank.n1.desk.next().1;
    frames_split_at_every_byte(&*channel, |part| raw.send(part).unwrap());
}

#[test]
fn channels_to_one_address_share_a_connection_that_ends_with_the_last() {
    let party = party(|_| ());
    let relay = Relay::to(party.address());
    let mut channels: Vec<_> = (0..5).map(|_| through(&party, &relay)).collect();
    channels.iter().for_each(say_and_hear);
    assert_eq!(relay.connections(), 1);
    channels.truncate(1);
    say_and_hear(&channels[0]);
    channels.push(through(&party, &relay));
    assert_eq!(relay.connections(), 1);
    channels.clear();
    let end = soon();
    while relay.connections() == 1 {
        assert!(Instant::now() < end, "a connection without channels goes on");
        through(&party, &relay);
    }
}

#[test]
fn many_who_dial_at_once_share_a_connection() {
    let party = party(|_| ());
    let relay = Relay::to(party.address());
    let address = relay.address();
    let dialled: Vec<_> = thread::scope(|scope| {
        let dial = || party.dialler.dial(&address, &hello(), soon()).unwrap();
        let dialling: Vec<_> = (0..8).map(|_| scope.spawn(dial)).collect();
        dialling.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(relay.connections(), 1);
    drop(dialled);
}

#[test]
fn a_connection_that_is_full_is_joined_by_another() {
    let party = party(|limits| limits.quic_channels_max = 2);
    let relay = Relay::to(party.address());
    let channels: Vec<_> = (0..5).map(|_| through(&party, &relay)).collect();
    channels.iter().for_each(say_and_hear);
    assert_eq!(relay.connections(), 3);
}

#[test]
fn a_connection_that_is_lost_takes_every_channel_with_it_at_once() {
    let party = party(|limits| {
        limits.quic_idle_timeout = Duration::from_millis(600);
        limits.quic_keepalive = Duration::from_millis(100);
    });
    let relay = Relay::to(party.address());
    let channels: Vec<_> = (0..4).map(|_| through(&party, &relay)).collect();
    channels.iter().for_each(say_and_hear);
    let begun = Instant::now();
    let ends: Vec<_> = thread::scope(|scope| {
        let of_all = channels.iter().flat_map(|(left, right)| [left, right]);
        let receiving: Vec<_> = of_all
            .map(|end| {
                scope.spawn(move || {
                    let lost = end.receive(Instant::now() + LONG);
                    assert!(matches!(lost, Err(NetError::Lost { .. })), "{lost:?}");
                    assert!(end.send(Bytes::from_static(b"late")).is_err());
                    Instant::now()
                })
            })
            .collect();
        // Somebody is in the middle of a send, too.
        let frame = Bytes::from(vec![0; 1 << 20]);
        let sender = &channels[0].0;
        let sending = scope.spawn(move || while sender.send(frame.clone()).is_ok() {});
        relay.cut();
        sending.join().unwrap();
        receiving.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (first, last) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
    assert!(*last - begun < Duration::from_secs(20), "it took {:?}", *last - begun);
    assert!(
        *last - *first < Duration::from_secs(5),
        "one outlived another by {:?}",
        *last - *first
    );
}

#[test]
fn a_silence_is_no_loss_while_the_other_end_is_there() {
    let party = party(|limits| {
        limits.quic_idle_timeout = Duration::from_millis(500);
        limits.quic_keepalive = Duration::from_millis(100);
    });
    let ends = party.connect();
    let until = Instant::now() + Duration::from_millis(1500);
    assert_eq!(ends.1.receive(until), Ok(None));
    say_and_hear(&ends);
}

#[test]
fn a_path_that_carries_1280_bytes_is_enough() {
    /// What is left of them without the headers of IPv6 and UDP.
    const DATAGRAM_BYTES_MAX: usize = 1280 - 40 - 8;
    let party = party(|_| ());
    let relay = Relay::to(party.address());
    relay.carry_at_most(DATAGRAM_BYTES_MAX);
    let (left, right) = through(&party, &relay);
    let frame = Bytes::from(vec![7; 100_000]);
    thread::scope(|scope| {
        for (from, to) in [(&left, &right), (&right, &left)] {
            scope.spawn(|| (0..40).for_each(|_| from.send(frame.clone()).unwrap()));
            let frame = &frame;
            scope.spawn(move || {
                for _ in 0..40 {
                    assert!(to.receive(soon()).unwrap().unwrap() == *frame);
                }
            });
        }
    });
    let (longest, dropped) = relay.longest_and_dropped();
    assert!(longest <= DATAGRAM_BYTES_MAX);
    assert!(dropped > 0, "longer ones were tried out, so that where they fit they are used");
}

#[test]
fn a_channel_that_nobody_reads_holds_up_no_other() {
    let party = party(|_| ());
    let (stuck, unread) = party.connect();
    let other = party.connect();
    let frame = Bytes::from(vec![0; 1 << 20]);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0;
            while stuck.send(frame.clone()).is_ok() {
                sent += 1;
            }
            sent
        });
        for _ in 0..200 {
            say_and_hear(&other);
        }
        unread.close();
        let sent = sending.join().unwrap();
        assert!(sent <= 32, "{sent} MiB went out with nobody reading");
    });
}

/// n1, which is killed and started again at the same place, as far as n2 can see: none of its last words get out.
struct Restarting {
    authority: Authority,
    issued: Issued,
    relay: Relay,
    n1: Option<Party>,
    n2: QuicTransport,
}

impl Restarting {
    fn new() -> Self {
        let authority = Authority::new("bank's");
        let issued = authority.issue("rep://bank/n1");
        let n1 = Self::start(&authority, &issued, "127.0.0.1:0");
        let n2 = Self::patient(authority.issue("rep://bank/n2").trusting(&authority.pem()));
        Self { relay: Relay::to(n1.address()), authority, issued, n1: Some(n1), n2 }
    }

    fn patient(config: TlsConfig) -> QuicTransport {
        let mut limits = Limits::default();
        limits.quic_idle_timeout = LONG;
        QuicTransport::new(config, limits).unwrap()
    }

    fn start(authority: &Authority, issued: &Issued, address: &str) -> Party {
        let n1 = Self::patient(issued.trusting(&authority.pem()));
        Party::new(&n1, address, Arc::new(n1.clone()))
    }

    /// Nothing of the first process's end is heard: not that it closes `its_end` either.
    fn restart(&mut self, its_end: Arc<dyn Channel>) {
        self.relay.cut();
        drop(its_end);
        let before = self.n1.take().unwrap();
        let address = before.address().to_string();
        drop(before);
        self.n1 = Some(Self::start(&self.authority, &self.issued, &address));
        self.relay.mend();
    }

    fn dial(&self) -> Ends {
        connect(self.n1.as_ref().unwrap(), &self.relay, &self.n2)
    }
}

#[test]
fn a_process_that_was_started_again_ends_the_channels_of_the_one_before() {
    let mut bank = Restarting::new();
    let (dialled, accepted) = bank.dial();
    bank.restart(accepted);
    let lost = dialled.receive(Instant::now() + LONG / 2);
    assert!(
        matches!(lost, Err(NetError::Lost { kind: io::ErrorKind::ConnectionReset, .. })),
        "{lost:?}"
    );
    say_and_hear(&bank.dial());
}

#[test]
fn a_call_over_a_connection_that_has_just_died_is_made_again() {
    let mut bank = Restarting::new();
    let (_before, accepted) = bank.dial();
    bank.restart(accepted);
    // Nobody has noticed anything yet.
    say_and_hear(&bank.dial());
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_that_is_killed_is_missed_as_soon_as_its_system_says_so() {
    let party = party(|limits| limits.quic_idle_timeout = LONG);
    let relay = Relay::to(party.address());
    let ends = [through(&party, &relay), through(&party, &relay)];
    ends.iter().for_each(say_and_hear);
    // All that n2 can see of its peer is the relay, whose socket goes without a word.
    drop(relay);
    let begun = Instant::now();
    for (dialled, _) in &ends {
        let lost = dialled.receive(Instant::now() + LONG);
        assert!(matches!(lost, Err(NetError::Lost { .. })), "{lost:?}");
    }
    assert!(begun.elapsed() < LONG / 2, "it took {:?}", begun.elapsed());
}

#[test]
#[cfg(target_os = "linux")]
fn an_address_where_nobody_listens_is_refused_at_once() {
    let (_, n2) = quic_pair(&Limits::default());
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = n2.dial(&free.into(), &hello(), Instant::now() + LONG).unwrap_err();
    assert!(refused.is_refused(), "{refused}");
}

/// A short-lived program asked a member that was just starting how it is, was refused at once, and then took two seconds to end: its
/// transport waited for the last words of a connection that had never come about. Whoever asks now and then learned everything late.
#[test]
#[cfg(target_os = "linux")]
fn a_transport_that_was_refused_has_no_last_words() {
    let begun = Instant::now();
    for _ in 0..10 {
        let (_, n2) = quic_pair(&Limits::default());
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = n2.dial(&free.into(), &hello(), Instant::now() + LONG).unwrap_err();
        assert!(refused.is_refused(), "{refused}");
        drop(n2);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
}

#[test]
fn an_address_that_says_nothing_is_given_up_at_the_deadline() {
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_, n2) = quic_pair(&Limits::default());
    let deadline = Instant::now() + Duration::from_millis(200);
    let silent = n2.dial(&mute.local_addr().unwrap().into(), &hello(), deadline).unwrap_err();
    assert!(matches!(silent, DialError::TimedOut { during: "agreeing on QUIC", .. }), "{silent}");
    assert!(Instant::now() >= deadline);
}

#[test]
fn a_port_is_free_again_when_its_listener_is_closed() {
    let (n1, n2) = quic_pair(&Limits::default());
    let mut address = "127.0.0.1:0".into();
    for _ in 0..10 {
        let desk = Desk::new();
        let listener = n1.listen(&address, table(&desk)).unwrap();
        address = listener.local_address().clone();
        let dialled = n2.dial(&address, &hello(), soon()).unwrap();
        desk.next().1.close();
        assert_eq!(dialled.receive(soon()), Err(NetError::Closed));
        listener.close();
        listener.close();
    }
}

#[test]
fn a_channel_that_was_handed_over_outlives_its_listener_and_another_is_not_had() {
    let party = party(|_| ());
    let ends = party.connect();
    party.listener.close();
    say_and_hear(&ends);
    let late = party.dialler.dial(party.address(), &hello(), Instant::now() + LONG).unwrap_err();
    assert!(matches!(late, DialError::HungUp { .. }), "{late}");
    say_and_hear(&ends);
}

#[test]
fn last_words_arrive_though_the_transport_is_gone_with_them() {
    let authority = Authority::new("bank's");
    let n1: QuicTransport = authority.issue("rep://bank/n1").speak(&authority.pem());
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n1.clone()));
    let n2: QuicTransport = authority.issue("rep://bank/n2").speak(&authority.pem());
    let dialled = n2.dial(party.address(), &hello(), soon()).unwrap();
    let accepted = party.desk.next().1;
    let frame = Bytes::from(vec![3; 1 << 20]);
    for _ in 0..3 {
        dialled.send(frame.clone()).unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                assert!(accepted.receive(soon()).unwrap().unwrap() == frame);
            }
            assert_eq!(accepted.receive(soon()), Err(NetError::Closed));
        });
        dialled.close();
        drop((dialled, n2));
    });
}

#[test]
fn a_caller_too_many_is_told_busy_and_places_come_back_after_the_deadline() {
    let mut limits = Limits::default();
    limits.hello_timeout = Duration::from_secs(2);
    limits.half_open_per_address_max = 3;
    // Or the silence would end them.
    limits.quic_idle_timeout = LONG;
    let (n1, n2) = quic_pair(&limits);
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
    // These hear nothing of what they are answered, and so never come to an end.
    let relays: Vec<_> = (0..3).map(|_| Relay::to(party.address())).collect();
    relays.iter().for_each(Relay::carry_one_and_nothing_back);
    let (_, stranger) = quic_pair(&limits);
    thread::scope(|scope| {
        for relay in &relays {
            let deadline = Instant::now() + Duration::from_millis(300);
            let stranger = &stranger;
            scope.spawn(move || stranger.dial(&relay.address(), &hello(), deadline).unwrap_err());
        }
    });
    let busy = party.dialler.dial(party.address(), &hello(), soon()).unwrap_err();
    assert_eq!(busy.refuse_reason(), Some(&RefuseReason::Busy), "{busy}");
    let end = soon();
    while let Err(error) = party.dialler.dial(party.address(), &hello(), soon()) {
        assert_eq!(error.refuse_reason(), Some(&RefuseReason::Busy), "{error}");
        assert!(Instant::now() < end, "the places never came back");
    }
}

#[test]
fn when_places_are_scarce_a_caller_shows_first_that_it_is_where_it_says() {
    let party = party(|limits| limits.half_open_max = 2);
    let relays: Vec<_> = (0..2).map(|_| Relay::to(party.address())).collect();
    let (_, stranger) = quic_pair(&Limits::default());
    // The first takes the one place that is to be had for nothing. The second is asked to show where it is, does not hear it, and takes none.
    for relay in &relays {
        relay.carry_one_and_nothing_back();
        let deadline = Instant::now() + Duration::from_millis(300);
        stranger.dial(&relay.address(), &hello(), deadline).unwrap_err();
    }
    party.connect();
}

#[test]
fn what_speaks_another_way_is_not_spoken_with() {
    let bank = Bank::<QuicTransport>::new();
    let tls: TlsTransport = bank.authority.issue("rep://bank/n2").speak(&bank.authority.pem());
    let over_tcp: [&dyn Transport; 2] = [&TcpTransport::default(), &tls];
    for other in over_tcp {
        let refused = other.dial(bank.n1.address(), &to_n1(), soon()).unwrap_err();
        assert!(refused.is_refused(), "nothing listens there but QUIC: {refused}");
    }
    let n1: TlsTransport = bank.authority.issue("rep://bank/n1").speak(&bank.authority.pem());
    let listening: [&dyn Transport; 2] = [&TcpTransport::default(), &n1];
    for other in listening {
        let desk = Desk::new();
        let listener = other.listen(&"127.0.0.1:0".into(), table(&desk)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(1);
        assert!(bank.n2.dial(listener.local_address(), &to_n1(), deadline).is_err());
        assert!(desk.arrivals.is_empty());
    }
}

#[test]
fn nothing_that_is_said_can_be_read_on_the_way() {
    let party = party(|_| ());
    let relay = Relay::to(party.address());
    let ends = through(&party, &relay);
    say_and_hear(&ends);
    let recorded = relay.recorded().concat();
    for said in [&b"there"[..], b"rep?hi", b"bank"] {
        assert!(!recorded.windows(said.len()).any(|window| window == said));
    }
}

#[test]
fn recorded_datagrams_sent_again_say_nothing() {
    let party = party(|_| ());
    let relay = Relay::to(party.address());
    let ends = through(&party, &relay);
    say_and_hear(&ends);
    let at: SocketAddr = party.address().as_str().parse().unwrap();
    for _ in 0..3 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in relay.recorded() {
            socket.send_to(&datagram, at).unwrap();
        }
    }
    say_and_hear(&ends);
    party.connect();
    assert!(party.desk.arrivals.is_empty(), "somebody arrived twice");
}

#[test]
fn no_key_is_ever_shown() {
    let authority = Authority::new("bank's");
    let issued = authority.issue("rep://bank/n1");
    let config = issued.trusting(&authority.pem());
    let n1 = QuicTransport::with(config, Limits::default()).unwrap();
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n1.clone()));
    let n2: QuicTransport = authority.issue("rep://bank/n2").speak(&authority.pem());
    let dialled = n2.dial(party.address(), &hello(), soon()).unwrap();
    let accepted = party.desk.next().1;
    for _ in 0..50 {
        dialled.send(Bytes::from_static(b"a secret of theirs")).unwrap();
    }
    // The rest of them lie there, most likely.
    assert!(accepted.receive(soon()).unwrap().is_some());
    let shown = format!("{n1:?} {:?} {dialled:?} {accepted:?}", party.listener);
    assert!(!shown.contains("secret"));
    let secret = issued.key.lines().nth(1).unwrap();
    assert!(secret.len() > 40 && !shown.contains(&secret[..40]));
    assert!(!shown.contains("-----BEGIN") && shown.len() < 20_000, "{} bytes", shown.len());
}
