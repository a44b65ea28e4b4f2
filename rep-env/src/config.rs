//! Every option: its unit, its default, its bound.
//!
//! A configuration is checked when it is built, so that what can be known to be wrong is said before anything is
//! opened; what depends on the machine (a port, a directory) is said by `open`. [`options`] gives all of them as a table.

mod amounts;
mod damage;
mod entry;
mod feeding;
mod folders;
mod options;
#[cfg(feature = "tls")]
mod proving;

pub use amounts::{Limits, Timing};
pub use damage::OnDamage;
pub use options::{OptionInfo, OptionKind, Setting, options};
#[cfg(feature = "tls")]
pub(crate) use proving::Proving;

use crate::error::Error;
use crate::member::{ATTRIBUTES_BYTES_MAX, Attributes, attributes_bytes};
pub(crate) use entry::check_reachable;
use entry::{Entered, Entry, Place};
#[cfg(feature = "quic")]
use rep_net::QuicTransport;
#[cfg(feature = "tls")]
use rep_net::TlsTransport;
use rep_net::{Address, Identity, Transport};
pub use rep_node::FeedFrom;
use rep_node::MemberType;
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
    /// Those who found the group, this node among them, by name: their addresses. Nobody if this node is to be admitted.
    pub members: BTreeMap<String, String>,
    /// Members that are asked to admit this node to their group; `None` if it founds one.
    pub join: Option<Vec<String>>,
    /// What this node asks to be when it joins.
    pub member_type: MemberType,
    /// Its preference as master when it joins: among equals, the greater.
    pub priority: u32,
    /// The engine under the built-in databases.
    pub store: StoreKind,
    /// What becomes of a home that is found damaged.
    pub on_damage: OnDamage,
    /// Who feeds this node, if it is a secondary.
    pub feed_from: FeedFrom,
    /// The folder that is shipped to, if there is one.
    pub ship_to: Option<PathBuf>,
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
            entry: Entry::default(),
            member_type: MemberType::default(),
            priority: PRIORITY_DEFAULT,
            store: None,
            on_damage: OnDamage::default(),
            feed_from: FeedFrom::default(),
            ship_to: None,
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
    entry: Entry,
    member_type: MemberType,
    priority: u32,
    store: Option<StoreKind>,
    on_damage: OnDamage,
    feed_from: FeedFrom,
    ship_to: Option<PathBuf>,
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
    /// Where to listen: `host:port`, names are resolved. Default: this node's address among the members, or what it advertises.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Where the other members reach this node, if it is not where it listens. It has to be this node's address
    /// among the members, if they are listed.
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

    /// Those who found the group, this node too, each as `name=address`, in any order; the same list at each of them. Once the members
    /// of the group have been changed, its log alone says who they are, and this list means nothing any more.
    pub fn members(mut self, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.entry.members.extend(members.into_iter().map(Into::into));
        self
    }

    /// Founds a group of this node alone, at its address, to which others are admitted. Said again at every opening, it
    /// means nothing to a directory that belongs to a group.
    pub fn bootstrap(mut self) -> Self {
        self.entry.bootstrap = true;
        self
    }

    /// Asks those who listen at these addresses, members of the group, to admit this node, until it is a member. Said again at every
    /// opening, it means nothing to a directory that belongs to a group. Without an address this node waits to be added.
    pub fn join(mut self, helpers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.entry.join.get_or_insert_default().extend(helpers.into_iter().map(Into::into));
        self
    }

    /// What this node asks to be when it joins: `Electable` (which begins as a learner), `Secondary` (a copy that never votes), or
    /// `Arbiter` (a vote that never holds data), or `Monitor` (neither: it is told who is master and who belongs). Default: electable.
    pub fn member_type(mut self, kind: MemberType) -> Self {
        self.member_type = kind;
        self
    }

    /// How much this node is preferred as master, among equals, when it joins. Default 0, as of those who found a group.
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// The engine under the built-in databases. Default: `Redb` with a home (and the feature `redb`), else `Memory`.
    pub fn store(mut self, store: StoreKind) -> Self {
        self.store = Some(store);
        self
    }

    /// What becomes of a home whose log, redb store or half-placed copy, or one of whose cells, is found damaged. Default: it is set aside, and this node joins its
    /// group as a new member.
    pub fn on_damage(mut self, on_damage: OnDamage) -> Self {
        self.on_damage = on_damage;
        self
    }

    /// Who gives this node its entries, if it is a secondary. Default: the master; with [`FeedFrom::Replica`] a replica does, so that the
    /// master's network is spared, and the master only while no replica can.
    pub fn feed_from(mut self, feed_from: FeedFrom) -> Self {
        self.feed_from = feed_from;
        self
    }

    /// Ships every entry that is durable in the group to this directory, which is made if absent and becomes a log of its own: see
    /// [`shipping`](crate::shipping).
    pub fn ship_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.ship_to = Some(path.into());
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
        let store = self.choose_store()?;
        check_type(self.member_type)?;
        self.check_founder()?;
        self.check_shipping()?;
        let place = Place {
            advertise: self.advertise.as_deref(),
            listen: self.listen.as_deref(),
            listener: self.listener.as_ref(),
        };
        let Entered { members, join, own } = self.entry.check(&self.name, place)?;
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
            join,
            member_type: self.member_type,
            priority: self.priority,
            store,
            on_damage: self.on_damage,
            feed_from: self.feed_from,
            ship_to: self.ship_to,
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

    /// Who founds a group is recorded by those who are not told what it would like to be.
    fn check_founder(&self) -> Result<(), Error> {
        if self.entry.join.is_some() {
            return Ok(());
        }
        if self.member_type != MemberType::Electable {
            let problem =
                format!("who founds a group is electable; to be {}, join one", self.member_type);
            return Err(Error::config(TYPE, problem));
        }
        if self.priority != PRIORITY_DEFAULT {
            let problem = format!(
                "who founds a group has {PRIORITY_DEFAULT}; `rep update-member` says otherwise once it is founded, and who joins may ask for another"
            );
            return Err(Error::config("priority", problem));
        }
        Ok(())
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

    fn check_shipping(&self) -> Result<(), Error> {
        let Some(path) = &self.ship_to else { return Ok(()) };
        let wrong = |problem: &str| Err(Error::config(SHIP_TO, problem));
        if path.as_os_str().is_empty() {
            return wrong("names no directory");
        }
        if !self.member_type.holds_data() {
            return wrong("a member that holds no data has no entries to ship");
        }
        match self.home.as_ref().is_some_and(|home| folders::lies_within(path, home)) {
            true => wrong(
                "lies in the home, which may be set aside as a whole: ship to another directory",
            ),
            false => Ok(()),
        }
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

/// How much a node is preferred as master of which nothing was said.
pub(crate) const PRIORITY_DEFAULT: u32 = 0;

fn check_type(kind: MemberType) -> Result<(), Error> {
    match kind {
        MemberType::Electable
        | MemberType::Secondary
        | MemberType::Arbiter
        | MemberType::Monitor => Ok(()),
        other => Err(Error::config(TYPE, format!("nobody asks to be {other}"))),
    }
}

/// The option that names the folder which is shipped to.
const SHIP_TO: &str = "ship_to";

/// The option that says what a node asks to be.
const TYPE: &str = "type";

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
    fn who_joins_or_founds_alone_is_where_it_says_to_be() {
        let lone = || RepConfig::builder("bank", "n1").ephemeral().listen("0.0.0.0:7001");
        let founder = lone().advertise("h:7001").bootstrap().build().unwrap();
        assert_eq!((&*founder.members["n1"], &*founder.advertise), ("h:7001", "h:7001"));
        let joiner = lone().advertise("h:7001").join(["a:1", ""]).priority(3).build().unwrap();
        assert_eq!(joiner.join.as_deref(), Some(&["a:1".to_owned()][..]));
        assert_eq!((&*joiner.advertise, joiner.members.len()), ("h:7001", 0));
        assert_eq!(joiner.listen, Address::new("0.0.0.0:7001"));
        let waiting = lone().advertise("h:7001").join([""]).build().unwrap();
        assert_eq!(waiting.join, Some(Vec::new()), "it waits to be added");
    }

    /// It was recorded as it stood, and each member took it for itself.
    #[test]
    fn an_address_that_means_every_host_is_no_members() {
        for nowhere in ["0.0.0.0:7001", "[::]:7001", "[::ffff:0.0.0.0]:7001", ":7001", "h:0"] {
            let lone = || RepConfig::builder("bank", "n1").ephemeral().listen(nowhere);
            assert_eq!(refused(lone().join(["a:1"])), "advertise", "{nowhere}");
            assert_eq!(refused(lone().bootstrap()), "advertise", "{nowhere}");
            assert_eq!(refused(lone().advertise(nowhere).bootstrap()), "advertise", "{nowhere}");
            let listed = [format!("n1={nowhere}"), "n2=h:7002".to_owned()];
            assert_eq!(refused(lone().members(listed)), "members", "{nowhere}");
            assert!(lone().advertise("h:7001").join(["a:1"]).build().is_ok(), "{nowhere}");
        }
    }

    #[test]
    fn what_a_founder_would_like_to_be_is_refused_and_not_ignored() {
        let lone = || RepConfig::builder("bank", "n1").ephemeral().listen("h:7001");
        for founder in [&builder as &dyn Fn() -> RepConfigBuilder, &|| lone().bootstrap()] {
            assert_eq!(refused(founder().priority(3)), "priority");
            assert_eq!(refused(founder().member_type(MemberType::Secondary)), "type");
            assert!(founder().priority(0).member_type(MemberType::Electable).build().is_ok());
        }
        let joiner = lone().join(["a:1"]).priority(3).member_type(MemberType::Secondary);
        assert!(joiner.build().is_ok());
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
        assert_eq!(refused(RepConfig::builder("bank", "n1").ephemeral()), "members");
        assert_eq!(refused(builder().bootstrap()), "bootstrap");
        assert_eq!(refused(builder().join(["a:1"])), "join");
        assert_eq!(refused(builder().member_type(MemberType::Learner)), "type");
        let joining = || RepConfig::builder("bank", "n1").ephemeral().join(["a:1"]);
        assert_eq!(refused(joining()), "listen");
        assert_eq!(refused(joining().listen("127.0.0.1:0")), "advertise");
        assert_eq!(refused(joining().listen("b:1").join(["n2=c:1"])), "join");
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
