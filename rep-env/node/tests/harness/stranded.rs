#![allow(dead_code, reason = "each test binary uses its part of the harness")]
//! A group whose logs go on without one of its members; and the rules of giving copies, for the planted bugs to break.

use crate::harness::Group;
use rep_node::{NodeState, NotOffered, RestoreNews, Retention};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Vlsn};
use std::time::Duration;

/// How long anybody is waited for who was given a copy.
const PATIENT: Duration = Duration::from_secs(60);

/// Whoever is given a copy.
pub(crate) const TAKER: Incarnation = Incarnation([9; 16]);

/// Entries are files of one byte each.
const FORGETFUL: Retention = Retention { bytes: 2, age: Duration::from_secs(3600) };

pub(crate) struct Stranded {
    pub(crate) group: Group,
    pub(crate) master: NodeId,
    /// In sync, with a log that was never cleaned.
    pub(crate) replica: NodeId,
    /// The master's log begins after what it needs, and it knows.
    pub(crate) lost: NodeId,
}

/// A group in which everybody follows; its master and the others.
pub(crate) fn in_sync(names: &[&str]) -> (Group, NodeId, Vec<NodeId>) {
    in_sync_keeping(names, FORGETFUL, Duration::ZERO)
}

/// As [`in_sync`], with a log of which so much is kept, and writers that wait so long for a straggler.
pub(crate) fn in_sync_keeping(
    names: &[&str],
    retention: Retention,
    patience: Duration,
) -> (Group, NodeId, Vec<NodeId>) {
    let mut group = Group::new(names);
    (group.retention, group.straggler_patience) = (retention, patience);
    group.start_all();
    let others = |group: &Group| {
        let master = group.master()?;
        let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
        let follows = |id: &NodeId| group.node(*id).state() == NodeState::Replica;
        others.iter().all(follows).then_some((master, others))
    };
    group.run_until("everybody follows", |group| others(group).is_some());
    let (master, others) = others(&group).expect("was looked for");
    write(&mut group, master, 1);
    group.run_until("everybody has applied it", |group| {
        group.ids().iter().all(|id| group.node(*id).applied() == group.node(master).applied())
    });
    (group, master, others)
}

/// Writes that are applied at the master.
pub(crate) fn write(group: &mut Group, master: NodeId, count: usize) {
    for n in 0..count {
        let write = group.propose(master, &format!("w{n}"));
        group.run_until("committed", |group| group.outcome(master, write).is_some());
    }
    let all = |group: &Group| group.node(master).applied() == group.node(master).log().last();
    group.run_until("applied", all);
}

/// The master writes and cleans until its log begins after `vlsn`.
pub(crate) fn leave_behind(group: &mut Group, master: NodeId, vlsn: Vlsn) {
    write(group, master, 8);
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert!(group.machines[&master].first > vlsn.next(), "the log was cleaned");
}

pub(crate) fn news(group: &mut Group, id: NodeId, news: RestoreNews) {
    let (fetch, ..) = group.machines[&id].fetch.clone().expect("it fetches");
    group.act(id, |node, now| node.handle_restore(now, fetch, news));
}

/// The driver gives the fetch up.
pub(crate) fn fails(group: &mut Group, id: NodeId, why: &str) {
    let machine = group.machines.get_mut(&id).unwrap();
    let (fetch, ..) = machine.fetch.take().expect("it fetches");
    let news = RestoreNews::Failed { why: why.into() };
    group.act(id, |node, now| node.handle_restore(now, fetch, news));
}

pub(crate) fn problems(group: &Group, id: NodeId) -> Vec<String> {
    group.node(id).status(group.now).problems
}

impl Stranded {
    pub(crate) fn new() -> Stranded {
        Stranded::of_keeping(FORGETFUL)
    }

    fn of_keeping(retention: Retention) -> Stranded {
        let (mut group, master, others) =
            in_sync_keeping(&["n1", "n2", "n3"], retention, Duration::ZERO);
        let (replica, lost) = (others[0], others[1]);
        group.kill(lost);
        let last = group.machines[&lost].records.last().unwrap().point();
        leave_behind(&mut group, master, last.vlsn);
        group.start(lost);
        group.run_until("asks for a copy", |group| group.machines[&lost].fetch.is_some());
        Stranded { group, master, replica, lost }
    }

    /// What the replica has applied is fetched, and nothing of it is in place.
    pub(crate) fn copy_is_complete(&mut self) {
        let point = self.group.node(self.replica).applied();
        news(&mut self.group, self.lost, RestoreNews::Began { source: self.replica });
        news(&mut self.group, self.lost, RestoreNews::Fetched { point });
        assert_eq!(self.group.machines[&self.lost].reopens, Some(point));
    }

