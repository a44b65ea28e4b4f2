//! A state machine of one's own under the simulator's faults, and what that finds.
//!
//! `cargo run -p rep-sim --example own_machine`. The machine keeps the sum of what it was told. Its hasty sister has a bug that no
//! test of one process finds: it also counts how often it was called, and how entries are cut into batches is
//! nobody's promise. So two members that hold the same log hold other states.

use rep_sim::{Subject, run_seed_with};
use rep_store::state_machine::Chunks;
use rep_store::{Digest, Entry, Snapshot, StateMachine, StoreError};
use rep_vlsn::{Kind, LogPoint, Vlsn};
use std::sync::{Arc, Mutex};

// ---- the machine ----

#[derive(Clone, Copy, Debug, Default)]
struct State {
    applied: LogPoint,
    sum: u64,
}

#[derive(Debug)]
struct Sum<const HASTY: bool> {
    state: Arc<Mutex<State>>,
    kept: Arc<Mutex<State>>,
}

impl<const HASTY: bool> StateMachine for Sum<HASTY> {
    type Reader = Arc<Mutex<State>>;
    type Output = u64;

    fn reader(&self) -> Self::Reader {
        Arc::clone(&self.state)
    }

    fn applied(&self) -> LogPoint {
        self.state.lock().unwrap().applied
    }

    fn apply(&mut self, batch: &[Entry], results: &mut Vec<u64>) -> Result<(), StoreError> {
        let mut state = *self.state.lock().unwrap();
        for entry in batch.iter().filter(|entry| entry.point > self.applied()) {
            if entry.kind == Kind::Data {
                state.sum += u64::from(entry.payload[0]);
                results.push(state.sum);
            }
            state.applied = entry.point;
        }
        if HASTY {
            state.sum += 1;
        }
        *self.state.lock().unwrap() = state;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        *self.kept.lock().unwrap() = *self.state.lock().unwrap();
        Ok(self.applied())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Err(StoreError::Busy { what: "a sum that is never sent" })
    }

    fn install(&mut self, _: &mut Chunks<'_>) -> Result<LogPoint, StoreError> {
        Err(StoreError::Busy { what: "a sum that is never sent" })
    }

    fn digest(&self) -> Result<Digest, StoreError> {
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&self.state.lock().unwrap().sum.to_le_bytes());
        Ok(Digest(digest))
    }
}

// ---- its test: where it keeps its state, and what its entries say ----

#[derive(Default)]
struct Place<const HASTY: bool>(Arc<Mutex<State>>);

impl<const HASTY: bool> Subject for Place<HASTY> {
    type Machine = Sum<HASTY>;

    fn open(&mut self) -> Sum<HASTY> {
        let state = *self.0.lock().unwrap();
        Sum { state: Arc::new(Mutex::new(state)), kept: Arc::clone(&self.0) }
    }

    fn payload(&self, vlsn: Vlsn) -> bytes::Bytes {
        vec![vlsn.get() as u8 | 1].into()
    }

    fn nonsense(&self) -> Option<bytes::Bytes> {
        None
    }

    fn observe(reader: &Arc<Mutex<State>>) -> (LogPoint, Digest) {
        let machine = Sum::<HASTY> { state: Arc::clone(reader), kept: Arc::default() };
        (machine.applied(), machine.digest().unwrap())
    }
}

fn main() {
    for seed in 0..20 {
        run_seed_with(seed, Place::<false>::default).expect("the sum is the same everywhere");
    }
    println!("20 worlds found nothing wrong with the sum");
    let found = (0..20).find_map(|seed| run_seed_with(seed, Place::<true>::default).err());
    let failure = found.expect("the hasty one is found out");
    println!("and of the hasty one: {}", failure.violation);
}

#[test]
fn the_simulator_finds_the_machine_that_depends_on_its_batches() {
    main();
}
