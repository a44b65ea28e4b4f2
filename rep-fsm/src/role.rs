//! What this node does in its group, and what may make it do something else.
//!
//! Roles change for reasons that arrive from everywhere: timers, votes, disks, operators. If each of them could set
//! the role, two reasons that meet would leave a node that is half a master. So every reason is a [`Signal`], all
//! permitted steps stand in [`ROLE_TABLE`], and [`RoleMachine`] adds the one rule that a table cannot say: time in a
//! group is counted in terms, and news of a term that is over changes nothing.

use crate::error::RoleError;
use crate::machine::{Machine, Step, Table, row};
use rep_vlsn::Term;
use std::collections::BTreeMap;

/// What a node does in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Takes no part: not opened yet, closed, without data, or without a disk to trust.
    #[default]
    Idle,
    /// Follows a master, or waits for one.
    Replica,
    /// Seeks a master: itself or another.
    Candidate,
    /// Is the master.
    Leader,
}

impl Role {
    /// Every role, in the order of its declaration.
    pub const ALL: [Role; 4] = [Role::Idle, Role::Replica, Role::Candidate, Role::Leader];
}

/// A reason to change role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Opened and recovered, and of a type that holds data.
    CapabilitySelected,
    /// No master was heard for an election timeout, or a term above the followed one was promised.
    MissedHeartbeats,
    /// Named winner of the term that this node promised.
    ElectionWon,
    /// Another was named, a master of this or a higher term was heard, or the pre-vote failed.
    ElectionLost,
    /// The master lost its quorum or its durable progress, or hands over.
    GracefulRelinquish,
    /// The master met a strictly higher term in a message of a member.
    PeerLeaderObserved,
    /// The disk is full or failed while replica.
    DiskPressureWithdraw,
    /// The disk is full or failed while candidate.
    CandidateDiskPressureWithdraw,
    /// The disk is full or failed while master.
    LeaderDiskPressureWithdraw,
    /// Removed from the group, or made a type without data.
    PlacementDeselected,
    /// The node closes.
    ChannelClose,
}

impl Signal {
    /// Every signal, in the order of its declaration.
    pub const ALL: [Signal; 11] = [
        Signal::CapabilitySelected,
        Signal::MissedHeartbeats,
        Signal::ElectionWon,
        Signal::ElectionLost,
        Signal::GracefulRelinquish,
        Signal::PeerLeaderObserved,
        Signal::DiskPressureWithdraw,
        Signal::CandidateDiskPressureWithdraw,
        Signal::LeaderDiskPressureWithdraw,
        Signal::PlacementDeselected,
        Signal::ChannelClose,
    ];
}

/// Every permitted role step. The only step that keeps a role is to close what is already idle: closing is idempotent.
pub static ROLE_TABLE: Table<Role, Signal> = Table::new(
    Role::Idle,
    &[
        row(Role::Idle, Signal::CapabilitySelected, Role::Replica),
        row(Role::Idle, Signal::ChannelClose, Role::Idle),
        row(Role::Replica, Signal::MissedHeartbeats, Role::Candidate),
        row(Role::Replica, Signal::DiskPressureWithdraw, Role::Idle),
        row(Role::Replica, Signal::PlacementDeselected, Role::Idle),
        row(Role::Replica, Signal::ChannelClose, Role::Idle),
        row(Role::Candidate, Signal::ElectionWon, Role::Leader),
        row(Role::Candidate, Signal::ElectionLost, Role::Replica),
        row(Role::Candidate, Signal::CandidateDiskPressureWithdraw, Role::Idle),
        row(Role::Candidate, Signal::PlacementDeselected, Role::Idle),
        row(Role::Candidate, Signal::ChannelClose, Role::Idle),
        row(Role::Leader, Signal::PeerLeaderObserved, Role::Replica),
        row(Role::Leader, Signal::GracefulRelinquish, Role::Idle),
        row(Role::Leader, Signal::LeaderDiskPressureWithdraw, Role::Idle),
        row(Role::Leader, Signal::PlacementDeselected, Role::Idle),
        row(Role::Leader, Signal::ChannelClose, Role::Idle),
    ],
);

