//! Connections begin: a dial, its answer, or none.

use super::{Coming, Conn, ConnId, Dial, End, NetEvent, Network, Opening, Parcel, Side};
use std::time::Duration;

impl Network {
    pub(crate) fn dial(&mut self, now: Duration, dial: Dial) -> Coming {
        if self.is_cut(dial.from, dial.to) {
            return vec![(now + self.dial_timeout, NetEvent::DialFailed { dial, refused: false })];
        }
        vec![(now + self.delay(), NetEvent::Dial(dial))]
    }

    /// The target does not answer (`refused`: its machine says so at once).
    pub(crate) fn dial_fails(&mut self, now: Duration, dial: Dial, refused: bool) -> Coming {
        let heard = refused && !self.is_cut(dial.to, dial.from);
        let after = if heard { self.delay() } else { self.dial_timeout };
        vec![(now + after, NetEvent::DialFailed { dial, refused: heard })]
    }

    /// The target takes the dial: its end stands at once, the dialler's when the answer arrives.
    pub(crate) fn accept(
        &mut self,
        now: Duration,
        dial: Dial,
        ours: u64,
        theirs: (u64, u64),
    ) -> (ConnId, Coming) {
        self.next += 1;
        let id = ConnId(self.next);
        let (run, epoch) = theirs;
        let ends = [
            End { node: dial.from, run: dial.run, epoch: ours, open: false },
            End { node: dial.to, run, epoch, open: true },
        ];
        self.links.insert((dial.from, ours), (id, Side::Dialler));
        self.links.insert((dial.to, epoch), (id, Side::Acceptor));
        let conn = Conn {
            service: dial.service,
            ends,
            answered: false,
            last: [now; 2],
            held: Default::default(),
            heard: [now; 2],
            broken: false,
            half_open: false,
        };
        self.conns.insert(id, conn);
        let opened = Parcel::Opened { dial };
        if self.is_cut(dial.to, dial.from) {
            return (id, self.unanswered(now, id, dial));
        }
        (id, self.convey(now, id, Side::Dialler, opened))
    }

    /// The target takes a dial of which the dialler has lost sight already: its end stands until it hears so.
    pub(crate) fn accept_in_vain(
        &mut self,
        now: Duration,
        dial: Dial,
        ours: u64,
        theirs: (u64, u64),
    ) -> Coming {
        let (id, _) = self.accept(now, dial, ours, theirs);
        let conn = self.conns.get_mut(&id).expect("it was just accepted");
        conn.answered = true;
        let after = Duration::from_nanos(self.delays.below(self.dial_timeout.as_nanos() as u64));
        vec![(
            now + after,
            NetEvent::Arrive { conn: id, to: Side::Acceptor, parcel: Parcel::Close },
        )]
    }

    /// The answer to a dial is lost: the dialler gives up, and the acceptor hears of that.
    pub(crate) fn unanswered(&mut self, now: Duration, id: ConnId, dial: Dial) -> Coming {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.answered = true;
        }
        let later = now + self.dial_timeout;
        let close = NetEvent::Arrive { conn: id, to: Side::Acceptor, parcel: Parcel::Close };
        vec![(later, NetEvent::DialFailed { dial, refused: false }), (later, close)]
    }

    /// The dialler hears that its dial was taken.
    pub(crate) fn opened(&mut self, id: ConnId) -> Option<Opening> {
        let conn = self.conns.get_mut(&id)?;
        conn.ends[0].open = true;
        conn.answered = true;
        let (from, to, service) = (conn.ends[0].node, conn.ends[1].node, conn.service);
        let number = self.openings.entry((from, to, service)).or_default();
        *number += 1;
        Some(Opening { from, to, service, number: *number })
    }
}
