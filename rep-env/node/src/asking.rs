//! Questions about reads, from a replica to its master.
//!
//! A replica asks for the *read index*: an entry that covers every write acknowledged anywhere before the question
//! left. The master answers after a read round that began when it had the question, so it was master then, with what
//! was durable when the round began, and not before its own term has begun durably: until then a new master may know less to
//! be durable than its predecessor has acknowledged.
//!
//! One question is out at a time, for all reads that waited when it left. It is repeated, under its own number, until it
//! is answered or refused; the end of the link, of the term or of the master recalls it, and another takes its place.

use crate::error::PeerError;
use crate::links::{Link, Open, Slot};
use crate::message::Message;
use crate::node::Node;
use crate::output::{Outcome, Request};
use crate::reads::{READS_WAITING_MAX, ReadKind};
use rep_vlsn::mutant;
use rep_vlsn::{GroupId, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::time::Duration;

/// The question that a replica has out.
#[derive(Clone, Copy, Debug)]
struct Question {
    link: Link,
    term: Term,
    number: u64,
    /// When it left first: what its answer is dated by.
    left: Duration,
    /// When it is repeated.
    again: Duration,
}

/// A replica's side.
#[derive(Debug)]
pub(crate) struct Asking {
    next: u64,
    out: Option<Question>,
    /// A refused question is not followed by another before this moment.
    not_before: Duration,
}

impl Asking {
    /// Numbers begin anywhere, so that no answer to an earlier run of this node passes for one to this.
    pub(crate) fn new(seed: u64) -> Self {
        let first = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
        Asking { next: first.max(1), out: None, not_before: Duration::ZERO }
    }

    /// Whether it was over `link` that the question went.
    pub(crate) fn is_out_on(&self, link: Link) -> bool {
        self.out.is_some_and(|question| question.link == link)
    }
}

/// A replica's question at the master, and the round that it rides.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    link: Link,
    number: u64,
    rides: Option<(u64, Vlsn)>,
}

/// The master's side: the questions that wait for a round, one a member.
#[derive(Debug, Default)]
pub(crate) struct Asked(BTreeMap<NodeId, Waiting>);

impl Asked {
    fn take(&mut self, link: Link, number: u64) {
        let known = self.0.get(&link.peer).filter(|waiting| waiting.link == link);
        if known.is_none_or(|waiting| waiting.number < number) {
            self.0.insert(link.peer, Waiting { link, number, rides: None });
        }
    }

    /// Whether a question waits for a round.
    pub(crate) fn want_round(&self) -> bool {
        self.0.values().any(|waiting| waiting.rides.is_none())
    }

    /// The heartbeats of `round` leave now, when everything up to `index` is durable.
    pub(crate) fn round_leaves(&mut self, round: u64, index: Vlsn) {
        for waiting in self.0.values_mut() {
            waiting.rides.get_or_insert((round, index));
        }
    }

    /// Takes out what `round` answers.
    fn take_answered(&mut self, round: u64) -> Vec<(Link, u64, Vlsn)> {
        let answered = |waiting: &Waiting| {
            let (_, index) = waiting.rides.filter(|(own, _)| *own <= round)?;
            Some((waiting.link, waiting.number, index))
        };
        let taken: Vec<_> = self.0.values().filter_map(answered).collect();
        self.0.retain(|_, waiting| answered(waiting).is_none());
        taken
    }

    /// The link is gone, and with it who asked.
    pub(crate) fn forget(&mut self, link: Link) {
        self.0.retain(|_, waiting| waiting.link != link);
    }
}

impl Node {
    /// Asks when a read may be served. One that has to wait where [`READS_WAITING_MAX`] wait already is refused at once.
    pub fn read(&mut self, now: Duration, request: Request, kind: ReadKind, deadline: Duration) {
        self.clock = now;
        if self.is_ended() {
            return self.resolve(request, Outcome::Closed);
        }
        match (kind, self.group()) {
            (ReadKind::AtLeast { group, .. }, Some(own)) if group != own => {
                self.resolve(request, Outcome::OtherGroup);
            }
            _ => self.reads.add(request, kind, deadline),
        }
        // At a node that makes way it waits for the other.
        self.settle(now);
        if let Some(refusal) = self.reads.refuse_beyond(READS_WAITING_MAX, request) {
            self.resolve(request, refusal);
        }
    }

    /// Sends the questions that reads want, and serves what can be served.
    pub(crate) fn serve_reads(&mut self, now: Duration) {
        match self.reign.is_some() {
            true => self.begin_read_round(now),
            false => self.ask_master(now),
        }
        if self.reads.is_empty() {
            return;
        }
        self.evidence.note_applied(self.applied.vlsn);
        // A node that is not born yet cannot tell whose token it is: it waits until it can.
        let durable = self.membership().is_some().then(|| self.dvlsn());
        // Of what is no longer in the log, all is applied; which of it there was, the past tells.
        let (log, cleaning) = (&self.log, &self.cleaning);
        let is_held = |point: LogPoint| {
            cleaning.term_of(log, point.vlsn).is_none_or(|term| term == point.term)
        };
        let (applied, evidence) = (self.applied, &self.evidence);
        for (request, outcome) in self.reads.take_ready(now, applied, durable, evidence, is_held) {
            self.resolve(request, outcome);
        }
    }

