//! See the body, in `tests/fuzz/resp_request.rs`.
#![no_main]

#[path = "../../tests/fuzz/resp_request.rs"]
mod body;
#[path = "../../../../xtask/fuzz/kit.rs"]
mod kit;
#[path = "../../tests/included/resp.rs"]
mod resp;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
