//! One core beside its disk: what happens to it comes as steps, and what must hold is looked at after each.

use rep_election::{
    Election, ElectionConfig, Electorate, Fence, Message, Output, Sender, Standing, Voter,
};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What one step may ask of its driver at most.
const OUTPUTS_MAX: usize = 64;

/// Something that happens to the core.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Give(Sender, Message),
    Hear(u64, u32, bool),
    Persisted,
    Wait(u64),
    LoseMaster,
    ReignEnded,
    Rank(u64, u64),
    Nameable(bool),
    /// Another membership is the latest in its log: a later one, or that of before one that was rolled back.
    Membership(Electorate),
    Restart,
}

/// Founded by so many members, or to be.
pub(crate) fn electorate(size: u32, born: bool) -> Electorate {
    let ids = (1..=size).map(|id| (NodeId::new(id), Incarnation([id as u8; 16])));
    if born {
        let voters = ids.map(|(id, incarnation)| (id, Voter::known(incarnation)));
        Electorate::majority(GroupId([1; 16]), LogPoint::NULL, voters.collect())
    } else {
        Electorate::founding(ids.map(|(id, _)| (id, Voter::unknown())).collect())
    }
}

/// Memberships of one group, of entry 1.0 to 1.4: a group of three to which 4 is added, promoted, and in which 1 is a learner
/// once more, or is none any more.
pub(crate) fn history() -> Vec<Electorate> {
    let three = electorate(3, true);
    let learner = BTreeMap::from([(NodeId::new(4), Incarnation([4; 16]))]);
    let four = electorate(4, true);
    let (mut demoted, mut removed) = (electorate(4, true), electorate(4, true));
    let me = NodeId::new(1);
    demoted.voters.remove(&me);
    removed.voters.remove(&me);
    let demoted = demoted.with_learners(BTreeMap::from([(me, Incarnation([1; 16]))]));
    let all = [three.clone(), three.with_learners(learner), four, demoted, removed];
    let numbered = all.into_iter().enumerate().map(|(number, electorate)| {
        let at = LogPoint::new(Term::new(1), Vlsn::new(number as u64));
        Electorate { at, ..electorate }
    });
    numbered.collect()
}

/// Node 1 of three.
pub(crate) struct Bench {
    core: Election,
    now: Duration,
    rank: LogPoint,
    nameable: bool,
    electorate: Electorate,
    disk: Fence,
    in_flight: VecDeque<Fence>,
    highest: Fence,
    promised: BTreeMap<Term, NodeId>,
    reigned: Vec<Term>,
    /// The fence that this run of the process began with.
    began_at: Term,
    standing: bool,
    reigning: bool,
}

fn core(disk: Fence, now: Duration, seed: u64) -> Election {
    let config = ElectionConfig::new(NodeId::new(1), Incarnation([1; 16]), seed);
    Election::new(config, disk, now)
}

