//! The thread that owns the state machine: it applies what is durable, and makes the store durable now and then.

use crate::replicate::{Places, Results};
use crate::runtime::inbox::Input;
use crate::runtime::peers::Entries;
use crate::runtime::restore::Answer;
use crate::runtime::restore::loading::{LOADS_MAX, Load, Loaded};
use crate::runtime::restore::reopening::Reopens;
use crate::runtime::shared::Shared;
use bytes::Bytes;
use rep_net::queue::Queue;
use rep_node::ApplyPlan;
use rep_store::{Entry, Snapshot, StateMachine, StoreError};
use rep_vlsn::error::ReadError;
use rep_vlsn::{Batch, Kind, LogPoint, Vlsn};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// A range to be applied; one is on its way at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) from: Vlsn,
    pub(crate) to: Vlsn,
}

/// What the owner of the state machine does for others.
#[derive(Debug)]
pub(crate) enum Task {
    Apply(Range),
    /// A copy is to be given to another member.
    Snapshot(Answer<Result<Box<dyn Snapshot>, StoreError>>),
    /// A chunk of a copy that is being fetched is to be loaded beside the state.
    Load(Load),
    /// What was loaded is not needed any more.
    Unload(Loaded),
    /// The directory is to be opened again, with the copy that was fetched.
    Reopen,
    /// The directory is to be opened again, as that of a member that this tells of.
    TakePlace(Bytes),
}

/// A range, a reopening and an unloading, as many snapshots as copies are given at a time, and the chunks of one that is taken.
pub(crate) const TASKS_MAX: usize = 16 + LOADS_MAX;

/// How often an entry is read again that the disk did not give, and after what pause: some errors pass, and a member that halts at each of them is away for nothing.
const READ_AGAIN_MAX: usize = 10;
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Applier<M: StateMachine> {
    machine: M,
    directory: Box<dyn Reopens<M>>,
    entries: Arc<dyn Entries>,
    results: Arc<Results<M::Output>>,
    shared: Arc<Shared>,
    plan: ApplyPlan,
}

impl<M: StateMachine> Applier<M> {
    pub(crate) fn new(
        machine: M,
        directory: Box<dyn Reopens<M>>,
        entries: Arc<dyn Entries>,
        results: Arc<Results<M::Output>>,
        shared: Arc<Shared>,
    ) -> Self {
        let plan =
            ApplyPlan::new(shared.limits.checkpoint_bytes, shared.timing.checkpoint_interval);
        Applier { machine, directory, entries, results, shared, plan }
    }

    /// Where the results go.
    pub(crate) fn places(&self) -> Arc<dyn Places> {
        Arc::clone(&self.results) as Arc<dyn Places>
    }

    /// Runs until the queue is closed, or the store or the log fails.
    pub(crate) fn run(mut self, tasks: &Queue<Task>) {
        let ended = Ended {
            results: Arc::clone(&self.results),
            shared: Arc::clone(&self.shared),
            tasks: tasks.clone(),
        };
        if let Err(error) = self.work(tasks) {
            self.shared.inbox.completed(Input::ApplyFailed(error));
        }
        drop(self);
        drop(ended);
    }

    fn work(&mut self, tasks: &Queue<Task>) -> Result<(), String> {
        loop {
            let due = self.plan.next_timeout().map(|at| self.shared.clock.instant(at));
            match tasks.pop(due) {
                Ok(Some(Task::Apply(range))) => self.apply(range)?,
                Ok(Some(Task::Snapshot(answer))) => answer.give(self.machine.snapshot()),
                Ok(Some(Task::Load(load))) => {
                    load.carry_out(&mut self.machine).map_err(|error| error.to_string())?;
                }
                Ok(Some(Task::Unload(loaded))) => loaded.unload(&mut self.machine),
                Ok(Some(Task::Reopen)) => self.reopen(None)?,
                Ok(Some(Task::TakePlace(place))) => self.reopen(Some(place))?,
                Ok(None) => {}
                Err(_) => return self.checkpoint(),
            }
            if self.plan.is_due(self.shared.clock.now()) {
                self.checkpoint()?;
            }
        }
    }

