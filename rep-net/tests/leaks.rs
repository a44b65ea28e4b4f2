//! Ten thousand callers come and go, and nothing of them stays. Alone in its process, which it counts.
#![cfg(all(target_os = "linux", not(rep_loom)))]

mod common;

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Party, hello, soon};
use rep_net::{Hello, NetError, TcpTransport};

const CALLERS: usize = 4;
const CALLS_EACH: usize = 2_500;

/// Open descriptors and threads of this process.
fn held() -> (usize, usize) {
    let count = |what: &str| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("fd"), count("task"))
}

#[test]
fn ten_thousand_connects_and_closes_leave_no_descriptor_and_no_thread() {
    let transport = TcpTransport::default();
    let party = Party::new(&transport, "127.0.0.1:0", Arc::new(transport.clone()));
    call(&party, 0, 0);
    let before = held();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let party = &party;
            scope.spawn(move || (0..CALLS_EACH).for_each(|number| call(party, caller, number)));
        }
    });
    assert!(party.desk.arrivals.is_empty());
    // The threads of the last callers may be on their way out.
    let end = Instant::now() + Duration::from_secs(60);
    while held().0 > before.0 || held().1 > before.1 {
        assert!(Instant::now() < end, "before {before:?}, after {:?}", held());
        thread::yield_now();
    }
}

/// One of the ways in which a call may go.
fn call(party: &Party, caller: usize, number: usize) {
    // Arrivals carry the caller's number, since several call at once; each takes whichever is there.
    match number % 5 {
        0 => {
            let dialled = party.dialler.dial(party.address(), &hello(), soon()).unwrap();
            let accepted = party.desk.next().1;
            dialled.close();
            drop(accepted);
        }
        1 => {
            let dialled = party.dialler.dial(party.address(), &hello(), soon()).unwrap();
            party.desk.next().1.close();
            // It is some caller's channel that was closed; this one ends too, by being dropped.
            drop(dialled);
        }
        2 => {
            let refused = party.dialler.dial(party.address(), &Hello::new("bank", "vault"), soon());
            assert!(refused.is_err());
        }
        3 => {
            let mut raw = TcpStream::connect(party.address().as_str()).unwrap();
            raw.write_all(&[caller as u8; 3]).unwrap();
            raw.shutdown(Shutdown::Both).unwrap();
        }
        _ => {
            let dialled = party.dialler.dial(party.address(), &hello(), soon()).unwrap();
            let accepted = party.desk.next().1;
            accepted.close();
            assert_eq!(accepted.receive(soon()), Err(NetError::Closed));
            drop((dialled, accepted));
        }
    }
}
