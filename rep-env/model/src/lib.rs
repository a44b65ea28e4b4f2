#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`bounds`] says how large the world is. `member` is a shipped node with its disk (`disk`), stepped by one thing that
//! happens to it; `atlas` remembers every such step, and `digest` tells two states apart. `letters` is what they say to each
//! other. `world` is all three together, `model` what may happen in it, `shortcuts` what of that is like something else,
//! `rules` and `judge` what must hold, and `founding` where it all sets out. [`run`] explores, and [`compare`] explores twice.

mod atlas;
pub mod bounds;
pub mod compare;
mod digest;
mod disk;
mod founding;
mod judge;
mod letters;
mod making;
mod member;
mod model;
mod numbering;
pub mod planted;
mod rules;
pub mod run;
mod shortcuts;
mod world;

pub use bounds::{Bounds, Start};
pub use model::{Action, Group, What};
pub use run::{Found, Manner, Report, explore};
pub use world::World;
