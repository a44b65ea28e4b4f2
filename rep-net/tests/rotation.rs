//! Certificates that are exchanged while everything runs, over every transport that proves names.
#![cfg(all(feature = "tls", not(rep_loom)))]

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::bank::{Files, Proving};
use common::tls::{Authority, usual};
use common::{Party, hello, soon};
use rep_net::{Bytes, CertificateFault, Channel, Limits, TlsError};

macro_rules! rows {
    ($($row:ident,)*) => {
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
    an_authority_is_exchanged_under_live_traffic_and_nothing_is_lost,
    a_revocation_counts_from_the_next_connection_on,
    a_certificate_that_expires_ends_no_connection_and_begins_none,
}

/// Sends numbers both ways until told to stop, and sees that none is missing: how many came to the left.
fn talk(left: &dyn Channel, right: &dyn Channel, stop: &AtomicBool) -> u64 {
    let sending = |end: &dyn Channel| {
        let mut sent = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            end.send(Bytes::copy_from_slice(&sent.to_le_bytes())).unwrap();
            sent += 1;
        }
        end.send(Bytes::new()).unwrap();
        sent
    };
    let receiving = |end: &dyn Channel| {
        let mut received = 0_u64;
        loop {
            let frame = end.receive(soon()).unwrap().expect("somebody sends all the time");
            if frame.is_empty() {
                return received;
            }
            assert_eq!(frame, received.to_le_bytes()[..]);
            received += 1;
        }
    };
    thread::scope(|scope| {
        let to_right = scope.spawn(|| sending(left));
        let to_left = scope.spawn(|| sending(right));
        let at_right = scope.spawn(|| receiving(right));
        let at_left = receiving(left);
        assert_eq!(at_left, to_left.join().unwrap());
        assert_eq!(at_right.join().unwrap(), to_right.join().unwrap());
        at_left
    })
}

fn an_authority_is_exchanged_under_live_traffic_and_nothing_is_lost<T: Proving>() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let both = old.pem() + &new.pem();
    let files =
        ["rep://bank/n1", "rep://bank/n2"].map(|uri| Files::new(&old.issue(uri), &old.pem()));
    let nodes = files.each_ref().map(Files::speak::<T>);
    let party = Party::new(&nodes[0], "127.0.0.1:0", Arc::new(nodes[1].clone()));
    let (left, right) = party.connect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let talking = scope.spawn(|| talk(&*left, &*right, &stop));
        let step = |write: &dyn Fn()| {
            write();
            nodes.iter().for_each(|node| node.reload().unwrap());
            party.connect();
        };
        step(&|| files.iter().for_each(|files| files.write_authorities(&both)));
        step(&|| files[0].write_certificate(&new.issue("rep://bank/n1")));
        step(&|| files[1].write_certificate(&new.issue("rep://bank/n2")));
        step(&|| files.iter().for_each(|files| files.write_authorities(&new.pem())));
        stop.store(true, Ordering::Relaxed);
        assert!(talking.join().unwrap() > 0);
    });
    // What the old one signed is worth nothing now.
    let late = old.issue("rep://bank/n2").speak::<T>(&both);
    let refused = late.dial(party.address(), &hello(), soon()).unwrap_err();
    let fault = CertificateFault::UnknownAuthority;
    assert_eq!(refused.tls_error(), Some(&TlsError::Ours(fault)), "{refused}");
}

fn a_revocation_counts_from_the_next_connection_on<T: Proving>() {
    let authority = Authority::new("bank's");
    let mut params = usual("rep://bank/n2");
    params.serial_number = Some(rcgen::SerialNumber::from(7));
    let n2 = authority.sign(&params).speak::<T>(&authority.pem());
    let files = Files::new(&authority.issue("rep://bank/n1"), &authority.pem());
    fs::write(files.at("revoked"), authority.revoke(&[1])).unwrap();
    let config = files.config().revoked_file(files.at("revoked"));
    let n1 = T::with(config, Limits::default()).unwrap();
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
    let (left, right) = party.connect();
    fs::write(files.at("revoked"), authority.revoke(&[1, 7])).unwrap();
    n1.reload().unwrap();
    let refused = party.dialler.dial(party.address(), &hello(), soon()).unwrap_err();
    let fault = CertificateFault::Revoked;
    assert_eq!(refused.tls_error(), Some(&TlsError::Ours(fault)), "{refused}");
    left.send(Bytes::from_static(b"still here")).unwrap();
    assert_eq!(right.receive(soon()).unwrap().unwrap(), b"still here"[..]);
}

fn a_certificate_that_expires_ends_no_connection_and_begins_none<T: Proving>() {
    let authority = Authority::new("bank's");
    let n1 = authority.issue("rep://bank/n1").speak::<T>(&authority.pem());
    let mut params = usual("rep://bank/n2");
    params.not_after = (SystemTime::now() + Duration::from_secs(3)).into();
    let n2 = authority.sign(&params).speak::<T>(&authority.pem());
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
    let (left, right) = party.connect();
    let end = soon();
    let refused = loop {
        assert!(Instant::now() < end, "it never expired");
        match party.dialler.dial(party.address(), &hello(), soon()) {
            Ok(_) => drop(party.desk.next()),
            Err(refused) => break refused,
        }
    };
    let fault = CertificateFault::Expired;
    assert_eq!(refused.tls_error(), Some(&TlsError::Ours(fault)), "{refused}");
    left.send(Bytes::from_static(b"still here")).unwrap();
    assert_eq!(right.receive(soon()).unwrap().unwrap(), b"still here"[..]);
}
