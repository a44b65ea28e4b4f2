//! A copy's chunks are loaded beside the state while others come, so that little is left to do when all of it is here.
//!
//! Only the thread that owns the state machine loads. Whoever fetches asks it for one chunk after the other, in the order of the
//! copy, a few at a time, and goes on fetching. What is loaded is a shortcut, and never the copy itself: that lies in the chunks'
//! files, and whatever happens to the machine or the process, it is loaded from there (decision 33).

use super::{Answer, Question, question};
use crate::runtime::applier::Task;
use crate::sync::Mutex;
use bytes::Bytes;
use rep_net::queue::Queue;
use rep_node::rep_stream::restore::{ChunkId, Staging, StagingError};
use rep_store::{StateMachine, StoreError};
use rep_vlsn::disk::Disk;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Chunks that the owner of the state machine is asked to load at a time.
pub(crate) const LOADS_MAX: usize = 4;
/// So many bytes of chunks wait in memory; one chunk may be longer. Then whoever fetches waits as well.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// If the machine loads nothing for so long, fetching goes on alone: the source is not to take this member for dead. What waits
/// is read from its files later.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the state machine has loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded(Arc<Mutex<Progress>>);

#[derive(Debug, Default)]
struct Progress {
    /// The chunks that are loaded, in order. The owner of the machine alone changes this.
    chunks: Vec<ChunkId>,
    /// How many it was asked to load, by whichever attempt, and has not come to.
    asked: usize,
}

/// One that it was asked to load.
#[derive(Debug)]
struct Waits(Loaded);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.lock().asked -= 1;
    }
}

impl Loaded {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().chunks.is_empty()
    }

    /// Whether the machine has come to all that it was asked for.
    fn is_idle(&self) -> bool {
        self.0.lock().asked == 0
    }

    fn wait(&self) -> Waits {
        self.0.lock().asked += 1;
        Waits(self.clone())
    }

    /// How many there are, if the order begins with them; otherwise they are forgotten.
    pub(crate) fn settle<M: StateMachine>(&self, machine: &mut M, order: &[ChunkId]) -> usize {
        let loaded = std::mem::take(&mut self.0.lock().chunks);
        if order.starts_with(&loaded) {
            return loaded.len();
        }
        machine.unload();
        0
    }

    /// None of them is wanted any more.
    pub(crate) fn unload<M: StateMachine>(&self, machine: &mut M) {
        self.0.lock().chunks.clear();
        machine.unload();
    }
}

/// A chunk that is to be loaded.
#[derive(Debug)]
pub(crate) struct Load {
    /// Its place in the copy. At the first place what was loaded before is forgotten.
    at: usize,
    id: ChunkId,
    chunk: Bytes,
    loaded: Loaded,
    waits: Waits,
    /// Whether it is loaded.
    answer: Answer<bool>,
}

