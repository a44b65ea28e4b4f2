//! One core, whatever members and strangers say to it in whatever order, whenever its disk finishes, and whichever
//! membership its log holds by then: no panic, the fence never falls, only a voter stands, one promise a term, nothing spoken that leans on what is not durable, one reign a term. The bench
//! looks at all of that after each step.

use super::election_message::messages;
use crate::bench::{Bench, Step, electorate, history};
use crate::kit::Input;
use rep_election::message::{Name, PreGrant, PreSolicit, Promise, Refuse, Solicit};
use rep_election::{Electorate, Message, Promiser, Reason, Sender};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::time::Duration;

const STEPS_MAX: usize = 400;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let mut bench = Bench::new(input.is(), input.number());
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            return;
        }
        if let Some(step) = step(&mut input) {
            bench.step(step);
        }
    }
}

fn step(input: &mut Input<'_>) -> Option<Step> {
    Some(match input.below(16) {
        0..=6 => Step::Give(sender(input), message(input)),
        7 => Step::Give(sender(input), Message::decode(input.short()).ok()?),
        8 | 9 => Step::Persisted,
        10 | 11 => Step::Wait(u64::from(input.byte()) * 3),
        12 => Step::Hear(input.number(), node(input).get(), input.is()),
        13 => match input.below(3) {
            0 => Step::LoseMaster,
            1 => Step::ReignEnded,
            _ => Step::Restart,
        },
        14 => Step::Rank(u64::from(input.byte() % 4), u64::from(input.byte() % 4)),
        _ => match input.below(3) {
            0 => Step::Nameable(input.is()),
            _ => Step::Membership(of_history(input)),
        },
    })
}

fn message(input: &mut Input<'_>) -> Message {
    let term = Term::new(input.number());
    match input.below(6) {
        0 => Message::PreSolicit(PreSolicit {
            term,
            fence: Term::new(input.number()),
            rank: point(input),
            priority: u32::from(input.byte() % 3),
            electorate: of_members(input),
        }),
        1 => {
            Message::PreGrant(PreGrant { term, rank: point(input), electorate: of_members(input) })
        }
        2 => Message::Refuse(Refuse {
            term,
            pre_vote: input.is(),
            fence: Term::new(input.number()),
            reason: reason(input),
        }),
        3 => Message::Solicit(Solicit {
            term,
            rank: point(input),
            electorate: of_members(input),
            transfer: input.is(),
        }),
        4 => Message::Promise(Promise {
            term,
            rank: point(input),
            nameable: input.is(),
            electorate: of_members(input),
            priority: u32::from(input.byte() % 3),
            round_trips: BTreeMap::from([(
                node(input),
                Duration::from_micros(u64::from(input.byte())),
            )]),
            reaches_commit_quorum: input.is(),
        }),
        _ => {
            let winner = node(input);
            let promisers = (0..input.below(5)).map(|_| promiser(input)).collect();
            Message::Name(Name { term, winner, promisers })
        }
    }
}

fn sender(input: &mut Input<'_>) -> Sender {
    let id = node(input);
    Sender { id, incarnation: incarnation(id, input) }
}

fn promiser(input: &mut Input<'_>) -> Promiser {
    let id = node(input);
    Promiser { id, incarnation: incarnation(id, input), rank: point(input) }
}

fn node(input: &mut Input<'_>) -> NodeId {
    NodeId::new(1 + u32::from(input.byte() % 5))
}

/// Mostly the one that is recorded.
fn incarnation(id: NodeId, input: &mut Input<'_>) -> Incarnation {
    Incarnation([if input.below(8) == 7 { 99 } else { id.get() as u8 }; 16])
}

fn point(input: &mut Input<'_>) -> LogPoint {
    let byte = input.byte();
    LogPoint::new(Term::new(u64::from(byte & 3)), Vlsn::new(u64::from(byte >> 2 & 3)))
}

