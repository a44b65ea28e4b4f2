//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.

#[path = "../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod stream_message;
}

use fuzz::stream_message;

#[test]
fn bytes_that_are_taken_for_a_message_of_a_stream_are_what_they_say() {
    kit::holds(stream_message::body, stream_message::seeds);
}
