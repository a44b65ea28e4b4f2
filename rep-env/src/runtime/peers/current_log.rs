//! The log that there is now, for everybody who reads it: what one of them finds rotten is told before anybody relies on the log any further.
//!
//! A feeder, the applier, a shipper and whoever gives a copy read entries long before the scrub comes there, or where there is none. Each read that meets damage is made
//! a second time, here and now. What is there then was a slip of the disk or of its cache, and nobody hears of it. What is not there has rotted: no race looks like that,
//! as a reader tells a cut and a cleaning for what they are.

use super::Entries;
use crate::runtime::scrubber::Scrubs;
use crate::sync::Mutex;
use bytes::Bytes;
use rep_vlsn::error::ReadError;
use rep_vlsn::reader::Run;
use rep_vlsn::{Batch, Epoch, LogPoint, SegmentSize, Vlsn};
use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// Who is told what readers of the log meet.
pub(crate) trait Watch: Send + Sync + Debug {
    /// This entry is rotten: it was read twice.
    fn damaged(&self, vlsn: Vlsn, error: &ReadError);

    /// The disk gave nothing to read, which says nothing about what was written.
    fn unreadable(&self, error: &io::Error);
}

/// The log that there is now: a member that is given a copy begins another one.
#[derive(Debug)]
pub(crate) struct CurrentLog {
    log: Mutex<Arc<dyn Entries>>,
    watch: Arc<dyn Watch>,
}

impl CurrentLog {
    pub(crate) fn new(entries: Arc<dyn Entries>, watch: Arc<dyn Watch>) -> Arc<Self> {
        Arc::new(CurrentLog { log: Mutex::new(entries), watch })
    }

    pub(crate) fn replace(&self, entries: Arc<dyn Entries>) {
        let old = std::mem::replace(&mut *self.log.lock(), entries);
        drop(old);
    }

    pub(crate) fn get(&self) -> Arc<dyn Entries> {
        Arc::clone(&self.log.lock())
    }

    fn read<T>(&self, read: impl Fn(&dyn Entries) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let log = self.get();
        let found = match read(&*log) {
            Err(ReadError::Damaged { .. }) => read(&*log),
            found => found,
        };
        match &found {
            // What the log looks like that was here before is of no interest.
            Err(error @ ReadError::Damaged { vlsn }) if Arc::ptr_eq(&log, &self.get()) => {
                self.watch.damaged(*vlsn, error);
            }
            Err(ReadError::Io(error)) => self.watch.unreadable(error),
            _ => {}
        }
        found
    }
}

impl Entries for CurrentLog {
    fn first(&self) -> Vlsn {
        self.get().first()
    }

    fn scrub(&self) -> Box<dyn Scrubs> {
        self.get().scrub()
    }

    fn run(&self, from: Vlsn, to: Vlsn, bytes_max: usize, epoch: Epoch) -> Result<Run, ReadError> {
        self.read(|log| log.run(from, to, bytes_max, epoch))
    }

    fn settled(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Result<Batch, ReadError> {
        self.read(|log| log.settled(from, to, bytes_max))
    }

    fn segments(&self) -> Result<Vec<SegmentSize>, ReadError> {
        self.read(|log| log.segments())
    }

    fn beginning(&self, point: LogPoint) -> Result<Bytes, ReadError> {
        self.read(|log| log.beginning(point))
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A log of which reads come to this, one after the other.
    #[derive(Debug)]
    struct Told(Mutex<VecDeque<Result<(), ReadError>>>);

    impl Entries for Told {
        fn first(&self) -> Vlsn {
            Vlsn::FIRST
        }

        fn scrub(&self) -> Box<dyn Scrubs> {
            unreachable!("nobody scrubs it")
        }

        fn run(&self, _: Vlsn, _: Vlsn, _: usize, _: Epoch) -> Result<Run, ReadError> {
            unreachable!("nobody sends it")
        }

        fn settled(&self, _: Vlsn, _: Vlsn, _: usize) -> Result<Batch, ReadError> {
            unreachable!("nobody applies it")
        }

        fn segments(&self) -> Result<Vec<SegmentSize>, ReadError> {
            unreachable!("nobody measures it")
        }

        fn beginning(&self, _: LogPoint) -> Result<Bytes, ReadError> {
            self.0.lock().pop_front().expect("so many reads").map(|()| Bytes::new())
        }
    }

    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Watch for Notes {
        fn damaged(&self, vlsn: Vlsn, error: &ReadError) {
            self.0.lock().push(format!("{vlsn}: {error}"));
        }

        fn unreadable(&self, error: &io::Error) {
            self.0.lock().push(error.to_string());
        }
    }

    fn rotten() -> Result<(), ReadError> {
        Err(ReadError::Damaged { vlsn: Vlsn::new(7) })
    }

    /// What is told of a read that comes to this, and whether it is served.
    fn read(reads: impl IntoIterator<Item = Result<(), ReadError>>) -> (bool, Vec<String>) {
        let told = Arc::new(Told(Mutex::new(reads.into_iter().collect())));
        let notes = Arc::new(Notes::default());
        let log = CurrentLog::new(Arc::clone(&told) as _, Arc::clone(&notes) as _);
        let served = log.beginning(LogPoint::NULL).is_ok();
        assert!(told.0.lock().is_empty(), "as often as that");
        let notes = std::mem::take(&mut *notes.0.lock());
        (served, notes)
    }

    #[test]
    fn what_is_rotten_in_two_reads_is_told_and_what_was_so_in_one_is_served() {
        assert_eq!(read([rotten(), rotten()]), (false, vec!["7: entry 7 is damaged".to_owned()]));
        assert_eq!(read([rotten(), Ok(())]), (true, Vec::new()));
        assert_eq!(read([Ok(())]), (true, Vec::new()));
    }

    #[test]
    fn a_log_that_was_cut_or_cleaned_meanwhile_is_no_rot() {
        assert_eq!(read([rotten(), Err(ReadError::Truncated)]), (false, Vec::new()));
        let cleaned = Err(ReadError::Cleaned { first: Vlsn::new(9) });
        assert_eq!(read([rotten(), cleaned]), (false, Vec::new()));
    }

    #[test]
    fn an_error_of_the_disk_is_told_as_one() {
        let error = || Err(ReadError::Io(io::Error::other("it hums")));
        assert_eq!(read([error()]), (false, vec!["it hums".to_owned()]));
        assert_eq!(read([rotten(), error()]), (false, vec!["it hums".to_owned()]));
    }

    #[test]
    fn a_log_that_is_not_the_members_any_more_accuses_nobody() {
        let told = || Arc::new(Told(Mutex::new([rotten(), rotten()].into())));
        let notes = Arc::new(Notes::default());
        let log = CurrentLog::new(told(), Arc::clone(&notes) as _);
        let found = log.read(|old| {
            log.replace(told());
            old.beginning(LogPoint::NULL)
        });
        assert!(found.is_err() && notes.0.lock().is_empty());
    }
}
