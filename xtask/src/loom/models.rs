//! All models, with the least number of interleavings that each has to run through.
//!
//! The number is about half of what it was when the model was written, with three preemptions. A model that suddenly has
//! far fewer has lost a thread, or what its threads shared: it would still pass. Twins (0) end at the first interleaving
//! that breaks them.

use crate::explore::{Binary, Models};

pub(super) const MODELS: &[Models] = &[
    Models {
        package: "rep-env",
        binary: Binary::Lib,
        models: &[
            ("loom_a_change_that_is_rung_is_heard_by_all_who_looked_before_it", 400),
            ("loom_a_close_reaches_all_who_wait_for_the_turn", 60),
            ("loom_a_commit_is_answered_whenever_the_node_closes", 200),
            ("loom_a_grant_that_is_dropped_is_room_and_a_close_ends_the_wait", 50),
            ("loom_a_handle_that_gave_up_sees_what_all_others_see", 200),
            ("loom_a_listener_is_told_the_present_first_and_shutdown_last", 3000),
            ("loom_a_task_that_polls_while_the_answer_comes_is_woken", 300),
            ("loom_a_turn_that_expired_is_had_by_one_of_those_who_wait", 2),
            ("loom_every_state_that_is_seen_has_its_words", 5),
            ("loom_one_has_the_turn_and_it_comes_to_everybody", 80),
            ("loom_room_in_the_credit_reaches_all_who_wait_for_it", 150),
            ("loom_twin_a_close_that_tells_the_first_in_line_alone_is_found", 0),
            ("loom_twin_a_listener_that_is_not_counted_when_it_rings_is_found", 0),
            ("loom_twin_a_promise_that_is_dropped_in_silence_is_found", 0),
            ("loom_twin_a_sleeper_that_lets_go_before_it_sleeps_is_found", 0),
            ("loom_twin_a_state_published_before_its_words_is_found", 0),
            ("loom_twin_a_writer_called_again_after_it_looked_forgets_an_entry", 0),
            ("loom_twin_room_made_between_the_look_and_the_sleep_is_slept_over", 0),
            ("loom_twin_tasks_taken_before_the_answer_is_given_are_forgotten", 0),
            ("loom_twin_who_was_passed_and_counts_as_told_sleeps_for_ever", 0),
            ("loom_two_answers_and_a_sleeper_agree_on_one", 120),
            ("loom_what_is_staged_is_written_however_often_the_writer_is_called", 50),
        ],
    },
    Models {
        package: "rep-env",
        binary: Binary::Test("loom_helm"),
        models: &[
            ("loom_a_close_meets_a_driver_and_the_watch_ends", 800),
            ("loom_news_is_driven_whoever_brings_it_and_the_watch_ends", 500),
            ("loom_twin_looking_and_then_leaving_loses_news", 0),
            ("loom_what_is_handed_over_is_driven_by_the_watch", 70),
            ("loom_who_waits_for_room_is_served_by_the_watch", 100),
        ],
    },
    Models {
        package: "rep-fsm",
        binary: Binary::Test("loom_state_cell"),
        models: &[
            ("loom_a_reader_never_goes_back", 5),
            ("loom_a_reader_sees_whole_values_while_the_ring_goes_around", 800),
            ("loom_a_slow_subscriber_is_told_one_story_within_its_bound", 200),
            ("loom_a_subscriber_is_woken_and_ends", 2),
            ("loom_a_waiter_never_sleeps_past_the_last_value", 1300),
            ("loom_once_a_demotion_returned_nobody_told_of_it_sees_the_master", 3),
            ("loom_the_twin_ring_with_its_orderings_is_whole", 200),
            ("loom_twin_a_version_compared_outside_the_lock_is_slept_over", 0),
            ("loom_twin_words_loaded_relaxed_are_torn", 0),
            ("loom_twin_words_stored_relaxed_are_torn", 0),
            ("loom_two_writers_leave_one_story_for_a_subscriber", 3),
        ],
    },
    Models {
        package: "rep-net",
        binary: Binary::Test("loom_queue"),
        models: &[
            ("loom_a_fill_meets_a_close_and_the_item_is_somewhere", 5),
            ("loom_a_full_producer_wakes_on_close_and_has_its_item_back", 1),
            ("loom_a_full_producer_wakes_when_room_is_made", 2000),
            ("loom_a_place_given_back_wakes_who_waits_for_it", 9),
            ("loom_a_producer_that_gives_up_holds_up_nobody", 1000),
            ("loom_a_reserved_place_is_filled_though_the_lane_is_full", 2000),
            ("loom_close_wakes_every_consumer_and_loses_nothing", 400),
            ("loom_nothing_is_lost_and_each_producer_keeps_its_order", 38000),
            ("loom_twin_a_close_that_wakes_one_is_found", 0),
            ("loom_twin_a_push_that_wakes_nobody_is_found", 0),
            ("loom_twin_a_quitter_that_stays_in_the_row_is_found", 0),
            ("loom_twin_looking_and_then_waiting_is_found", 0),
            ("loom_twin_room_that_wakes_one_producer_is_found", 0),
        ],
    },
    Models {
        package: "rep-vlsn",
        binary: Binary::Test("loom_tail"),
        models: &[
            ("loom_a_reader_that_waits_for_an_entry_is_woken_by_it_or_by_the_end", 5),
            ("loom_a_write_begun_before_a_cut_does_not_count_as_written_after_it", 8),
            ("loom_a_writer_that_waits_is_woken_by_what_is_staged_and_by_the_end", 40),
            ("loom_twin_a_writer_that_asks_for_the_epoch_afterwards_loses_an_entry", 0),
        ],
    },
];
