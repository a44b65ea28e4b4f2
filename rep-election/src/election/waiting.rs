//! Waiting: for silence, for a winner to act, for another try; and what ends a wait.

use super::{Election, Phase, Standing};
use crate::output::Lost;
use rep_vlsn::{NodeId, Term};
use std::time::Duration;

impl Election {
    pub(super) fn on_rest_over(&mut self, now: Duration, standing: &Standing<'_>) {
        if self.standing_for_office && now >= self.quiet_until {
            let stagger = self.stagger();
            self.retry_at = self.retry_at.max(now + stagger);
            self.lose(Lost::NobodyCrowned);
        }
        if now >= self.stand_at() {
            self.open_pre_vote(now, standing);
        }
    }

    pub(super) fn rest_until(&self) -> (Duration, &'static str) {
        if let Some(watch) = self.watch
            && watch.until <= self.stand_at()
        {
            return (watch.until, "crown wait of the winner that was named");
        }
        if self.standing_for_office {
            return (self.quiet_until, "crown wait");
        }
        let at = self.stand_at();
        let why = if at == self.quiet_until {
            "crown wait"
        } else if at == self.retry_at {
            "wait after a failed round"
        } else {
            "silence of the master"
        };
        (at, why)
    }

    pub(super) fn stand_at(&self) -> Duration {
        self.detector.stand_at().max(self.quiet_until).max(self.retry_at)
    }

    pub(super) fn keep_quiet(&mut self, now: Duration) {
        self.quiet_until = now + self.config.crown_wait;
    }

    pub(super) fn follow(&mut self, now: Duration, term: Term, master: NodeId) {
        if self.followed != Some((term, master)) {
            let jitter = self.jitter();
            self.detector.redraw(jitter);
        }
        self.followed = Some((term, master));
        self.detector.hear(now);
        self.phase = Phase::Resting;
        self.owed = None;
        self.yielded.clear();
        self.quiet_until = now;
        self.retry_at = now;
        self.forget_refusals();
        self.lose(Lost::MasterHeard { master });
    }

    /// There is a master: of the refusals only those that will come again are still of interest.
    pub(super) fn forget_refusals(&mut self) {
        self.refused_by.retain(|_, reason| reason.is_lasting());
        self.refused.retain(|_, reason| reason.is_lasting());
    }

    pub(super) fn wait_anew(&mut self, now: Duration) {
        let jitter = self.jitter();
        self.detector.forget(now, jitter);
    }

    pub(super) fn fail_round(&mut self, now: Duration, reason: Lost) {
        self.phase = Phase::Resting;
        let round = self.config.round_timeout;
        self.retry_at = now + self.rng.between(round / 2, round + round / 2);
        self.lose(reason);
    }

    pub(super) fn jitter(&mut self) -> Duration {
        self.rng.between(Duration::ZERO, self.config.election_timeout / 2)
    }

    /// Keeps those apart who learn of a silence at the same moment, at a small price.
    pub(super) fn stagger(&mut self) -> Duration {
        self.rng.between(Duration::ZERO, self.config.election_timeout / 20)
    }
}