    pub(crate) fn copy_is_put_in_place(&mut self) {
        let point = self.group.machines[&self.lost].reopens.expect("is complete");
        self.group.install(self.lost, self.replica, point);
    }

    /// The master has given its copy whole, and the member is about to put it in place.
    fn is_given_the_masters_copy(&mut self) -> LogPoint {
        self.is_given_the_copy_of(self.master)
    }

    fn is_given_the_copy_of(&mut self, source: NodeId) -> LogPoint {
        let (group, lost) = (&mut self.group, self.lost);
        let at = group.node(source).applied();
        let taker = group.machines[&lost].incarnation;
        group.act(source, |node, now| {
            let pin = node.offer(at.vlsn, taker).expect("it is in sync").pin;
            node.copy_given(now, pin, taker);
        });
        news(group, lost, RestoreNews::Began { source });
        news(group, lost, RestoreNews::Fetched { point: at });
        assert_eq!(group.machines[&lost].reopens, Some(at));
        at
    }

    pub(crate) fn is_given_a_copy(&mut self) {
        self.copy_is_complete();
        self.copy_is_put_in_place();
    }
}

// ---- rules that planted bugs break ----

pub(crate) fn a_copy_below_the_last_entry_is_not_taken() {
    let (mut group, _, others) = in_sync(&["n1", "n2", "n3"]);
    let (source, lost) = (others[0], others[1]);
    group.act(lost, |node, now| node.restore_from(now, source).expect("it may be ordered"));
    let last = group.node(lost).log().last();
    let below = LogPoint::new(last.term, Vlsn::new(last.vlsn.get() - 1));
    news(&mut group, lost, RestoreNews::Fetched { point: below });
    assert_eq!(group.machines[&lost].reopens, None, "{below} is below {last}");
    group.run_until("asks again", |group| group.machines[&lost].fetch.is_some());
    news(&mut group, lost, RestoreNews::Fetched { point: last });
    assert_eq!(group.machines[&lost].reopens, Some(last));
}

/// The master's log begins after it by now: the member would fall silent for nothing. The master's own copy is one that it keeps its log
/// for.
pub(crate) fn a_copy_that_leads_to_no_stream_is_not_put_in_place() {
    let Stranded { mut group, master, replica, lost } = Stranded::new();
    let (_, _, at_least) = group.machines[&lost].fetch.clone().expect("it asks");
    let term = group.node(lost).log().last().term;
    let at = |vlsn| LogPoint::new(term, vlsn);
    news(&mut group, lost, RestoreNews::Fetched { point: at(at_least.prev().prev()) });
    assert_eq!(group.machines[&lost].reopens, None, "the log goes on at {at_least}");
    group.run_until("asks again", |group| group.machines[&lost].fetch.is_some());
    let (_, sources, _) = group.machines[&lost].fetch.clone().expect("it asks");
    assert_eq!(sources, [master, replica]);
    news(&mut group, lost, RestoreNews::Fetched { point: at(at_least.prev()) });
    assert_eq!(group.machines[&lost].reopens, Some(at(at_least.prev())));
}

pub(crate) fn a_member_that_makes_way_does_nothing() {
    let mut stranded = Stranded::new();
    stranded.copy_is_complete();
    let Stranded { mut group, master, lost, .. } = stranded;
    assert_eq!(group.node(lost).state(), NodeState::Unknown);
    group.kill(master);
    group.run_for(Duration::from_secs(5));
    assert_eq!(group.master(), None, "one of three votes, and nobody else");
    assert_eq!(group.node(lost).next_timeout(), None);
}

pub(crate) fn a_source_in_doubt_gives_nothing() {
    let Stranded { mut group, master, lost, .. } = Stranded::new();
    let mut answer = None;
    group.act(lost, |node, _| answer = Some(node.offer(Vlsn::FIRST, TAKER)));
    assert_eq!(answer, Some(Err(NotOffered::NotInSync)));
    group.act(master, |node, now| {
        let what = rep_node::PersistFailed::Log;
        node.handle_persist_failed(now, what, "rotten".into());
        answer = Some(node.offer(Vlsn::FIRST, TAKER));
    });
    assert_eq!(answer, Some(Err(NotOffered::LogInDoubt)));
}

