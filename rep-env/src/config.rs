//! Every option: its unit, its default, its bound.
//!
//! A configuration is checked when it is built, so that what can be known to be wrong is said before anything is
//! opened; what depends on the machine (a port, a directory) is said by `open`.

use crate::error::Error;
use crate::member::{ATTRIBUTES_BYTES_MAX, Attributes, attributes_bytes};
use crate::waiter::TIME_MAX;
use rep_net::{Address, Transport};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The longest name of a group or node, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Which engine keeps the built-in databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// One file in the home directory (feature `redb`). Opening after a crash replays little of the log.
    Redb,
    /// Memory. Opening replays the whole log.
    Memory,
}

/// Everything that [`open`](crate::ReplicatedEnvironment::open) needs to know. Made by [`RepConfig::builder`].
#[derive(Debug)]
#[non_exhaustive]
pub struct RepConfig {
    /// The group's name; the same at every member.
    pub group: String,
    /// This node's name, unique in its group.
    pub name: String,
    /// Where to listen.
    pub listen: Address,
    /// Where the other members reach this node.
    pub advertise: String,
    /// The home directory; `None` for an ephemeral node.
    pub home: Option<PathBuf>,
    /// The members, this node among them, by name: their addresses.
    pub members: BTreeMap<String, String>,
    /// The engine under the built-in databases.
    pub store: StoreKind,
    /// Announced to the other members.
    pub attributes: Attributes,
    /// Whether an unencrypted transport may be used on an address that others can reach.
    pub allow_plaintext: bool,
    /// How long things may take.
    pub timing: Timing,
    /// How much memory things may take.
    pub limits: Limits,
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) listener: Option<TcpListener>,
}

/// How long things may take. Start from the default and change fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// A master sends a heartbeat at least this often. All members should agree. Default 100 ms.
    pub heartbeat: Duration,
    /// Silence of the master after which the others elect another, plus 0 to 50 %; at least three heartbeats. All
    /// members should agree. Default 600 ms.
    pub election_timeout: Duration,
    /// How long one round of promises waits. Default 200 ms.
    pub round_timeout: Duration,
    /// A master whose writes do not become durable for this long gives up its place. Default 5 s.
    pub disk_stall: Duration,
    /// The first pause before a lost connection is dialled again. Default 20 ms.
    pub redial_min: Duration,
    /// The longest such pause. Default 500 ms.
    pub redial_max: Duration,
    /// How long one dial may take. Default 1 s.
    pub dial_timeout: Duration,
    /// How long a commit waits for enough live members before it is refused. Default 600 ms.
    pub replicas_wait: Duration,
    /// How long a commit waits for room in a budget before it is refused. Default 1 s.
    pub busy_wait: Duration,
    /// How long a logged commit waits for acknowledgements before its outcome counts as unknown. Default 5 s.
    pub ack_timeout: Duration,
    /// How long a read waits to be servable as asked. Default 5 s.
    pub read_timeout: Duration,
    /// How long `begin` waits for its turn. Default 10 s.
    pub begin_timeout: Duration,
    /// How long a transaction may hold the turn; the next in line takes it then. Default 10 s.
    pub txn_timeout: Duration,
    /// How long `close` waits for the threads. Default 10 s.
    pub close_timeout: Duration,
    /// How old what the store would lose in a crash may become before it is made durable. Default 5 s.
    pub checkpoint_interval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat: Duration::from_millis(100),
            election_timeout: Duration::from_millis(600),
            round_timeout: Duration::from_millis(200),
            disk_stall: Duration::from_secs(5),
            redial_min: Duration::from_millis(20),
            redial_max: Duration::from_millis(500),
            dial_timeout: Duration::from_secs(1),
            replicas_wait: Duration::from_millis(600),
            busy_wait: Duration::from_secs(1),
            ack_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            begin_timeout: Duration::from_secs(10),
            txn_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            checkpoint_interval: Duration::from_secs(5),
        }
    }
}

