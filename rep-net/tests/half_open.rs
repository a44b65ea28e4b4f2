//! Thousands who call and then say nothing. Alone in its process, whose descriptors it uses up and whose memory it measures.
#![cfg(all(target_os = "linux", feature = "tls", not(rep_loom)))]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::tls::pair;
use common::{Party, soon};
use rep_net::Limits;
use socket2::{Domain, Socket, Type};

const CALLERS: usize = 5_000;
/// Descriptors that the listener, and a process in general, need besides.
const SPARE: usize = 200;

/// What a caller may cost who is being heard: its thread and allocator, and the room for what it sends.
const BYTES_EACH: usize = 512 << 10;
/// What one that was turned away may have left behind.
const BYTES_LEFT: usize = 1 << 10;

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

fn descriptors_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

/// Calls from one of the addresses of this host.
fn call_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[test]
fn thousands_of_half_open_calls_keep_nobody_out_and_cost_little() {
    let mut limits = Limits::default();
    limits.hello_timeout = Duration::from_secs(120);
    let (n1, n2) = pair(&limits);
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
    party.connect();
    let to = party.address().as_str().parse().unwrap();
    let callers = CALLERS.min(descriptors_max().saturating_sub(SPARE) / 2);
    println!("{callers} half-open calls");
    let before = resident_bytes();
    // From three addresses, which may take 48 of the 64 places between them.
    let mut calls: Vec<_> = (0..callers)
        .map(|number| {
            let mut call = call_from([127, 0, 0, 2 + (number % 3) as u8], to);
            let _ = call.write_all(&[22, 3, 1, 1, 0]);
            call
        })
        .collect();
    let begun = Instant::now();
    for _ in 0..10 {
        party.connect();
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let (left, right) = party.connect();
    left.send("a heartbeat".into()).unwrap();
    assert_eq!(right.receive(soon()).unwrap().unwrap(), b"a heartbeat"[..]);
    let taken = resident_bytes().saturating_sub(before);
    let allowed = limits.half_open_max * BYTES_EACH + callers * BYTES_LEFT;
    assert!(taken < allowed, "{taken} bytes, {allowed} are allowed");
    // Those who were turned away were told so.
    let last = calls.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut alert = [0; 7];
    last.read_exact(&mut alert).unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 80]);
}
