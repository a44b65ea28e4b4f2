//! Nodes, by number, and a channel between any two of them.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::channel::{Channel, Peer, TrySent};
use crate::error::NetError;
use crate::limits::Limits;
use crate::mem::{MemChannel, pair_between};
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// Why a mesh gives no channel. The caller's doing, but for [`Down`](MeshError::Down).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// A mesh has at least one node.
    #[error("a mesh has at least one node")]
    NoNodes,
    /// There is no node of that number.
    #[error("there is no node {node}; this mesh has {nodes}, numbered from 0")]
    OutOfRange {
        /// The number.
        node: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A node has no channel to itself.
    #[error("node {node} has no channel to itself")]
    ToSelf {
        /// The node.
        node: usize,
    },
    /// That node has crashed. Reconnect it first.
    #[error("node {node} is down; reconnect it first")]
    Down {
        /// The node.
        node: usize,
    },
}

/// Nodes in one process, numbered from 0, each with a channel to each other one. The mesh holds a handle of each; dropping it closes
/// all of them.
///
/// ```
/// use rep_net::mesh::NodeMesh;
/// use rep_net::{Channel, Limits, NetError};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mesh = NodeMesh::new(3, Limits::default())?;
/// let (there, back) = (mesh.try_channel(0, 2)?, mesh.try_channel(2, 0)?);
/// there.send("hello".into())?;
/// let deadline = Instant::now() + Duration::from_secs(10);
/// assert_eq!(back.receive(deadline)?.as_deref(), Some(&b"hello"[..]));
///
/// mesh.simulate_crash(2)?;
/// assert_eq!(there.send("anybody?".into()), Err(NetError::Closed));
/// mesh.reconnect(2)?;
/// mesh.try_channel(0, 2)?.send("welcome back".into())?;
/// # Ok(())
/// # }
/// ```
pub struct NodeMesh {
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    /// Which nodes are up.
    live: Vec<bool>,
    /// Between two live nodes, the smaller number first: the two ends.
    channels: BTreeMap<(usize, usize), (Arc<MeshChannel>, Arc<MeshChannel>)>,
    /// How many [`Cut`]s lie on the way from one to the other.
    cuts: BTreeMap<(usize, usize), Arc<AtomicUsize>>,
}

impl NodeMesh {
    /// A mesh of so many nodes, all of them up.
    ///
    /// # Errors
    /// [`MeshError::NoNodes`].
    pub fn new(nodes: usize, limits: Limits) -> Result<Self, MeshError> {
        if nodes == 0 {
            return Err(MeshError::NoNodes);
        }
        let state =
            State { live: vec![true; nodes], channels: BTreeMap::new(), cuts: BTreeMap::new() };
        Ok(Self { limits, state: Mutex::new(state) })
    }

    /// A mesh of two.
    pub fn pair(limits: Limits) -> Self {
        Self::new(2, limits).expect("two are not none")
    }

    /// How many nodes there are, up or down.
    pub fn nodes(&self) -> usize {
        self.state.lock().live.len()
    }

    /// Whether that node is up; of no node it is none.
    pub fn is_node_live(&self, node: usize) -> bool {
        self.state.lock().live.get(node).copied().unwrap_or(false)
    }

    /// The end of node `from` of its channel to node `to`: the same one each time, until one of them crashes.
    ///
    /// # Errors
    /// [`MeshError`], naming the node.
    pub fn try_channel(&self, from: usize, to: usize) -> Result<Arc<MeshChannel>, MeshError> {
        let mut state = self.state.lock();
        state.check_pair(from, to)?;
        if let Some(node) = [from, to].into_iter().find(|node| !state.live[*node]) {
            return Err(MeshError::Down { node });
        }
        let key = (from.min(to), from.max(to));
        if !state.channels.contains_key(&key) {
            let ends = self.connect(&mut state, key);
            state.channels.insert(key, ends);
        }
        let (smaller, greater) = &state.channels[&key];
        Ok(Arc::clone(if from < to { smaller } else { greater }))
    }

    fn connect(
        &self,
        state: &mut State,
        (one, other): (usize, usize),
    ) -> (Arc<MeshChannel>, Arc<MeshChannel>) {
        let peer = |node: usize| Peer::new(node.to_string(), "mesh".into());
        let (left, right) = pair_between(peer(one), peer(other), &self.limits);
        let mut end = |inner, from, to| Arc::new(MeshChannel { inner, cuts: state.cuts(from, to) });
        (end(left, one, other), end(right, other, one))
    }

