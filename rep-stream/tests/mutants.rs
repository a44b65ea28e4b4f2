//! The planted bugs, each switched on alone, break what the rules promise; without any, all of it holds.
//! Built with `--cfg rep_mutants`; otherwise there is nothing here.
#![cfg(rep_mutants)]

#[path = "support/installing.rs"]
mod installing;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/restoring.rs"]
mod restoring;

use pair::{ModelLog, Pair, point};
use rep_stream::restore::Staging;
use rep_stream::{Connection, FeederMessage, ReplicaMessage};
use rep_vlsn::{Batch, Flags, MemDisk, SyncClass, Vlsn, mutants};
use restoring::{Rng, State, Weather};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn predecessors_are_checked() {
    let mut pair = Pair::new(1, ModelLog::of(&[(1, 9)]), ModelLog::default(), 0);
    pair.run();
    let entries = Batch::of(pair.source.records[3..5].to_vec()).unwrap();
    let (connection, prev) = (pair.connection(), point(1, 3));
    let (dvlsn, cvlsn) = (Vlsn::NULL, Vlsn::NULL);
    pair.hand_to_replica(FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries });
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
}

fn old_acks_count_nothing() {
    let mut pair = Pair::new(1, ModelLog::of(&[(1, 4)]), ModelLog::default(), 0);
    pair.run();
    pair.write(2, 0);
    pair.carry_out_send();
    let connection = Connection { epoch: 0, ..pair.connection() };
    let (synced, received) = (point(1, 6), point(1, 6));
    pair.trace.clear();
    pair.copy.sync();
    let acked = pair.seen.acked;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        pair.hand_to_feeder(ReplicaMessage::Ack { connection, synced, received });
    }));
    assert!(outcome.is_ok() && pair.seen.acked == acked);
}

fn acks_wait_for_the_sync() {
    let mut pair = Pair::new(1, ModelLog::of(&[(1, 4)]), ModelLog::default(), 0);
    pair.run();
    pair.write(2, 0);
    pair.carry_out_send();
    pair.deliver_to_replica();
    pair.deliver_to_feeder();
    assert_eq!(pair.dvlsn, Vlsn::new(4));
}

fn acks_wait_for_the_write() {
    let mut pair = Pair::new(1, ModelLog::of(&[(1, 4)]), ModelLog::default(), 0);
    pair.run();
    pair.slow_writer = true;
    pair.write_with(1, 0, Flags { replica_sync: SyncClass::NoSync, ..Flags::default() });
    pair.carry_out_send();
    pair.deliver_to_replica();
    pair.deliver_to_feeder();
    assert_eq!(pair.seen.acked, Some((point(1, 4), point(1, 4))));
}

fn watermarks_cover_what_is_matched() {
    let mut pair = Pair::new(1, ModelLog::of(&[(1, 4)]), ModelLog::default(), 0);
    pair.run();
    let (connection, far) = (pair.connection(), Vlsn::new(9));
    pair.hand_to_replica(FeederMessage::Watermarks { connection, dvlsn: far, cvlsn: far });
    assert_eq!(pair.copy_dvlsn, Vlsn::new(4));
}

fn durable_entries_stay() {
    let (source, copy) = (ModelLog::of(&[(1, 5), (3, 4)]), ModelLog::of(&[(1, 5), (2, 3)]));
    let mut pair = Pair::new(3, source, copy, 6);
    pair.run();
    assert!(pair.seen.breach.is_some());
}

fn foreign_tails_are_cut() {
    let (source, copy) = (ModelLog::of(&[(1, 5), (3, 4)]), ModelLog::of(&[(1, 5), (2, 3)]));
    let mut pair = Pair::new(3, source, copy, 5);
    pair.run();
    assert_eq!(pair.copy.records, pair.source.records);
}

fn a_copy_with_a_gap_is_none() {
    for seed in 0..40 {
        let mut staging = Staging::open(MemDisk::new()).unwrap();
        let state = State::new(&mut Rng(seed), 30, 20);
        let weather = Weather { seed, loses_one_of: Some(25), ..Weather::default() };
        if restoring::restore(&state, &mut staging, weather).complete {
            restoring::assert_holds(&mut staging, &state);
        }
    }
}

/// One test, since the set of planted bugs belongs to the process.
#[test]
fn each_planted_bug_breaks_its_rule_and_nothing_breaks_without() {
    let rules: [(&str, fn()); 13] = [
        ("stream-skip-predecessor-check", predecessors_are_checked),
        ("stream-old-connection-ack", old_acks_count_nothing),
        ("stream-ack-before-sync", acks_wait_for_the_sync),
        ("dur-ack-unwritten", acks_wait_for_the_write),
        ("stream-watermark-unlimited", watermarks_cover_what_is_matched),
        ("stream-truncate-below-dvlsn", durable_entries_stay),
        ("stream-skip-syncup", foreign_tails_are_cut),
        ("restore-chunk-unchecked", installing::a_spoilt_chunk_is_not_there),
        ("restore-end-unchecked", a_copy_with_a_gap_is_none),
        ("restore-cell-before-sync", installing::a_complete_copy_outlives_any_power_cut),
        (
            "restore-begins-unmarked",
            installing::a_copy_that_rots_half_installed_is_the_old_member_or_the_new_one,
        ),
        ("restore-sync-of-another-file", installing::a_sync_says_nothing_of_a_later_file),
        (
            "restore-emptied-before-log",
            installing::whatever_operation_is_the_last_a_member_is_the_old_one_or_the_new_one,
        ),
    ];
    for (name, rule) in rules {
        rule();
        mutants::enable(name);
        assert!(catch_unwind(rule).is_err(), "{name} goes unnoticed");
        mutants::disable_all();
    }
}
