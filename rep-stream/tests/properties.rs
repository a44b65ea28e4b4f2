//! What must hold whatever the logs, the timing and the bytes.

#[path = "support/pair.rs"]
mod pair;

use bytes::Bytes;
use pair::{ModelLog, Pair, REPLICA, point};
use proptest::prelude::*;
use rep_stream::{Connection, FeederConfig, FeederMessage, ReplicaConfig, ReplicaMessage, SyncUp};
use rep_vlsn::{Batch, GroupId, Incarnation, LogPoint, Term, Vlsn};

/// Runs of (term, entries): a shared beginning, then tails whose terms never meet.
#[derive(Clone, Debug)]
struct Logs {
    source: Vec<(u64, u64)>,
    copy: Vec<(u64, u64)>,
    shared: u64,
    term: u64,
    dvlsn: u64,
}

fn logs() -> impl Strategy<Value = Logs> {
    let runs = || prop::collection::vec((1..3u64, 1..12u64), 0..4);
    (runs(), runs(), runs(), 0..30u64, any::<bool>()).prop_map(
        |(shared, source_tail, copy_tail, floor, opened)| {
            let (mut source, mut copy) = (Vec::new(), Vec::new());
            let mut term = 0;
            for (step, entries) in shared {
                term += step;
                source.push((term, entries));
                copy.push((term, entries));
            }
            let shared: u64 = copy.iter().map(|(_, entries)| entries).sum();
            let base = term;
            for (at, (_, entries)) in source_tail.iter().enumerate() {
                source.push((base + 2 * at as u64 + 2, *entries));
            }
            for (at, (_, entries)) in copy_tail.iter().enumerate() {
                copy.push((base + 2 * at as u64 + 1, *entries));
            }
            let highest = source.iter().chain(&copy).map(|(term, _)| *term).max();
            let term = highest.unwrap_or(0) + 1;
            if opened {
                source.push((term, 3));
            }
            Logs { source, copy, shared, term, dvlsn: floor.min(shared) }
        },
    )
}

fn small() -> FeederConfig {
    let mut config = FeederConfig::default();
    config.batch_bytes = 300;
    config.window_bytes = 900;
    config
}

fn pair_of(logs: &Logs) -> Pair {
    let (source, copy) = (ModelLog::of(&logs.source), ModelLog::of(&logs.copy));
    let replica = ReplicaConfig::new(REPLICA, Incarnation([2; 16]));
    Pair::with(logs.term, source, copy, logs.dvlsn, small(), replica)
}

