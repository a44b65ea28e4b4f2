//! The bytes of a membership, pinned: in entries, cells and frames. What an earlier version wrote is still read.

use rep_node::{Member, MemberType, Membership, Quorums, Removed};
use rep_vlsn::{Draft, Flags, GroupId, Incarnation, Kind, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;

fn member(id: u32, name: &str, kind: MemberType, priority: u32) -> Member {
    Member {
        id: NodeId::new(id),
        name: name.to_owned(),
        incarnation: Incarnation([id as u8; 16]),
        address: format!("{name}:1"),
        kind,
        priority,
        attributes: BTreeMap::new(),
    }
}

fn with_attribute(mut member: Member, name: &str, value: &str) -> Member {
    member.attributes.insert(name.to_owned(), value.to_owned());
    member
}

fn members(of: Vec<Member>) -> BTreeMap<NodeId, Member> {
    of.into_iter().map(|member| (member.id, member)).collect()
}

fn sample() -> Membership {
    Membership {
        group: GroupId([9; 16]),
        at: LogPoint::new(Term::new(3), Vlsn::new(300)),
        members: members(vec![
            member(1, "a", MemberType::Electable, 0),
            with_attribute(member(2, "b", MemberType::Electable, 7), "z", "n"),
            member(4, "c", MemberType::Learner, 0),
            member(5, "d", MemberType::Secondary, 0),
            member(6, "e", MemberType::Arbiter, 0),
        ]),
        next_id: NodeId::new(7),
        quorums: Quorums::Sizes { election: 2, commit: 2 },
        removed: vec![Removed {
            id: NodeId::new(3),
            name: "x".to_owned(),
            incarnation: Incarnation([3; 16]),
        }],
    }
}

/// By hand: a length or a number is a byte here, but for the VLSN.
fn bytes(version: u8) -> Vec<u8> {
    let mut out = vec![3, 0xAC, 0x02];
    out.push(version);
    out.extend([9; 16]);
    out.push(5);
    let rows =
        [(1, b'a', 0, 0), (2, b'b', 0, 7), (4, b'c', 1, 0), (5, b'd', 2, 0), (6, b'e', 3, 0)];
    for (id, name, kind, priority) in rows {
        out.extend([id, 1, name]);
        out.extend([id; 16]);
        out.extend([3, name, b':', b'1', kind, priority]);
        match (version, id) {
            (2, _) => {}
            (_, 2) => out.extend([1, 1, b'z', 1, b'n']),
            _ => out.push(0),
        }
    }
    out.extend([7, 1, 2, 2, 1, 3, 1, b'x']);
    out.extend([3; 16]);
    out
}

#[test]
fn a_membership_is_these_bytes() {
    assert_eq!(sample().encode(), bytes(3));
    assert_eq!(Membership::decode(&bytes(3)).unwrap(), sample());
}

/// The same bytes under another version, which says to those who take no more than 32 that they cannot read it.
#[test]
fn more_than_32_removed_members_are_of_the_fourth_version() {
    let mut long = sample();
    let one = long.removed[0].clone();
    long.removed = vec![one; 32];
    assert_eq!(long.encode()[3], 3);
    long.removed.push(long.removed[0].clone());
    let encoded = long.encode();
    assert_eq!(encoded[3], 4);
    assert_eq!(Membership::decode(&encoded).unwrap(), long);
    let at = bytes(3).len() - 20;
    assert_eq!(encoded[4..at], bytes(3)[4..at], "up to the count of those removed");
    assert_eq!(&encoded[at..at + 4], [33, 3, 1, b'x']);
}

#[test]
fn the_second_version_is_read_as_members_without_attributes() {
    let mut expected = sample();
    expected.members.values_mut().for_each(|member| member.attributes.clear());
    assert_eq!(Membership::decode(&bytes(2)).unwrap(), expected);
}

/// Quorums by a designated member are a 2 and its number.
#[test]
fn a_designated_member_is_these_bytes() {
    let mut designating = sample();
    designating.members.retain(|_, it| it.kind == MemberType::Electable);
    designating.quorums = Quorums::Designated(NodeId::new(2));
    let bytes = designating.encode();
    let tail = [&[7, 2, 2, 1, 3, 1, b'x'][..], &[3; 16]].concat();
    assert!(bytes.ends_with(&tail));
    assert_eq!(Membership::decode(&bytes).unwrap(), designating);
}

#[test]
fn the_first_version_of_a_founding_is_read_as_electable_members() {
    let mut rest = vec![1];
    rest.extend([9; 16]);
    rest.push(2);
    for (id, name) in [(1, b'a'), (2, b'b')] {
        rest.extend([id, 1, name]);
        rest.extend([id; 16]);
        rest.extend([3, name, b':', b'1']);
    }
    let at = LogPoint::new(Term::new(1), Vlsn::FIRST);
    let record = Draft::opening(Kind::GroupFounded, NodeId::new(2), &rest).stamp(at, 0, 0);
    let expected = Membership {
        group: GroupId([9; 16]),
        at,
        members: members(vec![
            member(1, "a", MemberType::Electable, 0),
            member(2, "b", MemberType::Electable, 0),
        ]),
        next_id: NodeId::new(3),
        quorums: Quorums::Majority,
        removed: Vec::new(),
    };
    assert_eq!(Membership::from_record(&record).unwrap(), expected);
}

/// Each is one thing that no group can be, made of what one can.
#[test]
fn what_no_group_can_be_is_refused_for_what_it_is() {
    type Spoil = fn(&mut Membership);
    let spoilt: [(&str, Spoil); 13] = [
        ("1 to 64 members", |it| it.members.clear()),
        ("two members of one name", |it| {
            it.members.get_mut(&NodeId::new(2)).unwrap().name = "a".to_owned();
        }),
        ("empty", |it| it.members.get_mut(&NodeId::new(2)).unwrap().name = String::new()),
        ("255 bytes", |it| it.members.get_mut(&NodeId::new(2)).unwrap().address = "x".repeat(256)),
        ("not given out", |it| it.next_id = NodeId::new(6)),
        ("one arbiter at most", |it| {
            it.members.get_mut(&NodeId::new(2)).unwrap().kind = MemberType::Arbiter;
        }),
        ("electable member", |it| {
            it.members.retain(|_, member| member.kind != MemberType::Electable);
        }),
        ("more removed", |it| it.removed = vec![it.removed[0].clone(); 257]),
        ("1024 bytes", |it| {
            let second = it.members.get_mut(&NodeId::new(2)).unwrap();
            second.attributes.insert("x".repeat(1024), "y".to_owned());
        }),
        ("no electable member", |it| it.quorums = Quorums::Designated(NodeId::new(4))),
        ("no place for an arbiter", |it| it.quorums = Quorums::Designated(NodeId::new(1))),
        ("two may vote", |it| {
            it.members.remove(&NodeId::new(6));
            it.quorums = Quorums::Designated(NodeId::new(1));
        }),
        ("", |it| it.quorums = Quorums::Sizes { election: usize::MAX, commit: usize::MAX }),
    ];
    for (words, spoil) in spoilt {
        let mut membership = sample();
        spoil(&mut membership);
        let refused = Membership::decode(&membership.encode()).unwrap_err();
        assert!(refused.contains(words), "{refused:?} for {words:?}");
    }
}

#[test]
fn an_entry_of_another_kind_says_nothing_of_members() {
    let at = LogPoint::new(Term::new(1), Vlsn::new(2));
    for kind in [Kind::Data, Kind::Membership] {
        let record = Draft::new(kind, Flags::default(), b"\x02").stamp(at, 0, 0);
        assert!(Membership::from_record(&record).is_err());
    }
}
