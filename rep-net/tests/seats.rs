//! How many channels one peer may have at a listener: so many, as long as it has proved who it is; and none of them at another's cost.
#![cfg(not(rep_loom))]

mod common;

use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "tls")]
use std::time::Instant;

use common::{Desk, hello, soon, table};
#[cfg(feature = "tls")]
use common::{Party, bank::Proving, tls::Authority};
use rep_net::mem::Hub;
#[cfg(feature = "tls")]
use rep_net::{DialError, Hello, RefuseReason};
use rep_net::{Limits, TcpTransport, Transport};

const SEATS: usize = 3;

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.channels_per_peer_max = SEATS;
    // Longer than anything here takes: who says nothing stays.
    limits.hello_timeout = Duration::from_secs(120);
    limits
}

#[cfg(feature = "tls")]
fn is_one_too_many(error: &DialError) -> bool {
    error.refuse_reason() == Some(&RefuseReason::TooManyChannels)
}

/// A group whose n1 gives everybody so many seats.
#[cfg(feature = "tls")]
struct Group {
    authority: Authority,
    n1: Party,
}

#[cfg(feature = "tls")]
impl Group {
    fn new<T: Proving>() -> Self {
        let authority = Authority::new("bank's");
        let [n1, n2] = ["n1", "n2"].map(|node| Self::transport::<T>(&authority, node));
        Self { authority, n1: Party::new(&n1, "127.0.0.1:0", Arc::new(n2)) }
    }

    fn transport<T: Proving>(authority: &Authority, node: &str) -> T {
        let issued = authority.issue(&format!("rep://bank/{node}"));
        T::with(issued.trusting(&authority.pem()), limits()).unwrap()
    }

    fn another<T: Proving>(&self, node: &str) -> T {
        Self::transport(&self.authority, node)
    }

    fn wait_until_n2_is_let_in(&self) {
        let end = soon();
        while let Err(error) = self.n1.dialler.dial(self.n1.address(), &hello(), soon()) {
            assert!(is_one_too_many(&error), "{error}");
            assert!(Instant::now() < end, "the seat never came back");
        }
    }
}

#[cfg(feature = "tls")]
fn a_peer_has_so_many_channels_and_no_more_and_no_others_have_fewer<T: Proving>() {
    let group = Group::new::<T>();
    let address = group.n1.address();
    let mut channels: Vec<_> = (0..SEATS).map(|_| group.n1.connect()).collect();
    // Another certificate, from another process: it is the same peer.
    let again: T = group.another("n2");
    let diallers: [&dyn Transport; 2] = [&*group.n1.dialler, &again];
    for dialler in diallers.repeat(3) {
        let refused = dialler.dial(address, &hello(), soon()).unwrap_err();
        assert!(is_one_too_many(&refused), "{refused}");
    }
    let n3: T = group.another("n3");
    let of_n3 = hello().from_node("n3", [3; 16]);
    let _others: Vec<_> = (0..SEATS).map(|_| n3.dial(address, &of_n3, soon()).unwrap()).collect();
    channels.pop();
    group.wait_until_n2_is_let_in();
}

#[cfg(feature = "tls")]
fn whoever_is_refused_takes_no_seat<T: Proving>() {
    let group = Group::new::<T>();
    let vault = Hello::new("bank", "vault").from_node("n2", [2; 16]);
    for _ in 0..2 * SEATS {
        let refused = group.n1.dialler.dial(group.n1.address(), &vault, soon()).unwrap_err();
        assert_eq!(refused.refuse_reason(), Some(&RefuseReason::UnknownService), "{refused}");
    }
    let _channels: Vec<_> = (0..SEATS).map(|_| group.n1.connect()).collect();
}

macro_rules! rows {
    ($($row:ident,)*) => {
        #[cfg(feature = "tls")]
        mod over_tls {
            $(#[test] fn $row() { super::$row::<rep_net::TlsTransport>(); })*
        }

        #[cfg(feature = "quic")]
        mod over_quic {
            $(#[test] fn $row() { super::$row::<rep_net::QuicTransport>(); })*
        }
    };
}

rows! {
    a_peer_has_so_many_channels_and_no_more_and_no_others_have_fewer,
    whoever_is_refused_takes_no_seat,
}

/// A connection without channels costs something too.
#[test]
#[cfg(feature = "quic")]
fn a_peer_has_no_more_connections_than_it_may_have_channels() {
    use common::raw_quic::RawCaller;
    use rustls::version::TLS13;

    let group = Group::new::<rep_net::QuicTransport>();
    let n2 = group.authority.issue("rep://bank/n2");
    let connect = || RawCaller::connect(group.n1.address(), n2.raw_client(&[&TLS13])).unwrap();
    let mut idle: Vec<_> = (0..SEATS).map(|_| connect()).collect();
    // It is known only when the listener has seen the end of the handshake, so the last one waits for its turn to be told.
    let mut last = connect();
    last.wait_for_end().unwrap();
    let refused = group.n1.dialler.dial(group.n1.address(), &hello(), soon()).unwrap_err();
    assert!(is_one_too_many(&refused), "{refused}");
    idle.clear();
    group.wait_until_n2_is_let_in();
}

/// Or whoever wrote another's name into its Hello could keep that other out.
#[test]
fn names_that_nobody_has_proved_are_not_counted() {
    let hub = Hub::new(limits());
    let tcp: Arc<dyn Transport> = Arc::new(TcpTransport::new(limits()));
    let transports = [(hub.transport() as Arc<dyn Transport>, "n1"), (tcp, "127.0.0.1:0")];
    for (transport, address) in transports {
        let desk = Desk::new();
        let listener = transport.listen(&address.into(), table(&desk)).unwrap();
        let dial = || transport.dial(listener.local_address(), &hello(), soon()).unwrap();
        let channels: Vec<_> = (0..3 * SEATS).map(|_| (dial(), desk.next().1)).collect();
        assert_eq!(channels.len(), 3 * SEATS);
    }
}
