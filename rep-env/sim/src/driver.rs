//! The runtime of a simulated process: what the threads of a real one do, one event at a time.
//!
//! Each input of the node is a step; its outputs are carried out in order, and after any of them the process may
//! be gone. The log writer, the promise writer (`writers`), the `applier` and the writers of the peers' `links` are
//! events of their own, so that anything may happen between a thing asked for and the thing done; `copies` are what members get that are too far behind; `callers` is the
//! way back to those who asked.

mod applier;
mod callers;
mod cleaning;
mod copies;
mod designated;
mod images;
mod joining;
mod links;
mod numbers;
mod shipping;
mod space;
mod vouching;
mod writers;

pub(crate) use copies::{CHUNK_BYTES_MIN, Copies, CopyNews, Giving, Kept, Taking};
pub(crate) use joining::{Joining, Question, Told};
pub(crate) use shipping::Shipping;
pub(crate) use vouching::Pace;
pub(crate) use writers::Word;

use crate::faults::{End, Fault, Moment};
use crate::machine::{Contacts, Machine};
use crate::oracle::{Checked, Invariant, Roll, Violation, Watermark, ensure};
use crate::process::{Crash, Live};
use crate::world::{Event, World};
use rep_node::{HaltReason, Node, Output, Role};
use rep_vlsn::Vlsn;
use std::time::Duration;

/// Outputs of one step, per member.
const OUTPUTS_MAX: u32 = 16;
/// After so many at most of a step's outputs a process ends in the middle of it.
const STEP_OUTPUTS: u64 = 6;
/// Fences that wait for the disk.
const FENCES_MAX: usize = 8;
/// More than any entry of the workload has.
const ENTRY_BYTES: u64 = 4 << 10;

impl World {
    /// Gives the node an input and carries out what it asks for.
    pub(crate) fn step<R>(
        &mut self,
        id: Machine,
        act: impl FnOnce(&mut Node, Duration) -> R,
    ) -> Option<R> {
        let now = self.now;
        let live = self.process_mut(id).live.as_mut()?;
        let local = live.clock.local(now);
        let result = act(&mut live.node, local);
        self.drain(id);
        Some(result)
    }

    pub(crate) fn drain(&mut self, id: Machine) {
        let (mut outputs, mut carried) = (0, 0);
        let last = self.last_output_of_step();
        loop {
            if self.crash_is_due(id) || self.is_over() {
                return;
            }
            let Some(live) = self.process_mut(id).live.as_mut() else { return };
            let Some(output) = live.node.poll_output() else { break };
            // What is appended comes before what leans on it.
            if matches!(output, Output::Apply { .. } | Output::Resolve { .. }) {
                self.observe(id);
            }
            outputs += u32::from(!matches!(output, Output::Resolve { .. }));
            self.carry_out(id, output);
            carried += 1;
            let drawn = (Some(carried) == last).then(|| self.any_crash());
            if let Some(how) = drawn.or_else(|| self.last_output_of_story()) {
                return self.ends_mid_step(id, how);
            }
        }
        let checked = self.is_bounded(id, outputs);
        self.check(checked);
        self.after_step(id);
    }

    /// I-32 and I-33: how much one step puts out, and what it leaves waiting for the disk. The budget is for what a master lets in: what
    /// it took as a replica may be more, and then nothing is let in until the disk has caught up.
    pub(crate) fn is_bounded(&mut self, id: Machine, outputs: u32) -> Checked {
        let nodes = self.swarm.nodes;
        ensure(outputs <= OUTPUTS_MAX * (nodes + 1), Invariant::BoundedWork, || {
            format!("{id} puts out {outputs} things in one step, in a group of {nodes}")
        })?;
        let callers = u64::from(self.swarm.load.clients) * ENTRY_BYTES;
        let Some(live) = self.live_mut(id) else { return Ok(()) };
        let fences = live.words.iter().filter(|word| matches!(word, Word::Fence(_))).count();
        let (vouches, admission) = (live.words.len() - fences, &live.front.admission);
        let (bytes, max) = (admission.unsynced_bytes, admission.unsynced_bytes_max);
        let leads = live.node.role() == Role::Leader;
        live.backlog = if leads { live.backlog.min(bytes) } else { bytes };
        let max = max.max(live.backlog);
        ensure(
            fences <= FENCES_MAX && vouches <= 1 && (!leads || bytes <= max + callers),
            Invariant::BoundedQueues,
            || {
                format!(
                    "{fences} fences, {vouches} vouches and {bytes} bytes of entries wait for the disk of {id}; it may have {max}"
                )
            },
        )
    }

    /// Chance may have it that a process ends within this step: after the output of which number.
    fn last_output_of_step(&mut self) -> Option<u32> {
        let (rate, made) = (self.swarm.process.crashes_per_step, self.faults.makes_its_own());
        let comes = made && rate > 0.0 && self.rngs.outputs.chance(rate);
        comes.then(|| self.rngs.outputs.between(1, STEP_OUTPUTS) as u32)
    }

