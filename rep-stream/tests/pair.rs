//! The rules of a stream, one test each, with both ends in hand.

#[path = "support/pair.rs"]
mod pair;

use pair::{GROUP, MS, ModelLog, Pair, REPLICA, point};
use rep_stream::{
    Breach, CloseReason, Connection, FeederConfig, FeederMessage, Handshake, PeerError, Progress,
    RefuseReason, ReplicaConfig, ReplicaMessage, SendFailed,
};
use rep_vlsn::{
    Batch, Draft, Flags, GroupId, History, Incarnation, Kind, LogPoint, NodeId, SyncClass, Term,
    Vlsn,
};
use std::time::Duration;

fn streaming(term: u64, entries: u64) -> Pair {
    let mut pair = Pair::new(term, ModelLog::of(&[(term, entries)]), ModelLog::default(), 0);
    pair.run();
    assert!(pair.replica.in_sync());
    pair
}

fn small_batches() -> FeederConfig {
    let mut config = FeederConfig::default();
    config.batch_bytes = 1000;
    config.window_bytes = 4000;
    config
}

fn batch_of(log: &ModelLog, first: u64, last: u64) -> Batch {
    Batch::of(log.records[first as usize - 1..last as usize].to_vec()).unwrap()
}

fn batch_message(pair: &Pair, prev: LogPoint, entries: Batch) -> FeederMessage {
    let (connection, dvlsn, cvlsn) = (pair.connection(), Vlsn::NULL, Vlsn::NULL);
    FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries }
}

fn ack(pair: &Pair, synced: LogPoint, received: LogPoint) -> ReplicaMessage {
    ReplicaMessage::Ack { connection: pair.connection(), synced, received }
}

#[test]
fn an_empty_replica_ends_with_the_whole_log() {
    let pair = streaming(1, 20);
    assert_eq!(pair.copy.records, pair.source.records);
    assert_eq!(pair.seen.acked, Some((point(1, 20), point(1, 20))));
    assert_eq!(pair.copy_dvlsn, Vlsn::new(20));
    assert!(pair.seen.rollbacks.is_empty());
}

