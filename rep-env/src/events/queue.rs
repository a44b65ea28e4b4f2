//! What waits for one listener: bounded, whatever it is told and however slow it is.

use super::{News, RestoreEvent, Visible};
use rep_fsm::CellValue;
use rep_fsm::cell::EVENTS_MAX;
use std::collections::VecDeque;

/// So much that happened besides changes of state waits for a listener at most.
pub(super) const NEWS_MAX: usize = 64;

/// One thing to be told.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// The state when it began to listen; `old` and `new` are the same.
    Present(Visible),
    /// A change of the state.
    Changed { old: Visible, new: Visible },
    /// Something else.
    News(News),
    /// So much of what is no change of state was left out here.
    Missed(u64),
}

#[derive(Debug)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// How many of them are news.
    news: usize,
    /// News that were left out before the oldest that is here.
    missed: u64,
}

impl Queue {
    pub(super) fn new(present: Visible) -> Self {
        Queue { items: VecDeque::from([Item::Present(present)]), news: 0, missed: 0 }
    }

    pub(super) fn push_state(&mut self, old: Visible, new: Visible) {
        self.items.push_back(Item::Changed { old, new });
        if self.items.len() - self.news > EVENTS_MAX {
            self.join_two();
        }
    }

    /// Progress that was not heard yet gives way to newer progress.
    pub(super) fn push_news(&mut self, news: News) {
        let last = self.items.iter().rposition(|item| matches!(item, Item::News(_)));
        match last {
            Some(at) if news.is_progress() && is_progress(&self.items[at]) => {
                self.items.remove(at);
            }
            _ => self.news += 1,
        }
        self.items.push_back(Item::News(news));
        if self.news > NEWS_MAX {
            self.leave_out();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let is_news = matches!(self.items.front(), Some(Item::News(_)));
        if is_news && self.missed > 0 {
            return Some(Item::Missed(std::mem::take(&mut self.missed)));
        }
        self.news -= usize::from(is_news);
        self.items.pop_front()
    }

    /// Of what was there before the newest: progress goes first, which does not stay true; then the oldest, and that is told.
    fn leave_out(&mut self) {
        let news = |item: &Item| matches!(item, Item::News(_));
        let before = self.items.len() - 1;
        let progress = self.items.iter().take(before).position(is_progress);
        self.missed += u64::from(progress.is_none());
        if let Some(at) = progress.or_else(|| self.items.iter().position(news)) {
            self.items.remove(at);
            self.news -= 1;
        }
    }

    /// Joins two changes that follow each other: the oldest that may be joined, so that the newest history stays whole.
    fn join_two(&mut self) {
        let states: Vec<usize> =
            (0..self.items.len()).filter(|at| self.states(*at).is_some()).collect();
        let may_join = |pair: &&[usize]| {
            let (Some((old, _)), Some((_, new))) = (self.states(pair[0]), self.states(pair[1]))
            else {
                return false;
            };
            matches!(self.items[pair[0]], Item::Present(_)) || new.may_follow(&old)
        };
        // Among any four changes there are two that may be joined.
        let pair = states.windows(2).find(may_join).unwrap_or(&states[..2]);
        let (first, second) = (pair[0], pair[1]);
        if let Some((_, new)) = self.states(second) {
            match &mut self.items[first] {
                Item::Present(present) => *present = new,
                Item::Changed { new: end, .. } => *end = new,
                Item::News(_) | Item::Missed(_) => {}
            }
        }
        self.items.remove(second);
    }

    fn states(&self, at: usize) -> Option<(Visible, Visible)> {
        match &self.items[at] {
            Item::Present(present) => Some((*present, *present)),
            Item::Changed { old, new } => Some((*old, *new)),
            Item::News(_) | Item::Missed(_) => None,
        }
    }
}

fn is_progress(item: &Item) -> bool {
    matches!(item, Item::News(news) if news.is_progress())
}

impl News {
    fn is_progress(&self) -> bool {
        matches!(self, News::Restore(RestoreEvent::Progress(_)))
    }
}