fn of_members(input: &mut Input<'_>) -> Electorate {
    match input.below(8) {
        0 => electorate(3, false),
        1 => electorate(5, true),
        3 => of_history(input),
        4 => Electorate::joining(),
        2 => Electorate {
            election_need: input.below(5),
            commit_need: input.below(5),
            ..electorate(3, true)
        },
        _ => electorate(3, true),
    }
}

fn of_history(input: &mut Input<'_>) -> Electorate {
    let mut history = history();
    history.swap_remove(input.below(history.len()))
}

fn reason(input: &mut Input<'_>) -> Reason {
    match input.below(8) {
        0 => Reason::StaleTerm,
        1 => Reason::CrownWait,
        2 => Reason::Busy,
        3 => Reason::Reigning,
        4 => Reason::NotAMember,
        5 => Reason::OtherGroup,
        6 => Reason::AskerUnborn,
        _ => Reason::MasterHeard { master: NodeId::new(1 + u32::from(input.byte() % 5)) },
    }
}

/// Stories of an election: asked and granted, promised to another, crowned, deposed, restarted on the way.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (persisted, restart) = (&[8][..], &[13, 2][..]);
    let waits = |ms: u8| vec![10, ms / 3];
    let from = |id: u8| vec![0, id - 1, 0];
    let grant = |id: u8, term: u8| [from(id), vec![term, 1, 0, 7]].concat();
    let promise = |id: u8, term: u8| [from(id), vec![term, 4, 0, 1, 7, 0, 1, 9, 1]].concat();
    let solicit = |id: u8, term: u8| [from(id), vec![term, 3, 4, 7, 0]].concat();
    let ask = |id: u8, term: u8| [from(id), vec![term, 0, 0, 0, 0, 7]].concat();
    let name = |id: u8, term: u8, winner: u8, promisers: &[u8]| {
        let list = promisers.iter().flat_map(|id| [id - 1, 0, 0]).collect::<Vec<_>>();
        [from(id), vec![term, 5, winner - 1, promisers.len() as u8], list].concat()
    };
    // In steps shorter than a round: whenever it begins to ask, it is granted.
    let stands = |term: u8| [waits(150), grant(2, term)].concat().repeat(7);
    let long = waits(150).repeat(7);
    let reign = [
        [&[1, 7][..], &stands(1), persisted, &promise(2, 1), persisted].concat(),
        [&ask(2, 2)[..], &solicit(3, 2), persisted, &promise(3, 2)].concat(),
    ]
    .concat();
    let named = [
        &[1, 3][..],
        &long,
        &solicit(2, 4),
        persisted,
        &name(2, 4, 1, &[1, 2]),
        &ask(3, 5),
        &solicit(3, 6),
        persisted,
        restart,
        &name(3, 6, 1, &[1, 3]),
    ]
    .concat();
    let twice = [&[1, 3][..], &solicit(2, 4), persisted, &solicit(3, 4), persisted].concat();
    let again = [&[1, 3][..], &stands(1), persisted, restart, &stands(1)].concat();
    // The membership changes while it asks, solicits, and before it is named: 15 1 is a step, then which of the history.
    let becomes = |which: u8| vec![15, 1, which];
    let demoted = [
        [&[1, 5][..], &waits(150).repeat(5), &becomes(3), &grant(2, 1)].concat(),
        [&becomes(2)[..], &stands(1), &becomes(4), persisted, &promise(2, 1), &long].concat(),
        [&becomes(1)[..], &solicit(2, 4), persisted, &becomes(3), &name(2, 4, 1, &[1, 2])].concat(),
    ]
    .concat();
    let mut seeds = vec![reign, named, twice, again, demoted];
    for message in messages() {
        let bytes = message.encode();
        let given = [&[7, 1, 0, bytes.len() as u8][..], &bytes, persisted].concat();
        seeds.push([&[1, 9][..], &long, &given, persisted].concat());
    }
    seeds
}