#[test]
fn a_foreign_tail_is_cut_and_named() {
    let source = ModelLog::of(&[(1, 5), (3, 4)]);
    let mut pair = Pair::new(3, source, ModelLog::of(&[(1, 5), (2, 3)]), 5);
    pair.run();
    assert_eq!(pair.seen.rollbacks, [Vlsn::new(6)..=Vlsn::new(8)]);
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn nothing_happens_until_the_cut_is_durable() {
    let source = ModelLog::of(&[(1, 5), (3, 4)]);
    let mut pair = Pair::new(3, source, ModelLog::of(&[(1, 5), (2, 3)]), 5);
    while pair.deliver_to_feeder() | pair.deliver_to_replica() | pair.carry_out_send() {}
    assert!(pair.cutting);
    assert!(!pair.replica.in_sync());
    assert_eq!(pair.feeder.progress(), Progress::Probe);
    assert!(pair.to_feeder.is_empty(), "no Ready and no Ack before the cut is durable");
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn a_cut_below_the_durable_point_is_a_breach() {
    let source = ModelLog::of(&[(1, 5), (3, 4)]);
    let mut pair = Pair::new(3, source, ModelLog::of(&[(1, 5), (2, 3)]), 6);
    pair.run();
    let (keep, last, dvlsn) = (point(1, 5), point(2, 8), Vlsn::new(6));
    assert_eq!(pair.seen.breach, Some(Breach::TruncationBelowDurable { keep, last, dvlsn }));
    assert_eq!(pair.copy.view.last(), last, "nothing was cut");
}

#[test]
fn a_cut_of_the_streams_own_term_is_a_breach() {
    let source = ModelLog::of(&[(1, 5), (3, 2)]);
    let mut pair = Pair::new(3, source, ModelLog::of(&[(1, 5), (3, 4)]), 5);
    pair.run();
    let (keep, last, term) = (point(3, 7), point(3, 9), Term::new(3));
    assert_eq!(pair.seen.breach, Some(Breach::TruncationOfOwnTerm { keep, last, term }));
}

#[test]
fn a_batch_that_does_not_continue_the_log_leads_to_sync_up() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.sending = None; // this range never gets onto the wire, and the feeder believes it did
    let (last, bytes) = (point(1, 8), 400);
    pair.with_feeder(|feeder, now, facts| feeder.handle_sent(now, last, bytes, facts));
    pair.write(2, 0);
    pair.run();
    assert_eq!(pair.replica.stats().sync_ups, 2);
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn a_batch_twice_changes_nothing() {
    let mut pair = streaming(1, 4);
    let again = batch_message(&pair, point(1, 2), batch_of(&pair.source, 3, 4));
    pair.hand_to_replica(again);
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
    assert!(pair.replica.in_sync());
    assert!(pair.seen.rollbacks.is_empty());
}

#[test]
fn sync_ups_that_lead_nowhere_end_the_connection() {
    let mut pair = streaming(1, 4);
    for _ in 0..4 {
        let stray = batch_message(&pair, point(1, 2), batch_of(&pair.source, 3, 4));
        pair.hand_to_replica(stray);
        pair.run();
    }
    let attempts = 3;
    assert_eq!(pair.seen.replica_closed, Some(CloseReason::SyncUpsExhausted { attempts }));
}

#[test]
fn entries_on_their_way_during_a_second_sync_up_are_dropped() {
    let mut pair = Pair::with(
        1,
        ModelLog::of(&[(1, 100)]),
        ModelLog::default(),
        0,
        small_batches(),
        ReplicaConfig::new(REPLICA, Incarnation([2; 16])),
    );
    pair.deliver_to_feeder(); // Handshake
    pair.deliver_to_replica(); // SyncUp
    pair.deliver_to_feeder(); // Ready
    pair.carry_out_send();
    pair.carry_out_send();
    let stray = batch_message(&pair, point(1, 30), batch_of(&pair.source, 31, 32));
    pair.hand_to_replica(stray);
    assert!(pair.deliver_to_replica(), "a good batch of before the question");
    assert_eq!(pair.copy.view.last(), LogPoint::NULL);
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
    assert!(pair.replica.stats().dropped_messages >= 2);
}

#[test]
fn the_answer_to_a_second_handshake_waits_for_the_range_being_sent() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    let stray = batch_message(&pair, point(1, 2), batch_of(&pair.source, 3, 4));
    pair.hand_to_replica(stray);
    assert!(pair.deliver_to_feeder(), "the second handshake");
    assert!(pair.to_replica.is_empty(), "the range must come before the answer");
    pair.run();
    assert_eq!(pair.replica.stats().sync_ups, 2);
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn one_point_with_two_contents_is_a_breach() {
    let mut pair = streaming(1, 4);
    let forged = Draft::new(Kind::Data, Flags::default(), b"x").stamp(point(1, 5), 0xBAD, 0);
    let entries = Batch::of(vec![forged]).unwrap();
    let message = batch_message(&pair, point(1, 4), entries);
    pair.hand_to_replica(message);
    assert_eq!(pair.seen.breach, Some(Breach::Forked { at: point(1, 4) }));
}

#[test]
fn an_entry_above_the_streams_term_is_refused() {
    let mut pair = streaming(1, 4);
    let mut later = pair.source.clone();
    later.write(2, Flags::default(), 0);
    let message = batch_message(&pair, point(1, 4), batch_of(&later, 5, 5));
    pair.hand_to_replica(message);
    let (stream, entry) = (Term::new(1), point(2, 5));
    assert_eq!(pair.seen.errors, [PeerError::TermAboveStream { stream, entry }]);
    assert!(pair.replica.is_closed());
}

#[test]
fn a_log_that_begins_too_late_asks_for_a_restore() {
    let mut source = ModelLog::of(&[(1, 5), (2, 20)]);
    source.view.clean(Vlsn::new(10));
    let mut pair = Pair::new(2, source, ModelLog::of(&[(1, 5), (2, 3)]), 8);
    pair.run();
    assert_eq!(pair.seen.needs_restore, Some(Vlsn::new(10)));
    assert_eq!(pair.feeder.progress(), Progress::Restore);
}

#[test]
fn a_replica_that_ends_just_before_the_first_entry_needs_no_restore() {
    let mut source = ModelLog::of(&[(1, 5), (2, 20)]);
    source.view.clean(Vlsn::new(10));
    let mut pair = Pair::new(2, source, ModelLog::of(&[(1, 5), (2, 4)]), 8);
    pair.run();
    assert_eq!(pair.seen.needs_restore, None);
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn histories_that_reach_no_common_entry_ask_for_a_restore() {
    let mut source = ModelLog::of(&[(1, 5), (3, 20)]);
    source.view.clean(Vlsn::new(10));
    let mut pair = Pair::new(3, source, ModelLog::of(&[(1, 5), (2, 3)]), 5);
    pair.run();
    assert_eq!(pair.seen.needs_restore, Some(Vlsn::new(10)));
}

#[test]
fn entries_cleaned_while_they_were_to_be_sent_ask_for_a_restore() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.sending = None;
    pair.source.view.clean(Vlsn::new(7));
    let why = SendFailed::Cleaned { first: Vlsn::new(7) };
    pair.with_feeder(|feeder, now, facts| feeder.handle_send_failed(now, why, facts));
    pair.run();
    assert_eq!(pair.seen.needs_restore, Some(Vlsn::new(7)));
}

#[test]
fn a_damaged_source_closes_and_a_log_cut_above_what_was_sent_goes_on() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.sending = None;
    pair.with_feeder(|feeder, now, facts| {
        feeder.handle_send_failed(now, SendFailed::Truncated, facts);
    });
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
    pair.write(1, 0);
    pair.sending = None;
    pair.with_feeder(|feeder, now, facts| {
        feeder.handle_send_failed(now, SendFailed::Damaged, facts);
    });
    assert_eq!(pair.seen.feeder_closed, Some(CloseReason::LogDamaged));
}

#[test]
fn an_old_connections_messages_are_dropped_and_counted() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.carry_out_send();
    let mut stale = pair.connection();
    stale.epoch -= 1;
    let older = Connection { term: Term::new(0), epoch: pair.epoch };
    for connection in [stale, older] {
        let (synced, received) = (point(1, 8), point(1, 8));
        pair.hand_to_feeder(ReplicaMessage::Ack { connection, synced, received });
        let (dvlsn, cvlsn) = (Vlsn::new(4), Vlsn::new(4));
        pair.hand_to_replica(FeederMessage::Watermarks { connection, dvlsn, cvlsn });
    }
    assert_eq!(pair.seen.acked, Some((point(1, 4), point(1, 4))));
    assert_eq!(pair.dvlsn, Vlsn::new(4));
    assert_eq!(pair.feeder.stats().dropped_messages, 2);
    assert_eq!(pair.replica.stats().dropped_messages, 2);
    assert!(pair.seen.errors.is_empty());
}

