//! Who looks, listens and looks again misses no change.

use super::{explore, explore_broken, never};
use crate::runtime::bell::Bell;
use crate::sync::{AtomicBool, Flaw, Ordering};
use rep_explore::thread;
use std::sync::Arc;

fn looked_and_listened() {
    let (bell, open) = (Arc::new(Bell::default()), Arc::new(AtomicBool::new(false)));
    let listeners: Vec<_> = (0..2)
        .map(|_| {
            let (bell, open) = (Arc::clone(&bell), Arc::clone(&open));
            thread::spawn(move || {
                loop {
                    let heard = bell.heard();
                    if open.load(Ordering::Acquire) {
                        return;
                    }
                    bell.wait(heard, never());
                }
            })
        })
        .collect();
    open.store(true, Ordering::Release);
    bell.ring();
    listeners.into_iter().for_each(|listener| listener.join().unwrap());
}

#[test]
fn loom_a_change_that_is_rung_is_heard_by_all_who_looked_before_it() {
    explore(looked_and_listened);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_listener_that_is_not_counted_when_it_rings_is_found() {
    explore_broken(Flaw::LookThenSleep, looked_and_listened);
}
