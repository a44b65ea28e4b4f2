//! The search for an order: Wing & Gong's, with Lowe's memory of visited configurations.
//!
//! Walk through the history; of the operations that are open, pick one that the object could have answered so, let it
//! happen, and go on; where none is left, take the last one back and pick another. A *configuration* is what has
//! happened and the state after it, and one that was visited before needs no second visit. (Wing & Gong, *Testing
//! and Verifying Concurrent Objects*, 1993; Lowe, *Testing for Linearizability*, 2017; as a linked list of events,
//! Horn & Kroening, *Faster Linearizability Checking via P-Compositionality*, 2015.)
//!
//! Six things keep it short. Each leaves out only what cannot be the sole way to explain a history:
//!
//! 1. What only looks happens as soon as it may: it changes nothing for others, and its own answer may become wrong.
//! 2. A pending operation that helps to explain no answer is left out from the start ([`Model::useful`]).
//! 3. Of pending operations that are equal, the first invoked goes first.
//! 4. Nothing overwrites a pending operation at once: it would have happened for nobody.
//! 5. The next answer that has to come out is kept in view: where nothing open leads to it, the search turns back
//!    ([`Model::may_reach`]).
//! 6. A state that nobody can see any more, because whoever looks next needs something to be written first, is not told
//!    from others of that kind.

mod bits;
mod events;
mod memo;
mod prospect;
mod states;

use crate::model::{Effect, Model};
use crate::operation::{Moment, Operation};
use crate::verdict::{Budget, GaveUp, Verdict};
use bits::Bits;
use events::{Event, Events, Place};
use memo::Memo;
use prospect::Prospect;
use states::States;
use std::collections::HashMap;

/// Is there an order of these operations in which `model` answers each as it was answered, and in which none comes before one
/// that precedes it?
///
/// Operations on several independent objects (the keys of a store) should be checked apart, each object's alone: that is
/// exact, and far quicker.
pub fn check<M: Model>(model: &M, operations: &[Operation<M::Op>], budget: &Budget<'_>) -> Verdict {
    let mut search = Search::new(model, operations);
    match search.run(budget) {
        Ok(true) => Verdict::Linearizable(search.order()),
        Ok(false) => Verdict::NotLinearizable,
        Err(gave_up) => Verdict::Unknown(gave_up),
    }
}

/// In place of the number of a state that will be overwritten before anybody looks.
const UNSEEN: u32 = u32::MAX;

/// How many tries pass between two questions whether to give up.
const TRIES_A_QUESTION: u64 = 1024;

struct Search<'a, M: Model> {
    model: &'a M,
    /// The answered operations in the order of their calls, then the pending ones in that order.
    operations: Vec<&'a Operation<M::Op>>,
    effects: Vec<Effect>,
    /// Where each stood in the caller's slice.
    origins: Vec<usize>,
    /// How many are answered.
    answered: usize,
    /// For each pending one, its equal that was invoked just before it.
    twins: Vec<Option<usize>>,
    events: Events,
    done: Bits,
    happened: Bits,
    states: States<M::State>,
    now: Now<M::State>,
    initial: M::State,
    /// What has happened, in order.
    trail: Vec<u32>,
    frames: Vec<Frame>,
    memo: Memo,
    row: Vec<u64>,
}

/// A choice that may be taken back.
struct Frame {
    chosen: usize,
    /// How long the trail was before it.
    trail: usize,
    /// The number of the state before it.
    state: u32,
}

/// The state after what has happened so far.
enum Now<S> {
    Numbered(u32),
    /// Not numbered yet, because it may be of no use.
    Fresh(S),
    /// It will be overwritten before anybody looks.
    Unseen,
}

