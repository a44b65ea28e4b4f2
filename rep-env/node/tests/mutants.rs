//! The planted bugs of commits, each switched on alone, break what a durability promises; without any, it holds.
//! Built with `--cfg rep_mutants`; otherwise there is nothing here.
#![cfg(rep_mutants)]

#[path = "harness/copies.rs"]
mod copies;
#[path = "harness/group.rs"]
mod harness;

use rep_vlsn::mutants;
use std::panic::catch_unwind;

fn rules() {
    copies::every_commit_waits_for_just_what_it_asked();
    copies::an_old_terms_commit_waits_until_it_is_durable();
}

#[test]
fn every_planted_bug_is_noticed() {
    rules();
    let names = [
        "dur-all-is-majority",
        "dur-apply-acknowledged",
        "dur-old-term",
        "dur-own-unwritten",
        "dur-received-for-sync",
        "dur-ack-unwritten",
    ];
    for name in names {
        mutants::enable(name);
        let noticed = catch_unwind(rules).is_err();
        mutants::disable_all();
        assert!(noticed, "{name} goes unnoticed");
    }
}
