//! Who gets in where names are proved, and who does not and is told why: each row from both sides, as a dialler and as a listener, over every
//! transport that proves names. What only a stranger with the library in its hands can try is in `tls_identity.rs` and `quic_identity.rs`.
#![cfg(all(feature = "tls", not(rep_loom)))]

mod common;

use std::sync::Arc;
use std::time::SystemTime;

use common::bank::{Bank, HOUR, Proving, changed, to_n1};
use common::tls::{Authority, Issued, pem, usual};
use common::{Desk, Party, hello, soon, table};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, SerialNumber};
use rep_net::{CertificateFault, Hello, Limits, RefuseReason, TlsError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

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
    members_of_the_group_reach_each_other,
    a_certificate_of_another_authority_is_refused,
    a_certificate_that_signs_itself_is_refused,
    a_node_of_another_group_is_refused_though_the_authority_is_the_same,
    a_member_is_not_taken_for_its_rival,
    a_caller_without_a_name_is_not_let_in_on_the_name_of_its_certificate,
    who_answers_has_to_be_who_its_certificate_says,
    an_expired_certificate_is_refused,
    a_certificate_whose_time_has_not_come_is_refused_and_told_from_an_expired_one,
    a_revoked_certificate_is_refused_and_others_of_its_authority_are_not,
    an_authority_without_a_list_of_what_it_revoked_has_revoked_nothing,
    a_certificate_for_another_use_is_refused,
    an_authority_is_no_node,
    a_certificate_that_is_signed_by_too_weak_an_algorithm_is_refused,
    a_chain_is_followed_so_far_and_no_farther,
    names_of_hosts_prove_a_node_where_that_was_asked_for,
    names_of_hosts_prove_an_administrator_and_no_member_is_taken_for_one,
}

fn members_of_the_group_reach_each_other<T: Proving>() {
    let bank = Bank::<T>::new();
    let (dialled, accepted) = bank.n1.connect();
    assert_eq!((&*dialled.peer().node, &*accepted.peer().node), ("n1", "n2"));
}

fn a_certificate_of_another_authority_is_refused<T: Proving>() {
    let bank = Bank::<T>::new();
    let stranger = Authority::new("bank's");
    let ours = bank.call_n1(&stranger.issue("rep://bank/n2"));
    let fault = CertificateFault::UnknownAuthority;
    assert_eq!(ours.tls_error(), Some(&TlsError::Ours(fault.clone())), "{ours}");
    let theirs = bank.be_called_by_n2(&stranger.issue("rep://bank/n1"));
    assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(fault)), "{theirs}");
}

