//! Who belongs to a group changes while the group goes on: members come, catch up and vote; go, and are told; come back with another directory.

#[path = "harness/changes.rs"]
mod changes;
#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;

use changes::{committed, grown};
use harness::Group;
use rep_node::membership::{REMOVED_BYTES_MAX, REMOVED_MAX};
use rep_node::{Change, Event, HaltReason, MemberType, Membership, NotChanged, Quorums};
use rep_vlsn::{Incarnation, NodeId, Vlsn};
use std::time::Duration;

const N1: NodeId = NodeId::new(1);

#[test]
fn attributes_are_recorded_and_taken_back_and_bounded() {
    let mut group = grown();
    let other = group.ids().into_iter().find(|id| *id != group.the_master()).unwrap();
    let update = |attributes: &[(&str, Option<&str>)]| {
        let own = |(name, value): &(&str, Option<&str>)| {
            ((*name).to_owned(), value.map(ToOwned::to_owned))
        };
        let attributes = attributes.iter().map(own).collect();
        Change::Update { id: other, address: None, priority: None, attributes }
    };
    let made = group.changed(update(&[("zone", Some("north")), ("rack", Some("7"))])).unwrap();
    assert_eq!(made.members[&other].attributes["zone"], "north");
    group.run_until("everybody knows", |group| {
        let known = |id: &NodeId| {
            group.node(*id).contacts().any(|it| it.id == other && it.attributes.len() == 2)
        };
        group.ids().iter().all(known)
    });
    let made = group.changed(update(&[("zone", None), ("nothing", None)])).unwrap();
    assert_eq!(made.members[&other].attributes.keys().collect::<Vec<_>>(), ["rack"]);
    let long = "x".repeat(1024);
    let refused = group.changed(update(&[("zone", Some(&long))]));
    assert!(matches!(refused, Err(NotChanged::Invalid { .. })), "{refused:?}");
    let made = group.changed(update(&[("rack", None), ("zone", Some(&long[4..]))])).unwrap();
    assert_eq!(made.members[&other].attributes.len(), 1);
}

#[test]
fn a_group_of_one_grows_to_three_and_survives_its_founder() {
    let mut group = Group::founded_by("n1");
    assert!(committed(&mut group, "alone"));
    let (second, third) = (group.join("n2"), group.join("n3"));
    assert_eq!((second, third), (NodeId::new(2), NodeId::new(3)));
    assert!(committed(&mut group, "together"));
    group.crash(N1);
    group.run_until("another master", |group| group.master().is_some_and(|master| master != N1));
    assert!(committed(&mut group, "without the founder"));
    group.start(N1);
    group
        .run_until("the founder is back", |group| group.in_sync() && group.payloads(N1).len() == 3);
}

#[test]
fn a_learner_holds_the_data_and_counts_for_nothing_until_it_has_caught_up() {
    let mut group = grown();
    let master = group.the_master();
    let fourth = group.join_as("n4", MemberType::Electable);
    assert_eq!(group.membership(master).members[&fourth].kind, MemberType::Learner);
    assert_eq!(group.node(master).admission(group.now).voters, 3);
    group.run_until("the learner votes", |group| group.votes(fourth));
    assert_eq!(group.node(master).admission(group.now).voters, 4);
    assert_eq!(group.node(master).admission(group.now).needed, 3);
}

#[test]
fn a_learner_is_not_promoted_before_it_holds_what_there_is() {
    changes::a_learner_is_not_promoted_before_it_holds_what_there_is();
}

#[test]
fn a_learner_that_is_cut_off_is_not_promoted() {
    let mut group = grown();
    let fourth = group.join_as("n4", MemberType::Electable);
    group.isolate(fourth);
    group.run_for(Duration::from_secs(3));
    let master = group.the_master();
    assert_eq!(group.membership(master).members[&fourth].kind, MemberType::Learner);
    assert!(committed(&mut group, "the others go on"));
    group.heal();
    group.run_until("the learner votes", |group| group.votes(fourth));
}

#[test]
fn the_next_master_promotes_a_learner_that_the_last_one_left() {
    let mut group = grown();
    let fourth = group.join_as("n4", MemberType::Electable);
    group.isolate(fourth);
    let old = group.the_master();
    group.crash(old);
    group.run_until("another master", |group| group.master().is_some_and(|it| it != old));
    group.heal();
    group.run_until("the learner votes", |group| group.votes(fourth));
}

