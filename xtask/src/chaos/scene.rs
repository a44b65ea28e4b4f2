//! What a fault may use: the group, chance, and the two questions that are asked after every fault, each with its bound.

use super::chance::Chance;
use super::crew::Crew;
use super::figures::Figures;
use super::group::{Group, told};
use super::journal::Journal;
use super::node::Node;
use anyhow::{Context, bail, ensure};
use std::thread;
use std::time::{Duration, Instant};

/// The default of `election_timeout`, which the nodes run with.
pub(super) const ELECTION_TIMEOUT: Duration = Duration::from_millis(600);
/// A write that is asked once a majority is well has to be acknowledged within this: ten election timeouts to elect, ten to
/// answer.
const SERVED_BOUND: Duration = Duration::from_secs(12);
/// A fault that lasts longer than this outlasts the elections that it brings about: who can serve serves before it ends. A timeout
/// has half of chance in it, and one round may fail.
const ELECTIONS_BOUND: Duration = ELECTION_TIMEOUT.saturating_mul(4);
/// All members have to be on the master's stream again within this.
const SYNC_BOUND: Duration = Duration::from_secs(12);
const LOOK: Duration = Duration::from_millis(25);

/// One round.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) group: &'a mut Group,
    pub(super) journal: &'a Journal,
    pub(super) crew: &'a Crew,
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

/// By when somebody has to serve, during a fault that lasts for `time`: before its end, if it outlasts elections.
pub(super) fn bound_within(time: Duration) -> Duration {
    if time > ELECTIONS_BOUND { time.min(SERVED_BOUND) } else { SERVED_BOUND }
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

    /// A majority is well since `since`: it has to serve the journal's writers and the clients.
    pub(super) fn served(&mut self, whom: Whom, since: Instant) -> anyhow::Result<()> {
        self.acknowledged(whom, since, SERVED_BOUND)?;
        self.answered(since, SERVED_BOUND)
    }

    /// The same while a fault lasts for `time`. Whether somebody served; of a fault that outlasts elections, somebody has to.
    pub(super) fn served_meanwhile(
        &mut self,
        whom: Whom,
        since: Instant,
        time: Duration,
    ) -> anyhow::Result<bool> {
        if time > ELECTIONS_BOUND {
            let bound = bound_within(time);
            self.acknowledged(whom, since, bound)?;
            return self.answered(since, bound).map(|()| true);
        }
        let served = self.journal.served_after(since, time);
        self.figures.served.entry(whom.word()).or_default().extend(served);
        Ok(served.is_some())
    }

    /// A write that was asked after `since` is acknowledged before `bound` is over.
    pub(super) fn acknowledged(
        &mut self,
        whom: Whom,
        since: Instant,
        bound: Duration,
    ) -> anyhow::Result<()> {
        let Some(took) = self.journal.served_after(since, bound) else {
            let statuses = told(&self.group.statuses());
            bail!("no write was acknowledged within {bound:?}\n{statuses}");
        };
        self.figures.served.entry(whom.word()).or_default().push(took);
        Ok(())
    }

    /// The clients are the ones whose history is judged: one without answers would be right whatever happened.
    fn answered(&self, since: Instant, bound: Duration) -> anyhow::Result<()> {
        let statuses = || told(&self.group.statuses());
        ensure!(
            self.crew.answered_after(since, bound),
            "no client was answered a read and a write within {bound:?}\n{}",
            statuses()
        );
        Ok(())
    }

    /// All are well since `since`: they have to come to the master's stream, and clients are served.
    pub(super) fn synced(&mut self, whom: Whom, since: Instant) -> anyhow::Result<()> {
        let took = self.group.await_sync(since, SYNC_BOUND)?;
        self.figures.synced.entry(whom.word()).or_default().push(took);
        self.answered(since, SERVED_BOUND)
    }

    /// Lets the fault last, for some time up to `max`.
    pub(super) fn last_up_to(&mut self, max: Duration) {
        thread::sleep(self.chance.up_to(max));
    }

    /// Waits until the node has noticed that its disk fails: until it says so, or has ended. Whether it did. One that gives no
    /// answer has not: it may be busy, or cut off.
    pub(super) fn noticed(&mut self, node: usize, limit: Duration) -> anyhow::Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if self.node(node).ended_within(Duration::ZERO)? {
                return Ok(true);
            }
            if self.group.status(node).is_some_and(|status| status.has_failed()) {
                return Ok(true);
            }
            thread::sleep(LOOK);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_outlasts_elections_has_to_be_served_through_and_a_shorter_one_need_not() {
        let seconds = Duration::from_secs;
        assert_eq!([1, 3, 8, 20].map(seconds).map(bound_within), [12, 3, 8, 12].map(seconds));
    }
}
