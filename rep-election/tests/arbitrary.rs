//! Whatever members and strangers say, in whatever order, and whenever the disk finishes: one core never
//! panics, its fence never falls, it promises once a term, and nothing it says leans on what is not
//! durable.

use proptest::prelude::*;
use rep_election::message::{Name, PreGrant, PreSolicit, Promise, Refuse, Solicit};
use rep_election::{
    Election, ElectionConfig, Electorate, Fence, Message, Output, Promiser, Reason, Sender,
    Standing, Voter,
};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Give(Sender, Message),
    Hear(u64, u32, bool),
    Persisted,
    Wait(u64),
    LoseMaster,
    ReignEnded,
    Rank(u64, u64),
    Nameable(bool),
    Restart,
}

fn ids() -> impl Strategy<Value = NodeId> {
    (1_u32..6).prop_map(NodeId::new)
}

/// Node 1 is the one under test; incarnations mostly fit.
fn incarnations(id: u32) -> impl Strategy<Value = Incarnation> {
    prop_oneof![9 => Just(Incarnation([id as u8; 16])), 1 => Just(Incarnation([99; 16]))]
}

fn senders() -> impl Strategy<Value = Sender> {
    (1_u32..6).prop_flat_map(|id| {
        incarnations(id).prop_map(move |incarnation| Sender { id: NodeId::new(id), incarnation })
    })
}

fn terms() -> impl Strategy<Value = Term> {
    prop_oneof![20 => 0_u64..12, 1 => any::<u64>(), 1 => Just(u64::MAX)].prop_map(Term::new)
}

fn points() -> impl Strategy<Value = LogPoint> {
    (0_u64..4, 0_u64..4).prop_map(|(term, vlsn)| LogPoint::new(Term::new(term), Vlsn::new(vlsn)))
}

fn electorates() -> impl Strategy<Value = Electorate> {
    prop_oneof![
        8 => Just(electorate(3, true)),
        1 => Just(electorate(3, false)),
        1 => Just(electorate(5, true)),
        1 => (0_usize..4, 0_usize..4).prop_map(|(election, commit)| {
            Electorate { election_need: election, commit_need: commit, ..electorate(3, true) }
        }),
    ]
}

fn electorate(size: u32, born: bool) -> Electorate {
    let ids = (1..=size).map(|id| (NodeId::new(id), Incarnation([id as u8; 16])));
    if born {
        let voters = ids.map(|(id, incarnation)| (id, Voter::known(incarnation)));
        Electorate::majority(GroupId([1; 16]), LogPoint::NULL, voters.collect())
    } else {
        Electorate::founding(ids.map(|(id, _)| (id, Voter::unknown())).collect())
    }
}

fn reasons() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::StaleTerm),
        Just(Reason::CrownWait),
        Just(Reason::Busy),
        Just(Reason::MasterHeard { master: NodeId::new(3) }),
    ]
}

fn messages() -> impl Strategy<Value = Message> {
    let pre_solicits = (terms(), terms(), points(), 0_u32..2, electorates()).prop_map(
        |(term, fence, rank, priority, electorate)| {
            Message::PreSolicit(PreSolicit { term, fence, rank, priority, electorate })
        },
    );
    let solicits = (terms(), points(), electorates()).prop_map(|(term, rank, electorate)| {
        Message::Solicit(Solicit { term, rank, electorate, transfer: false })
    });
    let refusals =
        (terms(), any::<bool>(), terms(), reasons()).prop_map(|(term, pre_vote, fence, reason)| {
            Message::Refuse(Refuse { term, pre_vote, fence, reason })
        });
    let promises = (terms(), points(), any::<bool>(), electorates(), any::<bool>()).prop_map(
        |(term, rank, nameable, electorate, reaches_commit_quorum)| {
            let round_trips = BTreeMap::from([(NodeId::new(2), Duration::from_millis(1))]);
            Message::Promise(Promise {
                term,
                rank,
                nameable,
                electorate,
                priority: 0,
                round_trips,
                reaches_commit_quorum,
            })
        },
    );
    let promisers = (1_u32..6).prop_flat_map(|id| {
        (incarnations(id), points()).prop_map(move |(incarnation, rank)| Promiser {
            id: NodeId::new(id),
            incarnation,
            rank,
        })
    });
    let names = (terms(), ids(), proptest::collection::vec(promisers, 0..5))
        .prop_map(|(term, winner, promisers)| Message::Name(Name { term, winner, promisers }));
    prop_oneof![
        pre_solicits,
        terms().prop_map(|term| Message::PreGrant(PreGrant { term })),
        refusals,
        solicits,
        promises,
        names,
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (senders(), messages()).prop_map(|(from, message)| Step::Give(from, message)),
        1 => (0_u64..12, 1_u32..6, any::<bool>()).prop_map(|(t, id, q)| Step::Hear(t, id, q)),
        4 => Just(Step::Persisted),
        4 => (0_u64..500).prop_map(Step::Wait),
        1 => Just(Step::LoseMaster),
        1 => Just(Step::ReignEnded),
        1 => (0_u64..4, 0_u64..4).prop_map(|(term, vlsn)| Step::Rank(term, vlsn)),
        1 => any::<bool>().prop_map(Step::Nameable),
        1 => Just(Step::Restart),
    ]
}

struct Bench {
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
    standing: bool,
    reigning: bool,
}

fn core(disk: Fence, now: Duration, seed: u64) -> Election {
    let config = ElectionConfig::new(NodeId::new(1), Incarnation([1; 16]), seed);
    Election::new(config, disk, now)
}

impl Bench {
    fn new(born: bool, seed: u64) -> Bench {
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
            standing: false,
            reigning: false,
        }
    }

    fn step(&mut self, step: Step) {
        let round_trips = BTreeMap::new();
        let standing = Standing {
            rank: self.rank,
            nameable: self.nameable,
            electorate: &self.electorate,
            reaches_commit_quorum: true,
            round_trips: &round_trips,
        };
        match step {
            Step::Give(from, message) => {
                let _ = self.core.handle_message(self.now, from, message, &standing);
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
            Step::Restart => {
                self.core = core(self.disk, self.now, 1);
                self.in_flight.clear();
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
        while let Some(output) = self.core.poll_output() {
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
                    assert!(self.disk.term == term && !self.reigned.contains(&term), "I-1");
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

    fn check_spoken(&mut self, to: NodeId, message: &Message) {
        let term = message.term();
        let promisee = match message {
            Message::Promise(_) => to,
            Message::Solicit(_) => NodeId::new(1),
            Message::Name(_) => return assert!(self.disk.term >= term, "I-4"),
            Message::PreSolicit(_) | Message::PreGrant(_) | Message::Refuse(_) => return,
        };
        assert!(self.disk.term >= term, "I-4");
        assert_eq!(*self.promised.entry(term).or_insert(promisee), promisee, "I-3");
        assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(message));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_messages_breaks_a_core(
        born in any::<bool>(),
        seed in any::<u64>(),
        steps in proptest::collection::vec(steps(), 1..120),
    ) {
        let mut bench = Bench::new(born, seed);
        for step in steps {
            bench.step(step);
        }
    }

    #[test]
    fn messages_survive_the_wire(message in messages()) {
        if message.check().is_ok() {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn arbitrary_bytes_decode_to_an_answer(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(Message::decode(&bytes));
        if let Some(version) = bytes.first_mut() {
            *version = rep_election::message::MESSAGE_VERSION;
        }
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert!(message.check().is_ok());
        }
    }
}
