//! The asking side.

use super::{ADMIN_SERVICE, AppliedDigest, Reply, Request, StatusReport, VERSION};
use crate::error::Error;
use crate::member::Member;
use crate::membership::{GroupMember, MemberUpdate, Membership, NewMember};
use crate::questions::Asking;
use rep_net::{Hello, Limits, TcpTransport, Transport};
use rep_node::Quorums;
use std::time::Duration;

/// Asks the node at `address` (`host:port` of this host, over plain TCP) for its account of itself. For others there is
/// [`AdminClient::connect`], with a transport of the caller's choice.
///
/// # Errors
///
/// [`Error::Admin`]; its `unreachable` tells whether anybody was there at all.
pub fn status(address: &str, timeout: Duration) -> Result<StatusReport, Error> {
    AdminClient::connect(&TcpTransport::new(Limits::default()), address, timeout)?.status(timeout)
}

/// Asks the node at `address` (`host:port`, over plain TCP) for a digest of what it has applied.
///
/// # Errors
///
/// As [`status`].
pub fn digest(address: &str, timeout: Duration) -> Result<AppliedDigest, Error> {
    AdminClient::connect(&TcpTransport::new(Limits::default()), address, timeout)?.digest(timeout)
}

/// Beyond its own deadline an order is waited for so long.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// An open channel for questions and orders, over any transport.
#[derive(Debug)]
pub struct AdminClient(Asking);

impl AdminClient {
    /// Reaches whoever listens at `address`.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`].
    pub fn connect(
        transport: &dyn Transport,
        address: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        Self::connect_as(transport, "", address, timeout)
    }

    /// The same under a name: over TLS and QUIC, an administrator's that the caller's certificate has
    /// ([`Identity::administrator`](rep_net::Identity::administrator)).
    ///
    /// # Errors
    ///
    /// [`Error::NotAdministrator`] if it has another; [`Error::Admin`].
    pub fn connect_as(
        transport: &dyn Transport,
        name: &str,
        address: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let hello = Hello::new("", ADMIN_SERVICE).from_node(name, [0; 16]);
        Asking::dial(transport, &hello, (address, VERSION), timeout).map(AdminClient)
    }

    /// The node's account of itself.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`], [`Error::Refused`].
    pub fn status(&self, timeout: Duration) -> Result<StatusReport, Error> {
        match self.ask(Request::Status, timeout)? {
            Reply::Status(report) => Ok(*report),
            other => Err(self.unexpected(other)),
        }
    }

    /// A digest of what the node has applied. Reads everything.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`], [`Error::Refused`].
    pub fn digest(&self, timeout: Duration) -> Result<AppliedDigest, Error> {
        match self.ask(Request::Digest, timeout)? {
            Reply::Digest(digest) => Ok(digest),
            other => Err(self.unexpected(other)),
        }
    }

    /// Has the node hand its mastership over, as [`transfer_master`](crate::ReplicatedEnvironment::transfer_master) does within
    /// `timeout`, at most ten minutes; the new master.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Refused`], [`Error::Admin`].
    pub fn transfer_master(
        &self,
        targets: &[String],
        timeout: Duration,
        force: bool,
    ) -> Result<Member, Error> {
        let (targets, timeout_ms) = (targets.to_vec(), timeout.as_millis() as u64);
        let request = Request::TransferMaster { targets, timeout_ms, force };
        match self.ask(request, timeout.saturating_add(ANSWER_WAIT))? {
            Reply::MasterIs(master) => Ok(master),
            Reply::NotMaster(master) => Err(Error::NotMaster { master }),
            other => Err(self.unexpected(other)),
        }
    }

    /// Has the node shut its group down, as [`shutdown_group`](crate::ReplicatedEnvironment::shutdown_group) does within `timeout`,
    /// at most ten minutes; the members left behind.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Refused`], [`Error::Admin`].
    pub fn shutdown_group(&self, timeout: Duration) -> Result<Vec<String>, Error> {
        let request = Request::ShutDownGroup { timeout_ms: timeout.as_millis() as u64 };
        match self.ask(request, timeout.saturating_add(ANSWER_WAIT))? {
            Reply::GroupShutDown(left_behind) => Ok(left_behind),
            Reply::NotMaster(master) => Err(Error::NotMaster { master }),
            other => Err(self.unexpected(other)),
        }
    }