#[test]
fn a_secondary_follows_and_never_votes() {
    let mut group = grown();
    let fourth = group.join_as("n4", MemberType::Secondary);
    assert!(committed(&mut group, "a"));
    group.run_until("the secondary has it", |group| !group.payloads(fourth).is_empty());
    group.run_for(Duration::from_secs(3));
    let master = group.the_master();
    assert_eq!(group.membership(master).members[&fourth].kind, MemberType::Secondary);
    assert_eq!(group.node(master).admission(group.now).voters, 3);
    for id in group.ids() {
        if id != fourth {
            group.crash(id);
        }
    }
    group.run_for(Duration::from_secs(5));
    assert_eq!(group.master(), None, "who has no vote elects nobody");
}

#[test]
fn a_removed_member_is_told_goes_quiet_and_its_number_is_not_used_again() {
    changes::a_removed_member_is_told_goes_quiet_and_its_number_is_not_used_again();
}

#[test]
fn a_member_that_was_removed_while_it_was_down_is_told_when_it_calls() {
    let mut group = grown();
    let master = group.the_master();
    let gone = NodeId::new(3);
    if master == gone {
        return;
    }
    group.crash(gone);
    group.changed(Change::Remove { id: gone }).unwrap();
    group.start(gone);
    group
        .run_until("it is told", |group| group.machines[&gone].halted == Some(HaltReason::Removed));
    assert!(group.machines[&gone].events.contains(&Event::Removed));
}

#[test]
fn changes_that_cannot_be_are_refused_and_say_why() {
    let mut group = grown();
    let master = group.the_master();
    let other = group.ids().into_iter().find(|id| *id != master).unwrap();
    let name = group.machines[&other].name.clone();
    let incarnation = Incarnation([99; 16]);

    let refused = |group: &mut Group, change| group.changed(change).unwrap_err();
    let twin = Change::Add(group.newcomer(&name, incarnation));
    assert_eq!(refused(&mut group, twin), NotChanged::LiveTwin { name });
    assert_eq!(refused(&mut group, Change::Remove { id: master }), NotChanged::IsMaster);
    let nobody = NodeId::new(77);
    let unknown = NotChanged::UnknownMember { id: nobody };
    assert_eq!(refused(&mut group, Change::Remove { id: nobody }), unknown);
    let unnamed = Change::Add(group.newcomer("", incarnation));
    assert!(matches!(refused(&mut group, unnamed), NotChanged::Invalid { .. }));
    let apart = Change::Quorums(Quorums::Sizes { election: 2, commit: 1 });
    assert!(matches!(refused(&mut group, apart), NotChanged::Apart { .. }));
    let request = group.change(other, Change::Remove { id: master });
    assert_eq!(group.changed[&request], Err(NotChanged::NotMaster { master: Some(master) }));
}

#[test]
fn a_change_that_loses_the_quorum_of_the_living_is_refused_unless_forced() {
    let mut group = grown();
    let master = group.the_master();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    group.crash(others[0]);
    group.run_for(Duration::from_secs(2));
    let remove = Change::Remove { id: others[1] };
    let request = group.change(master, remove.clone());
    group.run_until("it is judged", |group| group.changed.contains_key(&request));
    assert_eq!(group.changed[&request], Err(NotChanged::LosesQuorum { live: 1, needed: 2 }));
    let remove_the_dead = Change::Remove { id: others[0] };
    assert!(group.changed(remove_the_dead).is_ok(), "two of two are live");
    assert!(committed(&mut group, "two go on"));
}

#[test]
fn a_member_that_is_known_already_is_admitted_again_for_nothing() {
    let mut group = grown();
    let master = group.the_master();
    let at = group.membership(master).at;
    let incarnation = group.machines[&NodeId::new(2)].incarnation;
    let again = Change::Add(group.newcomer("n2", incarnation));
    assert_eq!(group.changed(again).unwrap().at, at);
}

