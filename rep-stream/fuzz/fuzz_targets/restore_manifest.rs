//! See the body, in `tests/fuzz/restore_manifest.rs`.
#![no_main]

#[path = "../../tests/fuzz/restore_manifest.rs"]
mod body;
#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
