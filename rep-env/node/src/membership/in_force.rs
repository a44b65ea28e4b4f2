//! Which membership rules: the latest in the log.

use super::{Member, Membership};
use rep_vlsn::{LogPoint, Vlsn, mutant};

/// The memberships that the log has, as far as they may matter yet: the newest that is durable, and those after it, which may be cut away.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    /// In the order of the log; the last one rules.
    known: Vec<Membership>,
}

impl InForce {
    /// Those that recovery found, in any order. One and the same entry may have been found twice.
    pub(crate) fn recovered(mut found: Vec<Membership>) -> Self {
        found.sort_by_key(|membership| membership.at);
        found.dedup_by_key(|membership| membership.at);
        InForce { known: found }
    }

    /// The one that rules.
    pub(crate) fn ruling(&self) -> Option<&Membership> {
        self.known.last()
    }

    /// From the one that rules back to the newest that is durable.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Membership> {
        self.known.iter().rev()
    }

    /// The newest that is durable in the group, if any of them is known to be.
    pub(crate) fn durable(&self, dvlsn: Vlsn) -> Option<&Membership> {
        self.newest_first().find(|membership| membership.at.vlsn <= dvlsn)
    }

    /// What stands in for the head of a log when that is gone.
    pub(crate) fn settled(&self, dvlsn: Vlsn) -> Option<&Membership> {
        self.durable(dvlsn).or(self.known.first())
    }

    /// The log has another one. What is older than the one that rules came with the head of a log whose end is known.
    pub(crate) fn learn(&mut self, membership: Membership) -> bool {
        let newest = self.ruling().map_or(LogPoint::NULL, |ruling| ruling.at);
        let is_new = membership.at > newest;
        if is_new {
            self.known.push(membership);
        }
        is_new
    }

    /// Entries after `keep` are cut away. The first one known is durable, and stays. Tells whether another one rules.
    pub(crate) fn roll_back(&mut self, keep: Vlsn) -> bool {
        let before = self.known.len();
        while self.known.len() > 1
            && self.ruling().is_some_and(|ruling| ruling.at.vlsn > keep)
            && !mutant!("members-uncommitted-not-rolled-back")
        {
            self.known.pop();
        }
        self.known.len() < before
    }

    /// What lies before the newest durable one will not rule again. Tells whether there was any.
    pub(crate) fn settle(&mut self, dvlsn: Vlsn) -> bool {
        let durable = self.known.partition_point(|membership| membership.at.vlsn <= dvlsn);
        self.known.drain(..durable.saturating_sub(1)).next().is_some()
    }

    /// All that may rule yet, in the order of the log.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Membership> {
        self.known.iter()
    }

    /// Who is a member by one that may rule again, and by the one that rules is not.
    pub(crate) fn undurably_removed(&self) -> impl Iterator<Item = &Member> {
        let ruling = self.ruling();
        let gone = move |member: &&Member| {
            ruling.is_none_or(|ruling| !ruling.members.contains_key(&member.id))
        };
        self.known.iter().flat_map(|known| known.members.values()).filter(gone)
    }
}
