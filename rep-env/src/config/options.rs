//! The options as a table: for whoever reads them from a file, a command line, or wants to show them.

use super::amounts::{LIMITS, RELATIONS, TIMING};
use super::damage::{ON_DAMAGE, ON_DAMAGE_VALUES};
use super::feeding::{FEED_FROM, FEED_FROM_VALUES, feed_from_named};
use super::{OnDamage, PRIORITY_DEFAULT, RepConfigBuilder, SHIP_TO, StoreKind, TYPE};
use crate::error::Error;
use rep_node::MemberType;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// One option of a [`RepConfig`](crate::RepConfig): a row of the table that [`options`] gives.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OptionInfo {
    /// Its name: a method of [`RepConfigBuilder`], or a field of [`Timing`](super::Timing) or [`Limits`](super::Limits).
    pub name: &'static str,
    /// What its values are.
    pub kind: OptionKind,
    pub(super) effect: &'static str,
}

/// What the values of an option are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionKind {
    /// A duration.
    Time {
        /// If nothing is said.
        default: Duration,
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A number of bytes.
    Bytes {
        /// If nothing is said.
        default: u64,
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number.
    Number {
        /// If nothing is said.
        default: u32,
    },
    /// A text.
    Text {
        /// What holds if nothing is said, in words.
        default: &'static str,
        /// Which texts there are, in words.
        bound: &'static str,
    },
    /// Said, or not said.
    Switch,
    /// Several texts.
    List,
    /// Several names, each with a text.
    Pairs,
    /// Something that only code can give.
    Code,
}

/// A value for an option, of the type that its [`OptionKind`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// For [`OptionKind::Time`].
    Time(Duration),
    /// For [`OptionKind::Bytes`].
    Bytes(u64),
    /// For [`OptionKind::Number`].
    Number(u32),
    /// For [`OptionKind::Text`].
    Text(String),
    /// For [`OptionKind::Switch`].
    Switch(bool),
    /// For [`OptionKind::List`].
    List(Vec<String>),
    /// For [`OptionKind::Pairs`].
    Pairs(BTreeMap<String, String>),
}

/// Every option that there is, in the order in which they are documented.
pub fn options() -> impl Iterator<Item = &'static OptionInfo> {
    IDENTITY.iter().chain(TIMING).chain(LIMITS)
}

const ADDRESS: &str = "host:port";

static IDENTITY: &[OptionInfo] = &[
    OptionInfo {
        name: "group",
        kind: OptionKind::Text { default: "has to be given", bound: NAME },
        effect: "The group's name, the same at every member: who says another one is refused.",
    },
    OptionInfo {
        name: "name",
        kind: OptionKind::Text { default: "has to be given", bound: NAME },
        effect: "This node's name, unique in its group.",
    },
    OptionInfo {
        name: "listen",
        kind: OptionKind::Text { default: "this node's own address", bound: ADDRESS },
        effect: "Where the node listens. Names are resolved; port 0 takes any free one.",
    },
    OptionInfo {
        name: "advertise",
        kind: OptionKind::Text {
            default: "this node's address in `members`, else `listen`",
            bound: ADDRESS,
        },
        effect: "Where the others reach the node, if not where it listens; has to be as in `members`, and no `0.0.0.0`.",
    },
    OptionInfo {
        name: "home",
        kind: OptionKind::Text { default: "has to be given, unless `ephemeral`", bound: "a path" },
        effect: "The directory that is this node's memory; made if absent.",
    },
    OptionInfo {
        name: "ephemeral",
        kind: OptionKind::Switch,
        effect: "Keeps nothing: log, promises and store live in memory and end with the node.",
    },
    OptionInfo {
        name: "members",
        kind: OptionKind::List,
        effect: "Those who found the group, this node too, each as `name=host:port`; the same list at each. One of `members`, `bootstrap` and `join` is needed.",
    },
    OptionInfo {
        name: "bootstrap",
        kind: OptionKind::Switch,
        effect: "Founds a group of this node alone, to which others are admitted.",
    },
    OptionInfo {
        name: "join",
        kind: OptionKind::List,
        effect: "Asks these members to admit this node to their group, until they do; with none, waits to be added (`rep add`).",
    },
    OptionInfo {
        name: TYPE,
        kind: OptionKind::Text { default: "`electable`", bound: TYPES },
        effect: "What the node asks to be when it joins: a voter, as soon as it has caught up; a copy that never votes; a vote without data; or neither, to watch. Who founds a group is electable. In code: `member_type`.",
    },
    OptionInfo {
        name: "priority",
        kind: OptionKind::Number { default: PRIORITY_DEFAULT },
        effect: "How much the node is preferred as master, among equals, from when it joins: the greater wins. Who founds a group has 0.",
    },
    OptionInfo {
        name: "store",
        kind: OptionKind::Text { default: "`redb` with a home, else `memory`", bound: STORES },
        effect: "The engine under the built-in databases. With `memory` an opening replays the whole log; with `memory` and `fjall` the log is never cleaned.",
    },
    OptionInfo {
        name: ON_DAMAGE,
        kind: OptionKind::Text { default: "`rejoin`", bound: ON_DAMAGE_VALUES },
        effect: "What becomes of a home whose log, redb store or half-placed copy, or one of whose cells, is damaged: it is set aside in `damaged-1` and the node comes back as a new member, or the node does not open. A group of one has nobody to come back to: there it does not open.",
    },
    OptionInfo {
        name: FEED_FROM,
        kind: OptionKind::Text { default: "`master`", bound: FEED_FROM_VALUES },
        effect: "Who gives the node its entries, if it is a secondary: the master; or a replica, so that the master's network is spared, and the master only while no replica can. A replica passes on what is durable.",
    },
    OptionInfo {
        name: SHIP_TO,
        kind: OptionKind::Text { default: "nothing is shipped", bound: "a path outside `home`" },
        effect: "Ships every entry that is durable in the group to this directory, which is made if absent and is a log of its own: `rep log verify` and `rep log dump` read it.",
    },
    OptionInfo {
        name: "attribute",
        kind: OptionKind::Pairs,
        effect: "Announced to the other members, who find it at this member.",
    },
    OptionInfo {
        name: "allow_plaintext",
        kind: OptionKind::Switch,
        effect: "Permits plain TCP on an address that others can reach, who can then read and forge everything.",
    },
    OptionInfo {
        name: "transport",
        kind: OptionKind::Code,
        effect: "Speaks over this transport instead of plain TCP.",
    },
    OptionInfo {
        name: "tls",
        kind: OptionKind::Code,
        effect: "Speaks TLS, and knows the other members by their certificates (feature `tls`; `rep serve` has `tls_ca` and `tls_identity`).",
    },
    OptionInfo {
        name: "quic",
        kind: OptionKind::Code,
        effect: "Speaks QUIC by such certificates (feature `quic`; `rep serve` has `--transport quic`).",
    },
    OptionInfo {
        name: "listener",
        kind: OptionKind::Code,
        effect: "Listens on this socket instead of binding one.",
    },
];

