//! Everything that a group must not be impressed by.
//!
//! The port of a member is open to whoever reaches it. Here callers that speak for themselves, byte by byte, say at each
//! service what no member says. Each row is a promise: the caller is told why or hung up on, and the group notices
//! nothing: the same master in the same term acknowledges writes before, meanwhile and after.
//!
//! Not here: a member that breaks the protocol on purpose. Who has a member's name *and* the incarnation of its
//! directory is trusted to follow the protocol; even so it may not send nonsense.

use crate::world::{Net, PATIENCE, World, eventually, put, steady};
use rep_env::admin;
use rep_env::net::frame::{self, FrameDecoder};
use rep_env::net::hello::Answer;
use rep_env::net::{
    Address, Bytes, Channel, Hello, Host, RefuseReason, ServiceHandler, ServiceTable, Transport,
    Versions,
};
use rep_env::{Error, NewMember, NodeState};
use rep_node::rep_election::message::{Name, PreGrant, PreSolicit, Solicit};
use rep_node::rep_election::{Electorate, Voter};
use rep_node::{Connection, ElectionMessage, FeederMessage, Message, ReplicaMessage};
use rep_vlsn::{LogPoint, NodeId, Term, Vlsn};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SERVICES: [&str; 5] = ["peer", "feeder", "restore", "join", "admin"];

// ---- the first frame ----

/// What a first frame has coming.
enum Reception {
    /// The refusal, typed.
    Refused(fn(&RefuseReason) -> bool),
    /// No word: whoever sent that would not understand one.
    HungUp,
}
use Reception::{HungUp, Refused};

struct FirstFrame {
    what: &'static str,
    /// To be sent to that service of member `n1`.
    bytes: fn(&str) -> Vec<u8>,
    gets: Reception,
}

#[rustfmt::skip]
const FIRST_FRAMES: &[FirstFrame] = &[
    FirstFrame { what: "another group", bytes: |service| said(&caller("library", service)), gets: Refused(|why| *why == RefuseReason::WrongGroup) },
    FirstFrame { what: "no such service", bytes: |_| said(&caller("bank", "vault")), gets: Refused(|why| *why == RefuseReason::UnknownService) },
    FirstFrame { what: "another node", bytes: |service| said(&caller("bank", service).to_node("n9")), gets: Refused(|why| matches!(why, RefuseReason::WrongNode { node } if node == "n1")) },
    FirstFrame { what: "only later versions", bytes: |service| said(&caller("bank", service).speaking(Versions::new(if service == "peer" { 3 } else { 2 }, 9))), gets: Refused(|why| matches!(why, RefuseReason::VersionMismatch { .. })) },
    FirstFrame { what: "no version at all", bytes: |service| framed(&changed(service, 8, 0)), gets: Refused(malformed) },
    FirstFrame { what: "versions the wrong way round", bytes: |service| framed(&changed(service, 8, 9)), gets: Refused(malformed) },
    FirstFrame { what: "a group that is no text", bytes: |service| framed(&changed(service, 30, 0xff)), gets: Refused(malformed) },
    FirstFrame { what: "a name longer than the Hello", bytes: |service| framed(&changed(service, 29, 0xff)), gets: Refused(malformed) },
    FirstFrame { what: "a Hello cut short", bytes: |service| framed(&hello(service)[..40]), gets: Refused(malformed) },
    FirstFrame { what: "a Hello and a byte", bytes: |service| framed(&[&hello(service)[..], b"x"].concat()), gets: Refused(malformed) },
    FirstFrame { what: "a checksum that is wrong", bytes: |service| flipped(framed(&hello(service)), 5), gets: Refused(malformed) },
    FirstFrame { what: "a body that was changed on the way", bytes: |service| flipped(framed(&hello(service)), 20), gets: Refused(malformed) },
    FirstFrame { what: "more than a Hello may have", bytes: |_| framed(&[0; 4097]), gets: Refused(malformed) },
    FirstFrame { what: "four gigabytes announced", bytes: |_| vec![0xff; 64], gets: Refused(malformed) },
    FirstFrame { what: "an empty frame", bytes: |_| framed(b""), gets: Refused(malformed) },
    FirstFrame { what: "another protocol, framed", bytes: |_| framed(b"GET / HTTP/1.1\r\n\r\n"), gets: HungUp },
    FirstFrame { what: "half a frame and the end", bytes: |service| framed(&hello(service))[..30].to_vec(), gets: HungUp },
    FirstFrame { what: "nothing and the end", bytes: |_| Vec::new(), gets: HungUp },
];

