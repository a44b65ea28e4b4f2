//! The planted bugs of commits and of copies, each switched on alone, break what is promised of them; without any, it holds.
//! Built with `--cfg rep_mutants`; otherwise there is nothing here.
#![cfg(rep_mutants)]

#[path = "harness/copies.rs"]
mod copies;
#[path = "harness/group.rs"]
mod harness;
#[path = "harness/stranded.rs"]
mod stranded;

use rep_vlsn::mutants;
use std::panic::catch_unwind;

fn rules() {
    copies::every_commit_waits_for_just_what_it_asked();
    copies::an_old_terms_commit_waits_until_it_is_durable();
    stranded::a_copy_below_the_last_entry_is_not_taken();
    stranded::a_member_that_makes_way_does_nothing();
    stranded::a_source_in_doubt_gives_nothing();
    stranded::a_pin_keeps_the_log();
    stranded::a_copy_that_leads_to_no_stream_is_not_put_in_place();
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
        "restore-from-a-source-in-doubt",
        "restore-goes-backwards",
        "restore-goes-on-meanwhile",
        "restore-pin-ignored",
        "restore-takes-what-leads-nowhere",
    ];
    for name in names {
        mutants::enable(name);
        let noticed = catch_unwind(rules).is_err();
        mutants::disable_all();
        assert!(noticed, "{name} goes unnoticed");
    }
}
