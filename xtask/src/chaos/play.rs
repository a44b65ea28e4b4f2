//! Plays a scenario: groups, rounds, and the judgement after each.

use super::chance::Chance;
use super::clean;
use super::crew::Crew;
use super::figures::Figures;
use super::group::{Group, told};
use super::history::History;
use super::journal::Journal;
use super::judge;
use super::names;
use super::node::{Holds, Launch, Node};
use super::scenarios::Scenario;
use super::scene::Scene;
use super::tools;
use super::verdict;
use anyhow::{Context, bail};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// All must be well this soon before a round begins.
const CALM_BOUND: Duration = Duration::from_secs(30);
/// Clients at work before the fault and after it, at least.
const LEAD: Duration = Duration::from_millis(200);
const TAIL: Duration = Duration::from_millis(200);
/// A group ends before its disks are full of its log.
const ROOM_MIN: u64 = 12 << 20;

/// What is the same for all scenarios of a run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rep: PathBuf,
    pub(super) store: String,
    pub(super) seed: u64,
    /// Where histories and logs are written.
    pub(super) evidence: PathBuf,
    /// Whether they are kept if all was well, too.
    pub(super) keep: bool,
}

/// Plays these rounds.
pub(super) fn scenario(
    plan: &Plan,
    scenario: &Scenario,
    rounds: Range<u64>,
) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let mut next = rounds.start;
    while next < rounds.end {
        let evidence = plan.evidence.join(format!("{}-{}-{next}", scenario.name, plan.seed));
        let some = next..rounds.end.min(next + scenario.rounds_a_group);
        let played = group(plan, scenario, some, &evidence, &mut figures);
        let left = clean::everything();
        next = played.with_context(|| format!("what was seen is in {}", evidence.display()))?;
        if !left.is_empty() {
            bail!("cannot clean up: {}", left.join("; "));
        }
        if !plan.keep {
            fs::remove_dir_all(&evidence)?;
        }
        println!("{}: {next} of {} rounds", scenario.name, rounds.end);
    }
    Ok(figures)
}

/// One group's life. The round after its last.
fn group(
    plan: &Plan,
    scenario: &Scenario,
    rounds: Range<u64>,
    evidence: &Path,
    figures: &mut Figures,
) -> anyhow::Result<u64> {
    fs::create_dir_all(names::folder())?;
    fs::create_dir_all(evidence)?;
    let launch = Launch {
        rep: plan.rep.clone(),
        store: plan.store.clone(),
        count: scenario.nodes,
        faketime: tools::faketime().filter(|_| scenario.fakes_time),
        logs: evidence.to_owned(),
    };
    let mut life = Life {
        plan,
        scenario,
        evidence,
        figures,
        chance: Chance::split(plan.seed, &format!("{} {}", scenario.name, rounds.start)),
        group: Group::open(&launch, scenario.weather, plan.seed)?,
    };
    let lived = life.live(rounds);
    if lived.is_err() {
        life.save();
    }
    lived
}

struct Life<'a> {
    plan: &'a Plan,
    scenario: &'a Scenario,
    evidence: &'a Path,
    figures: &'a mut Figures,
    chance: Chance,
    group: Group,
}

impl Life<'_> {
    fn live(&mut self, rounds: Range<u64>) -> anyhow::Result<u64> {
        let journal = Journal::start(&self.group.clients, &self.group.redis()?)?;
        let held: Vec<Option<Holds>> = self.group.nodes.iter().map(Node::holds).collect();
        let mut next = rounds.start;
        while next < rounds.end && (next == rounds.start || self.has_room()?) {
            self.round(&journal, next).with_context(|| self.reproduction(next, rounds.start))?;
            next += 1;
            self.figures.rounds += 1;
        }
        self.end(journal, &held).with_context(|| self.reproduction(next, rounds.start))?;
        Ok(next)
    }

    fn reproduction(&self, round: u64, first: u64) -> String {
        let (name, seed, store) = (self.scenario.name, self.plan.seed, &self.plan.store);
        let rounds = round + 1 - first;
        format!(
            "{name}, round {round}; to try again: cargo xtask chaos --only {name} --seed {seed} --store {store} --from {first} --rounds {rounds}"
        )
    }

    fn has_room(&self) -> anyhow::Result<bool> {
        let rooms = self.group.nodes.iter().map(|node| node.disk.room());
        let rooms: Vec<u64> = rooms.collect::<anyhow::Result<_>>()?;
        Ok(rooms.iter().all(|room| *room >= ROOM_MIN))
    }

    /// Clients work, a fault comes and goes, and what they were told is judged.
    fn round(&mut self, journal: &Journal, round: u64) -> anyhow::Result<()> {
        self.group.await_sync(Instant::now(), CALM_BOUND).context("before the fault")?;
        let history = History::create(&self.evidence.join(format!("round-{round}.jsonl")))?;
        let nodes = self.group.redis()?;
        let crew = Crew::start(&self.group.clients, &nodes, history, round, self.plan.seed)?;
        thread::sleep(LEAD);
        (self.scenario.play)(&mut Scene {
            group: &mut self.group,
            journal,
            crew: &crew,
            chance: &mut self.chance,
            figures: self.figures,
            round,
        })?;
        thread::sleep(TAIL);
        let (path, operations) = crew.stop()?.close()?;
        verdict::judge(&path)?;
        self.figures.operations += operations;
        self.figures.histories += 1;
        if !self.plan.keep {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Everything is read back, and nothing may have been lost, said or leaked.
    fn end(&mut self, journal: Journal, held: &[Option<Holds>]) -> anyhow::Result<()> {
        let ledger = journal.stop()?;
        judge::contents(&self.group, &ledger)?;
        judge::logs(&self.group.nodes)?;
        let settled = judge::leaks(held, &self.group.nodes)?;
        self.figures.settled = self.figures.settled.max(settled);
        self.figures.acked += ledger.acked.len() as u64;
        self.figures.refused += ledger.refused.len() as u64;
        self.figures.unknown += ledger.unknown.len() as u64;
        let (carried, dropped) = self.group.packets();
        self.figures.packets.0 += carried;
        self.figures.packets.1 += dropped;
        Ok(())
    }

    /// Something is wrong: keeps what can be looked at later, as it is now.
    fn save(&self) {
        let statuses = told(&self.group.statuses());
        if let Err(error) = fs::write(self.evidence.join("statuses.txt"), statuses) {
            eprintln!("cannot keep what the nodes say: {error}");
        }
        for node in &self.group.nodes {
            if let Err(error) = node.save_home(self.evidence) {
                eprintln!("cannot keep the directory of {}: {error:#}", node.name());
            }
        }
    }
}