fn malformed(why: &RefuseReason) -> bool {
    matches!(why, RefuseReason::Malformed { .. })
}

#[test]
fn a_first_frame_that_is_not_meant_is_refused_with_its_reason_and_the_group_goes_on() {
    let group = Group::running();
    for service in SERVICES {
        for row in FIRST_FRAMES {
            let name = format!("{} at {service}", row.what);
            let mut raw = Raw::connect(&group.world.address(0));
            raw.send(&(row.bytes)(service));
            if matches!(row.gets, HungUp) {
                let _ = raw.stream.shutdown(Shutdown::Write);
            }
            group.commits(&name);
            match (&row.gets, raw.frame().map(|frame| Answer::decode(&frame).unwrap())) {
                (Refused(expected), Some(Answer::Refused(why))) if expected(&why) => {}
                (HungUp, None) => {}
                (_, other) => panic!("{name}: {other:?}"),
            }
            assert_eq!(raw.frame(), None, "{name}: nothing follows a refusal");
        }
    }
    group.noticed_nothing();
}

#[test]
fn who_is_not_listed_speaks_to_no_service_of_members() {
    let group = Group::running();
    for service in ["peer", "feeder", "restore"] {
        for name in ["mallory", "", "n1", "N2", "n2 "] {
            let mut raw = Raw::connect(&group.world.address(0));
            raw.send(&said(&Hello::new("bank", service).from_node(name, [7; 16])));
            let answer = Answer::decode(&raw.frame().unwrap()).unwrap();
            let told = matches!(answer, Answer::Refused(RefuseReason::NotMember { .. }));
            assert!(told, "{name:?} at {service}: {answer:?}");
        }
    }
    group.noticed_nothing();
}

// ---- what comes after a valid Hello ----

/// What becomes of a caller that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Hung up on.
    Closed,
    /// Hung up on if it is the member's own directory that says so; what another directory says is not even weighed.
    Judged,
    /// What it said is dropped; it may stay, if it finishes its sentence.
    Ignored,
    /// Told that this is no question; it may ask better ones.
    Told,
}
use End::{Closed, Ignored, Judged, Told};

struct Later {
    services: &'static [&'static str],
    what: &'static str,
    /// What is sent, in the present term.
    bytes: fn(Term) -> Vec<u8>,
    end: End,
}

const ANY: &[&str] = &SERVICES;
const MEMBERS: &[&str] = &["peer", "feeder", "restore"];
const PEER: &[&str] = &["peer"];
const FEEDER: &[&str] = &["feeder"];
const RESTORE: &[&str] = &["restore"];
const JOIN: &[&str] = &["join"];
const ADMIN: &[&str] = &["admin"];
const ASKED: &[&str] = &["join", "admin"];

