//! A cell with more writers, readers, sleepers and subscribers than loom can hold, by `cargo xtask shuttle`.
#![cfg(rep_shuttle)]

use rep_explore::{break_line, explore, join, rejects, soon, threads};
use rep_fsm::cell::WORDS;
use rep_fsm::{CellValue, StateCell, StateEvent, Subscription, WaitError};

const WRITERS: usize = 3;
const VALUES: usize = 4;

/// Two words that have to match, as a state and its term have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair(u64);

const LAST: Pair = Pair(u64::MAX);

impl CellValue for Pair {
    fn to_words(self) -> [u64; WORDS] {
        [self.0, self.0, 0]
    }

    fn from_words([state, term, _]: [u64; WORDS]) -> Self {
        assert_eq!(state, term, "torn");
        Pair(state)
    }

    fn is_last(&self) -> bool {
        *self == LAST
    }
}

/// One story without a gap, within its bound, to the last value; how many items it had.
fn listen(mut news: Subscription<Pair>) -> usize {
    let mut items = 0;
    let mut before = None;
    loop {
        match news.next_before(Some(soon())) {
            Ok(StateEvent::Present(present)) => assert_eq!(before.replace(present), None),
            Ok(StateEvent::Changed { old, new }) => assert_eq!(before.replace(new), Some(old)),
            Err(WaitError::TimedOut) => continue,
            Err(ended) => {
                assert_eq!(ended, WaitError::Ended);
                break;
            }
        }
        items += 1;
    }
    assert_eq!(before, Some(LAST));
    items
}

/// Writers of many values, subscribers some of whom come late, readers, and those who sleep for a value that may never come.
fn many_at_one_cell() {
    let cell = StateCell::new(Pair(0));
    let early = [cell.subscribe(), cell.subscribe_bounded(4)];
    let early: Vec<_> =
        early.into_iter().map(|news| rep_explore::thread::spawn(|| listen(news))).collect();
    let late = threads(2, {
        let cell = cell.clone();
        move |_| listen(cell.subscribe_bounded(4))
    });
    let readers = threads(2, {
        let cell = cell.clone();
        move |_| {
            while !cell.get().is_last() {
                rep_explore::yield_now();
            }
        }
    });
    let sleepers = threads(3, {
        let cell = cell.clone();
        move |number| {
            let deadline = (number == 0).then(soon);
            let woken = cell.wait(deadline, |value| *value == Pair(1_000));
            let in_time = woken == Err(WaitError::Ended);
            assert!(in_time || number == 0 && woken == Err(WaitError::TimedOut), "{woken:?}");
        }
    });
    let writers = threads(WRITERS, {
        let cell = cell.clone();
        move |number| {
            for value in 1..=VALUES {
                assert!(cell.set(Pair((10 * number + value) as u64)));
            }
        }
    });
    join(writers);
    assert!(cell.set(LAST) && !cell.set(Pair(1)), "the last value stays");
    join(sleepers);
    join(readers);
    for items in join(early).into_iter().chain(join(late)) {
        assert!((1..=2 + WRITERS * VALUES).contains(&items), "{items} items");
    }
}

#[test]
fn shuttle_many_at_one_cell_are_told_one_story_and_its_end() {
    explore(many_at_one_cell);
}

#[test]
fn shuttle_twin_a_story_told_outside_the_lock_has_gaps() {
    break_line("subscribers are told under the lock");
    rejects("left == right", many_at_one_cell);
}

#[test]
fn shuttle_twin_a_change_between_the_look_and_the_sleep_is_slept_over() {
    break_line("the version is that of the look");
    rejects("deadlock", many_at_one_cell);
}
