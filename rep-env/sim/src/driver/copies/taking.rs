//! The end that takes: asks one source after the other, keeps chunks, and puts what is whole in place.

use super::{CopyNews, GIVES, TAKES};
use crate::faults::End;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::process::Crash;
use crate::world::{Event, World};
use rep_node::rep_stream::restore::{
    ChunkId, Manifest, RestoreSink, SinkOutput, SourceMessage, Staging,
};
use rep_node::{FetchId, RestoreNews, check_manifest};
use rep_vlsn::{LogPoint, MemDisk, NodeId, Vlsn};
use std::collections::VecDeque;
use std::time::Duration;

/// A fetch under way.
#[derive(Debug)]
pub(crate) struct Taking {
    fetch: FetchId,
    sources: VecDeque<Machine>,
    at_least: Vlsn,
    staging: Option<Staging<MemDisk>>,
    /// The connection to the present source, and who that is.
    pub(super) link: Option<u64>,
    source: Option<Machine>,
    pub(super) sink: Option<RestoreSink>,
    begun: bool,
    /// Chunks that the disk is to keep, in order.
    keeping: VecDeque<(ChunkId, bytes::Bytes)>,
    busy: bool,
    whole: Option<(Manifest, Vec<ChunkId>)>,
    pub(super) due: Option<Duration>,
}

impl World {
    /// An output.
    pub(in crate::driver) fn fetch(
        &mut self,
        id: Machine,
        fetch: FetchId,
        sources: Vec<NodeId>,
        at_least: Vlsn,
    ) {
        self.fetch_no_more(id);
        self.note(id, &[70, fetch.0, at_least.get()], || {
            format!("n{} fetches a copy at {at_least} or later from {sources:?}", id.get())
        });
        let sources =
            sources.into_iter().filter_map(|source| self.machine_of(id, source)).collect();
        self.counts.fetches += 1;
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        live.taking = Some(Box::new(Taking {
            fetch,
            sources,
            at_least,
            staging: None,
            link: None,
            source: None,
            sink: None,
            begun: false,
            keeping: VecDeque::new(),
            busy: false,
            whole: None,
            due: None,
        }));
        let after = self.copy_delay();
        self.schedule.push(self.now + after, Event::CopyAsks { id, run });
    }

    /// An output: what is here stays.
    pub(in crate::driver) fn fetch_no_more(&mut self, id: Machine) {
        let taking = self.live_mut(id).and_then(|live| live.taking.take());
        if let Some(link) = taking.and_then(|taking| taking.link) {
            self.close_copy(link, TAKES);
        }
    }

    fn taking_mut(&mut self, id: Machine) -> Option<&mut Taking> {
        self.live_mut(id)?.taking.as_deref_mut()
    }

    /// The next source is dialled.
    pub(crate) fn copy_asks(&mut self, id: Machine) {
        let disk = self.process(id).home.disk.clone();
        let Some(taking) = self.taking_mut(id) else { return };
        (taking.link, taking.sink, taking.begun, taking.due) = (None, None, false, None);
        taking.keeping.clear();
        if taking.staging.is_none() {
            match Staging::open(disk) {
                Ok(staging) => taking.staging = Some(staging),
                Err(error) => return self.cannot_keep(id, &error.to_string()),
            }
        }
        let Some(taking) = self.taking_mut(id) else { return };
        let Some(source) = taking.sources.pop_front() else {
            return self.fetch_fails(id, "nobody else is left to ask");
        };
        taking.source = Some(source);
        let link = self.dial_copy(id, source);
        if let Some(taking) = self.taking_mut(id) {
            taking.link = Some(link);
        }
    }

    fn fetch_fails(&mut self, id: Machine, why: &str) {
        let Some(taking) = self.live_mut(id).and_then(|live| live.taking.take()) else { return };
        if let Some(link) = taking.link {
            self.close_copy(link, TAKES);
        }
        self.note(id, &[71], || format!("n{} gets no copy: {why}", id.get()));
        self.tell_fetch(id, taking.fetch, RestoreNews::Failed { why: why.to_owned() });
    }

    fn tell_fetch(&mut self, id: Machine, fetch: FetchId, news: RestoreNews) {
        self.step(id, |node, now| node.handle_restore(now, fetch, news));
    }

    /// The present source gives nothing more.
    fn source_fails(&mut self, id: Machine, reason: String) {
        let Some(taking) = self.taking_mut(id) else { return };
        let (fetch, by) = (taking.fetch, taking.source);
        if let Some(link) = taking.link.take() {
            self.close_copy(link, TAKES);
        }
        self.note(id, &[72], || format!("n{}: {by:?} gives no copy: {reason}", id.get()));
        if let Some(by) = by.and_then(|by| self.number_of(id, by)) {
            self.tell_fetch(id, fetch, RestoreNews::Refused { by, reason });
        }
        self.copy_asks(id);
    }