#[rustfmt::skip]
const LATER_FRAMES: &[Later] = &[
    // No frames at all.
    Later { services: ANY, what: "noise", bytes: |_| noise(4096), end: Closed },
    Later { services: ANY, what: "zeros", bytes: |_| vec![0; 64], end: Closed },
    Later { services: ANY, what: "a wrong checksum", bytes: |_| flipped(framed(b"\x04\0\0\0\0\0\0\0\0"), 5), end: Closed },
    Later { services: ANY, what: "a body that was changed on the way", bytes: |_| flipped(framed(b"\x04\0\0\0\0\0\0\0\0"), 12), end: Closed },
    Later { services: ANY, what: "a length that lies by a byte", bytes: |_| changed_tag(&framed(&[9; 100]), 0, 99), end: Closed },
    Later { services: ANY, what: "one byte over the longest frame", bytes: |_| announced_length((16 << 20) + 1), end: Closed },
    Later { services: ANY, what: "four gigabytes announced", bytes: |_| announced_length(u32::MAX), end: Closed },
    Later { services: ANY, what: "the longest frame announced, and silence", bytes: |_| announced_length(16 << 20), end: Ignored },
    Later { services: ANY, what: "half a header, and silence", bytes: |_| vec![1, 0, 0], end: Ignored },
    Later { services: ANY, what: "another Hello", bytes: |_| framed(&hello("peer")), end: Closed },
    // No messages.
    Later { services: MEMBERS, what: "an empty frame", bytes: |_| framed(b""), end: Closed },
    Later { services: PEER, what: "an announcement of another version", bytes: |_| framed(&[2, 0]), end: Closed },
    Later { services: PEER, what: "an announcement that goes on", bytes: |_| framed(&[1, 0, 0]), end: Closed },
    Later { services: PEER, what: "an announcement of four billion names", bytes: |_| framed(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), end: Closed },
    Later { services: PEER, what: "an announcement that is too long", bytes: |_| framed(&[1; 5000]), end: Closed },
    Later { services: PEER, what: "a heartbeat before the announcement", bytes: |term| framed(&heartbeat(term, 1)), end: Closed },
    Later { services: PEER, what: "an unknown tag", bytes: |_| peer(&[99, 1, 2, 3]), end: Closed },
    Later { services: PEER, what: "a heartbeat cut short", bytes: |term| peer(&heartbeat(term, 1)[..17]), end: Closed },
    Later { services: PEER, what: "a heartbeat and a byte", bytes: |term| peer(&[&heartbeat(term, 1)[..], b"x"].concat()), end: Closed },
    Later { services: PEER, what: "a flag of 2", bytes: |term| peer(&[&heartbeat(term, 1)[..17], &[2]].concat()), end: Closed },
    Later { services: PEER, what: "an election message of another version", bytes: |_| peer(&[1, 2, 1, 5]), end: Closed },
    Later { services: PEER, what: "an election message that is none", bytes: |_| peer(&[1, 1, 77]), end: Closed },
    Later { services: PEER, what: "an election message longer than any", bytes: |_| peer(&[&[1, 1][..], &[0; 20_000]].concat()), end: Closed },
    Later { services: PEER, what: "term 0", bytes: |_| peer(&[1, 1, 1, 0]), end: Closed },
    Later { services: PEER, what: "a winner with a million promisers", bytes: |_| peer(&[1, 1, 5, 3, 1, 0xc0, 0x84, 0x3d]), end: Closed },
    // Of the other channel.
    Later { services: PEER, what: "an ack on the wrong channel", bytes: |term| peer(&ack(connection(term))), end: Closed },
    Later { services: PEER, what: "watermarks on the wrong channel", bytes: |term| peer(&watermarks(connection(term))), end: Closed },
    Later { services: FEEDER, what: "a heartbeat on the wrong channel", bytes: |term| framed(&heartbeat(term, 1)), end: Closed },
    Later { services: FEEDER, what: "an election on the wrong channel", bytes: |term| framed(&Message::Election(pre_grant(term)).encode()), end: Closed },
    Later { services: FEEDER, what: "a feeder's words to a feeder", bytes: |term| framed(&watermarks(connection(term))), end: Closed },
    // Terms that would exhaust the numbers.
    Later { services: PEER, what: "a heartbeat of an absurd term", bytes: |term| peer(&heartbeat(absurd(term), 1)), end: Judged },
    Later { services: PEER, what: "a heartbeat of the last term", bytes: |_| peer(&heartbeat(Term::new(u64::MAX), 1)), end: Judged },
    Later { services: PEER, what: "a reply of an absurd term", bytes: |term| peer(&heartbeat_reply(absurd(term), 1)), end: Judged },
    Later { services: PEER, what: "a pre-vote for an absurd term", bytes: |term| peer(&elect(pre_solicit(absurd(term)))), end: Judged },
    Later { services: PEER, what: "a solicitation of an absurd term", bytes: |term| peer(&elect(solicit(absurd(term)))), end: Judged },
    Later { services: PEER, what: "a grant of an absurd term", bytes: |term| peer(&elect(pre_grant(absurd(term)))), end: Judged },
    Later { services: PEER, what: "a winner of an absurd term", bytes: |term| peer(&elect(winner(absurd(term)))), end: Judged },
    Later { services: FEEDER, what: "an ack of an absurd term", bytes: |term| framed(&ack(connection(absurd(term)))), end: Ignored },
    // Streams.
    Later { services: FEEDER, what: "an unknown tag", bytes: |term| framed(&changed_tag(&ack(connection(term)), 0, 99)), end: Closed },
    Later { services: FEEDER, what: "another layout", bytes: |term| framed(&changed_tag(&ack(connection(term)), 1, 2)), end: Closed },
    Later { services: FEEDER, what: "reserved bytes", bytes: |term| framed(&changed_tag(&ack(connection(term)), 3, 1)), end: Closed },
    Later { services: FEEDER, what: "an ack cut short", bytes: |term| framed(&ack(connection(term))[..40]), end: Closed },
    Later { services: FEEDER, what: "a handshake of four billion attributes", bytes: |term| framed(&handshake_lie(term)), end: Closed },
    Later { services: FEEDER, what: "a handshake longer than any", bytes: |term| framed(&[&handshake_lie(term)[..], &[0; 300 << 10]].concat()), end: Closed },
    Later { services: FEEDER, what: "an ack on a stream that never began", bytes: |term| framed(&ack(connection(term))), end: Ignored },
    // Copies.
    Later { services: RESTORE, what: "an unknown tag", bytes: |_| framed(&[99, 1, 0, 0, 0, 0, 0, 0]), end: Closed },
    Later { services: RESTORE, what: "another layout", bytes: |_| framed(&[1, 2, 0, 0, 0, 0, 0, 0]), end: Closed },
    Later { services: RESTORE, what: "a question cut short", bytes: |_| framed(&[1, 1, 0, 0, 0, 0, 0, 0, 7]), end: Closed },
    Later { services: RESTORE, what: "names before a question", bytes: |_| framed(&[&[2, 1, 0, 0, 0, 0, 0, 0][..], &[5; 16]].concat()), end: Closed },
    Later { services: RESTORE, what: "more names than a message may have", bytes: |_| framed(&[&[2, 1, 0, 0, 0, 0, 0, 0][..], &[5; 80 << 10]].concat()), end: Closed },
    Later { services: RESTORE, what: "thanks for nothing", bytes: |_| framed(&[&[3, 1, 0, 0, 0, 0, 0, 0][..], &[1; 8]].concat()), end: Closed },
    Later { services: RESTORE, what: "a source's words to a source", bytes: |_| framed(&[20, 1, 0, 0, 0, 0, 0, 0]), end: Closed },
    // Questions.
    Later { services: ASKED, what: "an empty question", bytes: |_| framed(b""), end: Told },
    Later { services: ASKED, what: "a question of another version", bytes: |_| framed(&[9, 0]), end: Told },
    Later { services: ASKED, what: "a heartbeat for a question", bytes: |term| framed(&heartbeat(term, 1)), end: Told },
    Later { services: ADMIN, what: "a question that nobody asks", bytes: |_| framed(&[5, 200]), end: Told },
    Later { services: ADMIN, what: "a question and a byte", bytes: |_| framed(&[5, 0, 0]), end: Told },
    Later { services: ADMIN, what: "a question that is too long", bytes: |_| framed(&[4; 65 << 10]), end: Told },
    Later { services: JOIN, what: "a question of an earlier day, when nodes asked administrators' questions", bytes: |_| framed(&[3, 7]), end: Told },
    Later { services: JOIN, what: "a question that nobody asks", bytes: |_| framed(&[1, 200]), end: Told },
    Later { services: JOIN, what: "a question and a byte", bytes: |_| framed(&[1, 0, 0]), end: Told },
    Later { services: JOIN, what: "a question that is too long", bytes: |_| framed(&[1; 65 << 10]), end: Told },
    Later { services: JOIN, what: "a wish cut short", bytes: |_| framed(&[1, 2, 2, b'n']), end: Told },
    Later { services: JOIN, what: "a name of four gigabytes", bytes: |_| framed(&[1, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, b'n']), end: Told },
    Later { services: JOIN, what: "a membership of four gigabytes", bytes: |_| framed(&[1, 3, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]), end: Told },
    Later { services: JOIN, what: "a membership that is none", bytes: |_| framed(&[1, 3, 2, 9, 9]), end: Told },
];

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// Nobody; for the service that takes such callers.
    Client,
    /// A member's name, and another directory.
    Impostor,
    /// A member's name and the incarnation of its directory, which is there and running.
    Twin,
}

