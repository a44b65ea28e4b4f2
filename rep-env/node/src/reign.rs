//! What a master does.
//!
//! A reign begins with the crown, opens its term with an entry, and lives on answers: heartbeats that a commit
//! quorum answers, syncs that complete, acknowledgements that arrive. When they stop, it ends.

use crate::durability::Durability;
use crate::error::PeerError;
use crate::feeding::Fed;
use crate::founding;
use crate::links::{Link, Open, Slot};
use crate::membership::Membership;
use crate::message::Message;
use crate::node::Node;
use crate::output::Event;
use crate::pace::Pace;
use crate::watermarks::Holders;
use rep_election::Electorate;
use rep_election::quorum::{self, Acks};
use rep_fsm::Signal;
use rep_stream::AckTable;
use rep_vlsn::{Draft, Incarnation, Kind, LogPoint, NodeId, Record, Term, Vlsn};
use rep_vlsn::{mutant, sometimes};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Rounds of heartbeats whose sending time is remembered.
const ROUNDS_MAX: usize = 64;

/// A round of heartbeats that was sent.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    at: Duration,
    /// What was durable when it left; nothing that a read may go by, until the term has begun.
    index: Option<Vlsn>,
}

/// A mastership.
#[derive(Debug)]
pub(crate) struct Reign {
    pub(crate) term: Term,
    /// When it began.
    pub(crate) crowned: Duration,
    promisers: BTreeMap<NodeId, Incarnation>,
    /// The entry that opened the term, once it has its place.
    opened: Option<LogPoint>,
    pub(crate) fed: BTreeMap<NodeId, Fed>,
    pub(crate) acks: AckTable,
    /// Secondaries that others feed, and who does.
    pub(crate) relayed: BTreeMap<NodeId, NodeId>,
    round: u64,
    sent: VecDeque<Round>,
    answered: BTreeMap<NodeId, u64>,
    /// Members that are older images of themselves, and since when that is known.
    pub(crate) images: BTreeMap<NodeId, Duration>,
    confirmed_round: u64,
    /// Mastership was confirmed by a commit quorum at this moment, measured from what it answered.
    confirmed: Duration,
    next_heartbeat: Duration,
    /// dvlsn last moved, or writes began to wait, at this moment.
    progress: Duration,
    /// The arbiter was asked up to here since the last heartbeat.
    pub(crate) vouch_asked: LogPoint,
    /// Copies that are here make nothing durable.
    pub(crate) leans: bool,
    /// For whom writers are slowed down.
    pub(crate) pace: Pace,
}

impl Reign {
    /// Whether the term's first entry has its place in the log.
    pub(crate) fn has_opened(&self) -> bool {
        self.opened.is_some()
    }

    /// Whether the term's first entry is durable.
    pub(crate) fn is_begun(&self, dvlsn: Vlsn) -> bool {
        self.opened.is_some_and(|opened| opened.vlsn <= dvlsn)
    }

    /// Whether reads may begin a round: none is under way, and the term has begun.
    pub(crate) fn may_begin_round(&self, dvlsn: Vlsn) -> bool {
        self.round <= self.confirmed_round && self.read_index(dvlsn).is_some()
    }

    /// What a read that arrives now has to see. Before its term has begun durably a master may know less to be durable
    /// than its predecessor has acknowledged.
    fn read_index(&self, dvlsn: Vlsn) -> Option<Vlsn> {
        let begun = self.is_begun(dvlsn) || mutant!("reads-before-term-start");
        begun.then_some(dvlsn)
    }

    /// Whether a commit quorum without `image` has confirmed the reign since that is known as an older image.
    pub(crate) fn stands_without(&mut self, image: NodeId, now: Duration) -> bool {
        let known = *self.images.entry(image).or_insert(now);
        self.confirmed > known
    }

    /// An entry is about to be written. If all before it is durable, the wait for progress begins here.
    pub(crate) fn expect_progress(&mut self, now: Duration, all_durable: bool) {
        if all_durable {
            self.progress = now;
        }
    }

