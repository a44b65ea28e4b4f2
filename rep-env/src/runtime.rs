//! The threads of a running node, and how they are started and ended.
//!
//! No thread owns the node. Who brings it news takes the [`helm`], steps it and carries out what it says ([`node_loop`]); the
//! watch sees to its deadlines. The [`log_writer`] and the [`promise_writer`] wait for the disk, the [`applier`] for
//! the store, two threads a channel ([`peers`]) for sockets, one a sink ([`shipper`]) for what leaves the group; the [`scrubber`] reads the log again. Copies of the state have threads of their own ([`restore`]). Whatever decides is a step function of a pure crate.

mod applier;
pub(crate) mod bell;
pub(crate) mod credit;
pub(crate) mod directory;
mod file_ages;
pub(crate) mod helm;
pub(crate) mod home;
pub(crate) mod inbox;
mod joining;
mod last_words;
pub(crate) mod log_writer;
mod node_loop;
pub(crate) mod peers;
mod promise_writer;
pub(crate) mod restore;
pub(crate) mod scrubber;
mod set_aside;
pub(crate) mod shared;
pub(crate) mod shipper;
pub(crate) mod shown;
mod start;
pub(crate) mod threads;

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
pub(crate) use start::start_on;
pub(crate) use start::{Started, databases, start};

use crate::admin::Admin;
use crate::error::Error;
use crate::replicate::Places;
use crate::services::Services;
use inbox::Input;
use peers::CurrentLog;
use rep_net::{Address, Listener, Transport};
use shared::Shared;
use std::sync::Arc;
use std::time::Instant;
use threads::Threads;

/// A running node: what it shares, its threads, its ear.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) shared: Arc<Shared>,
    pub(crate) services: Services,
    /// What the members speak.
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) threads: Threads,
    /// The log, for whoever reads it beside the node.
    pub(crate) log: Arc<CurrentLog>,
    listener: Box<dyn Listener>,
    places: Arc<dyn Places>,
}

impl Runtime {
    pub(crate) fn local_address(&self) -> &Address {
        self.listener.local_address()
    }

    /// Ends everything and waits for it, until `close_timeout`.
    pub(crate) fn close(&self) -> Result<(), Error> {
        if self.threads.is_own() {
            return Err(Error::WouldDeadlock);
        }
        let began = Instant::now();
        let deadline = began + self.shared.timing.close_timeout;
        self.shared.begin_close();
        self.shared.inbox.control(Input::Close);
        self.services.close();
        self.listener.close();
        let ended = self.threads.wait(deadline);
        // The channels have ended, and may have kept the port until now.
        self.listener.close();
        // A machine that is stuck will not tell who waits for its result.
        self.places.end();
        ended.map_err(|threads| Error::CloseTimeout { waited: began.elapsed(), threads })
    }

    /// Whether the present thread is one that a close would wait for.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.threads.is_own()
    }

    /// As [`Runtime::close`], from a place that cannot wait for these threads.
    fn close_elsewhere(self) {
        let name = "rep-closer".to_owned();
        let closing = std::thread::Builder::new().name(name).spawn(move || {
            let _ = self.close();
        });
        if let Err(error) = closing {
            tracing::error!(%error, "no thread to close an environment in; it is left to itself");
        }
    }
}

/// The last handle's drop closes.
#[derive(Debug)]
pub(crate) struct Owned(Option<Runtime>);

impl Owned {
    pub(crate) fn new(runtime: Runtime) -> Self {
        Owned(Some(runtime))
    }

    pub(crate) fn get(&self) -> &Runtime {
        self.0.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let Some(runtime) = self.0.take() else { return };
        if runtime.threads.is_own() {
            runtime.close_elsewhere();
        } else if let Err(error) = runtime.close() {
            tracing::warn!(node = %runtime.shared.name, %error, "an environment was dropped and did not close in time");
        }
    }
}
