//! Reads on whole groups of pure nodes: who may serve what, and when.

#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use rep_node::{Message, NodeState, Outcome, PeerError, READS_WAITING_MAX, ReadKind, Request};
use rep_vlsn::{LogPoint, NodeId, Term, Vlsn};
use std::time::Duration;

const QUESTION: &str = "read index question";
const REPLY: &str = "read index reply";
const HEARTBEAT: &str = "heartbeat";

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Three nodes in sync: the master, and the two others.
fn in_sync() -> (Group, NodeId, [NodeId; 2]) {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let master = group.master().unwrap();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    let replicas = [others[0], others[1]];
    group.run_until("in sync", |group| {
        replicas.iter().all(|id| group.node(*id).state() == NodeState::Replica)
    });
    (group, master, replicas)
}

fn commit(group: &mut Group, master: NodeId, payload: &str) -> LogPoint {
    let request = group.propose(master, payload);
    group.run_until("committed", |group| group.outcome(master, request).is_some());
    match group.outcome(master, request) {
        Some(Outcome::Committed { point }) => *point,
        other => panic!("{other:?}"),
    }
}

fn served(group: &Group, id: NodeId, read: Request) -> Option<LogPoint> {
    match group.outcome(id, read)? {
        Outcome::Read { at } => Some(*at),
        other => panic!("{id} answers {other:?}"),
    }
}

fn bounded(lag: Duration) -> ReadKind {
    ReadKind::Bounded { lag }
}

// ---- linearizable ----

#[test]
fn a_replica_serves_what_the_master_says_was_acknowledged() {
    let (mut group, master, replicas) = in_sync();
    for replica in replicas {
        let point = commit(&mut group, master, "a");
        let read = group.read(replica, ReadKind::Linearizable);
        group.run_until("served", |group| group.outcome(replica, read).is_some());
        assert!(served(&group, replica, read).unwrap().vlsn >= point.vlsn);
    }
}

#[test]
fn a_replica_that_has_not_applied_the_index_waits_until_it_has() {
    let (mut group, master, [slow, _]) = in_sync();
    group.machines.get_mut(&slow).unwrap().hold_log = true;
    let point = commit(&mut group, master, "a");
    let read = group.read(slow, ReadKind::Linearizable);
    group.run_for(ms(300));
    assert_eq!(group.outcome(slow, read), None, "an old value is no answer");
    group.release_disks();
    group.run_until("served", |group| group.outcome(slow, read).is_some());
    assert!(served(&group, slow, read).unwrap().vlsn >= point.vlsn);
}

#[test]
fn a_thousand_reads_at_the_master_cost_two_rounds() {
    // The first begins a round; the others come while it is under way, and ride the next, all of them.
    let (mut group, master, _) = in_sync();
    let before = group.count(HEARTBEAT);
    group.act(master, |node, now| {
        for n in 0..1000 {
            node.read(now, Request(1 << 40 | n), ReadKind::Linearizable, now + ms(500));
        }
    });
    assert_eq!(group.count(HEARTBEAT) - before, 2 * 2, "two rounds to two peers");
    let all = (0..1000).map(|n| served(&group, master, Request(1 << 40 | n)));
    assert!(all.into_iter().all(|at| at.is_some()));
}

#[test]
fn a_thousand_reads_at_a_replica_cost_two_questions() {
    let (mut group, _, [replica, _]) = in_sync();
    group.act(replica, |node, now| {
        for n in 0..1000 {
            node.read(now, Request(1 << 40 | n), ReadKind::Linearizable, now + ms(500));
        }
    });
    assert_eq!((group.count(QUESTION), group.count(REPLY)), (2, 2));
    let all = (0..1000).map(|n| served(&group, replica, Request(1 << 40 | n)));
    assert!(all.into_iter().all(|at| at.is_some()));
}

#[test]
fn a_lost_question_or_answer_is_made_good_under_the_same_number() {
    for lost in [QUESTION, REPLY] {
        let (mut group, _, [replica, _]) = in_sync();
        group.lose.insert(lost);
        let read = group.read(replica, ReadKind::Linearizable);
        let first = group.sent[QUESTION].1.clone();
        group.run_for(ms(250));
        assert_eq!(group.outcome(replica, read), None);
        assert_eq!((group.count(QUESTION), &group.sent[QUESTION].1), (2, &first));
        group.lose.clear();
        group.run_until("served", |group| group.outcome(replica, read).is_some());
        served(&group, replica, read).unwrap();
        assert_eq!((group.count(QUESTION), &group.sent[QUESTION].1), (3, &first));
    }
}