#[test]
fn only_what_is_synced_is_acknowledged_as_synced() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.carry_out_send();
    pair.deliver_to_replica();
    assert!(pair.to_feeder.is_empty(), "the acknowledgement waits for the sync");
    pair.jump();
    pair.deliver_to_feeder();
    assert_eq!(pair.seen.acked, Some((point(1, 4), point(1, 8))), "received, not synced");
    assert_eq!(pair.dvlsn, Vlsn::new(4));
    pair.run();
    assert_eq!(pair.seen.acked, Some((point(1, 8), point(1, 8))));
    assert_eq!(pair.dvlsn, Vlsn::new(8));
}

#[test]
fn many_batches_and_one_sync_make_one_acknowledgement() {
    let mut pair = streaming(1, 4);
    let before = pair.seen.acks_sent;
    for _ in 0..10 {
        pair.write(1, 0);
        pair.carry_out_send();
        pair.deliver_to_replica();
    }
    pair.sync_replica();
    assert_eq!(pair.seen.acks_sent, before + 1);
    pair.run();
    assert_eq!(pair.seen.acked, Some((point(1, 14), point(1, 14))));
}

#[test]
fn an_entry_that_asks_for_no_sync_is_acknowledged_as_received_at_once() {
    let mut pair = streaming(1, 4);
    let flags = Flags { replica_sync: SyncClass::NoSync, ..Flags::default() };
    pair.write_with(1, 0, flags);
    pair.carry_out_send();
    pair.deliver_to_replica();
    pair.deliver_to_feeder();
    assert_eq!(pair.seen.acked, Some((point(1, 4), point(1, 5))));
}

