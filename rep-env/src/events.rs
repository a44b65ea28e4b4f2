//! What this node is, as the application sees it, and being told when that changes; and what else happens to it that nobody asked for.

mod queue;
mod restore;

pub use restore::{RestoreEvent, RestoreProgress};

use crate::member::Member;
use crate::runtime::directory::Directory;
use crate::sync::{Condvar, Flaw, Mutex, broken};
use crate::waiter::deadline;
use queue::{Item, Queue};
use rep_fsm::{CellValue, NodeState, Role, Standing, StateCell, WaitError};
use rep_vlsn::{NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The [`reason`](StateEvent::reason) of the last event, if the master has shut the whole group down: an end that was wanted.
pub const GROUP_SHUT_DOWN: &str = "the group was shut down";

/// Something that a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// What this node is: the present state first, then each change.
    State(StateEvent),
    /// This member is given a copy of the state: how that goes.
    Restore(RestoreEvent),
    /// Entries that this member held and no commit quorum did were cut away. Who wrote them was not told that they are durable; a
    /// [`Error::RolledBack`](crate::Error::RolledBack) is what a handle that still waits here gets.
    RolledBack {
        /// The first and the last of them.
        dropped: RangeInclusive<Vlsn>,
    },
    /// The listener was so slow that here something was left out which is no change of state. [`stats`](crate::ReplicatedEnvironment::stats) counts
    /// what was rolled back, and the copies that were put in place.
    Missed {
        /// How many items, but for progress that was overtaken.
        items: u64,
    },
}

/// A change of what this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateEvent {
    /// What it was; in the first item, which tells the present state, the same as `new`.
    pub old: NodeState,
    /// What it is.
    pub new: NodeState,
    /// The master, if it is known.
    pub master: Option<Member>,
    /// The term.
    pub term: Term,
    /// Why.
    pub reason: &'static str,
}

/// The present state first, then whatever happens, in its order, then, after `Shutdown`, the end. Dropped, it listens no more.
///
/// Bounded: of a slow listener's changes of state some are joined, never into a sequence that could not have been, and told where the first of them was; of the rest the oldest are left out
/// ([`Event::Missed`]). At most 64 of each wait.
///
/// As an iterator it sleeps for each item.
#[derive(Debug)]
pub struct Events {
    board: Board,
    /// Its place among the listeners.
    id: u64,
}

impl Events {
    /// The next item, if it comes within `timeout`; `None` also after the end.
    pub fn next_within(&mut self, timeout: Duration) -> Option<Event> {
        self.board.next_for(self.id, Some(deadline(timeout)))
    }

    /// The changes of state alone.
    pub fn states(self) -> StateEvents {
        StateEvents(self)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.board.next_for(self.id, None)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.board.hub.lock().queues.remove(&self.id);
    }
}

/// [`Events`] of which only the changes of state are told: for who asks nothing but what this node is.
///
/// As an iterator it sleeps for each item.
#[derive(Debug)]
pub struct StateEvents(Events);

impl StateEvents {
    /// The next item, if it comes within `timeout`; `None` also after the end.
    pub fn next_within(&mut self, timeout: Duration) -> Option<StateEvent> {
        let until = deadline(timeout);
        loop {
            if let Event::State(event) = self.0.board.next_for(self.0.id, Some(until))? {
                return Some(event);
            }
        }
    }
}

impl Iterator for StateEvents {
    type Item = StateEvent;

    fn next(&mut self) -> Option<StateEvent> {
        self.0.find_map(|event| match event {
            Event::State(event) => Some(event),
            Event::Restore(_) | Event::RolledBack { .. } | Event::Missed { .. } => None,
        })
    }
}

/// What is told besides changes of state.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Restore(RestoreEvent),
    RolledBack(RangeInclusive<Vlsn>),
}

/// What is published: a [`Standing`], and the reason's number on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    pub(crate) state: NodeState,
    pub(crate) term: Term,
    pub(crate) master: Option<NodeId>,
    reason: u32,
}

