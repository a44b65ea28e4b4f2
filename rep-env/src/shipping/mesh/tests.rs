//! What goes over a mesh arrives whole, in order and once, whatever gets lost on the way, and whatever else is sent there.

use super::words::{Answer, Question};
use super::{MeshSink, MeshSinkError, MeshStore};
use crate::shipping::segments::{Folder, Segment, SegmentSink, ShardId, ShipError, Shipper};
use bytes::Bytes;
use rep_net::mesh::Mesh;
use rep_vlsn::{
    Draft, Flags, GroupId, Kind, LogConfig, LogPoint, MemDisk, NodeId, Opened, Term, Vlsn, open,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const GROUP: GroupId = GroupId([7; 16]);
const SHARD: ShardId = ShardId(3);

/// A log of `count` entries, all durable.
fn log(count: u64) -> Opened<MemDisk> {
    let mut log = open(MemDisk::new(), LogConfig::default()).unwrap();
    log.writer.set_group(GROUP).unwrap();
    let at = |vlsn| LogPoint::new(Term::new(1), Vlsn::new(vlsn));
    let mut crc = 0;
    for vlsn in 1..=count {
        let draft = match vlsn {
            1 => Draft::opening(Kind::GroupFounded, NodeId::new(1), b""),
            _ => Draft::new(Kind::Data, Flags::default(), &vlsn.to_le_bytes()),
        };
        let record = draft.stamp(at(vlsn), crc, 0);
        crc = record.header_crc();
        log.tail.stage(&[record]);
    }
    log.writer.write_group(Vlsn::NULL).unwrap();
    log.writer.sync().unwrap();
    log
}

fn folder(disk: &MemDisk) -> Folder<MemDisk> {
    Folder::open(disk.clone(), LogConfig::default(), SHARD).unwrap()
}

/// A mesh on which sinks and a store reach each other.
fn mesh(sinks: &[&'static str]) -> (Vec<MeshSink<&'static str>>, Mesh<&'static str>) {
    let mesh = Mesh::new();
    let ends = sinks.iter().map(|name| mesh.create(*name).unwrap()).collect::<Vec<_>>();
    (ends.into_iter().map(|end| MeshSink::new(end, "store")).collect(), mesh)
}

fn store<S>(
    mesh: &Mesh<&'static str>,
    sinks: &[&'static str],
    sink: S,
) -> MeshStore<&'static str, S>
where
    S: SegmentSink,
    S::Error: std::fmt::Display,
{
    let end = mesh.create("store").unwrap();
    for name in sinks {
        mesh.connect(name, &"store").unwrap();
        mesh.connect(&"store", name).unwrap();
    }
    MeshStore::new(end, sink)
}

fn running<S>(store: MeshStore<&'static str, S>) -> JoinHandle<S>
where
    S: SegmentSink + Send + 'static,
    S::Error: std::fmt::Display,
{
    let named = std::thread::Builder::new().name("store".to_owned());
    named.spawn(move || store.run()).unwrap()
}

fn segment(log: &Opened<MemDisk>, from: u64, to: u64) -> Segment {
    let (from, to) = (Vlsn::new(from), Vlsn::new(to));
    let entries = log.reader.batch(from, to, 1 << 20, log.tail.epoch()).unwrap();
    let beginning = log.reader.beginning(entries.first_point()).unwrap();
    Segment::new(SHARD, beginning, entries).unwrap()
}

#[test]
fn the_whole_history_arrives_and_two_who_ship_it_go_on_where_the_other_ended() {
    let log = log(40);
    let disk = MemDisk::new();
    let names = ["first", "second"];
    let (mut sinks, mesh) = mesh(&names);
    let serving = running(store(&mesh, &names, folder(&disk)));
    for (sink, upto) in sinks.iter_mut().zip([15, 40]) {
        let mut shipper = Shipper::new(GROUP, SHARD);
        while shipper.ship(&log.reader, Vlsn::new(upto), sink).unwrap().is_some() {}
        assert_eq!(shipper.acknowledged().unwrap().vlsn, Vlsn::new(upto));
    }
    drop(sinks);
    let folder = serving.join().unwrap();
    assert_eq!(folder.range().unwrap().1.vlsn, Vlsn::new(40));
    folder.close().unwrap();
    assert_eq!(rep_vlsn::verify(&disk).unwrap().entries, 40);
}

/// The segment was taken, and nobody heard: it is neither given again nor missed.
#[test]
fn an_answer_that_is_lost_costs_a_question() {
    let log = log(20);
    let disk = MemDisk::new();
    let (mut sinks, mesh) = mesh(&["sink"]);
    let mut sink = sinks.pop().unwrap().patient_for(Duration::from_millis(1));
    let mut store = store(&mesh, &["sink"], folder(&disk));
    let given = segment(&log, 1, 10);
    let silent = MeshSinkError::Silent { store: "store", after: Duration::from_millis(1) };
    assert_eq!(sink.take(&given), Err(silent));
    // It comes late, behind the next question.
    let soon = Instant::now() + Duration::from_secs(60);
    assert_eq!(store.serve(soon), Ok(true));
    let serving = running(store);
    let mut sink = sink.patient_for(Duration::from_secs(60));
    let mut shipper = Shipper::new(GROUP, SHARD);
    assert_eq!(sink.acknowledged(GROUP, SHARD), Ok(given.last()));
    while shipper.ship(&log.reader, Vlsn::new(20), &mut sink).unwrap().is_some() {}
    drop(sink);
    serving.join().unwrap().close().unwrap();
    assert_eq!(rep_vlsn::verify(&disk).unwrap().entries, 20);
}

#[test]
fn what_does_not_follow_is_a_gap_and_is_not_taken() {
    let log = log(20);
    let (mut sinks, mesh) = mesh(&["sink"]);
    let mut sink = sinks.pop().unwrap();
    let serving = running(store(&mesh, &["sink"], folder(&MemDisk::new())));
    let (first, later) = (segment(&log, 1, 5), segment(&log, 9, 20));
    sink.take(&first).unwrap();
    let gap = MeshSinkError::Gap { last: first.last(), prev: later.prev() };
    assert_eq!(sink.take(&later), Err(gap));
    assert_eq!(sink.acknowledged(GROUP, SHARD), Ok(first.last()));
    drop(sink);
    drop(serving.join().unwrap());
}

#[test]
fn what_the_stores_own_sink_refuses_comes_back_in_its_words() {
    let log = log(5);
    let (mut sinks, mesh) = mesh(&["sink"]);
    let mut sink = sinks.pop().unwrap();
    let serving = running(store(&mesh, &["sink"], folder(&MemDisk::new())));
    let error = sink.acknowledged(GROUP, ShardId(9)).unwrap_err();
    assert!(matches!(&error, MeshSinkError::Refused(why) if why.contains("shard 9")), "{error}");
    let mut shipper = Shipper::new(GROUP, ShardId(9));
    let error = shipper.ship(&log.reader, Vlsn::new(5), &mut sink).unwrap_err();
    assert!(matches!(error, ShipError::Sink(MeshSinkError::Refused(_))), "{error}");
    drop(sink);
    drop(serving.join().unwrap());
}

#[test]
fn a_store_that_is_gone_or_full_is_said_to_be_that() {
    let mesh = Mesh::with_capacity(1);
    let (end, far) = (mesh.create("sink").unwrap(), mesh.create("store").unwrap());
    let mut sink = MeshSink::new(end, "store").patient_for(Duration::from_millis(1));
    let unknown = rep_net::mesh::EndpointError::UnknownPeer("store");
    assert_eq!(sink.acknowledged(GROUP, SHARD), Err(MeshSinkError::Mesh(unknown)));
    mesh.connect(&"sink", &"store").unwrap();
    mesh.connect(&"store", &"sink").unwrap();
    let silent = MeshSinkError::Silent { store: "store", after: Duration::from_millis(1) };
    assert_eq!(sink.acknowledged(GROUP, SHARD), Err(silent));
    assert_eq!(sink.acknowledged(GROUP, SHARD), Err(MeshSinkError::Full("store")));
    drop(far);
    let closed = rep_net::mesh::EndpointError::Closed("store");
    assert_eq!(sink.acknowledged(GROUP, SHARD), Err(MeshSinkError::Mesh(closed)));
}

#[test]
fn frames_that_are_no_questions_are_dropped_and_the_store_goes_on() {
    let (mut sinks, mesh) = mesh(&["sink"]);
    let mut sink = sinks.pop().unwrap();
    let stranger = mesh.create("stranger").unwrap();
    let serving = running(store(&mesh, &["sink"], folder(&MemDisk::new())));
    mesh.connect(&"stranger", &"store").unwrap();
    let whole = Question::Where { group: GROUP, shard: SHARD }.encode(1);
    for length in 0..=whole.len() {
        stranger.send(&"store", whole.slice(..length)).unwrap();
    }
    let nonsense = Question::Take(Bytes::from_static(b"no segment")).encode(2);
    stranger.send(&"store", nonsense).unwrap();
    assert_eq!(sink.acknowledged(GROUP, SHARD), Ok(LogPoint::NULL));
    drop((sink, stranger));
    drop(serving.join().unwrap());
}

#[test]
fn every_frame_is_these_bytes() {
    let point = LogPoint::new(Term::new(0x0102), Vlsn::new(0x0304));
    let prefix = |tag| vec![tag, 1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let place = [2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0];
    let questions = [
        (Question::Where { group: GROUP, shard: SHARD }, [&prefix(1)[..], &[7; 16], &[3, 0, 0, 0]]),
        (Question::Take(Bytes::from_static(b"abc")), [&prefix(2)[..], b"abc", b""]),
    ];
    for (question, bytes) in questions {
        let bytes = bytes.concat();
        assert_eq!(question.encode(9), bytes);
        assert_eq!(Question::decode(bytes.into()), Ok((9, question)));
    }
    let answers = [
        (Answer::Has(point), [&prefix(16)[..], &place]),
        (Answer::Gap(point), [&prefix(17)[..], &place]),
        (Answer::Refused("no".into()), [&prefix(18)[..], b"no"]),
    ];
    for (answer, bytes) in answers {
        let bytes = bytes.concat();
        assert_eq!(answer.encode(9), bytes);
        assert_eq!(Answer::decode(&bytes), Ok((9, answer)));
    }
    assert!(Answer::decode(&[&prefix(16)[..], &place[1..]].concat()).is_err());
    assert!(Answer::decode(&[&prefix(3)[..], &place].concat()).is_err());
    let long = Answer::Refused("ä".repeat(2000)).encode(9);
    assert!(long.len() <= 16 + 1024 && Answer::decode(&long).is_ok());
}