/// An acknowledgement out of the memory of a process dies with it, and the process may be back before anyone noticed.
#[test]
fn an_entry_that_asks_for_no_sync_is_not_acknowledged_before_it_is_written() {
    let mut pair = streaming(1, 4);
    pair.slow_writer = true;
    pair.write_with(1, 0, Flags { replica_sync: SyncClass::NoSync, ..Flags::default() });
    pair.carry_out_send();
    pair.deliver_to_replica();
    assert!(pair.to_feeder.is_empty(), "in memory is not held");
    pair.write_replica();
    pair.deliver_to_feeder();
    assert_eq!(pair.seen.acked, Some((point(1, 4), point(1, 5))));
}

#[test]
fn the_news_of_a_write_makes_no_message_where_only_the_sync_is_waited_for() {
    let mut pair = streaming(1, 4);
    pair.slow_writer = true;
    let before = pair.seen.acks_sent;
    pair.write(3, 0);
    pair.carry_out_send();
    pair.deliver_to_replica();
    pair.write_replica();
    assert_eq!(pair.seen.acks_sent, before);
    pair.sync_replica();
    assert_eq!(pair.seen.acks_sent, before + 1);
}

/// A window is released by what is written, so a full pipe does not wait for the sync.
#[test]
fn much_that_was_written_is_acknowledged_before_the_sync() {
    let mut pair = streaming(1, 4);
    pair.slow_writer = true;
    pair.write(1, 2 << 20);
    pair.carry_out_send();
    pair.deliver_to_replica();
    pair.write_replica();
    pair.deliver_to_feeder();
    assert_eq!(pair.seen.acked, Some((point(1, 4), point(1, 5))));
}

#[test]
fn an_acknowledgement_that_overtakes_the_senders_report_counts() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    let (last, bytes) = pair.put_on_wire().unwrap();
    pair.deliver_to_replica();
    pair.sync_replica();
    pair.deliver_to_feeder();
    assert_eq!(pair.seen.acked, Some((point(1, 8), point(1, 8))));
    pair.with_feeder(|feeder, now, facts| feeder.handle_sent(now, last, bytes, facts));
    assert_eq!(pair.feeder.in_flight_bytes(), 0);
    assert_eq!(pair.feeder.next_timeout(), None);
}

#[test]
fn points_that_are_not_in_the_log_are_refused() {
    let refused = |synced, received| {
        let mut pair = streaming(2, 4);
        let message = ack(&pair, synced, received);
        pair.hand_to_feeder(message);
        assert!(pair.feeder.is_closed());
        pair.seen.errors.pop().expect("refused")
    };
    let foreign = point(1, 4);
    assert_eq!(refused(foreign, point(2, 4)), PeerError::NotOurs { point: foreign });
    let (received, sent) = (point(2, 9), Vlsn::new(4));
    assert_eq!(refused(point(2, 4), received), PeerError::AckBeyondSent { received, sent });
    let what = "synced beyond received";
    assert_eq!(refused(point(2, 4), point(2, 3)), PeerError::Malformed { what });
}

