//! A log's files after whatever a disk may have done to them. What opens holds a run of the entries that were written and
//! nothing else, and can be written on; what does not is reported, and left as it is.

use crate::common::{
    GROUP, Maker, Rng, all, entries, reopen, tiny, try_open_whole, write as write_records,
};
use crate::kit::Input;
use rep_vlsn::{
    Disk, DiskFile, Draft, MemDisk, OpenError, Opened, Record, Vlsn, inspect, open, walk,
};
use std::sync::LazyLock;

/// A log as it was left, and what was written to it.
struct Base {
    disk: MemDisk,
    /// Entry n at n - 1, those that were cleaned away too.
    records: Vec<Record>,
    /// Entries that a single flipped bit may not take.
    vouched: usize,
}

static BASES: LazyLock<Vec<Base>> =
    LazyLock::new(|| vec![closed(), crashed(), truncated(), cleaned(), short()]);

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let base = &BASES[input.below(BASES.len())];
    let is_written_again = input.is();
    let disk = base.disk.image();
    let steps = spoil(&disk, &base.records, &mut input);
    let before = files(&disk);
    let inspected = inspect(&disk);
    if let Ok(seen) = walk(&disk, Vlsn::NULL) {
        // It shows what stands where, so it shows as much as there is and no more.
        assert!(seen.count() <= 4 * base.records.len() + 10);
    }
    assert_eq!(files(&disk), before, "a look changes nothing");
    by_index(&disk.image(), base);
    match try_open_whole(&disk) {
        Ok(opened) => {
            let seen = inspected.expect("what opens can be looked at");
            assert!(seen.damage.is_none(), "a look judges as an opening does");
            assert_eq!((seen.first, seen.last), (opened.view.first(), opened.view.last()));
            let found = entries(&opened);
            check(&found, base);
            if steps == Steps::OneBit {
                let last = opened.view.last().vlsn.get() as usize;
                assert!(last >= base.vouched, "{last} of {} entries", base.vouched);
            }
            let again = base.records.get(opened.view.last().vlsn.get() as usize);
            goes_on(&disk, opened, found, again.filter(|_| is_written_again));
        }
        Err(error) => {
            assert_ne!(steps, Steps::None, "{error}");
            let is_seen = inspected.map_or(true, |seen| seen.damage.is_some());
            assert!(is_seen || !matches!(error, OpenError::Damaged { .. }), "{error}");
            assert_eq!(segments(&disk), of_segments(&before), "what is damaged is left alone");
        }
    }
}

/// Opened by the index, which reads less: each entry that can be read was written.
fn by_index(disk: &MemDisk, base: &Base) {
    let Ok(opened) = open(disk.clone(), tiny()) else { return };
    opened.view.invariants();
    let (last, epoch) = (opened.view.last(), opened.view.epoch());
    for number in opened.reader.first().get()..=last.vlsn.get() {
        let vlsn = Vlsn::new(number);
        if let Ok(batch) = opened.reader.batch(vlsn, vlsn, 1, epoch) {
            check(batch.records(), base);
        }
    }
}

fn check(found: &[Record], base: &Base) {
    for record in found {
        let number = record.point().vlsn.get() as usize;
        assert_eq!(Some(record), base.records.get(number - 1), "nobody wrote this");
    }
}

/// What was recovered takes another entry and keeps it, and shows nothing behind it: not even if that entry is the very
/// one that was lost, which what stood behind it would continue.
fn goes_on(
    disk: &MemDisk,
    mut opened: Opened<MemDisk>,
    mut found: Vec<Record>,
    again: Option<&Record>,
) {
    if opened.writer.set_group(GROUP).is_err() {
        return;
    }
    let mut maker = Maker { last: opened.view.last(), last_crc: opened.view.last_crc() };
    let next = match again {
        Some(record) => record.clone(),
        None => maker.open_term(maker.last.term.get() + 1, 2),
    };
    write_records(&mut opened.writer, &opened.tail, std::slice::from_ref(&next));
    opened.writer.sync().expect("the disk is well");
    found.push(next);
    let first = opened.view.first();
    drop(opened);
    let again = try_open_whole(disk).expect("what was just mended is whole");
    assert_eq!(again.view.first(), first);
    assert_eq!(all(&again.reader, again.view.last(), again.view.epoch()), found);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    None,
    OneBit,
    More,
}