#[test]
fn nonsense_after_a_valid_hello_ends_the_caller_and_the_group_goes_on() {
    let group = Group::running();
    for row in LATER_FRAMES {
        for service in row.services {
            let callers: &[Caller] = match *service {
                "join" | "admin" => &[Caller::Client],
                _ => &[Caller::Impostor, Caller::Twin],
            };
            for (caller, at) in callers
                .iter()
                .flat_map(|caller| [(*caller, group.master), (*caller, group.replica)])
            {
                let name = format!("{} at {service} of n{} by {caller:?}", row.what, at + 1);
                let mut raw = group.let_in(at, service, caller);
                raw.send(&(row.bytes)(group.term));
                group.commits(&name);
                raw.meets(row.end, (caller, service), &name);
            }
        }
    }
    group.noticed_nothing();
}

#[test]
fn a_heartbeat_of_this_very_term_from_another_directory_impresses_nobody() {
    // From the directory that was recorded it would be proof of two masters in one term, and a reason to halt.
    let group = Group::running();
    for at in [group.master, group.replica] {
        let mut raw = group.let_in(at, "peer", Caller::Impostor);
        raw.send(&peer(&heartbeat(group.term, 1)));
        group.commits("a heartbeat of this very term");
    }
    group.noticed_nothing();
}

