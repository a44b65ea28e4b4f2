//! Real processes, real disks, a real network stack, and everything that can go wrong with them.
//!
//! The simulator has a picture of each fault; this has the faults. Groups of `rep serve` run in network namespaces, each node on a
//! small ext4 of its own, while clients read and write. A fault comes and goes, and then everything is asked that has to hold:
//! somebody serves in time, all come back in time, what the clients were told is linearizable, nothing acknowledged is lost, all
//! nodes hold the same, nobody panicked, and nothing leaked.
//!
//! It needs Linux, root, and a few tools; where it cannot run it says SKIPPED, which is not green. It touches nothing whose name
//! does not begin with `repch`, and a parent process cleans up whatever becomes of the run ([`guardian`]).

mod chance;
mod clean;
mod crew;
mod disk;
mod faults;
mod figures;
mod forwarder;
mod group;
mod guardian;
mod history;
mod ioctl;
mod journal;
mod judge;
mod links;
mod names;
mod network;
mod node;
mod play;
mod proc;
mod resp;
mod scenarios;
mod scene;
mod shapes;
mod status;
mod tools;
mod verdict;

use crate::run::run_seeing;
use crate::sim::fresh_seed;
use crate::steps::{Outcome, minutes};
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use scenarios::{SCENARIOS, Scenario};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// What may be asked of `chaos`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Args {
    /// Say what can be played, and end
    #[arg(long)]
    list: bool,
    /// Only these scenarios
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// How many rounds of each, instead of its own number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
    /// The first round
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Chooses victims, moments and weather
    #[arg(long)]
    seed: Option<u64>,
    /// Where the nodes keep their databases: redb, fjall or memory
    #[arg(long, default_value = "redb")]
    store: String,
    /// Another `rep` than that of this workspace, such as an older one or one that is broken on purpose
    #[arg(long, value_name = "FILE")]
    rep: Option<PathBuf>,
    /// Keep histories and logs, in target/chaos, although all was well
    #[arg(long)]
    keep: bool,
    /// Take away what a run has left behind that was killed together with its guardian, and end
    #[arg(long)]
    clean: bool,
    /// The run is ended after this
    #[arg(long, default_value_t = 120)]
    minutes: u64,
    /// This is the child of the guardian
    #[arg(long, hide = true)]
    guarded: bool,
}

impl Args {
    /// What `nightly` asks: the whole programme.
    pub(crate) fn all() -> Args {
        Args {
            list: false,
            only: Vec::new(),
            rounds: None,
            from: 0,
            seed: None,
            store: "redb".to_owned(),
            rep: None,
            keep: false,
            clean: false,
            minutes: 120,
            guarded: false,
        }
    }

    /// The command line by which this program plays the same as the child of its guardian. Not the one that it was given itself:
    /// `nightly` asks for this, too.
    fn of_child(&self) -> Vec<OsString> {
        // By name, so that none is forgotten. Two of them have been answered before there is a child.
        let Args {
            list: _,
            only,
            rounds,
            from,
            seed,
            store,
            rep,
            keep,
            clean: _,
            minutes,
            guarded: _,
        } = self;
        let mut line = vec!["chaos".into(), "--guarded".into()];
        let mut say = |option: &str, value: OsString| line.extend([option.into(), value]);
        only.iter().for_each(|name| say("--only", name.into()));
        rounds.iter().for_each(|rounds| say("--rounds", rounds.to_string().into()));
        say("--from", from.to_string().into());
        seed.iter().for_each(|seed| say("--seed", seed.to_string().into()));
        say("--store", store.into());
        rep.iter().for_each(|rep| say("--rep", rep.into()));
        say("--minutes", minutes.to_string().into());
        line.extend(keep.then(|| "--keep".into()));
        line
    }
}

