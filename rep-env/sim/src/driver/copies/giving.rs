//! The end that gives: asks the node whether it may, and reads the store chunk by chunk.

use super::{CopyNews, GIVES, TAKES};
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::{Event, World};
use rep_node::rep_stream::restore::{
    Manifest, Refusal, RestoreEnd, RestoreSource, SinkMessage, SourceOutput,
};
use rep_node::{NodeState, NotOffered, Pin, Role};
use rep_store::{Snapshot, StateMachine};
use rep_vlsn::{Incarnation, Vlsn};
use std::time::Duration;

/// A copy that is being given.
#[derive(Debug)]
pub(crate) struct Giving {
    /// Whose it is, and which directory was there when it asked.
    taker: (Machine, Incarnation),
    pub(super) source: RestoreSource,
    pin: Option<Pin>,
    /// The log is kept from here on.
    pub(in crate::driver) pinned: Option<Vlsn>,
    snapshot: Option<Box<dyn Snapshot>>,
    pub(super) due: Option<Duration>,
}

impl World {
    pub(super) fn begin_giving(&mut self, id: Machine, link: u64, to: Machine) {
        let (now, config) = (self.now, self.copy_config());
        let taker = (to, self.process(to).incarnation);
        self.note(id, &[75, link], || format!("n{} is asked for a copy by {to}", id.get()));
        let Some(live) = self.live_mut(id) else { return };
        let local = live.clock.local(now);
        // Who has no group yet is asked in vain.
        let Some(group) = live.node.group() else { return self.close_copy(link, GIVES) };
        let source = RestoreSource::new(config, group, local);
        let giving = Giving { taker, source, pin: None, pinned: None, snapshot: None, due: None };
        live.giving.insert(link, giving);
        self.pump_giving(id, link);
    }