/// It would send every client that asks for the member to wherever it says.
#[test]
fn another_directory_does_not_speak_for_the_member_whose_name_it_has() {
    let mut group = Group::running();
    group.world.close(group.third);
    for at in [group.master, group.replica] {
        let mut raw = group.let_in(at, "peer", Caller::Impostor);
        raw.send(&framed(b"\x01\x01\x04resp\x04evil"));
        group.commits("an announcement");
        let report = admin::status(&group.world.address(at), PATIENCE).unwrap();
        let told = report.members.iter().flat_map(|member| member.member.attributes.values());
        assert!(told.into_iter().all(|value| value != "evil"));
    }
}

#[test]
fn a_caller_that_asks_and_never_listens_is_given_up() {
    // What is queued for it is bounded; so when its answers do not go out, it is hung up on. The real member is away: were it
    // there, it would take its place back.
    let world = World::tuned(Net::Tcp, 3, |timing, limits| {
        steady(timing);
        limits.outgoing_bytes_max = 1 << 20;
    });
    let mut group = Group::of(world);
    let incarnation = group.incarnation_of(group.third);
    group.world.close(group.third);
    let name = format!("n{}", group.third + 1);
    let mut raw = Raw::connect(&group.world.address(group.master));
    raw.send(&said(&Hello::new("bank", "peer").from_node(name, incarnation)));
    raw.frame().expect("it is let in");
    raw.send(&framed(&[1, 0]));
    let ping = framed(&Message::Ping { nonce: 1 }.encode());
    let pings = ping.repeat(1000);
    raw.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let end = Instant::now() + PATIENCE;
    let hung_up = loop {
        assert!(Instant::now() < end, "it is never hung up on");
        if let Err(error) = raw.stream.write_all(&pings) {
            break error;
        }
    };
    assert!(!matches!(hung_up.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{hung_up}");
    // With its loop kept busy for so long a master may have lost its term, but never the group.
    group.world.put("after", "1");
}

/// They are many more than there are places for, at each member, and from where the members call too.
#[test]
fn callers_who_stop_in_the_middle_of_a_hello_cost_no_member_its_heartbeats() {
    const CALLERS: usize = 300;
    let group = Group::running();
    let half = &hello("peer")[..20];
    let calls: Vec<Raw> = (0..3)
        .flat_map(|at| (0..CALLERS).map(move |_| at))
        .map(|at| {
            let mut call = Raw::connect(&group.world.address(at));
            let _ = call.stream.write_all(half);
            call
        })
        .collect();
    // Many heartbeats, and as many chances to miss them.
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        group.commits("while callers stop in the middle");
    }
    drop(calls);
    group.noticed_nothing();
}

/// Who wants to join is told nonsense by its helper: it is no member by that, and goes on asking.
#[test]
fn a_helper_that_tells_lies_admits_nobody() {
    for lie in [
        &b""[..],
        &[9, 0],
        &[1],
        &[1, 200],
        // An answer to another question; one with a byte behind it; memberships that are none, the second of four gigabytes.
        &[1, 5],
        &[1, 1, 1, 0],
        &[1, 3, 2, 9, 9],
        &[1, 3, 0xff, 0xff, 0xff, 0xff, 0x0f, 1],
        // A refusal for a reason that nobody knows.
        &[1, 1, 99],
    ] {
        let mut world = World::new(Net::Memory, 2);
        let table = ServiceTable::new();
        table.host(Host::new("bank", "n1", [1; 16])).unwrap();
        let liar = Arc::new(Liar { lie, told: AtomicUsize::new(0) });
        table.register("bank", "join", Arc::clone(&liar) as _).unwrap();
        let address = Address::new(world.address(0));
        let _listener = world.hub.transport().listen(&address, Arc::new(table)).unwrap();
        let joiner = world.join(1, &[0]);
        eventually("asks again", || (liar.told.load(Ordering::SeqCst) > 1).then_some(()));
        let refused = joiner.wait_for_master(Duration::ZERO).unwrap_err();
        assert!(matches!(refused, Error::NoMaster { .. }), "{lie:?}: {refused}");
        assert_eq!(joiner.membership(), None, "{lie:?}");
        world.close(1);
    }
}

/// Whoever waits to be added under another's name would take its place: the number of a member of that name is given up for it.
#[test]
fn a_newcomer_that_says_it_is_somebody_else_is_not_added() {
    let world = World::running(Net::Memory, 3);
    let table = ServiceTable::new();
    table.host(Host::new("bank", "n9", [7; 16])).unwrap();
    // The directory 0707.. of the node n2 at h:1, electable, of priority 0, that was in no group.
    let lie = b"\x01\x02\x02n2\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x03h:1\x09electable\x00\x01";
    let liar = Arc::new(Liar { lie, told: AtomicUsize::new(0) });
    table.register("bank", "join", Arc::clone(&liar) as _).unwrap();
    let address = Address::new("n9's place");
    let _listener = world.hub.transport().listen(&address, Arc::new(table)).unwrap();
    let refused = eventually("an answer of the master", || {
        let added = world.env(world.master()).add_member(&NewMember::at("n9's place"), PATIENCE);
        added.err().filter(|error| !matches!(error, Error::NotMaster { .. }))
    });
    assert!(refused.to_string().contains("it is n9, and says that it is n2"), "{refused}");
    let membership = world.env(world.master()).membership().unwrap();
    let names: Vec<String> = membership.members.into_iter().map(|member| member.address).collect();
    assert!(!names.contains(&"h:1".to_owned()), "{names:?}");
}

/// Answers every question alike.
struct Liar {
    lie: &'static [u8],
    told: AtomicUsize,
}

impl ServiceHandler for Liar {
    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        while let Ok(Some(_)) = channel.receive(Instant::now() + PATIENCE) {
            self.told.fetch_add(1, Ordering::SeqCst);
            if channel.send(Bytes::from_static(self.lie)).is_err() {
                break;
            }
        }
    }
}

