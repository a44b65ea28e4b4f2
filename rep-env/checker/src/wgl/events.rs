//! The calls and returns that are still to be explained, in the order in which they happened.

use crate::operation::{Moment, Operation};

/// A place in the list. 0 is its end.
pub(super) type Place = u32;

/// A doubly linked list from which an operation is taken, and to which it is given back in the reverse order.
#[derive(Debug)]
pub(super) struct Events {
    next: Vec<Place>,
    previous: Vec<Place>,
    what: Vec<Event>,
    /// Where each operation's call and return stand.
    places: Vec<(Place, Place)>,
    left: usize,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Behind the last one.
    End,
    Call(u32),
    Return(u32),
}

impl Events {
    /// The events of operations that were all answered.
    pub(super) fn of<O>(operations: &[&Operation<O>]) -> Self {
        let mut events: Vec<(Moment, bool, u32)> = Vec::with_capacity(operations.len() * 2);
        for (at, operation) in (0..).zip(operations) {
            // At one moment calls come first: what returned then did not precede what was called then.
            events.push((operation.invoked, false, at));
            events.push((operation.latest().max(operation.invoked), true, at));
        }
        events.sort_unstable();
        let length = events.len() as Place + 1;
        let mut list = Self {
            next: (1..length).chain([0]).collect(),
            previous: [length - 1].into_iter().chain(0..length - 1).collect(),
            what: vec![Event::End],
            places: vec![(0, 0); operations.len()],
            left: operations.len(),
        };
        for (place, (_, returns, at)) in (1..).zip(events) {
            let places = &mut list.places[at as usize];
            match returns {
                false => places.0 = place,
                true => places.1 = place,
            }
            list.what.push(if returns { Event::Return(at) } else { Event::Call(at) });
        }
        list
    }

    /// The first place.
    pub(super) fn first(&self) -> Place {
        self.next[0]
    }

    /// The place after this one.
    pub(super) fn after(&self, place: Place) -> Place {
        self.next[place as usize]
    }

    /// The place after the call of an operation.
    pub(super) fn after_call(&self, operation: usize) -> Place {
        self.after(self.places[operation].0)
    }

    /// What stands at a place.
    pub(super) fn at(&self, place: Place) -> Event {
        self.what[place as usize]
    }

    /// How many operations are in the list.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Takes an operation out.
    pub(super) fn lift(&mut self, operation: usize) {
        let (call, returns) = self.places[operation];
        self.unlink(call);
        self.unlink(returns);
        self.left -= 1;
    }

    /// Puts back the operation that was taken out last.
    pub(super) fn put_back(&mut self, operation: usize) {
        let (call, returns) = self.places[operation];
        self.relink(returns);
        self.relink(call);
        self.left += 1;
    }

    fn unlink(&mut self, place: Place) {
        let (before, after) = (self.previous[place as usize], self.next[place as usize]);
        self.next[before as usize] = after;
        self.previous[after as usize] = before;
    }

    fn relink(&mut self, place: Place) {
        let (before, after) = (self.previous[place as usize], self.next[place as usize]);
        self.next[before as usize] = place;
        self.previous[after as usize] = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(events: &Events) -> Vec<Event> {
        let mut place = events.first();
        let mut seen = Vec::new();
        while events.at(place) != Event::End {
            seen.push(events.at(place));
            place = events.after(place);
        }
        seen
    }

    #[test]
    fn what_is_put_back_stands_where_it_stood() {
        use Event::{Call, Return};
        let operations = [
            Operation::done(1, 4, ()),
            Operation::done(2, 3, ()),
            // Called at the moment at which the first returns: concurrent with it.
            Operation::done(4, 5, ()),
        ];
        let mut events = Events::of(&operations.iter().collect::<Vec<_>>());
        let whole = [Call(0), Call(1), Return(1), Call(2), Return(0), Return(2)];
        assert_eq!(walk(&events), whole);
        events.lift(1);
        events.lift(0);
        assert_eq!(walk(&events), [Call(2), Return(2)]);
        events.put_back(0);
        events.put_back(1);
        assert_eq!((walk(&events), events.left()), (whole.to_vec(), 3));
    }
}
