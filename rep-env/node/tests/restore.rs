//! A member that its group's logs have left behind is given a copy, takes it only if nothing is lost by it, and does nothing between the
//! end of the copying and the opening.

#[path = "harness/group.rs"]
mod harness;
#[path = "harness/stragglers.rs"]
mod stragglers;
#[path = "harness/stranded.rs"]
mod stranded;

use bytes::Bytes;
use harness::Group;
use rep_node::rep_stream::restore::Manifest;
use rep_node::{
    Event, NodeState, NotCancelled, NotOffered, NotRestored, NotTransferred, Outcome, ReadKind,
    RestoreNews, Role, check_manifest, names_member,
};
use rep_vlsn::{Beginning, Draft, GroupId, Incarnation, Kind, LogPoint, NodeId, Term, Vlsn};
use std::time::Duration;
use stranded::{Stranded, TAKER, in_sync, problems};

#[test]
fn who_is_too_far_behind_asks_the_replica_and_then_the_master() {
    let Stranded { group, master, replica, lost } = Stranded::new();
    let (_, sources, at_least) = group.machines[&lost].fetch.clone().expect("asks");
    assert_eq!(sources, [replica, master]);
    assert_eq!(at_least, group.machines[&master].first);
    assert_ne!(group.node(lost).state(), NodeState::Replica);
    let problems = problems(&group, lost);
    assert!(problems.iter().any(|said| said == "asks for a copy of the state"), "{problems:?}");
}

#[test]
fn with_the_copy_in_place_it_follows_and_is_asked_for_no_other() {
    let mut stranded = Stranded::new();
    stranded.is_given_a_copy();
    let Stranded { mut group, master, lost, .. } = stranded;
    group.run_until("follows", |group| group.node(lost).state() == NodeState::Replica);
    assert_eq!(group.machines[&lost].fetch, None);
    let write = group.propose(master, "after");
    group.run_until("committed", |group| group.outcome(master, write).is_some());
    let same = |group: &Group| group.node(lost).applied() == group.node(master).applied();
    group.run_until("applies what the others do", same);
    let events = &group.machines[&lost].events;
    assert!(events.iter().any(|event| matches!(event, Event::Restored { .. })), "{events:?}");
}

#[test]
fn while_the_copy_is_fetched_the_member_votes() {
    let Stranded { mut group, master, lost, replica } = Stranded::new();
    group.kill(master);
    group.run_until("elected by the stranded one", |group| group.master() == Some(replica));
    assert!(group.machines[&lost].events.iter().any(|e| matches!(e, Event::NeedsRestore { .. })));
}

#[test]
fn a_copy_that_is_not_below_the_last_entry_is_taken_and_one_below_is_not() {
    stranded::a_copy_below_the_last_entry_is_not_taken();
}

#[test]
fn a_copy_that_the_masters_log_has_left_behind_is_not_put_in_place() {
    stranded::a_copy_that_leads_to_no_stream_is_not_put_in_place();
}

/// What the member has beyond it is of an earlier term, and was never durable. Refused, such a copy would be refused for ever.
#[test]
fn a_copy_of_a_later_term_is_taken_though_it_holds_fewer_entries() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3", "n4", "n5"]);
    let (source, lost) = (others[0], others[3]);
    let last = group.node(lost).log().last();
    group.act(lost, |node, now| node.restore_from(now, source).expect("it may be ordered"));
    group.kill(master);
    let reigns = |group: &Group| group.master().filter(|id| *id != lost);
    group.run_until("another one is elected", |group| {
        let Some(id) = reigns(group) else { return false };
        group.node(lost).term() == group.node(id).term()
    });
    let fewer = LogPoint::new(group.node(lost).term(), last.vlsn.prev());
    stranded::news(&mut group, lost, RestoreNews::Fetched { point: fewer });
    assert_eq!(group.machines[&lost].reopens, Some(fewer));
}

#[test]
fn a_copy_of_a_term_that_was_not_heard_of_is_fetched_again_later() {
    let Stranded { mut group, lost, .. } = Stranded::new();
    let last = group.node(lost).log().last();
    let unheard = LogPoint::new(Term::new(99), last.vlsn.next());
    stranded::news(&mut group, lost, RestoreNews::Fetched { point: unheard });
    assert_eq!(group.machines[&lost].reopens, None);
    assert_eq!(group.machines[&lost].fetch, None);
    group.run_until("asks again", |group| group.machines[&lost].fetch.is_some());
}

#[test]
fn from_the_end_of_the_copying_on_it_does_nothing() {
    stranded::a_member_that_makes_way_does_nothing();
}

