//! Records, batches and views: what is encoded is decoded, and nothing else is.

mod common;

use bytes::Bytes;
use common::{Maker, Rng, memberships};
use proptest::prelude::*;
use rep_vlsn::record::{ENTRY_BYTES_MAX, HEADER_BYTES};
use rep_vlsn::{
    Batch, BatchError, Draft, Epoch, Flags, Kind, LogPoint, LogView, NodeId, Record, RecordError,
    RecordHeader, SyncClass, Term, Vlsn,
};

fn records(seed: u64, count: usize) -> Vec<Record> {
    let (mut maker, mut rng) = (Maker::new(), Rng(seed));
    (0..count).map(|_| maker.next(&mut rng)).collect()
}

fn wire(records: &[Record]) -> Bytes {
    records.iter().flat_map(|record| record.bytes().to_vec()).collect::<Vec<u8>>().into()
}

proptest! {
    #[test]
    fn a_record_reads_back(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        term in 1..u64::MAX, vlsn in 1..u64::MAX, prev_crc: u32, time_ms: u64, flags in 0..32_u8,
        behind in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let Some(flags) = Flags::from_code(flags) else { return Ok(()) };
        let point = LogPoint::new(Term::new(term), Vlsn::new(vlsn));
        let record = Draft::new(Kind::Data, flags, &payload).stamp(point, prev_crc, time_ms);
        let mut bytes = Bytes::from([&record.bytes()[..], &behind].concat());
        let found = Record::split_from(&mut bytes).unwrap();
        prop_assert_eq!(&found, &record);
        prop_assert_eq!(&bytes[..], &behind[..]);
        prop_assert_eq!(&found.payload()[..], &payload[..]);
        let RecordHeader { point: at, time_ms: time, prev_crc: prev, flags: read, .. } = *found.header();
        prop_assert_eq!((at, time, prev, read), (point, time_ms, prev_crc, flags));
        prop_assert_eq!(&RecordHeader::decode(record.bytes()).unwrap().encode()[..], &record.bytes()[..48]);
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = Bytes::from(bytes);
        let _ = Batch::parse(bytes.clone());
        let _ = Record::split_from(&mut bytes);
    }

    /// Whatever one byte says instead, the record is refused; nothing is read from it.
    #[test]
    fn one_changed_byte_is_always_noticed(seed: u64, at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let bytes = wire(&records(seed, 4));
        let mut changed = bytes.to_vec();
        changed[at.index(bytes.len())] ^= change;
        prop_assert!(Batch::parse(changed.into()).is_err());
    }

    /// A header of any content, with the checksum put right, as a hostile peer would send it.
    #[test]
    fn a_header_with_a_right_checksum_and_wrong_content_is_refused_or_sound(
        head in prop::collection::vec(any::<u8>(), 44), small in any::<bool>(),
    ) {
        let mut bytes = head;
        if small {
            bytes[1..4].fill(0);
            bytes[36] %= 6;
            bytes[37] %= 40;
            bytes[38..44].fill(0);
        }
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        if let Ok(header) = RecordHeader::decode(&bytes) {
            prop_assert!(header.length as usize <= ENTRY_BYTES_MAX);
            prop_assert!(!header.point.vlsn.is_null() && header.point.term > Term::ZERO);
            prop_assert_eq!(&header.encode()[..], &bytes[..]);
        }
        let _ = Record::split_from(&mut bytes.into());
    }

    #[test]
    fn a_batch_reads_back(seed: u64, count in 1..30_usize) {
        let records = records(seed, count);
        let batch = Batch::parse(wire(&records)).unwrap();
        prop_assert_eq!(batch.records(), &records[..]);
        prop_assert_eq!(batch.byte_len(), wire(&records).len());
        prop_assert_eq!(&Batch::of(records.clone()).unwrap(), &batch);
        prop_assert_eq!(batch.last_crc(), records[count - 1].header_crc());
        let openings = records.iter().filter(|record| record.opener().is_some()).count();
        prop_assert_eq!(batch.openings().count(), openings);
    }

    #[test]
    fn a_batch_with_a_record_left_out_doubled_or_swapped_is_refused(seed: u64, count in 3..20_usize, at in any::<prop::sample::Index>()) {
        let records = records(seed, count);
        let at = at.index(count - 2) + 1;
        let mut missing = records.clone();
        missing.remove(at);
        let mut doubled = records.clone();
        doubled.insert(at, records[at].clone());
        let mut swapped = records;
        swapped.swap(at - 1, at);
        for wrong in [missing, doubled, swapped] {
            let refused = matches!(Batch::parse(wire(&wrong)), Err(BatchError::NotChained { .. }));
            prop_assert!(refused);
        }
    }

    /// Appending, cutting and cleaning: the view says the same as the records themselves.
    #[test]
    fn a_view_agrees_with_the_records(seed: u64, count in 1..60_usize, keep in 0..60_usize, first in 1..60_u64) {
        let records = records(seed, count);
        let mut view = LogView::empty();
        for record in &records {
            view.append(record);
            view.invariants();
        }
        prop_assert_eq!(view.last(), records[count - 1].point());
        let keep = keep.min(count);
        let point = keep.checked_sub(1).map_or(LogPoint::NULL, |at| records[at].point());
        prop_assert!(view.contains(point));
        view.truncate(point);
        view.truncated(keep.checked_sub(1).map_or(0, |at| records[at].header_crc()));
        view.clean(Vlsn::new(first));
        view.invariants();
        for (at, record) in records.iter().enumerate() {
            let held = at < keep && record.point().vlsn >= view.first();
            // Where the log ends is known also when the entry is gone.
            let last = at + 1 == keep;
            prop_assert_eq!(view.contains(record.point()), held || last);
        }
        let held = records[..keep].iter().filter(|record| record.point().vlsn >= view.first());
        let held: Vec<_> = held.cloned().collect();
        prop_assert_eq!(view.memberships(), memberships(&held));
        if let Some(next) = records.get(keep) {
            let batch = Batch::of(vec![next.clone()]).unwrap();
            prop_assert!(view.accepts(point, &batch));
        }
    }
}

