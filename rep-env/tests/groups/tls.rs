//! Groups over TLS: everything on the port goes through it, and nobody is let in by mistake.

use crate::world::{Net, PATIENCE, World, eventually, put};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rep_env::admin::AdminClient;
use rep_env::net::error::{CertificateFault, TlsError};
use rep_env::net::{
    Address, Channel, DialError, Hello, Identity, Limits, RefuseReason, ServiceHandler,
    TcpTransport, TlsConfig, TlsTransport, Transport,
};
use rep_env::{Error, NodeState, RepConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SERVICES: [&str; 4] = ["peer", "feeder", "admin", "echo"];

/// An authority of a group.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, good for so long.
    fn issue(&self, group: &str, node: &str, good_for: Duration) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let uri = Identity::new(group, node).to_uri();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.not_before = (SystemTime::now() - DAY).into();
        params.not_after = (SystemTime::now() + good_for).into();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn transport(&self, group: &str, node: &str) -> TlsTransport {
        let (certificate, key) = self.issue(group, node, DAY * 365);
        let config = TlsConfig::from_pem(certificate, key, &*self.pem);
        TlsTransport::new(config, Limits::default()).unwrap()
    }
}

/// Certificates in files, as an operator has them.
struct Files {
    identity: PathBuf,
    ca: PathBuf,
}

impl Files {
    fn new(dir: &Path, node: &str) -> Self {
        Files { identity: dir.join(format!("{node}.pem")), ca: dir.join(format!("{node}-ca.pem")) }
    }

    fn write(&self, of: &Authority, node: &str, trusted: &[&Authority]) {
        let (certificate, key) = of.issue("bank", node, DAY * 365);
        fs::write(&self.identity, certificate + &key).unwrap();
        self.trust(trusted);
    }

    fn trust(&self, trusted: &[&Authority]) {
        fs::write(&self.ca, trusted.iter().map(|ca| &*ca.pem).collect::<String>()).unwrap();
    }

    fn transport(&self) -> TlsTransport {
        let config = TlsConfig::from_files(&self.identity, &self.identity, &self.ca);
        TlsTransport::new(config, Limits::default()).unwrap()
    }
}

fn name(at: usize) -> String {
    format!("n{}", at + 1)
}

/// Three members, and the authority that they trust.
fn group() -> (World, Authority) {
    let (mut world, authority) = (World::new(Net::Tcp, 3), Authority::new());
    (0..3).for_each(|at| open(&mut world, at, &authority));
    (world, authority)
}

fn open(world: &mut World, at: usize, authority: &Authority) {
    let config = world.config(at).tls(authority.transport("bank", &name(at)));
    let env = world.open_as(at, config.build().unwrap());
    env.register_service("echo", Arc::new(Echo)).unwrap();
}

/// Sends back what it is sent.
struct Echo;

impl ServiceHandler for Echo {
    fn accept(&self, _hello: Hello, channel: Arc<dyn Channel>) {
        while let Ok(Some(frame)) = channel.receive(Instant::now() + PATIENCE) {
            if channel.send(frame).is_err() {
                break;
            }
        }
    }
}

fn dial(
    transport: &dyn Transport,
    world: &World,
    service: &str,
    node: &str,
) -> Result<Arc<dyn Channel>, DialError> {
    let hello = Hello::new("bank", service).from_node(node, [7; 16]);
    transport.dial(&Address::new(world.address(0)), &hello, Instant::now() + PATIENCE)
}

#[test]
pub(crate) fn a_group_over_tls_writes_and_survives_its_master() {
    let (mut world, authority) = group();
    world.put("alice", "1");
    let old = world.master();
    world.close(old);
    world.put("alice", "2");
    assert_ne!(world.master(), old);
    open(&mut world, old, &authority);
    let token = world.put("alice", "3");
    let state = || (world.env(old).state() == NodeState::Replica).then_some(());
    eventually("the old master follows", state);
    let view = crate::world::view_at(world.env(old), token);
    assert_eq!(crate::world::get(&view, "alice").as_deref(), Some("3"));
}

/// Whatever is on the port: members' services, the operators', the application's.
#[test]
fn no_service_is_reached_without_a_certificate_of_the_group() {
    let (world, authority) = group();
    let stranger = Authority::new().transport("bank", "n2");
    let other_group = authority.transport("shop", "n2");
    let plain = TcpTransport::new(Limits::default());
    for service in SERVICES {
        let refused = dial(&plain, &world, service, "n2").unwrap_err();
        assert!(
            matches!(refused.tls_error(), Some(TlsError::TlsSpoken))
                || matches!(refused, DialError::HungUp { .. }),
            "{service}: {refused:?}"
        );
        let refused = dial(&stranger, &world, service, "n2").unwrap_err();
        assert!(
            matches!(
                refused.tls_error(),
                Some(TlsError::Peer(
                    // It has the name of the group's own.
                    CertificateFault::UnknownAuthority | CertificateFault::BadSignature
                ))
            ),
            "{service}: {refused:?}"
        );
        let refused = dial(&other_group, &world, service, "n2").unwrap_err();
        assert!(
            matches!(
                refused.refuse_reason(),
                Some(RefuseReason::GroupNotProved | RefuseReason::NotProved)
            ),
            "{service}: {refused:?}"
        );
    }
    world.put("alice", "1");
}

