//! Does the present state lead anywhere?

use super::Search;
use super::events::Event;
use crate::model::{Effect, Model};

/// What may become of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// Somebody may see it, or what is added to it.
    Seen,
    /// It will be overwritten before anybody sees it.
    Unseen,
    /// The next answer cannot come out.
    Dead,
}

/// How many events the search looks ahead for the next answer.
const LOOK_AHEAD_MAX: usize = 512;

impl<M: Model> Search<'_, M> {
    /// What may become of the present state, as seen from the answer that was given first of those that only looked and
    /// still have to.
    pub(super) fn prospect(&self) -> Prospect {
        let Some(state) = self.state() else { return Prospect::Unseen };
        let mut open = Vec::new();
        let mut place = self.events.first();
        for _ in 0..LOOK_AHEAD_MAX {
            match self.events.at(place) {
                Event::End => return Prospect::Seen,
                Event::Call(at) => open.push(at as usize),
                Event::Return(at) if self.effects[at as usize] == Effect::Looks => {
                    let deadline = self.operations[at as usize].latest();
                    let pending = self.answered..self.pending_until(deadline);
                    open.extend(pending.filter(|&at| !self.has_happened(at)));
                    return self.prospect_of(state, at as usize, &open);
                }
                Event::Return(_) => (),
            }
            place = self.events.after(place);
        }
        Prospect::Seen
    }

    /// `open` is all that may still happen before `looker`, and the looker.
    fn prospect_of(&self, state: &M::State, looker: usize, open: &[usize]) -> Prospect {
        let overwrites = |at: &&usize| self.effects[**at] == Effect::Overwrites;
        let what = |at: &usize| &self.operations[*at].what;
        let kept: Vec<&M::Op> = open.iter().filter(|at| !overwrites(at)).map(what).collect();
        if self.model.may_reach(state, what(&looker), &kept) {
            return Prospect::Seen;
        }
        let all: Vec<&M::Op> = open.iter().map(what).collect();
        if !self.model.may_reach(state, what(&looker), &all) {
            return Prospect::Dead;
        }
        // Something has to be written before the looker. Before that, can anything happen that depends on the state?
        let mut sees =
            open.iter().filter(|&&at| matches!(self.effects[at], Effect::Looks | Effect::Changes));
        match sees.any(|at| self.model.may_reach(state, what(at), &kept)) {
            true => Prospect::Seen,
            false => Prospect::Unseen,
        }
    }
}