fn a_certificate_that_signs_itself_is_refused<T: Proving>() {
    let bank = Bank::<T>::new();
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

fn a_node_of_another_group_is_refused_though_the_authority_is_the_same<T: Proving>() {
    let bank = Bank::<T>::new();
    let refused = bank.call_n1(&bank.authority.issue("rep://shop/n2"));
    assert_eq!(refused.refuse_reason(), Some(&RefuseReason::GroupNotProved), "{refused}");
    let refused = bank.be_called_by_n2(&bank.authority.issue("rep://shop/n1"));
    let fault =
        CertificateFault::OtherGroup { expected: "bank".into(), found: "rep://shop/n1".into() };
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
}

fn a_member_is_not_taken_for_its_rival<T: Proving>() {
    let bank = Bank::<T>::new();
    let refused = bank.call_n1(&bank.authority.issue("rep://bank/n3"));
    assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{refused}");
    let refused = bank.be_called_by_n2(&bank.authority.issue("rep://bank/n3"));
    let fault =
        CertificateFault::OtherNode { expected: "n1".into(), found: "rep://bank/n3".into() };
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
}

fn a_caller_without_a_name_is_not_let_in_on_the_name_of_its_certificate<T: Proving>() {
    let bank = Bank::<T>::new();
    let nameless = Hello::new("bank", "peer");
    let refused = bank.n2.dial(bank.n1.address(), &nameless, soon()).unwrap_err();
    assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{refused}");
}

fn who_answers_has_to_be_who_its_certificate_says<T: Proving>() {
    let bank = Bank::<T>::new();
    // It has the certificate of n1, and says that it is n9; the caller meant nobody in particular.
    let desk = Desk::new();
    let services = rep_net::ServiceTable::new();
    services.host(rep_net::Host::new("bank", "n9", [9; 16])).unwrap();
    services.register("bank", "peer", desk).unwrap();
    let n1 = bank.authority.issue("rep://bank/n1").speak::<T>(&bank.authority.pem());
    let listener = n1.listen(&"127.0.0.1:0".into(), Arc::new(services)).unwrap();
    let refused = bank.n2.dial(listener.local_address(), &hello(), soon()).unwrap_err();
    let fault =
        CertificateFault::OtherNode { expected: "n9".into(), found: "rep://bank/n1".into() };
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
}

fn an_expired_certificate_is_refused<T: Proving>() {
    let expired = |uri: &str| {
        changed(uri, |params| {
            params.not_before = (SystemTime::now() - 2 * HOUR).into();
            params.not_after = (SystemTime::now() - HOUR).into();
        })
    };
    Bank::<T>::new().both_refuse(expired, &CertificateFault::Expired);
}

fn a_certificate_whose_time_has_not_come_is_refused_and_told_from_an_expired_one<T: Proving>() {
    let early =
        |uri: &str| changed(uri, |params| params.not_before = (SystemTime::now() + HOUR).into());
    Bank::<T>::new().both_refuse(early, &CertificateFault::NotYetValid);
}

fn a_revoked_certificate_is_refused_and_others_of_its_authority_are_not<T: Proving>() {
    let authority = Authority::new("bank's");
    let list = authority.revoke(&[7]);
    let bank = Bank::<T>::revoking(authority, |config| config.revoked_pem(&*list));
    bank.n1.connect();
    let revoked =
        |uri: &str| changed(uri, |params| params.serial_number = Some(SerialNumber::from(7)));
    bank.both_refuse(revoked, &CertificateFault::Revoked);
}

fn an_authority_without_a_list_of_what_it_revoked_has_revoked_nothing<T: Proving>() {
    let (authority, other) = (Authority::new("bank's"), Authority::new("another"));
    let bank = Bank::<T>::revoking(authority, |config| config.revoked_pem(other.revoke(&[7])));
    bank.n1.connect();
}

fn a_certificate_for_another_use_is_refused<T: Proving>() {
    let bank = Bank::<T>::new();
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

fn an_authority_is_no_node<T: Proving>() {
    let authority =
        |uri: &str| changed(uri, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    Bank::<T>::new().both_refuse(authority, &CertificateFault::WrongUse);
}

/// The same certificate, said to be signed by way of SHA-224, which is not strong enough for anybody here.
fn weakly_signed(mut issued: Issued) -> Issued {
    const ECDSA_WITH_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let mut der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap().to_vec();
    let places: Vec<_> = (0..der.len() - 8)
        .filter(|at| der[*at..*at + 8] == ECDSA_WITH_SHA256)
        .map(|at| at + 7)
        .collect();
    assert_eq!(places.len(), 2, "once where it is signed, and once outside");
    places.into_iter().for_each(|at| der[at] = 1);
    issued.certificate = pem("CERTIFICATE", &der);
    issued
}

fn a_certificate_that_is_signed_by_too_weak_an_algorithm_is_refused<T: Proving>() {
    let bank = Bank::<T>::new();
    let fault = CertificateFault::BadSignature;
    let ours = bank.call_n1(&weakly_signed(bank.authority.issue("rep://bank/n2")));
    assert_eq!(ours.tls_error(), Some(&TlsError::Ours(fault.clone())), "{ours}");
    let theirs = bank.be_called_by_n2(&weakly_signed(bank.authority.issue("rep://bank/n1")));
    assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(fault)), "{theirs}");
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

fn a_chain_is_followed_so_far_and_no_farther<T: Proving>() {
    let bank = Bank::<T>::new();
    for links in 1..=3 {
        let n2 = chained(&bank.authority, links, "rep://bank/n2").speak::<T>(&bank.authority.pem());
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

fn names_of_hosts_prove_a_node_where_that_was_asked_for<T: Proving>() {
    let authority = Authority::new("bank's");
    let issue = |names: &[&str]| {
        authority.sign(&changed("rep://bank/n9", |params| {
            let names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
            params.subject_alt_names = names.collect();
        }))
    };
    let transport = |names: &[&str]| {
        let config = issue(names).trusting(&authority.pem()).dns_names_under("db.example");
        T::with(config, Limits::default())
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
    let by_uri = authority.issue("rep://bank/n2").speak::<T>(&authority.pem());
    let refused = by_uri.dial(party.address(), &to_n1(), soon()).unwrap_err();
    let fault = CertificateFault::NoIdentity;
    assert!(
        matches!(refused.tls_error(), Some(TlsError::Ours(found) | TlsError::Peer(found)) if *found == fault),
        "{refused}"
    );
}

fn names_of_hosts_prove_an_administrator_and_no_member_is_taken_for_one<T: Proving>() {
    let authority = Authority::new("bank's");
    let transport = |name: &str| {
        let params = changed("rep://bank/n9", |params| {
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        });
        let config = authority.sign(&params).trusting(&authority.pem());
        T::with(config.dns_names_under("db.example"), Limits::default())
    };
    let calling = |node: &str| Hello::new("bank", "peer").from_node(node, [2; 16]).to_node("n1");
    let n1 = transport("n1.bank.db.example").unwrap();
    let desk = Desk::new();
    let listener = n1.listen(&"127.0.0.1:0".into(), table(&desk)).unwrap();
    let ops = transport("ops.admin.bank.db.example").unwrap();
    ops.dial(listener.local_address(), &calling("@admin/ops"), soon()).unwrap();
    desk.next();
    // Neither is the other, nor an administrator of another name or group one of this.
    for (holder, said, reason) in [
        ("ops.bank.db.example", "@admin/ops", RefuseReason::NotProved),
        ("admin.bank.db.example", "@admin/ops", RefuseReason::NotProved),
        ("ops.admin.bank.db.example", "ops", RefuseReason::NotProved),
        ("ops.admin.bank.db.example", "admin", RefuseReason::NotProved),
        ("dev.admin.bank.db.example", "@admin/ops", RefuseReason::NotProved),
        ("ops.admin.shop.db.example", "@admin/ops", RefuseReason::GroupNotProved),
    ] {
        let holder = transport(holder).unwrap();
        let refused = holder.dial(listener.local_address(), &calling(said), soon()).unwrap_err();
        assert_eq!(refused.refuse_reason(), Some(&reason), "{refused}");
    }
    // Who answers has to be the node that is meant, and no administrator of its name.
    let answers = transport("n1.admin.bank.db.example").unwrap();
    let listener = answers.listen(&"127.0.0.1:0".into(), table(&desk)).unwrap();
    let n2 = transport("n2.bank.db.example").unwrap();
    let refused = n2.dial(listener.local_address(), &to_n1(), soon()).unwrap_err();
    let found = "rep://bank/@admin/n1".into();
    let fault = CertificateFault::OtherNode { expected: "n1".into(), found };
    assert_eq!(refused.tls_error(), Some(&TlsError::Peer(fault)), "{refused}");
    let nobody = transport("ops.admin.admin.db.example").unwrap_err();
    assert!(nobody.to_string().contains("names no node"), "{nobody}");
    assert!(desk.arrivals.is_empty());
}
