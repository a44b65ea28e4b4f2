//! Would the simulator find a real bug? It is asked about bugs that we planted.
//!
//! A site in the code says `mutant!("name")`, which is `false` in every build but the one under `--cfg rep_mutants`. The
//! table in `docs/testing.md` has a row for each (`tidy` compares them), and says who has to find it. Crates hunt their
//! own in test files that exist under that cfg only. Those that are the simulator's are planted in turn: it has to fail within a number of seeds. How
//! many it took is the only honest measure of a simulator.

use crate::run::{Tally, run_counting, run_seeing};
use crate::tidy::planted_for_simulator;
use crate::workspace::Workspace;
use crate::{sim, tidy};
use anyhow::bail;
use std::collections::BTreeSet;
use std::time::Instant;

/// What may be asked about planted bugs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Within how many seeds each has to be found
    #[arg(long, default_value_t = SEEDS_MAX)]
    seeds: u64,
    /// Only the bugs whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// Make what finds each of them small, for so many seconds, and keep it in the corpus
    #[arg(long)]
    shrink: Option<f64>,
}

const SEEDS_MAX: u64 = 2_000;

impl Default for Args {
    fn default() -> Self {
        Self { seeds: SEEDS_MAX, filter: None, shrink: None }
    }
}

struct Hunt {
    name: String,
    /// The line with which the simulator reported it, or none if it survived.
    found: Option<String>,
    seconds: f64,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let tree = tidy::Tree::read(workspace)?;
    if args.filter.is_none() {
        hunt_in_crates(workspace, &tree)?;
    }
    let filter = args.filter.as_deref().unwrap_or_default();
    let planted = planted_for_simulator(&tree);
    let names: BTreeSet<_> = planted.into_iter().filter(|name| name.contains(filter)).collect();
    if names.is_empty() {
        bail!("no planted bug has {filter:?} in its name");
    }
    let hunts = names
        .into_iter()
        .map(|name| hunt(workspace, name, args))
        .collect::<anyhow::Result<Vec<_>>>()?;
    print_table(&hunts);
    if args.shrink.is_none() {
        replay_corpus(workspace, filter)?;
    }
    let survivors: Vec<_> =
        hunts.iter().filter(|hunt| hunt.found.is_none()).map(|hunt| hunt.name.as_str()).collect();
    match survivors.is_empty() {
        true => Ok(()),
        false => bail!("not found within {} seeds: {}", args.seeds, survivors.join(", ")),
    }
}

/// The hunts that crates do themselves: each test file that exists under `cfg(rep_mutants)` only.
fn hunt_in_crates(workspace: &Workspace, tree: &tidy::Tree) -> anyhow::Result<()> {
    for package in &workspace.packages {
        for binary in hunting_tests(tree, &package.dir) {
            let mut cargo = workspace.cargo_with_cfg("rep_mutants", "mutants");
            cargo.args([
                "test",
                "--release",
                "--all-features",
                "-p",
                &package.name,
                "--test",
                binary,
            ]);
            // One thread, because the set of planted bugs is the process's.
            cargo.args(["--", "--test-threads=1"]);
            run_counting(&mut cargo, &mut Tally::default())?;
        }
    }
    Ok(())
}

fn hunting_tests<'a>(tree: &'a tidy::Tree, dir: &str) -> Vec<&'a str> {
    let tests = format!("{dir}/tests/");
    let hunting = tree.rust().filter(|source| source.text.contains("#![cfg(rep_mutants)]"));
    let names = hunting.filter_map(|source| source.path.strip_prefix(&tests)?.strip_suffix(".rs"));
    names.filter(|name| !name.contains('/')).collect()
}

