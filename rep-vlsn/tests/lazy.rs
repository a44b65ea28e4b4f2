//! Entries that ask for no sync: written with their group, synced with the next one that asks, or within the interval.

mod common;

use common::{Maker, entries, reopen, write};
use rep_vlsn::{
    Draft, Epoch, Flags, Holder, Kind, LogPoint, LogView, MemDisk, Opened, Record, SyncClass,
    SyncPlan, Term, Vlsn, Written,
};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(100);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A log with one synced entry, on a disk that can lose power.
fn begun() -> (MemDisk, Maker, Opened<MemDisk>, Vec<Record>) {
    let disk = MemDisk::new();
    let (mut maker, mut opened) = (Maker::new(), reopen(&disk));
    let first = maker.open_term(1, 1);
    write(&mut opened.writer, &opened.tail, std::slice::from_ref(&first));
    opened.writer.sync().unwrap();
    (disk, maker, opened, vec![first])
}

fn write_as(opened: &mut Opened<MemDisk>, holder: Holder, record: &Record) -> Written {
    opened.tail.stage_as(holder, std::slice::from_ref(record));
    opened.writer.write_group(Vlsn::NULL).unwrap().unwrap()
}

#[test]
fn what_is_written_survives_a_kill_and_what_is_synced_a_power_cut() {
    let (disk, mut maker, mut opened, mut records) = begun();
    records.push(maker.lazy(b"written"));
    write_as(&mut opened, Holder::Master, &records[1]);
    drop(opened);
    disk.kill();
    let mut opened = reopen(&disk);
    assert_eq!(entries(&opened), records, "a kill takes nothing that was written");
    let lost = maker.lazy(b"lost");
    write_as(&mut opened, Holder::Master, &lost);
    drop(opened);
    disk.power_cut(&mut || 0);
    assert_eq!(entries(&reopen(&disk)), records, "what an opening found was synced by it");
}

/// The node goes by its own of the entry's two classes.
#[test]
fn whether_to_sync_at_once_is_for_the_class_of_this_nodes_copy_to_say() {
    let flags = Flags { local_sync: SyncClass::NoSync, ..Flags::default() };
    for (holder, eager) in [(Holder::Master, false), (Holder::Replica, true)] {
        let (_disk, maker, mut opened, _) = begun();
        let place = LogPoint::new(maker.last.term, maker.last.vlsn.next());
        let record = Draft::new(Kind::Data, flags, b"x").stamp(place, maker.last_crc, 0);
        let written = write_as(&mut opened, holder, &record);
        assert_eq!((written.eager, written.told), (eager, !eager), "{holder:?}");
    }
}

#[test]
fn a_sync_that_one_entry_asks_for_covers_all_before_it() {
    let (_disk, mut maker, mut opened, _) = begun();
    let mut plan = SyncPlan::new(INTERVAL, 1 << 20);
    let lazy = write_as(&mut opened, Holder::Master, &maker.lazy(b"1"));
    assert!(!plan.note_written(ms(5), &lazy));
    let eager = write_as(&mut opened, Holder::Master, &maker.data(b"2"));
    assert!(plan.note_written(ms(6), &eager));
    assert_eq!(opened.writer.sync().unwrap().point, maker.last);
    plan.note_synced();
    assert_eq!(plan.next_timeout(), None);
    let after = write_as(&mut opened, Holder::Master, &maker.lazy(b"3"));
    assert!(!after.eager, "what asked for it has it");
}

#[test]
fn nothing_waits_for_longer_than_the_interval_also_under_load() {
    let (_disk, mut maker, mut opened, _) = begun();
    let mut plan = SyncPlan::new(INTERVAL, 1 << 20);
    for at in (7..107).step_by(10) {
        let written = write_as(&mut opened, Holder::Replica, &maker.lazy(b"x"));
        assert!(!plan.note_written(ms(at), &written));
        assert_eq!(plan.next_timeout(), Some(ms(107)), "the oldest sets the time");
    }
    assert!(!plan.is_due(ms(106)) && plan.is_due(ms(107)));
    let written = write_as(&mut opened, Holder::Replica, &maker.lazy(b"x"));
    assert!(plan.note_written(ms(107), &written), "a busy writer need not be woken");
}

#[test]
fn no_more_waits_for_the_interval_than_so_many_bytes() {
    let (_disk, mut maker, mut opened, _) = begun();
    let mut first = write_as(&mut opened, Holder::Master, &maker.lazy(b"1"));
    let bytes_max = 2 * first.bytes as u64;
    let mut plan = SyncPlan::new(INTERVAL, bytes_max);
    for _ in 0..2 {
        assert!(!plan.note_written(ms(1), &first));
        let second = write_as(&mut opened, Holder::Master, &maker.lazy(b"2"));
        assert!(plan.note_written(ms(1), &second), "that makes {bytes_max}");
        plan.note_synced();
        first = write_as(&mut opened, Holder::Master, &maker.lazy(b"3"));
    }
}

#[test]
fn a_view_knows_what_is_written_and_a_cut_takes_that_back() {
    let (mut maker, mut view) = (Maker::new(), LogView::empty());
    let records = [maker.open_term(1, 1), maker.lazy(b"1"), maker.lazy(b"2")];
    records.iter().for_each(|record| view.append(record));
    assert!(view.mark_written(records[1].point(), Epoch(0)));
    assert!(!view.mark_written(records[0].point(), Epoch(0)), "never backwards");
    assert_eq!((view.synced(), view.written()), (Vlsn::NULL, Vlsn::new(2)));
    assert!(view.mark_synced(records[2].point(), Epoch(0)));
    assert_eq!(view.written(), Vlsn::new(3), "what is synced is written");
    view.truncate(records[0].point());
    assert_eq!((view.synced(), view.written()), (Vlsn::new(1), Vlsn::new(1)));
    assert!(!view.mark_written(records[2].point(), Epoch(0)), "that was before the cut");
    let other = LogPoint::new(Term::new(9), Vlsn::new(1));
    assert!(!view.mark_written(other, Epoch(1)), "an entry that it does not hold");
    view.invariants();
}
