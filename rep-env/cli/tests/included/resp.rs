//! Of the Redis port, what cuts commands out of bytes.
#![allow(dead_code, reason = "only a part is looked at")]

/// As in `src/resp.rs`.
const BULK_BYTES_MAX: usize = (8 << 20) - (64 << 10);

#[path = "../../src/resp/request.rs"]
pub(crate) mod request;
