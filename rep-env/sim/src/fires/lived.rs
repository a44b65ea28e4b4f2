//! What it takes a world to show.

use crate::driver::Word;
use crate::faults::End;
use crate::history::{Asked, Call, History, Txn};
use crate::machine::Machine;
use crate::network::is_refused;
use crate::oracle::{Checked, Violation};
use crate::passenger::Passenger;
use crate::process::Crash;
use crate::recording::Recording;
use crate::run;
use crate::scenario::partial;
use crate::swarm::Swarm;
use crate::trace::Detail;
use crate::world::World;
use bytes::Bytes;
use rep_node::{Durability, Request};
use rep_store::{Digest, Entry, StoreError};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::cell::Cell;
use std::time::Duration;

const N1: Machine = Machine::new(1);
const T1: Term = Term::new(1);
const FIRST: LogPoint = LogPoint::new(T1, Vlsn::FIRST);

type Said = Option<Violation>;

/// A group of three with a master; nobody writes.
fn group() -> World {
    let mut world = World::new(1, Swarm::calm(3), Detail::Hash);
    world.ids().into_iter().for_each(|id| world.start(id));
    assert!(world.run_until(Duration::from_secs(30), |world| world.master().is_some()));
    world
}

fn said(checked: Checked) -> Said {
    checked.err()
}

pub(super) fn a_history_without_an_order() -> Said {
    let mut recording = Recording::default();
    let put = Txn { reads: Vec::new(), writes: vec![("k".to_owned(), Some("v".into()))] };
    recording.commits(Request(1), None, &put);
    recording.committed(Request(1), Durability::default());
    recording.reads(Request(2), None, &"k".to_owned());
    recording.read(Request(2), &None);
    recording.judge().err()
}

pub(super) fn what_failed_is_durable() -> Said {
    let mut history = History::default();
    let what = Asked::Write(Durability::default());
    let (begun, known) = (Duration::ZERO, LogPoint::NULL);
    let call = Call { client: None, node: N1, term: T1, begun, known, what };
    let request = history.begin(call, Some(Txn::default()));
    history.staged(request, FIRST);
    history.failed(FIRST);
    said(history.replay(T1))
}

/// Said to have changed, and whole: so would one be that the decoder does not look at.
pub(super) fn a_frame_that_is_as_it_was() -> Said {
    let payload = Bytes::from_static(b"as it was");
    let mut wire = rep_net::frame::header(std::slice::from_ref(&payload)).to_vec();
    wire.extend_from_slice(&payload);
    said(is_refused(&wire))
}

/// It had applied nothing, and says that it has.
#[derive(Debug)]
struct Braggart;

impl Passenger for Braggart {
    fn open(&mut self) -> LogPoint {
        FIRST
    }

    fn close(&mut self) {}

    fn wipe(&mut self) {}

    fn apply(&mut self, _: &[Entry]) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }

    fn applied(&self) -> LogPoint {
        FIRST
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        Ok(FIRST)
    }

    fn state(&self) -> Result<Digest, StoreError> {
        Ok(Digest([0; 16]))
    }
}

pub(super) fn a_machine_that_comes_back_with_more() -> Said {
    let mut world = World::new(1, Swarm::calm(1), Detail::Hash);
    world.passengers.board(N1, Box::new(Braggart));
    world.start(N1);
    world.failure
}

pub(super) fn more_fences_than_may_wait() -> Said {
    let mut world = group();
    let live = world.live_mut(N1).expect("it runs");
    live.words.extend([Word::Fence(live.node.fence()); 9]);
    said(world.is_bounded(N1, 0))
}

pub(super) fn a_step_that_never_ends() -> Said {
    said(group().is_bounded(N1, 1_000))
}

pub(super) fn nobody_writes() -> Said {
    let mut world = group();
    world.prove_life();
    world.failure
}

pub(super) fn an_election_for_nothing() -> Said {
    let mut world = group();
    let master = world.master().expect("there is one");
    world.faults.settled = world.live_mut(master).map(|live| live.node.term());
    world.pause(master);
    world.run_for(Duration::from_secs(30));
    world.failure
}

pub(super) fn nothing_is_served_by_a_majority() -> Said {
    let mut world = group();
    assert!(!partial::serves(&mut world, crate::faults::Shape::Alone), "nobody asks for a write");
    world.failure
}

pub(super) fn a_disk_that_nobody_told_to_fail() -> Said {
    let mut world = group();
    let master = world.master().expect("there is one");
    world.process(master).home.disk.fail_next_write();
    world.add_clients(1);
    world.run_for(Duration::from_secs(30));
    world.failure
}

pub(super) fn a_caller_that_is_left_behind() -> Said {
    let mut world = group();
    let nobody = Request(u64::MAX);
    world.live_mut(N1).expect("it runs").open_calls.insert(nobody);
    world.end_process(N1, End { how: Crash::Close, fate: 0, silent: false });
    world.failure
}

pub(super) fn a_write_that_is_never_synced() -> Said {
    let mut world = group();
    world.run_for(Duration::from_secs(1));
    let live = world.live_mut(N1).expect("it runs");
    (live.unsynced_since, live.free_since) = (Some(Duration::ZERO), Duration::ZERO);
    world.is_synced_in_time(N1);
    world.failure
}

pub(super) fn who_makes_way_goes_on() -> Said {
    let mut world = group();
    world.live_mut(N1).expect("it runs").makes_way = true;
    world.run_for(Duration::from_secs(2));
    world.failure
}

pub(super) fn a_wish_that_nobody_answers() -> Said {
    let mut world = group();
    let live = world.live_mut(N1).expect("it runs");
    live.wishes.insert(Request(1), Duration::ZERO);
    world.run_for(Duration::from_secs(2));
    world.failure
}

pub(super) fn a_master_that_cannot_write() -> Said {
    let mut world = group();
    let master = world.master().expect("the group has one");
    world.live_mut(master).expect("it runs").waits_for_space = true;
    world.gives_its_place(master);
    world.failure
}

/// The second time it does something else.
pub(super) fn two_runs_of_a_seed() -> Said {
    let begun = Cell::new(0);
    let play = |world: &mut World| {
        begun.set(begun.get() + 1);
        world.ids().into_iter().take(begun.get()).for_each(|id| world.start(id));
        world.run_for(Duration::from_secs(1));
    };
    let twice = run::twice(1, Swarm::calm(3), play);
    twice.err().map(|failure| failure.violation)
}

pub(super) fn a_panic() -> Said {
    let played = run::play(1, Swarm::calm(1), Detail::Brief, |_| panic!("on purpose"));
    played.err().map(|failure| failure.violation)
}
