//! Naming the winner, accepting the crown, and what follows if the winner stays silent.

use super::{Election, Phase, Sender, Standing, Watch};
use crate::message::{Message, Name, Promiser};
use crate::output::{Event, Lost, Output};
use crate::promise::Durable;
use crate::ranking::Choice;
use rep_vlsn::NodeId;
use std::collections::BTreeSet;
use std::time::Duration;

impl Election {
    pub(super) fn name(
        &mut self,
        now: Duration,
        durable: Durable,
        choice: Choice,
        standing: &Standing<'_>,
    ) {
        let Choice { winner, promisers } = choice;
        let (term, me) = (durable.term(), self.config.me);
        self.phase = Phase::Resting;
        self.silent_winner = None;
        self.watch = Some(Watch { term, winner, until: now + self.config.crown_wait });
        self.keep_quiet(now);
        self.put(Output::Event(Event::Named { term, winner }));
        let listed = promisers.iter().map(|promiser| promiser.id);
        let told: BTreeSet<NodeId> = standing.electorate.members().chain(listed).collect();
        let name = Name { term, winner, promisers };
        self.send_all(told.into_iter(), &Message::Name(name.clone()));
        if winner == me {
            self.accept(me, &name, standing);
        } else {
            self.lose(Lost::AnotherNamed { winner });
        }
    }

    pub(super) fn on_name(
        &mut self,
        now: Duration,
        from: Sender,
        name: &Name,
        standing: &Standing<'_>,
    ) {
        if !self.may_name(from, name, standing) || name.term < self.fence().term {
            return;
        }
        if name.term > self.fence().term {
            return self.pass_term(now, from.id, name.term);
        }
        let reigning = matches!(self.phase, Phase::Reigning { .. });
        if name.winner == self.config.me {
            self.accept(from.id, name, standing);
        } else if !reigning {
            self.phase = Phase::Resting;
            self.lose(Lost::AnotherNamed { winner: name.winner });
        }
    }

    pub(super) fn accept(&mut self, proposer: NodeId, name: &Name, standing: &Standing<'_>) {
        let term = name.term;
        if let Err(reason) = self.judge_name(proposer, name, standing) {
            return self.put(Output::Event(Event::CrownDeclined { term, reason }));
        }
        // The announcement may come after the crown wait was given up: the promise still binds, so we
        // stand again.
        self.stand(term);
        self.phase = Phase::Reigning { term };
        self.reigned = Some(term);
        self.watch = None;
        self.silent_winner = None;
        self.standing_for_office = false;
        self.forget_refusals();
        let counted =
            |promiser: &&Promiser| standing.electorate.counts(promiser.id, promiser.incarnation);
        let promisers = name.promisers.iter().filter(counted);
        let promisers = promisers.map(|promiser| (promiser.id, promiser.incarnation)).collect();
        self.put(Output::Crown { term, promisers });
    }

    /// The winner that we named has not been heard: the next term at once, without a pre-vote, and
    /// without it if another will do.
    pub(super) fn on_silent_winner(
        &mut self,
        now: Duration,
        watch: Watch,
        standing: &Standing<'_>,
    ) {
        let Watch { term, winner, .. } = watch;
        self.watch = None;
        self.silent_winner = Some(winner);
        self.put(Output::Event(Event::WinnerSilent { term, winner }));
        if self.may_stand(standing) {
            self.solicit(now, None, standing);
        }
    }
}
