//! What whoever waits for a machine's result is told when there is none: the entry is durable, and the machine is not done.

use crate::handles::block_on;
use crate::world::{Net, PATIENCE, World, eventually};
use rep_env::store::state_machine::Chunks;
use rep_env::store::{Digest, Entry, Snapshot, StateMachine, StoreError};
use rep_env::{CommitToken, Error, LogPoint, ReplicateHandle, ReplicatedEnvironment};
use rep_vlsn::Kind;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Answers each entry with its length, and does nothing while somebody holds the gate.
struct Slow {
    applied: LogPoint,
    gate: Arc<Mutex<()>>,
}

impl StateMachine for Slow {
    type Reader = ();
    type Output = usize;

    fn reader(&self) {}

    fn applied(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, batch: &[Entry], results: &mut Vec<usize>) -> Result<(), StoreError> {
        drop(self.gate.lock().unwrap());
        let data = batch.iter().filter(|entry| entry.kind == Kind::Data);
        results.extend(data.map(|entry| entry.payload.len()));
        self.applied = batch.last().expect("never empty").point;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        Ok(LogPoint::NULL)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }

    fn install(&mut self, _chunks: &mut Chunks<'_>) -> Result<LogPoint, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }

    fn digest(&self) -> Result<Digest, StoreError> {
        Err(StoreError::Busy { what: "a test" })
    }
}

/// A node alone, with a machine that has answered once.
fn alone(
    ack_timeout: Duration,
    close_timeout: Duration,
) -> (World, ReplicatedEnvironment<Slow>, Arc<Mutex<()>>) {
    let (mut world, gate) = (World::new(Net::Memory, 1), Arc::new(Mutex::new(())));
    let config = world.config(0).tune(|timing, _| {
        timing.ack_timeout = ack_timeout;
        timing.close_timeout = close_timeout;
    });
    let machine = Slow { applied: LogPoint::NULL, gate: Arc::clone(&gate) };
    let env = ReplicatedEnvironment::open_with(config.build().unwrap(), machine).unwrap();
    let answered = || Some(env.replicate(b"first").ok()?.wait().ok()?.1.is_some());
    eventually("an answer", || answered().filter(|answered| *answered));
    (world, env, gate)
}

/// Waits in a thread of its own, asleep or as a task; who would wait for ever is found.
fn outcome(
    handle: ReplicateHandle<usize>,
    asleep: bool,
) -> mpsc::Receiver<Result<(CommitToken, Option<usize>), Error>> {
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || tell.send(if asleep { handle.wait() } else { block_on(handle) }));
    told
}

/// The commit was durable at once, and its handle waited for the result for as long as the machine was stuck: for ever, if
/// its disk hangs. Now it waits for the result as long again as it may for acknowledgements.
#[test]
fn a_result_is_not_waited_for_longer_than_acknowledgements() {
    let (_world, env, gate) = alone(Duration::from_secs(1), PATIENCE);
    for asleep in [true, false] {
        let stuck = gate.lock().unwrap();
        // On a slow disk it may come to be unknown first.
        let unanswered = eventually("a durable entry", || {
            let told = outcome(env.replicate(b"entry").ok()?, asleep).recv_timeout(PATIENCE);
            told.expect("it resolves").ok()
        });
        assert_eq!(unanswered.1, None);
        drop(stuck);
        let answer = || env.replicate(b"longer").ok()?.wait().ok()?.1;
        assert_eq!(eventually("an answer", answer), 6, "and not that of an earlier entry");
    }
    env.close().unwrap();
}

/// The machine does not come back, and nobody's patience ends: closing tells whoever waits.
#[test]
fn whoever_waits_for_a_result_is_told_when_the_environment_closes() {
    // It is closed with a machine that is stuck, which is not waited for.
    let (_world, env, gate) = alone(Duration::from_secs(3600), Duration::from_millis(100));
    let stuck = gate.lock().unwrap();
    let durable = env.stats().commits_durable;
    let waiting = [true, false].map(|asleep| outcome(env.replicate(b"entry").unwrap(), asleep));
    eventually("durable entries", || (env.stats().commits_durable == durable + 2).then_some(()));
    assert!(waiting.iter().all(|told| told.try_recv().is_err()), "there is no answer yet");
    assert!(matches!(env.close(), Err(Error::CloseTimeout { .. })));
    for told in waiting {
        assert_eq!(told.recv_timeout(PATIENCE).expect("it resolves").unwrap().1, None);
    }
    drop(stuck);
    eventually("the end", || env.close().ok());
}
