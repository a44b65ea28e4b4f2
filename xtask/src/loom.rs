//! The concurrency models: every interleaving of a small piece, within a bound of preemptions.
//!
//! A model that was renamed, or lost its `#[test]`, passes by not being run. So all models stand in [`MODELS`]: one that
//! is listed and did not run is a failure, so is one that ran and is not listed, and so is one that had hardly anything to
//! run through. Models named `loom_twin_*` are negative twins: the same idea with one ordering or lock left out, which the
//! checker has to reject.

mod models;

use crate::run::{Tally, run_seeing};
use crate::workspace::{Package, Workspace};
use anyhow::{Context, bail};
use models::MODELS;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The bound for which the least numbers of interleavings were taken; with a lower one there are fewer.
const BOUND_OF_RECORD: u32 = 3;

/// What may be asked of the models.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the models whose name contains this
    #[arg(long)]
    pub(crate) filter: Option<String>,
    /// How many preemptions an interleaving may have
    #[arg(long, default_value_t = BOUND_OF_RECORD)]
    pub(crate) bound: u32,
    /// Kill a crate's models that have not ended after this many minutes, building included
    #[arg(long, default_value_t = 30.0)]
    pub(crate) minutes: f64,
}

impl Args {
    /// All models, with that bound.
    pub(crate) fn all(bound: u32) -> Self {
        Self { filter: None, bound, minutes: 30.0 }
    }
}

/// The models in one test binary.
struct Models {
    package: &'static str,
    binary: Binary,
    /// Names, and how many interleavings each has at least.
    models: &'static [(&'static str, u64)],
}

/// Where models lie: beside the code if what they look at is nobody else's business.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Binary {
    /// Among the crate's own unit tests.
    Lib,
    /// In `tests/`, under that name.
    Test(&'static str),
}

/// What ran: the names of those that passed, and how many interleavings they had.
type Seen = BTreeMap<String, u64>;

pub(crate) fn run(workspace: &Workspace, args: &Args, tally: &mut Tally) -> anyhow::Result<()> {
    let unlisted = unlisted_binaries(workspace)?;
    if !unlisted.is_empty() {
        bail!("models that xtask/src/loom/models.rs does not list: {}", unlisted.join(", "));
    }
    let mut all = Seen::new();
    for models in MODELS {
        let seen = run_binary(workspace, models, args, tally)
            .with_context(|| format!("models of {}", models.package))?;
        all.extend(seen);
    }
    if all.is_empty() {
        bail!("no model has {:?} in its name", args.filter);
    }
    let executions: u64 = all.values().sum();
    println!(
        "loom: {} models, at most {} preemptions, {executions} interleavings",
        all.len(),
        args.bound
    );
    Ok(())
}

fn run_binary(
    workspace: &Workspace,
    models: &Models,
    args: &Args,
    tally: &mut Tally,
) -> anyhow::Result<Seen> {
    let expected = wanted(models, args.filter.as_deref().unwrap_or_default());
    if expected.is_empty() {
        return Ok(Seen::new());
    }
    let mut cargo = workspace.cargo_with_cfg("rep_loom", "loom");
    cargo
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("LOOM_MAX_PREEMPTIONS", args.bound.to_string())
        // What twins die of is known.
        .env("RUST_BACKTRACE", "0");
    cargo.args(["test", "--release", "-p", models.package]);
    match models.binary {
        // Its features add nothing that has a model, and much that has to be built.
        Binary::Lib => cargo.args(["--no-default-features", "--lib"]),
        Binary::Test(name) => cargo.args(["--all-features", "--test", name]),
    };
    cargo.args(["--", "--test-threads=2", "--show-output"]);
    match &args.filter {
        Some(_) => cargo.args(expected.keys()),
        None => cargo.arg("loom_"),
    };
    let limit = Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?;
    let mut reader = Reader::default();
    run_seeing(&mut cargo, Some(limit), |line| {
        tally.count(line);
        reader.read(line);
    })?;
    compare(&expected, &reader.seen, args.bound)?;
    Ok(reader.seen)
}

/// The models whose names contain `filter`, and what they have to run through.
fn wanted(models: &Models, filter: &str) -> BTreeMap<&'static str, u64> {
    models.models.iter().copied().filter(|(name, _)| name.contains(filter)).collect()
}

/// Reads what a test binary says.
#[derive(Default)]
struct Reader {
    seen: Seen,
    /// The model whose own words follow.
    speaking: Option<String>,
}

impl Reader {
    fn read(&mut self, line: &str) {
        if let Some(name) = passed_model(line) {
            self.seen.entry(name.to_owned()).or_default();
        } else if let Some(name) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.speaking = Some(bare(name).to_owned());
        } else if let (Some(name), Some(count)) = (&self.speaking, executions(line)) {
            self.seen.insert(name.clone(), count);
        }
    }
}

/// The name in a line such as `test models::turn::loom_x - should panic ... ok`.
fn passed_model(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... ok")?.split(' ').next().map(bare)
}