    /// Has the node fetch a copy of the state from the member `source`, as
    /// [`restore_from`](crate::ReplicatedEnvironment::restore_from) does; its [`status`](Self::status) says how that goes.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`], [`Error::Refused`].
    pub fn restore_from(&self, source: &str, timeout: Duration) -> Result<(), Error> {
        match self.ask(Request::RestoreFrom { source: source.to_owned() }, timeout)? {
            Reply::Restoring => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    /// Has the node end the fetching of a copy that was ordered, as
    /// [`cancel_restore`](crate::ReplicatedEnvironment::cancel_restore) does.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`], [`Error::Refused`].
    pub fn cancel_restore(&self, timeout: Duration) -> Result<(), Error> {
        match self.ask(Request::CancelRestore, timeout)? {
            Reply::RestoreCancelled => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    /// Who belongs to the node's group, as far as its log says.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], if it belongs to none yet; [`Error::Admin`].
    pub fn membership(&self, timeout: Duration) -> Result<Membership, Error> {
        self.changed(Request::Membership, timeout)
    }

    /// Has the node, the master, make a learner of another one, as
    /// [`begin_adding`](crate::ReplicatedEnvironment::begin_adding) does; [`membership`](Self::membership) says what it is later.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Refused`], [`Error::Admin`].
    pub fn add_member(&self, new: &NewMember, timeout: Duration) -> Result<GroupMember, Error> {
        let request = Request::AddMember { new: new.clone(), timeout_ms: ms(timeout) };
        match self.ask(request, timeout.saturating_add(ANSWER_WAIT))? {
            Reply::Added(member) => Ok(*member),
            Reply::NotMaster(master) => Err(Error::NotMaster { master }),
            other => Err(self.unexpected(other)),
        }
    }

    /// Has the node, the master, remove a member, as [`remove_member`](crate::ReplicatedEnvironment::remove_member) does.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Refused`], [`Error::Admin`].
    pub fn remove_member(
        &self,
        name: &str,
        timeout: Duration,
        force: bool,
    ) -> Result<Membership, Error> {
        let (name, timeout_ms) = (name.to_owned(), ms(timeout));
        self.changed(Request::RemoveMember { name, timeout_ms, force }, timeout)
    }

    /// Has the node, the master, record something else of a member, as [`update_member`](crate::ReplicatedEnvironment::update_member)
    /// does.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Refused`], [`Error::Admin`].
    pub fn update_member(
        &self,
        name: &str,
        update: MemberUpdate,
        timeout: Duration,
    ) -> Result<Membership, Error> {
        let (name, timeout_ms) = (name.to_owned(), ms(timeout));
        self.changed(Request::UpdateMember { name, update, timeout_ms }, timeout)
    }

    /// Has the node, the master, set how many voters it takes, as [`set_quorums`](crate::ReplicatedEnvironment::set_quorums) does.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Refused`], [`Error::Admin`].
    pub fn set_quorums(
        &self,
        quorums: Quorums,
        timeout: Duration,
        force: bool,
    ) -> Result<Membership, Error> {
        self.changed(Request::SetQuorums { quorums, timeout_ms: ms(timeout), force }, timeout)
    }

    fn changed(&self, request: Request, timeout: Duration) -> Result<Membership, Error> {
        match self.ask(request, timeout.saturating_add(ANSWER_WAIT))? {
            Reply::Membership(made) => Ok(*made),
            Reply::NotMaster(master) => Err(Error::NotMaster { master }),
            other => Err(self.unexpected(other)),
        }
    }

    fn ask(&self, request: Request, timeout: Duration) -> Result<Reply, Error> {
        self.0.ask(&request, timeout)
    }

    fn unexpected(&self, reply: Reply) -> Error {
        match reply {
            Reply::Refused(why) => self.0.refused(why),
            Reply::Status(_)
            | Reply::Digest(_)
            | Reply::MasterIs(_)
            | Reply::GroupShutDown(_)
            | Reply::NotMaster(_)
            | Reply::Restoring
            | Reply::RestoreCancelled
            | Reply::Membership(_)
            | Reply::Added(_) => self.0.failed("it answered another question".to_owned()),
        }
    }
}

fn ms(timeout: Duration) -> u64 {
    timeout.as_millis() as u64
}
