//! Who gets in over QUIC, and who does not and is told why: what a stranger can try who has a library of QUIC in its hands, on either side. The
//! other rows are in `identity.rs`.
#![cfg(all(feature = "quic", not(rep_loom)))]

mod common;

use std::sync::Arc;

use common::bank::{Bank, changed, to_n1};
use common::raw_quic::{RawCaller, RawListener, Refusal, raw_client, raw_server};
use common::tls::{Issued, raw_client_builder};
use common::{Party, soon};
use rcgen::{KeyPair, SanType};
use rep_net::hello::Answer;
use rep_net::{CertificateFault, Limits, QuicTransport, TlsError, Transport};
use rustls::AlertDescription;
use rustls::version::TLS13;

/// How a raw caller is refused, at its handshake or after it has said Hello.
fn refusal(bank: &Bank<QuicTransport>, config: rustls::ClientConfig) -> Option<AlertDescription> {
    let refused = RawCaller::connect(bank.n1.address(), config).and_then(|mut raw| {
        raw.say(&to_n1().encode().unwrap())?;
        raw.hear()
    });
    assert!(bank.n1.desk.arrivals.is_empty(), "nobody arrived");
    match refused {
        Err(Refusal::Alert(alert)) => Some(alert),
        Err(Refusal::Other(_)) => None,
        Ok(heard) => panic!("it was answered: {heard:?}"),
    }
}

#[test]
fn a_raw_caller_with_the_right_certificate_is_let_in() {
    let bank = Bank::<QuicTransport>::new();
    let config = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    let mut raw = RawCaller::connect(bank.n1.address(), config).unwrap();
    raw.say(&to_n1().encode().unwrap()).unwrap();
    assert!(matches!(Answer::decode(&raw.hear().unwrap()), Ok(Answer::Accepted(_))));
    bank.n1.desk.next();
}

#[test]
fn a_caller_without_a_certificate_is_refused() {
    let bank = Bank::<QuicTransport>::new();
    let mut config = raw_client_builder(&[&TLS13]).with_no_client_auth();
    config.alpn_protocols = vec![b"rep/1".to_vec()];
    assert_eq!(refusal(&bank, config), Some(AlertDescription::CertificateRequired));
}

#[test]
fn a_certificate_of_a_weak_key_is_refused_and_no_transport_is_made_with_it() {
    let bank = Bank::<QuicTransport>::new();
    let weak = bank.authority.issue_rsa("rep://bank/n1", 1024);
    let fault = CertificateFault::WeakKey { bits: 1024, bits_min: 2048 };
    let listener = RawListener::start(raw_server(weak.raw_server(&[&TLS13])));
    let refused = bank.n2.dial(listener.address(), &to_n1(), soon()).unwrap_err();
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
    assert_eq!(listener.heard(), b"");
    // Before its holder has signed anything: what is told is not that the signature does not fit, as with a key that is long enough.
    let calling = |bits| bank.authority.issue_rsa("rep://bank/n2", bits).raw_client(&[&TLS13]);
    assert_eq!(refusal(&bank, calling(1024)), Some(AlertDescription::CertificateUnknown));
    assert_eq!(refusal(&bank, calling(2048)), Some(AlertDescription::DecryptError));
    let unfit = QuicTransport::new(weak.trusting(&bank.authority.pem()), Limits::default());
    assert!(unfit.is_err());
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    let bank = Bank::<QuicTransport>::new();
    let stolen = |uri: &str| Issued {
        certificate: bank.authority.issue(uri).certificate,
        key: KeyPair::generate().unwrap().serialize_pem(),
    };
    let refused = refusal(&bank, stolen("rep://bank/n2").raw_client(&[&TLS13]));
    assert_eq!(refused, Some(AlertDescription::DecryptError));
    let listener = RawListener::start(raw_server(stolen("rep://bank/n1").raw_server(&[&TLS13])));
    let refused = bank.n2.dial(listener.address(), &to_n1(), soon()).unwrap_err();
    let fault = CertificateFault::BadSignature;
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
    assert_eq!(listener.heard(), b"");
}

