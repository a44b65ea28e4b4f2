//! The account that a node gives of the copy that it is given.

use serde::{Deserialize, Serialize};

/// How it goes with a copy of the state that a member is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Which of those since the member was opened: 1 for the first.
    pub number: u64,
    /// How far it is.
    pub stage: RestoreStage,
    /// Whose copy was ordered; `None` if no log reached the member any more.
    pub ordered_from: Option<String>,
    /// Who gives it; `None` before somebody does, and while nobody does.
    pub source: Option<String>,
    /// Bytes that came from this source.
    pub bytes: u64,
    /// Bytes that are still to come, as far as the source can tell; `None` if it cannot.
    pub remaining_bytes: Option<u64>,
    /// Bytes a second, since this source began.
    pub bytes_per_s: u64,
    /// Milliseconds since this source began, when something came last.
    pub taken_ms: u64,
    /// Why the last attempt came to nothing, or no other is made.
    pub why: Option<String>,
}

/// How far it is with a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RestoreStage {
    /// Members are asked for it.
    Asking,
    /// It comes.
    Fetching,
    /// An attempt came to nothing; another one follows.
    Waiting,
    /// All of it is here, and is put in place.
    Installing,
    /// It is in place: an end.
    Installed,
    /// No copy is fetched any more: the other end.
    GivenUp,
}

impl RestoreStage {
    /// Whether nothing follows.
    pub fn is_end(self) -> bool {
        matches!(self, RestoreStage::Installed | RestoreStage::GivenUp)
    }
}

impl RestoreReport {
    pub(crate) fn new(number: u64, ordered_from: Option<String>) -> Self {
        RestoreReport {
            number,
            stage: RestoreStage::Asking,
            ordered_from,
            source: None,
            bytes: 0,
            remaining_bytes: None,
            bytes_per_s: 0,
            taken_ms: 0,
            why: None,
        }
    }
}
