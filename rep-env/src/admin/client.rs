//! The asking side.

use super::{ADMIN_SERVICE, AppliedDigest, Reply, Request, StatusReport, decode, encode};
use crate::error::Error;
use crate::member::Member;
use crate::membership::{GroupMember, MemberUpdate, Membership, NewMember};
use crate::waiter::deadline;
use bytes::Bytes;
use rep_net::{Address, Channel, DialError, Hello, Limits, NetError, TcpTransport, Transport};
use rep_node::Quorums;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// How often a node that asks another one looks whether it is being closed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An open channel for questions, over any transport.
#[derive(Debug)]
pub struct AdminClient {
    channel: Arc<dyn Channel>,
    address: String,
}

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

    /// The same under a name: over TLS, one that the caller's certificate has.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`].
    pub fn connect_as(
        transport: &dyn Transport,
        name: &str,
        address: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let hello = Hello::new("", ADMIN_SERVICE).from_node(name, [0; 16]);
        let channel = transport
            .dial(&Address::new(address), &hello, deadline(timeout))
            .map_err(|error| dial_error(address, &error))?;
        Ok(AdminClient { channel, address: address.to_owned() })
    }

    /// The node's account of itself.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`].
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
    /// [`Error::Admin`].
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
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Admin`].
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
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Admin`].
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
    /// [`Error::Admin`].
    pub fn restore_from(&self, source: &str, timeout: Duration) -> Result<(), Error> {
        match self.ask(Request::RestoreFrom { source: source.to_owned() }, timeout)? {
            Reply::Restoring => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    /// Who belongs to the node's group, as far as its log says.
    ///
    /// # Errors
    ///
    /// [`Error::Admin`], also if it belongs to none yet.
    pub fn membership(&self, timeout: Duration) -> Result<Membership, Error> {
        self.changed(Request::Membership, timeout)
    }

    /// Has the node, the master, make a learner of another one, as
    /// [`begin_adding`](crate::ReplicatedEnvironment::begin_adding) does; [`membership`](Self::membership) says what it is later.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Admin`].
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
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Admin`].
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
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Admin`].
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
    /// [`Error::NotMaster`] says whom to ask instead; [`Error::Admin`].
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

    pub(super) fn ask(&self, request: Request, timeout: Duration) -> Result<Reply, Error> {
        self.send(&request)?;
        self.understood(self.channel.receive(deadline(timeout)), timeout)
    }

    /// The same, unless `is_over` meanwhile, which nobody tells and is looked at now and then: a node that is closed waits for its threads.
    pub(super) fn ask_unless(
        &self,
        request: Request,
        timeout: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Reply, Error> {
        self.send(&request)?;
        let until = deadline(timeout);
        while !is_over() {
            match self.channel.receive(until.min(Instant::now() + LOOK_EVERY)) {
                Ok(None) if Instant::now() < until => {}
                answered => return self.understood(answered, timeout),
            }
        }
        Err(self.failed("nobody waits for its answer any more".to_owned()))
    }

    fn send(&self, request: &Request) -> Result<(), Error> {
        self.channel.send(encode(request)).map_err(|error| self.failed(error.to_string()))
    }

    fn understood(
        &self,
        answered: Result<Option<Bytes>, NetError>,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        match answered {
            Ok(Some(frame)) => decode(&frame)
                .map_err(|bad| self.failed(format!("its answer is not understood: {bad}"))),
            Ok(None) => Err(self.failed(format!("no answer within {timeout:?}"))),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    pub(super) fn unexpected(&self, reply: Reply) -> Error {
        self.failed(match reply {
            Reply::Refused(why) => why,
            Reply::Status(_)
            | Reply::Digest(_)
            | Reply::MasterIs(_)
            | Reply::GroupShutDown(_)
            | Reply::NotMaster(_)
            | Reply::Restoring
            | Reply::Membership(_)
            | Reply::Introduction(_)
            | Reply::Admitted(_)
            | Reply::Entered
            | Reply::Added(_) => "it answered another question".to_owned(),
        })
    }

    fn failed(&self, detail: String) -> Error {
        Error::Admin { address: self.address.clone(), detail, unreachable: false }
    }
}

fn ms(timeout: Duration) -> u64 {
    timeout.as_millis() as u64
}

impl Drop for AdminClient {
    fn drop(&mut self) {
        self.channel.close();
    }
}

fn dial_error(address: &str, error: &DialError) -> Error {
    let unreachable = matches!(
        error,
        DialError::Refused { .. }
            | DialError::TimedOut { .. }
            | DialError::Unreachable { .. }
            | DialError::HungUp { .. }
    );
    Error::Admin { address: address.to_owned(), detail: error.to_string(), unreachable }
}
