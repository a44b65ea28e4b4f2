//! Many callers come and go over QUIC, and nothing of them stays. Alone in its process, which it counts.
#![cfg(all(target_os = "linux", feature = "quic", not(rep_loom)))]

mod common;

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::bank::Bank;
use common::{Party, hello, soon};
use rep_net::{Hello, NetError, QuicTransport};

const CALLERS: usize = 4;
const CALLS_EACH: usize = 200;

/// Open descriptors and threads of this process.
fn held() -> (usize, usize) {
    let count = |what: &str| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("fd"), count("task"))
}

fn wait_until_held(before: (usize, usize)) {
    let end = Instant::now() + Duration::from_secs(60);
    while held().0 > before.0 || held().1 > before.1 {
        assert!(Instant::now() < end, "before {before:?}, after {:?}", held());
        thread::yield_now();
    }
}

#[test]
fn many_channels_leave_no_descriptor_and_no_thread_and_transports_leave_nothing() {
    let at_first = held();
    let bank = Bank::<QuicTransport>::new();
    call(&bank.n1, 0);
    let before = held();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            let party = &bank.n1;
            scope.spawn(move || (0..CALLS_EACH).for_each(|number| call(party, number)));
        }
    });
    assert!(bank.n1.desk.arrivals.is_empty());
    // The threads of the last callers may be on their way out.
    wait_until_held(before);
    drop(bank);
    wait_until_held(at_first);
}

#[test]
fn a_transport_that_is_not_used_has_no_thread() {
    let authority = common::tls::Authority::new("bank's");
    let n1: Arc<QuicTransport> = Arc::new(authority.issue("rep://bank/n1").speak(&authority.pem()));
    assert!(!format!("{n1:?}").contains("tasks"));
}

/// One of the ways in which a call may go.
fn call(party: &Party, number: usize) {
    let dial = |hello: &Hello| party.dialler.dial(party.address(), hello, soon());
    match number % 4 {
        0 => {
            let dialled = dial(&hello()).unwrap();
            let accepted = party.desk.next().1;
            dialled.close();
            drop(accepted);
        }
        1 => {
            let dialled = dial(&hello()).unwrap();
            party.desk.next().1.close();
            // It is some caller's channel that was closed; this one ends too, by being dropped.
            drop(dialled);
        }
        2 => assert!(dial(&Hello::new("bank", "vault")).is_err()),
        _ => {
            let dialled = dial(&hello()).unwrap();
            let accepted = party.desk.next().1;
            accepted.close();
            assert_eq!(accepted.receive(soon()), Err(NetError::Closed));
            drop((dialled, accepted));
        }
    }
}
