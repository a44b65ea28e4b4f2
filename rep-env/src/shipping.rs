//! Entries that leave the group while it runs: for an archive, an audit, another system.
//!
//! Any member that holds data can ship, to as many sinks as it likes, and several members may ship to one sink, one at a time: the sink's own
//! word says where to go on, whoever asks. What leaves is durable in the group, in order, each entry once, and nothing is ever skipped.
//!
//! A sink is asked by a thread of its own, one segment at a time, and nothing is queued for it: what it has not taken is in the log. So a sink that is
//! slow, or away, makes the log of the member that ships wait for it, up to `log_retention_bytes`; nothing that commits ever waits. Beyond that the log is cleaned, and a
//! sink which then lacks what is gone gets nothing any more from here ([`ShipProblem::Gap`]), rather than a history with a hole.
//!
//! The option `ship_to` ships to a [`Folder`](segments::Folder), which is a log itself; a [`MeshSink`] ships to an endpoint of a mesh in this process. Any other [`SegmentSink`](segments::SegmentSink) is given to
//! [`ship_to`](crate::ReplicatedEnvironment::ship_to). What it is like from outside: `docs/shipping.md`.

mod archive;
mod mesh;

pub use archive::{Archive, ArchiveError};
pub use mesh::{MeshSink, MeshSinkError, MeshStore};
pub use rep_node::rep_stream::segments;

use crate::runtime::shipper::Shipment;
use rep_node::rep_stream::segments::ShipError;
use rep_vlsn::{LogPoint, Vlsn};
use std::fmt::Display;
use std::sync::Arc;

/// How many sinks a node ships to at most.
pub const SINKS_MAX: usize = 8;

/// A sink that is shipped to. Clones are handles to the same; dropping them all ends nothing.
#[derive(Clone, Debug)]
pub struct Shipping(pub(crate) Arc<Shipment>);

impl Shipping {
    /// What it was called.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The last entry that the sink has, durably; `None` while it has not said so.
    pub fn acknowledged(&self) -> Option<LogPoint> {
        self.0.progress().acknowledged
    }

    /// Why the sink gets nothing at present, if so. It is tried again by itself, whatever it is.
    pub fn problem(&self) -> Option<ShipProblem> {
        self.0.progress().problem
    }

    /// Ships nothing more, and does not wait for the segment that is on its way.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Why a sink gets nothing at present.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShipProblem {
    /// The sink lacks entries that this member's log does not hold any more. It gets nothing from here, and the log does not wait for it, until a
    /// member that has them has shipped them; else begin a new sink.
    #[error(
        "it ends with entry {acknowledged}, and the log here begins at {first}: ship to it from a member that holds what is between, or begin a new one"
    )]
    Gap {
        /// The last entry that the sink has.
        acknowledged: Vlsn,
        /// The first that the log has.
        first: Vlsn,
    },
    /// The sink ends with an entry that is none of this group's history, and is not shipped to.
    #[error("it ends with entry {theirs}, which is none of this group: begin a new one")]
    Diverged {
        /// That entry.
        theirs: LogPoint,
    },
    /// The sink's words.
    #[error("{0}")]
    Sink(String),
    /// This member's log cannot be read.
    #[error("the log cannot be read: {0}")]
    Log(String),
    /// The sink panicked, and is not tried again.
    #[error("it panicked, and is not tried again")]
    Panicked,
}

impl ShipProblem {
    /// Whether the log waits until it has passed.
    pub(crate) fn keeps_the_log(&self) -> bool {
        match self {
            ShipProblem::Sink(_) | ShipProblem::Log(_) => true,
            ShipProblem::Gap { .. } | ShipProblem::Diverged { .. } | ShipProblem::Panicked => false,
        }
    }

    pub(crate) fn of<E: Display>(error: &ShipError<E>) -> ShipProblem {
        match error {
            ShipError::Gap { acknowledged, first } => {
                ShipProblem::Gap { acknowledged: *acknowledged, first: *first }
            }
            ShipError::Diverged { theirs } => ShipProblem::Diverged { theirs: *theirs },
            ShipError::Sink(error) => ShipProblem::Sink(error.to_string()),
            ShipError::Log(error) => ShipProblem::Log(error.to_string()),
            ShipError::Segment(error) => ShipProblem::Log(error.to_string()),
            _ => ShipProblem::Log("for a reason that this version does not know".to_owned()),
        }
    }
}
