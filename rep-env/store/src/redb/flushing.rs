//! A thread that has the disk write while a new state is loaded.
//!
//! The transactions of a load are not durable, so that what they write stays with the operating system, and the commit at the end
//! would wait for the disk to write all of it while the processors have nothing to do. A sync through another handle of the file changes nothing
//! but when that is done: whatever is not needed by the last durable commit may be on the disk or not.

use crate::StoreError;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Syncs a file again and again, on a thread of its own.
pub(super) struct Flushing {
    /// `None` when no more is asked for.
    asked: Option<SyncSender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Flushing {
    pub(super) fn start(path: &Path) -> Result<Flushing, StoreError> {
        let failed = || StoreError::engine::<io::Error>("flush what is loaded");
        let file = File::open(path).map_err(failed())?;
        // One sync is under way, and one more is asked for.
        let (asked, asks) = sync_channel(1);
        let run = move || asks.iter().try_for_each(|()| file.sync_data());
        let thread = std::thread::Builder::new().name("rep-flush".to_owned()).spawn(run);
        Ok(Flushing { asked: Some(asked), thread: Some(thread.map_err(failed())?) })
    }

    /// There is more to write. Waits for nothing: if a sync has been asked for already, that one does it.
    pub(super) fn go_on(&self) {
        if let Some(asked) = &self.asked {
            let _ = asked.try_send(());
        }
    }

    /// Waits for the sync that is under way.
    ///
    /// # Errors
    ///
    /// If one has failed: what was loaded may be lost, and whether a later sync would say so is not known of every system.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        self.end().map_err(StoreError::engine("flush what is loaded"))
    }

    fn end(&mut self) -> io::Result<()> {
        self.asked = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended.map_or(Ok(()), |ended| ended.unwrap_or_else(|_| Err(io::Error::other("it panicked"))))
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        // Whatever was loaded is given up.
        drop(self.end());
    }
}
