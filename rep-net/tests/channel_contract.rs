//! The one suite over every channel there is.
#![cfg(not(rep_loom))]

mod common;

use std::sync::Arc;

use common::Party;
use rep_net::mem::{self, Hub};
use rep_net::{Limits, TcpTransport, contract};

fn narrow() -> Limits {
    let mut limits = Limits::default();
    limits.frame_bytes_max = 100_000;
    limits.read_block_bytes = 1000;
    limits.queue_items_max = 128;
    limits.queue_bytes_max = 10_000;
    limits
}

#[test]
fn a_memory_pair_keeps_the_contract() {
    for limits in [Limits::default(), narrow()] {
        contract::channel(|| {
            let (left, right) = mem::pair(&limits);
            (left, right)
        });
    }
}

#[test]
fn a_hub_keeps_the_contract() {
    let hub = Hub::default();
    let party = Party::new(&*hub.transport(), "n1", hub.transport());
    contract::channel(|| party.connect());
}

#[test]
fn tcp_keeps_the_contract() {
    for limits in [Limits::default(), narrow()] {
        let transport = TcpTransport::new(limits);
        let party = Party::new(&transport, "127.0.0.1:0", Arc::new(transport.clone()));
        contract::channel(|| party.connect());
    }
}

#[test]
fn tcp_keeps_the_contract_the_other_way_round() {
    let transport = TcpTransport::default();
    let party = Party::new(&transport, "localhost:0", Arc::new(transport.clone()));
    contract::channel(|| {
        let (dialled, accepted) = party.connect();
        (accepted, dialled)
    });
}

#[cfg(feature = "tls")]
#[test]
fn tls_keeps_the_contract() {
    for limits in [Limits::default(), narrow()] {
        let (n1, n2) = common::tls::pair(&limits);
        let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
        contract::channel(|| party.connect());
    }
}

#[cfg(feature = "tls")]
#[test]
fn tls_keeps_the_contract_the_other_way_round() {
    let (n1, n2) = common::tls::pair(&Limits::default());
    let party = Party::new(&n1, "localhost:0", Arc::new(n2));
    contract::channel(|| {
        let (dialled, accepted) = party.connect();
        (accepted, dialled)
    });
}

#[cfg(feature = "quic")]
#[test]
fn quic_keeps_the_contract() {
    for limits in [Limits::default(), narrow()] {
        let (n1, n2) = common::tls::quic_pair(&limits);
        let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
        contract::channel(|| party.connect());
    }
}

#[cfg(feature = "quic")]
#[test]
fn quic_keeps_the_contract_the_other_way_round() {
    let (n1, n2) = common::tls::quic_pair(&Limits::default());
    let party = Party::new(&n1, "localhost:0", Arc::new(n2));
    contract::channel(|| {
        let (dialled, accepted) = party.connect();
        (accepted, dialled)
    });
}
