//! Operators: machines are told to join, and members removed, moved, or counted otherwise.
//!
//! What they do is a [`Fault`] like others, so that a case has it in its list. They ask the master, and now and then somebody else; what
//! is refused is as welcome as what is done.

use super::Fault;
use crate::machine::Machine;
use crate::process::Life;
use crate::rng::Rng;
use crate::world::World;
use rep_node::{Change, Quorums};
use serde::{Deserialize, Serialize};

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// A member less.
    Remove { whom: Machine, force: bool },
    /// Another priority, and another name for where it listens.
    Update { whom: Machine, priority: u32, moves: bool },
    /// Quorums of these sizes; none: of more than half.
    Quorums { sizes: Option<(u32, u32)> },
    /// This member is in every quorum, and may be elected alone.
    Designate { whom: Machine },
}

impl Order {
    pub(super) fn about(self) -> Option<Machine> {
        match self {
            Order::Remove { whom, .. } | Order::Update { whom, .. } | Order::Designate { whom } => {
                Some(whom)
            }
            Order::Quorums { .. } => None,
        }
    }
}

impl World {
    /// A machine that is no member is told to join.
    pub(super) fn recruit_any(&mut self) {
        let idle = |id: &Machine| self.is_recruitable(*id);
        let idle: Vec<Machine> = self.ids().into_iter().filter(idle).collect();
        if !idle.is_empty() {
            let id = self.rngs.process.pick(&idle);
            self.inflict(Fault::Recruit { id });
        }
    }

    /// It was never a member, or was removed and knows it.
    fn is_recruitable(&self, id: Machine) -> bool {
        let process = self.process(id);
        let removed = process.live.as_ref().is_some_and(|live| live.removed || live.turned_down);
        process.life == Life::Spare || removed
    }

    /// Its directory is empty, and it is started to join.
    pub(crate) fn recruit(&mut self, id: Machine) {
        if !self.is_recruitable(id) {
            return;
        }
        self.counts.recruits += 1;
        if self.process(id).live.is_some() {
            self.end_process(
                id,
                super::End { how: crate::process::Crash::Kill, fate: 0, silent: false },
            );
            self.empty_home(id);
        }
        let process = self.process_mut(id);
        (process.life, process.joins) = (Life::Down, true);
        self.start(id);
    }

    pub(super) fn order_any(&mut self) {
        let master = self.running_master();
        let (whom, other) = (self.victim(), self.victim());
        let voters = self.oracle.settled_roll().voters().count() as u32;
        let rng = &mut self.rngs.process;
        let at = master.filter(|_| rng.chance(0.85)).unwrap_or(other);
        let order = match rng.below(10) {
            0..=4 => Order::Remove { whom, force: rng.chance(self.swarm.members.forced) },
            5..=7 => {
                Order::Update { whom, priority: rng.between(0, 3) as u32, moves: rng.chance(0.5) }
            }
            _ if self.swarm.members.majorities => Order::Quorums { sizes: None },
            _ => Order::Quorums { sizes: rng.chance(0.7).then(|| any_sizes(rng, voters)) },
        };
        self.inflict(Fault::Order { at, order });
    }

    /// One of two is designated; now and then nobody any more, so that the other one can be.
    pub(super) fn designate_any(&mut self) {
        let Some(at) = self.running_master() else { return };
        let designated = self.oracle.settled_roll().designated().is_some();
        let order = match designated {
            true if self.rngs.process.chance(0.95) => return,
            true => Order::Quorums { sizes: None },
            false => Order::Designate { whom: self.victim() },
        };
        self.inflict(Fault::Order { at, order });
    }

    /// The order is given, if who is asked knows the member that it is about.
    pub(super) fn give_order(&mut self, at: Machine, order: Order) {
        let id = order.about().and_then(|whom| self.number_of(at, whom));
        let (change, force) = match (order, id) {
            (Order::Remove { force, .. }, Some(id)) => (Change::Remove { id }, force),
            (Order::Update { whom, priority, moves }, Some(id)) => {
                let address = moves.then(|| format!("{}/{}", whom.address(), self.orders));
                (
                    Change::Update {
                        id,
                        address,
                        priority: Some(priority),
                        attributes: Default::default(),
                    },
                    false,
                )
            }
            (Order::Quorums { sizes: Some((election, commit)) }, _) => {
                let (election, commit) = (election as usize, commit as usize);
                (Change::Quorums(Quorums::Sizes { election, commit }), false)
            }
            (Order::Quorums { sizes: None }, _) => (Change::Quorums(Quorums::Majority), false),
            (Order::Designate { .. }, Some(id)) => {
                (Change::Quorums(Quorums::Designated(id)), false)
            }
            (Order::Remove { .. } | Order::Update { .. } | Order::Designate { .. }, None) => return,
        };
        self.order(at, change, force);
    }
}

/// Sizes of quorums for so many voters: such as may be, mostly, whether or not the group can go there from where it is.
fn any_sizes(rng: &mut Rng, voters: u32) -> (u32, u32) {
    let between = |rng: &mut Rng, low: u32, high: u32| {
        rng.between(u64::from(low), u64::from(high.max(low))) as u32
    };
    let election = between(rng, voters / 2 + 1, voters);
    let fewest = (voters + 1).saturating_sub(election);
    (election, between(rng, fewest.saturating_sub(1), voters))
}