/// Does to the files what the input says.
fn spoil(disk: &MemDisk, records: &[Record], input: &mut Input<'_>) -> Steps {
    let mut steps = Steps::None;
    while !input.is_empty() {
        let names: Vec<String> = files(disk).into_iter().map(|(name, _)| name).collect();
        if names.is_empty() {
            break;
        }
        let name = &names[input.below(names.len())];
        let at = u64::from(input.word());
        let kind = input.below(8);
        let is_bit = kind == 0 && steps == Steps::None && name.ends_with(".seg");
        steps = if is_bit { Steps::OneBit } else { Steps::More };
        let file = disk.open(name).expect("a disk in memory").expect("it is listed");
        let length = file.len().expect("a disk in memory");
        let at = at % (length + 1);
        match kind {
            0 => drop(disk.flip_bit(name, at)),
            1 => put(&file, at, input.short()),
            2 => put(&file, at, &vec![0; usize::from(input.byte()) * 4]),
            3 => file.set_len(at).expect("a disk in memory"),
            4 => {
                // What was to be written here was written there, or the other way round.
                let from = &names[input.below(names.len())];
                let offset = usize::from(input.word());
                let count = usize::from(input.byte()) * 4;
                let there = disk.contents(from).unwrap_or_default();
                let moved: Vec<u8> = there.iter().skip(offset).take(count).copied().collect();
                put(&file, at, &moved);
            }
            5 => disk.remove(name).expect("it is listed"),
            6 => {
                let record = &records[usize::from(input.byte()) % records.len()];
                replace(disk, record, &stranger(record, input.byte()));
            }
            _ => {
                let other = &names[input.below(names.len())];
                if other != name {
                    disk.remove(other).expect("it is listed");
                    disk.rename(name, other).expect("a disk in memory");
                }
            }
        }
    }
    steps
}

/// A record of another life of this log: sound, of the same number, length and term, and behind another entry.
fn stranger(record: &Record, change: u8) -> Record {
    let header = record.header();
    let mut payload = record.payload().to_vec();
    // The opener of a term stays one.
    payload.iter_mut().skip(4).for_each(|byte| *byte ^= change);
    let draft = Draft::new(header.kind, header.flags, &payload);
    draft.stamp(header.point, header.prev_crc ^ u32::from(change | 1), header.time_ms)
}

/// Puts a record where another one of its length stands.
fn replace(disk: &MemDisk, record: &Record, other: &Record) {
    for (name, bytes) in files(disk) {
        let mut windows = bytes.windows(record.bytes().len());
        if let Some(at) = windows.position(|window| window == &record.bytes()[..]) {
            let file = disk.open(&name).expect("a disk in memory").expect("it is listed");
            put(&file, at as u64, other.bytes());
        }
    }
}

fn put(file: &impl DiskFile, at: u64, bytes: &[u8]) {
    file.write_at(at, bytes).expect("a disk in memory");
}

/// Every file, by name, with its bytes.
fn files(disk: &MemDisk) -> Vec<(String, Vec<u8>)> {
    let logs = disk.list("log").unwrap_or_default();
    let mut names: Vec<String> = logs.into_iter().map(|name| format!("log/{name}")).collect();
    names.push("cut".to_owned());
    names.sort();
    names.into_iter().filter_map(|name| Some((name.clone(), disk.contents(&name)?))).collect()
}

fn segments(disk: &MemDisk) -> Vec<(String, Vec<u8>)> {
    of_segments(&files(disk))
}

