//! The environment: one member of one group, in this process.

use crate::admin::AppliedDigest;
use crate::admin::report;
use crate::config::{OnDamage, RepConfig};
use crate::error::Error;
use crate::events::Events;
use crate::join::JoinClient;
use crate::member::Member;
use crate::read::{Consistency, ReadHandle};
use crate::replicate::{ReplicateHandle, Results};
use crate::runtime::shared::Shared;
use crate::runtime::shipper;
use crate::runtime::{self, Owned, Runtime, Started};
use crate::shipping::Shipping;
use crate::shipping::segments::SegmentSink;
use crate::stats::Stats;
use crate::transaction::{self, WriteTxn};
use crate::waiter::deadline;
use rep_fsm::{NodeState, WaitError};
use rep_net::ServiceHandler;
use rep_store::{Database, Databases, Reader, StateMachine, View};
use rep_vlsn::{GroupId, Vlsn};
use std::any::TypeId;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// A member of a replication group. Clones are handles to the same member; the last one's drop closes it.
///
/// `M` is what the log is about: the built-in [`Databases`], or a [`StateMachine`] of your own.
pub struct ReplicatedEnvironment<M: StateMachine = Databases> {
    owned: Arc<Owned>,
    reader: M::Reader,
    results: Arc<Results<M::Output>>,
    config: Arc<RepConfig>,
}

impl ReplicatedEnvironment<Databases> {
    /// Opens a member with the built-in databases: recovered, and listening. It does not wait for the group.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, the address or the home directory; see [`Error`]. Nothing runs then.
    pub fn open(config: RepConfig) -> Result<Self, Error> {
        let digest = |reader: &Reader| {
            let view = reader.view()?;
            Ok(AppliedDigest::new(view.applied(), view.digest()?))
        };
        runtime::start(config, runtime::databases, Some(digest)).map(Self::of)
    }

    /// The database called `name`. It exists while it holds a key; an absent one reads empty.
    pub fn database(&self, name: &str) -> Database {
        Database::new(name)
    }

    /// Begins a write transaction: waits for the turn until `begin_timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`], which names the master, or [`Error::HoldsNoData`], which does so too; [`Error::DiskFull`]; [`Error::BeginTimeout`], which
    /// names who has the turn; [`Error::NoMaster`] at a new master that has not applied in time what its predecessors left; [`Error::Store`];
    /// [`Error::Halted`], [`Error::Closed`].
    pub fn begin(&self) -> Result<WriteTxn<'_>, Error> {
        WriteTxn::begin(self.shared(), &self.reader)
    }

    /// Begins a write transaction if nobody has the turn. It waits for nothing.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin), with [`Error::TurnTaken`] instead of a wait for the turn, and [`Error::NoMaster`] at once; both pass by
    /// themselves.
    pub fn try_begin(&self) -> Result<WriteTxn<'_>, Error> {
        WriteTxn::try_begin(self.shared(), &self.reader)
    }

    /// A view that contains what `consistency` asks for.
    pub fn read(&self, consistency: Consistency) -> ReadHandle<View> {
        let reader = self.reader.clone();
        ReadHandle::new(self.shared().ask_read(consistency), move || Ok(reader.view()?))
    }
}

impl<M: StateMachine> ReplicatedEnvironment<M> {
    /// Opens a member whose log is about `machine`. If that has applied something, a home that is damaged is not set aside: what comes
    /// back needs a machine that has applied nothing.
    ///
    /// # Errors
    ///
    /// As [`open`](ReplicatedEnvironment::open).
    pub fn open_with(mut config: RepConfig, machine: M) -> Result<Self, Error> {
        if !machine.applied().vlsn.is_null() {
            config.on_damage = OnDamage::Refuse;
        }
        runtime::start(config, |_| Ok(machine), None).map(Self::of)
    }

    fn of(started: Started<M>) -> Self {
        let Started { runtime, reader, results, config } = started;
        ReplicatedEnvironment { owned: Arc::new(Owned::new(runtime)), reader, results, config }
    }

