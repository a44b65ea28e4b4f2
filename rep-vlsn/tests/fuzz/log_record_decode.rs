//! Bytes of a peer or of a file, read as records: what is taken is whole, chained, and has one spelling.

use crate::common::Maker;
use crate::kit::Input;
use bytes::Bytes;
use rep_vlsn::record::HEADER_BYTES;
use rep_vlsn::{Batch, Draft, Kind, Record, RecordHeader};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let sums = input.below(3);
    let mut bytes = input.rest().to_vec();
    match sums {
        0 => {}
        1 => seal(&mut bytes, false),
        _ => seal(&mut bytes, true),
    }
    let bytes = Bytes::from(bytes);
    let mut rest = bytes.clone();
    while let Ok(record) = Record::split_from(&mut rest) {
        check(&record);
    }
    if let Ok(batch) = Batch::parse(bytes.clone()) {
        assert!(rest.is_empty(), "a batch is nothing but records");
        check_batch(&batch, &bytes);
    }
}

fn check(record: &Record) {
    let header = *record.header();
    assert_eq!(header.record_bytes(), record.bytes().len());
    assert_eq!(header.encode()[..], record.bytes()[..HEADER_BYTES], "one meaning, one spelling");
    assert_eq!(RecordHeader::decode(record.bytes()), Ok(header));
    assert!(!header.kind.opens_term() || record.opener().is_some());
    let draft = Draft::new(header.kind, header.flags, &record.payload());
    assert_eq!(draft.stamp(header.point, header.prev_crc, header.time_ms), *record);
}

fn check_batch(batch: &Batch, bytes: &Bytes) {
    let records = batch.records();
    let whole: Vec<u8> = records.iter().flat_map(|record| record.bytes().to_vec()).collect();
    assert_eq!((&whole[..], batch.byte_len()), (&bytes[..], bytes.len()));
    for pair in records.windows(2) {
        let (before, after) = (pair[0].point(), pair[1].point());
        assert_eq!(after.vlsn, before.vlsn.next());
        assert!(after.vlsn > before.vlsn, "numbers do not run over");
        assert!(after.term >= before.term);
        assert!(after.term == before.term || pair[1].opener().is_some());
        assert_eq!(pair[1].header().prev_crc, pair[0].header_crc());
    }
    assert_eq!(Batch::of(records.to_vec()).as_ref(), Ok(batch));
}

/// Makes the sums right of all records that are whole, and if asked the chain between them.
fn seal(bytes: &mut [u8], chained: bool) {
    let mut rest = bytes;
    let mut prev_crc = None;
    while rest.len() >= HEADER_BYTES {
        let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        if let Some(payload) = rest[HEADER_BYTES..].get(..length) {
            let sum = crc32c::crc32c(payload);
            rest[4..8].copy_from_slice(&sum.to_le_bytes());
        }
        if let Some(prev_crc) = prev_crc.filter(|_| chained) {
            rest[32..36].copy_from_slice(&u32::to_le_bytes(prev_crc));
        }
        let sum = crc32c::crc32c(&rest[..44]);
        rest[44..48].copy_from_slice(&sum.to_le_bytes());
        prev_crc = Some(sum);
        let taken = rest.len().min(HEADER_BYTES.saturating_add(length));
        rest = &mut rest[taken..];
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut maker = Maker::new();
    let mut records = vec![maker.open_term(1, 1), maker.data(b"one"), maker.lazy(b"")];
    records.push(maker.open_term(4, 3));
    records.push(maker.membership(b"who"));
    records.push(maker.data(&[7; 300]));
    assert_eq!(records[3].header().kind, Kind::TermStart);
    let bytes = |records: &[Record]| -> Vec<u8> {
        records.iter().flat_map(|record| record.bytes().to_vec()).collect()
    };
    let mut seeds = Vec::new();
    for sums in 0..3 {
        seeds.push([&[sums], &bytes(&records[..1])[..]].concat());
        seeds.push([&[sums], &bytes(&records[..3])[..]].concat());
        seeds.push([&[sums], &bytes(&records)[..]].concat());
    }
    seeds
}
