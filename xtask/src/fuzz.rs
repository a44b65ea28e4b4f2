//! The fuzz targets: each runs for a time under libFuzzer, with the corpus of earlier runs and the seeds of its own.
//!
//! They are built by a nightly compiler with cargo-fuzz. The same bodies run on stable Rust among the tests of their crates
//! (`fuzz_bodies`), so what is missing here is missing depth, not a missing check.

mod words;

use crate::run::shown;
use crate::steps::Outcome;
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use words::Words;

/// The workspace of the fuzz packages.
const MANIFEST: &str = "xtask/fuzz/Cargo.toml";
/// An input that takes longer has found a loop.
const INPUT_SECS_MAX: u32 = 20;
/// A process that grows beyond this has found a hole in a bound.
const MEMORY_MIB_MAX: u32 = 2048;
/// Targets in a night; which ones changes from night to night.
pub(crate) const NIGHTLY_TARGETS: usize = 3;
/// How long each of them runs.
pub(crate) const NIGHTLY_MINUTES: f64 = 20.0;

/// What may be asked of the fuzz targets.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Run only this target
    #[arg(long)]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Say which targets there are
    #[arg(long)]
    list: bool,
}

/// A target, and the fuzz package that it is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    /// Relative to the root.
    folder: String,
    name: String,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let mut targets = targets(workspace)?;
    if args.list {
        targets.iter().for_each(|target| println!("{:<24} {}", target.name, target.folder));
        return Ok(());
    }
    targets.retain(|target| args.target.as_ref().is_none_or(|name| *name == target.name));
    if targets.is_empty() {
        bail!("there is no target {:?}; --list names them", args.target);
    }
    match run_each(workspace, &targets, args.minutes)? {
        Outcome::Done => Ok(()),
        Outcome::Skipped(why) => bail!("SKIPPED: {why}"),
    }
}

/// A few targets in turn: those whose night it is.
pub(crate) fn run_nightly(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let targets = targets(workspace)?;
    let days = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / (24 * 60 * 60);
    run_each(workspace, &turn(&targets, days as usize), NIGHTLY_MINUTES)
}

/// The targets of the day with that number: within so many days as there are targets, each has had its turns.
fn turn(targets: &[Target], day: usize) -> Vec<Target> {
    let first = day * NIGHTLY_TARGETS;
    let turns = targets.len().min(NIGHTLY_TARGETS);
    (first..first + turns).map(|at| targets[at % targets.len()].clone()).collect()
}

fn targets(workspace: &Workspace) -> anyhow::Result<Vec<Target>> {
    let mut cargo = workspace.cargo();
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path", MANIFEST]);
    let output = cargo.output().context("cargo metadata does not start")?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no fuzz packages")?;
    let mut targets = Vec::new();
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().context("no manifest")?);
        let folder = manifest.parent().and_then(|folder| folder.strip_prefix(&workspace.root).ok());
        let folder = folder.context("a fuzz package outside the workspace")?.to_string_lossy();
        let names = package["targets"].as_array().into_iter().flatten();
        targets.extend(
            names
                .filter_map(|target| target["name"].as_str())
                .map(|name| Target { folder: folder.clone().into_owned(), name: name.to_owned() }),
        );
    }
    targets.sort();
    Ok(targets)
}

fn run_each(workspace: &Workspace, targets: &[Target], minutes: f64) -> anyhow::Result<Outcome> {
    if !has_tools() {
        let why = "needs the nightly toolchain and cargo-fuzz (cargo install cargo-fuzz --locked)";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    let limit = Duration::try_from_secs_f64(minutes * 60.0).context("--minutes")?;
    let rows: Vec<_> = targets
        .iter()
        .map(|target| (target, run_one(workspace, target, limit)))
        .inspect(|(target, ended)| print_row(&target.name, ended))
        .collect();
    println!("\n{:<20} {}", "target", Words::HEAD);
    rows.iter().for_each(|(target, ended)| print_row(&target.name, ended));
    let failed = rows.iter().filter(|(_, ended)| ended.is_err()).count();
    match failed {
        0 => Ok(Outcome::Done),
        _ => bail!("{failed} of {} targets failed", rows.len()),
    }
}

fn print_row(name: &str, ended: &anyhow::Result<Words>) {
    match ended {
        Ok(words) => println!("{name:<20} {words}"),
        Err(error) => println!("{name:<20} FAILED: {error:#}"),
    }
}

fn has_tools() -> bool {
    let mut probe = nightly();
    probe.args(["fuzz", "--version"]).stdin(Stdio::null());
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

fn nightly() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.arg("+nightly");
    cargo
}

/// Runs one target for as long as `limit`, and tells what it said at the end. What it says on the way goes through.
fn run_one(workspace: &Workspace, target: &Target, limit: Duration) -> anyhow::Result<Words> {
    let home = workspace.target.join("fuzz");
    let (corpus, seeds) =
        (home.join("corpus").join(&target.name), home.join("seeds").join(&target.name));
    for folder in [&corpus, &seeds] {
        std::fs::create_dir_all(folder)?;
    }
    let mut cargo = nightly();
    cargo.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &home).env("REP_FUZZ_SEEDS", &seeds);
    // No code here is unsafe, so an address sanitizer would look at others' code at half the speed.
    cargo.args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir", &target.folder, &target.name]);
    cargo.args([&corpus, &seeds]);
    cargo.arg("--").arg(format!("-max_total_time={}", limit.as_secs().max(1)));
    cargo.arg(format!("-timeout={INPUT_SECS_MAX}")).arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
    cargo.args(["-print_final_stats=1", "-use_value_profile=1"]);
    hear(&mut cargo)
}

/// libFuzzer speaks on standard error.
fn hear(command: &mut Command) -> anyhow::Result<Words> {
    let shown = shown(command);
    println!("$ {shown}");
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start: {shown}"))?;
    let mut words = Words::default();
    let lines = BufReader::new(child.stderr.take().context("standard error is piped")?);
    for line in lines.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        words.hear(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("failed ({status}): {shown}");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn target(name: &str) -> Target {
        Target { folder: "rep-net/fuzz".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn every_target_has_its_night() {
        let targets = ["a", "b", "c", "d", "e"].map(target);
        let nights = (20_000..20_000 + targets.len()).flat_map(|day| turn(&targets, day));
        assert_eq!(nights.collect::<BTreeSet<_>>(), BTreeSet::from(targets));
        assert_eq!(turn(&[target("a")], 7), [target("a")]);
    }

    /// Names of the Rust files in a folder.
    fn sources(folder: &Path) -> BTreeSet<String> {
        let entries = folder.read_dir().into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect()
    }

    /// A body without a target is never fuzzed, one that is not in the table is not known to be.
    #[test]
    fn every_body_is_a_target_and_every_target_is_in_the_table() {
        let workspace = Workspace::find().unwrap();
        let targets = targets(&workspace).unwrap();
        let table = std::fs::read_to_string(workspace.root.join("docs/testing.md")).unwrap();
        for target in &targets {
            assert!(table.contains(&format!("| `{}` |", target.name)), "{target:?}");
        }
        for package in &workspace.packages {
            let folder = workspace.root.join(&package.dir);
            let bodies = sources(&folder.join("tests/fuzz"));
            assert_eq!(sources(&folder.join("fuzz/fuzz_targets")), bodies, "{}", package.name);
            let own = targets.iter().filter(|target| {
                target.folder.strip_suffix("/fuzz").is_some_and(|owner| owner == package.dir)
            });
            assert_eq!(own.map(|target| target.name.clone()).collect::<BTreeSet<_>>(), bodies);
        }
    }
}