    /// Logs `payload` as one entry for the state machine; the handle gives its token and the machine's result. It takes its
    /// turn like a transaction. The built-in databases are written to by transactions only.
    ///
    /// # Errors
    ///
    /// Nothing was logged: as [`WriteTxn::commit_with`], [`Error::BeginTimeout`], and [`Error::TxnTooLarge`].
    pub fn replicate(&self, payload: &[u8]) -> Result<ReplicateHandle<M::Output>, Error> {
        if TypeId::of::<M>() == TypeId::of::<Databases>() {
            return Err(Error::Unsupported { what: "raw entries in the built-in databases" });
        }
        transaction::admission::replicate(self.shared(), payload, &self.results)
    }

    /// The state machine's reader, once it can show what `consistency` asks for.
    pub fn reader(&self, consistency: Consistency) -> ReadHandle<M::Reader> {
        let reader = self.reader.clone();
        ReadHandle::new(self.shared().ask_read(consistency), move || Ok(reader.clone()))
    }

    /// Waits until this node is the master, or follows it in sync; who that is. A member that holds no data waits until it hears one.
    ///
    /// # Errors
    ///
    /// [`Error::NoMaster`] saying why; [`Error::Closed`], [`Error::Halted`].
    pub fn wait_for_master(&self, timeout: Duration) -> Result<Member, Error> {
        let shared = self.shared();
        let settled = |state| matches!(state, NodeState::Master | NodeState::Replica);
        let seen = shared.board.wait(deadline(timeout), |visible| {
            settled(visible.state) || (visible.master.is_some() && shared.lacks_data())
        });
        match seen.map(|visible| visible.master.and_then(|master| shared.directory.member(master)))
        {
            Ok(Some(master)) => Ok(master),
            Err(WaitError::Ended) => Err(shared.check_open().err().unwrap_or(Error::Closed)),
            Ok(None) | Err(_) => {
                Err(Error::NoMaster { waited: timeout, why: self.why_no_master() })
            }
        }
    }

    fn why_no_master(&self) -> String {
        let status = self.shared().ask_status();
        let damage = status.as_ref().and_then(|it| report::comes_back(self.shared(), it));
        let mut problems = status.map(|status| status.problems).unwrap_or_default();
        problems.extend(damage);
        let joining = self.shared().joining.lock().clone();
        problems.extend(joining.map(|why| format!("no member yet: {why}")));
        match problems.is_empty() {
            true => "it is known, but this node is not in sync with it yet".to_owned(),
            false => problems.join("; "),
        }
    }

    /// What this node is now.
    pub fn state(&self) -> NodeState {
        self.shared().board.get().state
    }

    /// The master, if this node knows one.
    pub fn master(&self) -> Option<Member> {
        self.shared()
            .admission
            .load()
            .master
            .and_then(|master| self.shared().directory.member(master))
    }

    /// The members, this node among them.
    pub fn members(&self) -> Vec<Member> {
        self.shared().directory.all()
    }

    /// What this environment was opened with. What has come of it since may differ: where it listens says [`local_addr`](Self::local_addr), what
    /// the group records of it [`membership`](Self::membership).
    pub fn config(&self) -> &RepConfig {
        &self.config
    }

    /// This node's name.
    pub fn name(&self) -> &str {
        &self.shared().name
    }

    /// The group's name.
    pub fn group_name(&self) -> &str {
        &self.shared().group_name
    }

    /// The group's identity, once it is founded.
    pub fn group(&self) -> Option<GroupId> {
        self.shared().group()
    }

    /// Where this node listens: what was asked for, with the port that the system chose if port 0 was.
    pub fn local_addr(&self) -> String {
        self.runtime().local_address().to_string()
    }

    /// The entries that this node's log holds; `None` if it holds none.
    pub fn vlsn_range(&self) -> Option<RangeInclusive<Vlsn>> {
        let positions = self.shared().shown.positions();
        (positions.first <= positions.last.vlsn).then_some(positions.first..=positions.last.vlsn)
    }

