//! Bytes where what is said and kept of a copy is expected: messages either way, the list of a complete copy, and the cell
//! beside it. Each is read for what a plain reading says it is, or refused.

use crate::kit::Input;
use bytes::Bytes;
use rep_stream::restore::{
    BEGINNING_BYTES_MAX, ChunkId, Digest16, Manifest, Refusal, SINK_MESSAGE_BYTES_MAX,
    SOURCE_MESSAGE_BYTES_MAX, SinkMessage, SourceMessage, Staging, StagingError,
};
use rep_vlsn::{
    CELL_BYTES_MAX, Disk, DiskFile, DurableCell, GroupId, LogPoint, MemDisk, Term, Vlsn,
};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(5) {
        0 => of_sink(Bytes::copy_from_slice(input.rest())),
        1 => of_source(Bytes::copy_from_slice(input.rest())),
        2 => of_manifest(Bytes::copy_from_slice(input.rest())),
        3 => list(input.rest()),
        _ => cell(&mut input),
    }
}

fn of_sink(bytes: Bytes) {
    let Ok(message) = SinkMessage::decode(bytes.clone()) else { return };
    assert!(bytes.len() <= SINK_MESSAGE_BYTES_MAX);
    assert_eq!(message.encode(), bytes, "one meaning, one spelling");
    if let SinkMessage::Have { ids } = message {
        assert!(!ids.is_empty() && ids.is_sorted_by(|one, next| one < next));
    }
}

fn of_source(bytes: Bytes) {
    let Ok(message) = SourceMessage::decode(bytes.clone()) else { return };
    assert!(bytes.len() <= SOURCE_MESSAGE_BYTES_MAX);
    let again = message.encode();
    assert!(again.len() <= bytes.len(), "nothing is spelled longer");
    assert_eq!(SourceMessage::decode(again.clone()).as_ref(), Ok(&message));
    match &message {
        SourceMessage::Manifest(it) => check(it),
        SourceMessage::Refused(_) => {}
        SourceMessage::Chunk { given, .. } | SourceMessage::Known { given, .. } => {
            assert!(given.is_none_or(|(given, of)| given <= of && of > 0));
            assert_eq!((again, message.window_bytes()), (bytes.clone(), bytes.len() as u64));
        }
        SourceMessage::End { .. } => assert_eq!(message.window_bytes(), bytes.len() as u64),
        SourceMessage::Wait => assert_eq!(again, bytes),
        other => panic!("a message that this body does not know: {other:?}"),
    }
}

fn of_manifest(bytes: Bytes) {
    let Ok(manifest) = Manifest::decode(bytes.clone()) else { return };
    check(&manifest);
    let again = manifest.encode();
    assert!(again.len() <= bytes.len(), "nothing is spelled longer");
    assert_eq!(Manifest::decode(again), Ok(manifest));
}

fn check(manifest: &Manifest) {
    assert!(Vlsn::NULL < manifest.point.vlsn && manifest.point.vlsn.get() < u64::MAX);
    assert!((1..=BEGINNING_BYTES_MAX).contains(&manifest.beginning.len()));
    assert!(manifest.past.len() <= CELL_BYTES_MAX);
}