#[test]
fn a_point_that_was_cleaned_away_is_no_news_and_no_offence() {
    let mut pair = streaming(2, 4);
    pair.write(4, 0);
    pair.carry_out_send();
    pair.source.view.clean(Vlsn::new(7));
    let message = ack(&pair, point(1, 5), point(2, 8));
    pair.hand_to_feeder(message);
    let (sent, received, synced) = (point(2, 8), point(2, 8), point(2, 4));
    assert_eq!(pair.feeder.progress(), Progress::Stream { sent, received, synced });
}

#[test]
fn a_lower_acknowledgement_lowers_nothing() {
    let mut pair = streaming(1, 4);
    let message = ack(&pair, point(1, 2), point(1, 2));
    pair.hand_to_feeder(message);
    let (sent, received, synced) = (point(1, 4), point(1, 4), point(1, 4));
    assert_eq!(pair.feeder.progress(), Progress::Stream { sent, received, synced });
}

#[test]
fn a_replica_that_loses_acknowledged_entries_on_a_connection_is_refused() {
    let mut pair = streaming(1, 4);
    let mut shorter = ModelLog::of(&[(1, 2)]);
    shorter.sync();
    let message = ReplicaMessage::Handshake(Handshake {
        connection: pair.connection(),
        group: Some(GROUP),
        node: REPLICA,
        incarnation: Incarnation([2; 16]),
        first: Vlsn::FIRST,
        last: shorter.view.last(),
        synced: shorter.view.synced(),
        dvlsn: Vlsn::NULL,
        history: shorter.view.history().clone(),
        attributes: Vec::new(),
    });
    pair.hand_to_feeder(message);
    let (acked, now) = (point(1, 4), point(1, 2));
    assert_eq!(pair.seen.errors, [PeerError::WentBack { acked, now }]);
}

#[test]
fn a_watermark_is_limited_to_what_was_matched_and_kept_until_it_is() {
    let mut pair = streaming(1, 4);
    let (connection, far) = (pair.connection(), Vlsn::new(6));
    pair.write(4, 0);
    pair.hand_to_replica(FeederMessage::Watermarks { connection, dvlsn: far, cvlsn: far });
    assert_eq!(pair.copy_dvlsn, Vlsn::new(4), "entries 5 and 6 are not here yet");
    pair.carry_out_send();
    pair.deliver_to_replica();
    assert_eq!(pair.copy_dvlsn, far);
}

