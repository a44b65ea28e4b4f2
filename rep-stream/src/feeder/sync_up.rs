//! From the handshake to the first entry: where the logs part, and that the replica ends there.

use super::progress::Phase;
use super::{Feeder, FeederFacts, FeederOutput};
use crate::error::PeerError;
use crate::handshake::{Handshake, RefuseReason, SyncUp};
use crate::message::FeederMessage;
use crate::syncup::{Answer, Offer, answer};
use rep_vlsn::LogPoint;
use std::time::Duration;

impl Feeder {
    /// A second handshake may find a range still on its way to the channel. It waits for that: the answer
    /// must be the last thing before new entries.
    pub(super) fn on_handshake(
        &mut self,
        now: Duration,
        handshake: Handshake,
        facts: &FeederFacts<'_>,
    ) -> Result<(), PeerError> {
        handshake.check()?;
        self.check_identity(&handshake)?;
        if handshake.last.term > self.connection.term {
            let (stream, entry) = (self.connection.term, handshake.last);
            return Err(PeerError::TermAboveStream { stream, entry });
        }
        if handshake.last < self.received {
            return Err(PeerError::WentBack { acked: self.received, now: handshake.last });
        }
        if self.outstanding.is_some() {
            self.deferred = Some(handshake);
        } else {
            self.answer_handshake(now, handshake, facts);
        }
        Ok(())
    }

    fn check_identity(&self, handshake: &Handshake) -> Result<(), PeerError> {
        let same = self.incarnation.is_none_or(|known| known == handshake.incarnation);
        if handshake.node == self.peer && same {
            return Ok(());
        }
        Err(PeerError::WrongNode { expected: self.peer, got: handshake.node })
    }

    pub(super) fn answer_handshake(
        &mut self,
        now: Duration,
        theirs: Handshake,
        facts: &FeederFacts<'_>,
    ) {
        self.stats.sync_ups += 1;
        self.incarnation = Some(theirs.incarnation);
        if theirs.group.is_some_and(|group| group != facts.group) {
            return self.refuse(RefuseReason::WrongGroup);
        }
        let (first, last) = (facts.log.first(), Some(theirs.last));
        let Some(offer) = self.offer(facts) else { return self.need_restore(first, last) };
        if self.config.relay && theirs.last.vlsn > offer.last.vlsn {
            return self.refuse(RefuseReason::Behind { limit: offer.last.vlsn });
        }
        match answer(&offer, first, &theirs) {
            Answer::StreamAfter(matchpoint) => self.tell_matchpoint(now, matchpoint, offer, facts),
            Answer::NeedsRestore => self.need_restore(first, last),
            Answer::Refuse(reason) => self.refuse(reason),
        }
        self.attributes = theirs.attributes;
    }

    fn offer(&self, facts: &FeederFacts<'_>) -> Option<Offer> {
        if self.config.relay {
            Offer::up_to(facts.log, facts.send_limit)
        } else {
            Some(Offer::of(facts.log))
        }
    }

    fn tell_matchpoint(
        &mut self,
        now: Duration,
        matchpoint: LogPoint,
        offer: Offer,
        facts: &FeederFacts<'_>,
    ) {
        self.told = (facts.dvlsn, facts.cvlsn);
        self.tell_at = None;
        self.send(FeederMessage::SyncUp(SyncUp {
            connection: self.connection,
            group: facts.group,
            matchpoint,
            last: offer.last,
            history: offer.history,
            dvlsn: facts.dvlsn,
            cvlsn: facts.cvlsn,
        }));
        let until = now + self.config.sync_up_timeout;
        self.phase = Phase::AwaitReady { matchpoint, until };
    }

    pub(super) fn on_ready(
        &mut self,
        now: Duration,
        at: LogPoint,
        facts: &FeederFacts<'_>,
    ) -> Result<(), PeerError> {
        let Phase::AwaitReady { matchpoint, .. } = self.phase else {
            return Err(PeerError::Unexpected { message: "Ready", phase: self.phase.name() });
        };
        if at != matchpoint {
            return Err(PeerError::ReadyElsewhere { at, matchpoint });
        }
        self.phase = Phase::Streaming;
        self.sent = at;
        self.window.clear();
        self.watch_for_stall(now, false);
        self.outputs.push_back(FeederOutput::InSync { at });
        self.pump(now, facts);
        Ok(())
    }
}
