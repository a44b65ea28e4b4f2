//! How many channels each peer has at a listener: so many at most.
//!
//! Of peers that the transport has proof of. Where names are only announced, whoever announced another's name could take all the seats
//! that are that other's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hello::RefuseReason;
use crate::identity::Identity;
use crate::limits::Limits;
use crate::sync::Mutex;

/// The seats of one listener.
#[derive(Debug)]
pub(crate) struct Seats {
    per_peer_max: usize,
    taken: Mutex<BTreeMap<Identity, usize>>,
}

impl Seats {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { per_peer_max: limits.channels_per_peer_max, taken: Mutex::default() })
    }

    /// One more seat for that peer, if it has not got as many as it may have.
    pub(crate) fn take(self: &Arc<Self>, peer: Identity) -> Result<Seat, RefuseReason> {
        let mut taken = self.taken.lock();
        let own = taken.get(&peer).copied().unwrap_or_default();
        if own >= self.per_peer_max {
            return Err(RefuseReason::TooManyChannels);
        }
        taken.insert(peer.clone(), own + 1);
        drop(taken);
        Ok(Seat { seats: Arc::clone(self), peer })
    }
}

/// A seat, which its peer has until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    peer: Identity,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        if let Some(own) = taken.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}
