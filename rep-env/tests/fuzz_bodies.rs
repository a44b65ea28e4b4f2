//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.
#![cfg(not(rep_loom))]

#[path = "../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod admin_reply;
    pub(crate) mod admin_request;
    pub(crate) mod config_options;
}

use fuzz::{admin_reply, admin_request, config_options};

#[test]
fn what_is_built_of_any_options_is_within_every_bound() {
    kit::holds(config_options::body, config_options::seeds);
}

#[test]
fn any_question_to_a_node_has_one_answer_and_harms_nobody() {
    kit::holds(admin_request::body, admin_request::seeds);
}

#[test]
fn any_answer_to_an_operator_is_understood_or_an_error() {
    kit::holds(admin_reply::body, admin_reply::seeds);
}