/// A role step that was taken, and the term in which it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleStep {
    /// The role that was left.
    pub from: Role,
    /// The role that was reached; the same one only for the close of what is idle.
    pub to: Role,
    /// The reason.
    pub signal: Signal,
    /// The term in which the new role is held.
    pub term: Term,
}

/// The role of one node, with its term guard.
///
/// 1. The role moves only along [`ROLE_TABLE`].
/// 2. The term never falls, and a step of a term below it is refused.
/// 3. A term is reigned at most once.
/// 4. A second master in the term of one's own reign is a breach, never a step.
#[derive(Clone, Debug)]
pub struct RoleMachine {
    machine: Machine<Role, Signal>,
    guard: Term,
    reigned: Option<Term>,
}

impl RoleMachine {
    /// An idle node. `term` is the highest one that it knows durably: no step below it will be taken.
    pub fn new(term: Term) -> Self {
        Self { machine: Machine::new(&ROLE_TABLE), guard: term, reigned: None }
    }

    /// The present role.
    pub fn role(&self) -> Role {
        self.machine.state()
    }

    /// The term of the newest step, below which no step is taken.
    pub fn term(&self) -> Term {
        self.guard
    }

    /// How many steps each signal has taken.
    pub fn counts(&self) -> &BTreeMap<Signal, u64> {
        self.machine.counts()
    }

    /// Takes the step to which `signal` leads, in `term`.
    ///
    /// # Errors
    /// [`RoleError`]; role, term and counts stay. On [`RoleError::SecondMaster`] the node must halt.
    pub fn step(&mut self, signal: Signal, term: Term) -> Result<RoleStep, RoleError> {
        let step = ROLE_TABLE.follow(self.role(), signal)?;
        self.admit(step, term)?;
        self.machine.step(signal)?;
        Ok(self.record(step, term))
    }

    /// Takes exactly the step `from` -> `to` by `signal`, in `term`: for callers that decided on what they saw before.
    ///
    /// # Errors
    /// As [`step`](Self::step), and the table's reasons for refusing a request ([`Machine::request`]).
    pub fn request(
        &mut self,
        from: Role,
        to: Role,
        signal: Signal,
        term: Term,
    ) -> Result<RoleStep, RoleError> {
        let step = ROLE_TABLE.judge(from, to, signal)?;
        if self.role() == from {
            self.admit(step, term)?;
        }
        self.machine.request(from, to, signal)?;
        Ok(self.record(step, term))
    }

    /// Closes from any role, as often as one likes. A close is never late: it succeeds in an old term too, and then
    /// the newer term stays.
    pub fn close(&mut self, term: Term) -> RoleStep {
        let step = self.machine.step(Signal::ChannelClose).expect("every role can be closed");
        self.record(step, term.max(self.guard))
    }

    /// What must hold between any two steps.
    ///
    /// # Panics
    /// If it does not.
    pub fn invariants(&self) {
        assert!(self.reigned <= Some(self.guard), "no reign lies above the guard");
        if self.role() == Role::Leader {
            assert_eq!(self.reigned, Some(self.guard), "a master reigns the newest term it knows");
        }
    }

    fn admit(&self, step: Step<Role, Signal>, term: Term) -> Result<(), RoleError> {
        let Step { to, signal, .. } = step;
        if term < self.guard {
            return Err(RoleError::StaleTerm { signal, term, guard: self.guard });
        }
        if signal == Signal::PeerLeaderObserved && term == self.guard {
            return Err(RoleError::SecondMaster { term });
        }
        match self.reigned {
            Some(reigned) if to == Role::Leader && term <= reigned => {
                Err(RoleError::ReignedBefore { term, reigned })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn record(&mut self, step: Step<Role, Signal>, term: Term) -> RoleStep {
        self.guard = term;
        if step.to == Role::Leader {
            self.reigned = Some(term);
        }
        self.invariants();
        RoleStep { from: step.from, to: step.to, signal: step.signal, term }
    }
}
