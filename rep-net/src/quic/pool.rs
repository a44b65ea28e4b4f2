//! The connections that a transport has dialled: one for each address, shared by its channels, gone with the last of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::sync::{Condvar, Mutex, broken};
use crate::transport::Address;

/// Connections of the kind `L`.
#[derive(Debug)]
pub(super) struct Pool<L> {
    slots: Mutex<BTreeMap<Address, Slot<L>>>,
    connected: Condvar,
}

#[derive(Debug)]
struct Slot<L> {
    links: Vec<Weak<L>>,
    /// Somebody is connecting; others wait for what comes of it.
    connecting: bool,
}

/// What a pool has for an address.
pub(super) enum Found<'a, L> {
    /// A connection that exists.
    Link(Arc<L>),
    /// None; whoever has this makes one.
    Connect(Connecting<'a, L>),
    /// Somebody else has been making one up to the deadline.
    TimedOut,
}

impl<L> Default for Pool<L> {
    fn default() -> Self {
        Self { slots: Mutex::default(), connected: Condvar::default() }
    }
}

impl<L> Default for Slot<L> {
    fn default() -> Self {
        Self { links: Vec::new(), connecting: false }
    }
}

impl<L> Pool<L> {
    /// A connection to that address that may be used, or the task to make one.
    pub(super) fn find(
        &self,
        address: &Address,
        is_usable: impl Fn(&L) -> bool,
        deadline: Instant,
    ) -> Found<'_, L> {
        let mut slots = self.slots.lock();
        let mut passed = false;
        loop {
            slots.retain(|_, slot| slot.is_needed());
            let slot = slots.entry(address.clone()).or_default();
            let mut links = slot.links.iter().filter_map(Weak::upgrade);
            if let Some(link) = links.find(|link| is_usable(link)) {
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
    pub(super) fn add(&self, address: &Address, link: &Arc<L>) {
        let mut slots = self.slots.lock();
        slots.entry(address.clone()).or_default().links.push(Arc::downgrade(link));
    }
}

impl<L> Slot<L> {
    fn is_needed(&mut self) -> bool {
        self.links.retain(|link| link.strong_count() > 0);
        self.connecting || !self.links.is_empty()
    }
}

/// The task to connect. Whoever drops it has failed, and another may try.
pub(super) struct Connecting<'a, L> {
    pool: &'a Pool<L>,
    address: Address,
}

impl<L> Connecting<'_, L> {
    pub(super) fn done(self, link: &Arc<L>) {
        self.pool.add(&self.address, link);
    }
}

impl<L> Drop for Connecting<'_, L> {
    fn drop(&mut self) {
        if let Some(slot) = self.pool.slots.lock().get_mut(&self.address) {
            slot.connecting = false;
        }
        if !broken("pool-connects-in-silence") {
            self.pool.connected.notify_all();
        }
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{break_line, explore, never, thread};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Two who need a connection at once; the first attempt fails if `fails`. How many attempts there were.
    fn all_have_one(fails: bool) {
        let (pool, attempts) = (Arc::new(Pool::<u32>::default()), Arc::new(AtomicUsize::new(0)));
        let dial = move |pool: &Pool<u32>, attempts: &AtomicUsize| {
            loop {
                match pool.find(&"n1".into(), |_| true, never()) {
                    Found::Link(link) => return link,
                    Found::Connect(_) if attempts.fetch_add(1, Ordering::Relaxed) == 0 && fails => {
                    }
                    Found::Connect(connecting) => {
                        let link = Arc::new(7);
                        connecting.done(&link);
                        return link;
                    }
                    Found::TimedOut => panic!("that never comes"),
                }
            }
        };
        let (theirs, counted) = (Arc::clone(&pool), Arc::clone(&attempts));
        let other = thread::spawn(move || dial(&theirs, &counted));
        let own = dial(&pool, &attempts);
        let other = other.join().unwrap();
        assert!(Arc::ptr_eq(&own, &other), "they share it");
        assert_eq!(attempts.load(Ordering::Relaxed), 1 + usize::from(fails));
    }

    #[test]
    fn loom_whoever_dials_meanwhile_shares_the_connection_or_makes_it() {
        explore(|| all_have_one(false));
    }

    #[test]
    fn loom_a_connection_that_failed_is_tried_by_another() {
        explore(|| all_have_one(true));
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_a_connection_that_is_made_in_silence_is_waited_for() {
        break_line("pool-connects-in-silence");
        explore(|| all_have_one(false));
    }
}