/// The cell names these bytes as the list of a complete copy.
fn list(bytes: &[u8]) {
    let digest = Digest16::of(bytes);
    let mut value = [0; 32];
    value[..2].copy_from_slice(&[1, 1]);
    value[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    value[16..].copy_from_slice(&digest.0);
    let disk = disk_with(&value);
    let file = disk.create(&format!("restore/{digest}.list")).expect("a new file");
    file.write_at(0, bytes).expect("there is space");
    let staging = Staging::open(disk).expect("the cell is whole");
    match (staging.pending(), plain_reading(bytes)) {
        (Ok(Some(pending)), Some((manifest, order))) => {
            assert_eq!((pending.manifest, pending.order), (manifest, order));
        }
        (Err(StagingError::Spoilt { .. }), None) => {}
        (read, plain) => panic!("{read:?}, and in plain reading {plain:?}"),
    }
}

fn plain_reading(bytes: &[u8]) -> Option<(Manifest, Vec<ChunkId>)> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (manifest, reserved, chunks, high) = (number(8)?, number(12)?, number(16)?, number(20)?);
    let names = bytes.get(24 + manifest as usize..)?;
    let manifest = &bytes[24..24 + manifest as usize];
    if &bytes[..8] != b"replist1" || reserved != 0 || high != 0 {
        return None;
    }
    let manifest = Manifest::decode(Bytes::copy_from_slice(manifest)).ok()?;
    let is_whole = names.len() as u64 == u64::from(chunks) * 16;
    let names = names.chunks_exact(16).map(|name| ChunkId(name.try_into().expect("16 bytes")));
    is_whole.then(|| (manifest, names.collect()))
}

fn disk_with(cell: &[u8]) -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir("restore").expect("it is new");
    let (mut opened, _) = DurableCell::open(disk.clone(), "restore/cell").expect("it is new");
    opened.store(cell).expect("it fits");
    disk
}

/// A cell that says anything says that a copy is complete, that none is, or nothing that can be understood.
fn cell(input: &mut Input<'_>) {
    let value = input.rest();
    let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let is_known = value.len() == 32 && value[0] == 1 && value[1] < 3 && zeros(&value[2..8]);
    let disk = disk_with(&value[..value.len().min(CELL_BYTES_MAX)]);
    match Staging::open(disk) {
        Ok(mut staging) => {
            assert!(is_known);
            assert_eq!(staging.pending().is_err(), value[1] > 0, "there is no list");
            assert_eq!(staging.is_installing(), value[1] == 2);
            staging.clear().expect("the disk is well");
            assert!(matches!(staging.pending(), Ok(None)));
        }
        Err(error) => assert!(!is_known && matches!(error, StagingError::Cell(_)), "{error}"),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let group = GroupId([0xaa; 16]);
    let point = LogPoint::new(Term::new(3), Vlsn::new(300));
    let manifest = Manifest::new(group, point, Bytes::from("entry"), Bytes::from("past"));
    let ids = vec![ChunkId([1; 16]), ChunkId([2; 16])];
    let sinks = [
        SinkMessage::Ask { group: None, at_least: Vlsn::NULL, window_bytes: 1, ids: 0 },
        SinkMessage::Ask {
            group: Some(group),
            at_least: Vlsn::new(7),
            window_bytes: 1 << 20,
            ids: 2,
        },
        SinkMessage::Have { ids: ids.clone() },
        SinkMessage::Received { bytes: 99 },
    ];
    let sources = [
        SourceMessage::Manifest(manifest.clone()),
        SourceMessage::Chunk { given: Some((1, 2)), chunk: Bytes::from("chunk") },
        SourceMessage::Known { given: None, ids: ids.clone() },
        SourceMessage::End { chunks: 2, digest: Digest16([5; 16]) },
        SourceMessage::Wait,
        SourceMessage::Refused(Refusal::Behind { applied: Vlsn::new(9) }),
    ];
    let manifest = manifest.encode();
    let mut list = b"replist1".to_vec();
    list.extend([&(manifest.len() as u64).to_le_bytes()[..], &2_u64.to_le_bytes()].concat());
    list.extend([&manifest[..], &ids[0].0, &ids[1].0].concat());
    let mut cell = [0; 32];
    cell[0] = 1;
    let mut seeds = Vec::new();
    seeds.extend(sinks.iter().map(|message| [&[0][..], &message.encode()].concat()));
    seeds.extend(sources.iter().map(|message| [&[1][..], &message.encode()].concat()));
    seeds.push([&[2][..], &manifest].concat());
    seeds.push([&[3][..], &list].concat());
    seeds.push([&[4][..], &cell].concat());
    cell[1] = 1;
    seeds.push([&[4][..], &cell].concat());
    seeds
}