#[test]
fn the_reads_that_wait_are_handed_on_and_served_by_the_next_node() {
    let mut stranded = Stranded::new();
    let (master, lost) = (stranded.master, stranded.lost);
    let group = &mut stranded.group;
    let own = group.node(master).group().unwrap();
    let kind = ReadKind::AtLeast { group: own, point: group.node(master).log().last() };
    let before = group.read(lost, kind);
    stranded.copy_is_complete();
    let group = &mut stranded.group;
    let during = group.read(lost, kind);
    assert_eq!(group.outcome(lost, before), None);
    assert_eq!(group.outcome(lost, during), None);
    let mut reads = Vec::new();
    group.act(lost, |node, _| reads = node.take_reads());
    let taken: Vec<_> = reads.iter().map(|read| read.request).collect();
    assert_eq!(taken, [before, during]);
    stranded.copy_is_put_in_place();
    let mut group = stranded.group;
    for read in reads {
        group.act(lost, |node, now| node.read(now, read.request, read.kind, read.deadline));
    }
    group.run_until("served", |group| group.outcome(lost, during).is_some());
    for read in [before, during] {
        let outcome = group.outcome(lost, read);
        assert!(matches!(outcome, Some(Outcome::Read { .. })), "{outcome:?}");
    }
}

#[test]
fn nobody_is_left_to_ask_and_later_somebody_is() {
    let Stranded { mut group, lost, replica, .. } = Stranded::new();
    stranded::news(&mut group, lost, RestoreNews::Began { source: replica });
    let progress = RestoreNews::Progress { bytes: 3 << 20, chunks: 40, of: Some((3, 6)) };
    stranded::news(&mut group, lost, progress);
    let said = problems(&group, lost).join("\n");
    assert!(said.contains("is being given a copy by n"), "{said}");
    assert!(said.contains("3.0 MiB") && said.contains("50 % done"), "{said}");
    let refused = RestoreNews::Refused { by: replica, reason: "no mood".into() };
    stranded::news(&mut group, lost, refused);
    stranded::fails(&mut group, lost, "nobody is left");
    let said = problems(&group, lost).join("\n");
    assert!(said.contains("needs a copy of the state at entry"), "{said}");
    group.run_until("asks again", |group| group.machines[&lost].fetch.is_some());
}

#[test]
fn news_of_a_fetch_that_is_over_is_no_news() {
    let Stranded { mut group, lost, master, .. } = Stranded::new();
    let (over, ..) = group.machines[&lost].fetch.clone().unwrap();
    stranded::fails(&mut group, lost, "for now");
    group.run_until("asks again", |group| group.machines[&lost].fetch.is_some());
    let point = group.node(master).applied();
    group.act(lost, |node, now| node.handle_restore(now, over, RestoreNews::Fetched { point }));
    assert_eq!(group.machines[&lost].reopens, None);
}

#[test]
fn who_can_follow_a_master_after_all_fetches_no_more() {
    let Stranded { mut group, master, lost, replica } = Stranded::new();
    // The replica's log was not cleaned: it may be master, and has all that is needed.
    let term = group.node(master).term();
    group.transfer(master, &[replica], false);
    group.run_until("another master", |group| group.master() == Some(replica));
    assert!(group.node(replica).term() > term);
    group.run_until("follows", |group| group.node(lost).state() == NodeState::Replica);
    assert_eq!(group.machines[&lost].fetch, None);
    assert_eq!(group.node(lost).restore_progress(group.now), None);
}

#[test]
fn after_a_copy_that_led_to_no_stream_the_master_is_asked_first() {
    let mut stranded = Stranded::new();
    stranded.copy_is_complete();
    let point = stranded.group.machines[&stranded.lost].reopens.unwrap();
    // The master's log goes on without it before it is back.
    let group = &mut stranded.group;
    group.kill(stranded.lost);
    stranded::leave_behind(group, stranded.master, point.vlsn);
    stranded.copy_is_put_in_place();
    let Stranded { group, master, replica, lost } = &mut stranded;
    group.run_until("asks again", |group| group.machines[lost].fetch.is_some());
    let (_, sources, _) = group.machines[lost].fetch.clone().unwrap();
    assert_eq!(sources, [*master, *replica]);
}

// ---- by order ----

