//! Who gets in over TLS, and who does not and is told why: what a stranger can try who has a library of TLS in its hands, on either side.
//! The other rows are in `identity.rs`.
#![cfg(all(feature = "tls", not(rep_loom)))]

mod common;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use common::bank::{Bank, changed, to_n1};
use common::tls::{Issued, Raw, alert, raw_client_builder, raw_listener};
use common::{Party, soon};
use rcgen::{KeyPair, SanType};
use rep_net::hello::Answer;
use rep_net::{CertificateFault, Limits, TcpTransport, TlsError, TlsTransport, Transport};
use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

#[test]
fn a_certificate_that_names_no_node_is_refused_and_no_transport_is_made_with_it() {
    let bank = Bank::<TlsTransport>::new();
    let names = [
        vec![],
        vec![SanType::DnsName("n2.bank".try_into().unwrap())],
        vec![SanType::URI("rep://bank/*".try_into().unwrap())],
        vec![SanType::URI("https://bank/n2".try_into().unwrap())],
    ];
    for names in names {
        let odd = bank.authority.sign(&changed("rep://bank/n2", |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "rep://bank/n2");
            params.subject_alt_names = names;
        }));
        let unfit = TlsTransport::new(odd.trusting(&bank.authority.pem()), Limits::default());
        assert!(unfit.unwrap_err().to_string().contains("names no node"));
        let refused = refusal(&bank, odd.raw_client(&[&TLS13]));
        assert_eq!(refused, Some(AlertDescription::AccessDenied));
        let (address, listening) = raw_listener(odd.raw_server(&[&TLS13]), drop);
        let refused = bank.n2.dial(&address, &to_n1(), soon()).unwrap_err();
        let fault = CertificateFault::NoIdentity;
        assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
        listening.join().unwrap();
    }
}

/// The alert by which a raw caller is refused, at its handshake or after it has said Hello.
fn refusal(bank: &Bank<TlsTransport>, config: rustls::ClientConfig) -> Option<AlertDescription> {
    let refused = Raw::connect(bank.n1.address(), config).and_then(|mut raw| {
        raw.say(&to_n1().encode().unwrap())?;
        raw.hear()
    });
    assert!(bank.n1.desk.arrivals.is_empty(), "nobody arrived");
    alert(&refused.unwrap_err())
}

#[test]
fn a_handshake_that_is_longer_than_any_honest_one_is_broken_off() {
    let bank = Bank::<TlsTransport>::new();
    let mut long = bank.authority.issue("rep://bank/n2");
    long.certificate = long.certificate.repeat(100);
    // So long alone it is still looked at, and refused for what it is.
    let refused = refusal(&bank, long.raw_client(&[&TLS13]));
    assert_eq!(refused, Some(AlertDescription::CertificateUnknown));
    let mut longer = long.raw_client(&[&TLS13]);
    longer.alpn_protocols.extend((0..120).map(|number| vec![number; 255]));
    assert_eq!(refusal(&bank, longer), None);
}

#[test]
fn a_caller_without_a_certificate_is_refused() {
    let bank = Bank::<TlsTransport>::new();
    let mut config = raw_client_builder(&[&TLS13]).with_no_client_auth();
    config.alpn_protocols = vec![b"rep/1".to_vec()];
    assert_eq!(refusal(&bank, config), Some(AlertDescription::CertificateRequired));
}

#[test]
fn a_certificate_of_a_weak_key_is_refused_and_no_transport_is_made_with_it() {
    let bank = Bank::<TlsTransport>::new();
    let weak = bank.authority.issue_rsa("rep://bank/n1", 1024);
    let fault = CertificateFault::WeakKey { bits: 1024, bits_min: 2048 };
    let (address, listening) = raw_listener(weak.raw_server(&[&TLS13]), drop);
    let refused = bank.n2.dial(&address, &to_n1(), soon()).unwrap_err();
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
    listening.join().unwrap();
    // Before its holder has signed anything: what is told is not that the signature does not fit, as with a key that is long enough.
    let calling = |bits| bank.authority.issue_rsa("rep://bank/n2", bits).raw_client(&[&TLS13]);
    assert_eq!(refusal(&bank, calling(1024)), Some(AlertDescription::CertificateUnknown));
    assert_eq!(refusal(&bank, calling(2048)), Some(AlertDescription::DecryptError));
    let unfit = TlsTransport::new(weak.trusting(&bank.authority.pem()), Limits::default());
    assert!(unfit.is_err());
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    let bank = Bank::<TlsTransport>::new();
    let stolen = |uri: &str| Issued {
        certificate: bank.authority.issue(uri).certificate,
        key: KeyPair::generate().unwrap().serialize_pem(),
    };
    let refused = refusal(&bank, stolen("rep://bank/n2").raw_client(&[&TLS13]));
    assert_eq!(refused, Some(AlertDescription::DecryptError));
    let (address, listening) = raw_listener(stolen("rep://bank/n1").raw_server(&[&TLS13]), drop);
    let refused = bank.n2.dial(&address, &to_n1(), soon()).unwrap_err();
    let fault = CertificateFault::BadSignature;
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
    listening.join().unwrap();
    let unfit = TlsTransport::new(
        stolen("rep://bank/n2").trusting(&bank.authority.pem()),
        Limits::default(),
    );
    assert!(unfit.unwrap_err().to_string().contains("does not belong to the certificate"));
}

