//! Who gets in over TLS, and who does not and is told why: each row from both sides, as a dialler and as a listener.
#![cfg(all(feature = "tls", not(rep_loom)))]

mod common;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::tls::{Authority, Issued, Raw, alert, raw_client_builder, raw_listener, usual};
use common::{Desk, Party, hello, soon, table};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    SerialNumber,
};
use rep_net::hello::Answer;
use rep_net::{
    CertificateFault, DialError, Hello, Limits, RefuseReason, TcpTransport, TlsConfig, TlsError,
    TlsTransport, Transport,
};
use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

const HOUR: Duration = Duration::from_secs(3600);

/// One authority, and n1 that listens and n2 that dials as they should.
struct Bank {
    authority: Authority,
    n1: Party,
    n2: TlsTransport,
}

fn to_n1() -> Hello {
    hello().to_node("n1")
}

impl Bank {
    fn new() -> Self {
        Self::revoking(Authority::new("bank's"), |config| config)
    }

    fn revoking(authority: Authority, change: impl Fn(TlsConfig) -> TlsConfig) -> Self {
        let transport = |uri: &str| {
            let config = change(authority.issue(uri).trusting(&authority.pem()));
            TlsTransport::new(config, Limits::default()).unwrap()
        };
        let (n1, n2) = (transport("rep://bank/n1"), transport("rep://bank/n2"));
        let n1 = Party::new(&n1, "127.0.0.1:0", Arc::new(n2.clone()));
        Self { authority, n1, n2 }
    }

    /// Has somebody with this certificate call n1 as n2.
    fn call_n1(&self, odd: &Issued) -> DialError {
        let odd = odd.transport(&self.authority.pem());
        let refused = odd.dial(self.n1.address(), &to_n1(), soon()).unwrap_err();
        assert!(self.n1.desk.arrivals.is_empty(), "nobody arrived");
        refused
    }

    /// Has n2 call somebody with this certificate, who takes the call as n1.
    fn be_called_by_n2(&self, odd: &Issued) -> DialError {
        let (odd, desk) = (odd.transport(&self.authority.pem()), Desk::new());
        let listener = odd.listen(&"127.0.0.1:0".into(), table(&desk)).unwrap();
        let refused = self.n2.dial(listener.local_address(), &to_n1(), soon()).unwrap_err();
        listener.close();
        assert!(desk.arrivals.is_empty(), "nothing was said to it");
        refused
    }

    /// What is wrong with a certificate is found on both sides, and told.
    fn both_refuse(&self, params: impl Fn(&str) -> CertificateParams, fault: &CertificateFault) {
        let ours = self.call_n1(&self.authority.sign(&params("rep://bank/n2")));
        assert_eq!(ours.tls_error(), Some(&TlsError::Ours(fault.clone())), "{ours}");
        let theirs = self.be_called_by_n2(&self.authority.sign(&params("rep://bank/n1")));
        assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(fault.clone())), "{theirs}");
    }
}

fn changed(uri: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = usual(uri);
    change(&mut params);
    params
}

#[test]
fn members_of_the_group_reach_each_other() {
    let bank = Bank::new();
    let (dialled, accepted) = bank.n1.connect();
    assert_eq!((&*dialled.peer().node, &*accepted.peer().node), ("n1", "n2"));
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let bank = Bank::new();
    let stranger = Authority::new("bank's");
    let ours = bank.call_n1(&stranger.issue("rep://bank/n2"));
    let fault = CertificateFault::UnknownAuthority;
    assert_eq!(ours.tls_error(), Some(&TlsError::Ours(fault.clone())), "{ours}");
    let theirs = bank.be_called_by_n2(&stranger.issue("rep://bank/n1"));
    assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(fault)), "{theirs}");
}

#[test]
fn a_certificate_that_signs_itself_is_refused() {
    let bank = Bank::new();
    let alone = |uri: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = usual(uri).self_signed(&key).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    };
    let fault = CertificateFault::UnknownAuthority;
    let ours = bank.call_n1(&alone("rep://bank/n2"));
    assert_eq!(ours.tls_error(), Some(&TlsError::Ours(fault.clone())), "{ours}");
    let theirs = bank.be_called_by_n2(&alone("rep://bank/n1"));
    assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(fault)), "{theirs}");
}

#[test]
fn a_node_of_another_group_is_refused_though_the_authority_is_the_same() {
    let bank = Bank::new();
    let refused = bank.call_n1(&bank.authority.issue("rep://shop/n2"));
    assert_eq!(refused.refuse_reason(), Some(&RefuseReason::GroupNotProved), "{refused}");
    let refused = bank.be_called_by_n2(&bank.authority.issue("rep://shop/n1"));
    let fault =
        CertificateFault::OtherGroup { expected: "bank".into(), found: "rep://shop/n1".into() };
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
}

