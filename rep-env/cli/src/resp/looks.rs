//! Views for many clients at once: all who ask for the newest one within a round of their front share it.

use super::mailbox::Mailbox;
use super::server::Port;
use rep_env::{Consistency, Error, ReadHandle, View};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Views that were asked for and are not there yet.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// By number.
    under_way: BTreeMap<u64, Look>,
}

#[derive(Debug)]
struct Look {
    handle: ReadHandle<View>,
    clients: Vec<i64>,
}

/// Views for clients, or why there are none.
pub(super) type Seen = Vec<(i64, Result<View, Error>)>;

impl Looks {
    /// Asks for the views that clients want. All of them have asked before this; so one new view is new enough for each.
    pub(super) fn begin(
        &mut self,
        wanted: &mut Vec<(i64, Consistency)>,
        port: &Port,
        mailbox: &Arc<Mailbox>,
        seen: &mut Seen,
    ) {
        let mut newest = Vec::new();
        for (client, consistency) in wanted.drain(..) {
            match consistency {
                Consistency::Linearizable => newest.push(client),
                other => self.ask(other, vec![client], port, mailbox, seen),
            }
        }
        if !newest.is_empty() {
            self.ask(Consistency::Linearizable, newest, port, mailbox, seen);
        }
    }

    fn ask(
        &mut self,
        consistency: Consistency,
        clients: Vec<i64>,
        port: &Port,
        mailbox: &Arc<Mailbox>,
        seen: &mut Seen,
    ) {
        let number = port.next_future();
        self.under_way.insert(number, Look { handle: port.env.read(consistency), clients });
        self.woken(number, mailbox, seen);
    }

    /// The future of this number may be ready.
    pub(super) fn woken(&mut self, number: u64, mailbox: &Arc<Mailbox>, seen: &mut Seen) {
        let Some(look) = self.under_way.get_mut(&number) else { return };
        let waker = mailbox.waker(number);
        let mut context = Context::from_waker(&waker);
        let Poll::Ready(view) = Pin::new(&mut look.handle).poll(&mut context) else { return };
        let Some(look) = self.under_way.remove(&number) else { return };
        seen.extend(look.clients.into_iter().map(|client| (client, view.clone())));
    }
}
