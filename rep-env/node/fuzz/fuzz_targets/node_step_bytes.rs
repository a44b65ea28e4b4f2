//! See the body, in `tests/fuzz/node_step_bytes.rs`.
#![no_main]

#[path = "../../tests/fuzz/node_step_bytes.rs"]
mod body;
#[path = "../../../../xtask/fuzz/kit.rs"]
mod kit;
#[path = "../../tests/harness/lone.rs"]
mod lone;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