    /// The disk keeps nothing, or is gone with its machine.
    fn cannot_keep(&mut self, id: Machine, why: &str) {
        if self.process(id).home.disk.crashed() {
            let (end, back) = self.tear_of(id);
            return self.end_and_back(id, end, back);
        }
        let excused = self.process(id).ails.is_some() || self.oracle.is_spoilt(id);
        let checked = ensure(excused, Invariant::ErrorHonesty, || {
            format!("{id} cannot keep a chunk on its sound disk: {why}")
        });
        self.check(checked);
        self.fetch_fails(id, why);
    }

    pub(super) fn taker_hears(&mut self, id: Machine, link: u64, news: CopyNews) {
        match news {
            CopyNews::Opened => self.begin_taking(id),
            CopyNews::Unanswered => {
                let waits = self.taking_mut(id).is_some_and(|taking| taking.sink.is_none());
                if waits {
                    self.source_fails(id, "nobody answers".to_owned());
                }
            }
            CopyNews::Closed => {
                let Some(taking) = self.taking_mut(id) else { return };
                taking.link = None;
                if taking.whole.is_none() {
                    self.source_fails(id, "the connection is gone".to_owned());
                }
            }
            CopyNews::Said(frame) => self.taker_is_told(id, link, frame),
        }
    }

    fn begin_taking(&mut self, id: Machine) {
        let (now, config) = (self.now, self.copy_config());
        let Some(live) = self.live_mut(id) else { return };
        let (local, group) = (live.clock.local(now), live.node.group().or(live.placed_in));
        let Some(taking) = live.taking.as_deref_mut() else { return };
        let Some(staging) = &mut taking.staging else { return };
        let have = match staging.ids() {
            Ok(have) => have,
            Err(error) => return self.cannot_keep(id, &error.to_string()),
        };
        // Without an entry it knows only the group that has admitted it, if one has.
        let Some(group) = group else { return self.fetch_fails(id, "it has no group") };
        self.counts.chunks_had += have.len() as u64;
        let Some(taking) = self.taking_mut(id) else { return };
        taking.sink = Some(RestoreSink::new(config, group, taking.at_least, have, local));
        self.pump_taking(id);
    }

