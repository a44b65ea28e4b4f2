//! Groups whose members prove who they are, over TLS and over QUIC: everything on the port goes through it, and nobody is let in by mistake.

use crate::world::{Net, PATIENCE, World, eventually, put};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rep_env::admin::AdminClient;
use rep_env::config::RepConfigBuilder;
#[cfg(feature = "quic")]
use rep_env::net::QuicTransport;
use rep_env::net::error::{CertificateFault, TlsError};
use rep_env::net::tls::TlsConfigError;
use rep_env::net::{
    Address, Channel, DialError, Hello, Identity, Limits, RefuseReason, ServiceHandler,
    TcpTransport, TlsConfig, TlsTransport, Transport,
};
use rep_env::{Error, MemberType, MemberUpdate, NewMember, NodeState, Quorums, RepConfig};
use std::any::TypeId;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SERVICES: [&str; 6] = ["peer", "feeder", "restore", "join", "admin", "echo"];

/// A transport that proves names.
pub(crate) trait Proving: Transport + Clone + 'static {
    fn world(count: usize) -> World;
    fn with(config: TlsConfig) -> Self;
    fn over(self, config: RepConfigBuilder) -> RepConfigBuilder;
    fn reload(&self) -> Result<(), TlsConfigError>;
    fn replace(&self, config: TlsConfig) -> Result<(), TlsConfigError>;
}

impl Proving for TlsTransport {
    fn world(count: usize) -> World {
        World::new(Net::Tcp, count)
    }

    fn with(config: TlsConfig) -> Self {
        TlsTransport::new(config, Limits::default()).unwrap()
    }

    fn over(self, config: RepConfigBuilder) -> RepConfigBuilder {
        config.tls(self)
    }

    fn reload(&self) -> Result<(), TlsConfigError> {
        self.reload()
    }

    fn replace(&self, config: TlsConfig) -> Result<(), TlsConfigError> {
        self.replace(config)
    }
}

#[cfg(feature = "quic")]
impl Proving for QuicTransport {
    fn world(count: usize) -> World {
        World::new_for_udp(count)
    }

    fn with(config: TlsConfig) -> Self {
        QuicTransport::new(config, Limits::default()).unwrap()
    }

    fn over(self, config: RepConfigBuilder) -> RepConfigBuilder {
        config.quic(self)
    }

    fn reload(&self) -> Result<(), TlsConfigError> {
        self.reload()
    }

    fn replace(&self, config: TlsConfig) -> Result<(), TlsConfigError> {
        self.replace(config)
    }
}

