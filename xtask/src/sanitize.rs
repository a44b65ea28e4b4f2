//! Data races in what really runs: the tests of what has threads, with ThreadSanitizer built into all of it, the standard library
//! included.
//!
//! Loom looks at every order of something small, and at our own locks and atomics alone. This looks at the order that happened to
//! come, but at everything: sockets, files, the locks of others, and whatever the standard library does beneath them. It needs
//! a nightly compiler with the sources of the standard library.
//!
//! It knows no fences, so code that leans on one looks like a race. What was looked into and is none stands in
//! `xtask/tsan.supp`, with the reason.

use crate::explore::Binary::{self, Lib, Test};
use crate::run::{Tally, run_seeing};
use crate::steps::Outcome;
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Everything is some ten times as slow; a suite that takes longer waits for something that does not come. Building is included.
const SUITE_MINUTES_MAX: u64 = 15;

/// What is not about this machine would be built for it too, without the sanitizer: build scripts, macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where the reports that are no races stand.
const SUPPRESSIONS: &str = "xtask/tsan.supp";

/// What a process ends with that had something to report, though all its tests passed.
const EXIT_CODE: &str = "66";

/// A test binary, and which of its tests are run: those with one of these in their names, or all.
struct Suite {
    package: &'static str,
    binary: Binary,
    tests: &'static [&'static str],
}

const SUITES: &[Suite] = &[
    Suite { package: "rep-fsm", binary: Test("state_cell"), tests: &[] },
    Suite { package: "rep-vlsn", binary: Test("threads"), tests: &[] },
    Suite { package: "rep-net", binary: Lib, tests: &[] },
    Suite { package: "rep-net", binary: Test("memory"), tests: &[] },
    Suite { package: "rep-net", binary: Test("channel_contract"), tests: &[] },
    Suite { package: "rep-net", binary: Test("services"), tests: &[] },
    Suite { package: "rep-net", binary: Test("tcp"), tests: &[] },
    Suite { package: "rep-env", binary: Lib, tests: &[] },
    // Whole groups: of each kind of trouble between threads, some.
    Suite {
        package: "rep-env",
        binary: Test("groups"),
        tests: &["close::", "drivers::", "handles::", "services::", "turns::"],
    },
];

/// What may be asked of the sanitizer.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Run only the suites that have this in their name
    #[arg(long)]
    filter: Option<String>,
}

pub(crate) fn run(
    workspace: &Workspace,
    args: &Args,
    tally: &mut Tally,
) -> anyhow::Result<Outcome> {
    let wanted = args.filter.as_deref().unwrap_or_default();
    let suites: Vec<_> = SUITES.iter().filter(|suite| suite.to_string().contains(wanted)).collect();
    if suites.is_empty() {
        bail!("no suite has {wanted:?} in its name");
    }
    if let Some(missing) = missing() {
        return Ok(Outcome::Skipped(missing.to_owned()));
    }
    let rows: Vec<_> =
        suites.into_iter().map(|suite| (suite, run_one(workspace, suite, tally))).collect();
    println!();
    for (suite, ended) in &rows {
        let name = suite.to_string();
        match ended {
            Ok((tests, took)) => {
                println!("{name:<28} {tests:>4} tests, no race, {:>6.1} s", took.as_secs_f64());
            }
            Err(error) => println!("{name:<28} FAILED: {error:#}"),
        }
    }
    let failed = rows.iter().filter(|(_, ended)| ended.is_err()).count();
    match failed {
        0 => Ok(Outcome::Done),
        _ => bail!("{failed} of {} suites failed", rows.len()),
    }
}

/// Why it cannot be run here, if it cannot.
fn missing() -> Option<&'static str> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Some("is set up for Linux on x86-64 alone");
    }
    let mut probe = Command::new("rustc");
    probe.args(["+nightly", "--print", "sysroot"]).stdin(Stdio::null()).stderr(Stdio::null());
    let sysroot = probe.output().ok().filter(|output| output.status.success());
    let has_sources = sysroot.is_some_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    });
    (!has_sources).then_some(
        "needs a nightly toolchain with rust-src \
         (rustup toolchain install nightly --component rust-src)",
    )
}

/// How many tests passed, and how long they took.
fn run_one(
    workspace: &Workspace,
    suite: &Suite,
    tally: &mut Tally,
) -> anyhow::Result<(u64, Duration)> {
    let begun = Instant::now();
    let mut said = Tally::default();
    let limit = Duration::from_secs(60 * SUITE_MINUTES_MAX);
    let outcome = run_seeing(&mut command(workspace, suite), Some(limit), |line| said.count(line));
    tally.passed += said.passed;
    tally.failed += said.failed;
    tally.ignored += said.ignored;
    outcome.with_context(|| suite.to_string())?;
    if said.passed == 0 {
        bail!("no test ran");
    }
    Ok((said.passed, begun.elapsed()))
}

fn command(workspace: &Workspace, suite: &Suite) -> Command {
    let mut cargo = Command::new("cargo");
    let suppressions = workspace.root.join(SUPPRESSIONS);
    cargo.current_dir(&workspace.root).env("RUSTFLAGS", "-Zsanitizer=thread");
    cargo.env("CARGO_TARGET_DIR", workspace.target.join("tsan"));
    cargo.env(
        "TSAN_OPTIONS",
        format!("suppressions={} exitcode={EXIT_CODE}", suppressions.display()),
    );
    cargo.args(["+nightly", "test", "-Zbuild-std", "--target", TARGET, "--all-features"]);
    cargo.args(["--package", suite.package]);
    match suite.binary {
        Lib => cargo.arg("--lib"),
        Test(name) => cargo.args(["--test", name]),
    };
    cargo.arg("--").args(suite.tests);
    cargo
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = match self.binary {
            Lib => "--lib",
            Test(name) => name,
        };
        f.pad(&format!("{} {binary}", self.package))
    }
}
