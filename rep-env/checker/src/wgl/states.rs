//! Numbers for states.

use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

/// Every state that was seen, each kept once under a number.
#[derive(Debug)]
pub(super) struct States<S> {
    numbers: HashMap<Rc<S>, u32>,
    states: Vec<Rc<S>>,
    bytes: usize,
}

/// What a state takes beside itself: two counts, a pointer in each of two places, a number.
const BESIDE: usize = 48;

impl<S: Eq + Hash> States<S> {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new(), states: Vec::new(), bytes: 0 }
    }

    /// The number of a state that takes `bytes`.
    pub(super) fn number(&mut self, state: S, bytes: usize) -> u32 {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        let number = self.states.len() as u32;
        let state = Rc::new(state);
        self.numbers.insert(state.clone(), number);
        self.states.push(state);
        self.bytes += bytes + BESIDE;
        number
    }

    pub(super) fn get(&self, number: u32) -> &S {
        &self.states[number as usize]
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
