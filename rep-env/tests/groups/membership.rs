//! Groups whose members change while they write: nobody writes for nothing, and nobody belongs who should not.

use crate::world::{BOTH, Net, PATIENCE, World, eventually, get, held_port, put, view_at};
use rep_env::config::RepConfigBuilder;
use rep_env::net::{Address, Channel, Hello, Host, ServiceHandler, ServiceTable, Transport};
use rep_env::{
    CommitToken, Error, MemberType, MemberUpdate, NewMember, NodeState, NotChanged, Quorums,
    ReplicatedEnvironment, Stage, Unacknowledged, Verdict,
};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Writes numbered keys at whoever is master, until it is told to stop.
pub(crate) struct Load {
    envs: Arc<Mutex<Vec<ReplicatedEnvironment>>>,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<Written>>,
}

/// What became of the writes of a load.
#[derive(Default)]
struct Written {
    acked: Vec<(String, CommitToken)>,
    failed: Vec<Error>,
}

impl Load {
    pub(crate) fn at(world: &World) -> Load {
        let envs = Arc::new(Mutex::new(world.running_envs().cloned().collect::<Vec<_>>()));
        let stop = Arc::new(AtomicBool::new(false));
        let (own, ended) = (Arc::clone(&envs), Arc::clone(&stop));
        let writer = Some(std::thread::spawn(move || keep_writing(&own, &ended)));
        Load { envs, stop, writer }
    }

    /// From now on these are the ones to write at.
    pub(crate) fn follow(&self, world: &World) {
        *self.envs.lock().unwrap() = world.running_envs().cloned().collect();
    }

