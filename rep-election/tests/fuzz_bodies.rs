//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.

#[path = "support/bench.rs"]
mod bench;
#[path = "../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod election_message;
    pub(crate) mod election_step;
}

use fuzz::{election_message, election_step};

#[test]
fn bytes_that_are_taken_for_a_message_or_a_fence_are_what_they_say() {
    kit::holds(election_message::body, election_message::seeds);
}

#[test]
fn no_sequence_of_messages_and_disks_breaks_a_core() {
    kit::holds(election_step::body, election_step::seeds);
}