pub(crate) fn a_pin_keeps_the_log() {
    let keeps = Retention { bytes: 1 << 20, age: Duration::ZERO };
    let (mut group, master, _) = in_sync_keeping(&["n1", "n2", "n3"], keeps, Duration::ZERO);
    let at = group.node(master).applied();
    let mut offer = None;
    group.act(master, |node, _| offer = node.offer(at.vlsn, TAKER).ok());
    write(&mut group, master, 5);
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert!(group.machines[&master].first <= at.vlsn, "what follows {at} is kept");
    assert!(group.node(master).past_of(at).is_some());
    group.act(master, |node, _| node.unpin(offer.expect("is in sync").pin));
    group.checkpoint(master, last);
    assert_eq!(group.machines[&master].first, last, "and goes when the copy is given");
}

/// While a member puts its copy in place the group writes more than is kept for others, and the master's log is still there when it is back;
/// and while it catches up; and no longer.
pub(crate) fn the_log_is_kept_until_who_was_given_a_copy_follows() {
    let mut stranded = Stranded::of_keeping(Retention { bytes: 4, age: PATIENT });
    let (master, lost) = (stranded.master, stranded.lost);
    let point = stranded.is_given_the_masters_copy();
    let group = &mut stranded.group;
    write(group, master, 5);
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert!(group.machines[&master].first <= point.vlsn.next(), "what follows {point} is kept");
    // It is back with the copy, and its disk takes nothing of what comes after that yet.
    group.cut(lost, master);
    group.install(lost, master, point);
    group.machines.get_mut(&lost).unwrap().hold_log = true;
    group.heal();
    let follows = |group: &Group| group.node(lost).state() == NodeState::Replica;
    group.run_until("it follows the log that was kept", follows);
    group.checkpoint(master, last);
    assert!(group.machines[&master].first <= point.vlsn.next(), "it has synced no more than that");
    group.release_disks();
    let same = |group: &Group| group.node(lost).applied() == group.node(master).applied();
    group.run_until("it has caught up", same);
    group.checkpoint(master, last);
    group.kill(lost);
    write(group, master, 9);
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert!(last.get() - group.machines[&master].first.get() < 4, "as for anybody who is away");
}

/// It is not told how far the taker is, and feeds it nothing.
pub(crate) fn a_replica_that_gave_a_copy_keeps_no_more_than_any_other() {
    let mut stranded = Stranded::of_keeping(Retention { bytes: 4, age: PATIENT });
    let (master, replica) = (stranded.master, stranded.replica);
    stranded.is_given_the_copy_of(replica);
    let group = &mut stranded.group;
    write(group, master, 9);
    let caught_up = |group: &Group| group.node(replica).applied() == group.node(master).applied();
    group.run_until("it has applied all", caught_up);
    let last = group.node(replica).applied().vlsn;
    group.checkpoint(replica, last);
    assert!(last.get() - group.machines[&replica].first.get() < 4, "as for anybody who is away");
}

/// Nobody is waited for for ever.
pub(crate) fn a_pin_that_lingers_ends_by_bytes_by_age_and_with_the_member() {
    let mut stranded = Stranded::of_keeping(Retention { bytes: 4, age: PATIENT });
    let master = stranded.master;
    let point = stranded.is_given_the_masters_copy();
    let group = &mut stranded.group;
    write(group, master, 5);
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert!(group.machines[&master].first <= point.vlsn.next());
    group.run_for(PATIENT);
    group.checkpoint(master, last);
    assert!(last.get() - group.machines[&master].first.get() < 4, "it took too long");

    let mut stranded = Stranded::of_keeping(Retention { bytes: 4, age: PATIENT });
    stranded.is_given_the_masters_copy();
    let group = &mut stranded.group;
    write(group, master, 20);
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert_eq!(last.get() - group.machines[&master].first.get(), 7, "twice the bytes, and no more");
}

/// A replica is opened on files that are so old; its first entry at a checkpoint then, and at one after as long a while.
fn first_kept(age: Duration, after: Duration) -> (u64, u64) {
    let keeps = Retention { bytes: 1 << 20, age: PATIENT };
    let (mut group, master, others) = in_sync_keeping(&["n1", "n2", "n3"], keeps, Duration::ZERO);
    let replica = others[0];
    write(&mut group, master, 8);
    let same = |group: &Group| group.node(replica).applied() == group.node(master).applied();
    group.run_until("applied", same);
    let last = group.node(replica).applied().vlsn;
    group.kill(replica);
    let machine = group.machines.get_mut(&replica).unwrap();
    machine.file_ages = (1..=last.get()).map(|first| (Vlsn::new(first), age)).collect();
    group.start(replica);
    group.checkpoint(replica, last);
    let before = group.machines[&replica].first.get();
    group.run_for(after);
    group.checkpoint(replica, last);
    (last.get() - before, last.get() - group.machines[&replica].first.get())
}

