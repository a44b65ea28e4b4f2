//! Members that no log reaches any more are given a copy of the state, and go on from it.

use crate::world::{BOTH, Net, PATIENCE, World, eventually, get, put, steady, view_at};
use rep_env::admin::{RestoreStage, StatusReport};
use rep_env::config::{Limits, Timing};
use rep_env::{
    CatchUp, CommitToken, Consistency, Error, Event, Events, MemberType, NewMember, NodeState,
    ReplicatedEnvironment, RestoreEvent, Stage,
};

const SEGMENT: u64 = 1 << 20;
const KEYS: usize = 160;
const VALUE: usize = 20 << 10;
/// What the keys and values take, and a copy of them in chunks a little more.
const STATE: u64 = (KEYS * VALUE) as u64;
/// A copy takes some seconds, so that something can happen meanwhile.
const SLOW: u64 = 320 << 10;

/// Logs that forget soon.
fn forgetful(timing: &mut Timing, limits: &mut Limits) {
    steady(timing);
    limits.segment_bytes = SEGMENT;
    limits.checkpoint_bytes = SEGMENT / 2;
    // So much may be written while a copy is fetched, and it still leads to a stream.
    limits.log_retention_bytes = 2 * SEGMENT;
}

fn slow(timing: &mut Timing, limits: &mut Limits) {
    forgetful(timing, limits);
    limits.restore_bytes_per_s = SLOW;
}

type Tune = fn(&mut Timing, &mut Limits);

/// A group that has gone on without one of its members.
struct Left {
    world: World,
    master: usize,
    replica: usize,
    lost: usize,
    tune: Tune,
}

impl Left {
    fn behind(net: Net, tune: Tune) -> Left {
        let mut world = World::tuned(net, 3, tune);
        let master = world.master();
        let others: Vec<usize> = (0..3).filter(|at| *at != master).collect();
        let (replica, lost) = (others[0], others[1]);
        let token = world.put("before", "it was away");
        world.assert_everywhere(token, "before", "it was away");
        let last = last(world.env(lost));
        world.close(lost);
        fill(&world);
        for at in [master, replica] {
            let is_cleaned = || (first(world.env(at)) > last + 1).then_some(());
            eventually("logs that have forgotten", || {
                world.put("more", &"y".repeat(VALUE));
                is_cleaned()
            });
        }
        // Whoever is behind its master gives no copy.
        let token = world.put("more", "and all of it is applied");
        view_at(world.env(replica), token);
        Left { world, master, replica, lost, tune }
    }

    fn comes_back(&mut self) -> ReplicatedEnvironment {
        let config = self.world.config(self.lost).tune(self.tune).build().unwrap();
        self.world.open_as(self.lost, config)
    }

    /// The member that was away has got a copy, and is like the master.
    fn assert_equal(&self) {
        let lost = self.world.env(self.lost);
        eventually("a member in sync", || (lost.state() == NodeState::Replica).then_some(()));
        let token = self.world.put("at last", "in sync");
        assert_eq!(digest(lost, token), digest(self.world.env(self.master), token));
    }
}

fn fill(world: &World) {
    for key in 0..KEYS {
        world.put(&format!("key-{key}"), &value(key));
    }
}

fn value(key: usize) -> String {
    format!("{key:08}").repeat(VALUE / 8)
}

fn first(env: &ReplicatedEnvironment) -> u64 {
    env.vlsn_range().expect("the newest file stays").start().get()
}

fn last(env: &ReplicatedEnvironment) -> u64 {
    env.vlsn_range().expect("the newest file stays").end().get()
}

fn digest(env: &ReplicatedEnvironment, token: CommitToken) -> String {
    view_at(env, token).digest().unwrap().to_string()
}

/// Waits until the greater part of the copy has come, and not all of it: were it fetched again, that would be much more than a copy.
fn half_way(env: &ReplicatedEnvironment) -> u64 {
    let bytes = eventually("a part of the copy", || {
        let bytes = env.stats().restore_bytes;
        (bytes > STATE / 8 * 5).then_some(bytes)
    });
    assert_eq!(env.stats().restores, 0, "it takes longer than that");
    bytes
}