#[test]
fn kinds_and_flags_have_one_code_each_and_no_other_is_read() {
    let kinds: Vec<u8> = (0..=255).filter(|code| Kind::from_code(*code).is_some()).collect();
    assert_eq!(kinds, [1, 2, 3, 4]);
    assert!(kinds.iter().all(|code| Kind::from_code(*code).unwrap().code() == *code));
    let flags: Vec<u8> = (0..=255).filter(|code| Flags::from_code(*code).is_some()).collect();
    assert_eq!(flags.len(), 18);
    assert!(flags.iter().all(|code| Flags::from_code(*code).unwrap().code() == *code));
    let weak = Flags {
        replica_sync: SyncClass::NoSync,
        local_sync: SyncClass::WriteNoSync,
        session_prefix: true,
    };
    assert_eq!(weak.code(), 0b1_01_10);
}

#[test]
fn an_entry_that_opens_a_term_names_its_opener() {
    let point = LogPoint::new(Term::new(1), Vlsn::FIRST);
    let record = Draft::opening(Kind::TermStart, NodeId::new(7), b"rest").stamp(point, 0, 0);
    assert_eq!(record.opener(), Some(NodeId::new(7)));
    for payload in [&b""[..], b"\0\0\0", &[0; 4]] {
        let record = Draft::new(Kind::TermStart, Flags::default(), payload).stamp(point, 0, 0);
        let read = Record::split_from(&mut record.bytes().clone());
        assert!(matches!(read, Err(RecordError::Malformed { .. })));
    }
}

#[test]
fn a_record_cut_short_says_how_much_is_missing() {
    let record = &records(1, 1)[0];
    for count in 0..record.bytes().len() {
        let needed = if count < HEADER_BYTES { HEADER_BYTES } else { record.bytes().len() };
        let read = Record::split_from(&mut record.bytes().slice(..count));
        assert_eq!(read.unwrap_err(), RecordError::Short { needed, got: count });
    }
}

#[test]
fn a_new_term_needs_an_entry_that_opens_it() {
    // What looks like an opener in front of other members is none.
    let next: [fn(&mut Maker) -> Record; 2] =
        [|maker| maker.data(b"x"), |maker| maker.membership(&[1, 0, 0, 0])];
    for next in next {
        let mut maker = Maker::new();
        let first = maker.open_term(1, 1);
        maker.last.term = Term::new(2);
        let next = next(&mut maker);
        assert_eq!(next.opener(), None);
        let batch = Batch::of(vec![next.clone()]).unwrap();
        assert_eq!(batch.openings().count(), 0);
        let mut view = LogView::empty();
        view.append(&first);
        assert!(!view.accepts(first.point(), &batch));
        assert!(matches!(Batch::of(vec![first, next]), Err(BatchError::NotChained { .. })));
    }
    assert_eq!(Batch::of(Vec::new()).unwrap_err(), BatchError::Empty);
}

#[test]
fn a_sync_that_was_begun_before_a_cut_vouches_for_nothing_after_it() {
    let records = records(2, 6);
    let mut view = LogView::empty();
    records.iter().for_each(|record| view.append(record));
    assert!(view.mark_synced(records[2].point(), Epoch(0)));
    assert!(!view.mark_synced(records[1].point(), Epoch(0)), "never backwards");
    assert_eq!(view.synced(), Vlsn::new(3));
    view.truncate(records[1].point());
    assert_eq!((view.synced(), view.epoch()), (Vlsn::new(2), Epoch(1)));
    view.truncated(records[1].header_crc());
    view.append(&records[2]);
    assert!(!view.mark_synced(records[2].point(), Epoch(0)));
    let stranger = LogPoint::new(Term::new(99), Vlsn::new(3));
    assert!(!view.mark_synced(stranger, Epoch(1)));
    assert!(view.mark_synced(records[2].point(), Epoch(1)));
}
