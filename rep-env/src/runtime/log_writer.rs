//! The thread that writes the log. What goes into a group, and what an epoch vouches for, is `rep-vlsn`'s to decide;
//! this only loops: write, sync if that is due, tell.

use crate::runtime::inbox::Input;
use crate::runtime::last_words::LastWords;
use crate::runtime::shared::Shared;
use crate::sync::{AtomicBool, Flaw, Ordering, broken};
use bytes::Bytes;
use rep_net::queue::{Closed, Lane, Queue};
use rep_node::{PersistFailed, Persisted};
use rep_vlsn::cell::DurableCell;
use rep_vlsn::disk::Disk;
use rep_vlsn::error::LogError;
use rep_vlsn::writer::LogWriter;
use rep_vlsn::{Epoch, GroupId, LogPoint, SyncPlan, Vlsn};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the loop asks of the log writer.
#[derive(Debug)]
pub(crate) enum Command {
    /// Something waits in the tail.
    Write(GroupId),
    Truncate {
        keep: LogPoint,
        epoch: Epoch,
    },
    /// To be in its cell before the head of the log goes.
    KeepPast {
        before: Vlsn,
        value: Bytes,
    },
    Clean {
        before: Vlsn,
    },
}

/// The loop's side.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    commands: Queue<Command>,
    /// A `Write` is queued that has not been begun: it will find whatever is staged.
    scheduled: Arc<AtomicBool>,
}

/// One `Write`, and cuts and a cleaning: the node does nothing to its log while a cut is on its way.
const COMMANDS_MAX: usize = 64;

impl LogQueue {
    pub(crate) fn new() -> Self {
        let lane = Lane { items_max: COMMANDS_MAX, bytes_max: 0 };
        LogQueue { commands: Queue::new([lane]), scheduled: Arc::default() }
    }

    pub(crate) fn write(&self, group: GroupId) {
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            self.push(Command::Write(group));
        }
    }

    pub(crate) fn truncate(&self, keep: LogPoint, epoch: Epoch) {
        self.push(Command::Truncate { keep, epoch });
    }

    pub(crate) fn keep_past(&self, before: Vlsn, value: Bytes) {
        self.push(Command::KeepPast { before, value });
    }

    pub(crate) fn clean(&self, before: Vlsn) {
        self.push(Command::Clean { before });
    }

    fn push(&self, command: Command) {
        let pushed = self.commands.try_push(0, 0, command);
        debug_assert!(
            !matches!(pushed, Err(rep_net::queue::PushError::Full(_))),
            "one write and one cut at a time"
        );
    }

    /// The next command, if it comes by `due`. To be asked for before looking for work: what is staged from here on calls the
    /// writer again, since the look may have come too early for it.
    pub(crate) fn next(&self, due: Option<Instant>) -> Result<Option<Command>, Closed> {
        let command = self.commands.pop(due)?;
        if matches!(command, Some(Command::Write(_))) && !broken(Flaw::CalledAfterLooking) {
            self.scheduled.store(false, Ordering::Release);
        }
        Ok(command)
    }

    /// What is queued is still done.
    pub(crate) fn close(&self) {
        self.commands.close();
    }
}