// ---- the group ----

/// A group with a master, of which member `third` is the one whose name is taken in vain.
struct Group {
    world: World,
    master: usize,
    replica: usize,
    third: usize,
    term: Term,
}

impl Group {
    fn running() -> Group {
        Group::of(World::steady(Net::Tcp, 3))
    }

    fn of(world: World) -> Group {
        let token = world.put("before", "1");
        world.assert_everywhere(token, "before", "1");
        let master = world.master();
        let term = token.point().term;
        Group { world, master, replica: (master + 1) % 3, third: (master + 2) % 3, term }
    }

    /// The same master acknowledges a write in the same term.
    fn commits(&self, when: &str) {
        let token = put(self.world.env(self.master), "key", when);
        let token = token.unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_eq!(token.point().term, self.term, "{when}: an election");
    }

    /// All three are still one group, under the same master, and all of them follow.
    fn noticed_nothing(&self) {
        self.commits("afterwards");
        let token = self.world.put("after", "1");
        self.world.assert_everywhere(token, "after", "1");
        assert_eq!(token.point().term, self.term, "an election");
        assert_eq!(self.world.env(self.master).state(), NodeState::Master);
        eventually("the whole group", || {
            let address = self.world.address(self.master);
            let report = admin::status(&address, PATIENCE).unwrap();
            assert_eq!(report.term, self.term.get(), "{:?}", report.problems);
            report.problems.is_empty().then_some(())
        });
    }