/// How much memory things may take. Start from the default and change fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Entries that are queued or wait for this node's disk, in bytes. Default 64 MiB.
    pub unsynced_bytes_max: u64,
    /// Write sets that are committed and not yet applied here, in bytes. Default 64 MiB.
    pub overlay_bytes_max: u64,
    /// The newest records, kept for replicas and the store, in bytes. Default 16 MiB.
    pub tail_bytes_max: u64,
    /// Frames that wait to be sent to one member, in bytes; more mean that it does not read, and the connection is
    /// given up. Default 16 MiB.
    pub outgoing_bytes_max: u64,
    /// Applied bytes after which the store is made durable. Default 64 MiB.
    pub checkpoint_bytes: u64,
    /// Length of one file of the log. Default 64 MiB.
    pub segment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            unsynced_bytes_max: 64 << 20,
            overlay_bytes_max: 64 << 20,
            tail_bytes_max: 16 << 20,
            outgoing_bytes_max: 16 << 20,
            checkpoint_bytes: 64 << 20,
            segment_bytes: 64 << 20,
        }
    }
}

impl RepConfig {
    /// Begins the configuration of node `name` in `group`.
    pub fn builder(group: impl Into<String>, name: impl Into<String>) -> RepConfigBuilder {
        RepConfigBuilder {
            group: group.into(),
            name: name.into(),
            listen: None,
            advertise: None,
            home: None,
            ephemeral: false,
            members: Vec::new(),
            store: None,
            attributes: Attributes::new(),
            allow_plaintext: false,
            timing: Timing::default(),
            limits: Limits::default(),
            transport: None,
            listener: None,
        }
    }
}

/// Gathers options; [`build`](RepConfigBuilder::build) checks them.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RepConfigBuilder {
    group: String,
    name: String,
    listen: Option<String>,
    advertise: Option<String>,
    home: Option<PathBuf>,
    ephemeral: bool,
    members: Vec<String>,
    store: Option<StoreKind>,
    attributes: Attributes,
    allow_plaintext: bool,
    timing: Timing,
    limits: Limits,
    transport: Option<Arc<dyn Transport>>,
    listener: Option<TcpListener>,
}

impl RepConfigBuilder {
    /// Where to listen: `host:port`, names are resolved. Default: this node's address among the members.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Where the other members reach this node, if it is not where it listens. It has to be this node's address
    /// among the members.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The directory that is this node's memory; made if absent.
    pub fn home(mut self, path: impl Into<PathBuf>) -> Self {
        self.home = Some(path.into());
        self
    }

    /// Keeps nothing: log, promises and store live in memory and end with the environment. For tests and
    /// demonstrations: a node that comes back is another one, and the group does not let it vote.
    pub fn ephemeral(mut self) -> Self {
        self.ephemeral = true;
        self
    }

    /// Every member, this node too, each as `name=address`, in any order; the same list at every member.
    pub fn members(mut self, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.members.extend(members.into_iter().map(Into::into));
        self
    }

    /// The engine under the built-in databases. Default: `Redb` with a home (and the feature `redb`), else `Memory`.
    pub fn store(mut self, store: StoreKind) -> Self {
        self.store = Some(store);
        self
    }

    /// Announces `name = value` to the other members, who find it at this [`Member`](crate::Member). 1 KiB for all.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Permits plain TCP on an address that others can reach: who can reach it, can read and forge everything.
    pub fn allow_plaintext(mut self) -> Self {
        self.allow_plaintext = true;
        self
    }

    /// Speaks over this transport instead of plain TCP: `hub.transport()` for members in one process.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Listens on this socket instead of binding one: for port 0, with the address known beforehand.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// How long things may take.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Changes some of how long things may take.
    pub fn tune(mut self, change: impl FnOnce(&mut Timing, &mut Limits)) -> Self {
        change(&mut self.timing, &mut self.limits);
        self
    }

    /// How much memory things may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks it all.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the option.
    pub fn build(self) -> Result<RepConfig, Error> {
        check_name("group", &self.group)?;
        check_name("name", &self.name)?;
        check_timing(&self.timing)?;
        check_limits(&self.limits)?;
        self.check_attributes()?;
        let members = parse_members(&self.members)?;
        let own = members.get(&self.name).cloned().ok_or_else(|| {
            let problem = format!(
                "this node, {:?}, is not among them; list every member, itself too",
                self.name
            );
            Error::config("members", problem)
        })?;
        if self.advertise.as_ref().is_some_and(|advertised| *advertised != own) {
            let problem = format!("differs from this node's address among the members, {own}");
            return Err(Error::config("advertise", problem));
        }
        let store = self.choose_store()?;
        if self.listener.is_some() && self.transport.is_some() {
            return Err(Error::config(
                "listener",
                "a bound socket is for plain TCP, not for another transport",
            ));
        }
        Ok(RepConfig {
            listen: Address::new(self.listen.as_deref().unwrap_or(&own)),
            group: self.group,
            name: self.name,
            advertise: own,
            home: self.home,
            members,
            store,
            attributes: self.attributes,
            allow_plaintext: self.allow_plaintext,
            timing: self.timing,
            limits: self.limits,
            transport: self.transport,
            listener: self.listener,
        })
    }

