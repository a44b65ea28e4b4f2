//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.
#![cfg(not(rep_loom))]

mod common;
#[path = "../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod cell_decode;
    pub(crate) mod index_file;
    pub(crate) mod log_record_decode;
    pub(crate) mod log_segment_recover;
    pub(crate) mod matchpoint;
}

use fuzz::{cell_decode, index_file, log_record_decode, log_segment_recover, matchpoint};

#[test]
fn bytes_that_are_taken_for_records_are_whole_chained_and_have_one_spelling() {
    kit::holds(log_record_decode::body, log_record_decode::seeds);
}

#[test]
fn a_log_that_opens_after_anything_holds_what_was_written_and_nothing_else() {
    kit::holds(log_segment_recover::body, log_segment_recover::seeds);
}

#[test]
fn an_index_in_any_state_never_changes_what_is_found() {
    kit::holds(index_file::body, index_file::seeds);
}

#[test]
fn a_cell_in_any_state_tells_what_was_stored_or_that_it_is_damaged() {
    kit::holds(cell_decode::body, cell_decode::seeds);
}

#[test]
fn two_logs_part_where_their_common_beginning_ends() {
    kit::holds(matchpoint::body, matchpoint::seeds);
}