    /// A caller whose Hello was accepted by member `at`.
    fn let_in(&self, at: usize, service: &str, caller: Caller) -> Raw {
        let address = self.world.address(at);
        let hello = Hello::new("bank", service).to_node(format!("n{}", at + 1));
        let third = format!("n{}", self.third + 1);
        let hello = match caller {
            Caller::Client => hello,
            Caller::Impostor => hello.from_node(third, [7; 16]),
            Caller::Twin => hello.from_node(third, self.incarnation_of(self.third)),
        };
        // Places are bounded too, and those of callers that have just been hung up on come back by and by.
        eventually("a place", || {
            let mut raw = Raw::connect(&address);
            raw.send(&said(&hello));
            match Answer::decode(&raw.frame()?).unwrap() {
                Answer::Accepted(_) => Some(raw),
                Answer::Refused(RefuseReason::Busy) => None,
                Answer::Refused(why) => panic!("{service} for {caller:?}: {why}"),
            }
        })
    }

    fn incarnation_of(&self, at: usize) -> [u8; 16] {
        let mut raw = Raw::connect(&self.world.address(at));
        raw.send(&said(&Hello::new("bank", "admin")));
        match Answer::decode(&raw.frame().unwrap()).unwrap() {
            Answer::Accepted(accepted) => accepted.incarnation,
            Answer::Refused(why) => panic!("{why}"),
        }
    }
}

// ---- the caller ----

/// A caller that speaks for itself.
struct Raw {
    stream: TcpStream,
    decoder: FrameDecoder,
}

impl Raw {
    fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Raw { stream, decoder: FrameDecoder::new(16 << 20, 64 << 10) }
    }

    /// Sends what it can: whom this is said to may have hung up.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next frame; none if the connection ended.
    fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("a member sends frames") {
                return Some(frame);
            }
            match self.stream.read(self.decoder.space()) {
                Ok(0) => return None,
                Ok(bytes) => self.decoder.filled(bytes),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the connection did not end: {error}"),
            }
        }
    }

    /// Reads to the end. A master's heartbeats never end, so whoever is not hung up on would read for ever.
    fn is_hung_up_on(&mut self, name: &str) {
        let end = Instant::now() + PATIENCE;
        while self.frame().is_some() {
            assert!(Instant::now() < end, "{name}: never hung up on");
        }
    }

    fn meets(&mut self, end: End, (caller, service): (Caller, &str), name: &str) {
        match (end, caller) {
            (Closed, Caller::Client) => {
                // Nothing but refusals may come before the end.
                while let Some(frame) = self.frame() {
                    assert!(is_refusal(service, &frame), "{name}: {frame:?}");
                    let _ = self.stream.shutdown(Shutdown::Write);
                }
            }
            (Closed, Caller::Impostor | Caller::Twin) | (Judged, Caller::Twin) => {
                self.is_hung_up_on(name);
            }
            (Ignored | Judged, _) => {}
            (Told, _) => {
                assert!(is_refusal(service, &self.frame().expect("an answer")), "{name}");
                // The status, or who is master.
                let better = [version(service), 0];
                self.send(&framed(&better));
                let frame = self.frame().expect("an answer to a better question");
                assert_eq!(frame[..2], better, "{name}");
            }
        }
    }
}

/// Of the questions that are understood there.
fn version(service: &str) -> u8 {
    if service == "admin" { 5 } else { 1 }
}