#[test]
fn nothing_below_tls_13_is_spoken() {
    let bank = Bank::<TlsTransport>::new();
    let old = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS12]);
    assert_eq!(refusal(&bank, old), Some(AlertDescription::ProtocolVersion));
    let old = bank.authority.issue("rep://bank/n1").raw_server(&[&TLS12]);
    let (address, listening) = raw_listener(old, drop);
    let refused = bank.n2.dial(&address, &to_n1(), soon()).unwrap_err();
    assert_eq!(refused.tls_error(), Some(&TlsError::Version), "{refused}");
    listening.join().unwrap();
}

#[test]
fn another_protocol_under_tls_is_not_spoken_with() {
    let bank = Bank::<TlsTransport>::new();
    for protocols in [vec![], vec![b"h2".to_vec()]] {
        let mut caller = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
        caller.alpn_protocols = protocols.clone();
        let offered = !protocols.is_empty();
        let refused = refusal(&bank, caller);
        assert_eq!(refused, offered.then_some(AlertDescription::NoApplicationProtocol));
        let mut server = bank.authority.issue("rep://bank/n1").raw_server(&[&TLS13]);
        server.alpn_protocols = protocols;
        let (address, listening) = raw_listener(server, drop);
        let refused = bank.n2.dial(&address, &to_n1(), soon()).unwrap_err();
        assert_eq!(refused.tls_error(), Some(&TlsError::OtherProtocol), "{refused}");
        listening.join().unwrap();
    }
}

#[test]
fn tls_and_plaintext_do_not_mix_and_both_sides_are_told() {
    let bank = Bank::<TlsTransport>::new();
    let refused = TcpTransport::default().dial(bank.n1.address(), &to_n1(), soon()).unwrap_err();
    assert_eq!(refused.tls_error(), Some(&TlsError::TlsSpoken), "{refused}");
    assert!(bank.n1.desk.arrivals.is_empty());

    let plain = TcpTransport::default();
    let plain = Party::new(&plain, "127.0.0.1:0", Arc::new(bank.n2.clone()));
    let refused = bank.n2.dial(plain.address(), &to_n1(), soon()).unwrap_err();
    assert_eq!(refused.tls_error(), Some(&TlsError::NotTls), "{refused}");
    // Whatever the first bytes of a frame are.
    for text in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03", b"\x00", b"\x16\x03\x01\x00\x00"] {
        let mut caller = std::net::TcpStream::connect(bank.n1.address().as_str()).unwrap();
        caller.write_all(text).unwrap();
        caller.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = std::io::copy(&mut caller, &mut std::io::sink());
    }
    assert!(bank.n1.desk.arrivals.is_empty());
    assert!(plain.desk.arrivals.is_empty());
}

#[test]
fn a_session_is_not_resumed_and_nothing_is_sent_before_the_proof() {
    let bank = Bank::<TlsTransport>::new();
    let mut config = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    config.enable_early_data = true; // and it remembers every session that it is given
    for _ in 0..3 {
        let mut raw = Raw::connect(bank.n1.address(), config.clone()).unwrap();
        assert!(raw.0.conn.early_data().is_none());
        raw.say(&to_n1().encode().unwrap()).unwrap();
        assert!(matches!(Answer::decode(&raw.hear().unwrap()), Ok(Answer::Accepted(_))));
        assert_eq!(raw.0.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(raw.0.conn.tls13_tickets_received(), 0);
        bank.n1.desk.next();
    }
}

#[test]
fn a_recorded_connection_replayed_says_nothing() {
    let bank = Bank::<TlsTransport>::new();
    let recorded = common::tls::record(bank.n1.address(), |through| {
        drop(bank.n2.dial(through, &to_n1(), soon()).unwrap());
        bank.n1.desk.next();
    });
    let mut again = std::net::TcpStream::connect(bank.n1.address().as_str()).unwrap();
    again.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    again.write_all(&recorded).unwrap();
    // It is heard out and broken off, however long that takes; nobody arrives.
    let _ = std::io::copy(&mut again, &mut std::io::sink());
    assert!(bank.n1.desk.arrivals.is_empty());
}

#[cfg(feature = "tls-aws-lc")]
#[test]
fn keys_are_exchanged_so_that_a_quantum_computer_does_not_learn_them_later() {
    let bank = Bank::<TlsTransport>::new();
    let config = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    let raw = Raw::connect(bank.n1.address(), config).unwrap();
    let group = raw.0.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}
