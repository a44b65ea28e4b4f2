//! What an operator orders of a whole group: that another member be master, or that everybody stop.
//!
//! The node decides ([`rep_node::Transfer`]); here a caller waits for what comes of it, and is told in names.

use crate::environment::ReplicatedEnvironment;
use crate::error::Error;
use crate::member::Member;
use crate::runtime::inbox::Input;
use crate::runtime::restore::question;
use crate::runtime::shared::Shared;
use crate::waiter::{Slot, TIME_MAX};
use rep_node::{NotCancelled, NotRestored, NotShutDown, NotTransferred, Request, Transfer};
use rep_store::StateMachine;
use rep_vlsn::NodeId;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// The duty to say what became of an order; dropped, the node has ended.
#[derive(Debug)]
pub(crate) struct Order<T: Clone>(Arc<Slot<Option<T>>>);

/// The new master, or why there is none.
pub(crate) type Transferred = Result<NodeId, NotTransferred>;
/// Who was left behind, or why nobody was stopped.
pub(crate) type GroupShutDown = Result<Vec<NodeId>, NotShutDown>;

impl<T: Clone> Order<T> {
    pub(crate) fn new() -> (Self, Arc<Slot<Option<T>>>) {
        let slot = Arc::new(Slot::pending());
        (Order(Arc::clone(&slot)), slot)
    }

    /// Those who sleep are woken; the tasks are left to be woken by the caller.
    pub(crate) fn settle(self, outcome: T) -> Vec<Waker> {
        self.0.settle(Some(outcome)).unwrap_or_default()
    }
}

impl<T: Clone> Drop for Order<T> {
    fn drop(&mut self) {
        self.0.resolve(None);
    }
}

impl<M: StateMachine> ReplicatedEnvironment<M> {
    /// Hands the mastership over to the first of `targets` (names of members; none: any voter) that is caught up; the new master.
    /// At the master only. Commits go on until a target is nearly caught up, then wait at their admission for the short time
    /// until it holds every entry; when this returns, the target has been heard as master by a commit quorum. Whatever was
    /// committed stays so, and handles that are pending resolve as after any other change of master.
    ///
    /// Another transfer that is under way ends with this one if `force`d; else it is this one that is refused. Up to the moment
    /// when the next term is solicited a failure leaves this node the master, at `timeout` for certain; after it the group
    /// elects as ever.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`]; [`Error::Invalid`] if a target is no other voter, or there is none; [`Error::NotTransferred`] saying
    /// why, and what this node is now; [`Error::Closed`], [`Error::Halted`].
    pub fn transfer_master(
        &self,
        targets: &[&str],
        timeout: Duration,
        force: bool,
    ) -> Result<Member, Error> {
        self.shared().transfer_master(targets, timeout, force)
    }

    /// Has this member give up its copy of the state for that of `source`, the name of another member: when it is suspected to be
    /// wrong, or its place on the disk to be rotten. At once this says only whether that is done; how it goes is told by
    /// [`stats`](Self::stats) and `rep status`. The member follows no stream and serves no read that promises anything until the
    /// copy is in place; handles, readers and subscriptions stay valid. If `source` gives no copy after a few attempts, the member
    /// goes on as it was.
    ///
    /// A member whose group's logs have left it behind needs no order. [`subscribe`](Self::subscribe) tells how it goes ([`RestoreEvent`](crate::RestoreEvent)), and
    /// [`cancel_restore`](Self::cancel_restore) ends it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `source` is no other member, this one is the master, or is being given a copy already;
    /// [`Error::Closed`], [`Error::Halted`].
    pub fn restore_from(&self, source: &str) -> Result<(), Error> {
        self.shared().restore_from(source)
    }

    /// Ends the fetching of a copy that was ordered ([`restore_from`](Self::restore_from)), as long as that is not complete; the member goes on as it was. What came of
    /// it is of use for the next one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no copy is being fetched, nobody ordered it (the member has nowhere else to go on from), or it is complete and being put in place;
    /// [`Error::Closed`], [`Error::Halted`].
    pub fn cancel_restore(&self) -> Result<(), Error> {
        self.shared().cancel_restore()
    }

