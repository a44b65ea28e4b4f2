//! What a fault may use: the group, chance, and the two questions that are asked after every fault, each with its bound.

use super::chance::Chance;
use super::figures::Figures;
use super::group::{Group, told};
use super::journal::Journal;
use super::node::Node;
use anyhow::{Context, bail};
use std::thread;
use std::time::{Duration, Instant};

/// The default of `election_timeout`, which the nodes run with.
pub(super) const ELECTION_TIMEOUT: Duration = Duration::from_millis(600);
/// A write that is asked once a majority is well has to be acknowledged within this: ten election timeouts to elect, ten to
/// answer.
const SERVED_BOUND: Duration = Duration::from_secs(12);
/// All members have to be on the master's stream again within this.
const SYNC_BOUND: Duration = Duration::from_secs(12);
const LOOK: Duration = Duration::from_millis(25);

/// One round.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) group: &'a mut Group,
    pub(super) journal: &'a Journal,
    pub(super) chance: &'a mut Chance,
    pub(super) figures: &'a mut Figures,
    pub(super) round: u64,
}

/// Whom a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Master,
    Replica,
    All,
}

impl Whom {
    pub(super) fn word(self) -> &'static str {
        match self {
            Whom::Master => "master",
            Whom::Replica => "replica",
            Whom::All => "all",
        }
    }
}

impl Scene<'_> {
    /// Takes turns among `choices`.
    pub(super) fn turn(&self, choices: &[Whom]) -> Whom {
        choices[(self.round % choices.len() as u64) as usize]
    }

    /// The nodes that this is about.
    pub(super) fn victims(&mut self, whom: Whom) -> anyhow::Result<Vec<usize>> {
        let order = self.order(whom)?;
        Ok(match whom {
            Whom::All => order,
            Whom::Master | Whom::Replica => order[..1].to_vec(),
        })
    }

    /// All nodes, first the one that this is about, the others as chance has it.
    pub(super) fn order(&mut self, first: Whom) -> anyhow::Result<Vec<usize>> {
        let mut order = self.chance.order(self.group.nodes.len());
        if first == Whom::All {
            return Ok(order);
        }
        let master = self.group.master()?;
        let fits = |node: &usize| (*node == master) == (first == Whom::Master);
        let place = order.iter().position(fits).context("no such node")?;
        order.swap(0, place);
        Ok(order)
    }

    pub(super) fn node(&mut self, number: usize) -> &mut Node {
        &mut self.group.nodes[number]
    }

    /// A majority is well since `since`: it has to serve.
    pub(super) fn served(&mut self, whom: Whom, since: Instant) -> anyhow::Result<()> {
        let Some(took) = self.journal.served_after(since, SERVED_BOUND) else {
            let statuses = told(&self.group.statuses());
            bail!("no write was acknowledged within {SERVED_BOUND:?}\n{statuses}");
        };
        self.figures.served.entry(whom.word()).or_default().push(took);
        Ok(())
    }

    /// All are well since `since`: they have to come to the master's stream.
    pub(super) fn synced(&mut self, whom: Whom, since: Instant) -> anyhow::Result<()> {
        let took = self.group.await_sync(since, SYNC_BOUND)?;
        self.figures.synced.entry(whom.word()).or_default().push(took);
        Ok(())
    }

    /// Lets the fault last, for some time up to `max`.
    pub(super) fn last_up_to(&mut self, max: Duration) {
        thread::sleep(self.chance.up_to(max));
    }

    /// Waits until the node has noticed that its disk fails: until it is neither master nor replica, or has ended. Whether it did.
    pub(super) fn noticed(&mut self, node: usize, limit: Duration) -> anyhow::Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if self.node(node).ended_within(Duration::ZERO)? {
                return Ok(true);
            }
            if self.group.status(node).is_none_or(|status| !status.serves()) {
                return Ok(true);
            }
            thread::sleep(LOOK);
        }
        Ok(false)
    }
}