fn of_segments(files: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    files.iter().filter(|(name, _)| name.ends_with(".seg")).cloned().collect()
}

/// Groups of three, each of them synced.
fn grow(opened: &mut Opened<MemDisk>, maker: &mut Maker, rng: &mut Rng, to: &mut Vec<Record>) {
    for _ in 0..8 {
        let group: Vec<_> = (0..3).map(|_| maker.next(rng)).collect();
        write_records(&mut opened.writer, &opened.tail, &group);
        opened.writer.sync().expect("the disk is well");
        to.extend(group);
    }
}

fn begun(seed: u64) -> (MemDisk, Opened<MemDisk>, Maker, Rng, Vec<Record>) {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let (mut maker, mut rng, mut records) = (Maker::new(), Rng(seed), Vec::new());
    grow(&mut opened, &mut maker, &mut rng, &mut records);
    (disk, opened, maker, rng, records)
}

fn closed() -> Base {
    let (disk, opened, _, _, records) = begun(3);
    opened.writer.close(Vlsn::new(20)).expect("the disk is well");
    Base { disk, vouched: records.len(), records }
}

/// The last group was written and not synced.
fn crashed() -> Base {
    let (disk, mut opened, mut maker, _, mut records) = begun(4);
    // The mark before the unsynced group tells of all that were synced.
    let vouched = records.len();
    let unsynced = [maker.data(b"not"), maker.data(b"synced")];
    write_records(&mut opened.writer, &opened.tail, &unsynced);
    records.extend(unsynced);
    Base { disk, vouched, records }
}

/// A tail was cut and another one written.
fn truncated() -> Base {
    let (disk, mut opened, _, mut rng, mut records) = begun(5);
    let kept = 14;
    let keep = records[kept - 1].clone();
    let epoch = opened.view.epoch().next();
    opened.tail.truncate(keep.point(), epoch);
    opened.writer.truncate(keep.point(), epoch).expect("the disk is well");
    drop(opened);
    records.truncate(kept);
    let mut opened = reopen(&disk);
    let mut maker = Maker { last: keep.point(), last_crc: keep.header_crc() };
    let opening = maker.open_term(keep.point().term.get() + 5, 3);
    write_records(&mut opened.writer, &opened.tail, std::slice::from_ref(&opening));
    records.push(opening);
    grow(&mut opened, &mut maker, &mut rng, &mut records);
    opened.writer.close(Vlsn::NULL).expect("the disk is well");
    Base { disk, vouched: records.len(), records }
}

fn cleaned() -> Base {
    let (disk, mut opened, _, _, records) = begun(6);
    opened.writer.clean(Vlsn::new(15)).expect("the disk is well");
    opened.writer.close(Vlsn::new(15)).expect("the disk is well");
    Base { disk, vouched: records.len(), records }
}

fn short() -> Base {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let records = vec![Maker::new().open_term(1, 1)];
    write_records(&mut opened.writer, &opened.tail, &records);
    opened.writer.close(Vlsn::NULL).expect("the disk is well");
    Base { disk, vouched: 1, records }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for base in 0..BASES.len() as u8 {
        for again in [0, 1] {
            let with = |steps: &[u8]| [&[base, again], steps].concat();
            seeds.push(with(&[]));
            seeds.push(with(&[1, 130, 0, 0]));
            seeds.push(with(&[2, 200, 1, 1, 4, 9, 9, 9, 9]));
            seeds.push(with(&[3, 0, 1, 2, 16, 2, 255, 3, 3]));
            seeds.push(with(&[1, 80, 0, 4, 2, 80, 0, 100]));
            seeds.push(with(&[4, 0, 0, 5]));
            seeds.push(with(&[0, 0, 0, 6, 23, 1]));
            seeds.push(with(&[0, 0, 0, 6, 24, 1]));
            seeds.push(with(&[1, 0, 0, 7, 2]));
            seeds.push(with(&[0, 30, 0, 0, 0, 220, 1, 0]));
        }
    }
    seeds
}
