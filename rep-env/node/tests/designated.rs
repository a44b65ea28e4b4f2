//! Two copies without an arbiter: one of them is designated, and goes on when the other is lost.

#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;
#[path = "harness/pairs.rs"]
mod pairs;

use pairs::{LONG, Pair};
use rep_node::{Change, MemberType, NotChanged, Quorums};
use rep_vlsn::{Incarnation, NodeId};
use std::time::Duration;

#[test]
fn the_designated_one_goes_on_and_takes_the_other_back() {
    pairs::the_designated_one_goes_on_and_takes_the_other_back();
}

#[test]
fn the_other_one_is_never_elected_alone() {
    pairs::the_other_one_is_never_elected_alone();
}

#[test]
fn it_asks_the_other_first() {
    pairs::it_asks_the_other_first();
}

#[test]
fn an_override_fences_the_other_side() {
    pairs::an_override_fences_the_other_side();
}

#[test]
fn a_short_silence_costs_no_copy() {
    let mut pair = Pair::new();
    let (designated, other) = (pair.designated, pair.other);
    assert!(pair.commits("both have this"));
    pair.group.crash(other);
    pair.group.run_for(Duration::from_secs(2));
    assert_eq!(pair.group.master(), None);
    let said = pair.group.node(designated).status(pair.group.now).problems;
    assert!(said.iter().any(|it| it.contains("is elected alone in")), "{said:?}");
    pair.group.start(other);
    pair.group.run_until("both go on", |group| group.master().is_some());
    assert_eq!(pair.kind_of_other(designated), MemberType::Electable);
    assert!(pair.commits("both have this, too"));
}

/// Each has restarted, and the designated one finds nobody.
#[test]
fn after_a_restart_it_goes_on_alone_by_what_its_log_says() {
    let mut pair = Pair::new();
    let (designated, other) = (pair.designated, pair.other);
    assert!(pair.commits("both have this"));
    pair.group.crash(other);
    pair.group.crash(designated);
    pair.group.start(designated);
    pair.goes_on_alone();
    assert!(pair.commits("one has this"));
    // And once more, with an override in its log.
    pair.group.crash(designated);
    pair.group.start(designated);
    pair.group.run_until("it reigns", |group| group.master() == Some(designated));
    assert!(pair.commits("one has this, too"));
    pair.group.start(other);
    pair.group.run_until("it votes again", |group| {
        group.membership(other).members[&other].kind == MemberType::Electable
    });
}

#[test]
fn a_wiped_other_one_joins_again() {
    let mut pair = Pair::new();
    let (designated, other) = (pair.designated, pair.other);
    let name = pair.group.machines[&other].name.clone();
    pair.group.crash(other);
    pair.goes_on_alone();
    assert!(pair.commits("one has this"));
    pair.group.machines.remove(&other);
    pair.group.run_for(LONG);
    let back = pair.group.join(&name);
    assert_ne!(back, other);
    pair.group.run_until("both have it", |group| group.payloads(back).len() == 1);
    assert_eq!(pair.group.membership(designated).electorate().voters.len(), 2);
}

#[test]
fn nobody_is_designated_where_that_would_not_be_safe() {
    let Pair { mut group, designated, other } = Pair::new();
    let refused = |group: &mut harness::Group, quorums| {
        let refused = group.changed(Change::Quorums(quorums));
        assert!(matches!(refused, Err(NotChanged::Apart { .. })), "{refused:?}");
    };
    refused(&mut group, Quorums::Designated(other));
    refused(&mut group, Quorums::Designated(NodeId::new(9)));
    let third = group.newcomer("n3", Incarnation([33; 16]));
    let added = group.changed(Change::Add(third));
    assert!(matches!(added, Err(NotChanged::Apart { .. })), "{added:?}");
    let judge = rep_node::Newcomer {
        kind: MemberType::Arbiter,
        ..group.newcomer("judge", Incarnation([34; 16]))
    };
    assert!(matches!(group.changed(Change::Add(judge)), Err(NotChanged::Apart { .. })));
    // By way of a majority it can be the other one; and three may not have one.
    group.changed(Change::Quorums(Quorums::Majority)).unwrap();
    group.changed(Change::Quorums(Quorums::Designated(other))).unwrap();
    group.changed(Change::Quorums(Quorums::Majority)).unwrap();
    group.join("n3");
    refused(&mut group, Quorums::Designated(designated));
}

/// It is set while both are up: what it says of the other one has to be there.
#[test]
fn it_is_not_set_while_the_other_one_is_away() {
    let mut group = harness::Group::new(&["n1", "n2"]);
    group.start_all();
    group.run_until("both in sync", |group| group.master().is_some() && group.in_sync());
    let master = group.the_master();
    let other = group.ids().into_iter().find(|id| *id != master).unwrap();
    group.crash(other);
    let request = group.change(master, Change::Quorums(Quorums::Designated(master)));
    group.run_until("it is refused", |group| group.changed.contains_key(&request));
    assert!(group.changed[&request].is_err());
}
