//! How many callers are in a handshake: so many at most, and of them so many from one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::limits::Limits;
use crate::sync::Mutex;
use crate::workers::neighbourhood;

#[derive(Debug)]
pub(super) struct HalfOpen {
    total_max: usize,
    per_address_max: usize,
    callers: Mutex<BTreeMap<IpAddr, usize>>,
}

impl HalfOpen {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            total_max: limits.half_open_max,
            per_address_max: limits.half_open_per_address_max,
            callers: Mutex::default(),
        })
    }

    /// Whether half of the places are taken: from here on a caller has to show that it is where it says.
    pub(super) fn is_half_full(&self) -> bool {
        self.callers.lock().values().sum::<usize>() * 2 >= self.total_max
    }

    /// A place for a caller from there; none if there is no room for one more.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Handshake> {
        let from = neighbourhood(from);
        let mut callers = self.callers.lock();
        let total: usize = callers.values().sum();
        let alike = callers.get(&from).copied().unwrap_or_default();
        if total >= self.total_max || alike >= self.per_address_max {
            return None;
        }
        callers.insert(from, alike + 1);
        Some(Handshake { half_open: Arc::clone(self), from })
    }
}

/// A caller's place among those in a handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    half_open: Arc<HalfOpen>,
    from: IpAddr,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut callers = self.half_open.callers.lock();
        if let Some(count) = callers.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                callers.remove(&self.from);
            }
        }
    }
}