    /// Every write that was acknowledged is everywhere; which errors the others met.
    pub(crate) fn assert_kept(mut self, world: &World) -> Vec<Error> {
        self.stop.store(true, Ordering::SeqCst);
        let Written { acked, failed } = self.writer.take().unwrap().join().unwrap();
        let last = acked.last().expect("something was acknowledged").1;
        for env in world.running_envs() {
            let view = view_at(env, last);
            for (key, _) in &acked {
                assert!(get(&view, key).is_some(), "{key} is not at {}", env.name());
            }
        }
        failed
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn keep_writing(envs: &Mutex<Vec<ReplicatedEnvironment>>, stop: &AtomicBool) -> Written {
    let mut written = Written::default();
    for number in 0.. {
        let key = format!("w{number}");
        let master =
            envs.lock().unwrap().iter().find(|env| env.state() == NodeState::Master).cloned();
        match master.map(|env| put(&env, &key, "there")) {
            Some(Ok(token)) => written.acked.push((key, token)),
            Some(Err(error)) => written.failed.push(error),
            None => {}
        }
        if stop.load(Ordering::SeqCst) {
            break;
        }
    }
    written
}

impl World {
    /// How member `at` is configured when it is in no list.
    pub(crate) fn own_config(&mut self, at: usize) -> RepConfigBuilder {
        let home = self.home(at);
        self.unlisted_config(at).home(home)
    }

    /// As it was before, whatever it was then.
    pub(crate) fn reopen(&mut self, at: usize) {
        let config = self.own_config(at).join([self.address(0)]).build().unwrap();
        self.open_as(at, config);
    }

    /// The other one of the first two.
    fn replica_with_data(&self) -> usize {
        1 - self.master()
    }

    pub(crate) fn bootstrap(&mut self, at: usize) -> ReplicatedEnvironment {
        let config = self.own_config(at).bootstrap().build().unwrap();
        let env = self.open_as(at, config);
        env.wait_for_master(PATIENCE).unwrap();
        env
    }

    pub(crate) fn join(&mut self, at: usize, helpers: &[usize]) -> ReplicatedEnvironment {
        let helpers: Vec<String> = helpers.iter().map(|helper| self.address(*helper)).collect();
        let config = self.own_config(at).join(helpers).build().unwrap();
        self.open_as(at, config)
    }

    /// What the master's log says of them: names, numbers, types.
    fn listed(&self) -> Vec<(String, u32, MemberType)> {
        let membership = self.env(self.master()).membership().unwrap();
        let listed = membership.members.into_iter();
        listed.map(|member| (member.name, member.id, member.kind)).collect()
    }

    /// Waits until the group lists `at` as that.
    pub(crate) fn wait_for(&self, at: usize, kind: MemberType) -> u32 {
        let name = format!("n{}", at + 1);
        eventually(&format!("{name} as {kind}"), || {
            let listed = self.listed().into_iter();
            listed.filter(|(it, _, is)| *it == name && *is == kind).map(|(_, id, _)| id).next()
        })
    }

    /// Waits until `at` is a voter under a number above `above`.
    pub(crate) fn wait_for_another(&self, at: usize, above: u32) -> u32 {
        let name = format!("n{}", at + 1);
        eventually(&format!("another {name}"), || {
            let votes = |(it, id, kind): &(String, u32, MemberType)| {
                *it == name && *id > above && *kind == MemberType::Electable
            };
            self.listed().into_iter().find(votes).map(|(_, id, _)| id)
        })
    }

    /// Takes a member out of the group, and ends it; a master hands over first.
    fn retire(&mut self, at: usize) {
        if self.master() == at {
            eventually("another master", || self.env(at).transfer_master(&[], PATIENCE, true).ok());
        }
        self.remove(at, false);
        self.close(at);
    }

    fn remove(&self, at: usize, force: bool) {
        let name = format!("n{}", at + 1);
        eventually("a removal", || {
            match self.env(self.master()).remove_member(&name, PATIENCE, force) {
                Ok(_) => Some(()),
                Err(Error::NotMaster { .. }) => None,
                Err(error) => panic!("{error}"),
            }
        });
    }
}

#[test]
pub(crate) fn a_group_grows_from_one_to_three_while_it_writes() {
    for net in BOTH {
        let mut world = World::new(net, 3);
        world.bootstrap(0);
        let load = Load::at(&world);
        // The second asks the only member, the third one that is not the master, perhaps.
        for (at, helper) in [(1, 0), (2, 1)] {
            world.join(at, &[helper]);
            load.follow(&world);
            assert_eq!(world.wait_for(at, MemberType::Electable), at as u32 + 1);
            // It knows itself by the number that it was given.
            let own =
                world.env(at).members().into_iter().find(|it| it.name == world.env(at).name());
            assert_eq!(own.unwrap().attributes["resp"], format!("redis-of-n{}", at + 1));
        }
        load.assert_kept(&world);
        // What was founded by one survives the loss of that one.
        world.close(0);
        let token = world.put("after", "1");
        world.assert_everywhere(token, "after", "1");
    }
}

#[test]
fn a_node_that_waits_is_added_by_an_order_and_the_order_can_be_given_twice() {
    let mut world = World::new(Net::Memory, 2);
    let master = world.bootstrap(0);
    let config = world.own_config(1).join([""]).build().unwrap();
    let waiting = world.open_as(1, config);
    let new = NewMember::at(world.address(1)).named("n2");
    let wrong = master.add_member(&new.clone().named("n7"), PATIENCE).unwrap_err();
    assert!(wrong.to_string().contains("it is called \"n2\""), "{wrong}");
    assert!(matches!(waiting.add_member(&new, PATIENCE), Err(Error::NotMaster { .. })));
    let member = master.add_member(&new, PATIENCE).unwrap();
    assert_eq!((&*member.name, member.id, member.kind), ("n2", 2, MemberType::Electable));
    assert_eq!(master.add_member(&new, PATIENCE), Ok(member.clone()));
    // What it is and what is asked for, if anything.
    let same = new.clone().kind(MemberType::Electable).priority(0);
    assert_eq!(master.add_member(&same, PATIENCE), Ok(member));
    for (other, why) in [
        (new.clone().named("n7"), "it is called \"n2\""),
        (new.clone().kind(MemberType::Secondary), "of type electable"),
        (new.clone().priority(3), "of priority 0"),
    ] {
        let error = master.add_member(&other, PATIENCE).unwrap_err();
        assert!(matches!(error, Error::NotAdded { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    let nowhere = NewMember::at("nowhere");
    let error = master.add_member(&nowhere, PATIENCE).unwrap_err();
    assert!(matches!(error, Error::NotAdded { .. }), "{error}");
}

#[test]
fn a_member_whose_directory_is_wiped_comes_back_by_itself_under_a_new_number() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        let token = world.put("before", "1");
        world.assert_everywhere(token, "before", "1");
        let gone = world.replica();
        world.close(gone);
        let load = Load::at(&world);
        fs::remove_dir_all(world.home(gone)).unwrap();
        world.open(gone);
        load.follow(&world);
        assert_eq!(world.wait_for_another(gone, 3), 4);
        load.assert_kept(&world);
        let token = world.put("after", "1");
        world.assert_everywhere(token, "before", "1");
        world.assert_everywhere(token, "after", "1");
    }
}

#[test]
fn a_member_that_is_removed_stops_and_its_name_can_return() {
    let mut world = World::running(Net::Memory, 3);
    world.put("alice", "1");
    let gone = world.replica();
    world.remove(gone, false);
    let removed = world.env(gone).clone();
    let why = eventually("its end", || match removed.begin() {
        Err(Error::Halted { reason }) => Some(reason),
        _ => None,
    });
    assert!(why.contains("removed"), "{why}");
    assert_eq!(world.listed().len(), 2);
    world.close(gone);
    // Its directory is not admitted again.
    world.join(gone, &[world.master()]);
    let again = world.env(gone).clone();
    eventually("an end at once", || {
        matches!(again.begin(), Err(Error::Halted { .. })).then_some(())
    });
    world.close(gone);
    fs::remove_dir_all(world.home(gone)).unwrap();
    world.join(gone, &[world.master()]);
    assert_eq!(world.wait_for(gone, MemberType::Electable), 4);
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
}

#[test]
fn a_group_moves_to_new_addresses_member_by_member_and_loses_no_write() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        world.put("before", "1");
        let held: Vec<_> = (0..3).map(|_| held_port()).collect();
        let places: Vec<String> = (0..3)
            .map(|at| match net {
                Net::Memory => format!("elsewhere-{at}"),
                Net::Tcp => held[at].1.to_string(),
            })
            .collect();
        let load = Load::at(&world);
        for (at, place) in places.iter().enumerate() {
            let name = format!("n{}", at + 1);
            if world.master() == at {
                eventually("another master", || {
                    world.env(at).transfer_master(&[], PATIENCE, true).ok()
                });
            }
            eventually("a new address", || {
                let update = MemberUpdate::default().address(place);
                world.env(world.master()).update_member(&name, update, PATIENCE).ok()
            });
            world.close(at);
            world.members[at] = format!("{name}={place}");
            world.open(at);
            load.follow(&world);
            eventually("a member at its new place", || {
                let env = world.env(at);
                matches!(env.state(), NodeState::Master | NodeState::Replica).then_some(())
            });
            let token = world.put(&name, "moved");
            view_at(world.env(at), token);
        }
        load.assert_kept(&world);
        let membership = world.env(0).membership().unwrap();
        let now: Vec<&str> = membership.members.iter().map(|member| &*member.address).collect();
        assert_eq!(now, places);
    }
}

#[test]
fn a_group_grows_to_five_and_five_others_take_their_places_one_by_one() {
    for net in BOTH {
        let mut world = World::new(net, 10);
        world.bootstrap(0);
        let load = Load::at(&world);
        for at in 1..10 {
            world.join(at, &[at - 1]);
            load.follow(&world);
            world.wait_for(at, MemberType::Electable);
            if let Some(old) = at.checked_sub(5) {
                world.retire(old);
                load.follow(&world);
            }
        }
        let failed = load.assert_kept(&world);
        let names: Vec<String> = world.listed().into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["n6", "n7", "n8", "n9", "n10"]);
        for error in failed {
            // While the mastership is handed over nobody is let in, and whoever is in may learn too late what became of it.
            let in_a_handover = matches!(
                error,
                Error::NotMaster { .. }
                    | Error::HandingOver { .. }
                    | Error::TurnTaken { .. }
                    | Error::InsufficientAcks {
                        why: Unacknowledged::Deposed | Unacknowledged::Ended,
                        ..
                    }
            );
            assert!(in_a_handover, "{error:?}");
        }
    }
}

#[test]
fn what_would_harm_the_group_is_refused_and_says_why() {
    let world = World::running(Net::Memory, 3);
    world.put("alice", "1");
    let master = world.env(world.master()).clone();
    let not_changed = |error: Error| match error {
        Error::NotChanged { why } => why,
        other => panic!("{other}"),
    };
    let own = master.remove_member(master.name(), PATIENCE, true).unwrap_err();
    assert_eq!(not_changed(own), NotChanged::IsMaster);
    let nobody = master.remove_member("nobody", PATIENCE, false).unwrap_err();
    assert!(nobody.to_string().contains("\"nobody\" is no member"), "{nobody}");
    let apart = master.set_quorums(Quorums::Sizes { election: 1, commit: 1 }, PATIENCE, true);
    let apart = not_changed(apart.unwrap_err());
    assert!(matches!(apart, NotChanged::Apart { .. } | NotChanged::Invalid { .. }), "{apart:?}");
    // A twin of a member that runs.
    let twin = world.replica();
    let config = rep_env::RepConfig::builder("bank", format!("n{}", twin + 1))
        .listen("place-of-the-twin")
        .join([world.address(world.master())])
        .transport(world.hub.transport())
        .ephemeral()
        .build()
        .unwrap();
    let twin = ReplicatedEnvironment::open(config).unwrap();
    let told = eventually("a refusal", || {
        let error = twin.wait_for_master(Duration::ZERO).unwrap_err();
        error.to_string().contains("runs").then(|| error.to_string())
    });
    assert!(told.contains("another data directory"), "{told}");
    twin.close().unwrap();
    // Somebody of another group, of another name.
    let config = rep_env::RepConfig::builder("shop", "n9")
        .listen("place-of-the-shop")
        .join([world.address(0)])
        .transport(world.hub.transport())
        .ephemeral()
        .build()
        .unwrap();
    let stranger = ReplicatedEnvironment::open(config).unwrap();
    let error = master.add_member(&NewMember::at("place-of-the-shop"), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("no such group here"), "{error}");
    stranger.close().unwrap();
    // A member of this one.
    let error = master.add_member(&NewMember::at(world.address(world.replica())), PATIENCE);
    assert!(error.is_ok(), "who is a member is one: {error:?}");
    assert_eq!(world.listed().len(), 3);
}

/// `rep remove REPLICA n4` right after the master had n4: the replica had not heard of it, and said that there is no n4.
#[test]
fn who_is_not_the_master_sends_on_whoever_orders_by_a_name_that_it_does_not_know() {
    let world = World::steady(Net::Memory, 2);
    let (master, replica) = (world.env(world.master()), world.env(world.replica()));
    let ask = |env: &ReplicatedEnvironment| {
        let moved = MemberUpdate::default().address("elsewhere");
        [
            env.remove_member("n4", PATIENCE, false).map(drop),
            env.update_member("n4", moved, PATIENCE).map(drop),
            env.designate("n4", PATIENCE).map(drop),
            env.transfer_master(&["n4"], PATIENCE, false).map(drop),
        ]
    };
    for refused in ask(replica) {
        let Err(Error::NotMaster { master: Some(member) }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(member.name, master.name());
    }
    for refused in ask(master) {
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("\"n4\" is no member"), "{error}");
    }
}

#[test]
fn a_member_is_recorded_only_where_it_can_be_reached_and_no_other_is() {
    let mut world = World::new(Net::Memory, 2);
    let master = world.bootstrap(0);
    world.join(1, &[0]);
    world.wait_for(1, MemberType::Electable);
    let moved = |to: &str| {
        master.update_member("n2", MemberUpdate::default().address(to), PATIENCE).map(drop)
    };
    for (place, why) in [
        ("0.0.0.0:7001", "nobody where this node is"),
        ("[::]:7001", "nobody where this node is"),
        (&*world.address(0), "n1 is at place-1"),
    ] {
        let error = moved(place).unwrap_err();
        assert!(
            matches!(error, Error::NotChanged { why: NotChanged::Invalid { .. } }),
            "{error:?}"
        );
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(moved(&world.address(1)), Ok(()), "it is there already");
    // Another directory under another name, which says that it is where n2 is.
    let twin = rep_env::RepConfig::builder("bank", "n3")
        .listen("place-of-the-twin")
        .advertise(world.address(1))
        .join([""])
        .transport(world.hub.transport())
        .ephemeral();
    let twin = ReplicatedEnvironment::open(twin.build().unwrap()).unwrap();
    let error = master.add_member(&NewMember::at("place-of-the-twin"), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("n2 is at place-2"), "{error}");
    twin.close().unwrap();
    assert_eq!(world.listed().len(), 2);
}

#[test]
fn a_removal_that_would_leave_too_few_is_refused_unless_it_is_forced() {
    let mut world = World::running(Net::Memory, 3);
    world.put("alice", "1");
    let (master, dead) = (world.master(), world.replica());
    let alive = (0..3).find(|at| *at != master && *at != dead).unwrap();
    world.close(dead);
    let env = world.env(master).clone();
    let name = format!("n{}", alive + 1);
    let refused = eventually("a refusal", || match env.remove_member(&name, PATIENCE, false) {
        Err(Error::NotChanged { why }) => Some(why),
        Err(Error::NotMaster { .. }) => None,
        other => panic!("{other:?}"),
    });
    assert!(matches!(refused, NotChanged::LosesQuorum { live: 1, needed: 2 }), "{refused:?}");
    // The dead one is no loss.
    world.remove(dead, false);
    world.remove(alive, true);
    let token = world.put("alice", "2");
    assert_eq!(get(&view_at(world.env(master), token), "alice").as_deref(), Some("2"));
}

#[test]
pub(crate) fn a_secondary_has_a_copy_and_no_vote() {
    let mut world = World::new(Net::Memory, 2);
    let master = world.bootstrap(0);
    let config = world.own_config(1).join([world.address(0)]);
    let config = config.member_type(MemberType::Secondary).priority(7).build().unwrap();
    world.open_as(1, config);
    world.wait_for(1, MemberType::Secondary);
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    let membership = master.membership().unwrap();
    assert_eq!(membership.named("n2").unwrap().priority, 7);
    world.close(1);
    // Nobody misses its vote.
    world.put("alice", "2");
}

/// Two are left whose logs are the same, and it takes both to elect one of them.
#[test]
pub(crate) fn of_equals_the_one_that_is_preferred_is_elected() {
    for preferred in [1, 2] {
        let mut world = World::new(Net::Memory, 3);
        world.bootstrap(0);
        for at in [1, 2] {
            let config = world.own_config(at).join([world.address(0)]);
            let config = config.priority(if at == preferred { 5 } else { 0 });
            world.open_as(at, config.build().unwrap());
            world.wait_for(at, MemberType::Electable);
        }
        if world.master() != 0 {
            eventually("the founder as master", || {
                world.env(world.master()).transfer_master(&["n1"], PATIENCE, true).ok()
            });
        }
        let token = world.put("alice", "1");
        world.assert_everywhere(token, "alice", "1");
        world.close(0);
        assert_eq!(world.master(), preferred);
    }
}

/// With one copy left and the arbiter the group goes on; and the copy that was away is not elected with the arbiter's vote before it has what it
/// missed.
#[test]
fn two_copies_and_an_arbiter_survive_the_loss_of_either_copy_and_forget_nothing() {
    for net in BOTH {
        let mut world = World::new(net, 3);
        world.bootstrap(0);
        world.join(1, &[0]);
        world.wait_for(1, MemberType::Electable);
        let arbiter = world.own_config(2).join([world.address(0)]).member_type(MemberType::Arbiter);
        world.open_as(2, arbiter.build().unwrap());
        assert_eq!(world.wait_for(2, MemberType::Arbiter), 3);
        let token = world.put("both", "1");
        (0..2).for_each(|at| drop(view_at(world.env(at), token)));
        let (master, stale) = (world.master(), world.replica_with_data());
        world.close(stale);
        world.put("one", "1");
        // What the arbiter has vouched for outlives its process, and its master's.
        world.close(2);
        world.close(master);
        let arbiter = world.own_config(2).join([world.address(0)]);
        world.open_as(2, arbiter.build().unwrap());
        world.reopen(stale);
        let lone = world.env(stale).wait_for_master(Duration::from_secs(3));
        assert!(matches!(lone, Err(Error::NoMaster { .. })), "{lone:?}");
        world.reopen(master);
        let token = world.put("again", "1");
        for at in [master, stale] {
            let view = view_at(world.env(at), token);
            let kept = ["both", "one", "again"].map(|key| get(&view, key).is_some());
            assert_eq!(kept, [true; 3]);
        }
        assert_ne!(world.env(2).state(), NodeState::Master);
    }
}

#[test]
fn an_adding_that_is_cancelled_leaves_no_member_behind() {
    let mut world = World::new(Net::Memory, 2);
    let master = world.bootstrap(0);
    let config = world.own_config(1).join([""]).build().unwrap();
    world.open_as(1, config);
    let joining = master.begin_adding(&NewMember::at(world.address(1)), PATIENCE).unwrap();
    assert!(!matches!(joining.stage(), Stage::Gone), "{}", joining.stage());
    let left = joining.cancel(PATIENCE).unwrap();
    assert_eq!(left.members.len(), 1);
    assert_eq!(world.listed().len(), 1);
    world.put("alice", "1");
}

/// Takes calls and never says a word; counts them.
#[derive(Default)]
struct Silent(AtomicUsize);

impl ServiceHandler for Silent {
    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        while let Ok(Some(_)) = channel.receive(Instant::now() + PATIENCE) {}
    }

    fn needs_group(&self) -> bool {
        false
    }
}

#[test]
fn a_helper_that_does_not_answer_keeps_nobody_from_closing() {
    let mut world = World::new(Net::Memory, 2);
    let (table, silent) = (ServiceTable::new(), Arc::new(Silent::default()));
    table.host(Host::new("bank", "n1", [1; 16])).unwrap();
    table.register("bank", "join", Arc::clone(&silent) as _).unwrap();
    let _listener =
        world.hub.transport().listen(&Address::new(world.address(0)), Arc::new(table)).unwrap();
    let joiner = world.own_config(1).join([world.address(0)]);
    // Less than an answer would be waited for.
    let joiner = joiner.tune(|timing, _| timing.close_timeout = Duration::from_secs(5));
    world.open_as(1, joiner.build().unwrap());
    eventually("a question", || (silent.0.load(Ordering::SeqCst) > 0).then_some(()));
    world.close(1);
}

#[test]
fn who_wants_to_join_waits_for_its_helper_and_says_so_and_gives_up_when_it_is_closed() {
    let mut world = World::new(Net::Memory, 2);
    let joiner = world.join(1, &[0]);
    let why = eventually("a reason", || {
        let Err(Error::NoMaster { why, .. }) = joiner.wait_for_master(Duration::ZERO) else {
            panic!("a master of nothing");
        };
        why.contains("place-1").then_some(why)
    });
    assert!(why.contains("no member yet"), "{why}");
    world.close(1);
    world.join(1, &[0]);
    world.bootstrap(0);
    world.wait_for(1, MemberType::Electable);
    let error = Error::StillLearning { name: "n2".into(), waited: PATIENCE, lag: None };
    assert!(matches!(error.verdict(), Verdict::RetryHere { .. }));
}
