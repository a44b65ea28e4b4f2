//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.

#[path = "../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod restore_manifest;
    pub(crate) mod restore_stream;
    pub(crate) mod stream_message;
}

use fuzz::{restore_manifest, restore_stream, stream_message};

#[test]
fn bytes_that_are_taken_for_a_message_of_a_stream_are_what_they_say() {
    kit::holds(stream_message::body, stream_message::seeds);
}

#[test]
fn bytes_where_a_copy_is_described_are_what_they_say() {
    kit::holds(restore_manifest::body, restore_manifest::seeds);
}

#[test]
fn no_end_of_a_restore_is_hurt_by_what_the_other_end_or_the_link_does() {
    kit::holds(restore_stream::body, restore_stream::seeds);
}
