//! The election core: every transition in one place.
//!
//! One node's share in choosing a master. It rests while a master is heard; when it is silent the
//! node *asks* whether a quorum would promise it the next term (the pre-vote, which binds nobody), then
//! *solicits* that term, then names the best of those who promised, and whoever is named and still
//! finds every condition true *reigns*. See `docs/election.md` for the rules and why each is there.
//!
//! The core is a plain value. Time and the facts about the log come in as arguments; everything it wants
//! done comes out of [`Election::poll_output`].

mod judge;
mod status;

pub use status::{ElectionStatus, PhaseName};

use crate::config::ElectionConfig;
use crate::detector::Detector;
use crate::electorate::Electorate;
use crate::error::PeerError;
use crate::message::{
    Message, Name, PreGrant, PreSolicit, Promise, Promiser, Reason, Refuse, Solicit,
};
use crate::mutant;
use crate::output::{Event, Lost, Output};
use crate::promise::{Durable, Fence, FenceKeeper};
use crate::ranking::{self, Choice, Pledge};
use crate::rng::Rng;
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A term further above ours than this is malformed.
const TERM_JUMP_MAX: u64 = 1 << 32;

/// What the core needs to know of the world at each call. Borrowed, never kept.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The last entry held in this run, synced or not; of a poisoned log the last synced one.
    pub rank: LogPoint,
    /// Whether the log is sound. A node with a poisoned log votes and is never named.
    pub nameable: bool,
    /// The latest membership in the log, or the list of founders while there is none.
    pub electorate: &'a Electorate,
    /// Whether a commit quorum, this node included, can be reached now.
    pub reaches_commit_quorum: bool,
    /// Measured round trips to other members.
    pub round_trips: &'a BTreeMap<NodeId, Duration>,
}

/// Who sent a message, as its connection has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The member.
    pub id: NodeId,
    /// The incarnation that it showed.
    pub incarnation: Incarnation,
}

/// One node's election core.
#[derive(Clone, Debug)]
pub struct Election {
    config: ElectionConfig,
    rng: Rng,
    fence: FenceKeeper,
    detector: Detector,
    phase: Phase,
    /// Whether the role is Candidate: `Stand` was given out, and neither `Lost` nor `Crown` since.
    standing_for_office: bool,
    /// The latest term promised in this run of the process.
    promised: Option<Term>,
    /// The latest term reigned.
    reigned: Option<Term>,
    /// The latest master followed.
    followed: Option<(Term, NodeId)>,
    /// A promise that waits for the disk.
    owed: Option<Owed>,
    /// The crown wait: until then no pre-vote is opened or granted.
    quiet_until: Duration,
    /// After a round that failed: not before then.
    retry_at: Duration,
    /// The winner that we named and have not heard yet.
    watch: Option<Watch>,
    /// The winner of our last round, if it stayed silent.
    silent_winner: Option<NodeId>,
    /// To whom we yielded since a master was last heard: once each, or one-way links would stall us.
    yielded: BTreeSet<NodeId>,
    refused_by: BTreeMap<NodeId, Reason>,
    refused: BTreeMap<NodeId, Reason>,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug)]
enum Phase {
    Resting,
    Asking(PreVote),
    Soliciting(Round),
    Reigning { term: Term },
}

#[derive(Clone, Debug)]
struct PreVote {
    term: Term,
    until: Duration,
    grants: BTreeMap<NodeId, Incarnation>,
    refusers: BTreeSet<NodeId>,
}

#[derive(Clone, Debug)]
struct Round {
    term: Term,
    /// Present once our own fence is on disk and the solicitations have left, with the deadline.
    sent: Option<(Durable, Duration)>,
    pledges: BTreeMap<NodeId, Pledge>,
    refusers: BTreeSet<NodeId>,
}

#[derive(Clone, Copy, Debug)]
struct Owed {
    term: Term,
    to: NodeId,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    term: Term,
    winner: NodeId,
    until: Duration,
}