#[test]
fn a_newcomer_to_a_group_that_has_forgotten_its_beginning_is_given_a_copy_and_then_votes() {
    for net in BOTH {
        let mut world = World::new(net, 2);
        let founder = world.own_config(0).bootstrap().tune(forgetful).build().unwrap();
        let founder = world.open_as(0, founder);
        founder.wait_for_master(PATIENCE).unwrap();
        fill(&world);
        eventually("a log that has forgotten", || {
            world.put("more", &"y".repeat(VALUE));
            (first(&founder) > 2).then_some(())
        });
        let joiner = world.own_config(1).join([world.address(0)]).tune(forgetful);
        let joiner = world.open_as(1, joiner.build().unwrap());
        assert_eq!(world.wait_for(1, MemberType::Electable), 2);
        assert_eq!((joiner.stats().restores, joiner.group()), (1, founder.group()));
        let token = world.put("at last", "in sync");
        assert_eq!(digest(&joiner, token), digest(&founder, token));
        // What the head of the log said is remembered beside the copy.
        world.close(1);
        let again = world.own_config(1).join([world.address(0)]).tune(forgetful);
        let again = world.open_as(1, again.build().unwrap());
        let token = world.put("again", "in sync");
        assert_eq!(digest(&again, token), digest(&founder, token));
        assert_eq!(again.membership().unwrap().named("n2").unwrap().id, 2);
    }
}

/// Whoever adds a node hears whether the log is enough for it.
#[test]
fn who_adds_a_node_that_no_log_reaches_is_told_that_it_is_given_a_copy() {
    let mut world = World::new(Net::Tcp, 2);
    let founder = world.own_config(0).bootstrap().tune(|timing, limits| {
        forgetful(timing, limits);
        // It takes a second or two.
        limits.restore_bytes_per_s = 2 << 20;
    });
    let founder = world.open_as(0, founder.build().unwrap());
    founder.wait_for_master(PATIENCE).unwrap();
    fill(&world);
    eventually("a log that has forgotten", || {
        world.put("more", &"y".repeat(VALUE));
        (first(&founder) > 2).then_some(())
    });
    let waits = world.own_config(1).join([""; 0]).tune(forgetful).build().unwrap();
    let newcomer = world.open_as(1, waits);
    let joining = founder.begin_adding(&NewMember::at(world.address(1)), PATIENCE).unwrap();
    let stage = joining.stage();
    assert!(matches!(stage, Stage::Learner { by: Some(CatchUp::Copy), .. }), "{stage}");
    assert!(stage.to_string().ends_with(", given a copy of the state"), "{stage}");
    let member = joining.wait(PATIENCE).unwrap();
    assert_eq!((member.kind, newcomer.stats().restores), (MemberType::Electable, 1));
    assert_eq!(joining.stage().to_string(), "electable");
}

#[test]
fn a_wiped_member_of_a_group_that_has_forgotten_its_beginning_comes_back_by_a_copy() {
    let mut left = Left::behind(Net::Memory, forgetful);
    std::fs::remove_dir_all(left.world.home(left.lost)).unwrap();
    let back = left.comes_back();
    assert_eq!(left.world.wait_for_another(left.lost, 3), 4);
    assert_eq!(back.stats().restores, 1);
    left.assert_equal();
}

#[test]
fn who_was_away_for_too_long_is_given_a_copy_while_writes_go_on() {
    for net in BOTH {
        let mut left = Left::behind(net, forgetful);
        let env = left.comes_back();
        let mut round = 0;
        eventually("a copy in its place", || {
            round += 1;
            left.world.put("meanwhile", &round.to_string());
            (env.stats().restores == 1).then_some(())
        });
        left.assert_equal();
        assert!(env.stats().restore_bytes >= STATE, "the copy has come");
        let given = left.world.env(left.replica).stats().restores_given;
        assert!(given >= 1, "the replica gave it, as the master has enough to do");
        // What it holds is on its disk, and it is a member like any other.
        left.world.close(left.lost);
        left.comes_back();
        left.assert_equal();
        assert_eq!(left.world.env(left.lost).stats().restores, 0, "it needs no other copy");
    }
}

