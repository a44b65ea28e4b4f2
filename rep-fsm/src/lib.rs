#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`machine`] is the one place where a state changes; [`role`] and [`node_state`] are the two tables it runs;
//! [`cell`] publishes the outcome to other threads; [`diagram`] draws the tables.

pub mod cell;
pub mod diagram;
mod error;
pub mod machine;
pub mod node_state;
pub mod role;
mod standing;
mod sync;

pub use cell::{CellValue, StateCell, StateEvent, Subscription};
pub use error::{Refusal, RoleError, WaitError};
pub use machine::{Machine, Row, Step, Table};
pub use node_state::{Company, NodeState, NodeStateChange, NodeStateTracker};
pub use rep_vlsn::{NodeId, Term};
pub use role::{Role, RoleMachine, RoleStep, Signal};
pub use standing::Standing;
