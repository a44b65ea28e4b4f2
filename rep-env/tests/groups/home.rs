use crate::world::{Net, World};
use rep_env::{Error, RepConfig, ReplicatedEnvironment};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::Path;

fn open(config: rep_env::config::RepConfigBuilder) -> Result<ReplicatedEnvironment, Error> {
    ReplicatedEnvironment::open(config.build()?)
}

/// A home with something in it, closed.
fn used_home() -> World {
    let mut world = World::running(Net::Tcp, 1);
    world.put("alice", "1");
    world.close(0);
    world
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = open(RepConfig::builder("g", "n1").members([format!("n1={address}")]).ephemeral())
        .unwrap_err();
    assert!(matches!(&error, Error::Listen { address: told, .. } if *told == address), "{error}");
}

#[test]
fn plain_tcp_on_an_address_that_others_reach_has_to_be_wanted() {
    let config = || {
        RepConfig::builder("g", "n1").members(["n1=127.0.0.1:7001"]).listen("0.0.0.0:0").ephemeral()
    };
    let error = open(config()).unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");
    open(config().allow_plaintext()).unwrap().close().unwrap();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let error = open(config().listen("127.0.0.1:0").listener(socket)).unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");
}

#[test]
fn names_are_resolved() {
    let env = open(RepConfig::builder("g", "n1").members(["n1=localhost:0"]).ephemeral()).unwrap();
    assert!(!env.local_addr().ends_with(":0"), "{}", env.local_addr());
    let error =
        open(RepConfig::builder("g", "n1").members(["n1=no.such.host.invalid:1"]).ephemeral())
            .unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error}");
}

#[test]
fn a_home_of_another_node_or_group_is_refused_and_left_as_it_is() {
    let mut world = used_home();
    let (home, address) = (world.home(0), world.address(0));
    let error =
        open(RepConfig::builder("bank", "n9").members([format!("n9={address}")]).home(&home))
            .unwrap_err();
    assert!(
        matches!(&error, Error::AnotherIdentity { what: "node", found, .. } if found == "n1"),
        "{error}"
    );
    let error =
        open(RepConfig::builder("shop", "n1").members([format!("n1={address}")]).home(&home))
            .unwrap_err();
    assert!(
        matches!(&error, Error::AnotherIdentity { what: "group", found, .. } if found == "bank"),
        "{error}"
    );
    let env = world.open(0);
    env.wait_for_master(crate::world::PATIENCE).unwrap();
}

#[test]
fn a_home_in_use_is_refused() {
    let mut world = World::running(Net::Memory, 1);
    let error = open(world.config(0)).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
}

#[test]
fn a_damaged_promise_does_not_open() {
    for cell in ["promise", "identity", "cut"] {
        let mut world = used_home();
        let path = world.home(0).join(cell);
        overwrite(&path, 8, &[0xff; 64]);
        overwrite(&path, 69_632 + 8, &[0xff; 64]);
        let error = open(world.config(0)).unwrap_err();
        assert!(matches!(&error, Error::Damaged { what, .. } if *what == cell), "{error}");
    }
}

#[test]
fn a_log_without_its_promise_does_not_open() {
    let mut world = used_home();
    fs::remove_file(world.home(0).join("promise")).unwrap();
    let error = open(world.config(0)).unwrap_err();
    assert!(matches!(&error, Error::Damaged { what: "promise", .. }), "{error}");
}

#[test]
fn a_damaged_log_does_not_open_and_is_not_cut() {
    let mut world = used_home();
    let segment = fs::read_dir(world.home(0).join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let before = fs::read(&segment).unwrap();
    let at = 200;
    overwrite(&segment, at as u64, &[!before[at], !before[at + 1]]);
    let damaged = fs::read(&segment).unwrap();
    let error = open(world.config(0)).unwrap_err();
    assert!(matches!(&error, Error::Damaged { what: "log", .. }), "{error}");
    assert_eq!(fs::read(&segment).unwrap(), damaged);
}

#[test]
fn a_store_ahead_of_its_log_is_refused() {
    let mut world = used_home();
    let home = world.home(0);
    fs::remove_dir_all(home.join("log")).unwrap();
    fs::remove_file(home.join("cut")).unwrap();
    let error = open(world.config(0)).unwrap_err();
    assert!(matches!(&error, Error::StoreAheadOfLog { .. }), "{error}");
}

#[test]
fn flags_that_differ_from_the_groups_record_are_refused_with_the_difference() {
    let mut world = used_home();
    let home = world.home(0);
    world.members.push("n2=127.0.0.1:1".to_owned());
    let error = open(world.bare_config(0).home(home)).unwrap_err();
    assert!(matches!(&error, Error::Open { detail } if detail.contains("n2")), "{error}");
}
