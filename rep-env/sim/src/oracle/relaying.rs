//! Entries by way of a replica, and who is given none: I-48, I-49.

use super::{Checked, Invariant, Oracle, ensure};
use crate::machine::Machine;
use rep_node::Message;
use rep_vlsn::LogPoint;

impl Oracle {
    /// A monitor says something. That it asks where a read would stand, if somebody reads there, harms nobody: it is not heeded.
    pub(crate) fn monitor_says(&self, node: Machine, message: &Message) -> Checked {
        let is_harmless = matches!(
            message,
            Message::Ping { .. }
                | Message::Pong { .. }
                | Message::ReadIndex { .. }
                | Message::Acquaint(_)
                | Message::RoundTrips(_)
                | Message::TurnedAway(_)
        );
        ensure(is_harmless, Invariant::MonitorSilent, || {
            format!("{node} watches, and says {message:?}")
        })
    }

    /// A node sends entries to a member that is to have none.
    pub(crate) fn is_fed(&self, node: Machine, monitors: bool) -> Checked {
        ensure(!monitors, Invariant::MonitorSilent, || {
            format!("{node} watches, and is sent entries")
        })
    }

    /// A node that is not master sends entries up to `last`. Nothing of that may ever be taken back.
    pub(crate) fn relays(&self, node: Machine, last: LogPoint) -> Checked {
        let durable = self.committed();
        ensure(last.vlsn.get() <= durable, Invariant::RelaySafe, || {
            format!("{node} relays entries up to {last}; {durable} are known to be durable")
        })
    }
}