#[test]
fn a_member_is_let_in_under_its_own_name_alone() {
    let (world, authority) = group();
    let third = authority.transport("bank", "n3");
    for service in SERVICES {
        let refused = dial(&third, &world, service, "n2").unwrap_err();
        assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{service}");
    }
    let channel = dial(&third, &world, "echo", "n3").unwrap();
    channel.send("word".into()).unwrap();
    let heard = channel.receive(Instant::now() + PATIENCE).unwrap();
    assert_eq!(heard.as_deref(), Some(&b"word"[..]));
    channel.close();
    let client = AdminClient::connect_as(&third, "n3", &world.address(0), PATIENCE).unwrap();
    assert_eq!(client.status(PATIENCE).unwrap().me.name, "n1");
    world.put("alice", "1");
}

/// A certificate of the group lets in; what its holder may do there is for the membership to say.
#[test]
fn who_is_no_member_may_ask_and_takes_no_part() {
    let (world, authority) = group();
    let ops = authority.transport("bank", "ops");
    for service in ["peer", "feeder"] {
        let refused = dial(&ops, &world, service, "ops").unwrap_err();
        let reason = refused.refuse_reason();
        assert!(matches!(reason, Some(RefuseReason::NotMember { .. })), "{service}: {refused:?}");
    }
    let client = AdminClient::connect_as(&ops, "ops", &world.address(0), PATIENCE).unwrap();
    assert_eq!(client.status(PATIENCE).unwrap().members.len(), 3);
}

#[test]
fn a_member_with_the_certificate_of_another_is_not_opened() {
    let authority = Authority::new();
    let mut world = World::new(Net::Tcp, 1);
    for (group, node) in [("bank", "n2"), ("shop", "n1")] {
        let config = RepConfig::builder("bank", "n1").members(world.members.clone()).ephemeral();
        let refused = config.tls(authority.transport(group, node)).build().unwrap_err();
        assert!(matches!(refused, Error::Config { option: "tls", .. }), "{refused}");
    }
    open(&mut world, 0, &authority);
    world.put("alice", "1");
}

/// New certificates, then a new authority, member by member, while somebody writes.
#[test]
fn certificates_and_authority_change_under_load_and_nothing_is_lost() {
    let (old, new) = (Authority::new(), Authority::new());
    let mut world = World::new(Net::Tcp, 3);
    let files = tempfile::tempdir().unwrap();
    let files: Vec<Files> = (0..3).map(|at| Files::new(files.path(), &name(at))).collect();
    let mut transports = Vec::new();
    for (at, own) in files.iter().enumerate() {
        fs::create_dir_all(own.ca.parent().unwrap()).unwrap();
        own.write(&old, &name(at), &[&old]);
        transports.push(own.transport());
        let config = world.config(at).tls(transports[at].clone()).build().unwrap();
        world.open_as(at, config);
    }
    let mut written = 0;
    let mut write = |world: &World| {
        for _ in 0..20 {
            written += 1;
            world.put(&format!("key-{written}"), "value");
        }
        written
    };
    write(&world);
    for own in &files {
        own.trust(&[&old, &new]);
    }
    transports.iter().for_each(|transport| transport.reload().unwrap());
    write(&world);
    for (at, own) in files.iter().enumerate() {
        own.write(&new, &name(at), &[&old, &new]);
        transports[at].reload().unwrap();
        write(&world);
    }
    for (own, transport) in files.iter().zip(&transports) {
        own.trust(&[&new]);
        transport.reload().unwrap();
    }
    // Whoever comes anew comes with the new one alone.
    let replica = world.replica();
    world.close(replica);
    let config = world.config(replica).tls(files[replica].transport()).build().unwrap();
    world.open_as(replica, config);
    let count = write(&world);
    let token = world.put("last", "value");
    let view = crate::world::view_at(world.env(replica), token);
    for number in 1..=count {
        assert_eq!(crate::world::get(&view, &format!("key-{number}")).as_deref(), Some("value"));
    }
    // A file that is no certificate changes nothing.
    fs::write(&files[0].identity, "nothing").unwrap();
    assert!(transports[0].reload().is_err());
    put(world.env(world.master()), "alice", "1").unwrap();
}

#[test]
fn a_certificate_that_expires_soon_is_a_problem_that_status_tells_of() {
    let authority = Authority::new();
    let mut world = World::new(Net::Tcp, 1);
    let transport = |days: u32| {
        let (certificate, key) = authority.issue("bank", "n1", DAY * days + DAY / 2);
        TlsConfig::from_pem(certificate, key, &*authority.pem)
    };
    let own = TlsTransport::new(transport(60), Limits::default()).unwrap();
    let config = world.config(0).tls(own.clone());
    world.open_as(0, config.build().unwrap());
    world.put("alice", "1");
    let asker = authority.transport("bank", "ops");
    let client = AdminClient::connect_as(&asker, "ops", &world.address(0), PATIENCE).unwrap();
    let report = client.status(PATIENCE).unwrap();
    assert!(report.certificate_expires_ms.is_some());
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    own.replace(transport(20)).unwrap();
    let report = client.status(PATIENCE).unwrap();
    assert_eq!(report.problems, ["certificate: it expires in 20 days: renew it"]);
}
