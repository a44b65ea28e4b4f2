//! Every invariant was seen to fire: a judge that never spoke proves nothing by its silence.
//!
//! The table has a row for each: what has to go wrong, by hand, for this one to be named and no other. Half of them can be shown to the
//! oracle alone (`known`, `members` for who belongs, `designated` for who goes on alone), which is told what nodes do; the others take a world (`lived`).

mod designated;
mod known;
mod lived;
mod members;

use crate::oracle::{Invariant, Violation};

/// What breaks an invariant, and what is said then.
type Row = (Invariant, fn() -> Option<Violation>);

const TABLE: &[Row] = &[
    (Invariant::ElectionSafety, known::two_masters_of_a_term),
    (Invariant::TermMonotonic, known::a_fence_falls),
    (Invariant::OnePromise, known::a_term_is_promised_twice),
    (Invariant::PromiseDurability, known::a_promise_before_its_fence),
    (Invariant::LogMatching, known::two_entries_in_one_place),
    (Invariant::LeaderCompleteness, known::a_master_that_lacks_what_is_durable),
    (Invariant::AckAfterSync, known::an_acknowledgement_before_the_sync),
    (Invariant::AckedCommitLoss, known::an_acknowledged_write_is_cut),
    (Invariant::DistinctVoters, known::a_wiped_copy_is_counted),
    (Invariant::DvlsnTruthful, known::one_copy_is_called_durable),
    (Invariant::OldTerm, known::an_earlier_term_is_counted),
    (Invariant::VlsnDense, known::a_gap),
    (Invariant::RollbackFloor, known::what_is_durable_is_cut),
    (Invariant::AppliedBound, known::more_is_applied_than_is_durable),
    (Invariant::ReplicaEquality, known::two_states_at_one_point),
    (Invariant::CorruptionIsNotACrash, known::a_log_shorter_than_its_mark),
    (Invariant::LinearizableReads, known::a_stale_read),
    (Invariant::LinearizableHistory, lived::a_history_without_an_order),
    (Invariant::TokenReads, known::a_token_of_nothing),
    (Invariant::BoundedReads, known::a_read_older_than_it_may_be),
    (Invariant::SessionOrder, known::a_session_goes_back),
    (Invariant::NoAbortedRead, known::what_is_not_durable_is_shown),
    (Invariant::DeposedMaster, known::a_deposed_master_answers),
    (Invariant::FailMeansNoEffect, lived::what_failed_is_durable),
    (Invariant::ConfigOverlap, members::a_master_that_too_few_have_promised),
    (Invariant::OneChange, members::a_change_on_top_of_another),
    (Invariant::NumbersOnce, members::a_number_for_another_directory),
    (Invariant::RemovedCounts, members::a_promise_to_nobody),
    (Invariant::CaughtUp, members::a_vote_for_who_holds_nothing),
    (Invariant::LatestRules, members::a_node_that_goes_by_another),
    (Invariant::ChangeAnswered, members::a_change_that_nobody_has_made),
    (Invariant::VouchKept, members::an_arbiter_that_says_less),
    (Invariant::VouchAsked, members::a_word_for_what_no_disk_has),
    (Invariant::WipedVoter, known::a_wiped_member_acknowledges),
    (Invariant::FrameIntegrity, lived::a_frame_that_is_as_it_was),
    (Invariant::RestoreAtomic, lived::who_makes_way_goes_on),
    (Invariant::RestoreNotBackwards, known::a_copy_from_before),
    (Invariant::PurgeSafety, known::what_the_store_needs_is_cleaned),
    (Invariant::RelaySafe, known::a_relay_of_what_may_be_cut),
    (Invariant::MonitorSilent, known::a_monitor_that_answers),
    (Invariant::ShippedWhole, known::a_sink_with_a_hole),
    (Invariant::LogBounded, known::a_log_that_takes_too_much),
    (Invariant::LoneOverride, designated::elected_alone_it_counts_the_other_still),
    (Invariant::ForeignMachine, lived::a_machine_that_comes_back_with_more),
    (Invariant::BoundedQueues, lived::more_fences_than_may_wait),
    (Invariant::BoundedWork, lived::a_step_that_never_ends),
    (Invariant::Liveness, lived::nobody_writes),
    (Invariant::Stability, lived::an_election_for_nothing),
    (Invariant::ConnectedQuorum, lived::nothing_is_served_by_a_majority),
    (Invariant::ErrorHonesty, lived::a_disk_that_nobody_told_to_fail),
    (Invariant::Shutdown, lived::a_caller_that_is_left_behind),
    (Invariant::SyncedInTime, lived::a_write_that_is_never_synced),
    (Invariant::Handover, lived::a_wish_that_nobody_answers),
    (Invariant::FullDisk, lived::a_master_that_cannot_write),
    (Invariant::Determinism, lived::two_runs_of_a_seed),
    (Invariant::NoPanic, lived::a_panic),
];

#[test]
fn every_invariant_fires() {
    for invariant in Invariant::ALL {
        let rows: Vec<&Row> = TABLE.iter().filter(|(of, _)| of == invariant).collect();
        let [(_, breaks)] = rows[..] else {
            panic!("{invariant}: {} rows show it; one is due", rows.len());
        };
        let said = breaks().unwrap_or_else(|| panic!("{invariant}: nobody says a word"));
        assert_eq!(said.invariant, *invariant, "{said}");
    }
}

/// The other rules that share a number with one of the table.
#[test]
fn every_rule_under_a_shared_number_fires_too() {
    for (invariant, breaks) in known::OTHERS.iter().chain(members::OTHERS).chain(designated::OTHERS)
    {
        let said = breaks().unwrap_or_else(|| panic!("another rule of {invariant} is silent"));
        assert_eq!(said.invariant, *invariant, "{said}");
    }
}