const REASON_SHIFT: u32 = 32;

impl Visible {
    fn standing(self) -> Standing {
        Standing { state: self.state, role: Role::Idle, term: self.term, master: self.master }
    }
}

impl CellValue for Visible {
    fn to_words(self) -> [u64; rep_fsm::cell::WORDS] {
        let [tag, term, master] = self.standing().to_words();
        [tag, term, master | u64::from(self.reason) << REASON_SHIFT]
    }

    fn from_words([tag, term, last]: [u64; rep_fsm::cell::WORDS]) -> Self {
        let reason = (last >> REASON_SHIFT) as u32;
        let Standing { state, term, master, .. } =
            Standing::from_words([tag, term, last & u64::from(u32::MAX)]);
        Visible { state, term, master, reason }
    }

    fn is_last(&self) -> bool {
        self.standing().is_last()
    }

    fn may_follow(&self, old: &Self) -> bool {
        self.standing().may_follow(&old.standing())
    }
}

/// Where the state is published, and what else happens. Clones are handles to the same board.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    cell: StateCell<Visible>,
    hub: Arc<Mutex<Hub>>,
    /// Rings when a listener has something to hear.
    told: Arc<Condvar>,
    directory: Arc<Directory>,
}

/// What those who publish and those who listen share.
#[derive(Debug)]
struct Hub {
    /// Reasons are texts of the program; their numbers fit the cell.
    reasons: Vec<&'static str>,
    /// What was published last. A look into the cell would hide from the models that others look there too.
    shown: Visible,
    queues: BTreeMap<u64, Queue>,
    next_queue: u64,
}

impl Hub {
    /// The number of a reason, and whether it is new.
    fn number_of(&self, reason: &'static str) -> (usize, bool) {
        let known = self.reasons.iter().position(|known| *known == reason);
        (known.unwrap_or(self.reasons.len()), known.is_none())
    }
}

