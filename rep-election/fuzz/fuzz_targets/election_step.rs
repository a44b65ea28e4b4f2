//! See the body, in `tests/fuzz/election_step.rs`.
#![no_main]

#[path = "../../tests/support/bench.rs"]
mod bench;
#[path = "../../tests/fuzz/election_step.rs"]
mod body;
#[path = "../../tests/fuzz/election_message.rs"]
#[allow(dead_code, reason = "its messages are seeds here too")]
mod election_message;
#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
