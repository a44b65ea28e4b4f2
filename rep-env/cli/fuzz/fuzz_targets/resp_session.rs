//! See the body, in `tests/fuzz/resp_session.rs`.
#![no_main]

#[path = "../../tests/fuzz/resp_session.rs"]
mod body;
#[path = "../../../../xtask/fuzz/kit.rs"]
mod kit;
/// The sources of the binary, of which only the Redis port is here.
#[path = "../../src"]
#[allow(dead_code, unused_imports, reason = "the rest of the binary is not here")]
mod src {
    pub(crate) mod resp;
}
#[path = "../served.rs"]
mod served;

use src::resp;

libfuzzer_sys::fuzz_target!(init: kit::offer(body::seeds), |data: &[u8]| body::body(data));
