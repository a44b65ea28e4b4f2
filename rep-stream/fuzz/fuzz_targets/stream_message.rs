//! See the body, in `tests/fuzz/stream_message.rs`.
#![no_main]

#[path = "../../tests/fuzz/stream_message.rs"]
mod body;
#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
