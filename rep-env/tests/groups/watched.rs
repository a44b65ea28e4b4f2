//! A monitor beside a group: it is told who is master and who belongs, and has nothing to be read.

use crate::world::{Net, PATIENCE, World, eventually};
use rep_env::net::{Address, DialError, Hello, RefuseReason, Transport};
use rep_env::{Consistency, Error, MemberType, NodeState, Verdict};
use std::time::Instant;

#[test]
fn a_monitor_is_told_what_happens_and_refuses_reads_and_writes_saying_why() {
    let mut world = World::new(Net::Memory, 3);
    world.bootstrap(0);
    world.join(1, &[0]);
    world.wait_for(1, MemberType::Electable);
    let config = world.own_config(2).join([world.address(0)]).member_type(MemberType::Monitor);
    let monitor = world.open_as(2, config.build().unwrap());
    assert_eq!(world.wait_for(2, MemberType::Monitor), 3);
    let mut events = monitor.subscribe().states();
    let master = monitor.wait_for_master(PATIENCE).unwrap();
    assert_eq!(master.name, "n1");
    let refused = monitor.begin().map(drop).unwrap_err();
    let unread = monitor.read(Consistency::None).wait().map(drop).unwrap_err();
    for error in [refused, unread] {
        let Error::HoldsNoData { kind, .. } = &error else { panic!("{error}") };
        assert_eq!(*kind, MemberType::Monitor);
        assert!(matches!(error.verdict(), Verdict::Redirect(to) if to.name == "n1"), "{error}");
    }
    // It is in no quorum, and follows what goes on.
    world.put("alice", "1");
    let own = world.env(0).clone();
    own.transfer_master(&["n2"], PATIENCE, false).unwrap();
    let seen = eventually("news of another master", || {
        let event = events.next_within(PATIENCE)?;
        event.master.filter(|master| master.name == "n2")
    });
    assert_eq!(seen.id, 2);
    let removed =
        world.env(1).update_member("n1", rep_env::MemberUpdate::default().priority(4), PATIENCE);
    removed.unwrap();
    eventually("news of who belongs", || {
        (monitor.membership()?.named("n1")?.priority == 4).then_some(())
    });
    assert_eq!(monitor.state(), NodeState::Unknown);
    // A place in the group, kept in its directory.
    world.close(2);
    world.reopen(2);
    eventually("it is back", || {
        let error = world.env(2).begin().map(drop).unwrap_err();
        matches!(error, Error::HoldsNoData { master: Some(_), .. }).then_some(())
    });
}

/// It is a member, and its word is good for nothing but its name: with a copy it would hold what it is not to hold.
#[test]
fn a_monitor_is_given_no_copy_where_a_member_with_data_is() {
    let mut world = World::new(Net::Memory, 3);
    world.bootstrap(0);
    world.join(1, &[0]);
    world.wait_for(1, MemberType::Electable);
    let config = world.own_config(2).join([world.address(0)]).member_type(MemberType::Monitor);
    world.open_as(2, config.build().unwrap());
    world.wait_for(2, MemberType::Monitor);
    let dial = |name: &str| {
        let incarnation =
            world.env(0).membership().unwrap().named(name).unwrap().incarnation.clone();
        let byte = |at: usize| u8::from_str_radix(&incarnation[2 * at..2 * at + 2], 16).unwrap();
        let hello = Hello::new("bank", "restore").from_node(name, std::array::from_fn(byte));
        let deadline = Instant::now() + PATIENCE;
        world.hub.transport().dial(&Address::new(world.address(0)), &hello, deadline)
    };
    let refused = dial("n3").unwrap_err();
    assert!(
        matches!(refused, DialError::RefusedHello { reason: RefuseReason::NotMember { .. }, .. }),
        "{refused:?}"
    );
    dial("n2").expect("who holds data may ask for a copy").close();
}