const NAME: &str = "1 to 255 bytes, no `=`, no `,`, no control character";
const TYPES: &str = "`electable`, `secondary`, `arbiter`, `monitor`";
const STORES: &str = "`redb`, `fjall`, `memory`";

impl OptionInfo {
    /// What it does, in a sentence or two.
    pub fn effect(&self) -> &'static str {
        self.effect.trim()
    }

    /// In what it is measured.
    pub fn unit(&self) -> &'static str {
        match self.kind {
            OptionKind::Time { .. } => "time",
            OptionKind::Bytes { .. } => "bytes",
            OptionKind::Number { .. } => "number",
            OptionKind::Text { .. } => "text",
            OptionKind::Switch => "yes or no",
            OptionKind::List => "list",
            OptionKind::Pairs => "names with texts",
            OptionKind::Code => "in code only",
        }
    }

    /// What holds if nothing is said, in words.
    pub fn default_text(&self) -> String {
        match self.kind {
            OptionKind::Time { default, .. } => Time(default).to_string(),
            OptionKind::Bytes { default, .. } => Bytes(default).to_string(),
            OptionKind::Number { default } => default.to_string(),
            OptionKind::Text { default, .. } => default.to_owned(),
            OptionKind::Switch => "no".to_owned(),
            OptionKind::List => "one of the three".to_owned(),
            OptionKind::Pairs => "none".to_owned(),
            OptionKind::Code => "plain TCP".to_owned(),
        }
    }

    /// Which values there are, in words.
    pub fn bound(&self) -> String {
        let mut bound = match self.kind {
            OptionKind::Time { min, max, .. } => format!("{} to {}", Time(min), Time(max)),
            OptionKind::Bytes { min, max, .. } => format!("{} to {}", Bytes(min), Bytes(max)),
            OptionKind::Number { .. } => format!("0 to {}", u32::MAX),
            OptionKind::Text { bound, .. } => bound.to_owned(),
            OptionKind::Switch | OptionKind::Code => String::new(),
            OptionKind::List if self.name == "join" => "`host:port` each".to_owned(),
            OptionKind::List => "`name=host:port` each, every name once".to_owned(),
            OptionKind::Pairs => "1 KiB for all".to_owned(),
        };
        for (_, times, other) in RELATIONS.iter().filter(|(option, _, _)| *option == self.name) {
            bound += &format!(", at least {times} x `{other}`");
        }
        bound
    }
}

