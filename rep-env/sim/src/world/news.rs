//! The network's news: dials that arrive or fail, connections that stand, frames that come.

use super::{Event, World};
use crate::machine::Machine;
use crate::network::{ConnId, Dial, NetEvent, NoAnswer, Parcel, Side, is_refused};
use crate::oracle::{Invariant, ensure};
use crate::process::Life;
use rep_node::{DialFailure, Link, RunId, Service, Shown};
use rep_vlsn::NodeId;
use std::time::Duration;

impl World {
    pub(crate) fn net_coming(&mut self, coming: Vec<(Duration, NetEvent)>) {
        for (at, event) in coming {
            self.schedule.push(at, Event::Net(event));
        }
    }

    pub(super) fn net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Dial(dial) => self.dialled(dial),
            NetEvent::DialFailed { dial, why } => self.dial_failed(dial, why),
            NetEvent::Arrive { conn, to, parcel } => self.arrive(conn, to, parcel),
        }
    }

    fn is_running(&self, id: Machine, run: u64) -> bool {
        let process = self.process(id);
        process.run == run && process.live.is_some()
    }

    fn dialled(&mut self, dial: Dial) {
        let target = self.process(dial.to);
        let (powered, paused, life) = (target.powered, target.paused, target.life.clone());
        if life != Life::Up || paused {
            let why = if powered && !paused { NoAnswer::Refused } else { NoAnswer::Silence };
            let coming = self.network.dial_fails(self.now, dial, why);
            return self.net_coming(coming);
        }
        if !self.is_running(dial.from, dial.run) {
            return;
        }
        let Some(caller) = self.number_of(dial.to, dial.from) else {
            let coming = self.network.dial_fails(self.now, dial, NoAnswer::Unknown);
            return self.net_coming(coming);
        };
        let ours = self.process_mut(dial.from).next_link();
        let run = self.process(dial.to).run;
        let theirs = self.process_mut(dial.to).next_link();
        let (_, coming) = self.network.accept(self.now, dial, caller, ours, (run, theirs));
        self.net_coming(coming);
        self.link_taken(dial, caller, (ours, theirs));
    }

    /// A node dials a member, by its number.
    pub(crate) fn connect(&mut self, id: Machine, peer: NodeId, service: Service) {
        let to = self.machine_of(id, peer);
        let checked = ensure(to.is_some(), Invariant::ErrorHonesty, || {
            format!("{id} dials member {peer}, of whom it has not told")
        });
        self.check(checked);
        let Some(to) = to else { return };
        let dial = Dial { from: id, run: self.process(id).run, to, peer, service };
        let coming = self.network.dial(self.now, dial);
        self.net_coming(coming);
    }

    /// The acceptor has a new link.
    fn link_taken(&mut self, dial: Dial, caller: NodeId, (ours, theirs): (u64, u64)) {
        let link = Link { peer: caller, service: dial.service, epoch: theirs };
        let shown = Shown::new(self.process(dial.from).incarnation, RunId(dial.run)).numbered(ours);
        self.note(dial.to, &[50, theirs], || format!("n{} takes {link:?}", dial.to.get()));
        self.step(dial.to, |node, now| node.handle_link_up(now, link, shown, false));
    }

    /// A member's end of so many connections stands for a while; whoever dialled never hears of it, and hangs up.
    pub(crate) fn dial_in_vain(
        &mut self,
        from: Machine,
        to: Machine,
        service: Service,
        count: u32,
    ) {
        self.counts.storms += 1;
        for _ in 0..count {
            let target = self.process(to);
            let up = target.live.is_some() && !target.paused && self.process(from).live.is_some();
            if !up || self.network.is_cut(from, to) || self.is_over() {
                return;
            }
            let numbers = self.number_of(from, to).zip(self.number_of(to, from));
            let Some((peer, caller)) = numbers else { return };
            let dial = Dial { from, run: self.process(from).run, to, peer, service };
            let (ours, run) = (self.process_mut(from).next_link(), self.process(to).run);
            let theirs = self.process_mut(to).next_link();
            let coming = self.network.accept_in_vain(self.now, dial, caller, ours, (run, theirs));
            self.net_coming(coming);
            self.link_taken(dial, caller, (ours, theirs));
        }
    }

    /// I-26: a second process of a member is turned away where the first is heard. Where it is not, it may have taken over: then this
    /// one, which has nothing to say, loses its connection again.
    pub(crate) fn dial_as_twin(&mut self, of: Machine, at: Machine, service: Service) {
        let first = (of, self.process(of).run);
        let target = self.process(at);
        if target.live.is_none() || target.paused || of == at {
            return;
        }
        // Clocks run fast or slow by some percent, and may have leapt: well within the time for which the first is believed.
        let since = self.now.saturating_sub(self.swarm.election_timeout / 2);
        let (heard, leapt) = (self.network.hears(at, first, since), target.has_leapt(since));
        // The directory of one that is down may be another by now.
        let heard = heard && !leapt && self.process(of).live.is_some();
        let numbers = self.number_of(at, at).zip(self.number_of(at, of));
        let Some((peer, caller)) = numbers else { return };
        let dial = Dial { from: of, run: u64::MAX, to: at, peer, service };
        let (ours, run) = (self.process_mut(of).next_link(), self.process(at).run);
        let theirs = self.process_mut(at).next_link();
        let coming = self.network.accept_in_vain(self.now, dial, caller, ours, (run, theirs));
        self.net_coming(coming);
        self.link_taken(dial, caller, (ours, theirs));
        let taken =
            self.network.find(at, theirs).and_then(|(conn, side)| self.network.end(conn, side));
        let taken = taken.is_some_and(|(_, end)| end.open);
        self.counts.twins += u64::from(heard);
        let checked = ensure(!(heard && taken), Invariant::WipedVoter, || {
            format!("{at} takes a second process of {of} for the first, which it hears")
        });
        self.check(checked);
    }

    fn dial_failed(&mut self, dial: Dial, why: NoAnswer) {
        if !self.is_running(dial.from, dial.run) {
            return;
        }
        if self.process(dial.from).paused {
            let event = Event::Net(NetEvent::DialFailed { dial, why });
            return self.process_mut(dial.from).stalled.push(event);
        }
        let why = match why {
            NoAnswer::Refused => DialFailure::Refused,
            NoAnswer::Silence => DialFailure::Unreachable,
            NoAnswer::Unknown => {
                DialFailure::Rejected("it is no member, as far as is known there".into())
            }
        };
        self.note(dial.from, &[51], || {
            format!("n{} dials n{}: {why:?}", dial.from.get(), dial.to.get())
        });
        self.step(dial.from, |node, now| {
            node.handle_dial_failed(now, dial.peer, dial.service, why)
        });
    }

    fn arrive(&mut self, conn: ConnId, to: Side, parcel: Parcel) {
        let Some((service, end)) = self.network.end(conn, to) else { return };
        let (_, other) = self.network.end(conn, to.other()).unwrap_or((service, end));
        let link = Link { peer: end.peer, service, epoch: end.epoch };
        if !self.is_running(end.node, end.run) {
            // Nobody is there. A machine that lives says so.
            if self.process(end.node).powered && !matches!(parcel, Parcel::Close) {
                let coming = self.network.reset(self.now, conn);
                self.net_coming(coming);
            }
            let _ = self.network.arrive(self.now, conn, to, parcel);
            return;
        }
        if self.process(end.node).paused {
            let event = Event::Net(NetEvent::Arrive { conn, to, parcel });
            return self.process_mut(end.node).stalled.push(event);
        }
        if let Parcel::Opened { dial } = parcel {
            if self.network.is_cut(other.node, end.node) {
                let coming = self.network.unanswered(self.now, conn, dial);
                return self.net_coming(coming);
            }
            return self.opened(conn, link, other.node);
        }
        match self.network.arrive(self.now, conn, to, parcel) {
            Some(Parcel::Frame { bytes, old }) => self.frame_came(end.node, link, to, bytes, old),
            Some(Parcel::Spoilt { wire }) => self.spoilt_came(conn, &wire),
            Some(Parcel::Close) => {
                self.network.closed(conn, to);
                let id = end.node;
                self.note(id, &[52, link.epoch], || format!("n{} loses {link:?}", id.get()));
                self.step(id, |node, now| node.handle_link_down(now, link));
            }
            Some(Parcel::Opened { .. }) | None => {}
        }
    }

    /// Whoever reads there closes the connection, or waits for bytes that do not come and is reset by whoever sends them.
    fn spoilt_came(&mut self, conn: ConnId, wire: &[u8]) {
        let checked = is_refused(wire);
        self.check(checked);
        let coming = self.network.abort(self.now, conn);
        self.net_coming(coming);
    }

    fn opened(&mut self, conn: ConnId, link: Link, other: Machine) {
        let Some((_, end)) = self.network.end(conn, Side::Dialler) else { return };
        if let Some(opening) = self.network.opened(conn) {
            self.haunt(conn, opening);
        }
        let incarnation = self.process(other).incarnation;
        self.note(end.node, &[53, link.epoch], || format!("n{} has {link:?}", end.node.get()));
        self.step(end.node, |node, now| node.handle_link_up(now, link, incarnation, true));
    }
}