/// Where evidence and figures go, below the target directory.
const EVIDENCE: &str = "chaos";
const FIGURES: &str = "figures.jsonl";

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<Outcome> {
    if args.list {
        for Scenario { name, story, nodes, rounds, .. } in SCENARIOS {
            println!("{name:<14} {nodes} nodes, {rounds:>3} rounds  {story}");
        }
        return Ok(Outcome::Done);
    }
    let chosen = chosen(&args.only)?;
    if let Some(why) = tools::missing() {
        return Ok(Outcome::Skipped(why));
    }
    if args.clean {
        return guardian::clean_alone().map(|()| Outcome::Done);
    }
    if !args.guarded {
        if args.rep.is_none() {
            build(workspace)?;
        }
        guardian::run(&args.of_child(), minutes(args.minutes))?;
        return Ok(Outcome::Done);
    }
    guardian::end_with_guardian()?;
    play_all(workspace, args, &chosen)?;
    Ok(Outcome::Done)
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<&'static Scenario>> {
    if let Some(unknown) =
        only.iter().find(|name| SCENARIOS.iter().all(|scenario| scenario.name != **name))
    {
        bail!("there is no scenario {unknown:?}; --list names them");
    }
    let is_chosen =
        |scenario: &&Scenario| only.is_empty() || only.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(is_chosen).collect())
}

fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "rep-cli", "--bin", "rep"]);
    run_seeing(&mut cargo, None, |_| ())
}

/// All of them, also after one failed: another may tell why.
fn play_all(
    workspace: &Workspace,
    args: &Args,
    chosen: &[&'static Scenario],
) -> anyhow::Result<()> {
    let plan = play::Plan {
        rep: args.rep.clone().unwrap_or_else(|| workspace.target.join("release").join("rep")),
        store: args.store.clone(),
        seed: args.seed.unwrap_or_else(fresh_seed),
        evidence: workspace.target.join(EVIDENCE),
        keep: args.keep,
    };
    println!("seed {}", plan.seed);
    let mut bad = Vec::new();
    for scenario in chosen {
        if scenario.fakes_time && tools::faketime().is_none() {
            println!("{}: SKIPPED: needs libfaketime", scenario.name);
            bad.push(scenario.name);
        } else if let Err(error) = play_one(&plan, scenario, args) {
            println!("{}: FAILED: {error:#}", scenario.name);
            bad.push(scenario.name);
        }
    }
    match bad.is_empty() {
        true => Ok(()),
        false => bail!("did not pass: {}", bad.join(", ")),
    }
}

fn play_one(plan: &play::Plan, scenario: &Scenario, args: &Args) -> anyhow::Result<()> {
    let rounds = args.rounds.unwrap_or(scenario.rounds);
    let figures = play::scenario(plan, scenario, args.from..args.from + rounds)?;
    figures.print(scenario.name);
    let path = plan.evidence.join(FIGURES);
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let line = figures.json(scenario.name, &plan.store, plan.seed);
    writeln!(file, "{line}").with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn an_unknown_scenario_is_an_error_and_none_means_all() {
        assert_eq!(chosen(&[]).unwrap().len(), SCENARIOS.len());
        assert_eq!(chosen(&["power".to_owned()]).unwrap()[0].name, "power");
        assert!(chosen(&["powre".to_owned()]).is_err());
    }

    fn parsed(line: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
        let line = std::iter::once("xtask".into()).chain(line);
        match crate::Cli::try_parse_from(line)?.task {
            crate::Task::Chaos(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    /// The child was given the line of its parent and `--guarded`: `nightly --guarded`, which is refused, so that no night had
    /// a round of chaos.
    #[test]
    fn the_child_is_asked_for_what_was_asked_whoever_asked() {
        let every = Args {
            only: vec!["power".to_owned(), "clock".to_owned()],
            rounds: Some(3),
            from: 2,
            seed: Some(7),
            store: "fjall".to_owned(),
            rep: Some("else/rep".into()),
            keep: true,
            minutes: 5,
            ..Args::all()
        };
        for asked in [Args::all(), every] {
            let child = parsed(asked.of_child()).unwrap();
            assert_eq!(child, Args { guarded: true, ..asked });
        }
    }

    #[test]
    fn no_round_at_all_is_not_a_pass() {
        assert!(parsed(["chaos", "--rounds", "1"].map(OsString::from)).is_ok());
        assert!(parsed(["chaos", "--rounds", "0"].map(OsString::from)).is_err());
    }
}
