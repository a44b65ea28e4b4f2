//! One member: the shipped node, and the disk that does what it asks, when the model says.
//!
//! A step is one [`Input`]. Everything that the node puts out in answer is carried out in `carrying` as far as it concerns
//! this member alone; the rest is handed back as [`Effect`]s.

mod carrying;

use crate::digest::digest;
use crate::disk::{Disk, Kept};
use crate::letters::{Letter, LetterId, Letters};
use crate::rules::Rule;
use rep_election::message::PreGrant;
use rep_election::{Electorate, Voter};
use rep_node::{
    Acks, ElectionMessage, Link, Message, Node, NodeConfig, Persisted, Proposal, Recovered,
    Request, Seed, Service, Timing, number_members,
};
use rep_vlsn::{
    Draft, Flags, GroupId, Incarnation, Kind, LogPoint, LogView, NodeId, Record, Term, Vlsn,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many members there are.
pub(crate) const MEMBERS: usize = 3;

/// The first `FOUNDED` entries are what the founding left, on every disk.
pub(crate) const FOUNDED: usize = 2;

/// So short that jitter, which is drawn in whole microseconds, of a twentieth of it is none, and that no run of the model
/// lasts until the first millisecond, which is what entries are dated by.
const ELECTION_TIMEOUT: Duration = Duration::from_micros(16);

/// Longer than any wait of an election, its jitter included.
const WAIT: Duration = Duration::from_micros(40);

/// Longer than any run of the model lasts.
const NEVER: Duration = Duration::from_secs(3600);

/// The PEER link's number, in every run: what was said in an earlier run may still arrive.
pub(crate) const PEER_EPOCH: u8 = 1;

/// Waits after which a member has done what there is to do: a round ends without a winner, and the next begins.
const WAITS: usize = 3;

/// One thing that happens to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// A letter arrives, over the link of that epoch to its writer.
    Hear { letter: LetterId, epoch: u8 },
    /// A stream's connection is up.
    LinkUp { peer: NodeId, epoch: u8, dialled: bool },
    /// A stream's connection is down.
    LinkDown { peer: NodeId, epoch: u8 },
    /// That entry has left over the link of that epoch.
    Sent { letter: LetterId, epoch: u8 },
    /// The first fence on its way is on the disk.
    FenceWritten,
    /// All that was appended is on the disk.
    LogSynced,
    /// The cut is on the disk.
    LogCut,
    /// A client writes.
    Propose { number: u8 },
    /// Nothing is heard of any master until the member does something about it; its pre-vote is granted.
    Wait,
    /// The power fails, and so many of the unsynced entries are lost; then it starts again.
    PowerCut { lost: u8 },
}

/// What a member's step means for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// It says something over the PEER link.
    Mail(LetterId),
    /// It says something over a stream.
    Stream { link: Link, letter: LetterId },
    /// It dials its source.
    Dial { master: NodeId },
    /// It closed its end of a stream.
    Hangup { link: Link },
    /// It is master of a term now.
    Crowned(Term),
    /// A client was told that its write is committed.
    Committed(LogPoint),
    /// It cuts entries away.
    RolledBack,
    /// Something was seen that must never be.
    Broke(Rule),
}

/// What every member of a world does alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Fences take their time to the disk: see [`crate::Bounds`].
    pub(crate) slow_fences: bool,
    /// An entry has left as soon as it may; else it leaves when it arrives: see [`crate::shortcuts`].
    pub(crate) sends_at_once: bool,
}

/// A node, its disk, and its clock.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) me: NodeId,
    pub(crate) node: Node,
    pub(crate) disk: Disk,
    now: Duration,
    habits: Habits,
    /// It is told a story again, and whatever it says to that was heard before.
    is_reliving: bool,
}

/// The members' names, and so their numbers.
fn seeds() -> BTreeMap<NodeId, Seed> {
    let seed = |name: &str| Seed { name: name.into(), address: format!("{name}:1") };
    number_members(&["n1", "n2", "n3"].map(seed))
}

