//! A secondary that a replica feeds costs its master no entry, and is fed by whoever is left.

use crate::world::{BOTH, Net, PATIENCE, World, eventually, steady};
use rep_env::admin::status;
use rep_env::config::{FeedFrom, Limits, Timing};
use rep_env::{MemberType, NodeState};

const SECONDARY: usize = 3;

/// A master that stays, two replicas, and a secondary that spares the master.
fn relayed(net: Net) -> World {
    let mut world = World::new(net, 4);
    let first = world.own_config(0).bootstrap().tune(tuned).build().unwrap();
    let first = world.open_as(0, first);
    first.wait_for_master(PATIENCE).unwrap();
    for at in 1..SECONDARY {
        open_voter(&mut world, at);
        world.wait_for(at, MemberType::Electable);
    }
    let config = world.own_config(SECONDARY).join([world.address(0)]).tune(tuned);
    let config = config.member_type(MemberType::Secondary).feed_from(FeedFrom::Replica);
    world.open_as(SECONDARY, config.build().unwrap());
    world.wait_for(SECONDARY, MemberType::Secondary);
    world
}

fn tuned(timing: &mut Timing, _: &mut Limits) {
    steady(timing);
}

fn open_voter(world: &mut World, at: usize) {
    let config = world.own_config(at).join([world.address(0)]).tune(tuned);
    world.open_as(at, config.build().unwrap());
}

/// The last entry that member `at` has sent to the secondary.
fn sent(world: &World, at: usize) -> u64 {
    let replicas = world.env(at).stats().replicas;
    replicas.iter().find(|replica| replica.name == "n4").map_or(0, |replica| replica.sent)
}

/// Who feeds the secondary, as the master says.
fn fed_by(world: &World, master: usize) -> Option<String> {
    let replicas = world.env(master).stats().replicas;
    replicas.into_iter().find(|replica| replica.name == "n4")?.fed_by
}

fn write(world: &World, count: usize) {
    for number in 1..count {
        world.put("alice", &number.to_string());
    }
    let token = world.put("alice", "the last");
    world.assert_everywhere(token, "alice", "the last");
}

#[test]
pub(super) fn a_secondary_that_a_replica_feeds_gets_no_entry_from_its_master_and_outlives_its_relay()
 {
    for net in BOTH {
        let mut world = relayed(net);
        let master = world.master();
        write(&world, 100);
        let relay = eventually("who feeds it is known", || fed_by(&world, master));
        let relay = relay[1..].parse::<usize>().unwrap() - 1;
        assert_eq!(sent(&world, master), 0, "the master has sent it nothing");
        let last = world.env(master).vlsn_range().unwrap().end().get();
        assert!(sent(&world, relay) >= last);

        world.close(relay);
        let other = 3 - master - relay;
        write(&world, 50);
        let expected = format!("n{}", other + 1);
        eventually("the other one", || (fed_by(&world, master)? == expected).then_some(()));
        assert_eq!(sent(&world, master), 0);

        // Without a replica the group of three has no quorum; with the first one back there is a relay again, or the other is.
        open_voter(&mut world, relay);
        eventually("in sync", || (world.env(relay).state() == NodeState::Replica).then_some(()));
        world.close(other);
        write(&world, 50);
        assert_eq!(world.env(SECONDARY).state(), NodeState::Replica);
    }
}

#[test]
fn a_group_of_which_no_replica_is_left_feeds_its_secondary_from_the_master() {
    let mut world = World::new(Net::Tcp, 4);
    world.bootstrap(0);
    let config = world.own_config(SECONDARY).join([world.address(0)]);
    let config = config.member_type(MemberType::Secondary).feed_from(FeedFrom::Replica);
    world.open_as(SECONDARY, config.build().unwrap());
    world.wait_for(SECONDARY, MemberType::Secondary);
    write_at_both(&world);
    assert!(sent(&world, 0) > 0, "there is nobody else");
    let report = status(&world.address(SECONDARY), PATIENCE).unwrap();
    assert_eq!(report.source.map(|source| source.name).as_deref(), Some("n1"));
    // As soon as there is somebody else, that one does.
    let config = world.own_config(1).join([world.address(0)]).build().unwrap();
    world.open_as(1, config);
    world.wait_for(1, MemberType::Electable);
    eventually("a relay", || {
        let report = status(&world.address(SECONDARY), PATIENCE).unwrap();
        (report.source?.name == "n2").then_some(())
    });
    let before = sent(&world, 0);
    write_at_both(&world);
    assert_eq!(sent(&world, 0), before);
}

fn write_at_both(world: &World) {
    let token = world.put("alice", "both");
    world.assert_everywhere(token, "alice", "both");
}