#[test]
fn when_the_source_goes_another_one_goes_on_where_it_ended() {
    let mut left = Left::behind(Net::Memory, slow);
    let env = left.comes_back();
    half_way(&env);
    assert_eq!(left.world.env(left.replica).stats().restores_given, 1);
    left.world.close(left.replica);
    eventually("a copy in its place", || (env.stats().restores == 1).then_some(()));
    left.assert_equal();
    let fetched = env.stats().restore_bytes;
    assert!(fetched < STATE + STATE / 2, "what is there is not fetched again: {fetched}");
}

#[test]
fn who_is_closed_half_way_goes_on_where_it_ended() {
    let mut left = Left::behind(Net::Tcp, slow);
    let env = left.comes_back();
    let before = half_way(&env);
    left.world.close(left.lost);
    let env = left.comes_back();
    eventually("a copy in its place", || (env.stats().restores == 1).then_some(()));
    left.assert_equal();
    let after = env.stats().restore_bytes;
    assert!(before + after < STATE + STATE / 2, "not fetched again: {before} and {after}");
    let names = std::fs::read_dir(left.world.home(left.lost).join("restore")).unwrap();
    let chunks = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".chunk")
    });
    assert_eq!(chunks.count(), 0, "no chunks are left when the copy is in its place");
}

#[test]
fn handles_views_and_subscriptions_stay_what_they_are() {
    let mut left = Left::behind(Net::Memory, slow);
    let env = left.comes_back();
    let (mut events, mut news) = (env.subscribe().states(), env.subscribe());
    let old = env.read(Consistency::None).wait().unwrap();
    let database = env.database("accounts");
    half_way(&env);
    let token = left.world.put("fresh", "1");
    let read = env.read(Consistency::AtLeast(token));
    let view = read.wait().expect("it waits for the copy, and for what follows it");
    assert_eq!(env.stats().restores, 1);
    assert_eq!(get(&view, "fresh").as_deref(), Some("1"));
    assert_eq!(get(&view, "key-7").as_deref(), Some(&*value(7)));
    assert_eq!(get(&old, "key-7"), None, "an old view shows what it showed");
    assert_eq!(get(&old, "before").as_deref(), Some("it was away"));
    assert!(view.get(&database, b"before").unwrap().is_some());
    left.assert_equal();
    eventually("news of the node that goes on", || {
        events.next_within(PATIENCE).filter(|told| told.new == NodeState::Replica)
    });
    let told = told_of_a_copy(&mut news);
    let words = |event: &RestoreEvent| match event {
        RestoreEvent::Began { .. } => "began",
        RestoreEvent::Progress(_) => "progress",
        RestoreEvent::Fetched { .. } => "fetched",
        RestoreEvent::Installed { .. } => "installed",
        RestoreEvent::Failed { .. } | RestoreEvent::GivenUp { .. } => "trouble",
        _ => "unknown",
    };
    let words: Vec<_> = told.iter().map(words).skip_while(|word| *word == "began").collect();
    let (progress, end) = words.split_at(words.len() - 2);
    assert_eq!(end, ["fetched", "installed"], "{told:?}");
    assert!(!progress.is_empty() && progress.iter().all(|word| *word == "progress"), "{told:?}");
    let RestoreEvent::Progress(last) = &told[told.len() - 3] else { panic!("{told:?}") };
    assert!(last.bytes > STATE / 8 && last.bytes_per_s > 0 && last.remaining_bytes.is_some());
    assert_eq!(last.source, left.world.env(left.replica).name());
}

