//! Would the model notice? Each planted bug is planted, and a way to where it breaks a rule has to be found.
#![cfg(rep_mutants)]

use rep_model::Manner;
use rep_model::planted::TABLE;
use std::time::Duration;

const MANNER: Manner =
    Manner { threads: 2, limit: Duration::from_secs(240), breadth_first: true, until_broken: true };

#[test]
fn each_planted_bug_is_found() {
    let mut survived = Vec::new();
    for planted in TABLE {
        let report = planted.hunt(MANNER);
        println!("{}", planted.row(&report));
        if report.broken().next().is_none() {
            survived.push(planted.name);
        }
    }
    assert!(survived.is_empty(), "{survived:?}");
}