impl Board {
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        let nobody =
            Visible { state: NodeState::Detached, term: Term::ZERO, master: None, reason: 0 };
        let reasons = vec!["not opened yet"];
        let hub = Hub { reasons, shown: nobody, queues: BTreeMap::new(), next_queue: 0 };
        Board {
            cell: StateCell::new(nobody),
            hub: Arc::new(Mutex::new(hub)),
            told: Arc::default(),
            directory,
        }
    }

    pub(crate) fn publish(
        &self,
        state: NodeState,
        term: Term,
        master: Option<NodeId>,
        reason: &'static str,
    ) {
        let mut hub = self.hub.lock();
        let (number, is_new) = hub.number_of(reason);
        let new = Visible { state, term, master, reason: number as u32 };
        if broken(Flaw::StateBeforeReason) {
            drop(hub);
            self.cell.set(new);
            hub = self.hub.lock();
        }
        if is_new {
            hub.reasons.push(reason);
        }
        // Under the lock, so that all are told of changes in the order in which they are made.
        let changed = self.cell.set(new);
        if broken(Flaw::ToldOutside) {
            drop(hub);
            hub = self.hub.lock();
        }
        if changed {
            let old = std::mem::replace(&mut hub.shown, new);
            hub.queues.values_mut().for_each(|queue| queue.push_state(old, new));
        }
        drop(hub);
        self.told.notify_all();
    }

    /// Tells those who listen of something that is no change of state. After `Shutdown` nothing is told.
    pub(crate) fn tell(&self, news: &News) {
        let mut hub = self.hub.lock();
        if self.cell.get().is_last() && !broken(Flaw::ToldAfterTheEnd) {
            return;
        }
        hub.queues.values_mut().for_each(|queue| queue.push_news(news.clone()));
        drop(hub);
        self.told.notify_all();
    }

    pub(crate) fn get(&self) -> Visible {
        self.cell.get()
    }

    pub(crate) fn reason(&self) -> &'static str {
        let number = self.cell.get().reason;
        self.hub.lock().reasons[number as usize]
    }

    /// Sleeps until the state is wanted.
    pub(crate) fn wait(
        &self,
        deadline: Instant,
        wanted: impl FnMut(&Visible) -> bool,
    ) -> Result<Visible, WaitError> {
        self.cell.wait(Some(deadline), wanted)
    }

    pub(crate) fn subscribe(&self) -> Events {
        let mut hub = self.hub.lock();
        let id = hub.next_queue;
        hub.next_queue += 1;
        let shown = hub.shown;
        hub.queues.insert(id, Queue::new(shown));
        drop(hub);
        Events { board: self.clone(), id }
    }

    /// The next item for that listener; sleeps for it. `None` at the deadline, and after the end.
    fn next_for(&self, id: u64, deadline: Option<Instant>) -> Option<Event> {
        let mut hub = self.hub.lock();
        let mut late = false;
        loop {
            let item = hub.queues.get_mut(&id)?.pop();
            if let Some(item) = item {
                return Some(self.event(&hub, item));
            }
            if late || self.cell.get().is_last() {
                return None;
            }
            (hub, late) = self.told.wait_until(hub, deadline);
        }
    }

    fn event(&self, hub: &Hub, item: Item) -> Event {
        let state = |old: Visible, new: Visible| StateEvent {
            old: old.state,
            new: new.state,
            master: new.master.and_then(|id| self.directory.member(id)),
            term: new.term,
            reason: hub.reasons[new.reason as usize],
        };
        match item {
            Item::Present(present) => Event::State(state(present, present)),
            Item::Changed { old, new } => Event::State(state(old, new)),
            Item::News(News::Restore(event)) => Event::Restore(event),
            Item::News(News::RolledBack(dropped)) => Event::RolledBack { dropped },
            Item::Missed(items) => Event::Missed { items },
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use queue::NEWS_MAX;
    use rep_fsm::cell::EVENTS_MAX;

    fn board() -> Board {
        Board::new(Arc::new(Directory::listing("a", &[("a", "A:1")])))
    }

    fn progress(bytes: u64) -> News {
        News::Restore(RestoreEvent::Progress(RestoreProgress {
            source: "b".to_owned(),
            bytes,
            remaining_bytes: None,
            bytes_per_s: 0,
            taken: Duration::ZERO,
        }))
    }

    fn rolled_back(vlsn: u64) -> News {
        News::RolledBack(Vlsn::new(vlsn)..=Vlsn::new(vlsn))
    }

    #[test]
    fn what_happens_is_told_in_its_order_among_the_changes_of_state() {
        let board = board();
        let (events, states) = (board.subscribe(), board.subscribe().states());
        board.publish(NodeState::Unknown, Term::ZERO, None, "opened");
        board.tell(&rolled_back(7));
        board.publish(NodeState::Replica, Term::new(1), Some(NodeId::new(1)), "in sync");
        board.tell(&progress(1));
        board.publish(NodeState::Shutdown, Term::new(1), None, "closed");
        board.tell(&rolled_back(8));
        let words = |event| match event {
            Event::State(event) => event.reason.to_owned(),
            other => format!("{other:?}").split(' ').next().unwrap_or_default().to_owned(),
        };
        let told: Vec<String> = events.map(words).collect();
        let expected = [
            "not opened yet",
            "opened",
            "RolledBack",
            "in sync",
            "Restore(Progress(RestoreProgress",
            "closed",
        ];
        assert_eq!(told, expected);
        assert_eq!(states.count(), 4, "and who asks for states alone hears them");
    }

    /// Of ten thousand signs of progress that nobody heard the newest is left, and of as many losses the newest, which say that others were before.
    #[test]
    fn a_slow_listener_keeps_the_newest_and_is_told_that_it_missed_others() {
        let board = board();
        let mut events = board.subscribe();
        (0..10_000).for_each(|number| board.tell(&progress(number)));
        let told = [events.next(), events.next()].map(Option::unwrap);
        assert!(matches!(&told[0], Event::State(present) if present.old == present.new));
        let Event::Restore(RestoreEvent::Progress(newest)) = &told[1] else { panic!("{told:?}") };
        assert_eq!(newest.bytes, 9_999);
        (1..=1_000).for_each(|number| {
            board.tell(&rolled_back(number));
            board.tell(&progress(number));
        });
        board.publish(NodeState::Shutdown, Term::new(1), None, "closed");
        let told: Vec<Event> = events.collect();
        let losses = NEWS_MAX - 1;
        assert_eq!(told[0], Event::Missed { items: 1_000 - losses as u64 });
        let first = Vlsn::new(1_001 - losses as u64);
        assert_eq!(told[1], Event::RolledBack { dropped: first..=first });
        assert_eq!(told.len(), 1 + NEWS_MAX + 1);
        assert!(matches!(told.last(), Some(Event::State(last)) if last.new == NodeState::Shutdown));
        assert_eq!(board.hub.lock().queues.len(), 0, "who has gone costs nothing");
    }

    #[test]
    fn events_tell_master_term_and_reason_and_end_with_shutdown() {
        let board = Board::new(Arc::new(Directory::listing("a", &[("a", "A:1")])));
        let mut events = board.subscribe().states();
        board.publish(NodeState::Unknown, Term::ZERO, None, "opened");
        board.publish(NodeState::Master, Term::new(1), Some(NodeId::new(1)), "crowned");
        board.publish(NodeState::Unknown, Term::new(1), None, "opened");
        board.publish(NodeState::Shutdown, Term::new(1), None, "closed");
        let states: Vec<_> =
            events.by_ref().map(|event| (event.old, event.new, event.reason)).collect();
        use NodeState::{Detached, Master, Shutdown, Unknown};
        let expected = [
            (Detached, Detached, "not opened yet"),
            (Detached, Unknown, "opened"),
            (Unknown, Master, "crowned"),
            (Master, Unknown, "opened"),
            (Unknown, Shutdown, "closed"),
        ];
        assert_eq!(states, expected);
        assert_eq!(board.reason(), "closed");
    }

    /// A listener that does nothing while a node changes ten thousand times costs no more than [`EVENTS_MAX`] items, and
    /// what it is told then begins where it stopped listening and leaves out nothing that has to lie between.
    #[test]
    fn a_slow_listener_costs_a_bounded_queue_and_is_told_nothing_impossible() {
        use NodeState::{Master, Replica, Shutdown, Unknown};
        let board = Board::new(Arc::new(Directory::listing("a", &[("a", "A:1")])));
        let mut events = board.subscribe().states();
        for number in 1..=10_000 {
            let settled = if number % 3 == 0 { Master } else { Replica };
            let (term, master) = (Term::new(number), Some(NodeId::new(1)));
            board.publish(Unknown, term, None, "lost its master");
            board.publish(settled, term, master, "found one");
        }
        board.publish(Shutdown, Term::new(10_000), None, "closed");
        let told: Vec<_> = events.by_ref().collect();
        assert!(told.len() <= EVENTS_MAX + 1, "{}", told.len());
        assert_eq!(told[0].old, told[0].new, "what is present when it looks, first");
        for pair in told.windows(2) {
            assert!(pair[0].new == pair[1].old && pair[0].term <= pair[1].term, "{pair:?}");
            let settled = |state| matches!(state, Master | Replica);
            assert!(!(settled(pair[1].old) && settled(pair[1].new)), "{pair:?}");
        }
        let last = told.last().unwrap();
        assert_eq!((last.new, last.term, last.reason), (Shutdown, Term::new(10_000), "closed"));
        assert_eq!(events.next(), None);
    }

    #[test]
    fn a_visible_state_survives_its_words() {
        let visible = Visible {
            state: NodeState::Replica,
            term: Term::new(9),
            master: Some(NodeId::new(3)),
            reason: 7,
        };
        assert_eq!(Visible::from_words(visible.to_words()), visible);
    }
}