/// Runs until the queue is closed; then writes what is left and the mark that closes the log.
pub(crate) fn run<D: Disk>(
    mut writer: LogWriter<D>,
    mut past: DurableCell<D>,
    queue: &LogQueue,
    shared: &Shared,
) {
    let _last_words = LastWords::of(&shared.inbox, PersistFailed::Log);
    let mut failed = false;
    // At half of the budget: while that is synced, writes go on.
    let bytes_max = shared.limits.unsynced_bytes_max / 2;
    let mut plan = SyncPlan::new(shared.timing.sync_interval, bytes_max);
    let mut space = Space::default();
    loop {
        let due = plan.next_timeout().into_iter().chain(space.next_try()).min();
        let due = due.filter(|_| !failed).map(|at| shared.clock.instant(at));
        let Ok(command) = queue.next(due) else { break };
        let done = match command {
            Some(Command::Write(group)) => {
                // A cut that waits comes first: what is staged behind it is of its epoch.
                let cut = space.wants.filter(|wants| matches!(wants, Wants::Cut { .. }));
                let wants = *space.wants.insert(cut.unwrap_or(Wants::Write(group)));
                attempt(&mut writer, &mut plan, wants, shared)
            }
            Some(Command::Truncate { keep, epoch }) => {
                let wants = *space.wants.insert(Wants::Cut { keep, epoch });
                attempt(&mut writer, &mut plan, wants, shared)
            }
            Some(Command::KeepPast { before, value }) => {
                keep_past(&mut past, before, &value, shared)
            }
            // There may be room now.
            Some(Command::Clean { before }) => clean(&mut writer, before, shared)
                .and_then(|_| try_again(&mut writer, &mut plan, &space, shared)),
            None if plan.is_due(shared.clock.now()) => sync(&mut writer, &mut plan, shared),
            None => try_again(&mut writer, &mut plan, &space, shared),
        };
        if let Err(error) = space.look(done, shared)
            && !failed
        {
            failed = true;
            let failure = Input::PersistFailed(PersistFailed::Log, error.to_string());
            shared.inbox.completed(failure);
        }
    }
    if !failed && let Err(error) = writer.close(shared.shown.dvlsn()) {
        tracing::error!(node = %shared.name, %error, "the log was not closed properly; it will be recovered");
    }
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// Nothing waits to be written any more.
    Written,
    /// Something else.
    Other,
}

/// How often a full disk is asked for space.
const SPACE_EVERY: Duration = Duration::from_millis(500);

/// What cannot be done before there is space.
#[derive(Clone, Copy, Debug)]
enum Wants {
    Write(GroupId),
    /// A cut writes what it keeps; until it is done there is nothing else to write.
    Cut {
        keep: LogPoint,
        epoch: Epoch,
    },
}

/// Whether the log waits for space, and since when it has not asked.
#[derive(Debug, Default)]
struct Space {
    /// What it was last told to do and has not done.
    wants: Option<Wants>,
    asked: Option<Duration>,
}

impl Space {
    fn next_try(&self) -> Option<Duration> {
        self.asked.map(|asked| asked + SPACE_EVERY)
    }

    /// A full disk is no failure: what waits goes on waiting. The node is told when that begins and ends.
    fn look(&mut self, done: Result<Done, LogError>, shared: &Shared) -> Result<(), LogError> {
        let waited = self.asked.is_some();
        match done {
            Err(LogError::Full { .. }) => self.asked = Some(shared.clock.now()),
            Ok(Done::Written) => *self = Space::default(),
            Ok(Done::Other) => {}
            Err(error) => return Err(error),
        }
        if self.asked.is_some() != waited {
            shared.inbox.completed(Input::DiskFull(!waited));
        }
        Ok(())
    }
}

/// Groups, each with one sync if it asks for one, until nothing waits.
fn write<D: Disk>(
    writer: &mut LogWriter<D>,
    plan: &mut SyncPlan,
    group: GroupId,
    shared: &Shared,
) -> Result<Done, LogError> {
    writer.set_group(group)?;
    while let Some(written) = writer.write_group(shared.shown.dvlsn())? {
        let counters = &shared.counters;
        counters.log_groups.add(1);
        counters.log_entries.add(written.last.vlsn.next().distance_from(written.first));
        counters.log_bytes.add(written.bytes as u64);
        if written.told {
            let persisted = Persisted::Written { point: written.last, epoch: written.epoch };
            shared.inbox.completed(Input::Persisted(persisted));
        }
        if plan.note_written(shared.clock.now(), &written) {
            sync(writer, plan, shared)?;
        }
    }
    Ok(Done::Written)
}

