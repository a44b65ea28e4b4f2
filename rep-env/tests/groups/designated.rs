//! Two members, one of them designated: it goes on alone, takes the other back, and nothing that was acknowledged is lost.

use crate::admin::report;
use crate::world::{Net, PATIENCE, World, eventually, get, view_at};
use rep_env::{Error, MemberType, NodeState, Quorums};
use std::time::Duration;

#[test]
fn a_designated_member_goes_on_alone_and_the_other_is_never_elected_without_it() {
    let mut world = World::new(Net::Memory, 2);
    let first = world.bootstrap(0);
    world.join(1, &[0]);
    world.wait_for(1, MemberType::Electable);
    let made = first.designate("n1", PATIENCE).unwrap();
    assert!(matches!(made.quorums, Quorums::Designated(id) if id.get() == 1));
    let both = world.put("both", "1");
    drop(view_at(world.env(1), both));

    world.close(1);
    eventually("it goes on alone", || {
        let alone = first.membership()?.named("n2")?.kind == MemberType::Learner;
        (alone && first.state() == NodeState::Master).then_some(())
    });
    report(&world, 0, |report| report.problems.iter().any(|it| it.starts_with("one copy")));
    let one = world.put("one", "1");
    drop(view_at(&first, one));

    world.reopen(1);
    world.wait_for(1, MemberType::Electable);
    world.put("again", "1");
    world.close(0);
    let lone = world.env(1).wait_for_master(Duration::from_secs(3));
    let Err(Error::NoMaster { why, .. }) = lone else { panic!("{lone:?}") };
    assert!(why.contains("n1 is designated"), "{why}");
    world.reopen(0);
    let last = world.put("last", "1");
    for at in 0..2 {
        let view = view_at(world.env(at), last);
        let kept = ["both", "one", "again"].map(|key| get(&view, key).is_some());
        assert_eq!(kept, [true; 3]);
    }
}
