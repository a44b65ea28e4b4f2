//! What a disk thread says if it dies of a panic. A node that waits for a disk which nobody serves would neither fail nor
//! go on; so the panic is reported like any other failure of that disk, and the node acts on it.

use crate::runtime::inbox::{Inbox, Input};
use rep_node::PersistFailed;

/// Held by a thread that writes; speaks only if the thread panics.
#[derive(Debug)]
pub(crate) struct LastWords<'a> {
    inbox: &'a Inbox,
    failed: PersistFailed,
}

impl<'a> LastWords<'a> {
    /// If this thread panics, `failed` is what has failed.
    pub(crate) fn of(inbox: &'a Inbox, failed: PersistFailed) -> Self {
        LastWords { inbox, failed }
    }
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "its thread panicked; this is a bug in the library".to_owned();
            self.inbox.completed(Input::PersistFailed(self.failed, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ending: fn()) -> Vec<Input> {
        let inbox = Inbox::new();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let _last_words = LastWords::of(&inbox, PersistFailed::Log);
                ending();
            });
            let _ = writer.join();
        });
        inbox.take_all()
    }

    #[test]
    fn a_writer_that_panics_is_a_disk_that_failed_and_one_that_ends_is_not() {
        let inputs = after(|| panic!("as a bug would"));
        assert!(matches!(inputs[..], [Input::PersistFailed(PersistFailed::Log, _)]), "{inputs:?}");
        assert!(after(|| {}).is_empty());
    }
}
