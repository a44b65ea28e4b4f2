//! Where the entries stand that say the members: a view and a recovered log tell it of those that are held, and of no other.

mod common;

use common::{GROUP, Maker, Rng, entries, memberships, reopen, try_open_whole, write};
use proptest::prelude::*;
use rep_vlsn::{
    Beginning, Epoch, Kind, LogConfig, LogPoint, LogView, MEMBERSHIPS_MAX, MemDisk, Record, Seen,
    Vlsn, begin_with, inspect, walk,
};

/// What happens to a log.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many entries that say the members, with others between them.
    Append(usize),
    /// Cut, so many entries before the end.
    Cut(usize),
    /// Clean, so many entries behind the head.
    Clean(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..40_usize).prop_map(Step::Append),
        2 => (0..60_usize).prop_map(Step::Cut),
        1 => (1..60_u64).prop_map(Step::Clean),
    ];
    prop::collection::vec(step, 1..12)
}

/// A view, and the plain list of what it stands for.
struct Pair {
    view: LogView,
    maker: Maker,
    rng: Rng,
    /// Entry n at n - 1, cleaned or not.
    log: Vec<Record>,
    term: u64,
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let (view, maker, rng) = (LogView::empty(), Maker::new(), Rng(seed));
        Pair { view, maker, rng, log: Vec::new(), term: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(count) => (0..count).for_each(|_| self.append()),
            Step::Cut(back) => self.cut(back),
            Step::Clean(ahead) => {
                let first = self.view.first().get() + ahead;
                self.view.clean(Vlsn::new(first));
            }
        }
    }

    fn append(&mut self) {
        if self.log.is_empty() || self.maker.last.term.get() < self.term {
            self.term += 1;
            let opening = self.maker.open_term(self.term, 1);
            self.push(opening);
        }
        let membership = self.maker.membership(b"who");
        self.push(membership);
        for _ in 0..self.rng.below(3) {
            let next = self.maker.next(&mut self.rng);
            self.push(next);
        }
    }

    fn push(&mut self, record: Record) {
        self.view.append(&record);
        self.term = record.point().term.get();
        self.log.push(record);
    }

    /// A log is never cut before its head: nothing is left to match there.
    fn cut(&mut self, back: usize) {
        let first = self.view.first().get() as usize;
        let keep = self.log.len().saturating_sub(back);
        if keep < first || keep == self.log.len() {
            return;
        }
        self.log.truncate(keep);
        let last = &self.log[keep - 1];
        self.view.truncate(last.point());
        self.view.truncated(last.header_crc());
        self.maker = Maker { last: last.point(), last_crc: last.header_crc() };
        // What is cut belongs to no later term.
        self.term += 1;
    }

    fn held(&self) -> &[Record] {
        &self.log[(self.view.first().get() as usize - 1).min(self.log.len())..]
    }
}

proptest! {
    /// Also a cut of more than the newest so many uncovers what was in force before.
    #[test]
    fn a_view_tells_of_the_newest_that_are_held(seed: u64, steps in steps()) {
        let mut pair = Pair::new(seed);
        for step in steps {
            pair.step(step);
            pair.view.invariants();
            let found = pair.view.memberships();
            prop_assert_eq!(found, memberships(pair.held()));
            prop_assert!(found.len() <= MEMBERSHIPS_MAX);
        }
    }
}

/// Entries that say the members, one behind the other, on a disk.
fn many(disk: &MemDisk, count: usize) -> Vec<Record> {
    let mut opened = reopen(disk);
    let mut maker = Maker::new();
    let mut records = vec![maker.open_term(1, 1)];
    records.extend((1..count).map(|_| maker.membership(b"who")));
    for group in records.chunks(5) {
        write(&mut opened.writer, &opened.tail, group);
        opened.writer.sync().unwrap();
    }
    opened.writer.close(Vlsn::NULL).unwrap();
    records
}

#[test]
fn an_opening_tells_of_the_newest_so_many_whether_it_reads_them_or_the_index_file_tells_of_them() {
    let disk = MemDisk::new();
    let records = many(&disk, 3 * MEMBERSHIPS_MAX);
    let told = memberships(&records);
    assert_eq!(told.len(), MEMBERSHIPS_MAX);
    let read = try_open_whole(&disk.image()).unwrap();
    let mut opened = reopen(&disk);
    assert_eq!((read.report.told, opened.report.bytes), (0, 0));
    assert_eq!((read.view.memberships(), opened.view.memberships()), (&told[..], &told[..]));

    // A cut takes all of these, and those before are in force again: here, on the disk, and after the next opening.
    let keep = records[MEMBERSHIPS_MAX - 1].point();
    let mut view = opened.view.clone();
    view.truncate(keep);
    opened.tail.truncate(keep, view.epoch());
    let truncated = opened.writer.truncate(keep, view.epoch()).unwrap();
    view.truncated(truncated.last_crc);
    assert_eq!(view.memberships(), memberships(&records[..MEMBERSHIPS_MAX]));
    drop(opened);
    for _ in 0..2 {
        assert_eq!(reopen(&disk).view, view);
    }
}

