//! The bodies of the fuzz targets that shake hands (`cargo xtask fuzz`) as property tests: whatever callers do, nothing of them stays. Alone in
//! their process, which they count.
#![cfg(all(target_os = "linux", feature = "quic", not(rep_loom)))]

mod common;
#[path = "../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod quic_server;
    pub(crate) mod tls_server;
}

use std::fmt::Debug;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fuzz::{quic_server, tls_server};

/// Each is a handshake, which takes a moment.
const CASES: u32 = 100;

/// One counts at a time.
static COUNTING: Mutex<()> = Mutex::new(());

/// Open descriptors and threads of this process.
fn held() -> (usize, usize) {
    let count = |what: &str| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("fd"), count("task"))
}

/// What stands behind that name where this is shown.
fn shown(of: &impl Debug, name: &str) -> String {
    let shown = format!("{of:?}");
    let (_, behind) = shown.split_once(name).unwrap_or_else(|| panic!("no {name} in {shown}"));
    let number = behind.trim_start_matches(|c: char| !c.is_ascii_digit());
    number.chars().take_while(char::is_ascii_digit).collect()
}

/// Runs a body twice: what is there once and for all is there after the first of its seeds.
fn leaves_nothing<D: Debug + PartialEq>(
    body: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    rest: impl Fn() -> D,
) {
    seeds().iter().for_each(|seed| body(seed));
    let end = Instant::now() + Duration::from_secs(60);
    // Of the seeds themselves something may be on its way out.
    let before = loop {
        let (first, ()) = ((held(), rest()), thread::yield_now());
        let unchanged = Instant::now() + Duration::from_secs(3);
        while (held(), rest()) == first && Instant::now() < unchanged {
            thread::yield_now();
        }
        if Instant::now() >= unchanged {
            break first;
        }
        assert!(Instant::now() < end, "it never comes to rest");
    };
    kit::holds_for(CASES, body, seeds);
    let end = Instant::now() + Duration::from_secs(60);
    while held() > before.0 || rest() != before.1 {
        assert!(Instant::now() < end, "before {before:?}, after {:?}", (held(), rest()));
        thread::yield_now();
    }
}

#[test]
fn whatever_comes_over_tls_is_refused_or_is_who_it_proved_and_leaves_nothing() {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let clerk = &*tls_server::CLERK;
    let callers = || ["half_open:", "serving:"].map(|name| shown(&clerk.listener, name));
    leaves_nothing(tls_server::body, tls_server::seeds, callers);
    assert_eq!(callers(), ["0", "0"]);
    assert!(clerk.answers() > 20, "hardly anybody was answered: {}", clerk.answers());
    assert!(clerk.let_in() > 0);
}

#[test]
fn whatever_comes_over_quic_is_refused_or_is_who_it_proved_and_leaves_nothing() {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let clerk = &*quic_server::CLERK;
    let tasks = || {
        quic_server::settle();
        shown(&clerk.n1, "running:")
    };
    leaves_nothing(quic_server::body, quic_server::seeds, tasks);
    assert!(clerk.answers() > 20, "hardly anybody was answered: {}", clerk.answers());
    assert!(clerk.let_in() > 0);
}
