//! The workshop: everything that is done to this workspace, as one program.
//!
//! A check that lives in somebody's memory, or in the settings of one CI service, is a check that others cannot run.
//! So each one is a command here, `ci` runs the same commands as you do, and each rule prints its reason.

mod bench;
#[cfg(target_os = "linux")]
mod chaos;
#[cfg(not(target_os = "linux"))]
#[path = "chaos_elsewhere.rs"]
mod chaos;
mod check_history;
mod ci;
mod diagrams;
mod explore;
mod fuzz;
mod loom;
mod miri;
mod model;
mod mutants;
mod nightly;
mod options;
mod run;
mod sanitize;
mod shuttle;
mod sim;
mod steps;
mod suites;
mod test;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use run::Tally;
use std::process::ExitCode;
use steps::Outcome;
use workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The workshop of the rep workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// All tests of all crates, one build with all features; what follows goes to `cargo test`
    Test {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Everything that has to pass before a change lands (what .ci/run runs)
    Ci(ci::Args),
    /// The rules of this workspace: arrows, banned calls, dead links and others, each with its reason
    Tidy,
    /// The concurrency models, every interleaving within a bound
    Loom(loom::Args),
    /// The concurrency scenarios, many interleavings of each drawn at random
    Shuttle(shuttle::Args),
    /// What can be interpreted, by miri: undefined behaviour, races for memory and leaks, in many schedules
    Miri(miri::Args),
    /// The tests of what has threads, with ThreadSanitizer built into all of it
    Sanitize(sanitize::Args),
    /// The simulator: whole groups under seeded faults
    Sim(sim::Args),
    /// The explicit-state model: every order of events within bounds
    Model(model::Args),
    /// Every planted bug has to be found by the simulator; prints the table of seeds it took
    Mutants(mutants::Args),
    /// The fuzz targets, under a nightly compiler
    Fuzz(fuzz::Args),
    /// What is too long for `ci`
    Nightly(nightly::Args),
    /// Real processes on real disks: killed, cut off, frozen, without power, without room
    Chaos(chaos::Args),
    /// What a group costs beside what the machine costs, as a table
    Bench(bench::Args),
    /// Could one object, asked one thing at a time, have answered as this history says?
    CheckHistory(check_history::Args),
    /// Draws the tables of rep-fsm into docs/roles.md
    Diagrams,
    /// Writes the table of all options into docs/options.md
    Options,
}

fn main() -> ExitCode {
    let task = Cli::parse().task;
    // Its exit code is a verdict, so no failure of anything else may look like one.
    if let Task::CheckHistory(args) = &task {
        return check_history::run(args);
    }
    match work(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let mut tally = Tally::default();
    match task {
        Task::Test { args } => test::run(&workspace, &args, &mut tally),
        Task::Ci(args) => ci::run(&workspace, &args),
        Task::Tidy => tidy::run(&workspace),
        Task::Loom(args) => loom::run(&workspace, &args, &mut tally),
        Task::Shuttle(args) => shuttle::run(&workspace, &args, &mut tally),
        Task::Sim(args) => sim::run(&workspace, &args),
        Task::Model(args) => model::run(&workspace, &args),
        Task::Mutants(args) => mutants::run(&workspace, &args),
        Task::Fuzz(args) => fuzz::run(&workspace, &args),
        Task::Nightly(args) => nightly::run(&workspace, &args),
        Task::Miri(args) => ran(miri::run(&workspace, &args, &mut tally)?),
        Task::Sanitize(args) => ran(sanitize::run(&workspace, &args, &mut tally)?),
        Task::Chaos(args) => ran(chaos::run(&workspace, &args)?),
        Task::Bench(args) => bench::run(&workspace, &args),
        Task::CheckHistory(_) => Ok(()), // `main` has answered
        Task::Diagrams => diagrams::run(&workspace),
        Task::Options => options::run(&workspace),
    }
}

/// What could not be run here is not green.
fn ran(outcome: Outcome) -> anyhow::Result<()> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Skipped(why) => anyhow::bail!("SKIPPED: {why}"),
    }
}
