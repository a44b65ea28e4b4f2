//! Services of the application on the node's own port.
//!
//! A member listens anyway, at an address that all the others know; so an application need not open a port of its own to be
//! reached. A caller dials with a [`Hello`] that names the group and the service, over the transport that the members speak.
//! Each caller is served on a thread of this environment: `close` hangs up on it, waits for it, and names it if it does not end.

use crate::error::Error;
use crate::runtime::shared::Shared;
use crate::runtime::threads::Threads;
use crate::sync::{Flaw, Mutex, broken};
use rep_net::{Channel, Hello, RefuseReason, ServiceHandler, ServiceTable};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Callers that one service serves at a time; one more is told `Busy`.
pub const CALLERS_MAX: usize = 64;

/// Names that are, or will be, the node's own.
const RESERVED: [&str; 5] = ["peer", "feeder", "admin", "restore", "join"];

/// Everything that an application has registered.
pub(crate) struct Services {
    table: Arc<ServiceTable>,
    shared: Arc<Shared>,
    threads: Threads,
    callers: Callers,
}

/// Who is served now. Clones are handles to the same table.
#[derive(Clone, Default)]
pub(crate) struct Callers {
    served: Arc<Mutex<Served>>,
}

/// The channels that are served now; no more may come once it is closed.
#[derive(Default)]
struct Served {
    number: u64,
    channels: BTreeMap<u64, (String, Arc<dyn Channel>)>,
    closed: bool,
}

impl Services {
    pub(crate) fn new(table: Arc<ServiceTable>, shared: Arc<Shared>, threads: Threads) -> Self {
        Services { table, shared, threads, callers: Callers::default() }
    }

    pub(crate) fn register(
        &self,
        name: &str,
        handler: Arc<dyn ServiceHandler>,
    ) -> Result<(), Error> {
        self.shared.check_open()?;
        if RESERVED.contains(&name) {
            return Err(Error::Invalid { what: format!("the service {name:?} is the node's own") });
        }
        let service = Registered {
            name: name.to_owned(),
            handler,
            shared: Arc::clone(&self.shared),
            threads: self.threads.clone(),
            callers: self.callers.clone(),
        };
        self.table
            .register(&self.shared.group_name, name, Arc::new(service))
            .map_err(|error| Error::Invalid { what: error.to_string() })
    }

    /// Hangs up on every caller; there will be no more.
    pub(crate) fn close(&self) {
        self.callers.close();
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = self.callers.served.lock().channels.len();
        f.debug_struct("Services").field("served", &served).finish_non_exhaustive()
    }
}

impl Callers {
    fn is_full(&self, service: &str) -> bool {
        self.served.lock().is_full(service)
    }

    /// A place among the callers of a service, if there is one.
    pub(crate) fn enter(&self, service: &str, channel: &Arc<dyn Channel>) -> Option<Place> {
        let mut served = self.served.lock();
        if served.closed || served.is_full(service) {
            return None;
        }
        served.number += 1;
        let number = served.number;
        served.channels.insert(number, (service.to_owned(), Arc::clone(channel)));
        Some(Place { number, callers: self.clone() })
    }

    /// Hangs up on all of them; nobody enters after that.
    pub(crate) fn close(&self) {
        let mut served = self.served.lock();
        served.closed = !broken(Flaw::DoorStaysOpen);
        let channels = std::mem::take(&mut served.channels);
        drop(served);
        channels.into_values().for_each(|(_, channel)| channel.close());
    }
}

impl Served {
    fn is_full(&self, service: &str) -> bool {
        let own = self.channels.values().filter(|(name, _)| name == service);
        own.count() >= CALLERS_MAX
    }
}

struct Registered {
    name: String,
    handler: Arc<dyn ServiceHandler>,
    shared: Arc<Shared>,
    threads: Threads,
    callers: Callers,
}

impl ServiceHandler for Registered {
    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        if self.shared.is_closing() {
            return Err(RefuseReason::Closing);
        }
        if self.callers.is_full(&self.name) {
            return Err(RefuseReason::Busy);
        }
        self.handler.check(hello)
    }

    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>) {
        let Some(place) = self.callers.enter(&self.name, &channel) else { return channel.close() };
        let (handler, own) = (Arc::clone(&self.handler), Arc::clone(&channel));
        let serving = self.threads.lend(format!("rep-serve-{}", self.name), move || {
            let _place = place;
            handler.accept(hello, own);
        });
        if let Err(error) = serving {
            tracing::warn!(service = %self.name, %error, "no thread to serve a caller");
            channel.close();
        }
    }

    fn needs_group(&self) -> bool {
        self.handler.needs_group()
    }
}

/// A place among the callers, given back when this is dropped. The channel is the handler's to keep or to close.
pub(crate) struct Place {
    number: u64,
    callers: Callers,
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.callers.served.lock().channels.remove(&self.number);
        drop(left);
    }
}
