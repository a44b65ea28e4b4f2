//! What an operator asks: who is master, and if nobody, what is being waited for and who refuses.

use super::{Election, Phase};
use crate::message::Reason;
use crate::promise::Fence;
use rep_vlsn::{NodeId, Term};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a node is doing in the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PhaseName {
    /// It follows a master, or waits for its time to stand.
    Resting,
    /// It has promised a term and waits for the winner to act.
    Promised,
    /// It has named this winner and waits to hear it.
    Crowning(NodeId),
    /// It asks whether a quorum would promise.
    Asking,
    /// It solicits promises.
    Soliciting,
    /// It is master.
    Reigning,
}

/// A snapshot of one election core.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElectionStatus {
    /// What it is doing.
    pub phase: PhaseName,
    /// The fence in force.
    pub fence: Fence,
    /// The fence on disk.
    pub durable: Fence,
    /// The latest master followed, whether or not it is still heard.
    pub followed: Option<(Term, NodeId)>,
    /// What it waits for, and until when; nothing while it reigns or its disk is at work.
    pub waiting: Option<(Duration, &'static str)>,
    /// Who has granted or promised in the round that is open, itself included.
    pub agreed: Vec<NodeId>,
    /// Who refused this node in its latest round, and why.
    pub refused_by: BTreeMap<NodeId, Reason>,
    /// Whom this node refused last, and why. A wiped member stands here with `OtherIncarnation`.
    pub refused: BTreeMap<NodeId, Reason>,
}

impl Election {
    /// What this node is doing, and why it waits.
    pub fn status(&self) -> ElectionStatus {
        ElectionStatus {
            phase: self.phase_name(),
            fence: self.fence(),
            durable: self.durable_fence(),
            followed: self.followed,
            waiting: self.next_timeout(),
            agreed: self.agreed(),
            refused_by: self.refused_by.clone(),
            refused: self.refused.clone(),
        }
    }

    fn phase_name(&self) -> PhaseName {
        match (&self.phase, self.watch) {
            (Phase::Resting, Some(watch)) => PhaseName::Crowning(watch.winner),
            (Phase::Resting, None) if self.standing_for_office => PhaseName::Promised,
            (Phase::Resting, None) => PhaseName::Resting,
            (Phase::Asking(_), _) => PhaseName::Asking,
            (Phase::Soliciting(_), _) => PhaseName::Soliciting,
            (Phase::Reigning { .. }, _) => PhaseName::Reigning,
        }
    }

    fn agreed(&self) -> Vec<NodeId> {
        match &self.phase {
            Phase::Asking(pre_vote) => {
                let mut agreed: Vec<NodeId> = pre_vote.grants.keys().copied().collect();
                agreed.push(self.config.me);
                agreed.sort_unstable();
                agreed
            }
            Phase::Soliciting(round) => round.pledges.keys().copied().collect(),
            Phase::Resting | Phase::Reigning { .. } => Vec::new(),
        }
    }
}