/// A test's name without the modules that it lies in.
fn bare(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

fn executions(line: &str) -> Option<u64> {
    line.strip_prefix("executions: ")?.parse().ok()
}

fn compare(expected: &BTreeMap<&str, u64>, seen: &Seen, bound: u32) -> anyhow::Result<()> {
    let missing: Vec<_> = expected.keys().filter(|name| !seen.contains_key(**name)).collect();
    let unlisted: Vec<_> =
        seen.keys().filter(|name| !expected.contains_key(name.as_str())).collect();
    if !missing.is_empty() || !unlisted.is_empty() {
        bail!(
            "listed in xtask/src/loom/models.rs but not run: {missing:?}; run but not listed: {unlisted:?}"
        );
    }
    let shrunk: Vec<_> = expected
        .iter()
        .map(|(name, least)| (name, least, seen[*name]))
        .filter(|(_, least, ran)| bound >= BOUND_OF_RECORD && ran < least)
        .collect();
    if !shrunk.is_empty() {
        bail!("fewer interleavings than were recorded (name, recorded, ran): {shrunk:?}");
    }
    Ok(())
}

/// Every `tests/loom_*.rs`, and every crate with models in its sources, that [`MODELS`] does not know.
fn unlisted_binaries(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut unlisted = Vec::new();
    for package in &workspace.packages {
        let dir = workspace.root.join(&package.dir);
        if !is_listed(package, Binary::Lib)
            && package.name != "xtask"
            && has_models(&dir.join("src"))?
        {
            unlisted.push(format!("{}/src", package.dir));
        }
        let Ok(entries) = dir.join("tests").read_dir() else { continue };
        for entry in entries {
            let file = entry?.file_name().to_string_lossy().into_owned();
            let model = file.strip_suffix(".rs").filter(|name| name.starts_with("loom_"));
            let known = |name: &str| {
                MODELS.iter().any(|models| {
                    models.package == package.name
                        && matches!(models.binary, Binary::Test(known) if known == name)
                })
            };
            if model.is_some_and(|name| !known(name)) {
                unlisted.push(format!("{}/tests/{file}", package.dir));
            }
        }
    }
    Ok(unlisted)
}

fn is_listed(package: &Package, binary: Binary) -> bool {
    MODELS.iter().any(|models| models.package == package.name && models.binary == binary)
}

/// Whether a source below `dir` has a model.
fn has_models(dir: &Path) -> anyhow::Result<bool> {
    for entry in dir.read_dir()? {
        let path = entry?.path();
        let has = if path.is_dir() {
            has_models(&path)?
        } else {
            path.extension().is_some_and(|kind| kind == "rs")
                && std::fs::read_to_string(&path)?.contains("fn loom_")
        };
        if has {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(names: &[(&str, u64)]) -> Seen {
        names.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn a_model_that_did_not_run_and_one_that_nobody_listed_are_failures() {
        let expected = BTreeMap::from([("loom_a", 0), ("loom_b", 0)]);
        let ok = |names| compare(&expected, &seen(names), 3).is_ok();
        assert!(ok(&[("loom_a", 1), ("loom_b", 1)]));
        assert!(!ok(&[("loom_a", 1)]));
        assert!(!ok(&[("loom_a", 1), ("loom_b", 1), ("loom_c", 1)]));
    }

    #[test]
    fn a_model_that_shrank_is_a_failure_unless_the_bound_did_too() {
        let expected = BTreeMap::from([("loom_a", 50)]);
        assert!(compare(&expected, &seen(&[("loom_a", 50)]), 3).is_ok());
        assert!(compare(&expected, &seen(&[("loom_a", 49)]), 3).is_err());
        assert!(compare(&expected, &seen(&[("loom_a", 49)]), 2).is_ok());
    }

    #[test]
    fn only_models_that_passed_count_as_run() {
        assert_eq!(passed_model("test loom_a ... ok"), Some("loom_a"));
        assert_eq!(passed_model("test models::a::loom_a - should panic ... ok"), Some("loom_a"));
        assert_eq!(passed_model("test loom_a ... FAILED"), None);
        assert_eq!(passed_model("test loom_a ... ignored"), None);
    }

    #[test]
    fn each_model_says_how_many_interleavings_it_had() {
        let mut reader = Reader::default();
        let said = [
            "test loom_a ... ok",
            "test m::loom_b ... ok",
            "---- loom_a stdout ----",
            "executions: 12",
            "---- m::loom_b stdout ----",
            "other words",
            "executions: 7",
        ];
        said.iter().for_each(|line| reader.read(line));
        assert_eq!(reader.seen, seen(&[("loom_a", 12), ("loom_b", 7)]));
    }

    #[test]
    fn every_model_is_listed_once_by_a_name_that_says_so() {
        let names: Vec<_> = MODELS.iter().flat_map(|models| models.models).collect();
        let distinct: BTreeMap<_, _> = names.iter().map(|(name, least)| (name, least)).collect();
        assert_eq!(names.len(), distinct.len());
        for (name, least) in names {
            assert!(name.starts_with("loom_"), "{name}");
            assert_eq!(name.starts_with("loom_twin_"), *least == 0, "{name}");
        }
    }
}
