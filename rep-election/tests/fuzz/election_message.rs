//! Bytes as an election message, and as the fence on disk: read for what they are and written the same, or refused.

use crate::bench::{electorate, history};
use crate::kit::Input;
use rep_election::message::{
    MESSAGE_BYTES_MAX, MESSAGE_VERSION, Name, PreGrant, PreSolicit, Promise, Refuse, Solicit,
};
use rep_election::{Electorate, Fence, Message, Promiser, Reason};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn body(data: &[u8]) {
    if let Ok(fence) = Fence::decode(data) {
        assert_eq!(fence.encode(), data, "one meaning, one spelling");
    }
    let mut input = Input::new(data);
    let is_ours = input.is();
    let mut bytes = input.rest().to_vec();
    if is_ours && let Some(version) = bytes.first_mut() {
        *version = MESSAGE_VERSION;
    }
    let Ok(message) = Message::decode(&bytes) else { return };
    assert_eq!(message.check(), Ok(()));
    assert!(message.term() > Term::ZERO);
    let again = message.encode();
    assert!(again.len() <= MESSAGE_BYTES_MAX);
    assert_eq!(Message::decode(&again).as_ref(), Ok(&message));
}

/// One of each kind, and of each reason.
pub(crate) fn messages() -> Vec<Message> {
    let (term, fence) = (Term::new(5), Term::new(4));
    let rank = LogPoint::new(Term::new(3), Vlsn::new(300));
    let promiser =
        |id: u32| Promiser { id: NodeId::new(id), incarnation: Incarnation([id as u8; 16]), rank };
    let promise = Promise {
        term,
        rank,
        nameable: true,
        electorate: electorate(3, true),
        priority: 7,
        round_trips: BTreeMap::from([(NodeId::new(3), Duration::from_micros(300))]),
        reaches_commit_quorum: true,
    };
    let ask = |born| PreSolicit { term, fence, rank, priority: 1, electorate: electorate(5, born) };
    let mut messages = vec![
        Message::PreSolicit(ask(true)),
        Message::PreSolicit(ask(false)),
        Message::PreGrant(PreGrant { term, rank, electorate: electorate(3, true) }),
        Message::PreGrant(PreGrant { term, rank, electorate: Electorate::joining() }),
        Message::PreSolicit(PreSolicit { electorate: history().remove(1), ..ask(true) }),
        Message::Solicit(Solicit { term, rank, electorate: electorate(3, true), transfer: false }),
        Message::Solicit(Solicit { term, rank, electorate: electorate(3, false), transfer: true }),
        Message::Promise(promise),
        Message::Name(Name {
            term,
            winner: NodeId::new(2),
            promisers: (1..4).map(promiser).collect(),
        }),
    ];
    let reasons = [
        Reason::StaleTerm,
        Reason::MasterHeard { master: NodeId::new(3) },
        Reason::Reigning,
        Reason::CrownWait,
        Reason::Busy,
        Reason::NotAMember,
        Reason::OtherIncarnation,
        Reason::OtherGroup,
        Reason::AskerUnborn,
        Reason::OtherMembers,
        Reason::RefuserNotRecorded,
        Reason::AskerLearner,
    ];
    for (number, reason) in reasons.into_iter().enumerate() {
        messages.push(Message::Refuse(Refuse { term, pre_vote: number % 2 == 0, fence, reason }));
    }
    messages
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        messages().iter().map(|message| [&[0][..], &message.encode()].concat()).collect();
    // What can be spelled and makes no sense: a term of 0.
    seeds.push(vec![0, MESSAGE_VERSION, 5, 0, 1, 0]);
    let promised_to = Some(NodeId::new(2));
    seeds.push(Fence { term: Term::new(300), promised_to }.encode().to_vec());
    seeds.push(Fence::default().encode().to_vec());
    seeds
}