impl Election {
    /// A core that starts at `now` with the fence that its disk holds ([`Fence::default`] on a fresh one).
    ///
    /// # Panics
    ///
    /// If the configured times make no sense together.
    pub fn new(config: ElectionConfig, durable: Fence, now: Duration) -> Self {
        config.assert_sound();
        let mut rng = Rng::new(config.seed);
        let jitter = rng.between(Duration::ZERO, config.election_timeout / 2);
        Election {
            rng,
            fence: FenceKeeper::new(durable),
            detector: Detector::new(config.election_timeout, jitter, now),
            phase: Phase::Resting,
            standing_for_office: false,
            promised: None,
            reigned: None,
            followed: None,
            owed: None,
            quiet_until: now,
            retry_at: now,
            watch: None,
            silent_winner: None,
            yielded: BTreeSet::new(),
            refused_by: BTreeMap::new(),
            refused: BTreeMap::new(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// A member's message. `from` is what its connection proved, not what the message claims.
    ///
    /// # Errors
    ///
    /// If no sound member says such a thing. Nothing was changed then.
    pub fn handle_message(
        &mut self,
        now: Duration,
        from: Sender,
        message: Message,
        standing: &Standing<'_>,
    ) -> Result<(), PeerError> {
        if from.id == self.config.me {
            return Err(PeerError::OwnName { name: from.id });
        }
        message.check()?;
        self.refuse_far_terms(&message)?;
        match message {
            Message::PreSolicit(ask) => self.on_pre_solicit(now, from, &ask, standing),
            Message::PreGrant(grant) => self.on_pre_grant(now, from, grant, standing),
            Message::Refuse(refusal) => self.on_refuse(now, from, refusal, standing),
            Message::Solicit(ask) => self.on_solicit(now, from, &ask, standing),
            Message::Promise(promise) => self.on_promise(now, from, promise, standing),
            Message::Name(name) => self.on_name(now, from, &name, standing),
        }
        Ok(())
    }

    /// The disk holds `fence`, which an `Output::Persist` asked for. Releases what leans on it.
    ///
    /// # Panics
    ///
    /// If no such fence was given out, or one that came after it was reported already.
    pub fn handle_persisted(&mut self, now: Duration, fence: Fence, standing: &Standing<'_>) {
        if let Some(next) = self.fence.persisted(fence) {
            self.put(Output::Persist(next));
        }
        if self.owed.is_some_and(|owed| owed.term <= fence.term) {
            self.keep_quiet(now);
        }
        self.release(now, standing);
    }

    /// The clock may have reached [`Election::next_timeout`]. Too early is harmless.
    pub fn handle_timeout(&mut self, now: Duration, standing: &Standing<'_>) {
        if let Some(watch) = self.watch.filter(|watch| now >= watch.until) {
            return self.on_silent_winner(now, watch, standing);
        }
        match &self.phase {
            Phase::Resting => self.on_rest_over(now, standing),
            Phase::Asking(pre_vote) if now >= pre_vote.until => {
                self.fail_round(now, Lost::PreVoteFailed);
            }
            Phase::Soliciting(Round { sent: Some((_, until)), .. }) if now >= *until => {
                self.tally(now, standing, true);
            }
            Phase::Asking(_) | Phase::Soliciting(_) | Phase::Reigning { .. } => {}
        }
    }

    /// A frame of a master of `term` arrived, on whichever channel. `quorate`: it says that it reaches a
    /// commit quorum. A higher term raises the fence; answer such a frame, or take anything of its stream,
    /// only when [`Election::durable_fence`] has reached the term. Below the fence it is ignored.
    ///
    /// # Errors
    ///
    /// If the term is absurdly far away, or is the one in which this node reigns itself: then halt.
    pub fn hear_master(
        &mut self,
        now: Duration,
        term: Term,
        master: NodeId,
        quorate: bool,
    ) -> Result<(), PeerError> {
        self.refuse_far_term(term)?;
        if let Phase::Reigning { term: ours } = self.phase
            && ours == term
            && master != self.config.me
        {
            return Err(PeerError::SecondMaster { term, master });
        }
        if term < self.fence().term || term == Term::ZERO || master == self.config.me {
            return Ok(());
        }
        if term > self.fence().term {
            self.raise(now, Fence { term, promised_to: None });
        }
        self.follow(now, term, master);
        if quorate {
            self.watch = None;
            self.silent_winner = None;
        }
        Ok(())
    }

    /// A member said, outside of elections, that it has reached `term`: in an answer to a heartbeat, or in a
    /// handshake. A higher one than ours is adopted as it is, which ends a reign or a stream below it. That
    /// `from` is a member is for the caller to have checked.
    ///
    /// # Errors
    ///
    /// If the term is absurdly far away.
    pub fn observe_term(
        &mut self,
        now: Duration,
        from: NodeId,
        term: Term,
    ) -> Result<(), PeerError> {
        self.refuse_far_term(term)?;
        if term > self.fence().term {
            self.pass_term(now, from, term);
        }
        Ok(())
    }

    /// The master's connection closed and its redial was refused: it is silent at once, both for standing
    /// and for granting pre-votes.
    pub fn lose_master(&mut self, now: Duration) {
        let stagger = self.stagger();
        self.detector.lose(now, stagger);
    }

    /// This node stepped down by itself: its quorum was lost, or it handed over. It may stand again later.
    pub fn reign_ended(&mut self, now: Duration) {
        if let Phase::Reigning { .. } = self.phase {
            self.phase = Phase::Resting;
            self.wait_anew(now);
        }
    }

    /// The fence in force, whether or not it is durable yet. Below it nothing may be done for a stream.
    pub fn fence(&self) -> Fence {
        self.fence.in_force()
    }

    /// The fence on disk. Nothing that belongs to a higher term may leave this node.
    pub fn durable_fence(&self) -> Fence {
        self.fence.durable()
    }

    /// When `handle_timeout` is due next, and why.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        match &self.phase {
            Phase::Resting => Some(self.rest_until()),
            Phase::Asking(pre_vote) => Some((pre_vote.until, "pre-vote round")),
            Phase::Soliciting(round) => round.sent.map(|(_, until)| (until, "promise round")),
            Phase::Reigning { .. } => None,
        }
    }

    /// The next thing to do. Drain until `None` after every call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What must hold between any two calls.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self) {
        self.fence.invariants();
        let fence = self.fence();
        match &self.phase {
            Phase::Resting => {}
            Phase::Asking(pre_vote) => assert!(pre_vote.term > fence.term, "asks above its fence"),
            Phase::Soliciting(round) => {
                let own = Fence { term: round.term, promised_to: Some(self.config.me) };
                assert_eq!(fence, own, "a proposer has promised itself");
            }
            Phase::Reigning { term } => {
                assert_eq!(
                    (fence.term, self.promised, self.reigned),
                    (*term, Some(*term), Some(*term))
                );
                assert!(!self.standing_for_office, "who reigns is no candidate");
            }
        }
        assert!(self.promised.is_none_or(|promised| promised <= fence.term));
        assert!(self.watch.is_none_or(|watch| watch.term == fence.term));
        assert!(self.owed.is_none_or(|owed| owed.term == fence.term));
    }
}

