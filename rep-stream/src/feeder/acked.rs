//! What a replica says that it has, and whether that can be.

use super::progress::Phase;
use super::{Feeder, FeederFacts, FeederOutput};
use crate::error::PeerError;
use rep_vlsn::LogPoint;
use std::time::Duration;

impl Feeder {
    pub(super) fn on_ack(
        &mut self,
        now: Duration,
        synced: LogPoint,
        received: LogPoint,
        facts: &FeederFacts<'_>,
    ) -> Result<(), PeerError> {
        if self.phase != Phase::Streaming {
            self.stats.dropped_messages += 1;
            return Ok(());
        }
        let (synced, received) = self.check_ack(synced, received, facts)?;
        let raised = synced > self.synced || received > self.received;
        self.synced = self.synced.max(synced);
        self.received = self.received.max(received);
        if raised {
            self.stats.acks += 1;
            let (synced, received) = (self.synced, self.received);
            self.outputs.push_back(FeederOutput::Acked { synced, received });
            self.window.acked(received.vlsn);
            self.watch_for_stall(now, true);
        }
        self.pump(now, facts);
        Ok(())
    }

    /// Acknowledged points are entries of our log that were sent, or are being sent: the thread's report
    /// may be overtaken by the answer to what it sent.
    fn check_ack(
        &self,
        synced: LogPoint,
        received: LogPoint,
        facts: &FeederFacts<'_>,
    ) -> Result<(LogPoint, LogPoint), PeerError> {
        if synced.vlsn > received.vlsn {
            return Err(PeerError::Malformed { what: "synced beyond received" });
        }
        let sent = self.outstanding.map_or(self.sent.vlsn, |range| range.to);
        if received.vlsn > sent {
            return Err(PeerError::AckBeyondSent { received, sent });
        }
        let synced = self.own_point(synced, self.synced, facts)?;
        Ok((synced, self.own_point(received, self.received, facts)?))
    }

    /// The point, if it is an entry of our log; what is `known` already, if the log no longer reaches back
    /// far enough to tell.
    fn own_point(
        &self,
        point: LogPoint,
        known: LogPoint,
        facts: &FeederFacts<'_>,
    ) -> Result<LogPoint, PeerError> {
        if point == self.sent || facts.log.contains(point) {
            Ok(point)
        } else if !point.vlsn.is_null() && point.vlsn < facts.log.first() {
            Ok(known)
        } else {
            Err(PeerError::NotOurs { point })
        }
    }
}