#[test]
fn a_wiped_directory_comes_back_under_another_number_and_votes() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    assert!(committed(&mut group, "kept"));
    let master = group.the_master();
    let lost = group.ids().into_iter().find(|id| *id != master).unwrap();
    group.crash(lost);
    group.wipe(lost);
    group.start(lost);
    group.run_until("it asks to be admitted", |group| group.machines[&lost].asks);
    let said = group.node(lost).status(group.now).problems;
    assert!(said[0].contains("asked to admit it"), "{said:?}");
    let (name, incarnation) =
        (group.machines[&lost].name.clone(), group.machines[&lost].incarnation);
    let newcomer = group.newcomer(&name, incarnation);
    let early = group.changed(Change::Add(newcomer.clone()));
    assert_eq!(early, Err(NotChanged::LiveTwin { name }), "it was heard a moment ago");
    group.run_for(Duration::from_secs(3));
    let made = group.changed(Change::Add(newcomer)).unwrap();
    assert!(made.has_removed(lost), "the number that it had is gone");
    let back = group.take_place(lost, &made);
    assert_eq!(back, NodeId::new(4));
    group.run_until("it votes", |group| group.votes(back));
    group.run_until("it has the data", |group| !group.payloads(back).is_empty());
    let third = group.ids().into_iter().find(|id| *id != master && *id != back).unwrap();
    group.crash(third);
    assert!(committed(&mut group, "with its copy"));
}

#[test]
fn a_removal_that_dies_with_its_master_leaves_the_others_able_to_elect() {
    changes::a_removal_that_dies_with_its_master_leaves_the_others_able_to_elect();
}

#[test]
fn a_change_that_is_rolled_back_rules_no_more() {
    changes::a_change_that_is_rolled_back_rules_no_more();
}

#[test]
fn one_change_is_in_flight_at_a_time_and_the_next_waits_for_it() {
    changes::one_change_is_in_flight_at_a_time_and_the_next_waits_for_it();
}

#[test]
fn a_change_waits_for_the_begin_of_the_term() {
    changes::a_change_waits_for_the_begin_of_the_term();
}

#[test]
fn what_is_recorded_of_a_member_can_be_changed() {
    let mut group = grown();
    let master = group.the_master();
    let other = group.ids().into_iter().find(|id| *id != master).unwrap();
    let address = Some("elsewhere:7".to_owned());
    let made = group
        .changed(Change::Update {
            id: other,
            address,
            priority: Some(9),
            attributes: Default::default(),
        })
        .unwrap();
    assert_eq!(made.members[&other].address, "elsewhere:7");
    group.run_until("everybody knows", |group| {
        let knows = |id: NodeId| {
            group.node(id).contacts().any(|it| it.id == other && it.address == "elsewhere:7")
        };
        group.ids().into_iter().all(knows)
    });
    // The preferred one is elected next.
    assert!(committed(&mut group, "all have it"));
    group.run_for(Duration::from_secs(1));
    group.crash(master);
    group.run_until("the preferred master", |group| group.master() == Some(other));
}

#[test]
fn quorums_of_chosen_sizes_are_kept_to() {
    let mut group = grown();
    let made = group.changed(Change::Quorums(Quorums::Sizes { election: 3, commit: 1 }));
    assert!(matches!(made, Err(NotChanged::Apart { .. })), "a lone commit misses old elections");
    let made = group.changed(Change::Quorums(Quorums::Sizes { election: 2, commit: 3 })).unwrap();
    assert_eq!(made.electorate().commit_need, 3);
    let master = group.the_master();
    assert_eq!(group.node(master).admission(group.now).needed, 3);
}

#[test]
fn every_member_that_is_moved_leaves_the_group_as_able_as_before() {
    let mut group = grown();
    for name in ["m1", "m2", "m3"] {
        group.join(name);
        assert!(committed(&mut group, name));
        let master = group.the_master();
        let old = group
            .ids()
            .into_iter()
            .find(|id| *id != master && group.machines[id].name.starts_with('n'));
        if let Some(old) = old {
            group.changed(Change::Remove { id: old }).unwrap();
            group.run_until("it is told", |group| group.machines[&old].halted.is_some());
            group.machines.remove(&old);
        }
    }
    let last = group.the_master();
    assert!(group.machines[&last].name.starts_with('n'), "the master was not asked to go yet");
    let heir = group.number_of(last, "m1").unwrap();
    group.transfer(last, &[heir], false);
    group.run_until("handed over", |group| group.master() == Some(heir));
    group.changed(Change::Remove { id: last }).unwrap();
    group.run_until("it is told", |group| group.machines[&last].halted.is_some());
    let names: Vec<String> =
        group.membership(heir).members.values().map(|member| member.name.clone()).collect();
    assert_eq!(names, ["m1", "m2", "m3"]);
    assert!(committed(&mut group, "all new"));
}