#[test]
fn a_member_is_not_taken_for_its_rival() {
    let bank = Bank::new();
    let refused = bank.call_n1(&bank.authority.issue("rep://bank/n3"));
    assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{refused}");
    let refused = bank.be_called_by_n2(&bank.authority.issue("rep://bank/n3"));
    let fault =
        CertificateFault::OtherNode { expected: "n1".into(), found: "rep://bank/n3".into() };
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
}

#[test]
fn a_caller_without_a_name_is_not_let_in_on_the_name_of_its_certificate() {
    let bank = Bank::new();
    let nameless = Hello::new("bank", "peer");
    let refused = bank.n2.dial(bank.n1.address(), &nameless, soon()).unwrap_err();
    assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{refused}");
}

#[test]
fn who_answers_has_to_be_who_its_certificate_says() {
    let bank = Bank::new();
    // It has the certificate of n1, and says that it is n9; the caller meant nobody in particular.
    let desk = Desk::new();
    let services = rep_net::ServiceTable::new();
    services.host(rep_net::Host::new("bank", "n9", [9; 16])).unwrap();
    services.register("bank", "peer", desk).unwrap();
    let n1 = bank.authority.issue("rep://bank/n1").transport(&bank.authority.pem());
    let listener = n1.listen(&"127.0.0.1:0".into(), Arc::new(services)).unwrap();
    let refused = bank.n2.dial(listener.local_address(), &hello(), soon()).unwrap_err();
    let fault =
        CertificateFault::OtherNode { expected: "n9".into(), found: "rep://bank/n1".into() };
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let expired = |uri: &str| {
        changed(uri, |params| {
            params.not_before = (SystemTime::now() - 2 * HOUR).into();
            params.not_after = (SystemTime::now() - HOUR).into();
        })
    };
    Bank::new().both_refuse(expired, &CertificateFault::Expired);
}

#[test]
fn a_certificate_whose_time_has_not_come_is_refused_and_told_from_an_expired_one() {
    let early =
        |uri: &str| changed(uri, |params| params.not_before = (SystemTime::now() + HOUR).into());
    Bank::new().both_refuse(early, &CertificateFault::NotYetValid);
}

#[test]
fn a_revoked_certificate_is_refused_and_others_of_its_authority_are_not() {
    let authority = Authority::new("bank's");
    let list = authority.revoke(&[7]);
    let bank = Bank::revoking(authority, |config| config.revoked_pem(&*list));
    bank.n1.connect();
    let revoked =
        |uri: &str| changed(uri, |params| params.serial_number = Some(SerialNumber::from(7)));
    bank.both_refuse(revoked, &CertificateFault::Revoked);
}

#[test]
fn an_authority_without_a_list_of_what_it_revoked_has_revoked_nothing() {
    let (authority, other) = (Authority::new("bank's"), Authority::new("another"));
    let bank = Bank::revoking(authority, |config| config.revoked_pem(other.revoke(&[7])));
    bank.n1.connect();
}

#[test]
fn a_certificate_for_another_use_is_refused() {
    let bank = Bank::new();
    let only = |usage: ExtendedKeyUsagePurpose| {
        move |uri: &str| changed(uri, |params| params.extended_key_usages = vec![usage.clone()])
    };
    bank.both_refuse(only(ExtendedKeyUsagePurpose::CodeSigning), &CertificateFault::WrongUse);
    // A server's is none for calling with, nor a client's for being called.
    let server = only(ExtendedKeyUsagePurpose::ServerAuth)("rep://bank/n2");
    let ours = bank.call_n1(&bank.authority.sign(&server));
    assert_eq!(ours.tls_error(), Some(&TlsError::Ours(CertificateFault::WrongUse)), "{ours}");
    let client = only(ExtendedKeyUsagePurpose::ClientAuth)("rep://bank/n1");
    let theirs = bank.be_called_by_n2(&bank.authority.sign(&client));
    assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(CertificateFault::WrongUse)), "{theirs}");
}

