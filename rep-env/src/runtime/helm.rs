//! The helm: the right to drive the node, which one thread has at a time.
//!
//! A thread that owned the node alone would have to be woken for each piece of news, and a wake-up takes longer than the
//! step that it is for. So the node belongs to nobody. Whoever brings news leaves it here and takes the helm if it is
//! free; then it lets the node step, carries out what the node says, and looks again before it leaves. Who finds the
//! helm taken goes its way: the one who has it will look.
//!
//! # Rules
//!
//! - What is left and who has the helm are one state under one lock, so news is never left behind by a driver who has
//!   just looked: either it sees the news, or whoever left it finds the helm free.
//! - A thread that has done its share of turns hands over to the *watch*, a thread that does nothing else. The watch also
//!   keeps the clock. It sleeps until the node's next deadline, and is woken before that only for an earlier deadline, to
//!   take over, or because all is over.
//! - The lock is held for moving items, never while the node steps or while anything waits.
//! - Lanes are drained in their order, and bound items and bytes; who finds its lane full waits until it is drained.

use crate::sync::{Condvar, Flaw, Mutex, MutexGuard, broken, now};
use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

/// The bounds of one lane; an item larger than `bytes_max` travels alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneBounds {
    pub(crate) items_max: usize,
    pub(crate) bytes_max: usize,
}

/// What is driven, in the hands of the thread that has the helm.
#[derive(Debug)]
pub(crate) struct Post<I, D> {
    pub(crate) driven: D,
    /// The news of this turn.
    pub(crate) inputs: Vec<I>,
}

/// News in lanes, and what is driven by it.
pub(crate) struct Helm<I, D> {
    state: Mutex<State<I, D>>,
    watch: Condvar,
    room: Condvar,
    /// Items that a turn takes at most.
    inputs_max: usize,
}

struct State<I, D> {
    lanes: Vec<Lane<I>>,
    queued: usize,
    waiting_for_room: usize,
    /// Here while nobody drives.
    post: Option<Box<Post<I, D>>>,
    /// When it wants a turn, whether there is news or not.
    due: Option<Instant>,
    /// Somebody left news and cannot see to it.
    handed_over: bool,
    watch: Watch,
    closed: bool,
    /// Nobody will drive any more, and the last who did has let go of everything.
    ended: bool,
}

struct Lane<I> {
    items: VecDeque<(usize, I)>,
    bytes: usize,
    bounds: LaneBounds,
}

/// What the watch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Awake,
    /// Until this moment, or until it is woken.
    Asleep(Option<Instant>),
}

impl<I, D> Helm<I, D> {
    /// A helm that nobody can take before something is [`install`](Helm::install)ed.
    pub(crate) fn new(lanes: impl IntoIterator<Item = LaneBounds>, inputs_max: usize) -> Self {
        let lane = |bounds| Lane { items: VecDeque::new(), bytes: 0, bounds };
        let state = State {
            lanes: lanes.into_iter().map(lane).collect(),
            queued: 0,
            waiting_for_room: 0,
            post: None,
            due: None,
            handed_over: false,
            watch: Watch::Awake,
            closed: false,
            ended: false,
        };
        Helm {
            state: Mutex::new(state),
            watch: Condvar::default(),
            room: Condvar::default(),
            inputs_max,
        }
    }

    /// From now on `driven` can be driven; its first turn is the watch's, or of whoever comes before.
    pub(crate) fn install(&self, driven: D) {
        let mut state = self.state.lock();
        state.post = Some(Box::new(Post { driven, inputs: Vec::with_capacity(self.inputs_max) }));
        state.handed_over = true;
        self.wake_watch(state);
    }

    /// Leaves an item; dropped if the helm is closed. Whoever left it has to try to [`take`](Helm::take) the helm after
    /// that, or to [`hand_over`](Helm::hand_over).
    pub(crate) fn leave(&self, lane: usize, bytes: usize, item: I) {
        let mut state = self.state.lock();
        while !state.closed && !state.lanes[lane].has_room(bytes) {
            state.waiting_for_room += 1;
            // Whoever waits here cannot drive, and perhaps nobody else comes by.
            state.handed_over = true;
            self.watch.notify_all();
            (state, _) = self.room.wait_until(state, None);
            state.waiting_for_room -= 1;
            if broken(Flaw::WokenIsRoom) {
                break;
            }
        }
        // What is not taken is dropped after the lock is: it may be anything.
        if !state.closed {
            state.push(lane, bytes, item);
        }
    }

    /// The helm, with the news of one turn, if it is free and there is news.
    pub(crate) fn take(&self) -> Option<Box<Post<I, D>>> {
        let mut state = self.state.lock();
        if state.queued == 0 {
            return None;
        }
        let post = state.post.take()?;
        Some(self.fill(state, post))
    }