#[test]
fn a_copy_is_fetched_by_order_from_whom_the_order_names() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let (me, source) = (others[0], others[1]);
    group.act(me, |node, now| node.restore_from(now, source).unwrap());
    let (_, sources, _) = group.machines[&me].fetch.clone().unwrap();
    assert_eq!(sources, [source]);
    let write = group.propose(master, "meanwhile");
    group.run_until("committed", |group| group.outcome(master, write).is_some());
    let (state, last) = (group.node(me).state(), group.node(me).log().last());
    assert_eq!(state, NodeState::Unknown, "it follows no stream");
    group.run_until("the source has applied it", |group| group.node(source).applied() > last);
    let point = group.node(source).applied();
    stranded::news(&mut group, me, RestoreNews::Fetched { point });
    assert_eq!(group.machines[&me].reopens, Some(point));
    group.install(me, source, point);
    group.run_until("follows", |group| group.node(me).state() == NodeState::Replica);
}

#[test]
fn an_order_that_cannot_be_followed_is_given_up_and_the_stream_goes_on() {
    let (mut group, _, others) = in_sync(&["n1", "n2", "n3"]);
    let (me, source) = (others[0], others[1]);
    group.act(me, |node, now| node.restore_from(now, source).unwrap());
    for _ in 0..5 {
        group.run_until("asks", |group| group.machines[&me].fetch.is_some());
        stranded::fails(&mut group, me, "busy");
    }
    group.run_until("follows", |group| group.node(me).state() == NodeState::Replica);
    assert_eq!(group.machines[&me].fetch, None);
    assert_eq!(ends(&group, me), ["busy"], "told once, with the last reason");
}

#[test]
fn an_order_is_cancelled_until_the_copy_is_complete_and_what_nobody_ordered_is_not() {
    let (mut group, _, others) = in_sync(&["n1", "n2", "n3"]);
    let (me, source) = (others[0], others[1]);
    let cancel = |group: &mut Group, id| {
        let mut answer = None;
        group.act(id, |node, now| answer = Some(node.cancel_restore(now)));
        answer.unwrap()
    };
    assert_eq!(cancel(&mut group, me), Err(NotCancelled::NoRestore));
    // While it is fetched, and between two attempts.
    for is_fetched in [true, false] {
        group.act(me, |node, now| node.restore_from(now, source).unwrap());
        let (fetch, ..) = group.machines[&me].fetch.clone().unwrap();
        if !is_fetched {
            stranded::fails(&mut group, me, "busy");
        }
        assert_eq!(cancel(&mut group, me), Ok(()));
        assert_eq!(group.machines[&me].fetch, None);
        let point = group.node(source).applied();
        group.act(me, |node, now| node.handle_restore(now, fetch, RestoreNews::Fetched { point }));
        assert_eq!(
            group.machines[&me].reopens, None,
            "a copy that comes all the same is not taken"
        );
        group.run_until("follows", |group| group.node(me).state() == NodeState::Replica);
    }
    assert_eq!(ends(&group, me), ["it was cancelled"; 2]);
    group.act(me, |node, now| node.restore_from(now, source).unwrap());
    let point = group.node(source).applied();
    stranded::news(&mut group, me, RestoreNews::Fetched { point });
    assert_eq!(cancel(&mut group, me), Err(NotCancelled::Complete));
    let Stranded { mut group, lost, .. } = Stranded::new();
    assert_eq!(cancel(&mut group, lost), Err(NotCancelled::NotOrdered));
    assert!(group.machines[&lost].fetch.is_some());
}

/// Why no copy was fetched any more, each time.
fn ends(group: &Group, id: NodeId) -> Vec<&str> {
    fn ended(event: &Event) -> Option<&str> {
        match event {
            Event::RestoreEnded { why } => Some(why),
            _ => None,
        }
    }
    group.machines[&id].events.iter().filter_map(ended).collect()
}

#[test]
fn what_cannot_be_ordered_is_refused_and_says_why() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let (me, stranger) = (others[0], NodeId::new(77));
    let ask = |group: &mut Group, id, source| {
        let mut answer = None;
        group.act(id, |node, now| answer = Some(node.restore_from(now, source)));
        answer.unwrap()
    };
    assert_eq!(ask(&mut group, master, me), Err(NotRestored::Master));
    assert_eq!(ask(&mut group, me, me), Err(NotRestored::UnknownSource { source: me }));
    let unknown = NotRestored::UnknownSource { source: stranger };
    assert_eq!(ask(&mut group, me, stranger), Err(unknown));
    assert_eq!(ask(&mut group, me, master), Ok(()));
    assert_eq!(ask(&mut group, me, master), Err(NotRestored::InProgress));
    group.act(me, |node, now| node.close(now));
    assert_eq!(ask(&mut group, me, master), Err(NotRestored::Closed));
    assert_eq!(group.machines[&me].fetch, None, "a close ends the fetch");
}

