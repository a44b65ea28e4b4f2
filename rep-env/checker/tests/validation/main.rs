//! Is the checker right? It is held against every order there is, against a register that is right by construction, against
//! itself on histories that mean the same, and against another checker.
//!
//! Each random case has its number for a seed, so that one that fails can be run again. By default a tenth of the cases is
//! run; `PROPTEST_CASES=2560`, as at night, runs them all.

mod against_brute_force;
mod against_todc;
mod brute;
mod lists_and_logs;
mod random;
mod same_meaning;
mod simulated;

/// How many of `full` cases to run.
fn cases(full: u64) -> u64 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    (full * asked.unwrap_or(256_u64) / 2560).clamp(1, full)
}
