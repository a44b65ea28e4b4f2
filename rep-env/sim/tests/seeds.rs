//! Some seeds with every test run: they hold, and they are the same run each time.

use rep_sim::coverage::{Coverage, EXCUSED, INPUTS, ROLES};
use rep_sim::run::run_seed_covered;
use rep_sim::{Class, Detail, Invariant, Swarm, planted, run_seed, run_seed_twice, scenario};

#[test]
fn the_first_seeds_hold_and_each_is_one_run() {
    for seed in 0..40 {
        if let Err(failure) = run_seed_twice(seed) {
            panic!("{failure}");
        }
    }
}

/// Looking on changes nothing, and soon sees a good part of what there is.
#[test]
fn what_runs_meet_is_counted_and_the_run_is_the_same() {
    let mut all = Coverage::default();
    for seed in 0..40 {
        let (outcome, coverage) = run_seed_covered(seed).expect("it holds");
        assert_eq!(outcome.trace, run_seed(seed, Detail::Hash).unwrap().trace);
        all.add(coverage);
    }
    let cells = ROLES.len() * INPUTS.len() - EXCUSED.len();
    let unseen = all.unseen_cells();
    assert!(unseen.len() < cells / 4, "of {cells} cells these are unseen: {unseen:?}");
    assert!(all.states.len() > 5_000, "{} states", all.states.len());
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

/// What four hundred worlds need not see. (A copy rots only if its disk fails a read at the wrong moment.)
const RARE: [&str; 7] = [
    "peer errors",
    "given up",
    "histories cut",
    "histories unknown",
    "copies rejected",
    // Of a scene of their own.
    "secondaries",
    "vouches",
];

/// Whatever the simulator can do to a group or ask of it is done and asked: faults of every kind, every operation, every
/// durability, every consistency; and callers hear every answer. A kind that no world draws any more finds nothing.
#[test]
fn every_kind_of_fault_and_of_call_comes_up() {
    let mut counts = rep_sim::Counts::default();
    for seed in 200..600 {
        counts.add(&run_seed(seed, Detail::Hash).unwrap().counts);
    }
    let missing: Vec<&str> = counts
        .by_name()
        .into_iter()
        .filter(|(name, count)| *count == 0 && !RARE.contains(name))
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

/// A few of the thousands of places between two outputs; `cargo xtask sim --scene outputs --seeds 3200` comes to all of them.
#[test]
fn a_process_may_end_with_any_of_its_outputs() {
    for seed in (0..3_200).step_by(79) {
        if let Err(failure) = scenario::run_scene("outputs", seed, Detail::Hash) {
            panic!("{failure}");
        }
    }
}

/// What the help tells and what there is are one list.
#[test]
fn the_help_names_every_scene() {
    let names: Vec<&str> = scenario::names().collect();
    let names = names.join(", ");
    for file in ["src/args.rs", "../../xtask/src/sim.rs"] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&file).expect("it lies beside");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&names), "{} does not name {names}", file.display());
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

/// An invariant that nobody checks and nobody misses is not promised to anyone.
#[test]
fn every_invariant_of_the_plan_is_checked_or_its_absence_has_a_reason() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing.md");
    let docs = std::fs::read_to_string(docs).expect("it lies beside the crates");
    for number in 1..=INVARIANTS_PLANNED {
        let id = format!("I-{number}");
        let checked = Invariant::ALL.iter().any(|invariant| invariant.id() == id);
        let excused = docs.contains(&format!("\n| {id} | "));
        assert!(checked != excused, "{id}: checked {checked}, excused {excused}");
    }
}

/// They are numbered from 1 on.
const INVARIANTS_PLANNED: u32 = 39;

#[test]
fn planted_bugs_are_known_by_name_and_absent_here() {
    assert!(planted::TABLE.len() >= 12);
    assert!(planted::find("stream-ack-before-sync").is_some());
    assert!(planted::enable("no-such-bug").is_err());
    assert!(Swarm::draw(1).nodes >= 1);
}

/// A probe that nobody lists would never be missed, and one that is nowhere would always be.
#[test]
fn every_probe_in_the_code_is_listed_and_every_listed_one_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = std::collections::BTreeSet::new();
    for folder in ["rep-vlsn/src", "rep-election/src", "rep-stream/src", "rep-env/node/src"] {
        probes_in(&root.join(folder), &mut found);
    }
    let listed: std::collections::BTreeSet<String> =
        rep_sim::coverage::PROBES.iter().map(|name| name.to_string()).collect();
    assert_eq!(found, listed);
}

fn probes_in(folder: &std::path::Path, found: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the crates lie beside this one") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            probes_in(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it is text");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|line| line.contains("sometimes!(") || line.contains("buggify!(")) {
            let name = line.rsplit('"').nth(1);
            found.extend(name.map(str::to_owned));
        }
    }
}
