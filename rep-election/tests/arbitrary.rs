//! Whatever members and strangers say, in whatever order, and whenever the disk finishes: one core never
//! panics, its fence never falls, it promises once a term, and nothing it says leans on what is not
//! durable.

#[path = "support/bench.rs"]
mod bench;

use bench::{Bench, Step, electorate, history};
use proptest::prelude::*;
use rep_election::message::{Name, PreGrant, PreSolicit, Promise, Refuse, Solicit};
use rep_election::{Electorate, Message, Promiser, Reason, Sender};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::time::Duration;

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
        4 => proptest::sample::select(history()),
        1 => Just(Electorate::joining()),
        1 => Just(electorate(3, false)),
        1 => Just(electorate(5, true)),
        1 => (0_usize..4, 0_usize..4).prop_map(|(election, commit)| {
            Electorate { election_need: election, commit_need: commit, ..electorate(3, true) }
        }),
    ]
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
    let grants = (terms(), points(), electorates()).prop_map(|(term, rank, electorate)| {
        Message::PreGrant(PreGrant { term, rank, electorate })
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
    prop_oneof![pre_solicits, grants, refusals, solicits, promises, names,]
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
        1 => proptest::sample::select(history()).prop_map(Step::Membership),
        1 => Just(Step::Restart),
    ]
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
