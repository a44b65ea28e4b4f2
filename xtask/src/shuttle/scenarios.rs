//! All scenarios, with the least number of executions that each has to go through when as many were asked for as by default.
//!
//! Twins (0) end at the first execution that breaks them, and have to be broken within as many.

use crate::explore::{Binary, Models};

/// What is not broken goes through all of them.
const DRAWN: u64 = super::ITERATIONS_OF_RECORD as u64;

pub(super) const SCENARIOS: &[Models] = &[
    Models {
        package: "rep-explore",
        binary: Binary::Test("shuttle_replay"),
        models: &[
            ("shuttle_twin_a_kept_schedule_fails_again", 0),
            ("shuttle_twin_a_wait_that_looked_before_is_found", 0),
        ],
    },
    Models {
        package: "rep-net",
        binary: Binary::Test("shuttle_queue"),
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
];