#[test]
fn a_watermark_before_sync_up_is_not_taken() {
    let source = ModelLog::of(&[(1, 5), (3, 4)]);
    let mut pair = Pair::new(3, source, ModelLog::of(&[(1, 5), (2, 3)]), 5);
    let (connection, dvlsn, cvlsn) = (pair.connection(), Vlsn::new(8), Vlsn::new(8));
    pair.hand_to_replica(FeederMessage::Watermarks { connection, dvlsn, cvlsn });
    assert!(pair.seen.watermarks.is_empty());
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn a_watermark_never_falls() {
    let mut pair = streaming(1, 4);
    let (connection, dvlsn, cvlsn) = (pair.connection(), Vlsn::new(2), Vlsn::new(2));
    let before = pair.seen.watermarks.clone();
    pair.hand_to_replica(FeederMessage::Watermarks { connection, dvlsn, cvlsn });
    assert_eq!(pair.seen.watermarks, before);
}

#[test]
fn an_idle_stream_still_learns_the_watermark() {
    let mut pair = streaming(1, 4);
    pair.write(1, 0);
    pair.run();
    assert_eq!(pair.copy_dvlsn, Vlsn::new(5));
    assert!(pair.trace.iter().any(|line| line.starts_with("F> Watermarks dvlsn 5")));
}

#[test]
fn the_window_bounds_what_is_in_flight_and_keeps_the_pipe_full() {
    let mut pair = Pair::with(
        1,
        ModelLog::of(&[(1, 500)]),
        ModelLog::default(),
        0,
        small_batches(),
        ReplicaConfig::new(REPLICA, Incarnation([2; 16])),
    );
    pair.deliver_to_feeder();
    pair.deliver_to_replica();
    pair.deliver_to_feeder();
    while pair.carry_out_send() {
        assert!(pair.feeder.in_flight_bytes() <= 4000);
    }
    assert!(pair.feeder.in_flight_bytes() > 3000, "four batches without one acknowledgement");
    assert!(pair.seen.batches_bytes.iter().all(|bytes| *bytes <= 1000));
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn a_record_longer_than_a_batch_travels_alone() {
    let mut pair = Pair::with(
        1,
        ModelLog::of(&[(1, 2)]),
        ModelLog::default(),
        0,
        small_batches(),
        ReplicaConfig::new(REPLICA, Incarnation([2; 16])),
    );
    pair.run();
    pair.write(1, 9000);
    pair.write(2, 0);
    pair.run();
    assert_eq!(pair.seen.batches_bytes.iter().filter(|bytes| **bytes > 1000).count(), 1);
    assert_eq!(pair.copy.records, pair.source.records);
}

#[test]
fn a_fenced_replica_does_nothing_for_the_stream() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.carry_out_send();
    pair.fence = Term::new(2);
    pair.run();
    assert_eq!(pair.copy.view.last(), point(1, 4), "nothing is appended");
    assert_eq!(pair.seen.acked, Some((point(1, 4), point(1, 4))));
    assert_eq!(pair.seen.replica_closed, Some(CloseReason::Fenced { fence: Term::new(2) }));
}

#[test]
fn a_promise_during_a_cut_ends_the_stream_without_a_word() {
    let source = ModelLog::of(&[(1, 5), (3, 4)]);
    let mut pair = Pair::new(3, source, ModelLog::of(&[(1, 5), (2, 3)]), 5);
    pair.deliver_to_feeder();
    pair.deliver_to_replica();
    pair.fence = Term::new(4);
    pair.finish_cut();
    assert!(pair.to_feeder.is_empty());
    assert!(pair.replica.is_closed());
}

#[test]
fn a_promise_during_a_sync_keeps_the_acknowledgement_back() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.carry_out_send();
    pair.deliver_to_replica();
    pair.fence = Term::new(2);
    pair.sync_replica();
    assert!(pair.to_feeder.is_empty());
}

#[test]
fn a_replica_of_another_group_is_refused() {
    let mut pair = streaming(1, 4);
    pair.reset();
    let frame = pair.to_feeder.pop_front().unwrap();
    let Ok(ReplicaMessage::Handshake(mut handshake)) = ReplicaMessage::decode(frame) else {
        panic!("a handshake comes first")
    };
    handshake.group = Some(GroupId([8; 16]));
    pair.hand_to_feeder(ReplicaMessage::Handshake(handshake));
    pair.run();
    let refused = Some(CloseReason::Refused(RefuseReason::WrongGroup));
    assert_eq!(pair.seen.replica_closed, refused);
    assert_eq!(pair.seen.feeder_closed, refused);
}

#[test]
fn histories_that_contradict_each_other_are_refused() {
    let mut pair = streaming(1, 4);
    pair.reset();
    let frame = pair.to_feeder.pop_front().unwrap();
    let Ok(ReplicaMessage::Handshake(mut handshake)) = ReplicaMessage::decode(frame) else {
        panic!("a handshake comes first")
    };
    let mut starts = handshake.history.starts().to_vec();
    starts[0].node = NodeId::new(9);
    handshake.history = History::from_starts(starts).unwrap();
    pair.hand_to_feeder(ReplicaMessage::Handshake(handshake));
    pair.run();
    let refused = Some(CloseReason::Refused(RefuseReason::HistoryConflict));
    assert_eq!(pair.seen.replica_closed, refused);
}