    fn any_crash(&mut self) -> Crash {
        self.rngs.outputs.pick(&[Crash::Kill, Crash::PowerCut])
    }

    /// The same in the scene that comes to each output in turn.
    fn last_output_of_story(&mut self) -> Option<Crash> {
        let last = self.faults.last_output.as_mut().filter(|_| self.faults.on)?;
        let how = (last.left == 0).then_some(last.how);
        last.left = last.left.saturating_sub(1);
        how.inspect(|_| self.faults.last_output = None)
    }

    /// What the step had still to put out never happens.
    fn ends_mid_step(&mut self, id: Machine, how: Crash) {
        self.moment_passes();
        let Some(live) = self.process_mut(id).live.as_mut() else { return };
        self.counts.mid_steps += u64::from(live.node.poll_output().is_some());
        let rng = &mut self.rngs.outputs;
        let away = rng.latency_ns(self.swarm.process.away.as_nanos() as u64);
        let end = End { how, fate: rng.next_u64(), silent: false };
        self.inflict(Fault::Crash { id, end, back: Some(Duration::from_nanos(away)) });
    }

    /// An armed crash counts outputs; at zero the rest of them never happens.
    fn crash_is_due(&mut self, id: Machine) -> bool {
        self.moment_passes();
        let Some(live) = self.process_mut(id).live.as_mut() else { return true };
        match &mut live.crash_in {
            Some((0, end, back)) => {
                let (end, back) = (*end, Some(*back));
                self.inflict(Fault::Crash { id, end, back });
                true
            }
            Some((left, ..)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// What the oracle sees of a node between two steps, and its next wake-up.
    fn after_step(&mut self, id: Machine) {
        let now = self.now;
        let run = self.process(id).run;
        let Some(live) = self.process_mut(id).live.as_mut() else { return };
        let local = live.clock.local(now);
        live.front.admission = live.node.admission(local);
        live.front.group = live.node.group();
        live.pace.ruling = live.node.membership().map(|membership| membership.at);
        let wake = live.node.next_timeout().map(|(at, _)| at.max(local));
        let wake = wake.filter(|at| live.wake.is_none_or(|armed| *at < armed));
        if let Some(at) = wake {
            live.wake = Some(at);
            let world = live.clock.world(at).max(now);
            let late = self.rngs.jitter.below(200_000);
            self.schedule.push(world + Duration::from_nanos(late), Event::Timer { id, run, at });
        }
        self.observe(id);
        self.is_ruled_by_its_log(id);
        self.is_synced_in_time(id);
    }

    /// I-43.
    fn is_ruled_by_its_log(&mut self, id: Machine) {
        let Some(live) = self.live_mut(id) else { return };
        let at = live.node.membership().map(|membership| membership.at);
        let checked = self.oracle.is_ruled_by(id, at);
        self.check(checked);
    }

    /// What the node claims to be durable.
    pub(crate) fn observe(&mut self, id: Machine) {
        let held = Vlsn::new(self.oracle.member(id).log.len() as u64);
        let Some(live) = self.live_mut(id) else { return };
        let is_master = live.node.role() == Role::Leader;
        let (dvlsn, cvlsn) = (live.node.dvlsn(), live.node.cvlsn());
        let mark = Watermark { dvlsn, cvlsn, term: live.node.term(), is_master };
        let made =
            live.node.membership().filter(|it| is_master && it.at.vlsn > held).and_then(Roll::of);
        self.oracle.coming = made.map(|roll| (id, roll));
        self.keep_pace(id, &mark);
        let checked = self.oracle.watermark(id, mark);
        self.oracle.coming = None;
        self.check(checked);
        self.oracle.notes_durable(self.now);
        self.learn_commits();
    }

    pub(crate) fn timer(&mut self, id: Machine, at: Duration) {
        let now = self.now;
        let Some(live) = self.process_mut(id).live.as_mut() else { return };
        if live.wake == Some(at) {
            live.wake = None;
        }
        let local = live.clock.local(now);
        let due = live.node.next_timeout().is_some_and(|(due, _)| due <= local);
        if due {
            self.note(id, &[10], || format!("n{} timer", id.get()));
            self.step(id, |node, now| node.handle_timeout(now));
            self.wishes_end_in_time(id);
            self.changes_end_in_time(id);
        } else {
            self.after_step(id);
        }
    }

    fn carry_out(&mut self, id: Machine, output: Output) {
        self.is_silent(id, &output);
        match output {
            Output::PersistFence(fence) => {
                self.stays_settled(id, fence.term);
                self.note(id, &[20, fence.term.get()], || {
                    format!("n{} stores {fence:?}", id.get())
                });
                if let Some(live) = self.live_mut(id) {
                    live.words.push_back(Word::Fence(fence));
                }
                self.promise_writer(id);
                self.spring(id, Moment::FenceIssued);
            }
            Output::PersistVouch(point) => self.keeps_word(id, point),
            Output::Append { group, holder, records } => self.append(id, group, holder, records),
            Output::Truncate { keep, epoch } => self.truncate(id, keep, epoch),
            Output::PersistPast { before, value } => self.keep_past(id, before, value),
            Output::Clean { before } => self.clean(id, before),
            Output::Send { link, message } => self.send(id, link, message),
            Output::SendEntries { link, range } => {
                self.sends_as_it_may(id, link, range.header.connection.term);
                let after = Duration::from_nanos(self.rngs.disk.latency_ns(20_000));
                let (run, range) = (self.process(id).run, Box::new(range));
                self.schedule.push(self.now + after, Event::SendEntries { id, run, link, range });
            }
            Output::Connect { peer, service } => {
                self.connect(id, peer, service);
            }
            Output::Disconnect { link } => self.hang_up(id, link),
            Output::Apply { from, to } => self.apply(id, from, to),
            Output::Staged { request, point } => self.staged(id, request, point),
            Output::Resolve { request, outcome } => self.resolve(id, request, outcome),
            Output::Transferred { request, outcome } => self.transferred(id, request, outcome),
            Output::Event(event) => self.heard(id, event),
            Output::Halt(reason) => self.halts(id, &reason),
            Output::Fetch { fetch, sources, at_least } => self.fetch(id, fetch, sources, at_least),
            Output::FetchNoMore => self.fetch_no_more(id),
            Output::Reopen { point } => self.makes_way(id, point),
            Output::Contacts(contacts) => {
                if let Some(live) = self.live_mut(id) {
                    live.contacts = Contacts::of(&contacts);
                }
            }
            Output::MembershipChanged { request, outcome } => self.changed(id, request, outcome),
            Output::Join { helpers } => self.joins(id, &helpers),
            Output::TakePlace { place } => self.takes_place(id, place),
            Output::KeepPlace { place } => self.keeps_place(id, &place),
            other => self.fail(Violation {
                invariant: Invariant::ErrorHonesty,
                what: format!("the simulator does not know the output {other:?}"),
            }),
        }
    }

    /// I-28: who makes way for a copy does nothing more. Callers are told that there is nothing to be had here.
    pub(crate) fn is_silent(&mut self, id: Machine, output: &Output) {
        let says_nothing = matches!(
            output,
            Output::Event(_)
                | Output::Disconnect { .. }
                | Output::Resolve { .. }
                | Output::Transferred { .. }
                | Output::MembershipChanged { .. }
        );
        let makes_way = self.live_mut(id).is_some_and(|live| live.makes_way);
        let removed = self.live_mut(id).is_some_and(|live| live.removed);
        let ends = says_nothing || matches!(output, Output::FetchNoMore);
        let checked = ensure(ends || !removed, Invariant::RemovedCounts, || {
            format!("{id} was removed, and yet: {output:?}")
        });
        self.check(checked);
        let checked = ensure(says_nothing || !makes_way, Invariant::RestoreAtomic, || {
            format!("{id} makes way for a copy, and yet: {output:?}")
        });
        self.check(checked);
    }

    /// I-37: only a disk that failed a promise is a reason.
    fn halts(&mut self, id: Machine, reason: &HaltReason) {
        self.note(id, &[43], || format!("n{} halts: {reason}", id.get()));
        if *reason == HaltReason::Removed {
            self.live_mut(id).into_iter().for_each(|live| live.removed = true);
            let checked = self.oracle.was_removed(id);
            return self.check(checked);
        }
        if let HaltReason::OlderImage { .. } = reason {
            return self.found_to_be_an_image(id);
        }
        let failed = matches!(reason, HaltReason::PromiseFailed { .. });
        let checked = ensure(failed, Invariant::ErrorHonesty, || format!("{id} halts: {reason}"));
        self.check(checked);
    }

    /// I-35: in a group that has settled nobody raises a term.
    fn stays_settled(&mut self, id: Machine, term: rep_vlsn::Term) {
        let settled = self.faults.settled.unwrap_or(term);
        let checked = ensure(term <= settled, Invariant::Stability, || {
            format!("{id} raises its fence to {term}; the master of {settled} is well")
        });
        self.check(checked);
    }

    pub(crate) fn acts(&mut self, id: Machine, term: rep_vlsn::Term, how: &str) {
        let run = self.process(id).run;
        let checked = self.oracle.acts_as_master((id, run), term, how);
        self.check(checked);
    }

    pub(crate) fn live_mut(&mut self, id: Machine) -> Option<&mut Live> {
        self.process_mut(id).live.as_deref_mut()
    }
}
