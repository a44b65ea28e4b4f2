//! Undefined behaviour, races for memory and leaks, in whatever can be interpreted: by miri, which comes with a nightly compiler.
//!
//! No code here is unsafe, but what it stands on is. Miri also runs threads in *schedules* of its own, one a seed: it changes
//! threads at any step, hands out stale values where the memory model allows them, and lets a weak exchange fail. So what has
//! threads is run in many. And two addresses that merely happen to be equal elsewhere are not equal there, which finds code that
//! leans on that.
//!
//! What cannot be interpreted is left out by name, with the reason; `--list` says all of it. Nothing is left out in silence: while
//! a test binary stands in neither list, this fails.

mod suites;

use crate::explore::Binary;
use crate::run::{Tally, run_seeing};
use crate::steps::Outcome;
use crate::workspace::{Package, Workspace};
use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use suites::{LEFT_OUT, SUITES, Suite};

/// A suite that takes longer has outgrown what can be interpreted, or its threads wait for each other.
const SUITE_MINUTES_MAX: u64 = 15;

/// Random cases of a property: each step costs some hundred times what it costs elsewhere.
const CASES: &str = "2";

/// The clock is the real one, since tests wait by it. Others' code makes pointers of numbers, which says nothing of ours.
const FLAGS: &str = "-Zmiri-disable-isolation -Zmiri-permissive-provenance";

/// Where both lists stand.
const LIST: &str = "xtask/src/miri/suites.rs";

/// What may be asked of miri.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Run only the suites that have this in their name
    #[arg(long)]
    filter: Option<String>,
    /// Run each suite in so many schedules, not in as many as it has at night
    #[arg(long)]
    schedules: Option<u32>,
    /// Say what is run and what is left out, and why
    #[arg(long)]
    list: bool,
}

/// What a suite did.
struct Row {
    tests: u64,
    schedules: u32,
    took: Duration,
}

pub(crate) fn run(
    workspace: &Workspace,
    args: &Args,
    tally: &mut Tally,
) -> anyhow::Result<Outcome> {
    if args.list {
        list();
        return Ok(Outcome::Done);
    }
    let wanted = args.filter.as_deref().unwrap_or_default();
    let suites: Vec<_> = SUITES.iter().filter(|suite| suite.to_string().contains(wanted)).collect();
    if suites.is_empty() {
        bail!("no suite has {wanted:?} in its name; --list says which there are");
    }
    let unlisted: Vec<_> = workspace
        .packages
        .iter()
        .flat_map(|package| unlisted(package, binaries(&workspace.root.join(&package.dir))))
        .collect();
    if !unlisted.is_empty() {
        bail!("neither interpreted nor left out for a reason, in {LIST}: {}", unlisted.join(", "));
    }
    if !has_miri() {
        let why = "needs a nightly toolchain with miri and rust-src \
                   (rustup toolchain install nightly --component miri,rust-src)";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    let rows: Vec<_> = suites
        .into_iter()
        .map(|suite| {
            let schedules = args.schedules.unwrap_or(suite.schedules).max(1);
            (suite, run_one(workspace, suite, schedules, tally))
        })
        .collect();
    println!();
    rows.iter().for_each(|(suite, ended)| print_row(suite, ended));
    let failed = rows.iter().filter(|(_, ended)| ended.is_err()).count();
    match failed {
        0 => Ok(Outcome::Done),
        _ => bail!("{failed} of {} suites failed", rows.len()),
    }
}

/// The test binaries of a package, and its own unit tests.
fn binaries(dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["--lib".to_owned()]);
    for entry in dir.join("tests").read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|kind| kind == "rs") || path.join("main.rs").exists() {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names
}

/// Those that stand in neither list. Models and scenarios are empty in every build but their own.
fn unlisted(package: &Package, binaries: BTreeSet<String>) -> Vec<String> {
    let is_listed = |name: &str| {
        SUITES.iter().any(|suite| suite.package == package.name && suite.binary_name() == name)
            || LEFT_OUT.iter().any(|(left, binary, _)| {
                *left == package.name && (*binary == "*" || *binary == name)
            })
    };
    let explored = |name: &str| name.starts_with("loom_") || name.starts_with("shuttle_");
    let unlisted = binaries.into_iter().filter(|name| !is_listed(name) && !explored(name));
    unlisted.map(|name| format!("{} {name}", package.name)).collect()
}

fn list() {
    for suite in SUITES {
        println!("{suite:<28} {} schedules", suite.schedules);
        suite.left_out.iter().for_each(|(test, why)| println!("    without {test}: {why}"));
    }
    println!("\nnot interpreted:");
    for (package, binary, why) in LEFT_OUT {
        println!("{:<28} {why}", format!("{package} {binary}"));
    }
}

fn print_row(suite: &Suite, ended: &anyhow::Result<Row>) {
    let name = suite.to_string();
    match ended {
        Ok(Row { tests, schedules, took }) => println!(
            "{name:<28} {tests:>4} tests, {schedules:>3} schedules, {:>6.1} s",
            took.as_secs_f64()
        ),
        Err(error) => println!("{name:<28} FAILED: {error:#}"),
    }
}