    /// After a turn: the news of another one, if there is any and `goes_on`; else the helm is free again. `due` is when
    /// what is driven wants a turn in any case.
    pub(crate) fn after_turn(
        &self,
        post: Box<Post<I, D>>,
        due: Option<Instant>,
        goes_on: bool,
    ) -> Option<Box<Post<I, D>>> {
        let mut state = self.state.lock();
        state.due = due;
        let news = state.queued > 0 && !broken(Flaw::GoesWithoutLooking);
        if news && goes_on && !state.closed {
            return Some(self.fill(state, post));
        }
        state.handed_over |= news;
        self.put_down(state, post);
        None
    }

    /// Frees the helm after a turn, for a thread that will look for more news in a moment.
    pub(crate) fn let_go(&self, post: Box<Post<I, D>>, due: Option<Instant>) {
        let mut state = self.state.lock();
        state.due = due;
        self.put_down(state, post);
    }

    /// Frees the helm after a turn that left something to do for the watch, news or not.
    pub(crate) fn entrust(&self, post: Box<Post<I, D>>, due: Option<Instant>) {
        let mut state = self.state.lock();
        state.due = due;
        state.handed_over = true;
        self.put_down(state, post);
    }

    /// The watch sees to whatever is left here now.
    pub(crate) fn hand_over(&self) {
        let mut state = self.state.lock();
        if state.queued > 0 && state.post.is_some() {
            state.handed_over = true;
            self.wake_watch(state);
        }
    }

    /// For the watch: sleeps until there is something for it to do, and has the helm then. `None` when all is over.
    pub(crate) fn stand_watch(&self) -> Option<Box<Post<I, D>>> {
        let mut state = self.state.lock();
        let mut late = false;
        loop {
            if state.ended {
                return None;
            }
            let due = state.post.is_some().then_some(state.due).flatten();
            let is_due = late && due.is_some_and(|due| due <= now());
            if (state.handed_over || is_due)
                && let Some(post) = state.post.take()
            {
                return Some(self.fill(state, post));
            }
            state.watch = Watch::Asleep(due);
            (state, late) = self.watch.wait_until(state, due);
            state.watch = Watch::Awake;
        }
    }

    /// Nothing is left here any more; what was is dropped. Whoever drives finds out after its turn. Idempotent.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let left: Vec<_> =
            state.lanes.iter_mut().map(|lane| std::mem::take(&mut lane.items)).collect();
        state.queued = 0;
        let post = state.post.take();
        let was_free = post.is_some();
        drop(state);
        if !broken(Flaw::CloseTellsNobody) {
            self.room.notify_all();
        }
        drop((left, post));
        if was_free {
            self.end();
        }
    }

    /// The last who drove has let go of everything: the watch may end.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        self.watch.notify_all();
    }

    /// What is left here now, though there may be nothing to be driven by it.
    #[cfg(test)]
    pub(crate) fn take_items(&self) -> Vec<I> {
        let mut items = Vec::new();
        self.state.lock().drain(usize::MAX, &mut items);
        items
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    fn fill(
        &self,
        mut state: MutexGuard<'_, State<I, D>>,
        mut post: Box<Post<I, D>>,
    ) -> Box<Post<I, D>> {
        state.drain(self.inputs_max, &mut post.inputs);
        state.handed_over &= state.queued > 0;
        if state.waiting_for_room > 0 {
            self.room.notify_all();
        }
        post
    }

    fn put_down(&self, mut state: MutexGuard<'_, State<I, D>>, post: Box<Post<I, D>>) {
        if state.closed {
            drop(state);
            drop(post);
            return self.end();
        }
        state.post = Some(post);
        self.wake_watch(state);
    }

    /// Wakes the watch if it has something to do, or has to sleep less long.
    fn wake_watch(&self, state: MutexGuard<'_, State<I, D>>) {
        let wanted = match state.watch {
            Watch::Awake => false,
            Watch::Asleep(_) if state.handed_over => true,
            Watch::Asleep(until) => {
                state.due.is_some_and(|due| until.is_none_or(|until| due < until))
            }
        };
        drop(state);
        if wanted {
            self.watch.notify_all();
        }
    }
}

impl<I, D> State<I, D> {
    fn push(&mut self, lane: usize, bytes: usize, item: I) {
        let lane = &mut self.lanes[lane];
        lane.items.push_back((bytes, item));
        lane.bytes += bytes;
        self.queued += 1;
    }

    fn drain(&mut self, items_max: usize, into: &mut Vec<I>) {
        for lane in &mut self.lanes {
            while into.len() < items_max
                && let Some((bytes, item)) = lane.items.pop_front()
            {
                lane.bytes -= bytes;
                self.queued -= 1;
                into.push(item);
            }
        }
    }
}

impl<I> Lane<I> {
    fn has_room(&self, bytes: usize) -> bool {
        let fits = self.items.len() < self.bounds.items_max
            && self.bytes.saturating_add(bytes) <= self.bounds.bytes_max;
        fits || self.items.is_empty()
    }
}

impl<I, D> fmt::Debug for Helm<I, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Helm")
            .field("queued", &state.queued)
            .field("taken", &state.post.is_none())
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}
