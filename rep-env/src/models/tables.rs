//! The tables of an environment that closes: its threads, and the callers of its services.

use super::{explore, explore_broken, never};
use crate::runtime::threads::Threads;
use crate::services::Callers;
use crate::sync::Flaw;
use rep_explore::{now, thread};
use rep_net::Channel;
use rep_net::mem::pair;
use std::sync::Arc;

/// Two threads end while two wait for all of them: nobody waits for ever.
fn all_have_ended() {
    let threads = Threads::new();
    let (first, second) = (threads.enrol("first".into()), threads.enrol("second".into()));
    let ending = thread::spawn(move || drop(first));
    let waiting = thread::spawn({
        let threads = threads.clone();
        move || threads.wait(never())
    });
    drop(second);
    assert_eq!(threads.wait(never()), Ok(()));
    assert_eq!(waiting.join().unwrap(), Ok(()));
    ending.join().unwrap();
}

#[test]
fn loom_who_waits_for_the_threads_is_woken_by_the_last_of_them() {
    explore(all_have_ended);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_thread_that_ends_in_silence_is_waited_for_for_ever() {
    explore_broken(Flaw::EndTellsNobody, all_have_ended);
}

/// Callers come while the services close: each is served and hung up on, or not served.
fn called_while_it_closes() {
    let callers = Callers::default();
    let calling: Vec<_> = (0..2)
        .map(|_| {
            let callers = callers.clone();
            thread::spawn(move || {
                let (ours, theirs) = pair(&rep_net::Limits::default());
                let place = callers.enter("service", &(ours as Arc<dyn Channel>));
                (place, theirs)
            })
        })
        .collect();
    callers.close();
    for thread in calling {
        let (place, caller) = thread.join().unwrap();
        // Without a wait: what has been hung up on says so at once.
        let hung_up = caller.receive(now()).is_err();
        assert!(place.is_none() || hung_up, "a caller is served after the close");
    }
}

#[test]
fn loom_nobody_is_served_after_a_close() {
    explore(called_while_it_closes);
}

#[test]
#[should_panic(expected = "a caller is served after the close")]
fn loom_twin_services_that_let_callers_in_after_the_close_are_found() {
    explore_broken(Flaw::DoorStaysOpen, called_while_it_closes);
}