    /// What this node is, and being told of each change; of how a copy of the state comes that it is given; and of entries that it lost. Who asks for states alone takes
    /// [`Events::states`].
    pub fn subscribe(&self) -> Events {
        self.shared().board.subscribe()
    }

    /// Counters, and how the other members are doing.
    pub fn stats(&self) -> Stats {
        report::stats_of(self.shared(), self.shared().ask_status().as_ref())
    }

    /// What has rotted in the home while this member ran, in words; or that the whole home is an older image of itself, as the master remembers. Unless it is the only copy of its group's data it has then halted;
    /// closed and opened again, its home is set aside, and it comes back as a new member (see [`OnDamage`]).
    pub fn damage_found(&self) -> Option<String> {
        self.shared().scrubbing.damage()
    }

    /// Whether some other member says that it is the master, or follows one that is not this node: the group goes on without it. Asks one after the other, each for at most
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn others_have_a_master(&self, timeout: Duration) -> Result<bool, Error> {
        let (shared, transport) = (self.shared(), &*self.runtime().transport);
        let me = shared.directory.me().get();
        for member in shared.directory.all().into_iter().filter(|member| member.id != me) {
            if shared.is_closing() {
                return Err(Error::Closed);
            }
            let me_there = (&*shared.group_name, &*shared.name);
            let client = JoinClient::connect(transport, me_there, &member.address, timeout);
            let master = client.and_then(|client| client.master(timeout));
            if master.is_ok_and(|master| master.is_some_and(|master| master.id != me)) {
                return Ok(true);
            }
        }
        if shared.is_closing() { Err(Error::Closed) } else { Ok(false) }
    }

    /// Offers a service of the application on this node's port, under `name`, until the environment is closed. See
    /// [`services`](crate::services).
    ///
    /// A member's address is in [`members`](Self::members); a caller dials it with
    /// [`Hello::new(group_name, name)`](rep_net::Hello::new) over the transport that the members speak.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the name is the node's own, taken, empty or longer than 255 bytes; [`Error::Closed`],
    /// [`Error::Halted`].
    pub fn register_service(
        &self,
        name: &str,
        handler: Arc<dyn ServiceHandler>,
    ) -> Result<(), Error> {
        self.runtime().services.register(name, handler)
    }

    /// Ships every entry that is durable in the group to `sink`, from where that says that it ends, in a thread of its own and until the
    /// environment is closed; a sink that has nothing begins with the first entry that this member's log still holds. `name` is what status calls it. See
    /// [`shipping`](crate::shipping).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if a sink of that name is shipped to, or as many as there may be; [`Error::Closed`], [`Error::Halted`].
    pub fn ship_to<S>(&self, name: impl Into<String>, sink: S) -> Result<Shipping, Error>
    where
        S: SegmentSink + Send + 'static,
        S::Error: fmt::Display,
    {
        self.shared().check_open()?;
        let Runtime { shared, log, threads, .. } = self.runtime();
        shipper::begin(name.into(), sink, (shared, log, threads)).map(Shipping)
    }

    /// Leaves the group's company: whoever waits is told, channels and files are closed, threads are waited for until
    /// `close_timeout`. Idempotent; every later call of anything else says [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// [`Error::CloseTimeout`] names the threads that still run; they keep the directory's lock until they end.
    /// [`Error::WouldDeadlock`] in one of this environment's own threads.
    pub fn close(&self) -> Result<(), Error> {
        self.runtime().close()
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.owned.get()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.runtime().shared
    }
}

impl<M: StateMachine> Clone for ReplicatedEnvironment<M> {
    fn clone(&self) -> Self {
        ReplicatedEnvironment {
            owned: Arc::clone(&self.owned),
            reader: self.reader.clone(),
            results: Arc::clone(&self.results),
            config: Arc::clone(&self.config),
        }
    }
}

impl<M: StateMachine> fmt::Debug for ReplicatedEnvironment<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatedEnvironment")
            .field("group", &self.group_name())
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod full_disk_tests;
#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod hung_disk_tests;
