//! See the body, in `tests/fuzz/election_message.rs`.
#![no_main]

#[path = "../../tests/fuzz/election_message.rs"]
mod body;
#[path = "../../tests/support/bench.rs"]
mod bench;
#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