/// Does what waits for space, if anything does.
fn try_again<D: Disk>(
    writer: &mut LogWriter<D>,
    plan: &mut SyncPlan,
    space: &Space,
    shared: &Shared,
) -> Result<Done, LogError> {
    match space.wants.filter(|_| space.asked.is_some()) {
        Some(wants) => attempt(writer, plan, wants, shared),
        None => Ok(Done::Other),
    }
}

fn attempt<D: Disk>(
    writer: &mut LogWriter<D>,
    plan: &mut SyncPlan,
    wants: Wants,
    shared: &Shared,
) -> Result<Done, LogError> {
    match wants {
        Wants::Write(group) => write(writer, plan, group, shared),
        Wants::Cut { keep, epoch } => truncate(writer, plan, (keep, epoch), shared),
    }
}

fn sync<D: Disk>(
    writer: &mut LogWriter<D>,
    plan: &mut SyncPlan,
    shared: &Shared,
) -> Result<Done, LogError> {
    let synced = writer.sync()?;
    plan.note_synced();
    shared.counters.log_syncs.add(1);
    let persisted = Persisted::Log { point: synced.point, epoch: synced.epoch };
    shared.inbox.completed(Input::Persisted(persisted));
    // For the groups to come, while nobody waits for this one any more.
    writer.write_ahead()?;
    Ok(Done::Other)
}

fn truncate<D: Disk>(
    writer: &mut LogWriter<D>,
    plan: &mut SyncPlan,
    (keep, epoch): (LogPoint, Epoch),
    shared: &Shared,
) -> Result<Done, LogError> {
    let cut = writer.truncate(keep, epoch)?;
    plan.note_synced();
    shared.counters.log_truncations.add(1);
    let persisted =
        Persisted::Truncated { point: cut.point, epoch: cut.epoch, last_crc: cut.last_crc };
    shared.inbox.completed(Input::Persisted(persisted));
    Ok(Done::Written)
}

fn keep_past<D: Disk>(
    past: &mut DurableCell<D>,
    before: Vlsn,
    value: &[u8],
    shared: &Shared,
) -> Result<Done, LogError> {
    past.store(value)?;
    shared.inbox.completed(Input::Persisted(Persisted::Past { before }));
    Ok(Done::Other)
}

fn clean<D: Disk>(
    writer: &mut LogWriter<D>,
    before: Vlsn,
    shared: &Shared,
) -> Result<Done, LogError> {
    let first = writer.clean(before)?;
    shared.counters.log_cleanings.add(1);
    shared.inbox.completed(Input::Persisted(Persisted::Cleaned { first }));
    Ok(Done::Other)
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use crate::models::{explore, explore_broken};
    use rep_explore::Mutex;
    use rep_explore::thread;

    /// A loop that stages twice and calls the writer each time; a writer that writes whatever it finds.
    fn staged_and_called() {
        let queue = LogQueue::new();
        let tail = Arc::new(Mutex::new(0));
        let writer = thread::spawn({
            let (queue, tail) = (queue.clone(), Arc::clone(&tail));
            move || {
                let mut written = 0;
                while queue.next(None).is_ok() {
                    written += std::mem::take(&mut *tail.lock());
                    if broken(Flaw::CalledAfterLooking) {
                        queue.scheduled.store(false, Ordering::Release);
                    }
                }
                written
            }
        });
        for _ in 0..2 {
            *tail.lock() += 1;
            queue.write(GroupId::default());
        }
        queue.close();
        assert_eq!(writer.join().unwrap(), 2, "what was staged before the close is written");
    }

    #[test]
    fn loom_what_is_staged_is_written_however_often_the_writer_is_called() {
        explore(staged_and_called);
    }

    #[test]
    #[should_panic(expected = "is written")]
    fn loom_twin_a_writer_called_again_after_it_looked_forgets_an_entry() {
        explore_broken(Flaw::CalledAfterLooking, staged_and_called);
    }
}
