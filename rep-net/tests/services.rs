//! Dialling and being let in, or not: the same over every transport.
#![cfg(not(rep_loom))]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Desk, Party, hello, soon, table};
use rep_net::mem::Hub;
use rep_net::{
    Bytes, Channel, DialError, Hello, Host, Identity, NetError, RefuseReason, ServiceError,
    ServiceHandler, ServiceTable, TcpTransport, Transport, Versions,
};

fn over_each_transport(test: impl Fn(Party)) {
    let hub = Hub::default();
    test(Party::new(&*hub.transport(), "n1:7001", hub.transport()));
    test(Party::new(&TcpTransport::default(), "127.0.0.1:0", Arc::new(TcpTransport::default())));
}

fn refusal(party: &Party, hello: &Hello) -> RefuseReason {
    match party.dialler.dial(party.address(), hello, soon()) {
        Err(DialError::RefusedHello { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_sides_learn_who_the_other_one_is() {
    over_each_transport(|party| {
        let (dialled, accepted) = party.connect();
        assert_eq!((&*dialled.peer().node, dialled.peer().incarnation), ("n1", [1; 16]));
        assert_eq!((&*accepted.peer().node, accepted.peer().incarnation), ("n2", [2; 16]));
        assert_eq!(dialled.peer().address, *party.address());
        for end in [&dialled, &accepted] {
            assert_eq!(
                (&*end.peer().group, &*end.peer().service, end.peer().version),
                ("bank", "peer", 1)
            );
        }
    });
}

#[test]
fn a_hello_arrives_as_it_was_said() {
    over_each_transport(|party| {
        let said = hello().to_node("n1").greeting(&b"let me in"[..]).speaking(Versions::new(1, 4));
        let _dialled = party.dialler.dial(party.address(), &said, soon()).unwrap();
        assert_eq!(party.desk.next().0, said);
    });
}

#[test]
fn every_refusal_reaches_the_dialler_as_what_it_is() {
    over_each_transport(|party| {
        assert_eq!(refusal(&party, &Hello::new("another", "peer")), RefuseReason::WrongGroup);
        assert_eq!(refusal(&party, &Hello::new("", "peer")), RefuseReason::WrongGroup);
        assert_eq!(refusal(&party, &Hello::new("bank", "vault")), RefuseReason::UnknownService);
        assert_eq!(
            refusal(&party, &hello().to_node("n9")),
            RefuseReason::WrongNode { node: "n1".into() }
        );
        let spoken = Versions::new(1, 1);
        assert_eq!(
            refusal(&party, &hello().speaking(Versions::new(2, 3))),
            RefuseReason::VersionMismatch { spoken }
        );
        let stranger = Hello::new("bank", "peer").from_node("stranger", [9; 16]);
        assert!(matches!(refusal(&party, &stranger), RefuseReason::NotMember { .. }));
        assert!(party.desk.arrivals.is_empty());
        // None of this did any harm.
        party.connect();
    });
}

#[test]
fn the_highest_common_version_is_chosen() {
    let services = ServiceTable::new();
    services.host(Host::new("bank", "n1", [1; 16]).speaking(Versions::new(2, 5))).unwrap();
    services.register("bank", "peer", Desk::new()).unwrap();
    for (offered, chosen) in
        [((1, 2), Some(2)), ((3, 9), Some(5)), ((4, 4), Some(4)), ((6, 7), None), ((1, 1), None)]
    {
        let hello = hello().speaking(Versions::new(offered.0, offered.1));
        assert_eq!(
            services.admit(&hello, None).ok().map(|admitted| admitted.accepted.version),
            chosen
        );
    }
}

#[test]
fn a_proved_name_has_to_be_the_announced_one() {
    let services = table(&Desk::new());
    let proved = |identities: &[(&str, &str)]| {
        let identities: Vec<_> =
            identities.iter().map(|(group, node)| Identity::new(*group, *node)).collect();
        services.admit(&hello(), Some(&identities)).map(|admitted| admitted.accepted.version)
    };
    assert_eq!(proved(&[("bank", "n2")]), Ok(1));
    assert_eq!(proved(&[("shop", "n3"), ("bank", "n3"), ("bank", "n2")]), Ok(1));
    assert_eq!(proved(&[("bank", "n3"), ("shop", "n2")]), Err(RefuseReason::NotProved));
    assert_eq!(proved(&[("shop", "n2")]), Err(RefuseReason::GroupNotProved));
    assert_eq!(proved(&[]), Err(RefuseReason::GroupNotProved));
}

#[test]
fn a_service_for_tools_answers_callers_that_know_no_group() {
    struct Ask;
    impl ServiceHandler for Ask {
        fn accept(&self, _hello: Hello, channel: Arc<dyn Channel>) {
            let _ = channel.send(Bytes::from_static(b"n1 of bank"));
        }
        fn needs_group(&self) -> bool {
            false
        }
    }
    let services = table(&Desk::new());
    services.register("bank", "ask", Arc::new(Ask)).unwrap();
    let listener =
        TcpTransport::default().listen(&"127.0.0.1:0".into(), Arc::clone(&services)).unwrap();
    let ask =
        || TcpTransport::default().dial(listener.local_address(), &Hello::new("", "ask"), soon());
    let channel = ask().unwrap();
    assert_eq!(channel.peer().group, "bank");
    assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"n1 of bank"[..]);
    // With a second group it would be a guess.
    services.host(Host::new("library", "n1", [1; 16])).unwrap();
    assert_eq!(ask().unwrap_err().refuse_reason(), Some(&RefuseReason::WrongGroup));
}

#[test]
fn services_and_groups_may_come_and_go_while_listening() {
    over_each_transport(|party| {
        let services = table(&party.desk);
        assert!(matches!(
            services.host(Host::new("bank", "n5", [0; 16])),
            Err(ServiceError::Taken { .. })
        ));
        assert!(matches!(
            services.register("bank", "peer", Desk::new()),
            Err(ServiceError::Taken { .. })
        ));
        assert!(matches!(
            services.register("shop", "peer", Desk::new()),
            Err(ServiceError::NotHosted { .. })
        ));
        assert!(matches!(
            services.host(Host::new("", "n5", [0; 16])),
            Err(ServiceError::BadName { .. })
        ));
        services.remove("bank", "peer");
        assert_eq!(services.admit(&hello(), None).unwrap_err(), RefuseReason::UnknownService);
        services.remove_host("bank");
        assert_eq!(services.admit(&hello(), None).unwrap_err(), RefuseReason::WrongGroup);
    });
}

#[test]
fn a_closed_listener_refuses_at_once_and_its_channels_live_on() {
    over_each_transport(|party| {
        let (dialled, accepted) = party.connect();
        // The listener lets go of a channel when `accept` has returned; until then it would close it.
        while Arc::strong_count(&accepted) > 1 {
            std::thread::yield_now();
        }
        party.listener.close();
        party.listener.close();
        let refused = party.dialler.dial(party.address(), &hello(), soon()).unwrap_err();
        assert!(refused.is_refused(), "{refused}");
        dialled.send(Bytes::from_static(b"still here")).unwrap();
        assert_eq!(accepted.receive(soon()).unwrap().unwrap(), b"still here"[..]);
    });
}

/// Keeps the listener's thread for as long as the channel lives.
struct Stay;

impl ServiceHandler for Stay {
    fn accept(&self, _hello: Hello, channel: Arc<dyn Channel>) {
        let _ = channel.send(Bytes::from_static(b"served"));
        while channel.receive(soon()).is_ok() {}
    }
}

#[test]
fn closing_a_listener_ends_the_handlers_that_serve_on_its_threads() {
    let hub = Hub::default();
    let transports: [Arc<dyn Transport>; 2] = [hub.transport(), Arc::new(TcpTransport::default())];
    for (transport, address) in transports.into_iter().zip(["here", "127.0.0.1:0"]) {
        let services = table(&Desk::new());
        services.register("bank", "stay", Arc::new(Stay)).unwrap();
        let listener = transport.listen(&address.into(), services).unwrap();
        let channel =
            transport.dial(listener.local_address(), &Hello::new("bank", "stay"), soon()).unwrap();
        assert_eq!(channel.receive(soon()).unwrap().unwrap(), b"served"[..]);
        let start = Instant::now();
        drop(listener);
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "it waited for the channel to end by itself"
        );
        assert_eq!(channel.receive(soon()), Err(NetError::Closed));
    }
}

#[test]
fn a_handler_may_close_the_listener_that_runs_it() {
    struct Closer(rep_net::queue::Queue<Arc<dyn rep_net::Listener>>);
    impl ServiceHandler for Closer {
        fn accept(&self, _hello: Hello, channel: Arc<dyn Channel>) {
            let listener = self.0.pop(Some(soon())).unwrap().unwrap();
            listener.close();
            drop(channel);
        }
    }
    let listeners =
        rep_net::queue::Queue::new([rep_net::queue::Lane { items_max: 1, bytes_max: 0 }]);
    let services = table(&Desk::new());
    services.register("bank", "close", Arc::new(Closer(listeners.clone()))).unwrap();
    let listener: Arc<dyn rep_net::Listener> =
        Arc::from(TcpTransport::default().listen(&"127.0.0.1:0".into(), services).unwrap());
    let hello = Hello::new("bank", "close");
    let channel = TcpTransport::default().dial(listener.local_address(), &hello, soon()).unwrap();
    listeners.try_push(0, 0, listener).unwrap();
    assert_eq!(channel.receive(soon()), Err(NetError::Closed));
}

#[test]
fn a_hello_that_cannot_be_sent_is_the_callers_error() {
    over_each_transport(|party| {
        let error =
            party.dialler.dial(party.address(), &Hello::new("bank", ""), soon()).unwrap_err();
        assert!(matches!(error, DialError::Hello(_)), "{error}");
    });
}

#[test]
fn a_crash_in_the_hub_discards_what_was_queued_and_kills_the_transport_for_ever() {
    let hub = Hub::default();
    let (first, second) = (hub.transport(), hub.transport());
    let party = Party::new(&*first, "n1", Arc::clone(&second) as Arc<dyn Transport>);
    let other = Party::new(&*second, "n2", Arc::clone(&first) as Arc<dyn Transport>);
    let (to_first, at_first) = party.connect();
    let (from_first, at_second) = other.connect();
    to_first.send(Bytes::from_static(b"never read")).unwrap();
    at_first.send(Bytes::from_static(b"never read")).unwrap();

    assert!(hub.crash(&"n1".into()));
    assert!(!hub.crash(&"n1".into()));
    for end in [&to_first, &at_first, &from_first, &at_second] {
        assert!(matches!(end.receive(soon()), Err(NetError::Lost { .. })));
        assert!(matches!(end.send(Bytes::new()), Err(NetError::Lost { .. })));
    }
    assert!(second.dial(&"n1".into(), &hello(), soon()).unwrap_err().is_refused());
    assert!(matches!(
        first.dial(&"n2".into(), &hello(), soon()),
        Err(DialError::Unreachable { .. })
    ));
    assert!(matches!(
        first.listen(&"n1".into(), table(&Desk::new())),
        Err(NetError::Listen { .. })
    ));

    // A new life under the old address; the old listener, closed late, does not take it down.
    let reborn = Party::new(&*hub.transport(), "n1", second);
    party.listener.close();
    reborn.connect();
}

#[test]
fn a_name_in_the_hub_can_be_had_once_at_a_time() {
    let hub = Hub::default();
    let listener = hub.transport().listen(&"n1".into(), table(&Desk::new())).unwrap();
    let taken = hub.transport().listen(&"n1".into(), table(&Desk::new())).unwrap_err();
    assert!(matches!(taken, NetError::Listen { kind: std::io::ErrorKind::AddrInUse, .. }));
    listener.close();
    hub.transport().listen(&"n1".into(), table(&Desk::new())).unwrap();
}