#[test]
fn an_authority_is_no_node() {
    let authority =
        |uri: &str| changed(uri, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    Bank::new().both_refuse(authority, &CertificateFault::WrongUse);
}

/// A certificate with those between it and the authority.
fn chained(authority: &Authority, links: usize, uri: &str) -> Issued {
    let mut links: Vec<_> = (0..links).map(|number| format!("link {number}")).collect();
    links.reverse();
    let mut chain = vec![];
    for name in links {
        let above = chain.last().unwrap_or(authority);
        let link = above.subordinate(&name);
        chain.push(link);
    }
    let mut issued = chain.last().unwrap_or(authority).issue(uri);
    chain.iter().rev().for_each(|link| issued.certificate.push_str(&link.pem()));
    issued
}

#[test]
fn a_chain_is_followed_so_far_and_no_farther() {
    let bank = Bank::new();
    for links in 1..=3 {
        let n2 = chained(&bank.authority, links, "rep://bank/n2").transport(&bank.authority.pem());
        n2.dial(bank.n1.address(), &to_n1(), soon()).unwrap();
        bank.n1.desk.next();
    }
    let ours = bank.call_n1(&chained(&bank.authority, 4, "rep://bank/n2"));
    assert!(matches!(ours.tls_error(), Some(TlsError::Ours(CertificateFault::Other(_)))), "{ours}");
    let theirs = bank.be_called_by_n2(&chained(&bank.authority, 4, "rep://bank/n1"));
    let fault = CertificateFault::ChainTooLong { certificates_max: 3 };
    assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(fault)), "{theirs}");
    // The link is missing.
    let link = bank.authority.subordinate("link");
    let ours = bank.call_n1(&link.issue("rep://bank/n2"));
    let fault = CertificateFault::UnknownAuthority;
    assert_eq!(ours.tls_error(), Some(&TlsError::Ours(fault)), "{ours}");
}

#[test]
fn a_certificate_that_names_no_node_is_refused_and_no_transport_is_made_with_it() {
    let bank = Bank::new();
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
fn refusal(bank: &Bank, config: rustls::ClientConfig) -> Option<AlertDescription> {
    let refused = Raw::connect(bank.n1.address(), config).and_then(|mut raw| {
        raw.say(&to_n1().encode().unwrap())?;
        raw.hear()
    });
    assert!(bank.n1.desk.arrivals.is_empty(), "nobody arrived");
    alert(&refused.unwrap_err())
}

#[test]
fn a_handshake_that_is_longer_than_any_honest_one_is_broken_off() {
    let bank = Bank::new();
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
    let bank = Bank::new();
    let mut config = raw_client_builder(&[&TLS13]).with_no_client_auth();
    config.alpn_protocols = vec![b"rep/1".to_vec()];
    assert_eq!(refusal(&bank, config), Some(AlertDescription::CertificateRequired));
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    let bank = Bank::new();
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
    let bank = Bank::new();
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
    let bank = Bank::new();
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
    let bank = Bank::new();
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
fn names_of_hosts_prove_a_node_where_that_was_asked_for() {
    let authority = Authority::new("bank's");
    let issue = |names: &[&str]| {
        authority.sign(&changed("rep://bank/n9", |params| {
            let names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
            params.subject_alt_names = names.collect();
        }))
    };
    let transport = |names: &[&str]| {
        let config = issue(names).trusting(&authority.pem()).dns_names_under("db.example");
        TlsTransport::new(config, Limits::default())
    };
    let n1 = transport(&["web.example", "n1.bank.db.example"]).unwrap();
    let n2 = transport(&["n2.bank.db.example"]).unwrap();
    let party = Party::new(&n1, "127.0.0.1:0", Arc::new(n2));
    party.connect();
    let n3 = transport(&["n3.bank.db.example"]).unwrap();
    let refused = n3.dial(party.address(), &to_n1(), soon()).unwrap_err();
    assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{refused}");
    let wildcard = transport(&["*.bank.db.example"]).unwrap_err();
    assert!(wildcard.to_string().contains("NODE.GROUP.db.example"), "{wildcard}");
    // Nor does a URI prove anything to those who were told to read names of hosts.
    let by_uri = authority.issue("rep://bank/n2").transport(&authority.pem());
    let refused = by_uri.dial(party.address(), &to_n1(), soon()).unwrap_err();
    let fault = CertificateFault::NoIdentity;
    assert!(
        matches!(refused.tls_error(), Some(TlsError::Ours(found) | TlsError::Peer(found)) if *found == fault),
        "{refused}"
    );
}

#[test]
fn a_session_is_not_resumed_and_nothing_is_sent_before_the_proof() {
    let bank = Bank::new();
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
    let bank = Bank::new();
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
    let bank = Bank::new();
    let config = bank.authority.issue("rep://bank/n2").raw_client(&[&TLS13]);
    let raw = Raw::connect(bank.n1.address(), config).unwrap();
    let group = raw.0.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}