    fn check_attributes(&self) -> Result<(), Error> {
        let bytes = attributes_bytes(&self.attributes);
        if bytes > ATTRIBUTES_BYTES_MAX {
            let problem = format!("{bytes} bytes, {ATTRIBUTES_BYTES_MAX} are allowed");
            return Err(Error::config("attribute", problem));
        }
        Ok(())
    }

    fn choose_store(&self) -> Result<StoreKind, Error> {
        match (self.home.is_some(), self.ephemeral) {
            (true, true) => {
                return Err(Error::config(
                    "ephemeral",
                    "a node with a home is not ephemeral: give one of them",
                ));
            }
            (false, false) => {
                return Err(Error::config(
                    "home",
                    "missing; a node that may forget everything says ephemeral()",
                ));
            }
            (true, false) | (false, true) => {}
        }
        let store = self.store.unwrap_or(match self.home {
            Some(_) if cfg!(feature = "redb") => StoreKind::Redb,
            Some(_) | None => StoreKind::Memory,
        });
        if store == StoreKind::Redb && self.ephemeral {
            return Err(Error::config(
                "store",
                "redb keeps a file, and an ephemeral node has no home for it",
            ));
        }
        if store == StoreKind::Redb && !cfg!(feature = "redb") {
            return Err(Error::config("store", "redb needs the feature `redb`"));
        }
        Ok(store)
    }
}

fn check_name(option: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::config(option, format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
    }
    if name.contains(['=', ',']) || name.chars().any(char::is_control) {
        return Err(Error::config(option, "a name has no '=', no ',' and no control character"));
    }
    Ok(())
}

fn parse_members(members: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut parsed = BTreeMap::new();
    for member in members {
        let malformed = || Error::config("members", format!("{member:?} is not name=address"));
        let (name, address) = member.split_once('=').ok_or_else(malformed)?;
        check_name("members", name)?;
        if address.is_empty() {
            return Err(malformed());
        }
        if parsed.insert(name.to_owned(), address.to_owned()).is_some() {
            return Err(Error::config("members", format!("{name:?} is listed twice")));
        }
    }
    Ok(parsed)
}

