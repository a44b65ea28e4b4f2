//! The pre-vote: would a quorum promise? It binds nobody and raises nothing, so a node that cannot win
//! disturbs nobody by asking.

use super::{Election, Phase, PreVote, Sender, Standing, judge};
use crate::message::{Message, PreGrant, PreSolicit, Reason, Refuse};
use crate::output::{Event, Lost, Output};
use crate::ranking::{self, Backer, Grant};
use rep_vlsn::{NodeId, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::time::Duration;

impl Election {
    pub(super) fn open_pre_vote(&mut self, now: Duration, standing: &Standing<'_>) {
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
            grants: BTreeMap::new(),
            refusers: BTreeSet::new(),
        });
        let ask = Message::PreSolicit(PreSolicit {
            term,
            fence: self.fence().term,
            rank: standing.rank,
            priority: standing.priority,
            electorate: standing.electorate.clone(),
        });
        self.send_all(standing.electorate.members(), &ask);
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
                let (term, rank) = (ask.term, standing.rank);
                let electorate = standing.electorate.clone();
                let message = Message::PreGrant(PreGrant { term, rank, electorate });
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
        let PreGrant { term, rank, electorate } = grant;
        if !self.is_member(from, standing) || !judge::same_group(standing, &electorate) {
            return;
        }
        if let Phase::Asking(pre_vote) = &mut self.phase
            && pre_vote.term == term
        {
            let incarnation = from.incarnation;
            pre_vote.grants.insert(from.id, Grant { incarnation, rank, electorate });
            self.count_grants(now, standing);
        }
    }

    pub(super) fn count_grants(&mut self, now: Duration, standing: &Standing<'_>) {
        let Phase::Asking(pre_vote) = &self.phase else { return };
        if !self.is_voter(standing) {
            return self.fail_round(now, Lost::PreVoteFailed);
        }
        let own = Backer {
            id: self.config.me,
            incarnation: self.config.incarnation,
            rank: standing.rank,
            electorate: standing.electorate,
        };
        let granters = pre_vote.grants.iter().map(|(id, grant)| grant.backer(*id));
        let backers: Vec<Backer<'_>> = iter::once(own).chain(granters).collect();
        if ranking::foresees_a_winner(&backers, standing.goes_alone) {
            self.solicit(now, None, standing);
        } else if self.all_answered(pre_vote, standing) {
            self.fail_round(now, Lost::PreVoteFailed);
        }
    }

    /// Whoever has not answered yet may know a later membership, by which we win after all.
    fn all_answered(&self, pre_vote: &PreVote, standing: &Standing<'_>) -> bool {
        let answered = |id: NodeId| {
            id == self.config.me
                || pre_vote.grants.contains_key(&id)
                || pre_vote.refusers.contains(&id)
        };
        standing.electorate.members().all(answered)
    }

    pub(super) fn on_refuse(
        &mut self,
        now: Duration,
        from: Sender,
        refusal: Refuse,
        standing: &Standing<'_>,
    ) {
        let Refuse { term, pre_vote, fence, reason } = refusal;
        if standing.electorate.lists(from.id) {
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
            self.weigh_refusal(now, standing);
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

    /// A refusal may have been the last answer that was waited for. A founding needs everyone, and is over with the first.
    fn weigh_refusal(&mut self, now: Duration, standing: &Standing<'_>) {
        let electorate = standing.electorate;
        let founds = !electorate.is_born();
        let too_few_left = |refusers: &BTreeSet<NodeId>| {
            let left = electorate.voters.keys().filter(|id| !refusers.contains(id));
            left.count() < electorate.election_need
        };
        match &self.phase {
            Phase::Asking(pre_vote) if founds && too_few_left(&pre_vote.refusers) => {
                self.fail_round(now, Lost::PreVoteFailed);
            }
            Phase::Soliciting(round) if founds && too_few_left(&round.refusers) => {
                self.fail_round(now, Lost::TooFewPromises);
            }
            Phase::Asking(_) => self.count_grants(now, standing),
            Phase::Soliciting(_) => self.tally(now, standing, false),
            Phase::Resting | Phase::Reigning { .. } => {}
        }
    }
}
