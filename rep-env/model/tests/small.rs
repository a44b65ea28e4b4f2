//! Worlds that are small enough to be explored whole among the tests, and large enough to show something.

use rep_model::compare::compare;
use rep_model::{Bounds, Group, Manner, Report, Start, explore};
use stateright::{Checker, Model};
use std::time::Duration;

const MANNER: Manner = Manner {
    threads: 2,
    limit: Duration::from_secs(600),
    breadth_first: false,
    until_broken: false,
};

/// Explores, and expects of a world that it has not shrunk: a model that explores nothing finds nothing.
fn whole(bounds: Bounds, worlds_min: usize) -> Report {
    let report = explore(Group::new(bounds), MANNER);
    assert!(report.is_whole, "{bounds}: {report}");
    assert!(report.is_good(), "{bounds}: {:#?}", report.found);
    assert!(report.worlds >= worlds_min, "{bounds}: {report}");
    report
}

#[test]
fn one_term_holds_in_every_order_with_a_write() {
    whole(Bounds::least().entries(1).every_order(), 10_000);
}

#[test]
fn one_term_holds_in_every_order_with_a_broken_stream() {
    whole(Bounds::least().breaks(1).every_order(), 5_000);
}

#[test]
fn one_term_holds_in_every_order_with_a_power_cut_before_any_disk_is_done() {
    whole(Bounds::least().crashes(1).slow_fences().every_order(), 15_000);
}

#[test]
fn one_term_holds_in_every_order_from_logs_that_have_parted() {
    whole(Bounds::least().start(Start::Parted).every_order(), 1_000);
}

#[test]
fn one_term_holds_with_a_write_and_a_power_cut() {
    whole(Bounds::least().entries(1).crashes(1), 20_000);
}

#[test]
fn two_terms_hold() {
    whole(Bounds::least().terms(2), 20_000);
}

/// The argument for each shortcut is in its place. Here it is tried.
#[test]
fn shortcuts_hide_nothing_that_the_rules_look_at() {
    let bounds = Bounds::least();
    for bounds in [bounds.entries(1), bounds.crashes(1), bounds.start(Start::Parted)] {
        let comparison = compare(bounds);
        println!("{bounds}: {comparison}");
        let [short, long] = comparison.worlds;
        assert!(2 * short < long, "{bounds}: {comparison}");
        assert!(comparison.difference.is_none(), "{bounds}: {comparison}");
    }
}

/// The digest leaves out what it believes can make no difference. Here that is tried.
#[test]
fn states_that_the_digest_takes_for_one_are_one() {
    let group = Group::new(Bounds::least().entries(1).crashes(1).breaks(1));
    let checker = group.checker().threads(2).target_state_count(8_000).spawn_dfs().join();
    let (audited, differences) = checker.model().audit();
    assert!(audited > 1_000, "{audited} steps were audited");
    assert_eq!(differences, Vec::<String>::new());
}
