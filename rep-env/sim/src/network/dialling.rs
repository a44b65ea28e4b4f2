//! Connections begin: a dial, its answer, or none.

use super::{Coming, Conn, ConnId, Dial, End, NetEvent, Network, NoAnswer, Opening, Parcel, Side};
use rep_vlsn::NodeId;
use std::time::Duration;

impl Network {
    pub(crate) fn dial(&mut self, now: Duration, dial: Dial) -> Coming {
        if self.is_cut(dial.from, dial.to) {
            return vec![(
                now + self.dial_timeout,
                NetEvent::DialFailed { dial, why: NoAnswer::Silence },
            )];
        }
        vec![(now + self.delay(), NetEvent::Dial(dial))]
    }

    /// The target does not take the dial.
    pub(crate) fn dial_fails(&mut self, now: Duration, dial: Dial, why: NoAnswer) -> Coming {
        let heard = why != NoAnswer::Silence && !self.is_cut(dial.to, dial.from);
        let (after, why) = match heard {
            true => (self.delay(), why),
            false => (self.dial_timeout, NoAnswer::Silence),
        };
        vec![(now + after, NetEvent::DialFailed { dial, why })]
    }

    /// The target takes the dial: its end stands at once, the dialler's when the answer arrives.
    pub(crate) fn accept(
        &mut self,
        now: Duration,
        dial: Dial,
        caller: NodeId,
        ours: u64,
        theirs: (u64, u64),
    ) -> (ConnId, Coming) {
        self.next += 1;
        let id = ConnId(self.next);
        let (run, epoch) = theirs;
        let ends = [
            End { node: dial.from, run: dial.run, epoch: ours, peer: dial.peer, open: false },
            End { node: dial.to, run, epoch, peer: caller, open: true },
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
        caller: NodeId,
        ours: u64,
        theirs: (u64, u64),
    ) -> Coming {
        let (id, _) = self.accept(now, dial, caller, ours, theirs);
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
        vec![(later, NetEvent::DialFailed { dial, why: NoAnswer::Silence }), (later, close)]
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