fn has_miri() -> bool {
    let mut probe = Command::new("cargo");
    probe.args(["+nightly", "miri", "setup"]).stdin(Stdio::null());
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

fn run_one(
    workspace: &Workspace,
    suite: &Suite,
    schedules: u32,
    tally: &mut Tally,
) -> anyhow::Result<Row> {
    let begun = Instant::now();
    let mut said = Tally::default();
    let mut ran = 0;
    let limit = Duration::from_secs(60 * SUITE_MINUTES_MAX);
    let outcome = run_seeing(&mut command(workspace, suite, schedules), Some(limit), |line| {
        ran += hear(line, &mut said);
    });
    // A test counts once, in however many schedules it ran.
    let runs = u64::from(schedules);
    tally.passed += said.passed / runs;
    tally.failed += said.failed;
    tally.ignored += said.ignored / runs;
    outcome.with_context(|| suite.to_string())?;
    if ran < schedules || said.passed == 0 {
        bail!("{ran} of {schedules} schedules ran, with {} tests in all", said.passed);
    }
    Ok(Row { tests: said.passed / runs, schedules, took: begun.elapsed() })
}

/// How many schedules have ended, as this line says. Several run at a time and speak in each other's words: what stands together
/// is the numbers.
fn hear(line: &str, said: &mut Tally) -> u32 {
    let ends = line.match_indices(" passed; ").map(|(at, _)| at);
    let numbers = ends.map(|at| {
        let digits = line[..at].bytes().rev().take_while(u8::is_ascii_digit).count();
        &line[at - digits..]
    });
    numbers.map(|numbers| said.count(&format!("test result: {numbers}"))).count() as u32
}

fn command(workspace: &Workspace, suite: &Suite, schedules: u32) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&workspace.root).env("PROPTEST_CASES", CASES);
    cargo.env("MIRIFLAGS", format!("{FLAGS} -Zmiri-many-seeds=0..{schedules}"));
    // What proptest writes down would be found by the next run of the tests, which is not about miri.
    cargo.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    cargo.args(["+nightly", "miri", "test", "--package", suite.package]);
    cargo.args(suite.features);
    match suite.binary {
        Binary::Lib => cargo.arg("--lib"),
        Binary::Test(name) => cargo.args(["--test", name]),
    };
    cargo.arg("--");
    cargo.args(suite.left_out.iter().flat_map(|(test, _)| ["--skip", test]));
    cargo
}

impl Suite {
    fn binary_name(&self) -> &'static str {
        match self.binary {
            Binary::Lib => "--lib",
            Binary::Test(name) => name,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.package, self.binary_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_that_end_in_each_others_words_are_told_apart() {
        let mut said = Tally::default();
        let both = "test result: test result: okok. 17 passed; 0 failed; 1 ignored. 16 passed; 1 failed; 1 ignored; \
                    finished in 8.15s; finished in 8.14s";
        assert_eq!(hear(both, &mut said), 2);
        assert_eq!(said, Tally { passed: 33, failed: 1, ignored: 2 });
        let broken = "test result: oktest waits_end_at_their_deadlines ... . 17 passed; 0 failed; 0 ignored;";
        assert_eq!(hear(broken, &mut said), 1);
        assert_eq!((hear("test a ... ok", &mut said), said.passed), (0, 50));
    }

    #[test]
    fn a_binary_that_is_in_neither_list_is_named() {
        let rep_fsm = |binaries: &[&str]| {
            let package = Package { name: "rep-fsm".to_owned(), ..Package::default() };
            unlisted(&package, binaries.iter().map(|name| (*name).to_owned()).collect())
        };
        assert_eq!(rep_fsm(&["--lib", "diagram", "state_cell", "loom_state_cell"]), [""; 0]);
        assert_eq!(rep_fsm(&["--lib", "new"]), ["rep-fsm new"]);
        let package = Package { name: "rep-sim".to_owned(), ..Package::default() };
        assert_eq!(unlisted(&package, BTreeSet::from(["new".to_owned()])), [""; 0]);
    }

    /// A name that no test has any more leaves out nothing, and may come to leave out something else.
    #[test]
    fn every_test_that_is_left_out_is_there() {
        let workspace = Workspace::find().unwrap();
        for suite in SUITES {
            let package = workspace.packages.iter().find(|package| package.name == suite.package);
            let sources = sources(&workspace.root.join(&package.expect(suite.package).dir));
            for (test, why) in suite.left_out {
                let name = test.rsplit("::").next().unwrap();
                let is_there = [format!("fn {name}("), format!("mod {name}")]
                    .iter()
                    .any(|wanted| sources.iter().any(|text| text.contains(wanted)));
                assert!(is_there && !why.is_empty(), "{suite}: {test}");
            }
        }
    }

    fn sources(dir: &Path) -> Vec<String> {
        let mut texts = Vec::new();
        let mut folders = vec![dir.join("src"), dir.join("tests")];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|kind| kind == "rs") {
                    texts.push(std::fs::read_to_string(path).unwrap());
                }
            }
        }
        texts
    }
}