    /// How long dvlsn has not moved although writes wait.
    pub(crate) fn without_progress(&self, now: Duration) -> Duration {
        now.saturating_sub(self.progress)
    }
}

/// What a reign that is over knew of who holds what.
#[derive(Debug)]
pub(crate) struct LastReign {
    term: Term,
    acks: AckTable,
    electorate: Electorate,
    copies: Vec<NodeId>,
}

impl Node {
    // ---- the crown, the opening, the end ----

    pub(crate) fn crown(
        &mut self,
        now: Duration,
        term: Term,
        promisers: BTreeMap<NodeId, Incarnation>,
    ) {
        assert_eq!(term, self.term(), "the crown is of the fence's term");
        self.unfollow();
        self.needs_no_copy("this member is the master");
        self.recall_reads();
        self.because("won the election");
        self.step_role(Signal::ElectionWon);
        self.event(Event::Crowned { term });
        self.refusals_pass();
        self.watermarks.forget_reign();
        self.reign = Some(Reign {
            term,
            crowned: now,
            promisers,
            opened: None,
            fed: BTreeMap::new(),
            acks: AckTable::new(),
            relayed: BTreeMap::new(),
            round: 0,
            sent: VecDeque::new(),
            answered: BTreeMap::new(),
            images: BTreeMap::new(),
            confirmed_round: 0,
            confirmed: now,
            next_heartbeat: now,
            progress: now,
            vouch_asked: LogPoint::NULL,
            leans: false,
            pace: Pace::new(now),
        });
        self.begin_term(now);
        self.beat(now);
    }

    /// Opens the term as soon as the log is whole, and so many are there that its first entry can become durable: a group that is born
    /// here is founded first.
    pub(crate) fn begin_term(&mut self, now: Duration) {
        let Some(reign) = self.reign.as_ref().filter(|reign| !reign.has_opened()) else { return };
        if self.truncating {
            return;
        }
        let (term, me) = (reign.term, self.config.me);
        let overridden = self.override_of(&reign.promisers);
        if overridden.is_none() && !self.may_be_durable(reign) {
            return;
        }
        let mut records = Vec::new();
        if self.membership().is_none() {
            let members = founding::founding_members(&self.config, &reign.promisers);
            let membership = Membership::founding(self.config.fresh_group, members);
            let founding = self.stamp_after(now, None, term, membership.founding_draft(me));
            let membership = Membership { at: founding.point(), ..membership };
            self.learn_membership(membership, "founded");
            records.push(founding);
        }
        let draft = Draft::opening(Kind::TermStart, me, &self.config.incarnation.0);
        let start = self.stamp_after(now, records.last(), term, draft);
        let opened = start.point();
        records.push(start);
        if let Some(overridden) = overridden {
            let change = self.stamp_after(now, records.last(), term, overridden.draft());
            let overridden = Membership { at: change.point(), ..overridden };
            self.learn_membership(overridden, "goes on alone");
            records.push(change);
        }
        let last = records[records.len() - 1].point().vlsn;
        let first = records[0].point().vlsn;
        self.watermarks.appended(first, last, Durability::SYNC_MAJORITY);
        self.append(now, records);
        let reign = self.reign.as_mut().expect("reigns");
        reign.opened = Some(opened);
        reign.progress = now;
    }

    /// Whether a commit quorum has promised this term or answered in it. Elections may take fewer: without this rule a group that elects and never
    /// commits would write an entry with each master, for as long as that lasts.
    fn may_be_durable(&self, reign: &Reign) -> bool {
        let counts = |(id, incarnation): &(&NodeId, &Incarnation)| {
            self.electorate.counts(**id, **incarnation)
        };
        let promised = reign.promisers.iter().filter(counts).count();
        reign.confirmed_round > 0 || promised >= self.electorate.commit_need
    }

    pub(crate) fn stamp_after(
        &self,
        now: Duration,
        before: Option<&Record>,
        term: Term,
        draft: Draft,
    ) -> Record {
        let (last, crc) = match before {
            Some(record) => (record.point(), record.header_crc()),
            None => (self.log.last(), self.log.last_crc()),
        };
        draft.stamp(LogPoint::new(term, last.vlsn.next()), crc, self.time_ms(now))
    }

