//! How far an entry must have come before its commit counts.

use rep_election::quorum::Acks;
use rep_vlsn::{Flags, SyncClass};

/// How far an entry must have come before its commit counts: at the master, at the members that acknowledge it, and
/// how many of them there must be. The default is the strongest that survives the loss of a minority.
///
/// What an acknowledged write survives, in a group of three (of more: any minority for one member):
///
/// | replica | acks | processes killed, even all | one member lost for good | power cut of a minority | power cut of all |
/// |---|---|---|---|---|---|
/// | `Sync` | `All` | yes | yes, any two of them | yes | yes |
/// | `Sync` | `SimpleMajority` | yes | yes | yes | yes |
/// | weaker | `All` | yes | yes, any two of them | yes | only what was synced by then |
/// | weaker | `SimpleMajority` | yes | yes | no, if too few of those that hold it remain | only what was synced by then |
/// | any | `None` | if the master is back before another is elected | not the master | not the master's | if `local` is `Sync` and the master is back before another is elected |
///
/// The rows hold where `local` is no weaker than `replica`; else the master's own copy, which is one of those that
/// acknowledge, survives no more than `local` says. Whatever was asked, each
/// member syncs what it has within its `sync_interval`, 100 ms by default; from then on an entry is as safe as
/// `Sync`, `Sync`, `SimpleMajority` makes it. Until then nobody reads it but later transactions of the same master,
/// and a loss is announced: the members that had it emit an event with its number, a read that asks for it is
/// answered `RolledBack`.
///
/// ```
/// use rep_node::{Acks, Durability};
/// use rep_vlsn::SyncClass;
///
/// let quick = Durability::default().local(SyncClass::NoSync).replica(SyncClass::NoSync);
/// assert_eq!(quick.acks, Acks::SimpleMajority);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Durability {
    /// At the master.
    pub local: SyncClass,
    /// At the members that acknowledge.
    pub replica: SyncClass,
    /// How many have to acknowledge.
    pub acks: Acks,
}

impl Durability {
    /// Synced here and at a majority.
    pub const SYNC_MAJORITY: Durability =
        Durability { local: SyncClass::Sync, replica: SyncClass::Sync, acks: Acks::SimpleMajority };

    /// What an entry with these flags asks for, if so many are to acknowledge it.
    pub(crate) const fn of(flags: Flags, acks: Acks) -> Self {
        Durability { local: flags.local_sync, replica: flags.replica_sync, acks }
    }

    /// As `self`, with other acknowledgements.
    #[must_use]
    pub const fn acks(mut self, acks: Acks) -> Self {
        self.acks = acks;
        self
    }

    /// As `self`, with another sync at the master.
    #[must_use]
    pub const fn local(mut self, local: SyncClass) -> Self {
        self.local = local;
        self
    }

    /// As `self`, with another sync at the members that acknowledge.
    #[must_use]
    pub const fn replica(mut self, replica: SyncClass) -> Self {
        self.replica = replica;
        self
    }

    /// The flags of an entry that asks for this.
    pub fn flags(self) -> Flags {
        Flags { local_sync: self.local, replica_sync: self.replica, ..Flags::default() }
    }
}
