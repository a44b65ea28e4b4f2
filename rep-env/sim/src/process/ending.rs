//! A process ends: killed, without power, or closed in good order.

use super::{Crash, Life, Live};
use crate::faults::End;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::rng::Rng;
use crate::world::World;
use rep_node::NodeState;
use rep_vlsn::{LogWriter, MemDisk, Vlsn};

impl World {
    /// A process ends, with all that it had not written.
    pub(crate) fn end_process(&mut self, id: Machine, end: End) {
        if end.how == Crash::Close && !self.process(id).paused {
            self.close_node(id);
        }
        let Some(live) = self.process_mut(id).live.take() else { return };
        self.passengers.close(id);
        self.counts.crash(end.how);
        self.note(id, &[3, end.how as u64], || format!("n{} {}", id.get(), end.how.verb()));
        let Live { writer, open_calls, node, .. } = *live;
        let end = match end.how {
            Crash::Close => self.close_log(id, end, writer, node.dvlsn()),
            Crash::Kill | Crash::PowerCut => end,
        };
        let powered = end.how != Crash::PowerCut;
        let process = self.process_mut(id);
        process.life = Life::Down;
        process.paused = false;
        process.frozen = None;
        process.failed = false;
        process.ails = process.ails.filter(|_| process.full);
        process.stalled.clear();
        process.unfinished.clear();
        match powered {
            true => process.home.disk.kill(),
            false => {
                process.lost_marks |= process.home.disk.is_in_doubt();
                process.home.disk.power_cut(&mut end.fates());
            }
        }
        process.powered = powered;
        let silence = end.silent.then(|| self.swarm.election_timeout * 6);
        let coming = self.network.process_ended(self.now, id, powered, silence);
        self.net_coming(coming);
        self.copies_lost(id, powered);
        self.oracle.stopped(id, powered);
        self.lose_calls(id, open_calls);
    }

    /// I-38: closing ends at once, in whatever state the node is, and everybody who asked is told.
    fn close_node(&mut self, id: Machine) {
        self.step(id, |node, now| node.close(now));
        let Some(live) = self.live_mut(id) else { return };
        let (state, open, coming) = (live.node.state(), live.open_calls.len(), live.lane.len());
        let next = live.node.next_timeout();
        let told = live.wishes.is_empty();
        let ended = state == NodeState::Shutdown && open <= coming && next.is_none() && told;
        let checked = ensure(ended, Invariant::Shutdown, || {
            format!("{id} was closed: it is {state:?}, {open} calls wait, next is {next:?}")
        });
        self.check(checked);
    }

    /// The log's last mark, unless the disk fails it, or dies of it.
    fn close_log(&mut self, id: Machine, end: End, writer: LogWriter<MemDisk>, dvlsn: Vlsn) -> End {
        let hung = self.process(id).hung;
        let poisoned = writer.is_poisoned();
        if poisoned {
            self.oracle.log_in_doubt(id);
        }
        // A log that has failed is not closed: the runtime has told so before.
        let closed = match hung || poisoned {
            true => Ok(()),
            false => writer.close(dvlsn).map_err(|error| error.to_string()),
        };
        if let Err(why) = closed {
            if self.process(id).home.disk.crashed() {
                return self.tear_of(id).0;
            }
            let excused = self.process(id).ails.is_some();
            let checked = ensure(excused, Invariant::Shutdown, || {
                format!("{id} cannot close its log: {why}")
            });
            self.check(checked);
            self.oracle.log_in_doubt(id);
        }
        end
    }
}

impl End {
    /// What decides, write by write, what a power cut leaves. The fate 0 leaves nothing that was not synced.
    pub(crate) fn fates(self) -> impl FnMut() -> u64 {
        let mut rng = Rng::split(self.fate, "power");
        move || if self.fate == 0 { 0 } else { rng.next_u64() }
    }
}

impl Crash {
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Crash::Kill => "is killed",
            Crash::PowerCut => "loses power",
            Crash::Close => "is closed",
        }
    }
}