macro_rules! over_each {
    ($($row:ident,)*) => {
        mod over_tls {
            $(#[test] fn $row() { super::$row::<rep_env::net::TlsTransport>(); })*
        }

        #[cfg(feature = "quic")]
        mod over_quic {
            $(#[test] fn $row() { super::$row::<rep_env::net::QuicTransport>(); })*
        }
    };
}

over_each! {
    a_group_writes_and_survives_its_master,
    no_service_is_reached_without_a_certificate_of_the_group,
    a_member_is_let_in_under_its_own_name_alone,
    an_administrator_is_answered_and_obeyed_and_takes_no_other_part,
    each_certificate_opens_what_is_its_holders_and_nothing_else,
    who_is_no_member_keeps_no_member_out,
    a_member_with_the_certificate_of_another_is_not_opened,
    who_joins_is_admitted_by_its_certificate,
    certificates_and_authority_change_under_load_and_nothing_is_lost,
    a_certificate_that_expires_soon_is_a_problem_that_status_tells_of,
}

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

    fn transport<T: Proving>(&self, group: &str, node: &str) -> T {
        let (certificate, key) = self.issue(group, node, DAY * 365);
        T::with(TlsConfig::from_pem(certificate, key, &*self.pem))
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

    fn transport<T: Proving>(&self) -> T {
        T::with(TlsConfig::from_files(&self.identity, &self.identity, &self.ca))
    }
}

fn name(at: usize) -> String {
    format!("n{}", at + 1)
}

/// Three members, and the authority that they trust.
fn group<T: Proving>() -> (World, Authority) {
    let (mut world, authority) = (T::world(3), Authority::new());
    (0..3).for_each(|at| open::<T>(&mut world, at, &authority));
    (world, authority)
}

fn open<T: Proving>(world: &mut World, at: usize, authority: &Authority) {
    let own: T = authority.transport("bank", &name(at));
    let config = own.over(world.config(at));
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

pub(crate) fn a_group_writes_and_survives_its_master<T: Proving>() {
    let (mut world, authority) = group::<T>();
    world.put("alice", "1");
    let old = world.master();
    world.close(old);
    world.put("alice", "2");
    assert_ne!(world.master(), old);
    open::<T>(&mut world, old, &authority);
    let token = world.put("alice", "3");
    let state = || (world.env(old).state() == NodeState::Replica).then_some(());
    eventually("the old master follows", state);
    let view = crate::world::view_at(world.env(old), token);
    assert_eq!(crate::world::get(&view, "alice").as_deref(), Some("3"));
}

/// Transports other than the one that the group speaks, with a certificate of it where they show one.
fn others<T: Proving>(authority: &Authority) -> Vec<Box<dyn Transport>> {
    let plain = TcpTransport::new(Limits::default());
    let mut others: Vec<Box<dyn Transport>> = vec![Box::new(plain)];
    if TypeId::of::<T>() != TypeId::of::<TlsTransport>() {
        others.push(Box::new(authority.transport::<TlsTransport>("bank", "n2")));
    }
    #[cfg(feature = "quic")]
    if TypeId::of::<T>() != TypeId::of::<QuicTransport>() {
        others.push(Box::new(authority.transport::<QuicTransport>("bank", "n2")));
    }
    others
}

/// Whatever is on the port: members' services, the operators', the application's.
fn no_service_is_reached_without_a_certificate_of_the_group<T: Proving>() {
    let (world, authority) = group::<T>();
    let stranger: T = Authority::new().transport("bank", "n2");
    let other_group: T = authority.transport("shop", "n2");
    let others = others::<T>(&authority);
    for service in SERVICES {
        for other in &others {
            let refused = dial(&**other, &world, service, "n2").unwrap_err();
            let is_told = matches!(refused.tls_error(), Some(TlsError::TlsSpoken));
            let hung_up = matches!(refused, DialError::HungUp { .. });
            assert!(is_told || hung_up || refused.is_refused(), "{service}: {refused:?}");
        }
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

fn a_member_is_let_in_under_its_own_name_alone<T: Proving>() {
    let (world, authority) = group::<T>();
    let third: T = authority.transport("bank", "n3");
    for service in SERVICES {
        let refused = dial(&third, &world, service, "n2").unwrap_err();
        assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{service}");
    }
    let channel = dial(&third, &world, "echo", "n3").unwrap();
    channel.send("word".into()).unwrap();
    let heard = channel.receive(Instant::now() + PATIENCE).unwrap();
    assert_eq!(heard.as_deref(), Some(&b"word"[..]));
    channel.close();
    world.put("alice", "1");
}

/// What a caller that is let in by its certificate has coming at a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    LetIn,
    NoMember,
    NoAdministrator,
}
use Met::{LetIn, NoAdministrator, NoMember};

fn met(own: &dyn Transport, world: &World, service: &str, name: &str) -> Met {
    match dial(own, world, service, name) {
        Ok(channel) => {
            channel.close();
            LetIn
        }
        Err(refused) => match refused.refuse_reason() {
            Some(RefuseReason::NotMember { .. }) => NoMember,
            Some(RefuseReason::NotAdministrator { detail }) => {
                assert!(detail.contains("rep certs issue --admin NAME"), "{detail}");
                NoAdministrator
            }
            other => panic!("{service} for {name}: {other:?}"),
        },
    }
}

/// Questions at the service `join`, and the refusals there, as they are written.
mod asked {
    pub(super) const MASTER: &[u8] = &[1, 0];
    pub(super) const INTRODUCE: &[u8] = &[1, 1];
    /// A membership that is none.
    pub(super) const ADMIT: &[u8] = &[1, 3, 1, 7];
    pub(super) const TOLD_MASTER: [u8; 2] = [1, 0];
    pub(super) const TOLD_WHO_IT_IS: [u8; 2] = [1, 2];
    pub(super) const NO_MEMBER: &[u8] = &[1, 1, 1];
    pub(super) const ANOTHER_NAME: &[u8] = &[1, 1, 2];
    pub(super) const NOT_WAITING: &[u8] = &[1, 1, 3];
    pub(super) const ASKS_FOR_MORE: &[u8] = &[1, 1, 6];

    /// To be admitted as one that holds the data.
    pub(super) fn join(name: &str) -> Vec<u8> {
        let wish = (name, [9_u8; 16], "127.0.0.1:1", "electable", 0_u32);
        [&[1, 2][..], &postcard::to_stdvec(&wish).unwrap()].concat()
    }
}

fn answer(channel: &dyn Channel, question: &[u8]) -> Vec<u8> {
    channel.send(question.to_vec().into()).unwrap();
    channel.receive(Instant::now() + PATIENCE).unwrap().expect("an answer").to_vec()
}

/// A group of two that hold the data, a monitor and an arbiter; a fifth was removed, a sixth never belonged, and there is an administrator. Whoever
/// has which certificate, at each service, with each question. That no data is streamed to a monitor or an arbiter, and that no word of a
/// monitor counts, is tested where streams and words are (rep-node's `watching` and `arbiter`).
fn each_certificate_opens_what_is_its_holders_and_nothing_else<T: Proving>() {
    use MemberType::{Arbiter, Electable, Monitor};
    let (mut world, authority) = (T::world(5), Authority::new());
    let own: Vec<T> = (0..5).map(|at| authority.transport("bank", &name(at))).collect();
    let founder = own[0].clone().over(world.own_config(0)).bootstrap().build().unwrap();
    world.open_as(0, founder).wait_for_master(PATIENCE).unwrap();
    for (at, kind) in [(1, Electable), (2, Monitor), (3, Arbiter), (4, Electable)] {
        let config = own[at].clone().over(world.own_config(at)).join([world.address(0)]);
        world.open_as(at, config.member_type(kind).build().unwrap());
        world.wait_for(at, kind);
    }
    world.put("alice", "1");
    eventually("a master that can remove", || {
        world.env(world.master()).remove_member("n5", PATIENCE, false).ok()
    });
    let forgotten = || world.env(0).membership().is_some_and(|it| it.named("n5").is_none());
    eventually("the removal at n1", || forgotten().then_some(()));
    let other: T = authority.transport("bank", "other");
    let nodes =
        [(&own[1], "n2"), (&own[2], "n3"), (&own[3], "n4"), (&own[4], "n5"), (&other, "other")];
    for (own, name) in nodes {
        let belongs = !matches!(name, "n5" | "other");
        for service in ["peer", "feeder"] {
            let met = met(own, &world, service, name);
            assert!(belongs || met == NoMember, "{service} for {name}: {met:?}");
        }
        let restore = if name == "n2" { LetIn } else { NoMember };
        assert_eq!(met(own, &world, "restore", name), restore, "{name}");
        assert_eq!(met(own, &world, "admin", name), NoAdministrator, "{name}");
        let refused = AdminClient::connect_as(own, name, &world.address(0), PATIENCE).unwrap_err();
        assert!(matches!(refused, Error::NotAdministrator { .. }), "{name}: {refused}");
        assert!(refused.to_string().contains("rep certs issue --admin NAME"), "{refused}");
        let join = eventually("a place", || dial(own, &world, "join", name).ok());
        let told = answer(&*join, asked::MASTER);
        match belongs {
            true => assert!(told.starts_with(&asked::TOLD_MASTER), "{name}: {told:?}"),
            false => assert_eq!(told, asked::NO_MEMBER, "{name}"),
        }
        let told = answer(&*join, asked::INTRODUCE);
        assert!(told.starts_with(&asked::TOLD_WHO_IT_IS), "{name}: {told:?}");
        assert_eq!(answer(&*join, &asked::join("n9")), asked::ANOTHER_NAME, "{name}");
        assert_eq!(answer(&*join, asked::ADMIT), asked::NOT_WAITING, "{name}");
        if matches!(name, "n3" | "n4") {
            assert_eq!(answer(&*join, &asked::join(name)), asked::ASKS_FOR_MORE, "{name}");
        }
        join.close();
    }
    let ops: T = authority.transport("bank", "@admin/ops");
    for (service, expected) in [
        ("peer", NoMember),
        ("feeder", NoMember),
        ("restore", NoMember),
        ("join", NoMember),
        ("admin", LetIn),
    ] {
        assert_eq!(met(&ops, &world, service, "@admin/ops"), expected, "{service}");
    }
    // Nor is one made by calling oneself so.
    for service in SERVICES.into_iter().filter(|service| *service != "echo") {
        let refused = dial(&own[1], &world, service, "@admin/n2").unwrap_err();
        assert_eq!(refused.refuse_reason(), Some(&RefuseReason::NotProved), "{service}");
    }
    world.put("alice", "2");
}

/// There is room for few who have a certificate of the group and are none of it.
fn who_is_no_member_keeps_no_member_out<T: Proving>() {
    let (world, authority) = group::<T>();
    let (other, second): (T, T) =
        (authority.transport("bank", "other"), authority.transport("bank", "n2"));
    let mut crowd = Vec::new();
    let full = eventually("no room", || match dial(&other, &world, "join", "other") {
        Ok(channel) => {
            crowd.push(channel);
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(full.refuse_reason(), Some(&RefuseReason::Busy));
    assert!(crowd.len() <= 5, "{}", crowd.len());
    let member = dial(&second, &world, "join", "n2").unwrap();
    assert!(answer(&*member, asked::MASTER).starts_with(&asked::TOLD_MASTER));
    world.put("alice", "1");
}

fn an_administrator_is_answered_and_obeyed_and_takes_no_other_part<T: Proving>() {
    let (world, authority) = group::<T>();
    let ops: T = authority.transport("bank", "@admin/ops");
    let asking = || {
        let at = world.address(world.master());
        AdminClient::connect_as(&ops, "@admin/ops", &at, PATIENCE)
    };
    world.put("alice", "1");
    let client = asking().unwrap();
    assert_eq!(client.status(PATIENCE).unwrap().members.len(), 3);
    assert_eq!(client.membership(PATIENCE).unwrap().members.len(), 3);
    client.digest(PATIENCE).unwrap();
    let raised = MemberUpdate::default().priority(4);
    let order = || asking().ok()?.update_member("n1", raised.clone(), PATIENCE).ok();
    let made = eventually("an update", order);
    assert_eq!(made.named("n1").unwrap().priority, 4);
    eventually("quorums", || asking().ok()?.set_quorums(Quorums::default(), PATIENCE, false).ok());
    let refused =
        asking().unwrap().add_member(&NewMember::at("127.0.0.1:1"), PATIENCE).unwrap_err();
    assert!(refused.to_string().contains("127.0.0.1:1"), "it was tried: {refused}");
    eventually("an order that is carried out", || {
        asking().ok()?.transfer_master(&[], PATIENCE, false).ok()
    });
    a_copy_is_given(&world, &ops);
}

/// One asks, one is asked; both end as members, and neither needs an administrator's certificate to be let in.
fn who_joins_is_admitted_by_its_certificate<T: Proving>() {
    let (mut world, authority) = (T::world(3), Authority::new());
    let own: Vec<T> = (0..3).map(|at| authority.transport("bank", &name(at))).collect();
    let founder = own[0].clone().over(world.own_config(0)).bootstrap().build().unwrap();
    let founder = world.open_as(0, founder);
    founder.wait_for_master(PATIENCE).unwrap();
    let asks = own[1].clone().over(world.own_config(1)).join([world.address(0)]);
    world.open_as(1, asks.build().unwrap());
    let waits = own[2].clone().over(world.own_config(2)).join([""]);
    world.open_as(2, waits.build().unwrap());
    let added = founder.add_member(&NewMember::at(world.address(2)), PATIENCE).unwrap();
    assert_eq!((&*added.name, added.kind), ("n3", MemberType::Electable));
    eventually("the one who asks", || {
        let membership = founder.membership()?;
        (membership.named("n2")?.kind == MemberType::Electable).then_some(())
    });
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
}

/// By an administrator's order, over the transport that proves names.
fn a_copy_is_given(world: &World, ops: &dyn Transport) {
    let (master, replica) = (world.master(), world.replica());
    let at = world.address(replica);
    let client = AdminClient::connect_as(ops, "@admin/ops", &at, PATIENCE).unwrap();
    client.restore_from(&name(master), PATIENCE).unwrap();
    eventually("a copy in its place", || {
        (client.status(PATIENCE).unwrap().stats.restores == 1).then_some(())
    });
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
}

fn a_member_with_the_certificate_of_another_is_not_opened<T: Proving>() {
    let authority = Authority::new();
    let mut world = T::world(1);
    for (group, node) in [("bank", "n2"), ("shop", "n1")] {
        let config = RepConfig::builder("bank", "n1").members(world.members.clone()).ephemeral();
        let other: T = authority.transport(group, node);
        let refused = other.over(config).build().unwrap_err();
        assert!(matches!(refused, Error::Config { option: "tls" | "quic", .. }), "{refused}");
    }
    open::<T>(&mut world, 0, &authority);
    world.put("alice", "1");
}

#[cfg(feature = "quic")]
#[test]
fn a_keepalive_that_an_election_would_come_before_is_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("bank", "n1", DAY);
    let mut limits = rep_env::config::Timing::default().transport_limits();
    assert!(limits.quic_keepalive * 3 < rep_env::config::Timing::default().election_timeout);
    limits.quic_keepalive = Duration::from_secs(60);
    let config = TlsConfig::from_pem(certificate, key, &*authority.pem);
    let slow = QuicTransport::new(config, limits).unwrap();
    let config = RepConfig::builder("bank", "n1").members(["n1=127.0.0.1:1"]).ephemeral();
    let refused = config.quic(slow).build().unwrap_err().to_string();
    assert!(refused.contains("quic_keepalive"), "{refused}");
}

/// New certificates, then a new authority, member by member, while somebody writes.
fn certificates_and_authority_change_under_load_and_nothing_is_lost<T: Proving>() {
    let (old, new) = (Authority::new(), Authority::new());
    let mut world = T::world(3);
    let files = tempfile::tempdir().unwrap();
    let files: Vec<Files> = (0..3).map(|at| Files::new(files.path(), &name(at))).collect();
    let mut transports = Vec::new();
    for (at, own) in files.iter().enumerate() {
        fs::create_dir_all(own.ca.parent().unwrap()).unwrap();
        own.write(&old, &name(at), &[&old]);
        transports.push(own.transport::<T>());
        let config = transports[at].clone().over(world.config(at)).build().unwrap();
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
    let config = files[replica].transport::<T>().over(world.config(replica)).build().unwrap();
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

fn a_certificate_that_expires_soon_is_a_problem_that_status_tells_of<T: Proving>() {
    let authority = Authority::new();
    let mut world = T::world(1);
    let transport = |days: u32| {
        let (certificate, key) = authority.issue("bank", "n1", DAY * days + DAY / 2);
        TlsConfig::from_pem(certificate, key, &*authority.pem)
    };
    let own = T::with(transport(60));
    let config = own.clone().over(world.config(0));
    world.open_as(0, config.build().unwrap());
    world.put("alice", "1");
    let asker: T = authority.transport("bank", "@admin/ops");
    let client =
        AdminClient::connect_as(&asker, "@admin/ops", &world.address(0), PATIENCE).unwrap();
    let report = client.status(PATIENCE).unwrap();
    assert!(report.certificate_expires_ms.is_some());
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    own.replace(transport(20)).unwrap();
    let report = client.status(PATIENCE).unwrap();
    assert_eq!(report.problems, ["certificate: it expires in 20 days: renew it"]);
}