    /// Ends a node at once: every channel to it is closed, and what was queued in it is gone. Of a node that is down already, nothing.
    ///
    /// # Errors
    /// [`MeshError::OutOfRange`].
    pub fn simulate_crash(&self, node: usize) -> Result<(), MeshError> {
        let mut state = self.state.lock();
        state.check(node)?;
        state.live[node] = false;
        state.channels.retain(|(one, other), ends| {
            let stays = *one != node && *other != node;
            if !stays {
                ends.0.inner.close_and_discard();
            }
            stays
        });
        Ok(())
    }

    /// Brings a node back, with fresh channels to all who are up; who is still down stays disconnected. Of a node that is up, nothing.
    ///
    /// # Errors
    /// [`MeshError::OutOfRange`].
    pub fn reconnect(&self, node: usize) -> Result<(), MeshError> {
        let mut state = self.state.lock();
        state.check(node)?;
        state.live[node] = true;
        Ok(())
    }

    /// Cuts one direction: what `from` sends to `to` is lost, until the cut is dropped; also over channels that are made meanwhile. What
    /// comes the other way still comes. Cuts add up.
    ///
    /// # Errors
    /// [`MeshError`], but not [`MeshError::Down`].
    pub fn cut(&self, from: usize, to: usize) -> Result<Cut, MeshError> {
        let mut state = self.state.lock();
        state.check_pair(from, to)?;
        let cuts = state.cuts(from, to);
        cuts.fetch_add(1, Ordering::AcqRel);
        Ok(Cut { cuts })
    }
}

impl State {
    fn check(&self, node: usize) -> Result<(), MeshError> {
        let nodes = self.live.len();
        if node < nodes { Ok(()) } else { Err(MeshError::OutOfRange { node, nodes }) }
    }

    fn check_pair(&self, from: usize, to: usize) -> Result<(), MeshError> {
        self.check(from)?;
        self.check(to)?;
        if from == to { Err(MeshError::ToSelf { node: from }) } else { Ok(()) }
    }

    fn cuts(&mut self, from: usize, to: usize) -> Arc<AtomicUsize> {
        Arc::clone(self.cuts.entry((from, to)).or_default())
    }
}

impl Drop for NodeMesh {
    fn drop(&mut self) {
        for (one, _) in self.state.lock().channels.values() {
            one.inner.close();
        }
    }
}

impl Debug for NodeMesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeMesh").field("live", &self.state.lock().live).finish_non_exhaustive()
    }
}

/// A direction that is cut, until this is dropped.
#[derive(Debug)]
#[must_use = "the cut ends when this is dropped"]
pub struct Cut {
    cuts: Arc<AtomicUsize>,
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.cuts.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One node's end of a channel of a mesh.
#[derive(Debug)]
pub struct MeshChannel {
    inner: Arc<MemChannel>,
    /// Of the direction in which this end sends.
    cuts: Arc<AtomicUsize>,
}

impl MeshChannel {
    /// Whether what is sent now is lost on the way.
    fn is_cut(&self) -> bool {
        self.cuts.load(Ordering::Acquire) > 0
    }

    /// Takes a frame that is lost: all that is wrong with it is still said.
    fn lose(&self, bytes: usize) -> Result<(), NetError> {
        self.inner.check_length(bytes)?;
        self.inner.check_open()
    }
}

impl Channel for MeshChannel {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        if self.is_cut() { self.lose(frame.len()) } else { self.inner.send(frame) }
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        if self.is_cut() {
            return self.lose(parts.iter().map(Bytes::len).sum());
        }
        self.inner.send_parts(parts)
    }

    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        if self.is_cut() {
            return self.lose(parts.iter().map(Bytes::len).sum()).map(|()| TrySent::Whole);
        }
        self.inner.try_send_parts(parts)
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        self.inner.receive(deadline)
    }

    fn close(&self) {
        self.inner.close();
    }

    fn peer(&self) -> &Peer {
        self.inner.peer()
    }

    fn frame_bytes_max(&self) -> usize {
        self.inner.frame_bytes_max()
    }
}
