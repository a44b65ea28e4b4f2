use crate::world::{Net, PATIENCE, World, eventually, steady};
use rep_env::net::mem::Hub;
use rep_env::store::state_machine::Chunks;
use rep_env::store::{Digest, Entry, Snapshot, StateMachine, StoreError};
use rep_env::{Consistency, Error, LogPoint, NodeState, RepConfig, ReplicatedEnvironment};
use rep_vlsn::Kind;
use std::sync::{Arc, Mutex};

/// An entry at which the machine panics.
const PANIC: &[u8] = b"panic";

/// Adds up the numbers that it is given; each caller is told the sum that its own made.
#[derive(Default)]
struct Sum {
    applied: LogPoint,
    sum: Arc<Mutex<u64>>,
}

impl StateMachine for Sum {
    type Reader = Arc<Mutex<u64>>;
    type Output = u64;

    fn reader(&self) -> Self::Reader {
        Arc::clone(&self.sum)
    }

    fn applied(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, batch: &[Entry], results: &mut Vec<u64>) -> Result<(), StoreError> {
        let before = self.applied.vlsn;
        for entry in batch.iter().filter(|entry| entry.point.vlsn > before) {
            if entry.kind == Kind::Data {
                assert_ne!(&entry.payload[..], PANIC, "as a test asks");
                let number = entry
                    .payload
                    .first()
                    .copied()
                    .ok_or(StoreError::Busy { what: "an empty entry" })?;
                let mut sum = self.sum.lock().unwrap();
                *sum += u64::from(number);
                results.push(*sum);
            }
            self.applied = entry.point;
        }
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

fn group(hub: &Hub) -> Vec<ReplicatedEnvironment<Sum>> {
    (1..=3)
        .map(|number| {
            let config = RepConfig::builder("sum", format!("n{number}"))
                .members(["n1=a", "n2=b", "n3=c"])
                .transport(hub.transport())
                .tune(|timing, _| steady(timing))
                .ephemeral();
            ReplicatedEnvironment::open_with(config.build().unwrap(), Sum::default()).unwrap()
        })
        .collect()
}

fn master(group: &[ReplicatedEnvironment<Sum>]) -> &ReplicatedEnvironment<Sum> {
    eventually("a master", || group.iter().find(|env| env.state() == NodeState::Master))
}

#[test]
fn a_machine_of_ones_own_is_replicated_and_answers_each_caller() {
    let hub = Hub::default();
    let group = group(&hub);
    let begun = eventually("fifty entries", || {
        let env = master(&group);
        (1..=50).map(|number| env.replicate(&[number])).collect::<Result<Vec<_>, _>>().ok()
    });
    let mut last = None;
    for (number, handle) in (1_u64..).zip(begun) {
        let (token, sum) = handle.wait().unwrap();
        assert_eq!(sum, Some(number * (number + 1) / 2));
        last = Some(token);
    }
    for env in &group {
        let sum = env.reader(Consistency::AtLeast(last.unwrap())).wait().unwrap();
        assert_eq!(*sum.lock().unwrap(), 50 * 51 / 2);
    }
}

fn alone() -> ReplicatedEnvironment<Sum> {
    let config = RepConfig::builder("sum", "n1").members(["n1=a"]).ephemeral();
    let config = config.transport(Hub::default().transport()).build().unwrap();
    let env = ReplicatedEnvironment::open_with(config, Sum::default()).unwrap();
    env.wait_for_master(PATIENCE).unwrap();
    env
}

#[test]
fn a_machine_that_panics_leaves_nobody_waiting() {
    let env = alone();
    let handle = env.replicate(PANIC).unwrap();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let waiter = std::thread::spawn(move || tell.send(handle.wait()));
    let outcome = told.recv_timeout(PATIENCE).expect("the handle resolves");
    assert!(matches!(outcome, Ok((_, None)) | Err(Error::InsufficientAcks { .. })), "{outcome:?}");
    waiter.join().unwrap().unwrap();
    eventually("the halt", || {
        matches!(env.replicate(&[1]), Err(Error::Halted { .. })).then_some(())
    });
    env.close().unwrap();
}

#[test]
fn a_machine_that_fails_halts_its_node_and_says_why() {
    let env = alone();
    let committed = env.replicate(&[]).unwrap().wait();
    // It may have become durable before the machine refused it; a result it has not.
    assert!(
        matches!(committed, Ok((_, None)) | Err(Error::InsufficientAcks { .. })),
        "{committed:?}"
    );
    let halted = eventually("the halt", || match env.wait_for_master(PATIENCE) {
        Err(Error::Halted { reason }) => Some(reason),
        _ => None,
    });
    assert!(halted.contains("the store failed"), "{halted}");
    assert_eq!(env.state(), NodeState::Shutdown);
    assert!(matches!(env.replicate(&[1]), Err(Error::Halted { .. })));
    assert!(matches!(env.reader(Consistency::None).wait(), Err(Error::Halted { .. })));
    assert_eq!(env.subscribe().states().last().unwrap().reason, "halted");
    env.close().unwrap();
    assert_eq!(env.replicate(&[1]).unwrap_err(), Error::Closed);
}

#[test]
fn raw_entries_do_not_get_into_the_built_in_databases() {
    let world = World::running(Net::Memory, 1);
    let refused = world.env(0).replicate(b"anything").unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
}