/// What was old when the directory was opened gets no younger by that, and however old it is said to be there is a while yet.
pub(crate) fn a_file_is_as_old_as_it_was_before_the_opening() {
    let held = first_kept(Duration::ZERO, PATIENT / 2);
    assert!(held.0 == held.1 && held.0 >= 8, "{held:?}");
    assert_eq!(first_kept(PATIENT / 2, PATIENT / 2 - Duration::from_secs(1)), held);
    assert_eq!(first_kept(PATIENT / 2, PATIENT / 2), (held.0, 0));
    // A clock that was set right.
    let ages_ago = Duration::from_secs(50 * 365 * 24 * 3600);
    assert_eq!(first_kept(ages_ago, PATIENT / 128), held);
    assert_eq!(first_kept(ages_ago, PATIENT / 64), (held.0, 0));
}

/// Of four the master, two who follow, and one whom the logs of all have left behind; it is down.
fn one_of_four_is_left_behind() -> (Group, NodeId, [NodeId; 2], NodeId) {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3", "n4"]);
    let lost = others[2];
    group.kill(lost);
    let last = group.machines[&lost].records.last().unwrap().point();
    leave_behind(&mut group, master, last.vlsn);
    (group, master, [others[0], others[1]], lost)
}

fn whom_it_asks(group: &mut Group, lost: NodeId) -> Vec<NodeId> {
    group.start(lost);
    group.run_until("asks for a copy", |group| group.machines[&lost].fetch.is_some());
    fails(group, lost, "nobody gives");
    group.run_for(Duration::from_secs(1));
    let (_, sources, _) = group.machines[&lost].fetch.clone().expect("it asks again");
    group.kill(lost);
    sources
}

/// All are as near as any other.
pub(crate) fn who_gives_a_copy_already_is_asked_later_and_who_doubts_itself_last() {
    let (mut group, master, [a, b], lost) = one_of_four_is_left_behind();
    assert_eq!(whom_it_asks(&mut group, lost), [a, b, master]);
    let at = group.node(a).applied().vlsn;
    let mut pin = None;
    group.act(a, |node, _| pin = node.offer(at, TAKER).ok());
    assert_eq!(whom_it_asks(&mut group, lost), [b, a, master]);
    group.act(a, |node, _| node.unpin(pin.expect("it is in sync").pin));
    assert_eq!(whom_it_asks(&mut group, lost), [a, b, master]);
    group.act(a, |node, _| node.doubt_itself(true));
    assert_eq!(whom_it_asks(&mut group, lost), [b, master, a]);
    group.act(a, |node, _| node.doubt_itself(false));
    assert_eq!(whom_it_asks(&mut group, lost), [a, b, master]);
    assert!(group.count("load") > 0);
}

/// Whoever does not know the word would hang up on it.
pub(crate) fn an_earlier_version_is_told_no_loads() {
    let (mut group, _, [a, b], lost) = one_of_four_is_left_behind();
    group.speaks = 1;
    group.ids().into_iter().filter(|id| *id != lost).for_each(|id| group.crash(id));
    group.ids().into_iter().for_each(|id| group.start(id));
    group.run_until("a master", |group| group.master().is_some());
    group.run_until("it follows", |group| {
        group.node(a).state() == NodeState::Replica || group.node(b).state() == NodeState::Replica
    });
    let source = [a, b].into_iter().find(|id| group.node(*id).state() == NodeState::Replica);
    let at = group.node(source.unwrap()).applied().vlsn;
    group.act(source.unwrap(), |node, _| assert!(node.offer(at, TAKER).is_ok()));
    group.run_for(Duration::from_secs(2));
    assert_eq!(group.count("load"), 0);
}

/// Something has rotted in it, and it goes on for want of another: as long as there is none it is better than nothing.
pub(crate) fn who_doubts_itself_gives_a_copy_only_where_nobody_else_could() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let at = group.node(master).applied().vlsn;
    let offers = |group: &mut Group| {
        let mut answer = None;
        group.act(master, |node, _| answer = Some(node.offer(at, TAKER).map(|_| ())));
        answer.unwrap()
    };
    assert_eq!(offers(&mut group), Ok(()));
    group.act(master, |node, _| node.doubt_itself(true));
    assert_eq!(offers(&mut group), Err(NotOffered::LogInDoubt));
    others.iter().for_each(|id| group.kill(*id));
    assert_eq!(offers(&mut group), Ok(()));
}