#[test]
fn a_cleaned_log_tells_of_none_that_is_gone() {
    let disk = MemDisk::new();
    let records = many(&disk, 60);
    let mut opened = reopen(&disk);
    let first = opened.writer.clean(Vlsn::new(40)).unwrap();
    assert!(first > Vlsn::new(20));
    let mut view = opened.view.clone();
    view.clean(first);
    let held = &records[first.get() as usize - 1..];
    assert_eq!(view.memberships(), memberships(held));
    drop(opened);
    for _ in 0..2 {
        let opened = reopen(&disk);
        assert_eq!((entries(&opened), &opened.view), (held.to_vec(), &view));
    }
}

/// The entry that is held by a log that began anew may be the one that is in force.
#[test]
fn a_log_begins_with_such_an_entry_as_with_any() {
    let source = MemDisk::new();
    let mut opened = reopen(&source);
    let mut maker = Maker::new();
    let records =
        [maker.open_term(1, 1), maker.data(b"x"), maker.membership(b"who"), maker.data(b"y")];
    write(&mut opened.writer, &opened.tail, &records);
    opened.writer.sync().unwrap();
    for (at, told) in [(2, vec![records[2].point()]), (3, Vec::new())] {
        let beginning = opened.reader.beginning(records[at].point()).unwrap();
        assert_eq!(beginning.term_start().start, Vlsn::FIRST, "it opens no term");
        let read = Beginning::decode(beginning.encode());
        assert_eq!(read.as_ref(), Ok(&beginning));
        let disk = MemDisk::new();
        begin_with(&disk, &LogConfig::default(), &beginning).unwrap();
        for _ in 0..2 {
            let opened = reopen(&disk);
            assert_eq!(opened.view.memberships(), told);
            assert_eq!(entries(&opened), records[at..=at]);
        }
    }
}

/// What a crash took of the tail is not told of, though the index file may know more than the log holds.
#[test]
fn one_that_was_never_synced_goes_with_its_entry() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    let records = [maker.open_term(1, 1), maker.membership(b"kept"), maker.membership(b"lost")];
    write(&mut opened.writer, &opened.tail, &records[..2]);
    opened.writer.sync().unwrap();
    write(&mut opened.writer, &opened.tail, &records[2..]);
    drop(opened);
    disk.power_cut(&mut || 0);
    assert_eq!(reopen(&disk).view.memberships(), memberships(&records[..2]));
}

#[test]
fn a_look_shows_such_an_entry_as_what_it_is() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    let records = [maker.open_term(1, 1), maker.membership(b"who")];
    write(&mut opened.writer, &opened.tail, &records);
    opened.writer.close(Vlsn::NULL).unwrap();
    let found = inspect(&disk).unwrap();
    assert_eq!((found.group, found.report.entries, found.last), (Some(GROUP), 2, maker.last));
    assert!(found.damage.is_none());
    let kinds = walk(&disk, Vlsn::FIRST).unwrap().filter_map(|seen| match seen.unwrap() {
        Seen::Entry(record, _) => Some(record.header().kind),
        _ => None,
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [Kind::GroupFounded, Kind::Membership]);
}

#[test]
fn a_recovered_view_takes_only_entries_of_its_own() {
    let records = [Maker::new().open_term(1, 1)];
    let mut view = LogView::empty();
    view.append(&records[0]);
    let recovered = |points: Vec<LogPoint>| {
        let history = view.history().clone();
        let (last, crc) = (view.last(), view.last_crc());
        LogView::recovered(Vlsn::FIRST, last, crc, Epoch(0), history, points)
    };
    assert_eq!(recovered(vec![view.last()]).memberships(), view.memberships());
    let foreign = LogPoint::new(view.last().term, Vlsn::new(9));
    for wrong in [vec![foreign], vec![LogPoint::NULL], vec![view.last(); 2]] {
        let refused = std::panic::catch_unwind(|| recovered(wrong.clone()));
        assert!(refused.is_err(), "{wrong:?}");
    }
}