/// Where to look for the next choice.
#[derive(Clone, Copy)]
enum Cursor {
    Answered(Place),
    Pending(usize),
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, operations: &'a [Operation<M::Op>]) -> Self {
        let mut origins: Vec<usize> = (0..operations.len()).collect();
        origins.sort_by_key(|&at| (operations[at].returned.is_none(), operations[at].invoked));
        let answered = operations.iter().filter(|operation| operation.returned.is_some()).count();
        let pending = useful(model, operations, &origins[answered..], &origins[..answered]);
        origins.truncate(answered);
        origins.extend(pending);
        let operations: Vec<_> = origins.iter().map(|&at| &operations[at]).collect();
        Self {
            model,
            effects: operations.iter().map(|operation| model.effect(&operation.what)).collect(),
            twins: twins(&operations[answered..], answered),
            events: Events::of(&operations[..answered]),
            done: Bits::new(answered),
            happened: Bits::new(operations.len() - answered),
            states: States::new(),
            now: Now::Fresh(model.initial()),
            initial: model.initial(),
            operations,
            origins,
            answered,
            trail: Vec::new(),
            frames: Vec::new(),
            memo: Memo::new(),
            row: Vec::new(),
        }
    }

    /// The trail as places in the caller's slice.
    fn order(&self) -> Vec<usize> {
        self.trail.iter().map(|&at| self.origins[at as usize]).collect()
    }

    fn run(&mut self, budget: &Budget<'_>) -> Result<bool, GaveUp> {
        self.look();
        self.number();
        let mut cursor = self.start();
        let mut tries = 0_u64;
        while self.events.left() > 0 {
            tries += 1;
            if tries.is_multiple_of(TRIES_A_QUESTION) && (budget.give_up)() {
                return Err(GaveUp::Asked);
            }
            cursor = match self.choose(cursor) {
                Some((chosen, state)) => {
                    self.take(chosen, state);
                    match self.is_new(budget)? {
                        true => self.start(),
                        false => self.take_back(),
                    }
                }
                None if self.frames.is_empty() => return Ok(false),
                None => self.take_back(),
            };
        }
        Ok(true)
    }

    fn start(&self) -> Cursor {
        Cursor::Answered(self.events.first())
    }

    /// The next operation from the cursor on that may happen now, and the state after it.
    fn choose(&self, cursor: Cursor) -> Option<(usize, Now<M::State>)> {
        let pending = match cursor {
            Cursor::Pending(from) => from,
            Cursor::Answered(mut place) => {
                while let Event::Call(at) = self.events.at(place) {
                    let at = at as usize;
                    if self.effects[at] != Effect::Looks
                        && !self.is_in_vain(at)
                        && let Some(state) = self.step(at)
                    {
                        return Some((at, state));
                    }
                    place = self.events.after(place);
                }
                self.answered
            }
        };
        let deadline = self.deadline();
        (pending..self.pending_until(deadline)).find_map(|at| self.step_pending(at))
    }

    /// Behind the last pending operation that was invoked by then.
    fn pending_until(&self, moment: Moment) -> usize {
        let pending = &self.operations[self.answered..];
        self.answered + pending.partition_point(|operation| operation.invoked <= moment)
    }

    /// The moment before which something that is not done yet was answered: what was called after it cannot be next.
    fn deadline(&self) -> Moment {
        let mut place = self.events.first();
        while let Event::Call(_) = self.events.at(place) {
            place = self.events.after(place);
        }
        match self.events.at(place) {
            Event::Return(at) => self.operations[at as usize].latest(),
            Event::Call(_) | Event::End => Moment::MAX,
        }
    }

    fn step_pending(&self, at: usize) -> Option<(usize, Now<M::State>)> {
        let twin_waits =
            self.twins[at - self.answered].is_some_and(|twin| !self.has_happened(twin));
        if self.has_happened(at) || twin_waits || self.is_in_vain(at) {
            return None;
        }
        match self.step(at)? {
            // One that changes nothing now is kept for later.
            Now::Fresh(state) if self.state() == Some(&state) => None,
            Now::Unseen => None,
            state => Some((at, state)),
        }
    }

    fn has_happened(&self, at: usize) -> bool {
        self.happened.has(at - self.answered)
    }

    /// Would it overwrite what a pending operation has just done, before anybody saw it?
    fn is_in_vain(&self, at: usize) -> bool {
        let last_is_pending = self.trail.last().is_some_and(|&last| last as usize >= self.answered);
        last_is_pending && self.effects[at] == Effect::Overwrites
    }

    /// The present state, if anybody may see it.
    fn state(&self) -> Option<&M::State> {
        match &self.now {
            Now::Numbered(number) => Some(self.states.get(*number)),
            Now::Fresh(state) => Some(state),
            Now::Unseen => None,
        }
    }

    /// Gives the present state its number.
    fn number(&mut self) -> u32 {
        let number = match std::mem::replace(&mut self.now, Now::Unseen) {
            Now::Unseen => return UNSEEN,
            Now::Numbered(number) => number,
            Now::Fresh(state) => {
                let bytes = self.model.state_bytes(&state);
                self.states.number(state, bytes)
            }
        };
        self.now = Now::Numbered(number);
        number
    }

    fn step(&self, at: usize) -> Option<Now<M::State>> {
        let before = match (self.state(), self.effects[at]) {
            (Some(state), _) => state,
            (None, Effect::Looks | Effect::Changes) => return None,
            (None, Effect::Adds) => return Some(Now::Unseen),
            // What it leaves does not depend on what was before, so any state will do.
            (None, Effect::Overwrites) => &self.initial,
        };
        self.model.step(before, &self.operations[at].what).map(Now::Fresh)
    }

    fn take(&mut self, chosen: usize, state: Now<M::State>) {
        let before = self.number();
        self.frames.push(Frame { chosen, trail: self.trail.len(), state: before });
        self.now = state;
        self.lift(chosen);
        self.look();
    }

    fn lift(&mut self, at: usize) {
        self.trail.push(at as u32);
        match at < self.answered {
            true => {
                self.events.lift(at);
                self.done.set(at);
            }
            false => self.happened.set(at - self.answered),
        }
    }

    /// Lets everything happen that only looks and is answered as it would be now.
    fn look(&mut self) {
        let mut before = 0;
        while let Event::Call(at) = self.events.at(self.events.after(before)) {
            let at = at as usize;
            if self.effects[at] == Effect::Looks && self.step(at).is_some() {
                self.lift(at);
            } else {
                before = self.events.after(before);
            }
        }
    }

    /// Undoes the last choice; where to look for another.
    fn take_back(&mut self) -> Cursor {
        let Some(frame) = self.frames.pop() else { return self.start() };
        while self.trail.len() > frame.trail
            && let Some(at) = self.trail.pop()
        {
            self.put_back(at as usize);
        }
        self.now = if frame.state == UNSEEN { Now::Unseen } else { Now::Numbered(frame.state) };
        match frame.chosen < self.answered {
            true => Cursor::Answered(self.events.after_call(frame.chosen)),
            false => Cursor::Pending(frame.chosen + 1),
        }
    }

    fn put_back(&mut self, at: usize) {
        match at < self.answered {
            true => {
                self.events.put_back(at);
                self.done.clear(at);
            }
            false => self.happened.clear(at - self.answered),
        }
    }

    /// Is this configuration worth going on from? Not if it was visited, nor if nothing leads from it to the next answer.
    fn is_new(&mut self, budget: &Budget<'_>) -> Result<bool, GaveUp> {
        if self.events.left() == 0 {
            return Ok(true);
        }
        match self.prospect() {
            Prospect::Seen => (),
            Prospect::Unseen => self.now = Now::Unseen,
            Prospect::Dead => return Ok(false),
        }
        self.row.clear();
        let state = self.number();
        self.row.push(state.into());
        self.done.pack(&mut self.row);
        self.happened.pack(&mut self.row);
        let new = self.memo.insert(&self.row);
        if self.memo.rows() as u64 > budget.states_max {
            return Err(GaveUp::States);
        }
        if self.memo.bytes() + self.states.bytes() > budget.bytes_max {
            return Err(GaveUp::Bytes);
        }
        Ok(new)
    }
}

/// The pending operations that may help, in order.
fn useful<M: Model>(
    model: &M,
    operations: &[Operation<M::Op>],
    pending: &[usize],
    answered: &[usize],
) -> Vec<usize> {
    let changes = |at: &usize| model.effect(&operations[*at].what) != Effect::Looks;
    let pending: Vec<usize> = pending.iter().copied().filter(changes).collect();
    let ops = |places: &[usize]| -> Vec<&M::Op> {
        places.iter().map(|&at| &operations[at].what).collect()
    };
    let flags = model.useful(&ops(answered), &ops(&pending));
    // A model that gives too few flags has said nothing of the rest.
    let flags = flags.into_iter().chain(std::iter::repeat(true));
    pending.into_iter().zip(flags).filter(|(_, useful)| *useful).map(|(at, _)| at).collect()
}

fn twins<O: Eq + std::hash::Hash>(pending: &[&Operation<O>], from: usize) -> Vec<Option<usize>> {
    let mut last: HashMap<&O, usize> = HashMap::new();
    (from..).zip(pending).map(|(at, operation)| last.insert(&operation.what, at)).collect()
}
