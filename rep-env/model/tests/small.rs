//! Worlds that are small enough to be explored whole among the tests, and large enough to show something.

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
fn one_term_holds_with_a_write() {
    whole(Bounds::least().entries(1), 10_000);
}

#[test]
fn one_term_holds_with_a_broken_stream() {
    whole(Bounds::least().breaks(1), 5_000);
}

#[test]
fn one_term_holds_with_a_power_cut_before_any_disk_is_done() {
    whole(Bounds::least().crashes(1).slow_fences(), 15_000);
}

#[test]
fn one_term_holds_from_logs_that_have_parted() {
    whole(Bounds::least().start(Start::Parted), 1_000);
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
