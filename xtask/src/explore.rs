//! Models and scenarios of concurrency: which there are, and that all of them ran.
//!
//! A model that was renamed, or lost its `#[test]`, passes by not being run. So all of them stand in a list: one that is listed
//! and did not run is a failure, so is one that ran and is not listed, and so is one that had hardly anything to run
//! through. Those named `..._twin_*` are negative twins: the same idea with one ordering or lock left out, which the
//! explorer has to reject.

use crate::run::{Tally, run_seeing};
use crate::workspace::{Package, Workspace};
use anyhow::bail;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A list of models, and how they are told from other tests.
pub(crate) struct Explorer {
    /// What the names of its tests begin with, and those of its files in `tests/`.
    pub(crate) prefix: &'static str,
    /// The list's own place.
    pub(crate) list: &'static str,
    pub(crate) models: &'static [Models],
}

/// The models in one test binary.
pub(crate) struct Models {
    pub(crate) package: &'static str,
    pub(crate) binary: Binary,
    /// Features that its models need; no others are switched on.
    pub(crate) features: &'static [&'static str],
    /// Names, and how many executions each has at least.
    pub(crate) models: &'static [(&'static str, u64)],
}

/// Where models lie: beside the code if what they look at is nobody else's business.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    /// Among the crate's own unit tests.
    Lib,
    /// In `tests/`, under that name.
    Test(&'static str),
}

/// What to run, and how.
pub(crate) struct Order<'a> {
    /// Only those whose name contains this.
    pub(crate) filter: Option<&'a str>,
    /// What has not ended by then is killed, building included.
    pub(crate) limit: Duration,
    /// Whether there have to be as many executions as were recorded.
    pub(crate) counts: bool,
    /// `cargo` with the switch that makes locks explored.
    pub(crate) cargo: &'a dyn Fn() -> Command,
}

/// In `Cargo.toml`: models run for seconds, and what they are made of is built anew for them.
const PROFILE: &str = "explored";

/// What ran: the names of those that passed, and how many executions they had.
pub(crate) type Seen = BTreeMap<String, u64>;

impl Explorer {
    pub(crate) fn run(
        &self,
        workspace: &Workspace,
        order: &Order<'_>,
        tally: &mut Tally,
    ) -> anyhow::Result<Seen> {
        let unlisted = self.unlisted_binaries(workspace)?;
        if !unlisted.is_empty() {
            bail!("models that {} does not list: {}", self.list, unlisted.join(", "));
        }
        let expected: BTreeMap<_, _> =
            self.wanted(order).flat_map(|models| named(models, order)).collect();
        if expected.is_empty() {
            bail!("no model has {:?} in its name", order.filter);
        }
        let mut reader = Reader::default();
        run_seeing(&mut self.command(order, &expected), Some(order.limit), |line| {
            tally.count(line);
            reader.read(line);
        })?;
        self.compare(&expected, &reader.seen, order.counts)?;
        Ok(reader.seen)
    }