#[test]
fn a_member_that_lags_hears_of_a_master_that_its_log_does_not_know() {
    let mut group = grown();
    let lags = group.ids().into_iter().find(|id| *id != group.the_master()).unwrap();
    group.crash(lags);
    let fourth = group.join("n4");
    let fifth = group.join("n5");
    group.run_until("all are in sync", Group::in_sync);
    let master = group.the_master();
    group.transfer(master, &[fifth], false);
    group.run_until("handed over", |group| group.master() == Some(fifth));
    group.isolate(fifth);
    group.heal();
    let _ = fourth;
    group.start(lags);
    group.run_until("it follows whom it did not know", |group| {
        group.node(lags).master() == Some(fifth) && group.in_sync()
    });
}

#[test]
fn a_membership_says_on_the_wire_what_it_says_in_the_log() {
    let group = grown();
    let membership = group.membership(group.the_master());
    let bytes = membership.encode();
    assert_eq!(&Membership::decode(&bytes).unwrap(), membership);
    for length in 0..bytes.len() {
        assert!(Membership::decode(&bytes[..length]).is_err(), "{length}");
    }
    assert!(membership.at.vlsn > Vlsn::FIRST);
}

#[test]
fn no_two_members_have_one_address() {
    changes::no_two_members_have_one_address();
}

/// Far more are removed after it than one entry used to remember.
#[test]
fn who_was_removed_long_ago_is_told_and_its_number_is_not_given_out() {
    let mut group = grown();
    let master = group.the_master();
    let gone = group.ids().into_iter().find(|id| *id != master).unwrap();
    let directory = group.machines[&gone].incarnation;
    group.crash(gone);
    let mut numbers = std::collections::BTreeSet::from([gone]);
    group.run_for(Duration::from_secs(5));
    group.changed(Change::Remove { id: gone }).unwrap();
    for number in 0..40u8 {
        let mut visitor = group.newcomer(&format!("v{number}"), Incarnation([number + 100; 16]));
        visitor.kind = MemberType::Monitor;
        let made = group.changed(Change::Add(visitor)).unwrap();
        let id = made.named(&format!("v{number}")).unwrap().id;
        assert!(numbers.insert(id), "{id} was given out twice");
        group.changed(Change::Remove { id }).unwrap();
    }
    let mut again = group.newcomer("again", directory);
    assert_eq!(group.changed(Change::Add(again.clone())), Err(NotChanged::WasRemoved));
    again.incarnation = Incarnation([102; 16]);
    assert_eq!(group.changed(Change::Add(again)), Err(NotChanged::WasRemoved));
    group.start(gone);
    group.run_until("it is told", |group| group.machines[&gone].halted.is_some());
    assert_eq!(group.machines[&gone].halted, Some(HaltReason::Removed));
}

/// However many go, an entry has a bound.
#[test]
fn the_oldest_that_were_removed_are_forgotten_when_there_is_no_room() {
    let mut group = Group::founded_by("n1");
    let remove = |group: &mut Group, name: &str, number: u32| {
        let mut incarnation = [7; 16];
        incarnation[..4].copy_from_slice(&number.to_le_bytes());
        let mut visitor = group.newcomer(name, Incarnation(incarnation));
        visitor.kind = MemberType::Monitor;
        let made = group.changed(Change::Add(visitor)).unwrap();
        let id = made.named(name).unwrap().id;
        group.changed(Change::Remove { id }).unwrap().removed
    };
    for number in 0..260 {
        let removed = remove(&mut group, &format!("v{number}"), number);
        assert_eq!(removed.len(), (number as usize + 1).min(REMOVED_MAX));
    }
    let long = "x".repeat(200);
    let kept = (0..60).map(|number| remove(&mut group, &format!("{long}{number}"), 900 + number));
    let kept = kept.last().unwrap();
    let bytes: usize = kept.iter().map(|removed| removed.name.len() + 16).sum();
    assert!(bytes <= REMOVED_BYTES_MAX && kept.len() < 40, "{bytes} bytes of {}", kept.len());
}
