//! Some seeds with every test run: they hold, and they are the same run each time.

use rep_sim::{Class, Detail, Invariant, Swarm, planted, run_seed, run_seed_twice, scenario};

#[test]
fn the_first_seeds_hold_and_each_is_one_run() {
    for seed in 0..40 {
        if let Err(failure) = run_seed_twice(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn two_seeds_are_two_runs() {
    let trace = |seed| run_seed(seed, Detail::Hash).unwrap().trace;
    assert_ne!(trace(1), trace(2));
}

#[test]
fn lines_do_not_change_the_run() {
    let hash = |detail| run_seed(5, detail).unwrap().trace;
    assert_eq!(hash(Detail::Hash), hash(Detail::Last));
}

/// A simulator that is too cruel makes no progress, and finds nothing.
#[test]
fn most_worlds_serve_writes_under_trouble() {
    let served = (100..160).filter(|seed| run_seed(*seed, Detail::Hash).unwrap().made_progress);
    assert!(served.count() >= 50);
}

/// Whatever the simulator can do to a group or ask of it is done and asked: faults of every kind, every operation, every
/// durability, every consistency; and callers hear every answer. A kind that no world draws any more finds nothing.
#[test]
fn every_kind_of_fault_and_of_call_comes_up() {
    let mut counts = rep_sim::Counts::default();
    for seed in 200..300 {
        counts.add(&run_seed(seed, Detail::Hash).unwrap().counts);
    }
    let missing: Vec<&str> = counts
        .by_name()
        .into_iter()
        .filter(|(name, count)| *count == 0 && *name != "peer errors")
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn the_commit_survives_the_return_of_the_longer_log() {
    for seed in 0..100 {
        if let Err(failure) = scenario::run_scene("je", seed, Detail::Hash) {
            panic!("{failure}");
        }
    }
}

#[test]
fn invariants_have_distinct_numbers_and_classes_distinct_exit_codes() {
    let mut ids: Vec<&str> = Invariant::ALL.iter().map(|invariant| invariant.id()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let codes =
        [Class::Safety, Class::Liveness, Class::Determinism, Class::Panic].map(Class::exit_code);
    assert!(codes.windows(2).all(|pair| pair[0] != pair[1]) && !codes.contains(&0));
}

#[test]
fn planted_bugs_are_known_by_name_and_absent_here() {
    assert!(planted::TABLE.len() >= 12);
    assert!(planted::find("stream-ack-before-sync").is_some());
    assert!(planted::enable("no-such-bug").is_err());
    assert!(Swarm::draw(1).nodes >= 1);
}