impl Bench {
    pub(crate) fn new(born: bool, seed: u64) -> Bench {
        Bench {
            core: core(Fence::default(), Duration::ZERO, seed),
            now: Duration::ZERO,
            rank: LogPoint::NULL,
            nameable: true,
            electorate: electorate(3, born),
            disk: Fence::default(),
            in_flight: VecDeque::new(),
            highest: Fence::default(),
            promised: BTreeMap::new(),
            reigned: Vec::new(),
            began_at: Term::ZERO,
            standing: false,
            reigning: false,
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        let round_trips = BTreeMap::new();
        let standing = Standing {
            rank: self.rank,
            nameable: self.nameable,
            priority: 0,
            electorate: &self.electorate,
            reaches_commit_quorum: true,
            round_trips: &round_trips,
            goes_alone: false,
        };
        match step {
            Step::Give(from, message) => {
                let before = (self.core.fence(), self.core.next_timeout());
                if self.core.handle_message(self.now, from, message, &standing).is_err() {
                    assert_eq!((self.core.fence(), self.core.next_timeout()), before);
                    assert_eq!(self.core.poll_output(), None, "nothing was changed");
                }
            }
            Step::Hear(term, master, quorate) => {
                let _ =
                    self.core.hear_master(self.now, Term::new(term), NodeId::new(master), quorate);
            }
            Step::Persisted => {
                if let Some(fence) = self.in_flight.pop_front() {
                    self.disk = fence;
                    self.core.handle_persisted(self.now, fence, &standing);
                }
            }
            Step::Wait(span) => {
                self.now += Duration::from_millis(span);
                self.core.handle_timeout(self.now, &standing);
            }
            Step::LoseMaster => self.core.lose_master(self.now),
            Step::ReignEnded => {
                self.core.reign_ended(self.now);
                self.reigning = false;
            }
            Step::Rank(term, vlsn) => {
                self.rank = LogPoint::new(Term::new(term), Vlsn::new(vlsn));
            }
            Step::Nameable(nameable) => self.nameable = nameable,
            Step::Membership(electorate) => self.electorate = electorate,
            Step::Restart => {
                self.core = core(self.disk, self.now, 1);
                self.in_flight.clear();
                self.began_at = self.disk.term;
                self.highest = self.disk;
                (self.standing, self.reigning) = (false, false);
            }
        }
        self.check();
    }

    fn check(&mut self) {
        self.core.invariants();
        let fence = self.core.fence();
        assert!(fence == self.highest || fence.term > self.highest.term, "I-2");
        self.highest = fence;
        let outputs: Vec<_> = std::iter::from_fn(|| self.core.poll_output()).collect();
        assert!(outputs.len() <= OUTPUTS_MAX, "{} outputs of one step", outputs.len());
        for output in outputs {
            match output {
                Output::Persist(fence) => self.in_flight.push_back(fence),
                Output::Send { to, message } => self.check_spoken(to, &message),
                Output::Stand { .. } => {
                    assert!(!self.standing && !self.reigning, "stands once");
                    self.standing = true;
                }
                Output::Lost { .. } => {
                    assert!(self.standing, "only a candidate loses");
                    self.standing = false;
                }
                Output::Crown { term, .. } => {
                    assert!(self.standing && !self.reigning, "only a candidate is crowned");
                    assert!(self.is_voter(), "only a voter is crowned");
                    assert!(self.disk.term == term && !self.reigned.contains(&term), "I-1");
                    assert!(term > self.began_at, "what an earlier run promised is for that run");
                    (self.standing, self.reigning) = (false, true);
                    self.reigned.push(term);
                }
                Output::Deposed { term, by } => {
                    assert!(self.reigning && term < by);
                    self.reigning = false;
                }
                Output::Event(_) => {}
                other => panic!("unknown output {other:?}"),
            }
        }
        if let Some((at, _)) = self.core.next_timeout() {
            assert!(at < self.now + Duration::from_secs(2), "every wait is short");
        }
    }

    /// Whether the node is a voter by the membership that it was told of last.
    fn is_voter(&self) -> bool {
        self.electorate.counts(NodeId::new(1), Incarnation([1; 16]))
    }

    fn check_spoken(&mut self, to: NodeId, message: &Message) {
        let term = message.term();
        let promisee = match message {
            Message::Promise(promise) => {
                assert!(self.is_voter() || !promise.nameable, "only a voter may be named");
                to
            }
            Message::Solicit(_) => {
                assert!(self.is_voter(), "only a voter solicits");
                assert!(term > self.began_at, "a term is solicited in one run");
                NodeId::new(1)
            }
            Message::Name(_) => return assert!(self.disk.term >= term, "I-4"),
            Message::PreSolicit(_) => return assert!(self.is_voter(), "only a voter asks"),
            Message::PreGrant(_) | Message::Refuse(_) => return,
        };
        assert!(self.disk.term >= term, "I-4");
        assert_eq!(*self.promised.entry(term).or_insert(promisee), promisee, "I-3");
        assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(message));
    }
}
