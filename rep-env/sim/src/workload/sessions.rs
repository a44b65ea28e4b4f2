//! Sessions: a client carries the newest entry that it was shown or has written, and asks for at least that.

use super::World;
use crate::history::{Asked, Call};
use crate::machine::Machine;
use crate::oracle::Checked;
use rep_vlsn::LogPoint;

/// What a client has come to know of the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Session {
    /// The newest that can never go away: it was shown, or acknowledged as durable.
    seen: LogPoint,
    /// The newest that it has written, however little that asked for.
    wrote: LogPoint,
}

impl Session {
    /// The entry that its next read asks for, if it has any.
    pub(super) fn token(&self) -> Option<LogPoint> {
        let newest = if self.wrote.vlsn > self.seen.vlsn { self.wrote } else { self.seen };
        Some(newest).filter(|newest| *newest != LogPoint::NULL)
    }

    fn saw(&mut self, point: LogPoint) {
        if point.vlsn > self.seen.vlsn {
            self.seen = point;
        }
    }
}

impl World {
    /// The newest entry that a client knows for certain: what it asks for from now on comes after that.
    pub(super) fn known_to(&self, index: usize) -> LogPoint {
        self.clients[index].session.seen
    }

    /// A read was served with a state up to `applied`.
    pub(super) fn session_saw(&mut self, by: Machine, call: &Call, applied: LogPoint) -> Checked {
        let Some(index) = call.client else { return Ok(()) };
        self.clients[index].session.saw(applied);
        match call.what {
            // It carried a token that covers all that its session knew.
            Asked::AtLeast { token, .. } if token.vlsn >= call.known.vlsn => {
                self.oracle.session_reads(by, applied, call.known)
            }
            _ => Ok(()),
        }
    }

    /// A write was acknowledged; `promised`: it is durable.
    pub(super) fn session_wrote(
        &mut self,
        by: Machine,
        call: &Call,
        point: LogPoint,
        promised: bool,
    ) -> Checked {
        let Some(index) = call.client else { return Ok(()) };
        let session = &mut self.clients[index].session;
        session.wrote = point;
        if !promised {
            return Ok(());
        }
        session.saw(point);
        self.oracle.session_writes(by, point, call.known)
    }

    /// A token was refused: its entry is gone.
    pub(super) fn session_lost(&mut self, call: &Call, point: LogPoint) {
        let session = call.client.map(|index| &mut self.clients[index].session);
        if let Some(session) = session.filter(|session| session.wrote == point) {
            session.wrote = LogPoint::NULL;
        }
    }
}
