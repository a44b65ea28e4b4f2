//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.
//!
//! A binary shares nothing with its tests, so the files that these bodies look at are included here. Their own unit tests
//! come along and run twice, which costs nothing.

#[path = "processes/group.rs"]
#[allow(dead_code, reason = "one member is enough here")]
mod group;
#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;
#[path = "included/resp.rs"]
mod resp;
#[path = "included/serve.rs"]
mod serve;

mod fuzz {
    pub(crate) mod config_file;
    pub(crate) mod resp_request;
    pub(crate) mod resp_session;
}

/// Where the Redis port is that is talked to: of a process, which the test ends.
mod served {
    use std::sync::OnceLock;

    pub(super) static ADDRESS: OnceLock<String> = OnceLock::new();

    pub(crate) fn address() -> &'static str {
        ADDRESS.get().expect("the test has started a process")
    }
}

use fuzz::{config_file, resp_request, resp_session};

#[test]
fn any_bytes_of_a_redis_client_are_the_same_commands_in_any_pieces() {
    kit::holds(resp_request::body, resp_request::seeds);
}

#[test]
fn every_command_of_a_redis_client_has_one_whole_reply() {
    let group = group::Group::running(1);
    group.put(&[0], "a", "1");
    served::ADDRESS.set(group.resp[0].clone()).expect("one test talks");
    kit::holds(resp_session::body, resp_session::seeds);
}

#[test]
fn a_configuration_is_printed_as_a_file_that_says_the_same() {
    kit::holds(config_file::body, config_file::seeds);
}