/// Pre-votes.
impl Election {
    fn open_pre_vote(&mut self, now: Duration, standing: &Standing<'_>) {
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

    fn on_pre_solicit(
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
                let message = Message::PreGrant(PreGrant { term: ask.term });
                self.put(Output::Send { to: from.id, message });
            }
        }
    }

    fn on_pre_grant(
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

    fn count_grants(&mut self, now: Duration, standing: &Standing<'_>) {
        if let Phase::Asking(pre_vote) = &self.phase
            && standing.electorate.is_election_quorum(&pre_vote.grants)
        {
            self.solicit(now, standing);
        }
    }

    fn on_refuse(&mut self, now: Duration, from: Sender, refusal: Refuse, standing: &Standing<'_>) {
        if !self.is_member(from, standing) {
            return;
        }
        let Refuse { term, pre_vote, fence, reason } = refusal;
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
            self.refused_by.insert(from.id, reason);
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

    fn on_higher_fence(
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

    fn give_up_if_hopeless(&mut self, now: Duration, standing: &Standing<'_>) {
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

/// Promises.
impl Election {
    /// Takes the next term for itself. The solicitations leave when the fence is durable.
    fn solicit(&mut self, now: Duration, standing: &Standing<'_>) {
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
        });
        self.keep_quiet(now);
        self.release(now, standing);
    }

    /// Lets go what the durable fence allows.
    fn release(&mut self, now: Duration, standing: &Standing<'_>) {
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
            self.send_solicitations(now, durable, standing);
        }
    }

    fn send_solicitations(&mut self, now: Duration, durable: Durable, standing: &Standing<'_>) {
        let own = Pledge {
            incarnation: self.config.incarnation,
            promise: self.promise(durable, standing),
        };
        let until = now + self.config.round_timeout;
        let me = self.config.me;
        if let Phase::Soliciting(round) = &mut self.phase {
            round.sent = Some((durable, until));
            round.pledges.insert(me, own);
        }
        self.keep_quiet(now);
        let ask = Message::Solicit(Solicit {
            term: durable.term(),
            rank: standing.rank,
            electorate: standing.electorate.clone(),
            transfer: false,
        });
        self.send_all(standing.electorate.voters.keys(), &ask);
        self.tally(now, standing, false);
    }

    fn promise(&self, durable: Durable, standing: &Standing<'_>) -> Promise {
        let electorate = standing.electorate.clone();
        let voter = |id: &NodeId| electorate.voters.contains_key(id);
        let round_trips = standing.round_trips.iter().filter(|(id, _)| voter(id));
        Promise {
            term: durable.term(),
            rank: standing.rank,
            nameable: standing.nameable && self.promised == Some(durable.term()),
            priority: self.config.priority,
            round_trips: round_trips.map(|(id, trip)| (*id, *trip)).collect(),
            reaches_commit_quorum: standing.reaches_commit_quorum,
            electorate,
        }
    }

    fn on_solicit(&mut self, now: Duration, from: Sender, ask: &Solicit, standing: &Standing<'_>) {
        if let Err(reason) = self.judge_solicit(from, ask, standing) {
            return self.refuse(from, ask.term, false, reason, standing);
        }
        if ask.term > self.fence().term {
            self.raise(now, Fence { term: ask.term, promised_to: Some(from.id) });
            self.promised = Some(ask.term);
            self.keep_quiet(now);
            self.stand(ask.term);
        }
        self.owed = Some(Owed { term: ask.term, to: from.id });
        self.release(now, standing);
    }

    fn on_promise(
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

    /// Names a winner if the promises allow one; on the last call, or when all have answered, also a
    /// doubtful one.
    fn tally(&mut self, now: Duration, standing: &Standing<'_>, last_call: bool) {
        let Phase::Soliciting(Round { sent: Some((durable, _)), pledges, refusers, .. }) =
            &self.phase
        else {
            return;
        };
        let answered = |id: &NodeId| pledges.contains_key(id) || refusers.contains(id);
        let all_answered = standing.electorate.voters.keys().all(answered);
        match ranking::choose(pledges, self.silent_winner, last_call || all_answered) {
            Some(choice) => self.name(now, *durable, choice, standing),
            None if last_call || all_answered => self.fail_round(now, Lost::TooFewPromises),
            None => {}
        }
    }
}

/// The crown.
impl Election {
    fn name(&mut self, now: Duration, durable: Durable, choice: Choice, standing: &Standing<'_>) {
        let Choice { winner, promisers } = choice;
        let (term, me) = (durable.term(), self.config.me);
        self.phase = Phase::Resting;
        self.silent_winner = None;
        self.watch = Some(Watch { term, winner, until: now + self.config.crown_wait });
        self.keep_quiet(now);
        self.put(Output::Event(Event::Named { term, winner }));
        let listed = promisers.iter().map(|promiser| promiser.id);
        let told: BTreeSet<NodeId> =
            standing.electorate.voters.keys().copied().chain(listed).collect();
        let name = Name { term, winner, promisers };
        self.send_all(told.iter(), &Message::Name(name.clone()));
        if winner == me {
            self.accept(me, &name, standing);
        } else {
            self.lose(Lost::AnotherNamed { winner });
        }
    }

    fn on_name(&mut self, now: Duration, from: Sender, name: &Name, standing: &Standing<'_>) {
        if !self.is_member(from, standing) || name.term < self.fence().term {
            return;
        }
        if name.term > self.fence().term {
            return self.pass_term(now, from.id, name.term);
        }
        let reigning = matches!(self.phase, Phase::Reigning { .. });
        if name.winner == self.config.me {
            self.accept(from.id, name, standing);
        } else if !reigning {
            self.phase = Phase::Resting;
            self.lose(Lost::AnotherNamed { winner: name.winner });
        }
    }

    fn accept(&mut self, proposer: NodeId, name: &Name, standing: &Standing<'_>) {
        let term = name.term;
        if let Err(reason) = self.judge_name(proposer, name, standing) {
            return self.put(Output::Event(Event::CrownDeclined { term, reason }));
        }
        // The announcement may come after the crown wait was given up: the promise still binds, so we stand again.
        self.stand(term);
        self.phase = Phase::Reigning { term };
        self.reigned = Some(term);
        self.watch = None;
        self.silent_winner = None;
        self.standing_for_office = false;
        let counted =
            |promiser: &&Promiser| standing.electorate.counts(promiser.id, promiser.incarnation);
        let promisers = name.promisers.iter().filter(counted);
        let promisers = promisers.map(|promiser| (promiser.id, promiser.incarnation)).collect();
        self.put(Output::Crown { term, promisers });
    }

    /// The winner that we named has not been heard: the next term at once, without a pre-vote, and
    /// without it if another will do.
    fn on_silent_winner(&mut self, now: Duration, watch: Watch, standing: &Standing<'_>) {
        let Watch { term, winner, .. } = watch;
        self.watch = None;
        self.silent_winner = Some(winner);
        self.put(Output::Event(Event::WinnerSilent { term, winner }));
        if self.may_stand(standing) {
            self.solicit(now, standing);
        }
    }
}

/// Waiting, and what ends a wait.
impl Election {
    fn on_rest_over(&mut self, now: Duration, standing: &Standing<'_>) {
        if self.standing_for_office && now >= self.quiet_until {
            let stagger = self.stagger();
            self.retry_at = self.retry_at.max(now + stagger);
            self.lose(Lost::NobodyCrowned);
        }
        if now >= self.stand_at() {
            self.open_pre_vote(now, standing);
        }
    }

    fn rest_until(&self) -> (Duration, &'static str) {
        if let Some(watch) = self.watch
            && watch.until <= self.stand_at()
        {
            return (watch.until, "crown wait of the winner that was named");
        }
        if self.standing_for_office {
            return (self.quiet_until, "crown wait");
        }
        let at = self.stand_at();
        let why = if at == self.quiet_until {
            "crown wait"
        } else if at == self.retry_at {
            "wait after a failed round"
        } else {
            "silence of the master"
        };
        (at, why)
    }

    fn stand_at(&self) -> Duration {
        self.detector.stand_at().max(self.quiet_until).max(self.retry_at)
    }

    fn keep_quiet(&mut self, now: Duration) {
        self.quiet_until = now + self.config.crown_wait;
    }

    fn follow(&mut self, now: Duration, term: Term, master: NodeId) {
        if self.followed != Some((term, master)) {
            let jitter = self.jitter();
            self.detector.redraw(jitter);
        }
        self.followed = Some((term, master));
        self.detector.hear(now);
        self.phase = Phase::Resting;
        self.owed = None;
        self.yielded.clear();
        self.quiet_until = now;
        self.retry_at = now;
        self.lose(Lost::MasterHeard { master });
    }

    fn wait_anew(&mut self, now: Duration) {
        let jitter = self.jitter();
        self.detector.forget(now, jitter);
    }

    fn fail_round(&mut self, now: Duration, reason: Lost) {
        self.phase = Phase::Resting;
        let round = self.config.round_timeout;
        self.retry_at = now + self.rng.between(round / 2, round + round / 2);
        self.lose(reason);
    }

    fn jitter(&mut self) -> Duration {
        self.rng.between(Duration::ZERO, self.config.election_timeout / 2)
    }

    /// Keeps those apart who learn of a silence at the same moment, at a small price.
    fn stagger(&mut self) -> Duration {
        self.rng.between(Duration::ZERO, self.config.election_timeout / 20)
    }
}

/// Terms.
impl Election {
    /// Puts a higher fence in force. Whatever was going on in a lower term ends here.
    fn raise(&mut self, now: Duration, fence: Fence) {
        if let Phase::Reigning { term } = self.phase {
            self.put(Output::Deposed { term, by: fence.term });
            self.wait_anew(now);
        }
        self.phase = Phase::Resting;
        self.owed = None;
        self.watch = None;
        if let Some(fence) = self.fence.raise(fence) {
            self.put(Output::Persist(fence));
        }
    }

    /// Takes over a higher term that a member has reached, as it is. The caller says what becomes of a
    /// candidacy.
    fn adopt(&mut self, now: Duration, from: NodeId, term: Term) {
        if term > self.fence().term {
            self.put(Output::Event(Event::TermAdopted { from, term }));
            self.raise(now, Fence { term, promised_to: None });
        }
    }

    /// A higher term is under way without us: its master will be heard soon.
    fn pass_term(&mut self, now: Duration, from: NodeId, term: Term) {
        self.adopt(now, from, term);
        self.lose(Lost::TermPassed { by: term });
    }

    /// Only a recorded voter stands, and only while there are terms left.
    fn may_stand(&self, standing: &Standing<'_>) -> bool {
        let recorded = standing.electorate.counts(self.config.me, self.config.incarnation);
        recorded && self.fence().term < Term::new(u64::MAX)
    }

    fn next_term(&self) -> Term {
        let fence = self.fence();
        if mutant!("election-resolicit-persisted-term")
            && fence.promised_to == Some(self.config.me)
            && self.promised.is_none()
        {
            return fence.term;
        }
        fence.term.next()
    }

    fn refuse_far_terms(&self, message: &Message) -> Result<(), PeerError> {
        self.refuse_far_term(message.term())?;
        match message {
            Message::Refuse(refusal) => self.refuse_far_term(refusal.fence),
            Message::PreSolicit(ask) => self.refuse_far_term(ask.fence),
            Message::PreGrant(_) | Message::Solicit(_) | Message::Promise(_) | Message::Name(_) => {
                Ok(())
            }
        }
    }

    fn refuse_far_term(&self, term: Term) -> Result<(), PeerError> {
        let ours = self.fence().term;
        if term.get().saturating_sub(ours.get()) > TERM_JUMP_MAX {
            return Err(PeerError::TermTooFar { term, ours });
        }
        Ok(())
    }
}

/// Output.
impl Election {
    fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn send_all<'a>(&mut self, to: impl Iterator<Item = &'a NodeId>, message: &Message) {
        for id in to {
            if *id != self.config.me {
                self.put(Output::Send { to: *id, message: message.clone() });
            }
        }
    }

    fn refuse(
        &mut self,
        from: Sender,
        term: Term,
        pre_vote: bool,
        reason: Reason,
        standing: &Standing<'_>,
    ) {
        if standing.electorate.voters.contains_key(&from.id) {
            self.refused.insert(from.id, reason);
        }
        let refusal = Refuse { term, pre_vote, fence: self.fence().term, reason };
        self.put(Output::Send { to: from.id, message: Message::Refuse(refusal) });
    }

    fn stand(&mut self, term: Term) {
        if !self.standing_for_office {
            self.standing_for_office = true;
            self.put(Output::Stand { term });
        }
    }

    fn lose(&mut self, reason: Lost) {
        if self.standing_for_office {
            self.standing_for_office = false;
            self.put(Output::Lost { term: self.fence().term, reason });
        }
    }
}