    pub(super) fn giver_hears(&mut self, id: Machine, link: u64, news: CopyNews) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let local = live.clock.local(now);
        let Some(giving) = live.giving.get_mut(&link) else { return };
        let CopyNews::Said(frame) = news else { return self.end_giving(id, link, false) };
        let source = &mut giving.source;
        let told = SinkMessage::decode(frame).and_then(|said| source.handle_message(local, said));
        let checked = ensure(told.is_ok(), Invariant::ErrorHonesty, || {
            format!("{id} refuses what a correct sink said: {told:?}")
        });
        self.check(checked);
        self.pump_giving(id, link);
    }

    fn end_giving(&mut self, id: Machine, link: u64, done: bool) {
        let Some(giving) = self.live_mut(id).and_then(|live| live.giving.remove(&link)) else {
            return;
        };
        let Some((pin, copy)) = giving.pin.zip(giving.pinned) else { return };
        if !done {
            return self.step(id, |node, _| node.unpin(pin)).unwrap_or_default();
        }
        let (_, incarnation) = giving.taker;
        self.step(id, |node, now| node.copy_given(now, pin, incarnation));
        self.keeps_for(id, giving.taker, copy);
    }

    pub(super) fn pump_giving(&mut self, id: Machine, link: u64) {
        loop {
            let run = self.process(id).run;
            let Some(live) = self.live_mut(id) else { return };
            let Some(giving) = live.giving.get_mut(&link) else { return };
            giving.source.invariants();
            let Some(output) = giving.source.poll_output() else { break };
            match output {
                SourceOutput::Open { at_least } => self.open_copy(id, link, at_least),
                SourceOutput::ReadChunk => {
                    let after = Duration::from_nanos(self.rngs.copies.latency_ns(20_000));
                    self.schedule.push(self.now + after, Event::ChunkRead { id, run, link });
                }
                SourceOutput::Send(message) => {
                    self.convey_copy(link, TAKES, CopyNews::Said(message.encode()));
                }
                SourceOutput::Close(end) => {
                    self.note(id, &[76, link], || format!("n{} gives no more: {end}", id.get()));
                    self.close_copy(link, GIVES);
                    return self.end_giving(id, link, end == RestoreEnd::Done);
                }
                other => {
                    let checked = ensure(false, Invariant::ErrorHonesty, || format!("{other:?}"));
                    self.check(checked);
                }
            }
        }
        let Some(live) = self.live_mut(id) else { return };
        let Some(giving) = live.giving.get_mut(&link) else { return };
        let at = giving.source.next_timeout().map(|(at, _)| at);
        if let Some(at) = at.filter(|at| giving.due.is_none_or(|due| *at < due)) {
            giving.due = Some(at);
            self.copy_wakes(id, link, at);
        }
    }

    fn open_copy(&mut self, id: Machine, link: u64, at_least: Vlsn) {
        let opened = self.opened_copy(id, link, at_least);
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let local = live.clock.local(now);
        let Some(giving) = live.giving.get_mut(&link) else { return };
        match opened {
            Ok(manifest) => giving.source.handle_opened(local, manifest),
            Err(refusal) => giving.source.refuse(refusal),
        }
    }

    fn opened_copy(&mut self, id: Machine, link: u64, at_least: Vlsn) -> Result<Manifest, Refusal> {
        let gone = Refusal::StoreFailed;
        let taker = self.copies.connections.get(&link).map(|it| it.ends[super::TAKES].id);
        let taker = self.process(taker.ok_or(gone)?).incarnation;
        let offer = self.step(id, |node, _| node.offer(at_least, taker)).ok_or(gone)?;
        let offer = offer.map_err(refusal)?;
        self.vouches(id);
        let Some(live) = self.live_mut(id) else { return Err(gone) };
        let giving = live.giving.get_mut(&link).ok_or(gone)?;
        (giving.pin, giving.pinned) = (Some(offer.pin), Some(offer.point.vlsn));
        let snapshot = live.store.snapshot().map_err(|_| Refusal::Busy)?;
        let point = snapshot.point();
        giving.snapshot = Some(snapshot);
        let (group, past) = (live.node.group().ok_or(gone)?, live.node.past_of(point));
        let beginning = match live.reader.beginning(point) {
            Ok(beginning) => beginning,
            Err(error) => {
                let checked = self.may_fail(id, &error);
                self.check(checked);
                return Err(gone);
            }
        };
        let past = past.ok_or(gone)?;
        self.note(id, &[77, point.vlsn.get()], || format!("n{} gives {point}", id.get()));
        Ok(Manifest::new(group, point, beginning.encode(), past))
    }

    /// I-29: who gives a copy is of one mind with its group, and its log is sound.
    fn vouches(&mut self, id: Machine) {
        let Some(live) = self.live_mut(id) else { return };
        let sound = !live.writer.is_poisoned() && live.cut.is_none();
        let (role, state) = (live.node.role(), live.node.state());
        let agrees = role == Role::Leader || matches!(state, NodeState::Replica);
        let checked = ensure(sound && agrees, Invariant::RestoreNotBackwards, || {
            format!("{id} gives a copy; it is {state:?}, and its log is sound: {sound}")
        });
        self.check(checked);
    }

    pub(crate) fn chunk_read(&mut self, id: Machine, link: u64) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let local = live.clock.local(now);
        let Some(giving) = live.giving.get_mut(&link) else { return };
        let Some(snapshot) = &mut giving.snapshot else { return };
        match snapshot.next_chunk() {
            Ok(chunk) => giving.source.handle_chunk(local, chunk, snapshot.progress()),
            Err(_) => giving.source.refuse(Refusal::StoreFailed),
        }
        self.pump_giving(id, link);
    }
}

fn refusal(why: NotOffered) -> Refusal {
    match why {
        NotOffered::ShuttingDown => Refusal::ShuttingDown,
        NotOffered::LogInDoubt => Refusal::LogInDoubt,
        NotOffered::Busy => Refusal::Busy,
        NotOffered::Behind { applied } => Refusal::Behind { applied },
        _ => Refusal::NotInSync,
    }
}
