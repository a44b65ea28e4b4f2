//! All tests, one build.

use crate::run::{Tally, run_counting};
use crate::workspace::Workspace;

/// `cargo test` over the workspace with all features, doc tests included. `args` go to cargo: `-p rep-fsm`, `-- name`.
pub(crate) fn run_tests(
    workspace: &Workspace,
    args: &[String],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--all-features", "--no-fail-fast"]);
    let chosen = args.iter().take_while(|arg| *arg != "--").any(|arg| names_packages(arg));
    if !chosen {
        cargo.arg("--workspace");
    }
    run_counting(cargo.args(args), tally)
}

pub(crate) fn run(workspace: &Workspace, args: &[String], tally: &mut Tally) -> anyhow::Result<()> {
    let outcome = run_tests(workspace, args, tally);
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {} passed; {} failed; {} ignored",
        tally.passed, tally.failed, tally.ignored
    );
    outcome
}

fn names_packages(arg: &str) -> bool {
    arg == "--package"
        || arg.starts_with("--package=")
        || arg == "--manifest-path"
        || arg.starts_with("-p")
}