fn incarnation(id: NodeId) -> Incarnation {
    Incarnation([id.get() as u8; 16])
}

fn others(me: NodeId) -> impl Iterator<Item = NodeId> {
    (1..=MEMBERS as u32).map(NodeId::new).filter(move |id| *id != me)
}

/// The PEER link to `peer`.
pub(crate) fn peer_link(peer: NodeId) -> Link {
    Link { peer, service: Service::Peer, epoch: PEER_EPOCH.into() }
}

/// The link of that epoch to `peer`.
fn link(peer: NodeId, epoch: u8) -> Link {
    let service = if epoch == PEER_EPOCH { Service::Peer } else { Service::Feeder };
    Link { peer, service, epoch: epoch.into() }
}

fn config(me: NodeId) -> NodeConfig {
    let group = GroupId(*b"the model's own.");
    let mut config = NodeConfig::new("model", me, incarnation(me), seeds(), group, me.get().into());
    config.timing = timing();
    config
}

fn timing() -> Timing {
    let mut timing = Timing::default();
    timing.heartbeat = NEVER;
    timing.election_timeout = ELECTION_TIMEOUT;
    timing.round_timeout = ELECTION_TIMEOUT / 3;
    timing.disk_stall = NEVER;
    timing.redial_min = Duration::ZERO;
    timing.redial_max = Duration::ZERO;
    timing
}

fn recovered(kept: &Kept) -> Recovered {
    let mut view = LogView::empty();
    kept.log.iter().for_each(|record| view.append(record));
    let applied = kept.log.get(FOUNDED - 1).map_or(LogPoint::NULL, Record::point);
    let (last, crc, history) = (view.last(), view.last_crc(), view.history().clone());
    Recovered {
        fence: kept.fence,
        log: LogView::recovered(
            Vlsn::FIRST,
            last,
            crc,
            view.epoch(),
            history,
            view.memberships().to_vec(),
        ),
        memberships: kept.log.first().cloned().into_iter().collect(),
        past: None,
        place: None,
        applied,
        mark_dvlsn: Vlsn::NULL,
        vouched: LogPoint::NULL,
    }
}

impl Member {
    /// A member that starts on what its disk kept, connected to both others.
    pub(crate) fn start(me: NodeId, kept: Kept, habits: Habits) -> Member {
        let node = Node::new(config(me), recovered(&kept), Duration::ZERO);
        let node = node.expect("flags, log and store belong together");
        let (disk, now) = (Disk::of(kept), Duration::ZERO);
        let mut member = Member { me, node, disk, now, habits, is_reliving: false };
        for peer in others(me) {
            let dialled = me < peer;
            member.node.handle_link_up(member.now, peer_link(peer), incarnation(peer), dialled);
        }
        member
    }

    /// Takes steps that it has taken before, to be again where they led.
    pub(crate) fn relive(&mut self, inputs: impl Iterator<Item = Input>, letters: &Letters) {
        self.is_reliving = true;
        inputs.for_each(|input| drop(self.take(input, letters)));
        self.is_reliving = false;
    }