    /// The reign is over: nothing of it is acknowledged any more; pending commits wait for what becomes of them.
    pub(crate) fn end_reign(&mut self, now: Duration, signal: Signal, why: &'static str) {
        let Some(reign) = self.reign.take() else { return };
        sometimes!(why == "a higher term", "node-deposed-by-a-higher-term");
        sometimes!(why == "no commit quorum answers", "node-lost-its-quorum");
        sometimes!(why == "the disk failed", "node-disk-failed-under-a-master");
        self.watermarks.forget_reign();
        self.because(why);
        self.step_role(signal);
        self.event(Event::TermOver { term: reign.term });
        reign.fed.keys().for_each(|peer| self.drop_link(*peer, Slot::Fed));
        let (electorate, copies) = (self.electorate.clone(), self.copies.clone());
        self.last_reign =
            Some(LastReign { term: reign.term, acks: reign.acks, electorate, copies });
        self.recall_reads();
        self.refuse_replicas(reign.term);
        self.election.reign_ended(now);
        if signal == Signal::GracefulRelinquish {
            self.observe();
            self.step_role(Signal::CapabilitySelected);
        }
    }

    // ---- confirmation ----

    /// Sends a round of heartbeats.
    pub(crate) fn beat(&mut self, now: Duration) {
        let heartbeat = self.config.timing.heartbeat;
        let Some(reign) = &mut self.reign else { return };
        reign.round += 1;
        reign.vouch_asked = LogPoint::NULL;
        reign.next_heartbeat = now + heartbeat;
        let (round, index) = (reign.round, reign.read_index(self.watermarks.dvlsn()));
        reign.sent.push_back(Round { number: round, at: now, index });
        if reign.sent.len() > ROUNDS_MAX {
            reign.sent.pop_front();
        }
        if let Some(index) = index {
            self.reads.question_leaves(round);
            self.asked.round_leaves(round, index);
        }
        let peers: Vec<Link> = self.links.peers().map(|open| open.link).collect();
        peers.into_iter().for_each(|link| self.herald(link));
        self.confirm(now);
        self.ask_the_arbiter(now);
        if mutant!("reads-skip-round") {
            self.round_answered(now, round);
        }
    }

    /// Tells one peer that this node reigns, if it does.
    pub(crate) fn herald(&mut self, link: Link) {
        if let Some(reign) = &self.reign {
            let (term, round) = (reign.term, reign.round);
            let quorate = reign.confirmed_round > 0;
            self.send(link, Message::Heartbeat { term, round, quorate });
        }
    }

    pub(crate) fn heartbeat_reply(
        &mut self,
        now: Duration,
        open: &Open,
        term: Term,
        round: u64,
    ) -> Result<(), PeerError> {
        if !self.is_member(open) {
            return Ok(());
        }
        if term > self.term() {
            self.election.observe_term(now, open.link.peer, term)?;
            return Ok(());
        }
        let peer = open.link.peer;
        let Some(reign) = self.reign.as_mut().filter(|reign| reign.term == term) else {
            return Ok(());
        };
        if round > reign.round {
            return Err(PeerError::Malformed("a reply to a heartbeat that was never sent"));
        }
        if reign.acks.is_suspended(peer, open.incarnation) && !mutant!("reign-heard-by-an-image") {
            return Ok(());
        }
        let answered = reign.answered.entry(peer).or_default();
        *answered = (*answered).max(round);
        if let Some(fed) = reign.fed.get_mut(&peer) {
            fed.heard = now;
        }
        self.confirm(now);
        Ok(())
    }