    fn taker_is_told(&mut self, id: Machine, link: u64, frame: bytes::Bytes) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let local = live.clock.local(now);
        let Some(taking) = live.taking.as_deref_mut() else { return };
        let Some(sink) = &mut taking.sink else { return };
        let told = SourceMessage::decode(frame).and_then(|said| sink.handle_message(local, said));
        let checked = ensure(told.is_ok(), Invariant::ErrorHonesty, || {
            format!("{id} refuses what a correct source said on link {link}: {told:?}")
        });
        self.check(checked);
        self.pump_taking(id);
    }

    pub(super) fn pump_taking(&mut self, id: Machine) {
        if let Some(why) = self.is_of_no_use(id) {
            return self.source_fails(id, why);
        }
        loop {
            let Some(taking) = self.taking_mut(id) else { return };
            let (Some(sink), Some(link)) = (&mut taking.sink, taking.link) else { return };
            sink.invariants();
            let Some(output) = sink.poll_output() else { break };
            match output {
                SinkOutput::Send(message) => {
                    self.convey_copy(link, GIVES, CopyNews::Said(message.encode()));
                }
                SinkOutput::Keep { id: chunk, chunk: bytes } => {
                    taking.keeping.push_back((chunk, bytes));
                    self.keep_chunks(id);
                }
                SinkOutput::Complete { manifest, order } => {
                    return self.has_it_all(id, manifest, order);
                }
                SinkOutput::Close(end) => return self.source_fails(id, end.to_string()),
                other => {
                    let checked = ensure(false, Invariant::ErrorHonesty, || format!("{other:?}"));
                    self.check(checked);
                }
            }
        }
        self.note_beginning(id);
        let Some(taking) = self.taking_mut(id) else { return };
        let at = taking.sink.as_ref().and_then(RestoreSink::next_timeout).map(|(at, _)| at);
        let at = at.filter(|at| taking.due.is_none_or(|due| *at < due));
        if let (Some(at), Some(link)) = (at, taking.link) {
            taking.due = Some(at);
            self.copy_wakes(id, link, at);
        }
    }

    /// Why what begins to come could not be put in place here: of a group that knows the directory no more, for one.
    fn is_of_no_use(&mut self, id: Machine) -> Option<String> {
        let incarnation = self.process(id).incarnation;
        let live = self.live_mut(id)?;
        let me = live.node.status(Duration::ZERO).me;
        let taking = live.taking.as_deref()?;
        let manifest = taking.sink.as_ref()?.manifest().filter(|_| !taking.begun)?;
        check_manifest(manifest, me, incarnation).err()
    }

    fn note_beginning(&mut self, id: Machine) {
        let Some(taking) = self.taking_mut(id) else { return };
        let gives = taking.sink.as_ref().is_some_and(|sink| sink.manifest().is_some());
        if let (true, false, Some(source)) = (gives, taking.begun, taking.source) {
            taking.begun = true;
            let fetch = taking.fetch;
            let Some(source) = self.number_of(id, source) else { return };
            self.tell_fetch(id, fetch, RestoreNews::Began { source });
        }
    }

    fn keep_chunks(&mut self, id: Machine) {
        let Some(taking) = self.taking_mut(id) else { return };
        if taking.busy || taking.keeping.is_empty() {
            return;
        }
        taking.busy = true;
        let (run, after) = (self.process(id).run, self.disk_latency(id, self.swarm.disk.write));
        self.schedule.push(self.now + after, Event::ChunkKept { id, run });
    }

    pub(crate) fn chunk_kept(&mut self, id: Machine) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let local = live.clock.local(now);
        let Some(taking) = live.taking.as_deref_mut() else { return };
        taking.busy = false;
        let (Some(staging), Some((chunk, bytes))) =
            (&mut taking.staging, taking.keeping.pop_front())
        else {
            return;
        };
        let kept = staging.keep(chunk, &bytes);
        if let Some(error) = kept.err() {
            return self.cannot_keep(id, &error.to_string());
        }
        if self.process(id).home.disk.crashed() {
            return self.cannot_keep(id, "the machine has lost power");
        }
        self.counts.chunks += 1;
        let Some(taking) = self.taking_mut(id) else { return };
        let Some(sink) = &mut taking.sink else { return };
        sink.handle_kept(local);
        let (stats, fetch) = (sink.stats(), taking.fetch);
        let (bytes, chunks, of) = (stats.bytes, stats.chunks, stats.given);
        self.tell_fetch(id, fetch, RestoreNews::Progress { bytes, chunks, of });
        self.pump_taking(id);
        self.keep_chunks(id);
    }

    /// All of it is there; the node says whether it is taken.
    fn has_it_all(&mut self, id: Machine, manifest: Manifest, order: Vec<ChunkId>) {
        self.note_beginning(id);
        let Some(taking) = self.taking_mut(id) else { return };
        let (fetch, point) = (taking.fetch, manifest.point);
        taking.whole = Some((manifest, order));
        if let Some(link) = taking.link.take() {
            self.close_copy(link, TAKES);
        }
        self.note(id, &[73, point.vlsn.get()], || format!("n{} has a copy of {point}", id.get()));
        self.tell_fetch(id, fetch, RestoreNews::Fetched { point });
    }

    /// An output: from here on the member does nothing until it is opened again.
    pub(in crate::driver) fn makes_way(&mut self, id: Machine, point: LogPoint) {
        let checked = self.oracle.may_take(id, point);
        self.check(checked);
        let run = self.process(id).run;
        let after = self.disk_latency(id, self.swarm.disk.sync) * 2;
        let Some(live) = self.live_mut(id) else { return };
        live.makes_way = true;
        self.schedule.push(self.now + after, Event::CopyStored { id, run });
    }

    /// The copy is durable, and the member is opened again.
    pub(crate) fn copy_stored(&mut self, id: Machine) {
        let Some(taking) = self.live_mut(id).and_then(|live| live.taking.take()) else { return };
        let (Some(mut staging), Some((manifest, order))) = (taking.staging, taking.whole) else {
            return;
        };
        let stored = staging.complete(&manifest, &order).map_err(|error| error.to_string());
        match self.unless_crashed(id, stored) {
            Ok(()) => self.process_mut(id).whole = Some(manifest.point),
            Err(why) => {
                if self.process(id).home.disk.crashed() {
                    return self.cannot_keep(id, &why);
                }
                let excused = self.process(id).ails.is_some() || self.oracle.is_spoilt(id);
                let checked = ensure(excused, Invariant::ErrorHonesty, || {
                    format!("{id} cannot complete a copy on its sound disk: {why}")
                });
                self.check(checked);
            }
        }
        self.note(id, &[74], || format!("n{} is opened again", id.get()));
        self.copy_may_rot(id);
        self.end_process(id, End { how: Crash::Kill, fate: 0, silent: false });
        self.start(id);
    }
}
