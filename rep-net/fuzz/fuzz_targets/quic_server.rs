//! See the body, in `tests/fuzz/quic_server.rs`.
#![no_main]

#[path = "../../tests/fuzz/quic_server.rs"]
mod body;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
