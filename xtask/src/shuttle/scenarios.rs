//! All scenarios, with the least number of executions that each has to go through when as many were asked for as by default.
//!
//! Twins (0) end at the first execution that breaks them, and have to be broken within as many.

use crate::explore::{Binary, Models};

/// What is not broken goes through all of them.
const DRAWN: u64 = super::ITERATIONS_OF_RECORD as u64;

pub(super) const SCENARIOS: &[Models] = &[
    Models {
        package: "rep-env",
        binary: Binary::Lib,
        features: &[],
        models: &[
            ("shuttle_a_close_ends_every_wait_for_credit", DRAWN),
            ("shuttle_a_close_ends_every_wait_for_the_turn", DRAWN),
            (
                "shuttle_a_close_in_the_midst_of_commits_answers_them_all_and_every_thread_ends",
                DRAWN,
            ),
            ("shuttle_a_close_meets_many_drivers_and_nobody_is_left_waiting", DRAWN),
            ("shuttle_a_node_that_is_well_commits_for_all_and_closes", DRAWN),
            ("shuttle_a_sync_that_fails_fails_all_who_wait_for_it", DRAWN),
            ("shuttle_a_turn_that_is_forgotten_is_had_by_the_next_and_by_one_alone", DRAWN),
            ("shuttle_all_news_is_driven_whoever_brings_it", DRAWN),
            ("shuttle_all_who_wait_for_a_commit_see_the_one_answer_that_counts", DRAWN),
            ("shuttle_room_in_the_credit_reaches_all_who_wait", DRAWN),
            ("shuttle_the_turn_comes_to_all_who_do_not_give_up", DRAWN),
            ("shuttle_twin_a_close_between_the_look_and_the_sleep_is_slept_over", 0),
            ("shuttle_twin_a_close_that_leaves_who_waits_for_room_is_found", 0),
            ("shuttle_twin_a_close_that_tells_the_first_in_line_alone_is_found", 0),
            ("shuttle_twin_a_driver_that_goes_without_looking_forgets_a_commit", 0),
            ("shuttle_twin_a_driver_that_goes_without_looking_leaves_news_behind", 0),
            ("shuttle_twin_a_failed_sync_that_answers_nobody_is_found", 0),
            ("shuttle_twin_a_promise_that_is_dropped_in_silence_is_found", 0),
            ("shuttle_twin_a_sleeper_that_lets_go_before_it_sleeps_is_found", 0),
            ("shuttle_twin_a_writer_that_vouches_for_what_came_meanwhile_is_found", 0),
            ("shuttle_twin_an_answer_after_the_answer_is_found", 0),
            ("shuttle_twin_an_expired_holder_that_may_commit_is_found", 0),
            ("shuttle_twin_room_made_between_the_look_and_the_sleep_is_slept_over", 0),
            ("shuttle_twin_tasks_taken_before_the_answer_is_given_are_forgotten", 0),
            ("shuttle_twin_who_was_passed_and_counts_as_told_sleeps_for_ever", 0),
            ("shuttle_what_was_acknowledged_outlives_the_power", DRAWN),
        ],
    },
    Models {
        package: "rep-explore",
        binary: Binary::Test("shuttle_replay"),
        features: &[],
        models: &[
            ("shuttle_twin_a_kept_schedule_fails_again", 0),
            ("shuttle_twin_a_wait_that_looked_before_is_found", 0),
        ],
    },
    Models {
        package: "rep-fsm",
        binary: Binary::Test("shuttle_state_cell"),
        features: &[],
        models: &[
            ("shuttle_many_at_one_cell_are_told_one_story_and_its_end", DRAWN),
            ("shuttle_twin_a_change_between_the_look_and_the_sleep_is_slept_over", 0),
            ("shuttle_twin_a_story_told_outside_the_lock_has_gaps", 0),
        ],
    },
    Models {
        package: "rep-net",
        binary: Binary::Test("shuttle_queue"),
        features: &[],
        models: &[
            ("shuttle_a_close_in_the_midst_ends_every_wait_and_loses_nothing", DRAWN),
            ("shuttle_twin_a_close_in_the_midst_that_wakes_one_is_found", 0),
            ("shuttle_twin_a_close_that_wakes_one_consumer_is_found", 0),
            ("shuttle_twin_a_push_that_wakes_nobody_is_found", 0),
            ("shuttle_twin_a_quitter_that_stays_in_the_row_is_found", 0),
            ("shuttle_twin_room_that_wakes_one_producer_is_found", 0),
            ("shuttle_what_many_push_arrives_once_and_in_order", DRAWN),
            ("shuttle_who_gives_up_holds_up_nobody", DRAWN),
        ],
    },
    Models {
        package: "rep-vlsn",
        binary: Binary::Test("shuttle_log"),
        features: &[],
        models: &[
            ("shuttle_readers_see_the_log_of_the_epoch_that_they_named", DRAWN),
            ("shuttle_twin_a_reader_that_asks_for_the_epoch_afterwards_is_found", 0),
            ("shuttle_twin_a_sync_that_vouches_for_what_came_meanwhile_is_found", 0),
            ("shuttle_twin_what_is_written_and_vouched_for_is_lost", 0),
            ("shuttle_what_was_vouched_for_outlives_the_power", DRAWN),
        ],
    },
];
