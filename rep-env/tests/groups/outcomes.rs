//! What becomes of a commit whose master loses its place: the handle says what became of that very entry.

use crate::options::{Weather, group};
use crate::world::{PATIENCE, World, eventually, get, put, steady, view_at};
use rep_env::net::Address;
use rep_env::{
    Acks, CommitHandle, CommitToken, Consistency, Durability, Error, Event, NodeState,
    ReplicatedEnvironment, SyncClass, Unacknowledged, Verdict,
};
use std::sync::Arc;
use std::time::Duration;

const WEAK: [SyncClass; 2] = [SyncClass::NoSync, SyncClass::WriteNoSync];

/// A group of three that has written once, and whose master is patient with everything but silence.
struct Stage {
    world: World,
    weather: Arc<Weather>,
    master: usize,
}

impl Stage {
    fn new(ack_timeout: Duration) -> Stage {
        let (world, weather) = group(3, |timing, _| {
            steady(timing);
            timing.ack_timeout = ack_timeout;
            timing.disk_stall = Duration::from_secs(3600);
        });
        let token = world.put("alice", "0");
        world.assert_everywhere(token, "alice", "0");
        let master = world.master();
        Stage { world, weather, master }
    }

    fn env(&self) -> &ReplicatedEnvironment {
        self.world.env(self.master)
    }

    fn begin_put(&self, value: &str, durability: Durability) -> CommitHandle {
        let env = self.env();
        let end = || Some(*env.vlsn_range()?.end());
        let before = end();
        let mut txn = env.begin().unwrap();
        txn.put(&env.database("accounts"), b"alice", value.as_bytes()).unwrap();
        let pending = txn.commit_with(durability).unwrap();
        // It is on its way to the log when that returns.
        eventually("a place in the log", || (end() > before).then_some(()));
        pending
    }

    fn others(&self) -> impl Iterator<Item = &ReplicatedEnvironment> {
        (0..3).filter(|at| *at != self.master).map(|at| self.world.env(at))
    }

    /// The master is alone from now on; who the others have instead.
    fn depose(&self) -> &ReplicatedEnvironment {
        self.weather.isolate(&Address::new(self.world.address(self.master)));
        eventually("another master", || self.others().find(|env| env.state() == NodeState::Master))
    }
}

/// All hold it and none of them could say so to its master. The next master has it in its log, so it is kept, and
/// whoever waits is told of a success by a node that is a replica by then.
#[test]
fn a_commit_that_survives_at_the_next_master_is_a_success() {
    let stage = Stage::new(Duration::from_secs(60));
    stage.weather.cut_acks();
    let pending = stage.begin_put("1", Durability::default());
    let last = *stage.env().vlsn_range().unwrap().end();
    for env in stage.others() {
        eventually("a copy", || (*env.vlsn_range()?.end() == last).then_some(()));
    }
    let next = stage.depose();
    assert!(pending.outcome().is_none(), "{:?}", pending.outcome());
    eventually("an end", || (stage.env().state() != NodeState::Master).then_some(()));
    stage.weather.clear();
    let token = pending.wait().unwrap();
    assert_eq!(token.point().vlsn, last);
    assert_eq!(stage.env().stats().commits_unknown, 0);
    assert_eq!(get(&view_at(next, token), "alice").as_deref(), Some("1"));
    stage.world.assert_everywhere(token, "alice", "1");
}

/// Nobody else holds it. Another term's entry is durable in its place, so it is gone for good: a definite failure, though it
/// had been logged, however little it had asked for.
#[test]
fn a_commit_whose_place_was_taken_is_rolled_back() {
    let weak = Durability::default().local(WEAK[0]).replica(WEAK[0]);
    for durability in [Durability::default(), weak] {
        let stage = Stage::new(Duration::from_secs(60));
        stage.weather.cut_streams();
        let mut events = stage.env().subscribe();
        let pending = stage.begin_put("lost", durability);
        let place = *stage.env().vlsn_range().unwrap().end();
        let next = stage.depose();
        let kept = eventually("a write there", || put(next, "bob", "1").ok());
        assert!(kept.point().vlsn >= place);
        assert!(pending.outcome().is_none(), "nobody has told it: {:?}", pending.outcome());
        stage.weather.clear();
        let error = pending.wait().unwrap_err();
        let Error::RolledBack { token } = &error else { panic!("{error}") };
        assert_eq!(token.point().vlsn, place);
        // Who does not hold a handle is told of the loss too, with its number.
        let stats = stage.env().stats();
        assert_eq!((stats.rollbacks, stats.entries_rolled_back), (1, 1));
        assert_eq!(stats.rolled_back, Some((place.get(), place.get())));
        eventually("news of it", || {
            let event = events.next_within(PATIENCE).expect("it goes on");
            (event == Event::RolledBack { dropped: place..=place }).then_some(())
        });
        assert!(matches!(error.verdict(), Verdict::RetryHere { .. }), "{error}");
        stage.world.assert_everywhere(kept, "alice", "0");
    }
}

/// The members are there and none says that it holds the entry: at the deadline nobody can know what will become of it. Who
/// did and who did not is told, and later the token tells what became of it.
#[test]
fn a_commit_nobody_acknowledged_in_time_is_unknown_and_names_who_did_not() {
    for class in [SyncClass::Sync, WEAK[0], WEAK[1]] {
        let stage = Stage::new(Duration::from_secs(2));
        stage.weather.cut_streams();
        let durability = Durability::default().local(class).replica(class);
        let error = stage.begin_put("1", durability).wait().unwrap_err();
        let token = unknown(&stage, &error);
        stage.weather.clear();
        stage.world.assert_everywhere(token, "alice", "1");
    }
}

fn unknown(stage: &Stage, error: &Error) -> CommitToken {
    let Error::InsufficientAcks { token, why: Unacknowledged::Late, needed, acked_by, missing } =
        error
    else {
        panic!("{error}")
    };
    let names: Vec<&str> = stage.others().map(ReplicatedEnvironment::name).collect();
    assert_eq!((*needed, missing), (2, &names.iter().map(|name| (*name).to_owned()).collect()));
    // Its own disk may have been slower than the deadline.
    assert!(acked_by.is_empty() || acked_by == &[stage.env().name()], "{acked_by:?}");
    assert!(names.iter().all(|name| error.to_string().contains(name)), "{error}");
    assert_eq!(error.verdict(), Verdict::OutcomeUnknown(*token));
    *token
}

/// A write that asked nobody is acknowledged by its master alone, and so may go with it. Its token is for no other entry.
#[test]
fn a_write_that_asked_nobody_may_be_lost_and_its_token_says_so() {
    let stage = Stage::new(Duration::from_secs(60));
    stage.weather.cut_streams();
    let asks_nobody = Durability::default().acks(Acks::None);
    let token = stage.begin_put("lost", asks_nobody).wait().unwrap();
    let next = stage.depose();
    let kept = eventually("a write there", || put(next, "bob", "1").ok());
    stage.weather.clear();
    for env in stage.world.running_envs() {
        view_at(env, kept);
        let read = env.read(Consistency::AtLeast(token)).wait();
        assert_eq!(read.unwrap_err(), Error::RolledBack { token }, "{}", env.name());
    }
    stage.world.assert_everywhere(kept, "alice", "0");
}
