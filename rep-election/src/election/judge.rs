//! May it be granted? Each question one function, each refusal with its reason; nothing is changed here.

use super::{Election, Phase, Sender, Standing};
use crate::electorate::{Acquaintance, Electorate};
use crate::message::{Name, PreSolicit, Reason, Solicit};
use crate::output::Declined;
use crate::promise::Fence;
use crate::ranking::{better_asker, compare_logs};
use rep_vlsn::{Incarnation, NodeId, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether an answer comes from the group that was asked. An unborn node counts only unborn promises.
pub(super) fn same_group(standing: &Standing<'_>, theirs: &Electorate) -> bool {
    match (standing.electorate.group, theirs.group) {
        (Some(ours), Some(theirs)) => ours == theirs,
        (None, Some(_)) => false,
        (Some(_), None) | (None, None) => true,
    }
}

impl Election {
    /// Whether terms and answers are taken from `from`.
    pub(super) fn is_member(&self, from: Sender, standing: &Standing<'_>) -> bool {
        standing.electorate.knows(from.id, from.incarnation)
    }

    /// Whether it is for `from` to name a winner: a member, or the one to whom that term was promised, since it is a voter by
    /// its own, later membership.
    pub(super) fn may_name(&self, from: Sender, name: &Name, standing: &Standing<'_>) -> bool {
        let promised = Fence { term: name.term, promised_to: Some(from.id) };
        self.is_member(from, standing) || self.fence() == promised
    }

    pub(super) fn judge_pre_solicit(
        &self,
        now: Duration,
        from: Sender,
        ask: &PreSolicit,
        standing: &Standing<'_>,
    ) -> Result<(), Reason> {
        self.judge_asker(from, &ask.electorate, standing.electorate)?;
        if !mutant!("election-no-prevote-check") {
            self.judge_silence(now)?;
        }
        if now < self.quiet_until {
            return Err(Reason::CrownWait);
        }
        if ask.term <= self.fence().term {
            return Err(Reason::StaleTerm);
        }
        self.judge_rival(from.id, ask, standing)
    }

    fn judge_silence(&self, now: Duration) -> Result<(), Reason> {
        if let Phase::Reigning { .. } = self.phase {
            return Err(Reason::Reigning);
        }
        match self.followed {
            Some((_, master)) if self.detector.hears_master(now) => {
                Err(Reason::MasterHeard { master })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// While our own pre-vote is open, we step back for a better candidate, once. A member that has refused
    /// us in this round and asks now has learnt of the silence since: we cannot win its grant any more.
    fn judge_rival(
        &self,
        from: NodeId,
        ask: &PreSolicit,
        standing: &Standing<'_>,
    ) -> Result<(), Reason> {
        let Phase::Asking(pre_vote) = &self.phase else {
            return Ok(());
        };
        let ours = (standing.rank, standing.priority, self.config.me);
        let better = better_asker((ask.rank, ask.priority, from), ours);
        let gives_way = better || pre_vote.refusers.contains(&from);
        if gives_way && !self.yielded.contains(&from) { Ok(()) } else { Err(Reason::Busy) }
    }

    pub(super) fn judge_solicit(
        &self,
        from: Sender,
        ask: &Solicit,
        standing: &Standing<'_>,
    ) -> Result<(), Reason> {
        self.judge_asker(from, &ask.electorate, standing.electorate)?;
        let fence = self.fence();
        let followed = self.followed.map(|(term, _)| term);
        let used = followed == Some(ask.term) || self.reigned == Some(ask.term);
        let repeated = fence.term == ask.term
            && (fence.promised_to == Some(from.id) || mutant!("election-two-promises-a-term"));
        if ask.term > fence.term || (repeated && !used) { Ok(()) } else { Err(Reason::StaleTerm) }
    }

    /// Whether the asker is one to whom promises are made at all.
    fn judge_asker(
        &self,
        from: Sender,
        theirs: &Electorate,
        ours: &Electorate,
    ) -> Result<(), Reason> {
        let (me, incarnation) = (self.config.me, self.config.incarnation);
        match (ours.group, theirs.group) {
            (Some(ours), Some(theirs)) if ours != theirs => Err(Reason::OtherGroup),
            (Some(_), Some(_)) => self.judge_member(from, theirs, ours),
            (Some(_), None) => recognised(ours, from).and(Err(Reason::AskerUnborn)),
            (None, Some(_)) if theirs.knows(me, incarnation) => recognised(theirs, from),
            (None, Some(_)) => Err(Reason::RefuserNotRecorded),
            (None, None) if !ours.voters.keys().eq(theirs.voters.keys()) => {
                Err(Reason::OtherMembers)
            }
            (None, None) => recognised(ours, from),
        }
    }

    /// By our own membership; or by the asker's, if that is a later one and knows us. An entry that we lack may have made
    /// it a voter, and us too; and what ours says of it may be in an entry that was rolled back elsewhere, its number given
    /// again. Whether our promise counts is for the winner's membership to say.
    fn judge_member(
        &self,
        from: Sender,
        theirs: &Electorate,
        ours: &Electorate,
    ) -> Result<(), Reason> {
        let is_later = theirs.at > ours.at;
        match recognised(ours, from) {
            // A voter by its own log: an entry that only one of us has made it one, or no more one.
            Err(Reason::AskerLearner) if theirs.counts(from.id, from.incarnation) => Ok(()),
            Err(_) if is_later && theirs.knows(self.config.me, self.config.incarnation) => {
                recognised(theirs, from)
            }
            judged => judged,
        }
    }

    pub(super) fn judge_name(
        &self,
        proposer: NodeId,
        name: &Name,
        standing: &Standing<'_>,
    ) -> Result<(), Declined> {
        let fence = self.fence();
        if fence.term != name.term
            || fence.promised_to != Some(proposer)
            || self.fence.durable_at(name.term).is_none()
        {
            return Err(Declined::NotPromised);
        }
        if self.promised != Some(name.term) && !mutant!("election-accept-after-restart") {
            return Err(Declined::PromisedBeforeRestart);
        }
        let followed = self.followed.map(|(term, _)| term);
        if self.reigned == Some(name.term) || followed == Some(name.term) {
            return Err(Declined::TermUsed);
        }
        if !standing.nameable {
            return Err(Declined::NotNameable);
        }
        if !self.is_voter(standing) {
            return Err(Declined::NotAVoter);
        }
        let promisers: BTreeMap<NodeId, Incarnation> =
            name.promisers.iter().map(|promiser| (promiser.id, promiser.incarnation)).collect();
        let trusts_the_proposer = mutant!("election-old-config-wins");
        if !standing.electorate.is_election_quorum(&promisers) && !trusts_the_proposer {
            return Err(Declined::NoQuorum);
        }
        let above = |rank| compare_logs(rank, standing.rank).is_gt();
        if name.promisers.iter().any(|promiser| above(promiser.rank)) {
            return Err(Declined::Outranked);
        }
        Ok(())
    }
}

fn recognised(electorate: &Electorate, from: Sender) -> Result<(), Reason> {
    match electorate.recognise(from.id, from.incarnation) {
        Acquaintance::Voter => Ok(()),
        Acquaintance::Learner => Err(Reason::AskerLearner),
        Acquaintance::OtherIncarnation => Err(Reason::OtherIncarnation),
        Acquaintance::Stranger => Err(Reason::NotAMember),
    }
}