#[test]
fn a_matchpoint_that_the_histories_do_not_give_is_refused() {
    let mut pair = Pair::new(3, ModelLog::of(&[(1, 5), (3, 4)]), ModelLog::of(&[(1, 5)]), 5);
    pair.deliver_to_feeder();
    let frame = pair.to_replica.pop_front().unwrap();
    let Ok(FeederMessage::SyncUp(mut sync_up)) = FeederMessage::decode(frame) else {
        panic!("the answer is a SyncUp")
    };
    sync_up.matchpoint = point(1, 3);
    pair.hand_to_replica(FeederMessage::SyncUp(sync_up));
    assert!(matches!(pair.seen.errors[..], [PeerError::Matchpoint { .. }]));
    assert_eq!(pair.copy.view.last(), point(1, 5), "nothing was cut");
}

#[test]
fn a_replica_ready_elsewhere_gets_no_entry() {
    let mut pair = Pair::new(3, ModelLog::of(&[(1, 5), (3, 4)]), ModelLog::of(&[(1, 5)]), 5);
    pair.deliver_to_feeder();
    let message = ReplicaMessage::Ready { connection: pair.connection(), at: point(1, 4) };
    pair.hand_to_feeder(message);
    let (at, matchpoint) = (point(1, 4), point(1, 5));
    assert_eq!(pair.seen.errors, [PeerError::ReadyElsewhere { at, matchpoint }]);
    assert!(pair.sending.is_none());
}

#[test]
fn a_relay_sends_only_what_is_durable_and_refuses_replicas_ahead_of_it() {
    let mut relay = FeederConfig::default();
    relay.relay = true;
    let config = || ReplicaConfig::new(REPLICA, Incarnation([2; 16]));
    let (source, copy) = (ModelLog::of(&[(1, 10)]), ModelLog::of(&[(1, 2)]));
    let mut pair = Pair::with(1, source.clone(), copy, 2, relay.clone(), config());
    pair.dvlsn = Vlsn::new(6);
    while pair.deliver_to_feeder() | pair.deliver_to_replica() | pair.carry_out_send() {}
    assert_eq!(pair.copy.view.last(), point(1, 6));

    let mut pair = Pair::with(1, source, ModelLog::of(&[(1, 8)]), 2, relay, config());
    pair.dvlsn = Vlsn::new(6);
    pair.run();
    let behind = RefuseReason::Behind { limit: Vlsn::new(6) };
    assert_eq!(pair.seen.replica_closed, Some(CloseReason::Refused(behind)));
    assert_eq!(pair.copy.view.last(), point(1, 8), "nothing was cut");
}

#[test]
fn silence_ends_each_phase_that_waits() {
    let timed_out =
        |what, secs| Some(CloseReason::TimedOut { what, after: Duration::from_secs(secs) });
    let mut pair = Pair::new(1, ModelLog::of(&[(1, 5)]), ModelLog::default(), 0);
    pair.to_feeder.clear();
    pair.jump();
    assert_eq!(pair.seen.feeder_closed, timed_out("handshake", 5));
    assert_eq!(pair.seen.replica_closed, timed_out("answer to the handshake", 5));

    let mut pair = Pair::new(1, ModelLog::of(&[(1, 5)]), ModelLog::default(), 0);
    pair.deliver_to_feeder();
    pair.deliver_to_replica();
    pair.to_feeder.clear();
    pair.jump();
    assert_eq!(pair.seen.feeder_closed, timed_out("sync-up", 30));

    let mut pair = streaming(1, 4);
    pair.write(1, 0);
    pair.carry_out_send();
    pair.to_replica.clear();
    assert_eq!(pair.feeder.next_timeout(), Some((Duration::from_secs(10), "acknowledgement")));
    pair.now = Duration::from_secs(10) - MS;
    pair.with_feeder(|feeder, now, facts| feeder.handle_timeout(now, facts));
    assert!(!pair.feeder.is_closed());
    pair.jump();
    assert_eq!(pair.seen.feeder_closed, timed_out("acknowledgement", 10));
}

