//! Ports for processes that are yet to start.
//!
//! A process that dies and comes back needs the port that it had. The system's own choice (port 0) is from the range
//! from which outgoing connections get theirs too, and one of those may take it meanwhile; so these are from below. And they stay
//! held as long as the group is there, or a second demo might find the same ones free before the members listen.

use anyhow::bail;
use rustix::fd::OwnedFd;
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port, of TCP and of UDP, of which nobody else who looks for one gets hold while this is there.
#[derive(Debug)]
pub(super) struct Held {
    address: SocketAddr,
    /// Bound and not listening. Where the system lets a listener have the same address beside it, it is kept.
    _socket: Option<OwnedFd>,
}

impl Held {
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    fn get(port: u16) -> Option<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
        // Strictly first, so that of two who try one fails.
        net::bind(&socket, &address).ok()?;
        UdpSocket::bind(address).ok()?;
        if !cfg!(target_os = "linux") {
            return Some(Held { address, _socket: None });
        }
        sockopt::set_socket_reuseaddr(&socket, true).ok()?;
        Some(Held { address, _socket: Some(socket) })
    }
}

/// So many ports of this machine on which nobody listens.
pub(super) fn hold(count: usize) -> anyhow::Result<Vec<Held>> {
    let chance = RandomState::new().hash_one("ports");
    let start = (chance % u64::from(COUNT)) as u16;
    let candidates = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
    let held: Vec<Held> = candidates.filter_map(Held::get).take(count).collect();
    if held.len() < count {
        bail!("no {count} free ports between {FIRST} and {}", FIRST + COUNT);
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_that_is_held_is_for_its_holder_to_listen_on_as_often_as_it_likes() {
        let [held]: [Held; 1] = hold(1).unwrap().try_into().unwrap();
        assert!(Held::get(held.address.port()).is_none(), "nobody else gets hold of it");
        for _ in 0..2 {
            let listener = TcpListener::bind(held.address()).unwrap();
            assert!(Held::get(held.address.port()).is_none());
            drop(listener);
        }
        UdpSocket::bind(held.address()).unwrap();
    }
}