impl RepConfigBuilder {
    /// Sets the option `option` as its own method would: for what comes from a file or a command line.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind than the option, or none of its values; bounds are checked by
    /// [`build`](RepConfigBuilder::build).
    pub fn set(mut self, option: &OptionInfo, value: Setting) -> Result<Self, Error> {
        let name = option.name;
        match (name, value) {
            (_, Setting::Time(value)) if self.timing.slot(name).is_some() => {
                self.timing.slot(name).into_iter().for_each(|slot| *slot = value);
            }
            (_, Setting::Bytes(value)) if self.limits.slot(name).is_some() => {
                self.limits.slot(name).into_iter().for_each(|slot| *slot = value);
            }
            ("group", Setting::Text(group)) => self.group = group,
            ("name", Setting::Text(name)) => self.name = name,
            ("listen", Setting::Text(address)) => self.listen = Some(address),
            ("advertise", Setting::Text(address)) => self.advertise = Some(address),
            ("home", Setting::Text(path)) => self.home = Some(path.into()),
            ("ephemeral", Setting::Switch(said)) => self.ephemeral = said,
            ("members", Setting::List(members)) => self.entry.members = members,
            ("bootstrap", Setting::Switch(said)) => self.entry.bootstrap = said,
            ("join", Setting::List(helpers)) => self.entry.join = Some(helpers),
            (TYPE, Setting::Text(kind)) => self.member_type = type_named(&kind)?,
            ("priority", Setting::Number(priority)) => self.priority = priority,
            ("store", Setting::Text(store)) => self.store = Some(StoreKind::named(&store)?),
            (ON_DAMAGE, Setting::Text(said)) => self.on_damage = OnDamage::named(&said)?,
            (FEED_FROM, Setting::Text(said)) => self.feed_from = feed_from_named(&said)?,
            (SHIP_TO, Setting::Text(path)) => self.ship_to = Some(path.into()),
            ("attribute", Setting::Pairs(pairs)) => self.attributes.extend(pairs),
            ("allow_plaintext", Setting::Switch(said)) => self.allow_plaintext = said,
            (_, other) => {
                let problem = format!("takes {}, and {other:?} is none", option.unit());
                return Err(Error::config(name, problem));
            }
        }
        Ok(self)
    }
}

fn type_named(name: &str) -> Result<MemberType, Error> {
    let wrong = || Error::config(TYPE, format!("{name:?} is none of {TYPES}"));
    MemberType::named(name).ok_or_else(wrong)
}

impl StoreKind {
    fn named(name: &str) -> Result<StoreKind, Error> {
        match name {
            "redb" => Ok(StoreKind::Redb),
            "fjall" => Ok(StoreKind::Fjall),
            "memory" => Ok(StoreKind::Memory),
            other => Err(Error::config("store", format!("{other:?} is none of {STORES}"))),
        }
    }
}

/// A duration in the largest unit that divides it.
struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ns = self.0.as_nanos();
        let units: [(u128, &str); 4] =
            [(86_400_000_000_000, "days"), (1_000_000_000, "s"), (1_000_000, "ms"), (1, "ns")];
        let fits = units.into_iter().find(|(unit, _)| ns >= *unit && ns.is_multiple_of(*unit));
        let (unit, name) = fits.unwrap_or((1, "s"));
        write!(f, "{} {name}", ns / unit)
    }
}

/// A number of bytes in the largest unit that divides it.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "bytes")];
        let fits = |(shift, _): &(u32, &str)| self.0 >> shift << shift == self.0 && self.0 > 0;
        let (shift, name) = units.into_iter().find(fits).unwrap_or((0, "bytes"));
        write!(f, "{} {name}", self.0 >> shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RepConfig;

    #[test]
    fn amounts_are_said_in_the_largest_unit_that_divides_them() {
        let said = [0, 1_500_000, 600_000_000, 5_000_000_000].map(Duration::from_nanos);
        let said = said.map(|time| Time(time).to_string());
        assert_eq!(said, ["0 s", "1500000 ns", "600 ms", "5 s"]);
        assert_eq!(Time(Duration::from_secs(3650 * 86_400)).to_string(), "3650 days");
        assert_eq!(
            [0, 5, 1 << 16, 3 << 20, 1 << 40].map(|bytes| Bytes(bytes).to_string()),
            ["0 bytes", "5 bytes", "64 KiB", "3 MiB", "1024 GiB"]
        );
    }

    #[test]
    fn every_option_takes_a_value_of_its_kind_and_of_no_other() {
        for info in options() {
            let settings = [
                Setting::Time(Duration::from_secs(1)),
                Setting::Bytes(1 << 20),
                Setting::Number(7),
                Setting::Text(text_for(info.name).to_owned()),
                Setting::Switch(true),
                Setting::List(Vec::new()),
                Setting::Pairs(BTreeMap::new()),
            ];
            let takes = settings.into_iter().filter(|setting| {
                RepConfig::builder("bank", "n1").set(info, setting.clone()).is_ok()
            });
            let expected = usize::from(info.kind != OptionKind::Code);
            assert_eq!(takes.count(), expected, "{}", info.name);
        }
    }

    fn text_for(option: &str) -> &'static str {
        match option {
            TYPE => "secondary",
            ON_DAMAGE => "refuse",
            FEED_FROM => "replica",
            _ => "memory",
        }
    }

    #[test]
    fn every_option_has_one_row_that_says_what_it_does() {
        let mut names: Vec<_> = options().map(|info| info.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
        assert!(options().all(|info| info.effect().ends_with('.') && !info.effect().contains('|')));
    }
}
