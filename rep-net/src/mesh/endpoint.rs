//! Endpoints by key, and one-way connections between them.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;

use crate::queue::{Closed, Lane, PushError, Queue};
use crate::sync::{Mutex, broken};

/// Frames that wait at an endpoint at most, unless it is said otherwise.
const CAPACITY: usize = 256;
/// Their bytes at most; a longer frame travels alone.
const BYTES_MAX: usize = 4 << 20;

/// What an endpoint, or a mesh of them, may answer instead of doing its work. `K` is the key in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError<K: Debug> {
    /// The caller: a key is given once, also if its endpoint is gone.
    #[error("{0:?} was given already")]
    Taken(K),
    /// The caller: there is no endpoint of that key, or this one is not connected to it.
    #[error("{0:?} is unknown here, or not connected")]
    UnknownPeer(K),
    /// That endpoint was dropped.
    #[error("{0:?} is closed")]
    Closed(K),
}

/// Endpoints by key. Cheap to clone; all clones are the same mesh.
///
/// It owns nothing that is sent: an endpoint owns its own queue and the sending halves to those that it is connected to. So a queue ends
/// when the last endpoint that was connected to it is dropped, and what was sent before that is delivered first.
///
/// ```
/// use rep_net::mesh::{EndpointError, Mesh};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mesh = Mesh::new();
/// let (shard, archive) = (mesh.create("shard-7")?, mesh.create("archive")?);
/// mesh.connect(&"shard-7", &"archive")?;
/// shard.send(&"archive", "a segment".into())?;
/// assert_eq!(archive.send(&"shard-7", "no".into()), Err(EndpointError::UnknownPeer("shard-7")));
/// drop(shard);
/// let deadline = Instant::now() + Duration::from_secs(10);
/// let (source, frame) = archive.receive(deadline)?.expect("it was sent");
/// assert_eq!((source, &frame[..]), ("shard-7", &b"a segment"[..]));
/// assert!(archive.receive(deadline).is_err(), "and nobody is left who could send");
/// # Ok(())
/// # }
/// ```
pub struct Mesh<K> {
    places: Arc<Mutex<BTreeMap<K, Place<K>>>>,
    capacity: usize,
}

/// Where an endpoint is found, as long as it lives.
struct Place<K> {
    inbox: Weak<Inbox<K>>,
    halves: Weak<Halves<K>>,
}

/// The sending halves of an endpoint.
type Halves<K> = Mutex<BTreeMap<K, Half<K>>>;

impl<K: Ord + Clone + Debug> Mesh<K> {
    /// A mesh whose endpoints hold 256 frames each.
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// A mesh whose endpoints hold `frames` frames each; one at least. More make their senders wait.
    pub fn with_capacity(frames: usize) -> Self {
        Self { places: Arc::default(), capacity: frames.max(1) }
    }

    /// The endpoint of a key; once.
    ///
    /// # Errors
    /// [`EndpointError::Taken`].
    pub fn create(&self, key: K) -> Result<Endpoint<K>, EndpointError<K>> {
        let mut places = self.places.lock();
        if places.contains_key(&key) {
            return Err(EndpointError::Taken(key));
        }
        let inbox = Arc::new(Inbox::new(self.capacity));
        let halves = Arc::<Halves<K>>::default();
        let place = Place { inbox: Arc::downgrade(&inbox), halves: Arc::downgrade(&halves) };
        places.insert(key.clone(), place);
        Ok(Endpoint { key, inbox, halves })
    }

    /// Lets the endpoint of `from` send to that of `to`. Not the other way round. What is connected already stays so.
    ///
    /// # Errors
    /// [`EndpointError::UnknownPeer`] for a key that was never given, [`EndpointError::Closed`] for an endpoint that is gone, or whose
    /// queue has ended because all who were connected to it are.
    pub fn connect(&self, from: &K, to: &K) -> Result<(), EndpointError<K>> {
        let places = self.places.lock();
        let place = |key: &K| places.get(key).ok_or(EndpointError::UnknownPeer(key.clone()));
        let (source, target) = (place(from)?, place(to)?);
        let halves = source.halves.upgrade().ok_or(EndpointError::Closed(from.clone()))?;
        let inbox = target.inbox.upgrade().ok_or(EndpointError::Closed(to.clone()))?;
        drop(places);
        let mut halves = halves.lock();
        if !halves.contains_key(to) {
            let half = Half::of(inbox).ok_or(EndpointError::Closed(to.clone()))?;
            halves.insert(to.clone(), half);
        }
        Ok(())
    }
}

impl<K: Ord + Clone + Debug> Default for Mesh<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Clone for Mesh<K> {
    fn clone(&self) -> Self {
        Self { places: Arc::clone(&self.places), capacity: self.capacity }
    }
}

impl<K: Debug> Debug for Mesh<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places.lock();
        f.debug_struct("Mesh").field("keys", &places.keys()).finish_non_exhaustive()
    }
}

