//! Who a node is, where it is, and what it keeps.

use crate::world::{BOTH, Net, PATIENCE, World, eventually, get, held_port, put, view_at};
use rep_env::net::TcpTransport;
use rep_env::{Error, MemberType, RepConfig, ReplicatedEnvironment, StoreKind, admin};
use std::sync::Arc;

fn another_identity(group: &str, name: &str) -> Error {
    let mut world = World::running(Net::Memory, 1);
    world.put("alice", "1");
    world.close(0);
    let config = RepConfig::builder(group, name)
        .members([format!("{name}=place-1")])
        .home(world.home(0))
        .transport(world.hub.transport());
    ReplicatedEnvironment::open(config.build().unwrap()).unwrap_err()
}

#[test]
pub(super) fn a_directory_knows_its_group() {
    let error = another_identity("other", "n1");
    assert!(matches!(error, Error::AnotherIdentity { what: "group", .. }), "{error}");
}

#[test]
pub(super) fn a_directory_knows_its_node() {
    let error = another_identity("bank", "n2");
    assert!(matches!(error, Error::AnotherIdentity { what: "node", .. }), "{error}");
}

#[test]
pub(super) fn a_node_listens_where_it_is_told() {
    let mut world = World::new(Net::Memory, 1);
    let config = RepConfig::builder("bank", "n1")
        .members(["n1=127.0.0.1:1"])
        .listen("localhost:0")
        .home(world.home(0));
    let env = world.open_as(0, config.build().unwrap());
    assert_ne!(env.local_addr(), "127.0.0.1:1");
    assert_eq!(admin::status(&env.local_addr(), PATIENCE).unwrap().me.name, "n1");
}

/// Members listen on every address of theirs, and are dialled by the name that they say.
#[test]
pub(super) fn a_node_that_listens_elsewhere_is_reached_where_it_says() {
    let mut world = World::new(Net::Memory, 2);
    let held = [held_port(), held_port()];
    let place = |at: usize| format!("localhost:{}", held[at].1.port());
    let config = |world: &World, at: usize| {
        RepConfig::builder("bank", format!("n{}", at + 1))
            .listen(format!("0.0.0.0:{}", held[at].1.port()))
            .advertise(place(at))
            .allow_plaintext()
            .home(world.home(at))
    };
    let founder = config(&world, 0).bootstrap().build().unwrap();
    world.open_as(0, founder).wait_for_master(PATIENCE).unwrap();
    let joiner = config(&world, 1).join([place(0)]).build().unwrap();
    let joiner = world.open_as(1, joiner);
    assert_eq!(joiner.local_addr(), format!("0.0.0.0:{}", held[1].1.port()));
    world.wait_for(1, MemberType::Electable);
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    let recorded = joiner.membership().unwrap().members.into_iter().map(|member| member.address);
    assert_eq!(recorded.collect::<Vec<_>>(), [place(0), place(1)]);
}

#[test]
fn an_advertised_address_that_nobody_was_told_of_is_refused() {
    let config = || RepConfig::builder("bank", "n1").members(["n1=here:1"]).ephemeral();
    assert_eq!(config().advertise("here:1").build().unwrap().advertise, "here:1");
    let error = config().advertise("elsewhere:1").build().unwrap_err();
    assert!(matches!(error, Error::Config { option: "advertise", .. }), "{error}");
}

#[test]
pub(super) fn what_is_written_is_in_the_home() {
    let mut world = World::running(Net::Memory, 1);
    let token = world.put("alice", "1");
    world.close(0);
    assert!(world.home(0).join("log").is_dir());
    world.open(0);
    world.assert_everywhere(token, "alice", "1");
}

