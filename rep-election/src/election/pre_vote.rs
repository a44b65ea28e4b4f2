//! The pre-vote: would a quorum promise? It binds nobody and raises nothing, so a node that cannot win
//! disturbs nobody by asking.

use super::{Election, Phase, PreVote, Sender, Standing};
use crate::message::{Message, PreGrant, PreSolicit, Reason, Refuse};
use crate::output::{Event, Lost, Output};
use rep_vlsn::{NodeId, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Election {
    pub(super) fn open_pre_vote(&mut self, now: Duration, standing: &Standing<'_>) {
        let (me, incarnation) = (self.config.me, self.config.incarnation);
        let term = self.next_term();
        if !self.may_stand(standing) {
            self.retry_at = now + self.config.election_timeout;
            return;
        }
        self.stand(term);
        self.refused_by.clear();
        self.phase = Phase::Asking(PreVote {
            term,
            until: now + self.config.round_timeout,
            grants: BTreeMap::from([(me, incarnation)]),
            refusers: BTreeSet::new(),
        });
        let ask = Message::PreSolicit(PreSolicit {
            term,
            fence: self.fence().term,
            rank: standing.rank,
            priority: self.config.priority,
            electorate: standing.electorate.clone(),
        });
        self.send_all(standing.electorate.voters.keys(), &ask);
        self.count_grants(now, standing);
    }

    pub(super) fn on_pre_solicit(
        &mut self,
        now: Duration,
        from: Sender,
        ask: &PreSolicit,
        standing: &Standing<'_>,
    ) {
        let reigning = matches!(self.phase, Phase::Reigning { .. });
        if reigning && self.is_member(from, standing) {
            self.adopt(now, from.id, ask.fence);
        }
        match self.judge_pre_solicit(now, from, ask, standing) {
            Err(reason) => self.refuse(from, ask.term, true, reason, standing),
            Ok(()) => {
                if let Phase::Asking(_) = self.phase {
                    self.yielded.insert(from.id);
                    self.fail_round(now, Lost::Yielded { to: from.id });
                }
                self.refused.remove(&from.id);
                let message = Message::PreGrant(PreGrant { term: ask.term });
                self.put(Output::Send { to: from.id, message });
            }
        }
    }

    pub(super) fn on_pre_grant(
        &mut self,
        now: Duration,
        from: Sender,
        grant: PreGrant,
        standing: &Standing<'_>,
    ) {
        if !self.is_member(from, standing) {
            return;
        }
        if let Phase::Asking(pre_vote) = &mut self.phase
            && pre_vote.term == grant.term
        {
            pre_vote.grants.insert(from.id, from.incarnation);
            self.count_grants(now, standing);
        }
    }

    pub(super) fn count_grants(&mut self, now: Duration, standing: &Standing<'_>) {
        if let Phase::Asking(pre_vote) = &self.phase
            && standing.electorate.is_election_quorum(&pre_vote.grants)
        {
            self.solicit(now, None, standing);
        }
    }

    pub(super) fn on_refuse(
        &mut self,
        now: Duration,
        from: Sender,
        refusal: Refuse,
        standing: &Standing<'_>,
    ) {
        let Refuse { term, pre_vote, fence, reason } = refusal;
        if standing.electorate.voters.contains_key(&from.id) {
            self.refused_by.insert(from.id, reason);
        }
        if !self.is_member(from, standing) {
            return;
        }
        let in_time = match &mut self.phase {
            Phase::Asking(round) if pre_vote && round.term == term => {
                round.refusers.insert(from.id);
                true
            }
            Phase::Soliciting(round) if !pre_vote && round.term == term => {
                round.refusers.insert(from.id);
                true
            }
            Phase::Asking(_) | Phase::Soliciting(_) | Phase::Resting | Phase::Reigning { .. } => {
                false
            }
        };
        if in_time {
            self.put(Output::Event(Event::RefusedBy { by: from.id, term, reason }));
        }
        // A refuser that waits for a crown has promised the very term that is being solicited now: to
        // adopt it would be to withhold the promise from that proposer.
        if reason != Reason::CrownWait && fence > self.fence().term {
            return self.on_higher_fence(now, from.id, fence, reason, standing);
        }
        if in_time {
            self.give_up_if_hopeless(now, standing);
        }
    }

    pub(super) fn on_higher_fence(
        &mut self,
        now: Duration,
        from: NodeId,
        fence: Term,
        reason: Reason,
        standing: &Standing<'_>,
    ) {
        match self.phase {
            Phase::Asking(_) if reason == Reason::StaleTerm => {
                self.adopt(now, from, fence);
                self.open_pre_vote(now, standing);
            }
            Phase::Asking(_) => {
                self.adopt(now, from, fence);
                self.fail_round(now, Lost::PreVoteFailed);
            }
            Phase::Soliciting(_) => {
                self.adopt(now, from, fence);
                self.fail_round(now, Lost::TermPassed { by: fence });
            }
            Phase::Resting | Phase::Reigning { .. } => self.pass_term(now, from, fence),
        }
    }

    pub(super) fn give_up_if_hopeless(&mut self, now: Duration, standing: &Standing<'_>) {
        let electorate = standing.electorate;
        let hopeless = |refusers: &BTreeSet<NodeId>| {
            let left = electorate.voters.keys().filter(|id| !refusers.contains(id));
            left.count() < electorate.election_need
        };
        match &self.phase {
            Phase::Asking(pre_vote) if hopeless(&pre_vote.refusers) => {
                self.fail_round(now, Lost::PreVoteFailed);
            }
            Phase::Soliciting(round) if hopeless(&round.refusers) => {
                self.fail_round(now, Lost::TooFewPromises);
            }
            Phase::Soliciting(_) => self.tally(now, standing, false),
            Phase::Asking(_) | Phase::Resting | Phase::Reigning { .. } => {}
        }
    }
}
