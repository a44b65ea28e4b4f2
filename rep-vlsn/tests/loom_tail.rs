//! The tail under every interleaving of a loop that stages and cuts, a writer, and a reader.
//! Run with `--cfg rep_loom`.
#![cfg(rep_loom)]

use rep_explore::{explore, thread};
use rep_vlsn::{Draft, Epoch, Kind, LogPoint, NodeId, Record, Tail, Term, Vlsn};

fn opening() -> Record {
    let point = LogPoint::new(Term::new(1), Vlsn::FIRST);
    Draft::opening(Kind::GroupFounded, NodeId::new(1), b"").stamp(point, 0, 0)
}

/// Entry 2, in term `term`, chained to the opening.
fn second(term: u64) -> Record {
    let point = LogPoint::new(Term::new(term), Vlsn::new(2));
    let draft = Draft::opening(Kind::TermStart, NodeId::new(1), b"");
    draft.stamp(point, opening().header_crc(), 0)
}

fn tail() -> Tail {
    Tail::new(LogPoint::NULL, 0, Epoch(0), 0)
}

/// What the writer of a real log does, with a list in place of files.
fn write_one(tail: &Tail, files: &mut Vec<Record>, epoch_of: impl Fn(&Tail, Epoch) -> Epoch) {
    if let Some(staged) = tail.take_unwritten(1 << 20) {
        let last = staged.records.last().unwrap().point().vlsn;
        files.truncate(staged.records[0].point().vlsn.get() as usize - 1);
        files.extend(staged.records);
        tail.mark_written(last, epoch_of(tail, staged.epoch));
    }
}

#[test]
fn loom_a_writer_that_waits_is_woken_by_what_is_staged_and_by_the_end() {
    explore(|| {
        let tail = tail();
        let writer = {
            let tail = tail.clone();
            thread::spawn(move || {
                let mut files = Vec::new();
                while tail.wait_unwritten(None) {
                    write_one(&tail, &mut files, |_, epoch| epoch);
                }
                files.len()
            })
        };
        tail.stage(&[opening()]);
        tail.stage(&[second(2)]);
        tail.close();
        assert_eq!(writer.join().unwrap(), 2, "what waits is written before the end");
    });
}

#[test]
fn loom_a_reader_that_waits_for_an_entry_is_woken_by_it_or_by_the_end() {
    explore(|| {
        let tail = tail();
        let reader = {
            let tail = tail.clone();
            thread::spawn(move || tail.wait_for(Vlsn::new(2), None))
        };
        tail.stage(&[opening(), second(2)]);
        tail.close();
        // The end may come before the reader looks, but what was reached is reached.
        assert!(reader.join().unwrap());
    });
}

fn a_cut_meets_a_write(epoch_of: impl Fn(&Tail, Epoch) -> Epoch + Clone + Send + Sync + 'static) {
    explore(move || {
        let tail = tail();
        tail.stage(&[opening(), second(2)]);
        let epoch_of = epoch_of.clone();
        let writer = {
            let tail = tail.clone();
            thread::spawn(move || {
                let mut files = Vec::new();
                write_one(&tail, &mut files, epoch_of);
                files
            })
        };
        tail.truncate(opening().point(), Epoch(1));
        tail.stage(&[second(3)]);
        let mut files = writer.join().unwrap();
        write_one(&tail, &mut files, |_, epoch| epoch);
        assert_eq!(files, [opening(), second(3)], "the entry that replaced the cut one is written");
    });
}

#[test]
fn loom_a_write_begun_before_a_cut_does_not_count_as_written_after_it() {
    a_cut_meets_a_write(|_, epoch| epoch);
}

/// The twin: a writer that vouches with the epoch of the moment, and not with that of what it took.
#[test]
#[should_panic(expected = "the entry that replaced the cut one is written")]
fn loom_twin_a_writer_that_asks_for_the_epoch_afterwards_loses_an_entry() {
    a_cut_meets_a_write(|tail, _| tail.epoch());
}
