//! The connections that a transport has dialled: one for each address, shared by its channels, gone with the last of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::quic::link::Link;
use crate::sync::{Condvar, Mutex};
use crate::tls::Material;
use crate::transport::Address;

#[derive(Debug, Default)]
pub(super) struct Pool {
    slots: Mutex<BTreeMap<Address, Slot>>,
    connected: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    links: Vec<Weak<Link>>,
    /// Somebody is connecting; others wait for what comes of it.
    connecting: bool,
}

/// What a pool has for an address.
pub(super) enum Found<'a> {
    /// A connection that exists.
    Link(Arc<Link>),
    /// None; whoever has this makes one.
    Connect(Connecting<'a>),
    /// Somebody else has been making one up to the deadline.
    TimedOut,
}

impl Pool {
    /// A connection to that address that may be used by these certificates, or the task to make one.
    pub(super) fn find(
        &self,
        address: &Address,
        material: &Arc<Material>,
        deadline: Instant,
    ) -> Found<'_> {
        let mut slots = self.slots.lock();
        let mut passed = false;
        loop {
            slots.retain(|_, slot| slot.is_needed());
            let slot = slots.entry(address.clone()).or_default();
            let mut links = slot.links.iter().filter_map(Weak::upgrade);
            if let Some(link) = links.find(|link| link.is_usable(material)) {
                return Found::Link(link);
            }
            drop(links);
            if !slot.connecting {
                slot.connecting = true;
                return Found::Connect(Connecting { pool: self, address: address.clone() });
            }
            if passed {
                return Found::TimedOut;
            }
            (slots, passed) = self.connected.wait_until(slots, Some(deadline));
        }
    }

    /// A connection that was made though there is one already.
    pub(super) fn add(&self, address: &Address, link: &Arc<Link>) {
        let mut slots = self.slots.lock();
        slots.entry(address.clone()).or_default().links.push(Arc::downgrade(link));
    }
}

impl Slot {
    fn is_needed(&mut self) -> bool {
        self.links.retain(|link| link.strong_count() > 0);
        self.connecting || !self.links.is_empty()
    }
}

/// The task to connect. Whoever drops it has failed, and another may try.
pub(super) struct Connecting<'a> {
    pool: &'a Pool,
    address: Address,
}

impl Connecting<'_> {
    pub(super) fn done(self, link: &Arc<Link>) {
        self.pool.add(&self.address, link);
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.pool.slots.lock().get_mut(&self.address) {
            slot.connecting = false;
        }
        self.pool.connected.notify_all();
    }
}
