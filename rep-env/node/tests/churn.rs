//! Many random lives of a group whose members come and go. `SEED` and `LIVES` in the environment choose others; `MUTANT` plants a
//! bug, in a build with `--cfg rep_mutants`.

#[path = "harness/churn.rs"]
mod churn;
#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;

use churn::Churn;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_term_has_one_master_and_nothing_acknowledged_is_lost_while_members_come_and_go() {
    #[cfg(rep_mutants)]
    if let Ok(name) = std::env::var("MUTANT") {
        rep_vlsn::mutants::enable(&name);
    }
    let first = number("SEED", 1);
    for seed in first..first + number("LIVES", 150) {
        println!("SEED={seed} LIVES=1");
        Churn::new(seed).live(60);
    }
}