/// The third answer of ADMIN, and the second of JOIN.
fn is_refusal(service: &str, frame: &[u8]) -> bool {
    let refused = if service == "admin" { 2 } else { 1 };
    frame.starts_with(&[version(service), refused])
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(payload);
    [&frame::header(std::slice::from_ref(&payload)), &payload[..]].concat()
}

/// The header of a frame, and one byte of it.
fn announced_length(bytes: u32) -> Vec<u8> {
    [&bytes.to_le_bytes()[..], &[1, 2, 3, 4, 5]].concat()
}

fn flipped(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 1;
    bytes
}

/// No two runs of it are alike, and none is a frame.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

// ---- Hellos ----

fn caller(group: &str, service: &str) -> Hello {
    Hello::new(group, service).from_node("n2", [7; 16])
}

fn said(hello: &Hello) -> Vec<u8> {
    framed(&hello.encode().unwrap())
}

/// A good Hello to `bank`, as bytes.
fn hello(service: &str) -> Vec<u8> {
    caller("bank", service).encode().unwrap().to_vec()
}

/// A Hello of which one byte is another: 8 is the lowest version, 29 the length of the group's name, 30 its first letter.
fn changed(service: &str, at: usize, byte: u8) -> Vec<u8> {
    changed_tag(&hello(service), at, byte)
}

fn changed_tag(message: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut message = message.to_vec();
    message[at] = byte;
    message
}

// ---- messages ----

/// A frame on a PEER channel, after the announcement.
fn peer(frame: &[u8]) -> Vec<u8> {
    [framed(&[1, 0]), framed(frame)].concat()
}

/// Further above `term` than elections can carry it.
fn absurd(term: Term) -> Term {
    Term::new(term.get() + (1 << 32) + 8)
}

fn heartbeat(term: Term, round: u64) -> Bytes {
    Message::Heartbeat { term, round, quorate: true }.encode()
}

fn heartbeat_reply(term: Term, round: u64) -> Bytes {
    Message::HeartbeatReply { term, round }.encode()
}

fn elect(message: ElectionMessage) -> Bytes {
    Message::Election(message).encode()
}

fn pre_grant(term: Term) -> ElectionMessage {
    let rank = LogPoint::new(term, Vlsn::new(1 << 40));
    ElectionMessage::PreGrant(PreGrant { term, rank, electorate: electorate() })
}

fn pre_solicit(term: Term) -> ElectionMessage {
    let rank = LogPoint::new(term, Vlsn::new(1 << 40));
    ElectionMessage::PreSolicit(PreSolicit {
        term,
        fence: term,
        rank,
        priority: 9,
        electorate: electorate(),
    })
}

fn solicit(term: Term) -> ElectionMessage {
    let rank = LogPoint::new(term, Vlsn::new(1 << 40));
    ElectionMessage::Solicit(Solicit { term, rank, electorate: electorate(), transfer: false })
}

fn winner(term: Term) -> ElectionMessage {
    ElectionMessage::Name(Name { term, winner: NodeId::new(1), promisers: Vec::new() })
}

/// Of an unborn group with the same names.
fn electorate() -> Electorate {
    let voters = (1..=3).map(|id| (NodeId::new(id), Voter::unknown())).collect();
    Electorate { commit_need: 3, ..Electorate::founding(voters) }
}

fn connection(term: Term) -> Connection {
    Connection { term, epoch: 1 }
}

fn ack(connection: Connection) -> Bytes {
    let point = LogPoint::new(connection.term, Vlsn::new(1 << 40));
    ReplicaMessage::Ack { connection, synced: point, received: point }.encode()
}

fn watermarks(connection: Connection) -> Bytes {
    let vlsn = Vlsn::new(1 << 40);
    FeederMessage::Watermarks { connection, dvlsn: vlsn, cvlsn: vlsn }.encode()
}

/// A handshake whose lists are said to be longer than the frame.
fn handshake_lie(term: Term) -> Vec<u8> {
    let prefix = &ack(connection(term))[..24];
    [&changed_tag(prefix, 0, 1)[..], &[0xff; 40]].concat()
}
