//! Every option: its unit, its default, its bound.
//!
//! A configuration is checked when it is built, so that what can be known to be wrong is said before anything is
//! opened; what depends on the machine (a port, a directory) is said by `open`. [`options`] gives all of them as a table.

mod amounts;
mod options;
#[cfg(feature = "tls")]
mod proving;

pub use amounts::{Limits, Timing};
pub use options::{OptionInfo, OptionKind, Setting, options};
#[cfg(feature = "tls")]
pub(crate) use proving::Proving;

use crate::error::Error;
use crate::member::{ATTRIBUTES_BYTES_MAX, Attributes, attributes_bytes};
#[cfg(feature = "quic")]
use rep_net::QuicTransport;
#[cfg(feature = "tls")]
use rep_net::TlsTransport;
use rep_net::{Address, Identity, Transport};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

/// The longest name of a group or node, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Which engine keeps the built-in databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// One file in the home directory (feature `redb`). Opening after a crash replays little of the log.
    Redb,
    /// A directory in the home directory (feature `fjall`): applies several times faster than [`Redb`](StoreKind::Redb),
    /// takes more memory and disk, counts keys by reading them, and opens more slowly after a crash.
    Fjall,
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
    #[cfg(feature = "tls")]
    pub(crate) proving: Option<Proving>,
    pub(crate) listener: Option<TcpListener>,
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
            #[cfg(feature = "tls")]
            proving: None,
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
    #[cfg(feature = "tls")]
    proving: Option<Proving>,
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
        #[cfg(feature = "tls")]
        {
            self.proving = None;
        }
        self
    }

    /// Speaks TLS: the members know each other by certificates of the group's own authority, each of which has to name its
    /// member as `rep://GROUP/NODE`. Keep a clone of the transport: its [`reload`](TlsTransport::reload) takes new certificates without a
    /// restart.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, transport: TlsTransport) -> Self {
        self.transport = Some(Arc::new(transport.clone()));
        self.proving = Some(Proving::Tls(transport));
        self
    }

    /// Speaks QUIC, by the same certificates as [`tls`](RepConfigBuilder::tls). Make the transport with
    /// [`Timing::transport_limits`], so that it asks for a silent peer before an election does.
    #[cfg(feature = "quic")]
    pub fn quic(mut self, transport: QuicTransport) -> Self {
        self.transport = Some(Arc::new(transport.clone()));
        self.proving = Some(Proving::Quic(transport));
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
        amounts::check(&self.timing, &self.limits)?;
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
        if self.listener.is_some() && self.has_own_transport() {
            return Err(Error::config(
                "listener",
                "a bound socket is for TCP, plain or under TLS, not for another transport",
            ));
        }
        #[cfg(feature = "tls")]
        if let Some(proving) = &self.proving {
            proving.check(&Identity::new(&*self.group, &*self.name), &self.timing)?;
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
            #[cfg(feature = "tls")]
            proving: self.proving,
            listener: self.listener,
        })
    }

    /// Whether the caller's transport is none of ours.
    fn has_own_transport(&self) -> bool {
        #[cfg(feature = "tls")]
        if matches!(self.proving, Some(Proving::Tls(_))) {
            return false;
        }
        self.transport.is_some()
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
        let (name, is_built_in) = match store {
            StoreKind::Memory => return Ok(store),
            StoreKind::Redb => ("redb", cfg!(feature = "redb")),
            StoreKind::Fjall => ("fjall", cfg!(feature = "fjall")),
        };
        if self.ephemeral {
            let problem = format!("{name} keeps files, and an ephemeral node has no home for them");
            return Err(Error::config("store", problem));
        }
        if !is_built_in {
            return Err(Error::config("store", format!("{name} needs the feature `{name}`")));
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
    if Identity::administrator_of(name).is_some() {
        return Err(Error::config(option, "a name that begins with @admin/ is an administrator's"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
        assert_eq!(refused(builder().store(StoreKind::Fjall)), "store");
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
