//! The bytes of election messages: pinned, bounded, and refused by kind.

use rep_election::message::{MESSAGE_BYTES_MAX, Name, PreGrant, Refuse, Solicit};
use rep_election::{Electorate, Message, PeerError, Promiser, Reason, Voter};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Written by version 2. A message that changes these bytes needs another version.
#[test]
fn the_bytes_of_version_2_stay_as_they_are() {
    let voters = [(NodeId::new(1), Voter::known(Incarnation([0xaa; 16])))];
    let at = LogPoint::new(Term::new(1), Vlsn::FIRST);
    let electorate = Electorate::majority(GroupId([0xbb; 16]), at, voters.into());
    let rank = LogPoint::new(Term::new(2), Vlsn::new(300));
    let promiser = Promiser { id: NodeId::new(1), incarnation: Incarnation([0xcc; 16]), rank };
    let winner = NodeId::new(1);
    let (a, b, c, d) = ("aa".repeat(16), "bb".repeat(16), "cc".repeat(16), "dd".repeat(16));
    let learners = [(NodeId::new(2), Incarnation([0xdd; 16]))];
    let growing = electorate.clone().with_learners(learners.into());
    let golden = [
        (
            Message::PreGrant(PreGrant { term: Term::new(5), rank, electorate }),
            format!("02010502ac0201{b}0101010101{a}000101"),
        ),
        (
            Message::Refuse(Refuse {
                term: Term::new(5),
                pre_vote: true,
                fence: Term::new(6),
                reason: Reason::MasterHeard { master: NodeId::new(3) },
            }),
            "02020501060103".to_owned(),
        ),
        (
            Message::Solicit(Solicit {
                term: Term::new(5),
                rank,
                electorate: growing,
                transfer: false,
            }),
            format!("02030502ac0201{b}0101010101{a}0102{d}010100"),
        ),
        (
            Message::Name(Name { term: Term::new(5), winner, promisers: vec![promiser] }),
            format!("020505010101{c}02ac02"),
        ),
    ];
    for (message, bytes) in golden {
        assert_eq!(hex(&message.encode()), bytes, "{message:?}");
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

/// What designates a voter says so in front, and is otherwise written as before.
#[test]
fn the_bytes_of_version_3_stay_as_they_are() {
    let voter = |id: u8| (NodeId::new(u32::from(id)), Voter::known(Incarnation([id; 16])));
    let at = LogPoint::new(Term::new(1), Vlsn::FIRST);
    let voters = [voter(1), voter(2)].into();
    let electorate = Electorate::designated(GroupId([0xbb; 16]), at, voters, NodeId::new(2));
    let electorate = electorate.unwrap();
    let rank = LogPoint::new(Term::new(2), Vlsn::new(300));
    let grant = Message::PreGrant(PreGrant { term: Term::new(5), rank, electorate });
    let (a, b, c) = ("01".repeat(16), "bb".repeat(16), "02".repeat(16));
    let bytes = format!("0302010502ac0201{b}0101020101{a}0201{c}000102");
    assert_eq!(hex(&grant.encode()), bytes);
    assert_eq!(Message::decode(&grant.encode()), Ok(grant.clone()));
    let nobody = [&[3, 3], &grant.encode()[2..]].concat();
    assert!(matches!(Message::decode(&nobody), Err(PeerError::Malformed { .. })), "no voter");
    let refusal = Refuse {
        term: Term::new(5),
        pre_vote: true,
        fence: Term::new(6),
        reason: Reason::StaleTerm,
    };
    let bare = [&[3, 2], &Message::Refuse(refusal).encode()[1..]].concat();
    assert_eq!(Message::decode(&bare), Err(PeerError::Undecodable), "it has no electorate");
}

#[test]
fn what_is_no_message_is_refused_by_kind() {
    let name = Name { term: Term::new(5), winner: NodeId::new(1), promisers: Vec::new() };
    let good = Message::Name(name).encode();
    assert_eq!(Message::decode(&[]), Err(PeerError::Undecodable));
    assert_eq!(Message::decode(&good[..2]), Err(PeerError::Undecodable), "cut short");
    let trailing = [&good[..], &[0]].concat();
    assert_eq!(Message::decode(&trailing), Err(PeerError::Undecodable), "bytes behind it");
    for other in [1, 4] {
        let foreign = [&[other], &good[1..]].concat();
        let unknown = PeerError::UnknownVersion { version: other, ours: 3 };
        assert_eq!(Message::decode(&foreign), Err(unknown));
    }
    assert_eq!(Message::decode(&[2, 99, 5]), Err(PeerError::Undecodable), "an unknown variant");
    let long = vec![2; MESSAGE_BYTES_MAX + 1];
    let too_long = PeerError::TooLong { bytes: long.len(), bytes_max: MESSAGE_BYTES_MAX };
    assert_eq!(Message::decode(&long), Err(too_long));
}

#[test]
fn nonsense_is_malformed_even_if_it_decodes() {
    let zero =
        Message::Name(Name { term: Term::ZERO, winner: NodeId::new(1), promisers: Vec::new() });
    assert!(matches!(zero.check(), Err(PeerError::Malformed { .. })));
    let voters = [(NodeId::new(1), Voter::known(Incarnation::default()))];
    let sound = Electorate::majority(GroupId::default(), LogPoint::NULL, voters.into());
    let unborn = Electorate::founding([(NodeId::new(1), Voter::unknown())].into());
    let unsound = [
        Electorate { election_need: 0, ..sound.clone() },
        Electorate { commit_need: 2, ..sound.clone() },
        Electorate { voters: Default::default(), ..sound.clone() },
        Electorate { voters: [(NodeId::new(1), Voter::unknown())].into(), ..sound.clone() },
        Electorate { group: None, at: LogPoint::new(Term::new(1), Vlsn::FIRST), ..sound.clone() },
        sound.clone().with_learners([(NodeId::new(1), Incarnation::default())].into()),
        sound
            .clone()
            .with_learners((2..=65).map(|id| (NodeId::new(id), Incarnation::default())).collect()),
        Electorate { learners: [(NodeId::new(2), Incarnation::default())].into(), ..unborn },
        Electorate { commit_need: 0, ..Electorate::joining() },
        Electorate { designated: Some(NodeId::new(2)), ..sound.clone() },
        Electorate { designated: Some(NodeId::new(1)), ..Electorate::joining() },
    ];
    assert_eq!(Electorate::joining().check(), Ok(()), "who joins is of no group yet");
    for electorate in unsound {
        assert!(electorate.check().is_err(), "{electorate:?}");
    }
    let many =
        Promiser { id: NodeId::new(1), incarnation: Incarnation::default(), rank: LogPoint::NULL };
    let name = Name { term: Term::new(1), winner: NodeId::new(1), promisers: vec![many; 65] };
    assert!(matches!(Message::Name(name).check(), Err(PeerError::Malformed { .. })));
}

/// The largest group's largest messages fit.
#[test]
fn the_largest_messages_fit_the_bound() {
    let far = LogPoint::new(Term::new(u64::MAX), Vlsn::new(u64::MAX));
    let ids = || (1..=64).map(|id| NodeId::new(u32::MAX - id));
    let voters = ids().map(|id| (id, Voter::known(Incarnation([255; 16])))).collect();
    let electorate = Electorate::majority(GroupId([255; 16]), far, voters);
    let promise = rep_election::message::Promise {
        term: far.term,
        rank: far,
        nameable: true,
        electorate,
        priority: u32::MAX,
        round_trips: ids()
            .map(|id| (id, std::time::Duration::new(u64::MAX, 999_999_999)))
            .collect(),
        reaches_commit_quorum: true,
    };
    let bytes = Message::Promise(promise).encode();
    assert!(bytes.len() < MESSAGE_BYTES_MAX / 2, "{} bytes", bytes.len());
    assert!(Message::decode(&bytes).is_ok());
}
