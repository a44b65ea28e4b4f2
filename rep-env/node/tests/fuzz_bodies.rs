//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.

#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;
#[path = "harness/lone.rs"]
mod lone;

mod fuzz {
    pub(crate) mod node_message;
    pub(crate) mod node_step_bytes;
}

use fuzz::{node_message, node_step_bytes};

#[test]
fn bytes_that_are_taken_for_a_frame_of_a_member_are_what_they_say() {
    kit::holds(node_message::body, node_message::seeds);
}

#[test]
fn whatever_happens_to_one_node_it_keeps_its_word() {
    kit::holds(node_step_bytes::body, node_step_bytes::seeds);
}
