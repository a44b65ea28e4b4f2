//! Machines: what a world has, whatever a group calls them.
//!
//! A machine has a place in the world, a name, a disk, and now and then a process. The number of the member that it is it gets from the
//! group, and another one when it comes back wiped. So everything that the world does to somebody is done to a machine, and
//! only the driver's boundary to its [`Node`](rep_node::Node) speaks of numbers: it finds the one by the other in the contacts that
//! this very node gave.

use rep_node::Contact;
use rep_vlsn::{Incarnation, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;

/// A machine of a world, numbered from 1; its name is `n1`, `n2` and so on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Machine(NonZeroU32);

impl Machine {
    /// The machine in this place.
    pub(crate) const fn new(place: u32) -> Self {
        match NonZeroU32::new(place) {
            Some(place) => Machine(place),
            None => panic!("machines are counted from 1"),
        }
    }

    pub(crate) const fn get(self) -> u32 {
        self.0.get()
    }

    /// The one that a name or an address is of.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix(ADDRESSES).unwrap_or(name);
        let place = name.split('/').next()?.strip_prefix('n')?;
        NonZeroU32::new(place.parse().ok()?).map(Machine)
    }

    /// Where it listens.
    pub(crate) fn address(self) -> String {
        format!("{ADDRESSES}{self}")
    }
}

/// What addresses of this world begin with.
const ADDRESSES: &str = "sim:";

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whom a node knows, in its own numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contacts(Vec<Known>);

/// A member, as somebody knows it.
#[derive(Clone, Copy, Debug)]
struct Known {
    number: NodeId,
    machine: Machine,
    incarnation: Option<Incarnation>,
    removed: bool,
}

impl Contacts {
    /// As the node tells it; of somebody who is no machine of this world nothing is known.
    pub(crate) fn of<'a>(contacts: impl IntoIterator<Item = &'a Contact>) -> Self {
        let known = |contact: &Contact| {
            let Contact { id, incarnation, removed, .. } = *contact;
            Some(Known {
                number: id,
                machine: Machine::named(&contact.name)?,
                incarnation,
                removed,
            })
        };
        Contacts(contacts.into_iter().filter_map(known).collect())
    }

    /// Which machine it means by a number.
    pub(crate) fn machine(&self, number: NodeId) -> Option<Machine> {
        self.0.iter().find(|known| known.number == number).map(|known| known.machine)
    }

    /// Who calls: the member of this very directory, else whoever has its name.
    pub(crate) fn number(&self, machine: Machine, incarnation: Incarnation) -> Option<NodeId> {
        let of = || self.0.iter().filter(|known| known.machine == machine);
        let exactly = of().find(|known| known.incarnation == Some(incarnation));
        exactly.or_else(|| of().find(|known| !known.removed)).map(|known| known.number)
    }
}
