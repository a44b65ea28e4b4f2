//! What every fuzz body is run by: included by the fuzz targets, and by the tests that run the same bodies on stable Rust.
//!
//! A body is a function from bytes to nothing that panics if something is wrong. The fuzzer looks for bytes that reach
//! code which no bytes had reached before; the tests have no such guide, and make up for it by beginning with what is valid
//! and spoiling it ([`stable::holds`]). Both begin with the same seeds.
#![allow(dead_code, unused_imports, reason = "each target takes its part")]

mod input;
mod seeds;
#[cfg(test)]
mod stable;

pub(crate) use input::Input;
pub(crate) use seeds::offer;
#[cfg(test)]
pub(crate) use stable::{holds, holds_for};