    /// The state is another one now, which is durable.
    fn reopen(&mut self, place: Option<Bytes>) -> Result<(), String> {
        match self.directory.reopen(&mut self.machine, place) {
            Ok(()) => {
                self.plan.note_checkpoint();
                self.shared.bell.ring();
                Ok(())
            }
            // The next opening goes on where this one was disturbed.
            Err(error) if self.shared.is_closing() => {
                tracing::info!(node = %self.shared.name, %error, "the directory is not opened again before the end");
                Ok(())
            }
            Err(error) => Err(of_store(error)),
        }
    }

    fn apply(&mut self, range: Range) -> Result<(), String> {
        let mut from = range.from;
        while from <= range.to {
            let batch = self.read(from, range.to)?;
            let entries: Vec<Entry> = batch.records().iter().map(Entry::of).collect();
            self.apply_batch(&entries)?;
            self.done(batch.last(), entries.len(), batch.byte_len());
            from = batch.last().vlsn.next();
        }
        Ok(())
    }

    /// The next entries. None is ever passed over: one that has rotted ends this member, also if it is the only copy.
    fn read(&self, from: Vlsn, to: Vlsn) -> Result<Batch, String> {
        let mut tries = 0;
        loop {
            match self.entries.settled(from, to, ApplyPlan::BATCH_BYTES) {
                Err(ReadError::Io(_)) if tries < READ_AGAIN_MAX => {
                    tries += 1;
                    self.shared.scrubbing.goes_on_after(READ_AGAIN_AFTER);
                }
                Err(error @ ReadError::Damaged { .. }) => {
                    return Err(format!("damage was found: log: {error}, and is not applied yet"));
                }
                read => return read.map_err(of_log),
            }
        }
    }

    /// Applies, and gives each result to whoever waits for it: one for each data entry that was not applied before.
    fn apply_batch(&mut self, entries: &[Entry]) -> Result<(), String> {
        let before = self.machine.applied().vlsn;
        let mut outputs = Vec::new();
        self.machine.apply(entries, &mut outputs).map_err(of_store)?;
        let fresh =
            entries.iter().filter(|entry| entry.kind == Kind::Data && entry.point.vlsn > before);
        for (entry, output) in fresh.zip(outputs) {
            self.results.answered(entry.point, output);
        }
        Ok(())
    }

    fn done(&mut self, last: LogPoint, count: usize, bytes: usize) {
        let counters = &self.shared.counters;
        counters.entries_applied.add(count as u64);
        counters.batches_applied.add(1);
        self.shared.inbox.completed(Input::Applied(last));
        // Whoever waits for the store, and not for the node, is told at once.
        self.shared.bell.ring();
        self.plan.note_applied(self.shared.clock.now(), count, bytes);
    }

    fn checkpoint(&mut self) -> Result<(), String> {
        let point = self.machine.checkpoint().map_err(of_store)?;
        self.shared.counters.checkpoints.add(1);
        self.plan.note_checkpoint();
        if self.machine.is_rebuilt_from_the_log() {
            return Ok(());
        }
        let segments = self.entries.segments().map_err(of_log)?;
        // To the node, what a sink has still to get is not in the store yet.
        let bytes_max = self.shared.limits.log_retention_bytes;
        let point = self.shared.shipments.hold(point, &segments, bytes_max);
        self.shared.inbox.completed(Input::Checkpointed { point, segments });
        Ok(())
    }
}

fn of_store(error: impl Display) -> String {
    format!("the store failed: {error}")
}

fn of_log(error: ReadError) -> String {
    format!("the log cannot be read: {error}")
}

/// Says that nothing more is applied, also if it was a panic of the state machine that ended it: who waits for a result
/// would wait for ever, and so would who waits for a snapshot.
struct Ended<O: Send> {
    results: Arc<Results<O>>,
    shared: Arc<Shared>,
    tasks: Queue<Task>,
}

impl<O: Send> Drop for Ended<O> {
    fn drop(&mut self) {
        self.results.end();
        self.tasks.close_and_discard();
        if std::thread::panicking() {
            self.shared.inbox.completed(Input::ApplyFailed(of_store("it panicked")));
        }
    }
}