/// What is told of the present copy, to its end.
fn told_of_a_copy(events: &mut Events) -> Vec<RestoreEvent> {
    let mut told = Vec::new();
    let is_end =
        |event: &_| matches!(event, RestoreEvent::Installed { .. } | RestoreEvent::GivenUp { .. });
    while !told.last().is_some_and(is_end) {
        match events.next_within(PATIENCE).expect("it goes on") {
            Event::Restore(event) => told.push(event),
            Event::State(_) | Event::RolledBack { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    told
}

#[test]
fn an_order_is_cancelled_half_way_and_another_one_goes_on_from_there() {
    let world = World::tuned(Net::Tcp, 3, |timing, limits| {
        steady(timing);
        limits.restore_bytes_per_s = SLOW;
    });
    let master = world.master();
    let others: Vec<usize> = (0..3).filter(|at| *at != master).collect();
    let (env, source) = (world.env(others[1]), world.env(others[0]));
    let state = 32 * VALUE as u64;
    (0..32).for_each(|key| _ = world.put(&format!("key-{key}"), &value(key)));
    let token = world.put("last", "1");
    view_at(source, token);
    view_at(env, token);
    assert_eq!(status(&world, others[1]).restore, None);
    let why = |error: Error| match error {
        Error::Invalid { what } => what,
        other => panic!("{other:?} is no refusal"),
    };
    assert!(why(env.cancel_restore().unwrap_err()).contains("no copy is being fetched"));
    let mut events = env.subscribe();
    env.restore_from(source.name()).unwrap();
    let progress = eventually("a part of it", || match events.next_within(PATIENCE)? {
        Event::Restore(RestoreEvent::Progress(progress)) => Some(progress),
        _ => None,
    });
    assert!(progress.bytes < state, "{progress:?}");
    let report = status(&world, others[1]).restore.unwrap();
    assert_eq!((report.number, report.stage), (1, RestoreStage::Fetching));
    assert_eq!(report.source.as_deref(), Some(source.name()));
    assert_eq!(report.ordered_from, report.source);
    env.cancel_restore().unwrap();
    let end = told_of_a_copy(&mut events).pop().unwrap();
    assert_eq!(end, RestoreEvent::GivenUp { why: "it was cancelled".to_owned() });
    eventually("a member in sync", || (env.state() == NodeState::Replica).then_some(()));
    let report = status(&world, others[1]).restore.unwrap();
    assert_eq!(report.stage, RestoreStage::GivenUp);
    assert_eq!(report.why.as_deref(), Some("it was cancelled"));
    assert_eq!(env.stats().restores, 0);
    env.restore_from(source.name()).unwrap();
    let end = told_of_a_copy(&mut events).pop().unwrap();
    assert!(matches!(end, RestoreEvent::Installed { .. }), "{end:?}");
    let report = status(&world, others[1]).restore.unwrap();
    assert_eq!((report.number, report.stage), (2, RestoreStage::Installed));
    assert_eq!((report.remaining_bytes, env.stats().restores), (Some(0), 1));
}

fn status(world: &World, at: usize) -> StatusReport {
    rep_env::admin::status(&world.env(at).local_addr(), PATIENCE).unwrap()
}

#[test]
fn a_copy_is_fetched_by_order_and_by_a_node_that_keeps_nothing_too() {
    for ephemeral in [false, true] {
        let mut world = World::new(Net::Memory, 3);
        world.found(|world, at| match ephemeral && at > 0 {
            false => world.config(at).tune(|timing, _| steady(timing)),
            true => world.bare_config(at).ephemeral().tune(|timing, _| steady(timing)),
        });
        let token = world.put("alice", "1");
        let master = world.master();
        let others: Vec<usize> = (0..3).filter(|at| *at != master).collect();
        world.assert_everywhere(token, "alice", "1");
        let (env, source) = (world.env(others[1]), world.env(others[0]));
        env.restore_from(source.name()).unwrap();
        eventually("a copy in its place", || (env.stats().restores == 1).then_some(()));
        eventually("a member in sync", || (env.state() == NodeState::Replica).then_some(()));
        let token = put(world.env(master), "alice", "2").unwrap();
        assert_eq!(digest(env, token), digest(source, token));
    }
}

#[test]
fn what_cannot_be_ordered_is_refused_and_says_why() {
    let world = World::steady(Net::Memory, 3);
    let (master, replica) = (world.env(world.master()), world.env(world.replica()));
    let why = |asked: &ReplicatedEnvironment, source: &str| match asked.restore_from(source) {
        Err(Error::Invalid { what }) => what,
        other => panic!("{other:?} is no refusal"),
    };
    assert!(why(master, replica.name()).contains("is the master"));
    assert!(why(replica, "n9").contains("is no member"));
    assert!(why(replica, replica.name()).contains("no other member"));
    replica.close().unwrap();
    assert!(matches!(replica.restore_from(master.name()), Err(Error::Closed)));
}
