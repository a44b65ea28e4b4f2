//! Shipping to an endpoint of a mesh: the two ends, in one process.
//!
//! A [`MeshSink`] is what a member ships to, a [`MeshStore`] takes what comes over the mesh and gives it to a sink of its own: a
//! [`Folder`](super::segments::Folder), an index, whatever holds entries without gaps. Between them go questions and answers, each with a number. A sink
//! asks one question at a time, so one segment at most is on its way; it is acknowledged when the store's sink has it durably, and what is not
//! acknowledged in time is asked about again, never skipped.

mod store;
#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests;
mod words;

pub use store::MeshStore;

use super::segments::{Segment, SegmentSink, ShardId};
use bytes::Bytes;
use rep_net::mesh::{Endpoint, EndpointError};
use rep_vlsn::{GroupId, LogPoint};
use std::fmt::Debug;
use std::time::{Duration, Instant};
use words::{Answer, Question};

/// How long a store is waited for, unless it is said otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A [`MeshStore`] elsewhere in this process, as a sink.
///
/// Both endpoints have to be connected to each other. Two members may ship to one store, each by an endpoint of its own.
///
/// ```
/// use rep_env::net::mesh::Mesh;
/// use rep_env::shipping::segments::{Folder, SegmentSink, ShardId};
/// use rep_env::shipping::{MeshSink, MeshStore};
/// use rep_vlsn::{GroupId, LogConfig, LogPoint, MemDisk};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mesh = Mesh::new();
/// let (member, archive) = (mesh.create("member")?, mesh.create("archive")?);
/// mesh.connect(&"member", &"archive")?;
/// mesh.connect(&"archive", &"member")?;
///
/// let folder = Folder::open(MemDisk::new(), LogConfig::default(), ShardId(0))?;
/// let store = MeshStore::new(archive, folder);
/// let serving = std::thread::spawn(move || store.run());
///
/// let mut sink = MeshSink::new(member, "archive"); // for `ReplicatedEnvironment::ship_to`
/// assert_eq!(sink.acknowledged(GroupId([1; 16]), ShardId(0))?, LogPoint::NULL);
///
/// drop(sink); // nobody is left who could ask: the store ends, and gives its sink back
/// let folder = serving.join().expect("it does not panic");
/// assert_eq!(folder.range(), None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MeshSink<K: Ord + Clone + Debug> {
    endpoint: Endpoint<K>,
    store: K,
    patience: Duration,
    /// The number of the last question.
    asked: u64,
}

/// Why a store takes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeshSinkError<K: Debug> {
    /// The mesh does not lead there.
    #[error(transparent)]
    Mesh(#[from] EndpointError<K>),
    /// More waits at the store than it may hold.
    #[error("more waits at {0:?} than it may hold")]
    Full(K),
    /// Nothing can come back: nobody is connected to this endpoint any more.
    #[error("nobody is left who could answer")]
    Deserted,
    /// The store has not answered. It may have taken the segment.
    #[error("{store:?} has not answered for {after:?}")]
    Silent {
        /// The store.
        store: K,
        /// How long it was waited for.
        after: Duration,
    },
    /// The store lacks entries before the segment.
    #[error("it ends with entry {last}, and was given what follows {prev}")]
    Gap {
        /// The last entry that it has.
        last: LogPoint,
        /// The entry before the segment.
        prev: LogPoint,
    },
    /// The store's own sink takes nothing; in its words.
    #[error("{0}")]
    Refused(String),
    /// It answers what no store says.
    #[error("it answers nonsense: {0}")]
    Nonsense(&'static str),
}

impl<K: Ord + Clone + Debug> MeshSink<K> {
    /// A sink that asks the store at `store`, over this endpoint, which is its alone.
    pub fn new(endpoint: Endpoint<K>, store: K) -> Self {
        MeshSink { endpoint, store, patience: PATIENCE, asked: 0 }
    }

    /// The same, but that waits so long for each answer; 10 s unless it is said otherwise.
    #[must_use]
    pub fn patient_for(self, patience: Duration) -> Self {
        MeshSink { patience, ..self }
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, MeshSinkError<K>> {
        self.asked += 1;
        let frame = question.encode(self.asked);
        if !self.endpoint.try_send(&self.store, frame)? {
            return Err(MeshSinkError::Full(self.store.clone()));
        }
        let deadline = Instant::now() + self.patience;
        loop {
            match self.endpoint.receive(deadline) {
                Ok(Some((from, frame))) => {
                    if let Some(answer) = self.answer(&from, frame)? {
                        return Ok(answer);
                    }
                }
                Ok(None) => {
                    let (store, after) = (self.store.clone(), self.patience);
                    return Err(MeshSinkError::Silent { store, after });
                }
                Err(_) => return Err(MeshSinkError::Deserted),
            }
        }
    }

    /// The answer to the last question; nothing, if a frame is a late one's, or a stranger's.
    fn answer(&self, from: &K, frame: Bytes) -> Result<Option<Answer>, MeshSinkError<K>> {
        if *from != self.store {
            return Ok(None);
        }
        let (number, answer) = Answer::decode(&frame).map_err(MeshSinkError::Nonsense)?;
        Ok((number == self.asked).then_some(answer))
    }
}

impl<K: Ord + Clone + Debug> SegmentSink for MeshSink<K> {
    type Error = MeshSinkError<K>;

    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, Self::Error> {
        match self.ask(&Question::Where { group, shard })? {
            Answer::Has(last) => Ok(last),
            Answer::Refused(why) => Err(MeshSinkError::Refused(why)),
            Answer::Gap(_) => Err(MeshSinkError::Nonsense("a gap, and nothing was given")),
        }
    }

    fn take(&mut self, segment: &Segment) -> Result<(), Self::Error> {
        match self.ask(&Question::Take(segment.encode()))? {
            Answer::Has(last) if last >= segment.last() => Ok(()),
            Answer::Has(_) => Err(MeshSinkError::Nonsense("it took less than it was given")),
            Answer::Gap(last) => Err(MeshSinkError::Gap { last, prev: segment.prev() }),
            Answer::Refused(why) => Err(MeshSinkError::Refused(why)),
        }
    }
}
