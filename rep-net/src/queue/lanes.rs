//! What is queued and what is reserved, counted. Pure: whoever changes it holds the lock, and wakes whom it concerns.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::Lane;

pub(super) struct State<T> {
    pub(super) lanes: Vec<LaneState<T>>,
    /// Items queued, in all lanes.
    pub(super) queued: usize,
    pub(super) closed: bool,
    /// How many have waited for room, or for an item as a task, so far.
    pub(super) tickets: u64,
    /// Tasks that wait for an item, by their seats.
    pub(super) wakers: BTreeMap<u64, Waker>,
    /// Tasks whose turn for room has come: to be woken when the lock is free again.
    pub(super) due: Vec<Waker>,
}

impl<T> State<T> {
    /// Has the task that has that seat woken by this waker; it is given one if it has none.
    pub(super) fn be_woken(&mut self, seat: &mut Option<u64>, waker: &Waker) {
        let seat = seat.get_or_insert_with(|| {
            self.tickets += 1;
            self.tickets
        });
        self.wakers.insert(*seat, waker.clone());
    }

    pub(super) fn append(&mut self, lane: usize, bytes: usize, item: T) {
        self.lanes[lane].items.push_back((bytes, item));
        self.queued += 1;
    }

    pub(super) fn take(&mut self) -> Option<(usize, T)> {
        let lane = self.lanes.iter().position(|lane| !lane.items.is_empty())?;
        let (bytes, item) = self.lanes[lane].items.pop_front()?;
        self.lanes[lane].give_back(bytes);
        self.queued -= 1;
        Some((lane, item))
    }

    /// Takes up to so many items, of which those after the first have up to so many bytes.
    pub(super) fn take_from(
        &mut self,
        lane: usize,
        items_max: usize,
        bytes_max: usize,
        into: &mut Vec<T>,
    ) -> usize {
        let lane = &mut self.lanes[lane];
        let (mut count, mut bytes, mut following) = (0, 0, 0_usize);
        for (size, _) in lane.items.iter().take(items_max) {
            following = following.saturating_add(if count == 0 { 0 } else { *size });
            if following > bytes_max {
                break;
            }
            (count, bytes) = (count + 1, bytes + size);
        }
        into.extend(lane.items.drain(..count).map(|(_, item)| item));
        lane.items_held -= count;
        lane.bytes_held -= bytes;
        self.queued -= count;
        count
    }
}

pub(super) struct LaneState<T> {
    bounds: Lane,
    items: VecDeque<(usize, T)>,
    /// Items queued and places reserved.
    items_held: usize,
    /// Their bytes.
    pub(super) bytes_held: usize,
    /// Tickets of those who wait for room, in the order they came.
    pub(super) row: VecDeque<u64>,
    /// Those of them that are tasks.
    tasks: Vec<(u64, Waker)>,
}

impl<T> LaneState<T> {
    pub(super) fn new(bounds: Lane) -> Self {
        assert!(bounds.items_max > 0, "a lane holds at least one item");
        Self {
            bounds,
            items: VecDeque::new(),
            items_held: 0,
            bytes_held: 0,
            row: VecDeque::new(),
            tasks: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let fits = self.items_held < self.bounds.items_max
            && self.bytes_held.checked_add(bytes).is_some_and(|held| held <= self.bounds.bytes_max);
        if !fits && self.items_held > 0 {
            return false;
        }
        self.items_held += 1;
        self.bytes_held += bytes;
        true
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        self.items_held -= 1;
        self.bytes_held -= bytes;
    }

    /// A task waits in the row, and is to be woken by this.
    pub(super) fn remember(&mut self, ticket: u64, waker: &Waker) {
        match self.tasks.iter_mut().find(|(waiting, _)| *waiting == ticket) {
            Some((_, known)) => known.clone_from(waker),
            None => self.tasks.push((ticket, waker.clone())),
        }
    }

    /// Somebody waits in the row no more.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.row.retain(|waiting| *waiting != ticket);
        self.tasks.retain(|(waiting, _)| *waiting != ticket);
    }

    /// The task that is first in the row, if it is one and has not been woken yet.
    pub(super) fn first_task(&mut self) -> Option<Waker> {
        let first = *self.row.front()?;
        let at = self.tasks.iter().position(|(waiting, _)| *waiting == first)?;
        Some(self.tasks.swap_remove(at).1)
    }

    pub(super) fn all_tasks(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.tasks.drain(..).map(|(_, waker)| waker)
    }
}
