//! A state machine of somebody else's is judged by its contract: each way to break it is found, and a good one is left in peace.

use rep_sim::{Failure, Outcome, Subject, run_seed_with};
use rep_store::state_machine::Chunks;
use rep_store::{
    Database, Databases, Digest, Entry, MemoryHome, Snapshot, StateMachine, StoreError, WriteSet,
};
use rep_vlsn::{LogPoint, Vlsn};

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// It says that it keeps what it forgets.
    Forgets,
    /// It refuses a good entry.
    Refuses,
    /// It gives no results.
    KeepsResults,
    /// It numbers its results by how many it has given since it was opened.
    NumbersResults,
    /// It claims to be further than it was told.
    RunsAhead,
}

/// The built-in databases, with a flaw.
struct Flawed {
    inner: Databases,
    flaw: Flaw,
    given: u64,
}

impl StateMachine for Flawed {
    type Reader = rep_store::Reader;
    type Output = u64;

    fn reader(&self) -> rep_store::Reader {
        self.inner.reader()
    }

    fn applied(&self) -> LogPoint {
        let applied = self.inner.applied();
        match self.flaw {
            Flaw::RunsAhead => LogPoint::new(applied.term, applied.vlsn.next()),
            _ => applied,
        }
    }

    fn apply(&mut self, batch: &[Entry], results: &mut Vec<u64>) -> Result<(), StoreError> {
        if self.flaw == Flaw::Refuses && self.inner.applied().vlsn > Vlsn::new(10) {
            return Err(StoreError::Busy { what: "a flaw" });
        }
        let mut inner = Vec::new();
        self.inner.apply(batch, &mut inner)?;
        for _ in inner {
            self.given += 1;
            match self.flaw {
                Flaw::KeepsResults => {}
                Flaw::NumbersResults => results.push(self.given),
                _ => results.push(0),
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        match self.flaw {
            Flaw::Forgets => Ok(self.inner.applied()),
            _ => self.inner.checkpoint(),
        }
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.inner.snapshot()
    }

    fn install(&mut self, chunks: &mut Chunks<'_>) -> Result<LogPoint, StoreError> {
        self.inner.install(chunks)
    }

    fn digest(&self) -> Result<Digest, StoreError> {
        self.inner.digest()
    }
}

struct Place {
    home: MemoryHome,
    flaw: Flaw,
}

impl Subject for Place {
    type Machine = Flawed;

    fn open(&mut self) -> Flawed {
        Flawed { inner: Databases::memory_in(&self.home), flaw: self.flaw, given: 0 }
    }

    fn payload(&self, vlsn: Vlsn) -> bytes::Bytes {
        let mut writes = WriteSet::new();
        let value = vlsn.get().to_le_bytes();
        writes.put(&Database::new("d"), &value[..1], &value).expect("it is short");
        writes.encode()
    }

    fn nonsense(&self) -> Option<bytes::Bytes> {
        None
    }

    fn observe(reader: &rep_store::Reader) -> (LogPoint, Digest) {
        let view = reader.view().expect("a memory store can be read");
        (view.applied(), Digest([0; 16]))
    }
}

fn run(seed: u64, flaw: Flaw) -> Result<Outcome, Box<Failure>> {
    run_seed_with(seed, move || Place { home: MemoryHome::new(), flaw })
}

#[test]
fn a_good_machine_changes_nothing() {
    for seed in 0..20 {
        let with = run(seed, Flaw::None).unwrap_or_else(|failure| panic!("{failure}"));
        let without = rep_sim::run_seed(seed, rep_sim::Detail::Hash).expect("it holds");
        assert_eq!(with.trace, without.trace, "whoever only rides along is not noticed");
    }
}

#[test]
fn each_flaw_is_found_and_named() {
    for (flaw, invariant) in [
        (Flaw::Forgets, "M-1"),
        (Flaw::Refuses, "M-1"),
        (Flaw::KeepsResults, "M-1"),
        (Flaw::NumbersResults, "I-15"),
        (Flaw::RunsAhead, "M-1"),
    ] {
        let found = (0..40).find_map(|seed| run(seed, flaw).err());
        let failure = found.unwrap_or_else(|| panic!("{flaw:?} is not found in 40 worlds"));
        assert_eq!(failure.violation.invariant.id(), invariant, "{flaw:?}: {}", failure.violation);
    }
}
