//! The planted bugs of commits, of copies, of memberships, of arbiters, of designated members, of monitors and of relays, each switched on alone, break what is promised of them; without any, it holds.
//! Built with `--cfg rep_mutants`; otherwise there is nothing here.
#![cfg(rep_mutants)]

#[path = "harness/arbiters.rs"]
mod arbiters;
#[path = "harness/changes.rs"]
mod changes;
#[path = "harness/copies.rs"]
mod copies;
#[path = "harness/group.rs"]
mod harness;
#[path = "harness/images.rs"]
mod images;
#[path = "harness/joining.rs"]
mod joining;
#[path = "harness/pairs.rs"]
mod pairs;
#[path = "harness/relays.rs"]
mod relays;
#[path = "harness/stragglers.rs"]
mod stragglers;
#[path = "harness/stranded.rs"]
mod stranded;
#[path = "harness/watchers.rs"]
mod watchers;

use rep_vlsn::mutants;
use std::panic::catch_unwind;

fn rules() {
    arbiters::a_lone_copy_goes_on_and_a_stale_one_is_not_elected();
    arbiters::an_arbiter_is_not_asked_beside_two_copies();
    arbiters::an_arbiter_vouches_only_for_what_its_master_has_synced();
    arbiters::an_arbiter_says_nothing_below_its_fence();
    arbiters::what_an_arbiter_wrote_down_never_goes_back();
    changes::a_learner_is_not_promoted_before_it_holds_what_there_is();
    changes::a_removed_member_is_told_goes_quiet_and_its_number_is_not_used_again();
    changes::a_removal_that_dies_with_its_master_leaves_the_others_able_to_elect();
    changes::a_change_that_is_rolled_back_rules_no_more();
    changes::one_change_is_in_flight_at_a_time_and_the_next_waits_for_it();
    changes::a_change_waits_for_the_begin_of_the_term();
    changes::no_two_members_have_one_address();
    copies::every_commit_waits_for_just_what_it_asked();
    copies::an_old_terms_commit_waits_until_it_is_durable();
    images::an_older_image_that_its_master_remembers_falls_silent();
    images::an_older_image_does_not_keep_its_master();
    images::an_older_image_that_no_election_can_do_without_is_not_told();
    images::what_an_earlier_connection_said_makes_nobody_an_image();
    pairs::the_designated_one_goes_on_and_takes_the_other_back();
    pairs::the_other_one_is_never_elected_alone();
    pairs::it_asks_the_other_first();
    pairs::an_override_fences_the_other_side();
    watchers::what_a_monitor_says_is_not_heeded();
    watchers::a_monitor_gives_no_answer_that_counts();
    watchers::a_monitor_is_refused_a_stream();
    watchers::a_monitor_that_was_removed_gives_no_answer_either();
    relays::the_master_sends_a_secondary_nothing_that_a_replica_feeds();
    relays::what_is_not_durable_is_not_relayed();
    relays::a_relay_that_falls_silent_is_passed_over();
    stranded::a_copy_below_the_last_entry_is_not_taken();
    stranded::a_member_that_makes_way_does_nothing();
    stranded::a_source_in_doubt_gives_nothing();
    stranded::who_doubts_itself_gives_a_copy_only_where_nobody_else_could();
    stranded::a_pin_keeps_the_log();
    stranded::a_file_is_as_old_as_it_was_before_the_opening();
    stranded::the_log_is_kept_until_who_was_given_a_copy_follows();
    stranded::a_copy_that_leads_to_no_stream_is_not_put_in_place();
    stragglers::a_straggler_slower_than_the_writers_converges();
    stragglers::writers_are_slowed_down_for_so_long_and_no_longer();
    stragglers::an_entry_is_let_in_every_half_second();
    stragglers::nobody_is_waited_for_whose_log_is_gone();
    stragglers::the_dead_are_waited_for_a_tenth_of_the_patience();
}

#[test]
fn every_planted_bug_is_noticed() {
    rules();
    let names = [
        "arbiter-vouch-goes-back",
        "arbiter-vouches-below-its-fence",
        "arbiter-vouches-beside-a-copy",
        "arbiter-vouches-for-the-unsynced",
        "arbiter-without-veto",
        "designated-without-override",
        "dur-all-is-majority",
        "dur-apply-acknowledged",
        "dur-old-term",
        "dur-own-unwritten",
        "dur-received-for-sync",
        "dur-ack-unwritten",
        "election-designated-in-haste",
        "image-leaves-no-electors",
        "image-of-an-earlier-connection",
        "image-told-in-haste",
        "members-share-an-address",
        "members-change-before-term-start",
        "members-id-reused",
        "members-promote-before-caught-up",
        "members-removed-counts",
        "members-removed-goes-on",
        "members-removed-is-fed",
        "members-two-changes-in-flight",
        "members-uncommitted-not-rolled-back",
        "monitor-answers",
        "monitor-is-fed",
        "monitor-is-heeded",
        "quorum-designated-not-asked",
        "reign-heard-by-an-image",
        "node-clean-by-the-clock",
        "pace-of-nobody",
        "pace-of-the-silent",
        "pace-of-what-is-gone",
        "pace-outlives-the-patience",
        "pace-stops-writers",
        "relay-never-passed-over",
        "relay-sends-the-undurable",
        "restore-from-a-doubtful-source",
        "restore-from-a-source-in-doubt",
        "restore-goes-backwards",
        "restore-goes-on-meanwhile",
        "restore-pin-ends-with-the-copy",
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
