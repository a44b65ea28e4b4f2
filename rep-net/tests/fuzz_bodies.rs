//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.
#![cfg(not(rep_loom))]

#[path = "../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod frame_decode;
    pub(crate) mod frame_roundtrip;
    pub(crate) mod hello_client;
    pub(crate) mod hello_server;
    pub(crate) mod stream_reassembly;
}

use fuzz::{frame_decode, frame_roundtrip, hello_client, hello_server, stream_reassembly};

#[test]
fn any_bytes_are_the_frames_that_the_layout_says_they_are() {
    kit::holds(frame_decode::body, frame_decode::seeds);
}

#[test]
fn what_is_framed_comes_out_as_it_was_and_has_one_spelling() {
    kit::holds(frame_roundtrip::body, frame_roundtrip::seeds);
}

#[test]
fn the_same_bytes_in_any_pieces_give_the_same_frames() {
    kit::holds(stream_reassembly::body, stream_reassembly::seeds);
}

#[test]
fn whatever_a_stranger_says_first_is_admitted_for_what_it_says_or_refused() {
    kit::holds(hello_server::body, hello_server::seeds);
}

#[test]
fn whatever_answers_is_believed_only_if_it_was_called() {
    kit::holds(hello_client::body, hello_client::seeds);
}
