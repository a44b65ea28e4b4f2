//! What is told of a copy of the state that a member is given.

use rep_vlsn::LogPoint;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

const MIB: f64 = (1 << 20) as f64;

/// How it goes with a copy of the state that this member is given, whether somebody ordered it or no log reaches the member any more.
///
/// It begins, comes, is complete and is installed; or an attempt fails and another follows, from the same source or another one, until the copy is
/// given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreEvent {
    /// A member has begun to give its state.
    Began {
        /// Its name.
        source: String,
    },
    /// A part of it is here. Told once a second at most; who is slow to listen is told the newest only.
    Progress(RestoreProgress),
    /// An attempt has come to nothing. Another one follows after a pause, unless the copy is [given up](RestoreEvent::GivenUp) with that.
    Failed {
        /// Why, in words.
        why: String,
    },
    /// All of it is here. Until it is installed the member does nothing else.
    Fetched {
        /// The last entry that it holds.
        point: LogPoint,
    },
    /// It is in the place of what the member had, and the member goes on from it.
    Installed {
        /// The last entry that it holds.
        point: LogPoint,
    },
    /// No copy is fetched any more; the member goes on as it was.
    GivenUp {
        /// Why, in words: all attempts failed, it was cancelled, it is not needed after all.
        why: String,
    },
}

/// How much of a copy is here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreProgress {
    /// Who gives it.
    pub source: String,
    /// Bytes that came in this attempt.
    pub bytes: u64,
    /// Bytes that are still to come, as far as the source can tell: an estimate, which parts that an earlier attempt has left make too high. `None` if it cannot.
    pub remaining_bytes: Option<u64>,
    /// How many bytes came a second, since this source began.
    pub bytes_per_s: u64,
    /// Since this source began.
    pub taken: Duration,
}

impl Display for RestoreEvent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            RestoreEvent::Began { source } => write!(f, "a copy of the state comes from {source}"),
            RestoreEvent::Progress(progress) => write!(f, "{progress}"),
            RestoreEvent::Failed { why } => write!(f, "no copy of the state for now: {why}"),
            RestoreEvent::Fetched { point } => {
                write!(f, "the copy, of the state at {point}, is here and is put in place")
            }
            RestoreEvent::Installed { point } => {
                write!(f, "the copy, of the state at {point}, is in place")
            }
            RestoreEvent::GivenUp { why } => write!(f, "no copy of the state is fetched: {why}"),
        }
    }
}

impl Display for RestoreProgress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB;
        let (bytes, rate) = (mib(self.bytes), mib(self.bytes_per_s));
        write!(f, "{bytes:.1} MiB of the copy came from {}, {rate:.1} MiB/s", self.source)?;
        match self.remaining_bytes {
            Some(remaining) => write!(f, ", about {:.1} MiB to come", mib(remaining)),
            None => Ok(()),
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_words() {
        let progress = RestoreProgress {
            source: "n2".into(),
            bytes: 3 << 20,
            remaining_bytes: Some(9 << 20),
            bytes_per_s: 1 << 20,
            taken: Duration::from_secs(3),
        };
        let told = RestoreEvent::Progress(progress.clone()).to_string();
        assert_eq!(told, "3.0 MiB of the copy came from n2, 1.0 MiB/s, about 9.0 MiB to come");
        let unknown = RestoreProgress { remaining_bytes: None, ..progress };
        assert_eq!(unknown.to_string(), "3.0 MiB of the copy came from n2, 1.0 MiB/s");
    }
}