    /// What round a commit quorum has answered, this node among it.
    fn confirm(&mut self, now: Duration) {
        let need = self.electorate.commit_need;
        let me = self.config.me;
        let Some(reign) = &mut self.reign else { return };
        let mut rounds: Vec<u64> = self
            .electorate
            .voters
            .keys()
            .filter(|voter| **voter != me)
            .map(|voter| reign.answered.get(voter).copied().unwrap_or(0))
            .collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        let others = need.saturating_sub(1);
        let confirmed =
            if others == 0 { reign.round } else { rounds.get(others - 1).copied().unwrap_or(0) };
        if confirmed <= reign.confirmed_round {
            return;
        }
        let first = reign.confirmed_round == 0;
        reign.confirmed_round = confirmed;
        self.round_answered(now, confirmed);
        if first {
            // The proposer waits for just this word, and solicits another term if it comes late.
            let peers: Vec<Link> = self.links.peers().map(|open| open.link).collect();
            peers.into_iter().for_each(|link| self.herald(link));
            self.begin_term(now);
        }
    }

    /// A commit quorum has answered `round`, so this node was master when it left; every read that rode it may go by
    /// what was durable then.
    fn round_answered(&mut self, now: Duration, round: u64) {
        let Some(reign) = &mut self.reign else { return };
        let term = reign.term;
        let Some(sent) = reign.sent.iter().find(|sent| sent.number == round).copied() else {
            return;
        };
        reign.confirmed = reign.confirmed.max(sent.at);
        if let Some(index) = sent.index {
            self.question_answered(now, round, sent.at, index);
            self.answer_replicas(term, round);
        }
    }

    /// Reads want a heartbeat that is sent from now on: at once if no round is under way, else with the next one.
    pub(crate) fn begin_read_round(&mut self, now: Duration) {
        let may = self.reign.as_ref().is_some_and(|reign| reign.may_begin_round(self.dvlsn()));
        if may && (self.asked.want_round() || self.reads.want_question(now, &self.evidence)) {
            self.beat(now);
        }
    }

    pub(crate) fn reign_timeout(&mut self, now: Duration) {
        self.feeders_timeout(now);
        let timing = &self.config.timing;
        let Some(reign) = &mut self.reign else { return };
        let quorum_lost = now.saturating_sub(reign.confirmed) >= timing.election_timeout;
        let waits = self.log.last().vlsn > self.watermarks.dvlsn();
        let no_progress = waits && now.saturating_sub(reign.progress) >= timing.disk_stall;
        let oldest = self.unsynced.front().map(|entry| entry.1);
        let stalled = oldest.is_some_and(|at| now.saturating_sub(at) >= timing.disk_stall);
        let beat_due = reign.next_heartbeat <= now;
        if quorum_lost {
            self.end_reign(now, Signal::GracefulRelinquish, "no commit quorum answers");
        } else if stalled || no_progress {
            self.disk_stalled = stalled;
            self.end_reign(
                now,
                Signal::GracefulRelinquish,
                "writes wait and nothing becomes durable",
            );
        } else if beat_due {
            self.beat(now);
        }
    }

    pub(crate) fn reign_next_timeout(&self) -> Option<(Duration, &'static str)> {
        let reign = self.reign.as_ref()?;
        let timing = &self.config.timing;
        let waits = self.log.last().vlsn > self.dvlsn();
        let stall = self.unsynced.front().map(|entry| entry.1 + timing.disk_stall);
        let candidates = [
            Some((reign.next_heartbeat, "heartbeat")),
            Some((reign.confirmed + timing.election_timeout, "quorum lost")),
            waits.then_some((reign.progress + timing.disk_stall, "no progress")),
            stall.map(|at| (at, "disk stall")),
        ];
        candidates.into_iter().flatten().chain(self.feeders_next_timeout()).min()
    }

    // ---- what is durable ----

    /// This node's own copy is an acknowledgement like any other.
    pub(crate) fn own_copy_moved(&mut self, now: Duration) {
        let (me, incarnation) = (self.config.me, self.config.incarnation);
        let synced = self.log.point_at(self.log.synced()).unwrap_or(LogPoint::NULL);
        let mut written = self.log.point_at(self.log.written()).unwrap_or(LogPoint::NULL);
        if mutant!("dur-own-unwritten") {
            written = self.log.last();
        }
        if let Some(reign) = &mut self.reign {
            reign.acks.observe(me, incarnation, synced, written);
            self.count_acks(now);
            self.ask_the_arbiter(now);
        }
    }

