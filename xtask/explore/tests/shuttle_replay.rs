//! A schedule that was kept fails as it did when it was found.
#![cfg(rep_shuttle)]

use rep_explore::{Arc, Condvar, Mutex, rejects, replay, thread};

/// What a wait looks like that goes wrong: it looks, lets go, and sleeps over what came in between.
fn slept_over() {
    let hub = Arc::new((Mutex::new(false), Condvar::new()));
    let ringing = thread::spawn({
        let hub = Arc::clone(&hub);
        move || {
            *hub.0.lock() = true;
            hub.1.notify_all();
        }
    });
    if !*hub.0.lock() {
        drop(hub.1.wait_until(hub.0.lock(), None));
    }
    ringing.join().unwrap();
}

#[test]
fn shuttle_twin_a_wait_that_looked_before_is_found() {
    rejects("deadlock", slept_over);
}

/// As found by the test above.
const KEPT: &str = "91010cc5def7b2998ef0a1a401008a12";

#[test]
#[should_panic(expected = "deadlock")]
fn shuttle_twin_a_kept_schedule_fails_again() {
    replay(KEPT, slept_over);
}
