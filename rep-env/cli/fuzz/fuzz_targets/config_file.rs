//! See the body, in `tests/fuzz/config_file.rs`.
#![no_main]

#[path = "../../tests/fuzz/config_file.rs"]
mod body;
#[path = "../../../../xtask/fuzz/kit.rs"]
mod kit;
#[path = "../../tests/included/serve.rs"]
mod serve;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
