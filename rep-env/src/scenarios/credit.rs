//! Bytes of many, within one bound, whoever gives up and whenever it closes.

use super::{explore, join, rejects, threads};
use crate::runtime::credit::{Credit, NoCredit};
use crate::sync::{Condvar, Flaw, Mutex};
use rep_explore::{never, random, soon, thread};
use std::sync::Arc;

const BYTES_MAX: u64 = 10;

/// What entered and waits for the node; `None` when no more will come.
#[derive(Default)]
struct Line {
    bytes: Mutex<Vec<Option<u64>>>,
    left: Condvar,
}

impl Line {
    fn leave(&self, bytes: Option<u64>) {
        self.bytes.lock().push(bytes);
        self.left.notify_all();
    }

    fn take(&self) -> Vec<Option<u64>> {
        let mut bytes = self.bytes.lock();
        while bytes.is_empty() {
            (bytes, _) = self.left.wait_until(bytes, None);
        }
        std::mem::take(&mut bytes)
    }
}

/// The node: takes what was left, holds it unsynced for a while, and has it synced.
fn settle(credit: &Credit, line: &Line) {
    let mut ends = false;
    while !ends {
        let taken = line.take();
        ends = taken.contains(&None);
        let queued: u64 = taken.into_iter().flatten().sum();
        credit.settle(queued, queued);
        assert!(queued <= BYTES_MAX.max(OVER), "{queued} bytes at once");
        credit.settle(0, 0);
    }
}

/// Over the bound: it enters alone.
const OVER: u64 = 12;

fn many_enter(closes: bool) {
    let (credit, line) = (Arc::new(Credit::new(BYTES_MAX)), Arc::new(Line::default()));
    let node = thread::spawn({
        let (credit, line) = (Arc::clone(&credit), Arc::clone(&line));
        move || settle(&credit, &line)
    });
    let entering = threads(8, {
        let (credit, line) = (Arc::clone(&credit), Arc::clone(&line));
        move |number| {
            let bytes = [1, 4, 7, OVER][number % 4];
            let deadline = [None, Some(never()), Some(soon())][number % 3];
            match credit.enter(bytes, deadline) {
                Ok(grant) if random() % 4 == 0 => drop(grant),
                Ok(grant) => line.leave(Some(grant.spend())),
                Err(NoCredit::Full(held)) => assert!(number % 3 == 2 && held > 0, "{held}"),
                Err(NoCredit::Closed) => assert!(closes),
            }
        }
    });
    if closes {
        credit.close();
    }
    join(entering);
    line.leave(None);
    node.join().unwrap();
    assert_eq!(credit.unsynced_bytes(), 0);
    assert_eq!(credit.enter(BYTES_MAX, Some(soon())).is_ok(), !closes, "all was given back");
}

#[test]
fn shuttle_room_in_the_credit_reaches_all_who_wait() {
    explore(|| many_enter(false));
}

#[test]
fn shuttle_a_close_ends_every_wait_for_credit() {
    explore(|| many_enter(true));
}

#[test]
fn shuttle_twin_room_made_between_the_look_and_the_sleep_is_slept_over() {
    rejects(Flaw::LookThenSleep, "deadlock", || many_enter(false));
}

#[test]
fn shuttle_twin_a_close_between_the_look_and_the_sleep_is_slept_over() {
    rejects(Flaw::LookThenSleep, "deadlock", || many_enter(true));
}