    /// Stops the whole group, this member last: new commits wait from here on, the members that are connected catch up and
    /// sync, all of them are told to stop and do ([`Error::Halted`] is what their callers hear, and their last
    /// [`StateEvent`](crate::StateEvent) has the reason [`GROUP_SHUT_DOWN`](crate::events::GROUP_SHUT_DOWN)), and this environment is closed. At the master
    /// only. Members that are not in reach or not caught up by `timeout` are left behind: the names returned. Started again, the
    /// group goes on where it ended.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`], if it is not or has been deposed meanwhile: then nobody was stopped. [`Error::HandingOver`], if it is being shut
    /// down already. [`Error::WouldDeadlock`] in one of this environment's own threads. [`Error::Closed`], [`Error::Halted`]; if it was closed while
    /// members were being told, they stop.
    pub fn shutdown_group(&self, timeout: Duration) -> Result<Vec<String>, Error> {
        if self.runtime().is_own_thread() {
            return Err(Error::WouldDeadlock);
        }
        let left_behind = self.shared().shut_group_down(timeout)?;
        if let Err(error) = self.close() {
            tracing::warn!(node = %self.shared().name, %error, "the group is shut down, and this member still ends");
        }
        Ok(left_behind)
    }
}

impl Shared {
    pub(crate) fn transfer_master(
        &self,
        targets: &[&str],
        timeout: Duration,
        force: bool,
    ) -> Result<Member, Error> {
        self.check_open()?;
        let targets = targets.iter().map(|name| self.number_of(name)).collect::<Result<_, _>>()?;
        let (request, deadline) = self.order(timeout);
        let (order, slot) = Order::<Transferred>::new();
        let transfer = Transfer::new(request, targets, deadline, force);
        self.inbox.control(Input::Transfer { transfer, order });
        match slot.wait(None).flatten() {
            Some(Ok(master)) => self.directory.member(master).ok_or(Error::Closed),
            Some(Err(why)) => Err(self.not_transferred(&why)),
            None => Err(self.over()),
        }
    }

    pub(crate) fn restore_from(&self, source: &str) -> Result<(), Error> {
        self.check_open()?;
        let source = self.directory.id_of(source).ok_or_else(|| Error::no_member(source))?;
        let (asked, answer) = question();
        self.inbox.control(Input::RestoreFrom { source, answer });
        match asked.wait() {
            Some(Ok(())) => Ok(()),
            Some(Err(NotRestored::Closed)) | None => Err(self.over()),
            Some(Err(why)) => Err(Error::Invalid { what: why.to_string() }),
        }
    }

    pub(crate) fn cancel_restore(&self) -> Result<(), Error> {
        self.check_open()?;
        let (asked, answer) = question();
        self.inbox.control(Input::CancelRestore { answer });
        match asked.wait() {
            Some(Ok(())) => Ok(()),
            Some(Err(NotCancelled::Closed)) | None => Err(self.over()),
            Some(Err(why)) => Err(Error::Invalid { what: why.to_string() }),
        }
    }

    /// The names of those left behind.
    pub(crate) fn shut_group_down(&self, timeout: Duration) -> Result<Vec<String>, Error> {
        self.check_open()?;
        let (request, deadline) = self.order(timeout);
        let (order, slot) = Order::<GroupShutDown>::new();
        self.inbox.control(Input::ShutGroupDown { request, deadline, order });
        match slot.wait(None).flatten() {
            Some(Ok(left_behind)) => Ok(self.names_of(left_behind)),
            Some(Err(NotShutDown::NotMaster { master })) => Err(self.not_master(master)),
            Some(Err(NotShutDown::InProgress)) => {
                Err(Error::HandingOver { waited: Duration::ZERO })
            }
            Some(Err(_)) | None => Err(self.over()),
        }
    }

    pub(crate) fn order(&self, timeout: Duration) -> (Request, Duration) {
        (self.next_request(), self.clock.now() + timeout.min(TIME_MAX))
    }

    fn not_transferred(&self, why: &NotTransferred) -> Error {
        let words = why.to_string();
        let failed = |still_master, master: Option<NodeId>| Error::NotTransferred {
            why: words.clone(),
            still_master,
            master: master.and_then(|master| self.directory.member(master)),
        };
        match why {
            NotTransferred::Closed => self.over(),
            NotTransferred::NotMaster { master } => self.not_master(*master),
            NotTransferred::UnknownTarget { target } => Error::Invalid {
                what: format!(
                    "{} is no other voter of this group",
                    self.directory.name_of(*target)
                ),
            },
            NotTransferred::NoTarget => Error::Invalid { what: words },
            NotTransferred::OtherMaster { master } if *master == self.directory.me() => {
                failed(true, None)
            }
            NotTransferred::OtherMaster { master } => failed(false, Some(*master)),
            NotTransferred::NoMaster => failed(false, None),
            // In progress, superseded, not caught up.
            _ => failed(true, None),
        }
    }
}