    /// Takes one step.
    pub(crate) fn take(&mut self, input: Input, letters: &Letters) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = self.node.dvlsn();
        match input {
            Input::Hear { letter, epoch } => {
                let Letter { from, message, .. } = letters.letter(letter).clone();
                self.hear(link(from, epoch), message, &mut effects);
            }
            Input::LinkUp { peer, epoch, dialled } => {
                self.node.handle_link_up(self.now, link(peer, epoch), incarnation(peer), dialled);
            }
            Input::LinkDown { peer, epoch } => {
                self.node.handle_link_down(self.now, link(peer, epoch));
            }
            Input::Sent { letter, epoch } => self.sent(letters.letter(letter), epoch),
            Input::FenceWritten => self.done(|disk| Persisted::Fence(disk.fence_written())),
            Input::LogSynced => self.sync_log(),
            Input::LogCut => self.cut_log(),
            Input::Propose { number } => self.propose(number.into()),
            Input::Wait => self.wait_until_it_acts(letters, &mut effects),
            Input::PowerCut { lost } => {
                let kept = self.disk.after_power_cut(lost.into());
                *self = Member::start(self.me, kept, self.habits);
            }
        }
        self.carry_out(letters, &mut effects);
        while self.disk.is_writing_fence() && !self.habits.slow_fences {
            self.done(|disk| Persisted::Fence(disk.fence_written()));
            self.carry_out(letters, &mut effects);
        }
        if self.is_reliving {
            return effects;
        }
        self.node.invariants();
        if self.node.dvlsn() < before && !matches!(input, Input::PowerCut { .. }) {
            effects.push(Effect::Broke(Rule::DurableRises));
        }
        effects
    }

    /// Carries out what the node put out when it was made.
    pub(crate) fn settle(&mut self, letters: &Letters) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.carry_out(letters, &mut effects);
        effects
    }

    /// What time it is here.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// What a state of this member is told by.
    pub(crate) fn key(&self) -> u128 {
        digest(&(&self.node, self.disk.key()))
    }

    fn hear(&mut self, link: Link, message: Message, effects: &mut Vec<Effect>) {
        if self.node.handle_message(self.now, link, message).is_err() {
            // No correct peer says that: the driver closes the link.
            self.node.handle_link_down(self.now, link);
            effects.push(Effect::Hangup { link });
        }
    }

    fn done(&mut self, what: impl FnOnce(&mut Disk) -> Persisted) {
        let what = what(&mut self.disk);
        self.node.handle_persisted(self.now, what);
    }

    fn sync_log(&mut self) {
        let (point, epoch) = (self.node.log().last(), self.node.log().epoch());
        self.done(|disk| {
            disk.log_synced();
            Persisted::Log { point, epoch }
        });
    }

    fn cut_log(&mut self) {
        let point = self.node.log().last();
        self.done(|disk| {
            let (epoch, last_crc) = disk.log_cut();
            Persisted::Truncated { point, epoch, last_crc }
        });
    }

    fn propose(&mut self, number: u64) {
        let draft = Draft::new(Kind::Data, Flags::default(), &number.to_le_bytes());
        let (request, term) = (Request(number), self.node.term());
        let acks = Acks::SimpleMajority;
        self.node.propose(self.now, Proposal { request, term, draft, acks, deadline: NEVER });
    }

    /// Until it asks for a term, or names a winner.
    fn wait_until_it_acts(&mut self, letters: &Letters, effects: &mut Vec<Effect>) {
        let before = self.node.term();
        for _ in 0..WAITS {
            self.wait();
            self.carry_out(letters, effects);
            let acts = |effect: &Effect| matches!(effect, Effect::Mail(_) | Effect::Crowned(_));
            if self.node.term() != before || effects.iter().any(acts) {
                return;
            }
        }
    }

    /// Time passes, in which both others are heard on the PEER links and no master is.
    fn wait(&mut self) {
        self.now += WAIT;
        for peer in others(self.me) {
            let alive = Message::Ping { nonce: 0 };
            self.hear_well(peer, alive);
        }
        let term = self.node.term().next();
        self.node.handle_timeout(self.now);
        // A grant that was not asked for is ignored.
        let electorate = match self.node.membership() {
            Some(membership) => membership.electorate(),
            None => {
                Electorate::founding(seeds().into_keys().map(|id| (id, Voter::unknown())).collect())
            }
        };
        let grant = PreGrant { term, rank: LogPoint::NULL, electorate };
        for peer in others(self.me) {
            self.hear_well(peer, Message::Election(ElectionMessage::PreGrant(grant.clone())));
        }
    }

    fn hear_well(&mut self, peer: NodeId, message: Message) {
        let taken = self.node.handle_message(self.now, peer_link(peer), message);
        taken.expect("no offence was meant");
    }
}