    /// The group is known now: tokens of another one can be told.
    pub(crate) fn refuse_foreign_tokens(&mut self, own: GroupId) {
        for request in self.reads.take_foreign(own) {
            self.resolve(request, Outcome::OtherGroup);
        }
    }

    /// `index` covers what was acknowledged before `since`, and answers every read that rode `question`.
    pub(crate) fn question_answered(
        &mut self,
        now: Duration,
        question: u64,
        since: Duration,
        index: Vlsn,
    ) {
        let since = if mutant!("reads-bound-from-receipt") { now } else { since };
        self.evidence.learn(since, index);
        self.reads.answered(question, index);
        self.reads.pause_bounded(now, since, self.config.timing.heartbeat);
    }

    // ---- a replica asks ----

    fn master_link(&self) -> Option<Link> {
        let master = self.following.as_ref()?.master;
        self.links.get(master, Slot::Peer).map(|open| open.link)
    }

    fn ask_master(&mut self, now: Duration) {
        if let Some(question) = self.asking.out {
            if question.again <= now {
                self.send_question(now, question);
            }
            return;
        }
        let wanted = self.asking.not_before <= now && self.reads.want_question(now, &self.evidence);
        let Some(link) = self.master_link().filter(|_| wanted) else { return };
        let number = self.asking.next;
        self.asking.next += 1;
        self.reads.question_leaves(number);
        self.send_question(
            now,
            Question { link, term: self.term(), number, left: now, again: now },
        );
    }

    fn send_question(&mut self, now: Duration, question: Question) {
        let again = now + self.config.timing.round_timeout;
        self.asking.out = Some(Question { again, ..question });
        let Question { link, term, number, .. } = question;
        self.send(link, Message::ReadIndex { term, number });
    }

    /// The master says what a read has to see; 0 if it is none.
    pub(crate) fn read_index(
        &mut self,
        now: Duration,
        link: Link,
        term: Term,
        number: u64,
        index: Vlsn,
    ) {
        let meant = |out: &Question| {
            (out.link, out.term, out.number) == (link, term, number) || mutant!("reads-any-answer")
        };
        let Some(question) = self.asking.out.take_if(|out| meant(out)) else { return };
        if index.is_null() {
            self.recall_reads();
            self.asking.not_before = now + self.config.timing.heartbeat;
        } else {
            self.question_answered(now, question.number, question.left, index);
        }
    }

    /// Whoever was asked will not answer: the reads wait for somebody else.
    pub(crate) fn recall_reads(&mut self) {
        self.asking.out = None;
        self.asking.not_before = Duration::ZERO;
        self.reads.recall();
    }

    // ---- the master answers ----

    /// A replica asks what its reads have to see.
    pub(crate) fn read_index_asked(
        &mut self,
        open: &Open,
        term: Term,
        number: u64,
    ) -> Result<(), PeerError> {
        if number == 0 {
            return Err(PeerError::Malformed("a question has a number"));
        }
        let reigns = self.reign.as_ref().is_some_and(|reign| reign.term == term);
        if reigns && self.is_member(open) {
            self.asked.take(open.link, number);
        } else {
            self.answer_question(open.link, term, number, Vlsn::NULL);
        }
        Ok(())
    }

    fn answer_question(&mut self, link: Link, term: Term, number: u64, index: Vlsn) {
        self.hasten_feeder(link.peer);
        self.send(link, Message::ReadIndexReply { term, number, index });
    }

    /// A commit quorum has answered `round`.
    pub(crate) fn answer_replicas(&mut self, term: Term, round: u64) {
        for (link, number, index) in self.asked.take_answered(round) {
            self.answer_question(link, term, number, index);
        }
    }

    /// The reign of `term` is over: who asked is told, and asks the next master.
    pub(crate) fn refuse_replicas(&mut self, term: Term) {
        for (_, waiting) in std::mem::take(&mut self.asked.0) {
            self.answer_question(waiting.link, term, waiting.number, Vlsn::NULL);
        }
    }

    // ---- time ----

    pub(crate) fn reads_next_timeout(&self) -> Option<(Duration, &'static str)> {
        let deadline = self.reads.next_deadline().map(|at| (at, "read deadline"));
        let question = self.next_question().map(|at| (at, "read question"));
        deadline.into_iter().chain(question).min()
    }

    fn next_question(&self) -> Option<Duration> {
        if let Some(question) = &self.asking.out {
            return Some(question.again);
        }
        if !self.can_ask() {
            return None;
        }
        let paused = self.asking.not_before;
        let waits = self.reads.have_fresh() && self.reign.is_none();
        let bounded = self.reads.next_question(&self.evidence).map(|at| at.max(paused));
        bounded.into_iter().chain(waits.then_some(paused)).min()
    }

    fn can_ask(&self) -> bool {
        match &self.reign {
            Some(reign) => reign.may_begin_round(self.dvlsn()),
            None => self.master_link().is_some(),
        }
    }
}