fn check_timing(timing: &Timing) -> Result<(), Error> {
    let Timing {
        heartbeat,
        election_timeout,
        round_timeout,
        disk_stall,
        redial_min,
        redial_max,
        dial_timeout,
        replicas_wait,
        busy_wait,
        ack_timeout,
        read_timeout,
        begin_timeout,
        txn_timeout,
        close_timeout,
        checkpoint_interval,
    } = timing;
    let positive = [
        ("heartbeat", heartbeat),
        ("round_timeout", round_timeout),
        ("disk_stall", disk_stall),
        ("redial_min", redial_min),
        ("dial_timeout", dial_timeout),
        ("ack_timeout", ack_timeout),
        ("read_timeout", read_timeout),
        ("txn_timeout", txn_timeout),
        ("close_timeout", close_timeout),
        ("checkpoint_interval", checkpoint_interval),
    ];
    if let Some((option, _)) = positive.into_iter().find(|(_, value)| value.is_zero()) {
        return Err(Error::config(option, "must be longer than nothing"));
    }
    let others = [
        ("election_timeout", election_timeout),
        ("redial_max", redial_max),
        ("replicas_wait", replicas_wait),
        ("busy_wait", busy_wait),
        ("begin_timeout", begin_timeout),
    ];
    // Each is added to a clock somewhere, and by then it is too late to say no.
    if let Some((option, _)) =
        positive.into_iter().chain(others).find(|(_, value)| **value > TIME_MAX)
    {
        return Err(Error::config(option, format!("is longer than {TIME_MAX:?}")));
    }
    if *election_timeout < *heartbeat * 3 {
        return Err(Error::config("election_timeout", "must be at least three heartbeats"));
    }
    if redial_max < redial_min {
        return Err(Error::config("redial_max", "is shorter than redial_min"));
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), Error> {
    let Limits {
        unsynced_bytes_max, overlay_bytes_max, tail_bytes_max, outgoing_bytes_max, ..
    } = limits;
    let least = [
        ("unsynced_bytes_max", unsynced_bytes_max, 1 << 20),
        ("overlay_bytes_max", overlay_bytes_max, 1 << 20),
        ("tail_bytes_max", tail_bytes_max, 64 << 10),
        ("outgoing_bytes_max", outgoing_bytes_max, 1 << 20),
        ("checkpoint_bytes", &limits.checkpoint_bytes, 64 << 10),
        ("segment_bytes", &limits.segment_bytes, 1 << 20),
    ];
    for (option, bytes, bytes_min) in least {
        if *bytes < bytes_min {
            return Err(Error::config(
                option,
                format!("{bytes} bytes, at least {bytes_min} are needed"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> RepConfigBuilder {
        RepConfig::builder("bank", "n1")
            .members(["n1=127.0.0.1:7001", "n2=127.0.0.1:7002"])
            .ephemeral()
    }

    fn refused(builder: RepConfigBuilder) -> &'static str {
        match builder.build() {
            Err(Error::Config { option, .. }) => option,
            other => panic!("{other:?} is no refusal"),
        }
    }

    #[test]
    fn a_node_listens_where_the_members_find_it_unless_told_otherwise() {
        assert_eq!(builder().build().unwrap().listen, Address::new("127.0.0.1:7001"));
        let config = builder().listen("0.0.0.0:7001").advertise("127.0.0.1:7001").build().unwrap();
        assert_eq!(
            (config.listen, &*config.advertise),
            (Address::new("0.0.0.0:7001"), "127.0.0.1:7001")
        );
    }

    #[test]
    fn the_store_follows_the_home() {
        assert_eq!(builder().build().unwrap().store, StoreKind::Memory);
        let with_home = || RepConfig::builder("bank", "n1").members(["n1=a:1"]).home("h");
        let expected = if cfg!(feature = "redb") { StoreKind::Redb } else { StoreKind::Memory };
        assert_eq!(with_home().build().unwrap().store, expected);
        assert_eq!(with_home().store(StoreKind::Memory).build().unwrap().store, StoreKind::Memory);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let short = |change: fn(&mut Timing, &mut Limits)| refused(builder().tune(change));
        assert_eq!(refused(RepConfig::builder("", "n1")), "group");
        assert_eq!(refused(RepConfig::builder("g", "n=1")), "name");
        assert_eq!(
            refused(RepConfig::builder("bank", "n3").members(["n1=a:1"]).ephemeral()),
            "members"
        );
        assert_eq!(refused(builder().members(["n1=a:1"])), "members");
        assert_eq!(refused(builder().members(["n4"])), "members");
        assert_eq!(refused(builder().advertise("elsewhere:1")), "advertise");
        assert_eq!(refused(builder().home("h")), "ephemeral");
        assert_eq!(refused(RepConfig::builder("bank", "n1").members(["n1=a:1"])), "home");
        assert_eq!(refused(builder().store(StoreKind::Redb)), "store");
        assert_eq!(refused(builder().attribute("resp", "x".repeat(1024))), "attribute");
        assert_eq!(
            short(|timing, _| timing.election_timeout = timing.heartbeat * 2),
            "election_timeout"
        );
        assert_eq!(short(|timing, _| timing.ack_timeout = Duration::ZERO), "ack_timeout");
        assert_eq!(short(|timing, _| timing.ack_timeout = Duration::MAX), "ack_timeout");
        assert_eq!(short(|timing, _| timing.begin_timeout = Duration::MAX), "begin_timeout");
        assert_eq!(short(|timing, _| timing.redial_max = Duration::ZERO), "redial_max");
        assert_eq!(short(|_, limits| limits.unsynced_bytes_max = 1), "unsynced_bytes_max");
    }
}