// ---- the source ----

#[test]
fn who_is_in_doubt_gives_no_copy() {
    stranded::a_source_in_doubt_gives_nothing();
}

#[test]
fn a_master_gives_a_copy_before_its_term_has_begun() {
    let Stranded { mut group, master, lost, replica } = Stranded::new();
    group.kill(replica);
    let term = group.node(master).term();
    // It is elected again by the one that it has left behind, and without that one no term of it begins.
    group.kill(master);
    group.start(master);
    let reigns = |group: &Group| group.node(master).role() == Role::Leader;
    group.run_until("elected", |group| reigns(group) && group.node(master).term() > term);
    assert_ne!(group.node(master).state(), NodeState::Master);
    group.run_until("asks again", |group| group.machines[&lost].fetch.is_some());
    let (_, _, at_least) = group.machines[&lost].fetch.clone().unwrap();
    let mut offer = None;
    group.act(master, |node, _| offer = Some(node.offer(at_least, TAKER)));
    let point = offer.unwrap().expect("it is the master").point;
    stranded::news(&mut group, lost, RestoreNews::Fetched { point });
    group.install(lost, master, point);
    group.run_until("a term that begins", |group| group.master() == Some(master));
}

#[test]
fn a_source_gives_what_it_has_and_a_few_copies_at_a_time() {
    let (mut group, _, others) = in_sync(&["n1", "n2", "n3"]);
    let applied = group.node(others[0]).applied();
    let mut answers = Vec::new();
    group.act(others[0], |node, _| {
        answers = (0..3).map(|_| node.offer(applied.vlsn, TAKER)).collect();
        let pin = answers[0].unwrap().pin;
        node.unpin(pin);
        answers.push(node.offer(applied.vlsn, TAKER));
        answers.push(node.offer(applied.vlsn.next(), TAKER));
    });
    assert_eq!(answers[0].unwrap().point, applied);
    assert!(answers[1].is_ok() && answers[3].is_ok());
    assert_eq!(answers[2], Err(NotOffered::Busy));
    assert_eq!(answers[4], Err(NotOffered::Busy));
    group.act(others[0], |node, _| answers[1].iter().for_each(|offer| node.unpin(offer.pin)));
    group.act(others[0], |node, _| answers.push(node.offer(applied.vlsn.next(), TAKER)));
    assert_eq!(answers[5], Err(NotOffered::Behind { applied: applied.vlsn }));
}

#[test]
fn the_log_of_a_source_is_kept_from_the_copys_entry_on() {
    stranded::a_pin_keeps_the_log();
}

#[test]
fn what_follows_a_copy_is_kept_until_its_taker_has_caught_up() {
    stranded::the_log_is_kept_until_who_was_given_a_copy_follows();
}

#[test]
fn a_replica_that_gave_a_copy_keeps_no_more_than_any_other() {
    stranded::a_replica_that_gave_a_copy_keeps_no_more_than_any_other();
}

#[test]
fn what_follows_a_copy_is_kept_for_so_long_and_for_so_many_bytes() {
    stranded::a_pin_that_lingers_ends_by_bytes_by_age_and_with_the_member();
}

/// It is no member by then, or was none.
#[test]
fn nothing_is_kept_for_a_copy_that_a_stranger_got_or_that_nobody_got_whole() {
    let (mut group, master, _) = in_sync(&["n1", "n2", "n3"]);
    let at = group.node(master).applied().vlsn;
    group.act(master, |node, now| {
        let pin = node.offer(at, TAKER).unwrap().pin;
        node.copy_given(now, pin, Incarnation([9; 16]));
        let pin = node.offer(at, TAKER).unwrap().pin;
        node.unpin(pin);
        node.copy_given(now, pin, Incarnation([9; 16]));
    });
    stranded::leave_behind(&mut group, master, at);
}

