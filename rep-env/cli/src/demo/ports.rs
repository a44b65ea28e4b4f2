//! Ports for processes that are yet to start.
//!
//! A process that dies and comes back needs the port that it had. The system's own choice (port 0) is from the range
//! from which outgoing connections get theirs too, and one of those may take it meanwhile; so these are from below.

use anyhow::bail;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// So many addresses of this machine on which nobody listens just now.
pub(super) fn free_addresses(count: usize) -> anyhow::Result<Vec<String>> {
    let chance = RandomState::new().hash_one("ports");
    let start = (chance % u64::from(COUNT)) as u16;
    // Held until all are found, so that none is found twice.
    let mut held = Vec::with_capacity(count);
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
        }
        if held.len() == count {
            let addresses = held.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
            return addresses.collect();
        }
    }
    bail!("no {count} free ports between {FIRST} and {}", FIRST + COUNT)
}