    /// The binaries with something to run.
    fn wanted(&self, order: &Order<'_>) -> impl Iterator<Item = &'static Models> {
        self.models.iter().filter(|models| named(models, order).next().is_some())
    }

    /// One build for all of them: apart, each would have some of what they lean on built anew with other features.
    fn command(&self, order: &Order<'_>, expected: &BTreeMap<&str, u64>) -> Command {
        let mut cargo = (order.cargo)();
        // What twins die of is known.
        cargo.env("RUST_BACKTRACE", "0");
        cargo.args(["test", "--profile", PROFILE, "--no-fail-fast", "--no-default-features"]);
        let packages: BTreeSet<_> = self.wanted(order).map(|models| models.package).collect();
        cargo.args(packages.iter().flat_map(|package| ["-p", package]));
        for models in self.wanted(order) {
            // More features than are asked for add nothing that has a model, and much that has to be built.
            for feature in models.features {
                cargo.args(["--features", &format!("{}/{feature}", models.package)]);
            }
            if let Binary::Test(name) = models.binary {
                cargo.args(["--test", name]);
            }
        }
        if self.wanted(order).any(|models| models.binary == Binary::Lib) {
            cargo.arg("--lib");
        }
        cargo.args(["--", "--test-threads=2", "--show-output"]);
        match order.filter {
            Some(_) => cargo.args(expected.keys()),
            None => cargo.arg(self.prefix),
        };
        cargo
    }

    fn compare(
        &self,
        expected: &BTreeMap<&str, u64>,
        seen: &Seen,
        counts: bool,
    ) -> anyhow::Result<()> {
        let missing: Vec<_> = expected.keys().filter(|name| !seen.contains_key(**name)).collect();
        let unlisted: Vec<_> =
            seen.keys().filter(|name| !expected.contains_key(name.as_str())).collect();
        if !missing.is_empty() || !unlisted.is_empty() {
            let list = self.list;
            bail!("listed in {list} but not run: {missing:?}; run but not listed: {unlisted:?}");
        }
        let shrunk: Vec<_> = expected
            .iter()
            .map(|(name, least)| (name, least, seen[*name]))
            .filter(|(_, least, ran)| counts && ran < least)
            .collect();
        if !shrunk.is_empty() {
            bail!("fewer executions than were recorded (name, recorded, ran): {shrunk:?}");
        }
        Ok(())
    }

    /// Every such file in a `tests/`, and every crate with models in its sources, that the list does not know.
    fn unlisted_binaries(&self, workspace: &Workspace) -> anyhow::Result<Vec<String>> {
        let mut unlisted = Vec::new();
        for package in &workspace.packages {
            let dir = workspace.root.join(&package.dir);
            if !self.knows_lib(package)
                && package.name != "xtask"
                && self.has_models(&dir.join("src"))?
            {
                unlisted.push(format!("{}/src", package.dir));
            }
            let Ok(entries) = dir.join("tests").read_dir() else { continue };
            for entry in entries {
                let file = entry?.file_name().to_string_lossy().into_owned();
                let model = file.strip_suffix(".rs").filter(|name| name.starts_with(self.prefix));
                if model.is_some_and(|name| !self.knows_test(package, name)) {
                    unlisted.push(format!("{}/tests/{file}", package.dir));
                }
            }
        }
        Ok(unlisted)
    }

    fn knows_lib(&self, package: &Package) -> bool {
        self.models
            .iter()
            .any(|models| models.package == package.name && models.binary == Binary::Lib)
    }

    fn knows_test(&self, package: &Package, name: &str) -> bool {
        self.models.iter().any(|models| {
            models.package == package.name
                && matches!(models.binary, Binary::Test(known) if known == name)
        })
    }

    /// Whether a source below `dir` has a model.
    fn has_models(&self, dir: &Path) -> anyhow::Result<bool> {
        for entry in dir.read_dir()? {
            let path = entry?.path();
            let has = if path.is_dir() {
                self.has_models(&path)?
            } else {
                path.extension().is_some_and(|kind| kind == "rs")
                    && std::fs::read_to_string(&path)?.contains(&format!("fn {}", self.prefix))
            };
            if has {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fails if a name is listed twice or does not say what it is. Twins end at the first execution that breaks them.
    #[cfg(test)]
    pub(crate) fn check_names(&self) {
        let names: Vec<_> = self.models.iter().flat_map(|models| models.models).collect();
        let distinct: BTreeMap<_, _> = names.iter().map(|(name, least)| (name, least)).collect();
        assert_eq!(names.len(), distinct.len());
        for (name, least) in names {
            let rest = name.strip_prefix(self.prefix).expect(name);
            assert_eq!(rest.starts_with("twin_"), *least == 0, "{name}");
        }
    }
}

/// The models that are asked for, and what they have to run through.
fn named(models: &Models, order: &Order<'_>) -> impl Iterator<Item = (&'static str, u64)> {
    let filter = order.filter.unwrap_or_default();
    models.models.iter().copied().filter(move |(name, _)| name.contains(filter))
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

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLORER: Explorer = Explorer { prefix: "loom_", list: "a list", models: &[] };

    fn seen(names: &[(&str, u64)]) -> Seen {
        names.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn a_model_that_did_not_run_and_one_that_nobody_listed_are_failures() {
        let expected = BTreeMap::from([("loom_a", 0), ("loom_b", 0)]);
        let ok = |names| EXPLORER.compare(&expected, &seen(names), true).is_ok();
        assert!(ok(&[("loom_a", 1), ("loom_b", 1)]));
        assert!(!ok(&[("loom_a", 1)]));
        assert!(!ok(&[("loom_a", 1), ("loom_b", 1), ("loom_c", 1)]));
    }

    #[test]
    fn a_model_that_shrank_is_a_failure_unless_the_bound_did_too() {
        let expected = BTreeMap::from([("loom_a", 50)]);
        assert!(EXPLORER.compare(&expected, &seen(&[("loom_a", 50)]), true).is_ok());
        assert!(EXPLORER.compare(&expected, &seen(&[("loom_a", 49)]), true).is_err());
        assert!(EXPLORER.compare(&expected, &seen(&[("loom_a", 49)]), false).is_ok());
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
}
