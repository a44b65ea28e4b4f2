//! Two members of whom one, the designated one, can go on without the other.
//!
//! Nobody is elected without the promise of the designated member, and it may be elected alone. An entry takes both. So the designated
//! one holds whatever is durable, and whoever is elected has asked it. Elected alone, it writes behind the first entry of its term that the
//! other one votes no more (the *override*), and from there on its own copy is enough. The other one comes back as a learner, catches up, and
//! votes again, and both are needed again (decision 30).
//!
//! | the designated one | and |
//! |---|---|
//! | hears the other | is elected with its promise, or elects it |
//! | has not heard it for [`PATIENCE`] | is elected alone, and overrides |
//! | is away | nobody is elected |

use crate::membership::{MemberType, Membership, Quorums};
use crate::node::Node;
use rep_vlsn::{Incarnation, NodeId, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// Election timeouts in which the other one has to have been silent, on every link: long enough for a process to start again and for several dials. Less
/// would give up a copy for what passes by itself, and more is time without a master.
const PATIENCE: u32 = 8;

impl Node {
    /// Whether this node is designated, and has not heard the other voter for so long that it may be elected alone.
    pub(crate) fn goes_alone(&self) -> bool {
        let is_designated = self.electorate.designated == Some(self.config.me);
        (is_designated || mutant!("quorum-designated-not-asked"))
            && self.alone_in().is_none_or(|left| left.is_zero())
    }

    /// For how long yet the other voter may stay silent; `None` if there is none.
    fn alone_in(&self) -> Option<Duration> {
        let patience = self.config.timing.election_timeout * PATIENCE;
        let others = self.electorate.voters.iter().filter(|(id, _)| **id != self.config.me);
        let heard = others.map(|(id, voter)| {
            let heard = voter.incarnation.and_then(|it| self.links.last_heard(*id, it));
            heard.unwrap_or(self.opened)
        });
        heard.max().map(|heard| (heard + patience).saturating_sub(self.clock))
    }

    /// The membership that a master makes which was elected by its own promise alone, beside another voter.
    pub(crate) fn override_of(
        &self,
        promisers: &BTreeMap<NodeId, Incarnation>,
    ) -> Option<Membership> {
        let me = self.config.me;
        let ruling = self.membership().filter(|it| it.quorums == Quorums::Designated(me))?;
        let alone = self.electorate.voters.len() > 1 && promisers.keys().all(|id| *id == me);
        (alone && !mutant!("designated-without-override")).then(|| ruling.overridden(me))
    }

    /// Whom this master goes on without.
    pub(crate) fn goes_on_without(&self) -> Option<NodeId> {
        let me = self.config.me;
        let ruling = self.membership().filter(|it| it.quorums == Quorums::Designated(me))?;
        let other = ruling.members.values().find(|it| it.kind == MemberType::Learner)?;
        self.reign.is_some().then_some(other.id)
    }

    /// The designated member, if that is another one and is not heard.
    pub(crate) fn misses_designated(&self) -> Option<NodeId> {
        let missed = |id: &NodeId| *id != self.config.me && !self.hears(self.clock, *id);
        self.electorate.designated.filter(missed)
    }

    /// Whom this designated member waits for, and for how long yet, before it is elected alone.
    pub(crate) fn waits_to_go_alone(&self) -> Option<(NodeId, Duration)> {
        let me = self.config.me;
        let other = self.electorate.voters.keys().copied().find(|id| *id != me)?;
        let waits = self.electorate.designated == Some(me) && !self.hears(self.clock, other);
        self.alone_in().filter(|_| waits).map(|left| (other, left))
    }
}