#[test]
fn an_acknowledgement_lost_before_a_second_sync_up_is_said_again() {
    let mut pair = streaming(1, 4);
    pair.write(4, 0);
    pair.carry_out_send();
    pair.deliver_to_replica();
    pair.sync_replica();
    pair.to_feeder.clear();
    let stray = batch_message(&pair, point(1, 2), batch_of(&pair.source, 3, 4));
    pair.hand_to_replica(stray);
    pair.run();
    assert_eq!(pair.seen.acked, Some((point(1, 8), point(1, 8))));
}

#[test]
fn nothing_is_cut_for_a_source_that_cannot_go_on_from_there() {
    let mut source = ModelLog::of(&[(1, 5), (2, 20)]);
    source.view.clean(Vlsn::new(10));
    let mut pair = Pair::new(4, source, ModelLog::of(&[(1, 5), (2, 3), (3, 2)]), 8);
    pair.run();
    assert_eq!(pair.seen.needs_restore, Some(Vlsn::new(10)));
    assert!(pair.seen.rollbacks.is_empty());
}

#[test]
fn entries_cleaned_before_they_were_to_be_sent_ask_for_a_restore() {
    let mut pair = streaming(1, 4);
    (0..4).for_each(|_| pair.source.write(1, Flags::default(), 0));
    pair.source.view.clean(Vlsn::new(7));
    pair.with_feeder(|feeder, now, facts| feeder.pump(now, facts));
    pair.run();
    assert_eq!(pair.seen.needs_restore, Some(Vlsn::new(7)));
    assert!(pair.sending.is_none());
}

#[test]
fn a_report_of_another_feeders_range_is_ignored() {
    let mut pair = streaming(1, 4);
    pair.write(2, 0);
    let (last, bytes) = pair.put_on_wire().unwrap();
    pair.reset();
    pair.with_feeder(|feeder, now, facts| feeder.handle_sent(now, last, bytes, facts));
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
    assert_eq!(pair.feeder.in_flight_bytes(), 0);
}

#[test]
fn a_refused_replica_is_told_why() {
    let mut pair = Pair::new(1, ModelLog::of(&[(1, 5)]), ModelLog::default(), 0);
    pair.with_feeder(|feeder, _, _| feeder.refuse(RefuseReason::NotMember));
    pair.run();
    assert_eq!(pair.seen.replica_closed, Some(CloseReason::Refused(RefuseReason::NotMember)));
}

#[test]
fn a_new_connection_resumes_where_the_replica_stands() {
    let mut pair = streaming(1, 50);
    let sent = pair.feeder.stats().bytes;
    pair.reset();
    pair.run();
    assert!(pair.replica.in_sync());
    assert_eq!(pair.feeder.stats().bytes, 0, "nothing is sent twice ({sent} bytes before)");
    assert_eq!(pair.seen.acked, Some((point(1, 50), point(1, 50))));
}

#[test]
fn news_of_a_watermark_waits_a_moment_for_entries_that_take_it_along() {
    let lone =
        |pair: &Pair| pair.trace.iter().filter(|line| line.starts_with("F> Watermarks")).count();
    let mut config = FeederConfig::default();
    config.watermark_linger = MS;
    let replica = ReplicaConfig::new(REPLICA, Incarnation([2; 16]));
    let log = ModelLog::of(&[(1, 4)]);
    let mut pair = Pair::with(1, log, ModelLog::default(), 0, config, replica);
    pair.run();
    assert_eq!((lone(&pair), pair.dvlsn, pair.copy_dvlsn), (0, Vlsn::new(4), Vlsn::NULL));
    assert_eq!(pair.feeder.next_timeout(), Some((MS, "watermark")));

    pair.write(1, 0);
    pair.run();
    assert_eq!((lone(&pair), pair.copy_dvlsn), (0, Vlsn::new(4)), "the entry took it along");

    pair.jump();
    pair.run();
    assert_eq!((lone(&pair), pair.copy_dvlsn), (1, Vlsn::new(5)), "nothing came to ride with");
    assert_eq!(pair.feeder.next_timeout(), None);
}