impl Load {
    /// Done by the owner of the state machine.
    ///
    /// # Errors
    ///
    /// The machine can do nothing any more.
    pub(crate) fn carry_out<M: StateMachine>(self, machine: &mut M) -> Result<(), StoreError> {
        let Load { at, id, chunk, loaded, waits, answer } = self;
        if at == 0 && !loaded.is_empty() {
            loaded.unload(machine);
        }
        let follows = loaded.0.lock().chunks.len() == at;
        let taken = if follows { machine.load(&chunk) } else { Ok(false) };
        match &taken {
            Ok(true) => loaded.0.lock().chunks.push(id),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "a copy is not loaded before all of it is here");
                loaded.0.lock().chunks.clear();
            }
        }
        drop(waits);
        answer.give(matches!(taken, Ok(true)));
        match taken {
            Err(StoreError::BadChunk { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Has the chunks of one copy loaded as they come.
#[derive(Debug)]
pub(super) struct Ahead {
    tasks: Queue<Task>,
    loaded: Loaded,
    /// How far the copy has been compared with what was loaded before, or is loaded.
    next: usize,
    /// Whether all that was loaded before is known to be of this copy, or of none.
    is_compared: bool,
    /// Chunks in memory, with their places.
    held: VecDeque<(usize, Bytes)>,
    asked: VecDeque<(Question<bool>, usize)>,
    /// The rest is for the install.
    is_given_up: bool,
}

impl Ahead {
    /// Where the machine has not come to what an earlier attempt asked for, this one asks for nothing: what waits at the machine is bounded.
    pub(super) fn new(tasks: Queue<Task>, loaded: Loaded) -> Ahead {
        let (held, asked) = (VecDeque::new(), VecDeque::new());
        let is_given_up = !loaded.is_idle();
        Ahead { tasks, loaded, next: 0, is_compared: false, held, asked, is_given_up }
    }

    /// The last chunk of the order so far has come, and is kept.
    pub(super) fn hold(&mut self, order: &[ChunkId], chunk: Bytes) {
        if !self.is_given_up {
            self.held.push_back((order.len() - 1, chunk));
        }
    }

    /// Whether more can be loaded of the order so far.
    pub(super) fn lags(&self, order: &[ChunkId]) -> bool {
        !self.is_given_up && (self.next < order.len() || !self.asked.is_empty())
    }

    /// Has loaded what can be, and waits only where memory holds too much.
    ///
    /// # Errors
    ///
    /// [`StagingError::NoRoom`]: for the state, in which the chunk is to be.
    pub(super) fn go_on<D: Disk>(
        &mut self,
        order: &[ChunkId],
        staging: &Staging<D>,
    ) -> Result<(), StagingError> {
        loop {
            self.ask_on(order, staging)?;
            if self.is_given_up || self.bytes() <= WAITING_BYTES_MAX {
                return Ok(());
            }
            if !self.await_one(PATIENCE) {
                self.held.clear();
                return Ok(());
            }
        }
    }

    /// All chunks are here: loads what is left of them, unless `is_over`.
    ///
    /// # Errors
    ///
    /// As [`Ahead::go_on`].
    pub(super) fn finish<D: Disk>(
        &mut self,
        order: &[ChunkId],
        staging: &Staging<D>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), StagingError> {
        while self.lags(order) && !is_over() {
            self.ask_on(order, staging)?;
            self.await_one(super::LOOK_EVERY);
        }
        Ok(())
    }

    /// The attempt is over: waits for what was asked for, so that the next one finds all of it.
    pub(super) fn leave_off(&mut self) {
        while !self.asked.is_empty() && self.await_one(PATIENCE) {}
    }

    fn ask_on<D: Disk>(
        &mut self,
        order: &[ChunkId],
        staging: &Staging<D>,
    ) -> Result<(), StagingError> {
        self.await_answered();
        self.compare(order);
        while self.may_ask(order) {
            let at = self.next;
            let Some(chunk) = self.chunk(order, staging) else {
                // Whoever installs finds out what is wrong with it.
                self.is_given_up = true;
                break;
            };
            // The machine may keep what it was asked for in memory for a while, and needs more room for it than its bytes.
            let asked: usize = self.asked.iter().map(|(_, bytes)| bytes).sum();
            staging.check_room("load a chunk of the copy", 2 * (asked + chunk.len()) as u64)?;
            let ((asked, answer), bytes) = (question(), chunk.len());
            let (loaded, waits) = (self.loaded.clone(), self.loaded.wait());
            let load = Load { at, id: order[at], chunk, loaded, waits, answer };
            if self.tasks.try_push(0, 0, Task::Load(load)).is_err() {
                self.is_given_up = true;
                break;
            }
            self.asked.push_back((asked, bytes));
            self.next += 1;
        }
        if self.is_given_up {
            self.held.clear();
        }
        Ok(())
    }

    /// What was loaded by an earlier attempt counts, if the copy begins with all of it.
    fn compare(&mut self, order: &[ChunkId]) {
        if self.is_compared {
            return;
        }
        let loaded = &self.loaded.0.lock().chunks;
        let both = loaded.iter().zip(order).skip(self.next);
        self.next += both.take_while(|(one, other)| one == other).count();
        if self.next == loaded.len() {
            self.is_compared = true;
        } else if self.next < order.len() {
            (self.is_compared, self.next) = (true, 0);
        }
    }

    fn may_ask(&self, order: &[ChunkId]) -> bool {
        let asked_bytes: usize = self.asked.iter().map(|(_, bytes)| bytes).sum();
        let has_room = self.asked.len() < LOADS_MAX && asked_bytes < WAITING_BYTES_MAX / 2;
        !self.is_given_up && self.is_compared && self.next < order.len() && has_room
    }

    /// The next one: from memory, or else from its file.
    fn chunk<D: Disk>(&mut self, order: &[ChunkId], staging: &Staging<D>) -> Option<Bytes> {
        let at = self.next;
        while self.held.front().is_some_and(|(place, _)| *place < at) {
            self.held.pop_front();
        }
        match self.held.front() {
            Some((place, _)) if *place == at => self.held.pop_front().map(|(_, chunk)| chunk),
            Some(_) | None => staging.chunks(&order[at..=at]).next()?.ok(),
        }
    }

    fn bytes(&self) -> usize {
        let held = self.held.iter().map(|(_, chunk)| chunk.len());
        held.chain(self.asked.iter().map(|(_, bytes)| *bytes)).sum()
    }

    fn await_answered(&mut self) {
        while !self.asked.is_empty() && self.await_one(Duration::ZERO) {}
    }

    /// Waits for the first of those that were asked for; whether there is an answer.
    fn await_one(&mut self, at_most: Duration) -> bool {
        let Some((asked, _)) = self.asked.front() else { return false };
        match asked.wait_until(Instant::now() + at_most) {
            None => return false,
            Some(is_loaded) => self.is_given_up |= is_loaded != Some(true),
        }
        self.asked.pop_front();
        true
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use crate::runtime::applier::TASKS_MAX;
    use rep_net::queue::Lane;
    use rep_store::{Databases, Entry, WriteSet};
    use rep_vlsn::{LogPoint, MemDisk, Term, Vlsn};

    /// A state in many chunks, with `value` under its middle key.
    fn state(value: &[u8]) -> Databases {
        let mut machine = Databases::memory().with_chunk_bytes_min(64);
        let mut set = WriteSet::new();
        for key in 0..200_u8 {
            let value = if key == 100 { value } else { &[7; 20] };
            set.put(&"d".into(), &[key], value).unwrap();
        }
        let point = LogPoint::new(Term::new(1), Vlsn::new(1));
        machine.apply(&[Entry::data(point, 0, set.encode())], &mut Vec::new()).unwrap();
        machine
    }

    fn chunks(machine: &Databases) -> Vec<Bytes> {
        let mut snapshot = machine.snapshot().unwrap();
        std::iter::from_fn(|| snapshot.next_chunk().unwrap()).collect()
    }

    fn names(chunks: &[Bytes]) -> Vec<ChunkId> {
        chunks.iter().map(|chunk| ChunkId::of(chunk)).collect()
    }

    struct Sink {
        tasks: Queue<Task>,
        loaded: Loaded,
        staging: Staging<MemDisk>,
        machine: Databases,
    }

    impl Sink {
        fn new() -> Sink {
            let tasks = Queue::new([Lane { items_max: TASKS_MAX, bytes_max: 0 }]);
            let staging = Staging::open(MemDisk::new()).unwrap();
            Sink { tasks, loaded: Loaded::default(), staging, machine: Databases::memory() }
        }

        /// What the owner of the machine does.
        fn work(&mut self) -> usize {
            let mut count = 0;
            while let Ok(Some(Task::Load(load))) = self.tasks.pop(Some(Instant::now())) {
                load.carry_out(&mut self.machine).unwrap();
                count += 1;
            }
            count
        }

        /// Fetches the first of the chunks; those that are here already are only named. How many were loaded.
        fn fetch(&mut self, chunks: &[Bytes], count: usize) -> usize {
            let order = names(chunks);
            let mut ahead = Ahead::new(self.tasks.clone(), self.loaded.clone());
            let (had, mut loads) = (self.staging.ids().unwrap(), 0);
            for (at, chunk) in chunks[..count].iter().enumerate() {
                if !had.contains(&order[at]) {
                    self.staging.keep(order[at], chunk).unwrap();
                    ahead.hold(&order[..=at], chunk.clone());
                }
                ahead.go_on(&order[..=at], &self.staging).unwrap();
                loads += self.work();
            }
            while ahead.lags(&order[..count]) {
                ahead.go_on(&order[..count], &self.staging).unwrap();
                loads += self.work();
            }
            loads
        }

        fn install(&mut self, chunks: &[Bytes]) -> usize {
            let loaded = self.loaded.settle(&mut self.machine, &names(chunks));
            self.machine.install(&mut chunks[loaded..].iter().cloned().map(Ok)).unwrap();
            loaded
        }
    }

    #[test]
    fn what_was_loaded_of_a_copy_that_broke_off_is_not_loaded_again() {
        let (source, mut sink) = (state(&[7; 20]), Sink::new());
        let chunks = chunks(&source);
        let half = chunks.len() / 2;
        assert_eq!(sink.fetch(&chunks, half), half);
        assert_eq!(sink.fetch(&chunks, chunks.len()), chunks.len() - half);
        assert_eq!(sink.install(&chunks), chunks.len());
        assert_eq!(sink.machine.digest().unwrap(), source.digest().unwrap());
    }

    #[test]
    fn what_was_loaded_of_another_state_is_not_counted_on() {
        let (source, mut sink) = (state(&[9; 20]), Sink::new());
        let (before, after) = (chunks(&state(&[7; 20])), chunks(&source));
        sink.fetch(&before, before.len());
        assert_eq!(sink.fetch(&after, after.len()), after.len(), "all of it, from the first on");
        assert_eq!(sink.install(&after), after.len());
        assert_eq!(sink.machine.digest().unwrap(), source.digest().unwrap());
    }

    #[test]
    fn another_copy_than_the_loaded_one_is_installed_from_its_chunks() {
        let (source, mut sink) = (state(&[9; 20]), Sink::new());
        let (before, after) = (chunks(&state(&[7; 20])), chunks(&source));
        sink.fetch(&before, before.len() - 1);
        assert_eq!(sink.install(&after), 0);
        assert_eq!(sink.machine.digest().unwrap(), source.digest().unwrap());
    }

    #[test]
    fn what_waits_at_a_machine_that_stands_still_is_bounded_over_all_attempts() {
        let (source, mut sink) = (state(&[7; 20]), Sink::new());
        let chunks = chunks(&source);
        let order = names(&chunks);
        for (at, chunk) in chunks.iter().enumerate() {
            sink.staging.keep(order[at], chunk).unwrap();
        }
        for _ in 0..TASKS_MAX {
            let mut ahead = Ahead::new(sink.tasks.clone(), sink.loaded.clone());
            ahead.go_on(&order, &sink.staging).unwrap();
        }
        assert_eq!(sink.work(), LOADS_MAX);
        assert_eq!(sink.fetch(&chunks, chunks.len()), chunks.len() - LOADS_MAX);
        assert_eq!(sink.install(&chunks), chunks.len());
    }

    #[test]
    fn a_long_chunk_at_a_machine_that_stands_still_holds_up_no_fetching() {
        let mut sink = Sink::new();
        let chunks = [Bytes::from(vec![7; WAITING_BYTES_MAX + 1]), Bytes::from_static(b"next")];
        let order = names(&chunks);
        let mut ahead = Ahead::new(sink.tasks.clone(), sink.loaded.clone());
        for (at, chunk) in chunks.iter().enumerate() {
            sink.staging.keep(order[at], chunk).unwrap();
            ahead.hold(&order[..=at], chunk.clone());
            ahead.go_on(&order[..=at], &sink.staging).unwrap();
        }
        assert_eq!(sink.tasks.len(), 1, "it is asked for no more than that");
    }

    #[test]
    fn a_machine_that_stands_still_holds_up_no_fetching() {
        let (source, mut sink) = (state(&[7; 20]), Sink::new());
        let chunks = chunks(&source);
        let order = names(&chunks);
        let mut ahead = Ahead::new(sink.tasks.clone(), sink.loaded.clone());
        for (at, chunk) in chunks.iter().enumerate() {
            sink.staging.keep(order[at], chunk).unwrap();
            ahead.hold(&order[..=at], chunk.clone());
            ahead.go_on(&order[..=at], &sink.staging).unwrap();
        }
        assert_eq!(sink.work(), LOADS_MAX);
        ahead.finish(&order, &sink.staging, || true).unwrap();
        // What it has asked for is of the copy; the rest is read from the files.
        assert_eq!(sink.install(&chunks), LOADS_MAX);
        assert_eq!(sink.machine.digest().unwrap(), source.digest().unwrap());
    }
}