fn hunt(workspace: &Workspace, name: String, asked: &Args) -> anyhow::Result<Hunt> {
    let begun = Instant::now();
    let args = sim::Args {
        seeds: Some(asked.seeds),
        mutant: Some(name.clone()),
        shrink: asked.shrink,
        ..sim::Args::default()
    };
    let mut found = None;
    let outcome = run_seeing(&mut sim::command(workspace, &args), None, |line| {
        if found.is_none() && line.starts_with(FAIL) {
            found = Some(line.to_owned());
        }
    });
    let found = verdict(outcome, found)?;
    Ok(Hunt { name, found, seconds: begun.elapsed().as_secs_f64() })
}

/// A case that shows a planted bug has to find it: else it plays nothing any more, and has to be found anew (`--shrink`).
fn replay_corpus(workspace: &Workspace, filter: &str) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for (file, mutant) in cases_of_planted_bugs(workspace)? {
        if !mutant.contains(filter) {
            continue;
        }
        let args =
            sim::Args { mutant: Some(mutant), replay: Some(file.clone()), ..sim::Args::default() };
        let mut found = None;
        let outcome = run_seeing(&mut sim::command(workspace, &args), None, |line| {
            found = found.take().or_else(|| line.starts_with(FAIL).then(|| line.to_owned()));
        });
        if verdict(outcome, found)?.is_none() {
            stale.push(file);
        }
    }
    match stale.is_empty() {
        true => Ok(()),
        false => bail!("these cases no longer show their planted bugs: {}", stale.join(", ")),
    }
}

/// Files of the corpus, with the bugs that they show.
fn cases_of_planted_bugs(workspace: &Workspace) -> anyhow::Result<Vec<(String, String)>> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(workspace.root.join(sim::CORPUS))? {
        let path = entry?.path();
        if path.extension().is_none_or(|ext| ext != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let case: serde_json::Value = serde_json::from_str(&text)?;
        if let Some(mutant) = case["mutant"].as_str() {
            cases.push((path.display().to_string(), mutant.to_owned()));
        }
    }
    cases.sort();
    Ok(cases)
}

/// What the simulator found, told by how it ended and by what it said; both have to agree. One that ends badly without
/// saying what it found did not find the bug: it broke.
fn verdict(ended: anyhow::Result<()>, said: Option<String>) -> anyhow::Result<Option<String>> {
    match (ended, said) {
        (Err(error), None) => Err(error),
        (Ok(()), Some(said)) => bail!("the simulator ended well and said {said:?}"),
        (Ok(()), None) => Ok(None),
        (Err(_), Some(said)) => Ok(Some(said)),
    }
}

/// How the simulator begins the line that names what it found.
const FAIL: &str = "FAIL ";

fn print_table(hunts: &[Hunt]) {
    println!("\n| planted bug | found | seconds |\n|---|---|---|");
    for hunt in hunts {
        let found = hunt.found.as_deref().unwrap_or("SURVIVED").trim_start_matches(FAIL);
        println!("| {} | {found} | {:.1} |", hunt.name, hunt.seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_simulator_that_breaks_has_not_found_the_bug() {
        assert!(verdict(Err(anyhow!("does not build")), None).is_err());
        assert!(verdict(Ok(()), Some("FAIL I-8".to_owned())).is_err());
        assert_eq!(verdict(Ok(()), None).unwrap(), None);
        assert_eq!(
            verdict(Err(anyhow!("exit 1")), Some("FAIL I-8".to_owned())).unwrap(),
            Some("FAIL I-8".to_owned())
        );
    }

    #[test]
    fn the_hunts_of_a_crate_are_found_by_their_cfg() {
        let hunt = "//! Why.\n#![cfg(rep_mutants)]\n";
        let tree = tidy::Tree::of(&[
            ("rep-stream/tests/planted.rs", hunt),
            ("rep-stream/tests/common/planted.rs", hunt),
            ("rep-stream/tests/acks.rs", ""),
            ("rep-net/tests/other.rs", hunt),
        ]);
        assert_eq!(hunting_tests(&tree, "rep-stream"), ["planted"]);
    }
}