/// One step, chosen by chance: the order in which threads, disks and networks get on is not ours.
fn step(pair: &mut Pair, which: u8) {
    match which {
        0..40 => drop(pair.deliver_to_replica()),
        40..80 => drop(pair.deliver_to_feeder()),
        80..120 => drop(pair.carry_out_send()),
        120..150 => drop(pair.sync_replica()),
        150..190 => drop(pair.finish_cut()),
        190..230 => pair.write(1 + usize::from(which % 3), usize::from(which)),
        230..240 => drop(pair.jump()),
        240..=255 => pair.reset(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// The pair asserts along the way that nothing durable is cut, that acknowledgements vouch for syncs, and
    /// that a watermark covers only entries that are the source's.
    #[test]
    fn any_two_logs_end_equal(logs in logs(), schedule in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut pair = pair_of(&logs);
        for which in schedule {
            step(&mut pair, which);
            prop_assert!(pair.seen.errors.is_empty(), "{:?}", pair.seen.errors);
        }
        pair.reset();
        pair.run();
        prop_assert_eq!(pair.seen.breach, None);
        prop_assert_eq!(&pair.copy.records, &pair.source.records);
        prop_assert_eq!(pair.copy.view.history(), pair.source.view.history());
        let tail = logs.copy.iter().map(|(_, entries)| entries).sum::<u64>();
        let dropped: Vec<_> = (tail > logs.shared)
            .then(|| Vlsn::new(logs.shared + 1)..=Vlsn::new(tail))
            .into_iter()
            .collect();
        prop_assert_eq!(&pair.seen.rollbacks, &dropped, "each rollback names what it dropped");
        let last = pair.source.view.last();
        if !last.vlsn.is_null() {
            prop_assert_eq!(pair.seen.acked, Some((last, last)));
        }
        if last.term == Term::new(logs.term) {
            prop_assert_eq!(pair.copy_dvlsn, last.vlsn);
        }
    }

    #[test]
    fn a_durable_entry_of_the_tail_is_never_cut(logs in logs()) {
        let tail: u64 = logs.copy.iter().map(|(_, entries)| entries).sum();
        if tail == logs.shared {
            return Ok(());
        }
        let mut pair = pair_of(&Logs { dvlsn: logs.shared + 1, ..logs });
        let before = pair.copy.records.clone();
        pair.run();
        prop_assert!(pair.seen.breach.is_some());
        prop_assert_eq!(pair.copy.records, before);
    }

    #[test]
    fn wrong_messages_never_panic(
        logs in logs(),
        start in 0..40usize,
        messages in prop::collection::vec((any::<u8>(), 0..40u64, 0..40u64, 0..9u64, 0..9u64), 1..30),
    ) {
        let mut pair = pair_of(&logs);
        for which in 0..start {
            step(&mut pair, (which * 40 % 200) as u8);
        }
        for (kind, a, b, s, t) in messages {
            if pair.replica.is_closed() || pair.feeder.is_closed() || pair.cutting {
                pair.reset();
            }
            wrong_message(&mut pair, kind, point(s, a), point(t, b));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), tag in 0..24u8) {
        let _ = ReplicaMessage::decode(bytes.clone().into());
        let _ = FeederMessage::decode(bytes.clone().into());
        let mut framed = vec![0; 24];
        framed[0] = tag;
        framed[1] = 1;
        framed.extend(bytes);
        let _ = ReplicaMessage::decode(framed.clone().into());
        let _ = FeederMessage::decode(framed.into());
    }

    #[test]
    fn damaged_messages_are_read_as_themselves_or_refused(
        logs in logs(), at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut pair = pair_of(&logs);
        let mut frames = Vec::new();
        for _ in 0..6 {
            frames.extend(pair.to_feeder.iter().cloned());
            pair.deliver_to_feeder();
            pair.carry_out_send();
            frames.extend(pair.to_replica.iter().cloned());
            pair.deliver_to_replica();
            pair.finish_cut();
            pair.sync_replica();
        }
        for frame in frames {
            decode_is_canonical(&frame);
            let mut flipped = frame.to_vec();
            flipped[at.index(frame.len())] ^= 1 << bit;
            decode_is_canonical(&flipped.into());
            decode_is_canonical(&frame.slice(..cut.index(frame.len())));
        }
    }
}

fn wrong_message(pair: &mut Pair, kind: u8, a: LogPoint, b: LogPoint) {
    let mut connection: Connection = pair.connection();
    connection.epoch += u64::from(kind % 7 == 6);
    match kind % 7 {
        0 => pair.hand_to_feeder(ReplicaMessage::Ready { connection, at: a }),
        1 => {
            pair.lied = true;
            pair.hand_to_feeder(ReplicaMessage::Ack { connection, synced: a, received: b });
        }
        2 => {
            // A watermark told by a liar covers what it likes; the pair's own check would object.
            let dvlsn = a.vlsn.min(pair.dvlsn);
            pair.hand_to_replica(FeederMessage::Watermarks { connection, dvlsn, cvlsn: b.vlsn });
        }
        3 => pair.hand_to_replica(FeederMessage::SyncUp(SyncUp {
            connection,
            group: GroupId([a.vlsn.get() as u8; 16]),
            matchpoint: a,
            last: b,
            history: pair.source.view.history().clone(),
            dvlsn: Vlsn::NULL,
            cvlsn: b.vlsn,
        })),
        4 => {
            let records = &pair.source.records;
            let (from, to) = (a.vlsn.get() as usize, b.vlsn.get() as usize);
            if from < to && to <= records.len() {
                let entries = Batch::of(records[from..to].to_vec()).unwrap();
                let (dvlsn, cvlsn) = (Vlsn::NULL, Vlsn::NULL);
                let prev = if kind > 100 { a } else { b };
                pair.hand_to_replica(FeederMessage::Batch {
                    connection,
                    prev,
                    dvlsn,
                    cvlsn,
                    entries,
                });
            }
        }
        _ => {
            pair.hand_to_replica(FeederMessage::NeedsRestore { connection, first: a.vlsn });
        }
    }
    pair.deliver_to_feeder();
    pair.deliver_to_replica();
}

/// What decodes is written again as it came.
fn decode_is_canonical(frame: &Bytes) {
    if let Ok(message) = FeederMessage::decode(frame.clone()) {
        assert_eq!(FeederMessage::decode(message.encode()), Ok(message));
    }
    if let Ok(message) = ReplicaMessage::decode(frame.clone()) {
        assert_eq!(ReplicaMessage::decode(message.encode()), Ok(message));
    }
}
