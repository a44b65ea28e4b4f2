//! The election core: what goes in, what comes out, and the terms in between.
//!
//! One node's share in choosing a master. It rests while a master is heard; when it is silent the
//! node *asks* whether a quorum would promise it the next term (the pre-vote, which binds nobody), then
//! *solicits* that term, then names the best of those who promised, and whoever is named and still
//! finds every condition true *reigns*. See `docs/election.md` for the rules and why each is there.
//!
//! The steps are in the files beside this one, in that order: `waiting`, `pre_vote`, `promising`,
//! `crowning`. Whatever may be granted or refused is decided in `judge`.
//!
//! The core is a plain value. Time and the facts about the log come in as arguments; everything it wants
//! done comes out of [`Election::poll_output`].

mod crowning;
mod judge;
mod pre_vote;
mod promising;
mod status;
mod waiting;

pub use status::{ElectionStatus, PhaseName};

use crate::config::ElectionConfig;
use crate::detector::Detector;
use crate::electorate::Electorate;
use crate::error::PeerError;
use crate::message::{Message, Reason, Refuse};
use crate::output::{Event, Lost, Output};
use crate::promise::{Durable, Fence, FenceKeeper};
use crate::ranking::{Grant, Pledge};
use crate::rng::Rng;
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, mutant, sometimes};
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
    /// This node's own priority: among equal logs, the higher is preferred.
    pub priority: u32,
    /// The latest membership in the log, durable or not; the list of founders while there is none.
    pub electorate: &'a Electorate,
    /// Whether a commit quorum, this node included, can be reached now.
    pub reaches_commit_quorum: bool,
    /// Measured round trips to other members.
    pub round_trips: &'a BTreeMap<NodeId, Duration>,
    /// Whether this node is [designated](Electorate::designated) and has not heard the other voter for so long that it may be elected alone.
    pub goes_alone: bool,
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
    /// Those of others; what we hold ourselves is looked at when they are counted.
    grants: BTreeMap<NodeId, Grant>,
    refusers: BTreeSet<NodeId>,
}

#[derive(Clone, Debug)]
struct Round {
    term: Term,
    /// Present once our own fence is on disk and the solicitations have left, with the deadline.
    sent: Option<(Durable, Duration)>,
    /// Our own among them, as it was when they were counted last.
    pledges: BTreeMap<NodeId, Pledge>,
    refusers: BTreeSet<NodeId>,
    /// To whom a mastership is handed over by this term.
    heir: Option<NodeId>,
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

    /// Hands the mastership that has just ended over to `heir`: solicits the next term at once, without a pre-vote, and names
    /// `heir` if the promises allow it; nobody else, until the round is over or all have answered. What the heir must have of the
    /// log is for the caller to have seen to; one that lacks what a promiser holds is not named. One that is no voter (any more)
    /// is not waited for: the best of the others is named at once, so that the group has a master.
    ///
    /// False if this node is no voter, and so cannot.
    ///
    /// # Panics
    ///
    /// If it still reigns.
    pub fn hand_over(&mut self, now: Duration, heir: NodeId, standing: &Standing<'_>) -> bool {
        assert!(!matches!(self.phase, Phase::Reigning { .. }), "the reign ends first");
        let may = self.may_stand(standing);
        if may {
            let heir = standing.electorate.voters.contains_key(&heir).then_some(heir);
            self.solicit(now, heir, standing);
        }
        may
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

    /// Whether this node is a voter by its own membership, as that is now: a learner, a member that was removed and one that
    /// has no group yet are none, nor is one whose promotion was rolled back.
    fn is_voter(&self, standing: &Standing<'_>) -> bool {
        standing.electorate.counts(self.config.me, self.config.incarnation)
    }

    /// Only a voter stands, and only while there are terms left.
    fn may_stand(&self, standing: &Standing<'_>) -> bool {
        self.is_voter(standing) && self.fence().term < Term::new(u64::MAX)
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

    fn send_all(&mut self, to: impl Iterator<Item = NodeId>, message: &Message) {
        for id in to {
            if id != self.config.me {
                self.put(Output::Send { to: id, message: message.clone() });
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
        // Members come and go under ever new numbers; nothing is kept of those who went.
        self.refused.retain(|id, _| standing.electorate.lists(*id));
        if standing.electorate.lists(from.id) {
            self.refused.insert(from.id, reason);
        }
        sometimes!(matches!(reason, Reason::MasterHeard { .. }), "election-refused-master-heard");
        sometimes!(reason == Reason::Reigning, "election-refused-by-the-master");
        sometimes!(reason == Reason::CrownWait, "election-refused-in-crown-wait");
        sometimes!(reason == Reason::Busy, "election-refused-by-a-better-candidate");
        sometimes!(reason == Reason::OtherIncarnation, "election-refused-a-wiped-member");
        sometimes!(!pre_vote && reason == Reason::StaleTerm, "election-late-solicit");
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
