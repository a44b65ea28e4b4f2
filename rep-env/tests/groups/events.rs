//! What those hear who watch, at whatever pace.

use crate::world::{Net, PATIENCE, World, eventually};
use rep_env::{NodeState, StateEvent, StateEvents};

/// Whoever is master has to go, and comes back; how often the state of member 0 has changed by then.
fn turmoil(world: &mut World, rounds: usize) -> u64 {
    for _ in 0..rounds {
        let (master, env) = (world.master(), world.env(0).clone());
        if master == 0 {
            // It is to be watched, so it is not closed: without the others it cannot reign.
            (1..3).for_each(|at| world.close(at));
            eventually("an end", || (env.state() != NodeState::Master).then_some(()));
            (1..3).for_each(|at| drop(world.open(at)));
        } else {
            world.close(master);
            world.master();
            world.open(master);
        }
        env.wait_for_master(PATIENCE).unwrap();
    }
    world.env(0).stats().state_changes
}

/// Each goes on where the one before it ended, and nothing lies between that could not have been.
fn assert_story(events: &[StateEvent]) {
    let settled = |state| matches!(state, NodeState::Master | NodeState::Replica);
    for pair in events.windows(2) {
        assert_eq!(pair[0].new, pair[1].old, "{pair:?}");
        assert!(pair[0].term <= pair[1].term, "{pair:?}");
        assert!(pair[0].new != NodeState::Shutdown, "nothing follows it: {pair:?}");
    }
    for event in &events[1..] {
        assert!(!(settled(event.old) && settled(event.new)), "{event:?}");
        assert!(!event.reason.is_empty(), "{event:?}");
    }
}

fn heard(events: StateEvents) -> Vec<StateEvent> {
    let events: Vec<_> = events.collect();
    assert_eq!(events[0].old, events[0].new, "the present first");
    assert_eq!(events.last().unwrap().new, NodeState::Shutdown);
    assert_story(&events);
    events
}

/// One listener hears each change when it comes, one asks when all is over, and one that comes late hears of the present first.
#[test]
fn whoever_listens_is_told_a_story_that_could_have_been() {
    let mut world = World::running(Net::Memory, 3);
    let env = world.env(0).clone();
    env.wait_for_master(PATIENCE).unwrap();
    let (quick, slow) = (env.subscribe().states(), env.subscribe().states());
    let listener = std::thread::spawn(move || heard(quick));
    let changes = turmoil(&mut world, 3);
    assert!(changes >= 6, "{changes}");
    let late = env.subscribe().states();
    world.close(0);
    let (slow, quick, late) = (heard(slow), listener.join().unwrap(), heard(late));
    assert_eq!(slow, quick, "as many as these are kept for whoever is late");
    assert!(late.len() < quick.len());
    assert_eq!(late[1..], quick[quick.len() - late.len() + 1..], "and then what the others hear");
}

/// After `Shutdown` there is nothing, however often it is asked.
#[test]
fn after_shutdown_the_iterator_has_ended() {
    let mut world = World::running(Net::Memory, 1);
    let mut events = world.env(0).subscribe().states();
    world.close(0);
    assert_eq!(events.by_ref().last().unwrap().new, NodeState::Shutdown);
    assert_eq!(events.next(), None);
    assert_eq!(events.next_within(PATIENCE), None);
}