    /// dvlsn advances only over an entry of the current term, and then covers all before it.
    pub(crate) fn count_acks(&mut self, now: Duration) {
        let Some(reign) = &mut self.reign else { return };
        let voters = self.electorate.voters.keys().copied();
        let durable = reign.acks.durable(voters, self.electorate.commit_need);
        let own_term = self.log.term_at(durable) == Some(reign.term);
        if durable <= self.watermarks.dvlsn() || !(own_term || mutant!("node-count-old-term")) {
            return self.count_acknowledged();
        }
        reign.progress = now;
        let begins = !reign.is_begun(self.watermarks.dvlsn()) && reign.is_begun(durable);
        self.advance_watermarks(durable, durable);
        if begins {
            self.because("its term has begun");
        }
        self.count_acknowledged();
    }

    /// Who is known to hold an entry as it asked, of those who count for that, and who is not: as this node knows, or knew when its
    /// mastership ended.
    pub(crate) fn holders(&self, point: LogPoint, durability: Durability) -> Holders {
        let reign = self.reign.as_ref().filter(|reign| reign.term == point.term);
        let last = self.last_reign.as_ref().filter(|last| last.term == point.term);
        match (reign, last) {
            (Some(reign), _) => {
                let known = (&self.electorate, &self.copies[..]);
                self.hold(&reign.acks, known, point.vlsn, durability)
            }
            (None, Some(last)) => {
                let known = (&last.electorate, &last.copies[..]);
                let holders = self.hold(&last.acks, known, point.vlsn, durability);
                Holders { deposed: true, ..holders }
            }
            (None, None) => Holders { deposed: true, ..Holders::default() },
        }
    }

    fn hold(
        &self,
        acks: &AckTable,
        (electorate, copies): (&Electorate, &[NodeId]),
        vlsn: Vlsn,
        durability: Durability,
    ) -> Holders {
        let (commit, me) = (electorate.commit_need, self.config.me);
        let needed = quorum::acknowledgements(copies.len(), commit, durability.acks);
        let counted: Vec<NodeId> = match durability.acks {
            // An arbiter's word is no copy.
            Acks::All => copies.to_vec(),
            Acks::SimpleMajority | Acks::None => electorate.voters.keys().copied().collect(),
        };
        let class = |voter| if voter == me { durability.local } else { durability.replica };
        let holds = |voter: &NodeId| acks.held(*voter, class(*voter)) >= vlsn;
        let (acked_by, missing) = counted.into_iter().partition(holds);
        Holders { acked_by, missing, needed, deposed: false }
    }

    /// Which commits of this reign have what they asked for, though they may not be durable yet; and how far all have.
    fn count_acknowledged(&mut self) {
        let Some(reign) = &self.reign else { return };
        let (me, electorate, dvlsn) = (self.config.me, &self.electorate, self.watermarks.dvlsn());
        let copies = &self.copies;
        let reached = |class: Durability| {
            // What it asks for is just what makes an entry durable.
            if class == Durability::SYNC_MAJORITY {
                return dvlsn;
            }
            let classes = (class.local, class.replica);
            let need = quorum::acknowledgements(copies.len(), electorate.commit_need, class.acks);
            match class.acks {
                // All who hold the data: an arbiter's word is no copy.
                Acks::All => reign.acks.acknowledged(me, copies.iter().copied(), need, classes),
                Acks::SimpleMajority | Acks::None => {
                    let voters = electorate.voters.keys().copied();
                    reign.acks.acknowledged(me, voters, need, classes)
                }
            }
        };
        let resolved = self.watermarks.resolve_acknowledged(reign.term, reached);
        let cvlsn = self.watermarks.acknowledged(reached);
        self.advance_watermarks(dvlsn, cvlsn);
        resolved.into_iter().for_each(|(request, outcome)| self.resolve(request, outcome));
    }
}
