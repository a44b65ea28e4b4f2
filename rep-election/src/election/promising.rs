//! Soliciting and promising: here terms rise, and everything spoken waits for the disk.

use super::{Election, Owed, Phase, Round, Sender, Standing, judge};
use crate::message::{Message, Promise, Solicit};
use crate::output::{Lost, Output};
use crate::promise::{Durable, Fence};
use crate::ranking::{self, Pledge, Wishes};
use rep_vlsn::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Election {
    /// Takes the next term for itself. The solicitations leave when the fence is durable.
    pub(super) fn solicit(&mut self, now: Duration, heir: Option<NodeId>, standing: &Standing<'_>) {
        let term = self.next_term();
        self.refused_by.clear();
        if term > self.fence().term {
            self.raise(now, Fence { term, promised_to: Some(self.config.me) });
        }
        self.stand(term);
        self.promised = Some(term);
        self.phase = Phase::Soliciting(Round {
            term,
            sent: None,
            pledges: BTreeMap::new(),
            refusers: BTreeSet::new(),
            heir,
        });
        self.keep_quiet(now);
        self.release(now, standing);
    }

    /// Lets go what the durable fence allows.
    pub(super) fn release(&mut self, now: Duration, standing: &Standing<'_>) {
        if let Some(owed) = self.owed
            && let Some(durable) = self.fence.durable_at(owed.term)
        {
            self.owed = None;
            let message = Message::Promise(self.promise(durable, standing));
            self.put(Output::Send { to: owed.to, message });
        }
        if let Phase::Soliciting(Round { term, sent: None, .. }) = self.phase
            && let Some(durable) = self.fence.durable_at(term)
        {
            if self.is_voter(standing) {
                self.send_solicitations(now, durable, standing);
            } else {
                self.fail_round(now, Lost::TooFewPromises);
            }
        }
    }

    pub(super) fn send_solicitations(
        &mut self,
        now: Duration,
        durable: Durable,
        standing: &Standing<'_>,
    ) {
        let until = now + self.config.round_timeout;
        let mut transfer = false;
        if let Phase::Soliciting(round) = &mut self.phase {
            round.sent = Some((durable, until));
            transfer = round.heir.is_some();
        }
        self.keep_quiet(now);
        let ask = Message::Solicit(Solicit {
            term: durable.term(),
            rank: standing.rank,
            electorate: standing.electorate.clone(),
            transfer,
        });
        self.send_all(standing.electorate.members(), &ask);
        self.tally(now, standing, false);
    }

    pub(super) fn promise(&self, durable: Durable, standing: &Standing<'_>) -> Promise {
        let electorate = standing.electorate.clone();
        let voter = |id: &NodeId| electorate.voters.contains_key(id);
        let round_trips = standing.round_trips.iter().filter(|(id, _)| voter(id));
        Promise {
            term: durable.term(),
            rank: standing.rank,
            nameable: standing.nameable
                && self.is_voter(standing)
                && self.promised == Some(durable.term()),
            priority: standing.priority,
            round_trips: round_trips.map(|(id, trip)| (*id, *trip)).collect(),
            reaches_commit_quorum: standing.reaches_commit_quorum,
            electorate,
        }
    }

    pub(super) fn on_solicit(
        &mut self,
        now: Duration,
        from: Sender,
        ask: &Solicit,
        standing: &Standing<'_>,
    ) {
        if let Err(reason) = self.judge_solicit(from, ask, standing) {
            return self.refuse(from, ask.term, false, reason, standing);
        }
        if ask.term > self.fence().term {
            self.raise(now, Fence { term: ask.term, promised_to: Some(from.id) });
            self.promised = Some(ask.term);
            self.keep_quiet(now);
            self.stand(ask.term);
        }
        self.refused.remove(&from.id);
        self.owed = Some(Owed { term: ask.term, to: from.id });
        self.release(now, standing);
    }

    pub(super) fn on_promise(
        &mut self,
        now: Duration,
        from: Sender,
        promise: Promise,
        standing: &Standing<'_>,
    ) {
        if !self.is_member(from, standing) || !judge::same_group(standing, &promise.electorate) {
            return;
        }
        if promise.term > self.fence().term {
            return self.pass_term(now, from.id, promise.term);
        }
        if let Phase::Soliciting(round) = &mut self.phase
            && round.term == promise.term
            && round.sent.is_some()
        {
            let pledge = Pledge { incarnation: from.incarnation, promise };
            round.pledges.insert(from.id, pledge);
            round.refusers.remove(&from.id);
            self.tally(now, standing, false);
        }
    }

    /// Our own promise, as things stand now: a membership that was rolled back since the round began makes nobody master.
    fn pledge_ourselves(&mut self, durable: Durable, standing: &Standing<'_>) {
        let incarnation = self.config.incarnation;
        let own = Pledge { incarnation, promise: self.promise(durable, standing) };
        if let Phase::Soliciting(round) = &mut self.phase {
            round.pledges.insert(self.config.me, own);
        }
    }

    /// Names a winner if the promises allow one; on the last call, or when all have answered, also a
    /// doubtful one.
    pub(super) fn tally(&mut self, now: Duration, standing: &Standing<'_>, last_call: bool) {
        let Phase::Soliciting(round) = &self.phase else { return };
        let Some((durable, _)) = round.sent else { return };
        self.pledge_ourselves(durable, standing);
        let Phase::Soliciting(Round { pledges, refusers, heir, .. }) = &self.phase else { return };
        let answered = |id: &NodeId| pledges.contains_key(id) || refusers.contains(id);
        let all_answered = standing.electorate.members().all(|id| answered(&id));
        let wishes = Wishes { not: self.silent_winner, heir: *heir, alone: standing.goes_alone };
        match ranking::choose(pledges, wishes, last_call || all_answered) {
            Some(choice) => self.name(now, durable, choice, standing),
            None if last_call || all_answered => self.fail_round(now, Lost::TooFewPromises),
            None => {}
        }
    }
}