#[test]
pub(super) fn an_ephemeral_node_leaves_nothing() {
    let mut world = World::new(Net::Memory, 1);
    for _ in 0..2 {
        let config = world.bare_config(0).ephemeral().build().unwrap();
        let env = world.open_as(0, config);
        let empty = eventually("a view", || env.read(rep_env::Consistency::None).wait().ok());
        assert_eq!(get(&empty, "alice"), None);
        world.put("alice", "1");
        world.close(0);
    }
    assert!(!world.home(0).exists());
}

#[test]
pub(super) fn the_members_are_those_listed() {
    let mut world = World::new(Net::Memory, 3);
    let env = world.open(0);
    let names: Vec<String> = env.members().into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["n1", "n2", "n3"]);
    world.open(1);
    // Founding takes every one of them.
    eventually("an acquaintance", || env.stats().replicas[0].connected.then_some(()));
    assert_eq!(env.group(), None);
    world.open(2);
    world.master();
}

#[test]
pub(super) fn the_store_is_what_was_chosen() {
    let kinds = [
        (StoreKind::Memory, None, true),
        (StoreKind::Redb, Some("store.redb"), cfg!(feature = "redb")),
        (StoreKind::Fjall, Some("store.fjall"), cfg!(feature = "fjall")),
    ];
    for (store, kept, _) in kinds.into_iter().filter(|(_, _, known)| *known) {
        let mut world = World::new(Net::Memory, 1);
        let config = world.config(0).store(store).build().unwrap();
        world.open_as(0, config);
        world.put("alice", "1");
        for (_, name, _) in kinds {
            let is_there = name.is_some_and(|name| world.home(0).join(name).exists());
            assert_eq!(is_there, name.is_some() && name == kept, "{store:?} {name:?}");
        }
    }
}

#[test]
pub(super) fn an_attribute_reaches_the_others() {
    for net in BOTH {
        let world = World::running(net, 2);
        let announced = || {
            let member = world.env(1).members().into_iter().find(|member| member.name == "n1");
            member.unwrap().attributes.get("resp").cloned()
        };
        assert_eq!(eventually("an attribute", announced), "redis-of-n1");
    }
}

#[test]
pub(super) fn plaintext_that_others_could_read_has_to_be_allowed() {
    let mut world = World::new(Net::Memory, 1);
    let config = || {
        let config = RepConfig::builder("bank", "n1").members(["n1=127.0.0.1:1"]).ephemeral();
        config.listen("0.0.0.0:0")
    };
    let error = ReplicatedEnvironment::open(config().build().unwrap()).unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");
    world.open_as(0, config().allow_plaintext().build().unwrap());
    // Nor is anything said to a member elsewhere, nor listened to by a transport that was brought along.
    let elsewhere = ["n1=127.0.0.1:1", "n2=192.0.2.1:9"];
    let config = || RepConfig::builder("bank", "n1").members(elsewhere).ephemeral();
    let error = ReplicatedEnvironment::open(config().build().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Plaintext { address } if address == "192.0.2.1:9"), "{error}");
    let brought = config().listen("0.0.0.0:0").transport(Arc::new(TcpTransport::default()));
    let error = ReplicatedEnvironment::open(brought.build().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Plaintext { address } if address == "0.0.0.0:0"), "{error}");
}

#[test]
pub(super) fn members_meet_on_the_transport_they_were_given() {
    let world = World::running(Net::Memory, 2);
    let token = put(world.env(world.master()), "alice", "1").unwrap();
    for env in world.running_envs() {
        assert!(env.local_addr().starts_with("place-"), "no socket");
        assert_eq!(get(&view_at(env, token), "alice").as_deref(), Some("1"));
    }
}

#[test]
pub(super) fn a_node_listens_on_the_socket_it_was_given() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let config = RepConfig::builder("bank", "n1").members(["n1=127.0.0.1:1"]).ephemeral();
    let config = config.listener(socket).build().unwrap();
    let env = ReplicatedEnvironment::open(config).unwrap();
    assert_eq!(env.local_addr(), address);
    assert_eq!(admin::status(&address, PATIENCE).unwrap().me.name, "n1");
}