#[test]
fn a_copy_names_the_directories_of_the_members_and_no_others() {
    let (group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let past = group.node(master).past_of(group.node(master).applied()).unwrap();
    let incarnation = group.machines[&others[0]].incarnation;
    assert!(names_member(&past, others[0], incarnation));
    assert!(!names_member(&past, others[1], incarnation), "another member's directory");
    assert!(!names_member(&past, others[0], Incarnation([9; 16])), "a wiped one");
    assert!(!names_member(&past[1..], others[0], incarnation), "no past at all");
    assert!(!names_member(&[], others[0], incarnation));
}

/// What is in a manifest is looked at before anything of the member's own is touched.
#[test]
fn a_copy_is_of_no_use_whose_log_begins_elsewhere() {
    let Stranded { group, master, lost, .. } = Stranded::new();
    let incarnation = group.machines[&lost].incarnation;
    let held = Draft::opening(Kind::GroupFounded, NodeId::new(1), b"").stamp(
        LogPoint::new(Term::new(1), Vlsn::FIRST),
        0,
        0,
    );
    let (node, point) = (group.node(master), held.point());
    let own = node.group().expect("it is founded");
    let past = node.past_of(node.applied()).expect("its log holds it");
    let beginning = Beginning::new(own, LogPoint::NULL, None, held).unwrap().encode();
    let check = |manifest: &Manifest| check_manifest(manifest, lost, incarnation);
    let sound = Manifest::new(own, point, beginning.clone(), past.clone());
    assert_eq!(check(&sound), Ok(()));
    let moved = LogPoint::new(point.term, point.vlsn.next());
    let refused = check(&Manifest::new(own, moved, beginning.clone(), past.clone()));
    assert!(refused.unwrap_err().contains("a log that begins with"));
    let other = GroupId([8; 16]);
    assert!(check(&Manifest::new(other, point, beginning.clone(), past.clone())).is_err());
    let cut = beginning.slice(..beginning.len() - 1);
    assert!(check(&Manifest::new(own, point, cut, past)).unwrap_err().contains("cannot be begun"));
    assert!(check(&Manifest::new(own, point, beginning, Bytes::new())).is_err());
}

#[test]
fn a_pin_ends_with_twice_the_bytes_that_are_kept_for_others() {
    let (mut group, master, _) = in_sync(&["n1", "n2", "n3"]);
    let at = group.node(master).applied().vlsn;
    group.act(master, |node, _| assert!(node.offer(at, TAKER).is_ok()));
    stranded::write(&mut group, master, 20);
    let last = group.node(master).applied().vlsn;
    // Twenty files and more of one byte each, and four bytes that may stay.
    group.checkpoint(master, last);
    assert_eq!(group.machines[&master].first, Vlsn::new(last.get() - 3));
}

#[test]
fn a_member_that_makes_way_hands_nothing_over() {
    let mut stranded = Stranded::new();
    stranded.copy_is_complete();
    let (group, lost) = (&mut stranded.group, stranded.lost);
    let request = group.transfer(lost, &[], false);
    assert_eq!(group.transferred[&request], Err(NotTransferred::NotMaster { master: None }));
    group.run_for(Duration::from_secs(3));
    assert_eq!(group.node(lost).next_timeout(), None);
    group.act(lost, |node, now| node.close(now));
    assert_eq!(group.node(lost).state(), NodeState::Shutdown);
}

#[test]
fn writers_that_nobody_slows_down_leave_a_straggler_behind_each_time() {
    stragglers::without_a_pace_a_straggler_is_given_copy_after_copy();
}

#[test]
fn a_straggler_slower_than_the_writers_converges() {
    stragglers::a_straggler_slower_than_the_writers_converges();
}

#[test]
fn writers_are_slowed_down_for_so_long_and_no_longer() {
    stragglers::writers_are_slowed_down_for_so_long_and_no_longer();
}

#[test]
fn an_entry_is_let_in_every_half_second_whatever_a_straggler_does() {
    stragglers::an_entry_is_let_in_every_half_second();
}

#[test]
fn a_long_entry_is_owed_for_two_seconds() {
    stragglers::a_long_entry_is_owed_for_two_seconds();
}

#[test]
fn nobody_is_waited_for_whose_log_is_gone() {
    stragglers::nobody_is_waited_for_whose_log_is_gone();
}

#[test]
fn the_dead_are_waited_for_a_tenth_of_the_patience() {
    stragglers::the_dead_are_waited_for_a_tenth_of_the_patience();
}

#[test]
fn a_file_is_as_old_as_it_was_before_the_opening() {
    stranded::a_file_is_as_old_as_it_was_before_the_opening();
}

#[test]
fn who_gives_a_copy_already_is_asked_later_and_who_doubts_itself_last() {
    stranded::who_gives_a_copy_already_is_asked_later_and_who_doubts_itself_last();
}

#[test]
fn an_earlier_version_is_told_no_loads() {
    stranded::an_earlier_version_is_told_no_loads();
}

#[test]
fn who_doubts_itself_gives_a_copy_only_where_nobody_else_could() {
    stranded::who_doubts_itself_gives_a_copy_only_where_nobody_else_could();
}