#[test]
fn a_certificate_that_names_no_node_is_refused_and_no_transport_is_made_with_it() {
    let bank = Bank::<QuicTransport>::new();
    for names in [vec![], vec![SanType::URI("https://bank/n2".try_into().unwrap())]] {
        let odd = bank.authority.sign(&changed("rep://bank/n2", |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "rep://bank/n2");
            params.subject_alt_names = names;
        }));
        let unfit = QuicTransport::new(odd.trusting(&bank.authority.pem()), Limits::default());
        assert!(unfit.unwrap_err().to_string().contains("names no node"));
        let refused = refusal(&bank, odd.raw_client(&[&TLS13]));
        assert_eq!(refused, Some(AlertDescription::AccessDenied));
        let listener = RawListener::start(raw_server(odd.raw_server(&[&TLS13])));
        let refused = bank.n2.dial(listener.address(), &to_n1(), soon()).unwrap_err();
        let fault = CertificateFault::NoIdentity;
        assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
    }
}

#[test]
fn another_protocol_over_quic_is_not_spoken_with() {
    let bank = Bank::<QuicTransport>::new();
    let mut caller = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    caller.alpn_protocols = vec![b"h3".to_vec()];
    assert_eq!(refusal(&bank, caller), Some(AlertDescription::NoApplicationProtocol));
    let mut server = bank.authority.issue("rep://bank/n1").raw_server(&[&TLS13]);
    server.alpn_protocols = vec![b"h3".to_vec()];
    let listener = RawListener::start(raw_server(server));
    let refused = bank.n2.dial(listener.address(), &to_n1(), soon()).unwrap_err();
    assert_eq!(refused.tls_error(), Some(&TlsError::OtherProtocol), "{refused}");
}

/// On a busy machine a caller once heard that the port was closed before it had read why it was refused, and said that nobody listened.
#[test]
fn what_a_listener_said_counts_even_if_it_is_gone_by_then() {
    let bank = Bank::<QuicTransport>::new();
    for _ in 0..50 {
        let mut server = bank.authority.issue("rep://bank/n1").raw_server(&[&TLS13]);
        server.alpn_protocols = vec![b"h3".to_vec()];
        let listener = RawListener::start_hasty(raw_server(server));
        let refused = bank.n2.dial(listener.address(), &to_n1(), soon()).unwrap_err();
        assert_eq!(refused.tls_error(), Some(&TlsError::OtherProtocol), "{refused}");
    }
}

#[test]
fn a_chain_that_is_much_too_long_is_refused() {
    let bank = Bank::<QuicTransport>::new();
    let mut long = bank.authority.issue("rep://bank/n2");
    long.certificate = long.certificate.repeat(100);
    let refused = refusal(&bank, long.raw_client(&[&TLS13]));
    assert_eq!(refused, Some(AlertDescription::CertificateUnknown));
}

#[test]
fn a_session_is_not_resumed_and_nothing_is_sent_before_the_proof() {
    let bank = Bank::<QuicTransport>::new();
    let mut config = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    config.enable_early_data = true; // and it remembers every session that it is given
    let config = raw_client(config);
    for _ in 0..3 {
        // It asks whether it may send early, and may not.
        let mut raw = RawCaller::connect_early(bank.n1.address(), config.clone()).unwrap();
        raw.say(&to_n1().encode().unwrap()).unwrap();
        assert!(matches!(Answer::decode(&raw.hear().unwrap()), Ok(Answer::Accepted(_))));
        bank.n1.desk.next();
    }
}

#[test]
fn a_dialler_says_nothing_to_somebody_else_than_it_meant() {
    let bank = Bank::<QuicTransport>::new();
    let other = bank.authority.issue("rep://bank/n3").raw_server(&[&TLS13]);
    let listener = RawListener::start(raw_server(other));
    let refused = bank.n2.dial(listener.address(), &to_n1(), soon()).unwrap_err();
    assert!(refused.tls_error().is_some(), "{refused}");
    assert_eq!(listener.heard(), b"");
}

#[test]
fn a_caller_who_opens_a_channel_and_says_nothing_is_given_up_and_so_is_a_connection_without_one() {
    let bank = Bank::<QuicTransport>::new();
    let mut limits = Limits::default();
    limits.hello_timeout = std::time::Duration::from_millis(300);
    let n1 = bank.authority.issue("rep://bank/n1").trusting(&bank.authority.pem());
    let n1 = QuicTransport::new(n1, limits).unwrap();
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(bank.n2.clone()));
    for said in [&b""[..], b"\x10", b"\x00\x00\x00\x00\x00"] {
        let config = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
        let mut raw = RawCaller::connect(party.address(), config).unwrap();
        if !said.is_empty() {
            raw.send(said).unwrap();
        }
        // It pings all the time, so that silence is not what ends it.
        raw.wait_for_end().unwrap();
    }
    assert!(party.desk.arrivals.is_empty());
    party.connect();
}
