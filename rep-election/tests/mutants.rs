//! Would the tests find real bugs? Each planted one has to be found by a storm or a scene. Only builds with
//! `--cfg rep_mutants` contain them: `RUSTFLAGS="--cfg rep_mutants" cargo test -p rep-election --test mutants`.
#![cfg(rep_mutants)]

#[path = "support/storm.rs"]
#[allow(dead_code)]
mod storm;
#[path = "support/world.rs"]
#[allow(dead_code)]
mod world;

use rep_vlsn::mutants;
use std::panic::catch_unwind;
#[path = "support/churn.rs"]
mod churn;

use churn::churn;
use storm::{cut_off_from_the_master_alone, storm};

const PLANTED: [&str; 11] = [
    "election-skip-promise-sync",
    "election-resolicit-persisted-term",
    "election-accept-after-restart",
    "election-majority-off-by-one",
    "election-rank-by-vlsn",
    "election-wiped-votes",
    "election-two-promises-a-term",
    "election-no-prevote-check",
    "election-learner-counts",
    "election-old-config-wins",
    "quorum-unmet-change",
];

/// One test, since the set of planted bugs belongs to the process.
#[test]
fn every_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for name in PLANTED {
        mutants::disable_all();
        mutants::enable(name);
        match first_failure() {
            Some((what, why)) => eprintln!("{name}: {what}: {why}"),
            None => missed.push(name),
        }
    }
    mutants::disable_all();
    drop(std::panic::take_hook());
    assert_eq!(missed, Vec::<&str>::new());
    assert_eq!(first_failure(), None, "without planted bugs nothing is found");
}

fn first_failure() -> Option<(String, String)> {
    let failed = |run: &(dyn Fn() + std::panic::RefUnwindSafe)| {
        let why = catch_unwind(run).err()?;
        let text = why.downcast_ref::<String>().cloned();
        text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()))
    };
    if let Some(why) = failed(&cut_off_from_the_master_alone) {
        return Some(("a node cut off from the master alone".into(), why));
    }
    (0..1000).find_map(|seed| {
        let size = if seed % 3 == 0 { 5 } else { 3 };
        if let Some(why) = failed(&|| drop(storm(size, true, seed))) {
            return Some((format!("storm of {size}, seed {seed}"), why));
        }
        let why = failed(&|| {
            churn(size, 4, seed);
        })?;
        Some((format!("changes in a storm of {size}, seed {seed}"), why))
    })
}
