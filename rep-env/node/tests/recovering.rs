//! A quorum is gone for good, and the group goes on from one directory, or from a few.

#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;

use harness::Group;
use rep_node::{
    Change, Event, Forced, HaltReason, MemberType, Membership, NUMBERS_SKIPPED, NotForced, Outcome,
    Quorums, Remains, TERMS_SKIPPED,
};
use rep_vlsn::{Kind, LogPoint, NodeId, Record, Term, Vlsn};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is left of the group in the directory of `id`, which does not run.
fn remains(group: &Group, id: NodeId) -> Remains {
    let machine = &group.machines[&id];
    let says = |record: &&Record| record.header().kind.says_members();
    let said: Vec<Record> = machine.records.iter().filter(says).cloned().collect();
    let membership = Remains::membership(machine.first, &said, machine.past.as_ref());
    Remains {
        name: machine.name.clone(),
        incarnation: machine.incarnation,
        fence: machine.fence,
        last: machine.records.last().unwrap().point(),
        membership: membership.unwrap().expect("it belongs to a group"),
        begun: false,
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The directory of `id` is made a group of these.
fn force(group: &mut Group, id: NodeId, survivors: &[&str]) -> Forced {
    let forced = remains(group, id).force(&names(survivors), false).unwrap();
    let machine = group.machines.get_mut(&id).unwrap();
    let last_crc = machine.records.last().unwrap().header_crc();
    machine.fence = forced.fence;
    machine.records.extend(forced.records(last_crc, 0));
    (machine.written, machine.synced) = (machine.records.len(), machine.records.len());
    forced
}

fn founded(names: &[&str]) -> Group {
    let mut group = Group::new(names);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    group
}

fn committed(group: &mut Group, payload: &str) -> bool {
    let master = group.the_master();
    let request = group.propose(master, payload);
    group.run_until("the commit ends", |group| group.outcome(master, request).is_some());
    matches!(group.outcome(master, request), Some(Outcome::Committed { .. }))
}

fn crash_all(group: &mut Group) {
    group.ids().into_iter().for_each(|id| group.crash(id));
}

/// Directories that are gone, for now.
fn lose(group: &mut Group, ids: &[NodeId]) -> Vec<(NodeId, harness::Machine)> {
    ids.iter().map(|id| (*id, group.machines.remove(id).unwrap())).collect()
}

fn id(number: u32) -> NodeId {
    NodeId::new(number)
}

#[test]
fn one_of_three_goes_on_alone_with_all_that_it_holds_and_grows_again() {
    let mut group = founded(&["n1", "n2", "n3"]);
    assert!(committed(&mut group, "kept"));
    group.run_until("all hold it", |group| {
        group.ids().into_iter().all(|id| group.payloads(id) == ["kept"])
    });
    crash_all(&mut group);
    let _ = lose(&mut group, &[id(1), id(2)]);
    group.start(id(3));
    group.run_for(Duration::from_secs(5));
    assert_eq!(group.master(), None, "two are needed");
    group.crash(id(3));

    let before = group.machines[&id(3)].records.clone();
    let forced = force(&mut group, id(3), &[]);
    let cast_out: Vec<&str> = forced.cast_out.iter().map(|member| &*member.name).collect();
    assert_eq!(cast_out, ["n1", "n2"]);
    assert_eq!(group.machines[&id(3)].records[..before.len()], before[..]);
    group.start(id(3));
    group.run_until("it serves alone", |group| group.master() == Some(id(3)));
    assert_eq!(group.payloads(id(3)), ["kept"]);
    assert!(committed(&mut group, "alone"));

    // The names that were cast out are free; numbers are not, nor those that the lost may have given.
    let next = 4 + NUMBERS_SKIPPED;
    assert_eq!((group.join("n1"), group.join("n2")), (id(next), id(next + 1)));
    group.crash(id(3));
    group.run_until("another master", |group| group.master().is_some_and(|it| it != id(3)));
    assert!(committed(&mut group, "without the one that was left"));
}

#[test]
fn who_was_cast_out_and_comes_back_is_told_and_stops() {
    let mut group = founded(&["n1", "n2", "n3"]);
    assert!(committed(&mut group, "kept"));
    group.run_for(Duration::from_secs(1));
    crash_all(&mut group);
    let lost = lose(&mut group, &[id(1), id(3)]);
    force(&mut group, id(2), &[]);
    group.start(id(2));
    group.run_until("it serves alone", |group| group.master() == Some(id(2)));
    for (at, machine) in lost {
        group.machines.insert(at, machine);
        group.start(at);
        group.run_until("it is told", |group| group.machines[&at].halted.is_some());
        let machine = &group.machines[&at];
        assert_eq!(machine.halted, Some(HaltReason::Removed));
        assert!(machine.events.contains(&Event::Removed));
    }
    assert_eq!(group.master(), Some(id(2)));
    assert!(committed(&mut group, "undisturbed"));
}

/// A group in which two of three have gone on without the third: it has missed an entry that was acknowledged, and an election before that, if there was
/// to be one.
fn gone_on_without_the_third(elected: bool) -> (Group, LogPoint) {
    let mut group = founded(&["n1", "n2", "n3"]);
    let third = group.ids().into_iter().find(|id| Some(*id) != group.master()).unwrap();
    let master = group.the_master();
    let other = group.ids().into_iter().find(|id| ![master, third].contains(id)).unwrap();
    assert!(committed(&mut group, "kept"));
    group.run_for(Duration::from_secs(1));
    group.isolate(third);
    let last = if elected { other } else { master };
    if elected {
        group.transfer(master, &[other], false);
        group.run_until("handed over", |group| group.master() == Some(other));
    }
    let request = group.propose(last, "lost");
    group.run_until("acknowledged", |group| group.outcome(last, request).is_some());
    let Some(Outcome::Committed { point }) = group.outcome(last, request).cloned() else {
        panic!("two of three are enough");
    };
    crash_all(&mut group);
    group.heal();
    (group, point)
}

fn the_third(group: &Group, lost: LogPoint) -> NodeId {
    let lacks =
        |id: &NodeId| !group.machines[id].records.iter().any(|record| record.point() == lost);
    group.ids().into_iter().find(lacks).unwrap()
}

/// The lost have gone on in the term that the third knows, or in the next one. Whoever came with the token of a lost entry would find
/// another one in its place, and take it for that.
#[test]
fn no_point_of_the_log_is_that_of_an_entry_of_the_lost() {
    for elected in [false, true] {
        let (mut group, lost) = gone_on_without_the_third(elected);
        let third = the_third(&group, lost);
        let known = remains(&group, third);
        let highest = known.fence.term.max(known.last.term);
        assert_eq!(if elected { highest.next() } else { highest }, lost.term);
        force(&mut group, third, &[]);
        group.start(third);
        group.run_until("it serves alone", |group| group.master() == Some(third));
        while group.node(third).log().last().vlsn < lost.vlsn.next() {
            assert!(committed(&mut group, "more"));
        }
        let mut entries: BTreeMap<LogPoint, Record> = BTreeMap::new();
        for record in group.machines.values().flat_map(|machine| &machine.records) {
            let known = entries.entry(record.point()).or_insert_with(|| record.clone());
            assert_eq!(known, record, "two entries under one point");
        }
        assert!(!group.node(third).log().contains(lost));
    }
}

#[test]
fn the_other_survivors_follow_and_drop_what_only_they_had() {
    let mut group = founded(&["n1", "n2", "n3", "n4", "n5"]);
    assert!(committed(&mut group, "kept"));
    group.run_for(Duration::from_secs(1));
    let master = group.the_master();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    let (behind, survivor) = (others[0], others[1]);
    for id in others.iter().filter(|id| **id != survivor) {
        group.isolate(*id);
    }
    let never = group.propose(master, "never acknowledged");
    group.run_until("two hold it", |group| group.payloads(survivor).len() == 2);
    assert!(!matches!(group.outcome(master, never), Some(Outcome::Committed { .. })));
    crash_all(&mut group);
    group.heal();
    let gone: Vec<NodeId> =
        group.ids().into_iter().filter(|id| ![behind, survivor].contains(id)).collect();
    let _ = lose(&mut group, &gone);
    let both = [behind, survivor].map(|id| group.machines[&id].name.clone());
    force(&mut group, behind, &both.each_ref().map(|name| &**name));
    group.start(behind);
    group.run_for(Duration::from_secs(3));
    assert_eq!(group.master(), None, "both are needed");
    group.start(survivor);
    group.run_until("they are a group", |group| group.master() == Some(behind));
    group.run_until("it follows", Group::in_sync);
    assert!(committed(&mut group, "two of two"));
    assert_eq!(group.payloads(survivor), ["kept", "two of two"]);
}

#[test]
fn what_is_written_opens_a_term_of_its_own_and_then_says_the_members() {
    let (group, lost) = gone_on_without_the_third(true);
    let third = the_third(&group, lost);
    let before = remains(&group, third);
    let forced = before.force(&[], false).unwrap();
    assert_eq!(forced.fence.term, Term::new(before.fence.term.get() + TERMS_SKIPPED));
    assert_eq!(forced.fence.promised_to, Some(third));
    let records = forced.records(7, 0);
    let kinds = records.each_ref().map(|record| record.header().kind);
    assert_eq!(kinds, [Kind::TermStart, Kind::Membership]);
    assert_eq!(records[0].opener(), Some(third));
    let term = forced.fence.term;
    let next = before.last.vlsn.next();
    assert_eq!(
        records.each_ref().map(Record::point),
        [LogPoint::new(term, next), LogPoint::new(term, next.next())]
    );
    let membership = Membership::from_record(&records[1]).unwrap();
    assert_eq!(membership, forced.membership);
    assert_eq!(membership.group, before.membership.group, "tokens go on to mean something");
    let next = before.membership.next_id.get() + NUMBERS_SKIPPED;
    assert_eq!(membership.next_id.get(), next, "no number is used twice");
    assert_eq!(membership.quorums, Quorums::Majority);
    assert!(forced.cast_out.iter().all(|out| membership.has_removed(out.id)));
    let removed: Vec<_> = membership.removed.iter().map(|it| it.incarnation).collect();
    let cast_out: Vec<_> = forced.cast_out.iter().map(|it| it.incarnation).collect();
    assert_eq!(removed, cast_out, "they are remembered, so that they can be told");
}

#[test]
fn what_is_not_to_be_forced_is_refused_and_says_why() {
    let (group, lost) = gone_on_without_the_third(true);
    let third = the_third(&group, lost);
    let before = remains(&group, third);
    let refused = |remains: &Remains, survivors: &[&str]| {
        remains.force(&names(survivors), false).unwrap_err()
    };
    let own = before.name.clone();
    let other = before.membership.members.values().find(|it| it.id != third).unwrap().name.clone();
    assert_eq!(refused(&before, &[&own, "n9"]), NotForced::Unknown { name: "n9".into() });
    assert_eq!(refused(&before, &[&other]), NotForced::NotASurvivor { name: own.clone() });
    assert_eq!(refused(&before, &[&own, &other]), NotForced::HaveQuorum);
    let twice = before.force(&names(&[&own, &own]), false).unwrap();
    assert_eq!(twice.membership.members.len(), 1, "one name twice is no quorum");
    let mut beside_an_arbiter = before.clone();
    let member = beside_an_arbiter.membership.members.values_mut().find(|it| it.name == other);
    member.unwrap().kind = MemberType::Arbiter;
    assert_eq!(refused(&beside_an_arbiter, &[&own, &other]), NotForced::NoData { name: other });
    let stranger = Remains { incarnation: rep_vlsn::Incarnation([1; 16]), ..before };
    assert_eq!(refused(&stranger, &[]), NotForced::NotAMember { name: own });
}

#[test]
fn who_has_no_vote_survives_only_if_that_is_asked_for() {
    let mut group = Group::founded_by("n1");
    for (name, kind) in [("n2", MemberType::Electable), ("n3", MemberType::Secondary)] {
        group.join_as(name, kind);
    }
    let voters = |group: &Group| group.node(id(1)).admission(group.now).voters;
    group.run_until("two vote", |group| voters(group) == 2);
    assert!(committed(&mut group, "kept"));
    group.run_until("the secondary has it", |group| group.payloads(id(3)) == ["kept"]);
    crash_all(&mut group);
    let mut before = remains(&group, id(3));
    let refused = before.force(&[], false).unwrap_err();
    assert_eq!(refused, NotForced::NoVote { name: "n3".into(), kind: MemberType::Secondary });
    let forced = before.force(&[], true).unwrap();
    assert_eq!(forced.membership.members[&id(3)].kind, MemberType::Electable);
    before.membership = forced.membership;
    assert_eq!(before.force(&[], true).unwrap_err(), NotForced::HaveQuorum, "it is done");
}

#[test]
fn a_term_that_was_opened_by_force_gets_its_members_when_it_is_forced_again() {
    let (group, lost) = gone_on_without_the_third(true);
    let third = the_third(&group, lost);
    let before = remains(&group, third);
    let first = before.force(&[], false).unwrap();
    let [opening, members] = first.records(7, 0);
    // The crash came between the two.
    let begun =
        Remains { fence: first.fence, last: opening.point(), begun: true, ..before.clone() };
    assert!(!begun.has_forced(first.fence));
    let again = begun.force(&[], false).unwrap();
    assert!(again.fence.term > first.fence.term, "each attempt has a term of its own");
    assert_eq!(again.membership.at.vlsn, members.point().vlsn.next());
    // Or behind both.
    let membership = first.membership.clone();
    let done = Remains { last: members.point(), membership, ..begun };
    assert!(done.has_forced(first.fence) && !done.has_forced(again.fence));
}

#[test]
fn a_directory_without_the_head_of_its_log_goes_by_what_was_kept_of_it() {
    let mut group = founded(&["n1", "n2", "n3"]);
    assert!(committed(&mut group, "kept"));
    group.run_for(Duration::from_secs(1));
    let master = group.the_master();
    let at = group.node(master).applied();
    let past = group.node(master).past_of(at).unwrap();
    let found = Remains::membership(at.vlsn, &[], Some(&past)).unwrap().unwrap();
    assert_eq!(&found, group.membership(master));
    assert!(Remains::membership(at.vlsn, &[], None).is_err());
    assert_eq!(Remains::membership(Vlsn::FIRST, &[], None).unwrap(), None);
    // A later membership in the log goes before it.
    let gone = group.ids().into_iter().find(|id| *id != master).unwrap();
    let later = group.changed(Change::Remove { id: gone }).unwrap();
    let record = group.machines[&master].records[later.at.vlsn.get() as usize - 1].clone();
    assert_eq!(Remains::membership(at.vlsn, &[record], Some(&past)).unwrap(), Some(later));
}