/// What was sent to one endpoint, and how many may still send.
struct Inbox<K> {
    queue: Queue<(K, Bytes)>,
    senders: Mutex<Senders>,
}

#[derive(Default)]
struct Senders {
    count: usize,
    /// The last one is gone: nobody is let in any more, or the end would not be the end.
    ended: bool,
}

impl<K> Inbox<K> {
    fn new(items_max: usize) -> Self {
        let queue = Queue::new([Lane { items_max, bytes_max: BYTES_MAX }]);
        Self { queue, senders: Mutex::default() }
    }
}

/// The right to send to one endpoint.
struct Half<K> {
    inbox: Arc<Inbox<K>>,
}

impl<K> Half<K> {
    fn of(inbox: Arc<Inbox<K>>) -> Option<Self> {
        let mut senders = inbox.senders.lock();
        if senders.ended && !broken("mesh-end-is-not-the-end") {
            return None;
        }
        senders.count += 1;
        drop(senders);
        Some(Half { inbox })
    }
}

impl<K> Drop for Half<K> {
    fn drop(&mut self) {
        let mut senders = self.inbox.senders.lock();
        senders.count -= 1;
        senders.ended = senders.count == 0;
        let ended = senders.ended;
        drop(senders);
        if ended {
            self.inbox.queue.close();
        }
    }
}

/// One party of a [`Mesh`]. Dropped, it takes nothing any more, and its sending halves are gone.
pub struct Endpoint<K> {
    key: K,
    inbox: Arc<Inbox<K>>,
    halves: Arc<Halves<K>>,
}

impl<K: Ord + Clone + Debug> Endpoint<K> {
    /// Its own key.
    pub fn local(&self) -> &K {
        &self.key
    }

    /// Sends a frame, waiting while the other side is full. Frames of one thread arrive in their order.
    ///
    /// # Errors
    /// [`EndpointError::UnknownPeer`] without a connection, [`EndpointError::Closed`] if that endpoint is gone.
    pub fn send(&self, to: &K, frame: Bytes) -> Result<(), EndpointError<K>> {
        let queue = self.queue_to(to)?;
        let pushed = queue.push(0, frame.len(), (self.key.clone(), frame), None);
        pushed.map_err(|_| EndpointError::Closed(to.clone()))
    }

    /// Sends a frame if there is room for it right now; whether there was.
    ///
    /// # Errors
    /// As [`send`](Endpoint::send).
    pub fn try_send(&self, to: &K, frame: Bytes) -> Result<bool, EndpointError<K>> {
        let queue = self.queue_to(to)?;
        match queue.try_push(0, frame.len(), (self.key.clone(), frame)) {
            Ok(()) => Ok(true),
            Err(PushError::Full(_)) => Ok(false),
            Err(PushError::Closed(_)) => Err(EndpointError::Closed(to.clone())),
        }
    }

    /// [`send`](Endpoint::send) as a future, on any executor. Dropped before it is done, it has sent nothing.
    ///
    /// # Errors
    /// As [`send`](Endpoint::send).
    pub async fn sending(&self, to: &K, frame: Bytes) -> Result<(), EndpointError<K>> {
        let queue = self.queue_to(to)?;
        let pushed = queue.pushing(0, frame.len(), (self.key.clone(), frame)).await;
        pushed.map_err(|_| EndpointError::Closed(to.clone()))
    }

    /// The next frame and the key of who sent it; `Ok(None)` if there was none by `deadline`.
    ///
    /// # Errors
    /// [`Closed`] once all who were connected to this endpoint are gone and what they sent is delivered; then for ever.
    pub fn receive(&self, deadline: Instant) -> Result<Option<(K, Bytes)>, Closed> {
        self.inbox.queue.pop(Some(deadline))
    }

    /// [`receive`](Endpoint::receive) as a future, without a deadline. Dropped before it is done, it has taken nothing.
    ///
    /// # Errors
    /// As [`receive`](Endpoint::receive).
    pub async fn receiving(&self) -> Result<(K, Bytes), Closed> {
        self.inbox.queue.next().await
    }

    /// A handle to the queue, so that no lock is held while somebody waits. It keeps nobody's queue from ending.
    fn queue_to(&self, to: &K) -> Result<Queue<(K, Bytes)>, EndpointError<K>> {
        match self.halves.lock().get(to) {
            Some(half) => Ok(half.inbox.queue.clone()),
            None => Err(EndpointError::UnknownPeer(to.clone())),
        }
    }
}

impl<K> Drop for Endpoint<K> {
    fn drop(&mut self) {
        self.inbox.queue.close_and_discard();
        // One that is connected to itself holds itself otherwise; and what is dropped takes other locks.
        let halves = std::mem::take(&mut *self.halves.lock());
        drop(halves);
    }
}

impl<K: Debug> Debug for Endpoint<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("local", &self.key).finish_non_exhaustive()
    }
}