#[test]
fn a_master_that_hears_no_quorum_answers_no_replica() {
    let (mut group, master, [replica, other]) = in_sync();
    group.lose.insert("heartbeat reply");
    group.crash(other);
    let read = group.read(replica, ReadKind::Linearizable);
    group.run_for(ms(100));
    assert_eq!((group.count(QUESTION), group.count(REPLY)), (1, 0));
    assert_eq!(group.outcome(replica, read), None);
    assert_eq!(group.node(master).state(), NodeState::Master);
}

#[test]
fn a_read_outlives_its_master_and_is_served_by_the_next() {
    let (mut group, master, [a, b]) = in_sync();
    let point = commit(&mut group, master, "kept");
    group.lose.insert(REPLY);
    let reads = [a, b].map(|id| (id, group.read(id, ReadKind::Linearizable)));
    group.crash(master);
    group.lose.clear();
    group.run_until("both are served", |group| {
        reads.iter().all(|(id, read)| group.outcome(*id, *read).is_some())
    });
    for (id, read) in reads {
        assert!(served(&group, id, read).unwrap().vlsn > point.vlsn, "the next term has begun");
    }
}

#[test]
fn a_deposed_master_serves_its_own_reads_by_its_successor() {
    let (mut group, old, _) = in_sync();
    group.isolate(old);
    let read = group.read(old, ReadKind::Linearizable);
    group.run_until("another master", |group| group.master().is_some_and(|id| id != old));
    let new = group.master().unwrap();
    let point = commit(&mut group, new, "new");
    assert_eq!(group.outcome(old, read), None);
    group.heal();
    group.run_until("an answer", |group| group.outcome(old, read).is_some());
    match group.outcome(old, read) {
        Some(Outcome::Read { at }) => assert!(at.vlsn >= point.vlsn),
        Some(Outcome::NotMaster { .. } | Outcome::ReadTimeout) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_master_a_read_runs_out_of_time_and_says_who_to_ask() {
    let (mut group, master, [a, b]) = in_sync();
    group.crash(master);
    group.crash(b);
    let read = group.read(a, ReadKind::Linearizable);
    group.run_until("an answer", |group| group.outcome(a, read).is_some());
    assert_eq!(group.outcome(a, read), Some(&Outcome::NotMaster { master: None }));
}

#[test]
fn no_index_is_given_before_the_term_has_begun_durably() {
    // A new master that has not heard the last watermark knows less to be durable than its predecessor acknowledged.
    let (mut group, master, [a, b]) = in_sync();
    let point = commit(&mut group, master, "acknowledged");
    group.crash(master);
    for id in [a, b] {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    let crowned = |group: &Group| {
        [a, b].into_iter().find(|id| {
            group.node(*id).admission(group.now).term > point.term
                && group.node(*id).master() == Some(*id)
        })
    };
    group.run_until("a crown", |group| crowned(group).is_some());
    let new = crowned(&group).unwrap();
    let replica = if new == a { b } else { a };
    let reads = [new, replica].map(|id| (id, group.read(id, ReadKind::Linearizable)));
    let lags = [new, replica].map(|id| (id, group.read(id, bounded(Duration::ZERO))));
    group.run_for(ms(300));
    assert!(reads.iter().chain(&lags).all(|(id, read)| group.outcome(*id, *read).is_none()));
    group.release_disks();
    group.run_until("both are served", |group| {
        reads.iter().all(|(id, read)| group.outcome(*id, *read).is_some())
    });
    for (id, read) in reads {
        assert!(served(&group, id, read).unwrap().vlsn > point.vlsn);
    }
}

#[test]
fn an_answer_to_another_question_is_dropped() {
    let (mut group, master, [replica, other]) = in_sync();
    group.lose.insert(REPLY);
    let read = group.read(replica, ReadKind::Linearizable);
    let Message::ReadIndex { term, number } = group.sent[QUESTION].1.clone() else { panic!() };
    let right = group.peer_link(replica, master);
    let wrong = group.peer_link(replica, other);
    let index = Vlsn::new(1);
    for (link, term, number) in [
        (right, term, number - 1),
        (right, term, number + 1),
        (right, term.next(), number),
        (wrong, term, number),
    ] {
        group.act(replica, |node, now| {
            let late = Message::ReadIndexReply { term, number, index };
            node.handle_message(now, link, late).unwrap();
        });
        assert_eq!(group.outcome(replica, read), None, "{link:?} {term} {number}");
    }
    group.act(replica, |node, now| {
        let meant = Message::ReadIndexReply { term, number, index };
        node.handle_message(now, right, meant).unwrap();
    });
    served(&group, replica, read).unwrap();
}

#[test]
fn who_is_no_master_of_that_term_says_so_and_the_asker_tries_again() {
    let (mut group, master, [replica, other]) = in_sync();
    let link = group.peer_link(other, replica);
    group.act(other, |node, now| {
        node.handle_message(now, link, Message::ReadIndex { term: node.term(), number: 7 })
            .unwrap();
    });
    let refusal =
        Message::ReadIndexReply { term: group.node(other).term(), number: 7, index: Vlsn::NULL };
    assert_eq!(group.sent[REPLY].1, refusal);
    let link = group.peer_link(master, replica);
    group.act(master, |node, now| {
        node.handle_message(now, link, Message::ReadIndex { term: Term::new(0), number: 8 })
            .unwrap();
    });
    assert!(matches!(
        group.sent[REPLY].1,
        Message::ReadIndexReply { index: Vlsn::NULL, number: 8, .. }
    ));
    group.lose.insert(REPLY);
    let read = group.read(replica, ReadKind::Linearizable);
    let Message::ReadIndex { term, number } = group.sent[QUESTION].1.clone() else { panic!() };
    group.lose.clear();
    let link = group.peer_link(replica, master);
    group.act(replica, |node, now| {
        let refused = Message::ReadIndexReply { term, number, index: Vlsn::NULL };
        node.handle_message(now, link, refused).unwrap();
    });
    let asked = group.count(QUESTION);
    assert_eq!(group.outcome(replica, read), None);
    group.run_until("served", |group| group.outcome(replica, read).is_some());
    assert_eq!(group.count(QUESTION), asked + 1, "after a pause, once");
    served(&group, replica, read).unwrap();
}

#[test]
fn a_question_without_a_number_is_refused_as_malformed() {
    let (mut group, master, [replica, _]) = in_sync();
    let link = group.peer_link(master, replica);
    group.act(master, |node, now| {
        let result =
            node.handle_message(now, link, Message::ReadIndex { term: node.term(), number: 0 });
        assert!(matches!(result, Err(PeerError::Malformed(_))));
    });
}

#[test]
fn one_member_has_one_question_at_the_master() {
    let (mut group, master, [replica, _]) = in_sync();
    group.lose.insert("heartbeat reply");
    let link = group.peer_link(master, replica);
    group.act(master, |node, now| {
        for number in 1..=1000 {
            let term = node.term();
            node.handle_message(now, link, Message::ReadIndex { term, number }).unwrap();
        }
    });
    group.lose.clear();
    group.run_until("answered", |group| group.count(REPLY) > 0);
    assert_eq!(group.count(REPLY), 1);
    assert!(matches!(group.sent[REPLY].1, Message::ReadIndexReply { number: 1000, .. }));
}

// ---- how many may wait ----

/// Without a master a linearizable read waits until its deadline. Clients that go on asking would fill the memory of the
/// node, the faster the less it can do for them.
#[test]
fn reads_that_would_wait_where_too_many_do_are_refused_and_the_others_go_on() {
    let (mut group, master, [a, b]) = in_sync();
    let point = commit(&mut group, master, "a");
    let id = group.node(a).group().unwrap();
    group.run_until("applied", |group| [a, b].iter().all(|id| group.node(*id).applied() >= point));
    group.crash(master);
    group.crash(b);
    let number = |n: usize| Request(1 << 40 | n as u64);
    group.act(a, |node, now| {
        for n in 0..=READS_WAITING_MAX {
            node.read(now, number(n), ReadKind::Linearizable, now + ms(500));
        }
    });
    let refused = Outcome::TooManyReads { waiting: READS_WAITING_MAX };
    assert_eq!(group.outcome(a, number(READS_WAITING_MAX)), Some(&refused));
    assert_eq!(group.outcome(a, number(READS_WAITING_MAX - 1)), None);
    let at_once = group.read(a, ReadKind::AtLeast { group: id, point });
    assert_eq!(served(&group, a, at_once), Some(point), "what need not wait is served");
    group.run_for(ms(500));
    let told = (0..READS_WAITING_MAX).filter_map(|n| group.outcome(a, number(n)));
    assert_eq!(told.count(), READS_WAITING_MAX, "all run out of time");
    let room = group.read(a, ReadKind::Linearizable);
    assert_eq!(group.outcome(a, room), None, "there is room again");
}

// ---- bounded lag ----

#[test]
fn an_idle_group_serves_bounded_reads_by_asking() {
    let (mut group, master, [replica, _]) = in_sync();
    group.run_for(Duration::from_secs(10));
    for lag in [ms(0), ms(1), ms(1000)] {
        for id in [master, replica] {
            let read = group.read(id, bounded(lag));
            group.run_until("served", |group| group.outcome(id, read).is_some());
            served(&group, id, read).unwrap();
        }
    }
}

#[test]
fn evidence_that_is_young_enough_is_used_again() {
    let (mut group, _, [replica, _]) = in_sync();
    for _ in 0..100 {
        let read = group.read(replica, bounded(ms(1000)));
        assert!(served(&group, replica, read).is_some());
        group.run_for(ms(5));
    }
    assert_eq!(group.count(QUESTION), 1);
}

#[test]
fn a_replica_that_has_lost_its_master_serves_as_long_as_the_bound_allows() {
    let (mut group, master, [replica, _]) = in_sync();
    let first = group.read(replica, bounded(ms(0)));
    assert!(served(&group, replica, first).is_some());
    group.isolate(replica);
    group.run_for(ms(300));
    let old = group.read(replica, bounded(ms(200)));
    let allowed = group.read(replica, bounded(ms(400)));
    assert!(served(&group, replica, allowed).is_some());
    assert_eq!(group.outcome(replica, old), None);
    commit(&mut group, master, "not seen there");
    group.run_until("an answer", |group| group.outcome(replica, old).is_some());
    assert_eq!(group.outcome(replica, old), Some(&Outcome::ReadTimeout));
}

#[test]
fn a_master_that_may_be_deposed_refuses_what_its_last_round_does_not_cover() {
    let (mut group, master, _) = in_sync();
    group.run_for(ms(150));
    group.isolate(master);
    group.run_for(ms(300));
    assert_eq!(group.node(master).state(), NodeState::Master, "it does not know yet");
    let read = group.read(master, bounded(ms(150)));
    assert_eq!(group.outcome(master, read), None);
    let read = group.read(master, bounded(ms(500)));
    assert!(served(&group, master, read).is_some());
}

#[test]
fn evidence_counts_from_the_question_and_not_from_its_answer() {
    let (mut group, master, [replica, _]) = in_sync();
    group.lose.insert(REPLY);
    let slow = group.read(replica, bounded(ms(50)));
    let Message::ReadIndex { term, number } = group.sent[QUESTION].1.clone() else { panic!() };
    group.run_for(ms(100));
    let link = group.peer_link(replica, master);
    let index = group.node(replica).dvlsn();
    let asked = group.count(QUESTION);
    group.act(replica, |node, now| {
        let answer = Message::ReadIndexReply { term, number, index };
        node.handle_message(now, link, answer).unwrap();
    });
    assert_eq!(group.outcome(replica, slow), None, "the answer is 100 ms old as it arrives");
    let patient = group.read(replica, bounded(ms(150)));
    assert!(served(&group, replica, patient).is_some());
    group.run_for(ms(50));
    assert_eq!(group.count(QUESTION), asked, "asking again at once would end the same way");
    group.lose.clear();
    group.run_until("served", |group| group.outcome(replica, slow).is_some());
    served(&group, replica, slow).unwrap();
}

#[test]
fn a_replica_too_far_behind_is_not_served_until_what_it_shows_is_young_enough() {
    let (mut group, master, [slow, _]) = in_sync();
    group.machines.get_mut(&slow).unwrap().hold_log = true;
    let missed = commit(&mut group, master, "a");
    let read = group.read(slow, bounded(ms(100)));
    group.run_for(ms(450));
    assert_eq!(group.outcome(slow, read), None);
    assert!((3..=6).contains(&group.count(QUESTION)), "{}", group.count(QUESTION));
    group.release_disks();
    group.run_until("served", |group| group.outcome(slow, read).is_some());
    assert!(served(&group, slow, read).unwrap().vlsn >= missed.vlsn);
}

/// One wrong answer of a master, whose index no log will ever reach, once kept a replica from serving bounded reads until
/// it was restarted: what it learnt later waited behind it.
#[test]
fn an_index_that_is_never_reached_holds_up_no_later_read() {
    let (mut group, master, [replica, _]) = in_sync();
    group.lose.insert(REPLY);
    let misled = group.read(replica, ReadKind::Linearizable);
    let Message::ReadIndex { term, number } = group.sent[QUESTION].1.clone() else { panic!() };
    let link = group.peer_link(replica, master);
    group.act(replica, |node, now| {
        let wrong = Message::ReadIndexReply { term, number, index: Vlsn::new(u64::MAX) };
        node.handle_message(now, link, wrong).unwrap();
    });
    group.lose.clear();
    group.run_for(ms(10));
    for kind in [bounded(ms(5)), ReadKind::Linearizable] {
        let read = group.read(replica, kind);
        group.run_until("served", |group| group.outcome(replica, read).is_some());
        served(&group, replica, read).unwrap();
    }
    group.run_until("an answer", |group| group.outcome(replica, misled).is_some());
    assert_eq!(group.outcome(replica, misled), Some(&Outcome::ReadTimeout));
}
