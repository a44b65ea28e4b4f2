//! A disk, a log on it, and records to put there.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod world;

use rep_vlsn::{
    Disk, Draft, Epoch, Flags, GroupId, Kind, LogConfig, LogPoint, LogReader, LogWriter,
    MEMBERSHIPS_MAX, MemDisk, NodeId, OpenError, Opened, Record, SyncClass, Tail, Term, Vlsn, open,
};

pub(crate) const GROUP: GroupId = GroupId([7; 16]);

/// A small, fixed generator: the same seed, the same test.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Stamps records behind one another.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    pub(crate) last: LogPoint,
    pub(crate) last_crc: u32,
}

impl Maker {
    pub(crate) fn new() -> Maker {
        Maker { last: LogPoint::NULL, last_crc: 0 }
    }

    pub(crate) fn data(&mut self, payload: &[u8]) -> Record {
        self.stamp(self.last.term, Draft::new(Kind::Data, Flags::default(), payload))
    }

    /// An entry that asks for no sync anywhere.
    pub(crate) fn lazy(&mut self, payload: &[u8]) -> Record {
        let sync = SyncClass::NoSync;
        let flags = Flags { local_sync: sync, replica_sync: sync, ..Flags::default() };
        self.stamp(self.last.term, Draft::new(Kind::Data, flags, payload))
    }

    pub(crate) fn open_term(&mut self, term: u64, node: u32) -> Record {
        let kind = if self.last.vlsn.is_null() { Kind::GroupFounded } else { Kind::TermStart };
        self.stamp(Term::new(term), Draft::opening(kind, NodeId::new(node), b""))
    }

    /// An entry that says the members.
    pub(crate) fn membership(&mut self, payload: &[u8]) -> Record {
        self.stamp(self.last.term, Draft::new(Kind::Membership, Flags::default(), payload))
    }

    fn stamp(&mut self, term: Term, draft: Draft) -> Record {
        let point = LogPoint::new(term, self.last.vlsn.next());
        let record = draft.stamp(point, self.last_crc, 1_000 + point.vlsn.get());
        self.last = point;
        self.last_crc = record.header_crc();
        record
    }

    /// Records like those of a working group: now and then a new term, or other members.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Record {
        if self.last.vlsn.is_null() || rng.below(12) == 0 {
            return self
                .open_term(self.last.term.get() + 1 + rng.below(2), 1 + rng.below(3) as u32);
        }
        if rng.below(15) == 0 {
            return self.membership(&rng.next().to_le_bytes());
        }
        let length = if rng.below(10) == 0 { rng.below(1500) } else { rng.below(60) } as usize;
        let payload: Vec<u8> = (0..length).map(|_| rng.next() as u8).collect();
        self.data(&payload)
    }
}

pub(crate) fn tiny() -> LogConfig {
    let mut config = LogConfig::default().with_segment_bytes(1500).with_tail_bytes(0);
    config.group_bytes_max = 2000;
    config.index_stride = 4;
    config.checkpoint_bytes = 300;
    config.ahead_bytes = 400;
    config
}

pub(crate) fn try_open(disk: &MemDisk) -> Result<Opened<MemDisk>, OpenError> {
    let mut opened = open(disk.clone(), tiny())?;
    opened.view.invariants();
    opened.writer.set_group(GROUP).unwrap();
    Ok(opened)
}

/// The same, with every entry read.
pub(crate) fn try_open_whole(disk: &MemDisk) -> Result<Opened<MemDisk>, OpenError> {
    open(disk.clone(), tiny().with_verify_on_open(true))
}

pub(crate) fn reopen(disk: &MemDisk) -> Opened<MemDisk> {
    try_open(disk).unwrap_or_else(|error| panic!("{error}"))
}

/// Stages records and writes them, without a sync.
pub(crate) fn write<D: Disk>(writer: &mut LogWriter<D>, tail: &Tail, records: &[Record]) {
    tail.stage(records);
    while writer.write_group(Vlsn::NULL).unwrap().is_some() {}
}

/// Every entry that the log holds, read in small pieces.
pub(crate) fn all<D: Disk>(reader: &LogReader<D>, last: LogPoint, epoch: Epoch) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut from = reader.first();
    while from <= last.vlsn {
        let run = reader.read(from, last.vlsn, 700, epoch).unwrap();
        let batch = reader.batch(from, last.vlsn, 700, epoch).unwrap();
        if let Some(before) = records.last() {
            assert_eq!(run.prev, before.point());
        }
        let bytes: Vec<u8> = batch.records().iter().flat_map(|r| r.bytes().to_vec()).collect();
        assert_eq!(run.slices.concat(), bytes);
        assert_eq!(run.bytes, bytes.len());
        assert_eq!((run.first, run.last), (batch.first(), batch.last()));
        from = run.last.vlsn.next();
        records.extend(batch.into_records());
    }
    records
}

/// The entries of a freshly opened log, which must be those its view tells of.
pub(crate) fn entries(opened: &Opened<MemDisk>) -> Vec<Record> {
    let view = &opened.view;
    assert_eq!(view.first(), opened.reader.first());
    assert_eq!(view.synced(), view.last().vlsn);
    let records = all(&opened.reader, view.last(), view.epoch());
    for record in &records {
        assert_eq!(view.term_at(record.point().vlsn), Some(record.point().term));
    }
    assert_eq!(view.memberships(), memberships(&records));
    if let Some(last) = records.last() {
        assert_eq!((last.point(), last.header_crc()), (view.last(), view.last_crc()));
    }
    records
}

/// Where the newest of `records` stand that say the members: what a view has to tell.
pub(crate) fn memberships(records: &[Record]) -> Vec<LogPoint> {
    let all = records.iter().filter(|record| record.header().kind.says_members());
    let mut newest: Vec<_> = all.rev().take(MEMBERSHIPS_MAX).map(Record::point).collect();
    newest.reverse();
    newest
}
