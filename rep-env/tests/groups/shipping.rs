//! Entries that leave the group: to folders that are logs, and to sinks of one's own, through failovers, cleaning and sinks that are slow.

use crate::world::{Net, PATIENCE, World, eventually, get, put, steady, view_at};
use rep_env::config::{Limits, RepConfigBuilder, Timing};
use rep_env::log::{FileDisk, LogConfig, Seen, verify, walk};
use rep_env::net::mesh::Mesh;
use rep_env::shipping::segments::{Folder, Segment, SegmentSink, ShardId};
use rep_env::shipping::{Archive, MeshSink, MeshStore};
use rep_env::{
    Error, GroupId, LogPoint, MemberType, RepConfig, ReplicatedEnvironment, ShipProblem, Vlsn,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEGMENT: u64 = 1 << 20;

fn small_files(timing: &mut Timing, limits: &mut Limits) {
    timing.ship_interval = Duration::from_millis(5);
    limits.segment_bytes = SEGMENT;
    limits.checkpoint_bytes = SEGMENT;
}

/// The entries of a log that nobody has open, as bytes.
fn entries(dir: &Path) -> BTreeMap<u64, Vec<u8>> {
    let disk = FileDisk::open_read_only(dir).unwrap();
    let mut entries = BTreeMap::new();
    for seen in walk(&disk, Vlsn::FIRST).unwrap() {
        if let Seen::Entry(record, _) = seen.unwrap() {
            entries.insert(record.point().vlsn.get(), record.bytes().to_vec());
        }
    }
    entries
}

/// All members ship to one folder: one at a time does, and another goes on when that one ends.
#[test]
pub(super) fn a_folder_has_the_groups_history_whoever_ships_and_whatever_is_cleaned() {
    let mut world = World::new(Net::Memory, 3);
    let archive = world.home(9);
    let open = |world: &mut World, at: usize| {
        let config = world.config(at).ship_to(&archive).tune(small_files);
        let config = config.tune(|_, limits| limits.log_retention_bytes = 2 * SEGMENT);
        world.open_as(at, config.build().unwrap());
    };
    (0..3).for_each(|at| open(&mut world, at));
    let value = "x".repeat(100 << 10);
    let shipped = |world: &World, upto: u64| {
        let has = |env: &ReplicatedEnvironment| env.stats().shipped.is_some_and(|it| it >= upto);
        eventually("an archive that has it", || world.running_envs().any(has).then_some(()));
    };
    let mut last = 0;
    for round in 0..4 {
        for number in 0..12 {
            last = world.put(&format!("{round}-{number}"), &value).point().vlsn.get();
        }
        // Once in the middle of it, once when all has left.
        if round % 2 == 0 {
            shipped(&world, last);
        }
        let master = world.master();
        world.close(master);
        last = world.put("meanwhile", "another master").point().vlsn.get();
        open(&mut world, master);
    }
    shipped(&world, last);
    let cleaned = |env: &ReplicatedEnvironment| *env.vlsn_range().unwrap().start() > Vlsn::FIRST;
    assert!(world.running_envs().any(cleaned), "the head of a log is gone");
    (0..3).for_each(|at| world.close(at));
    let found = verify(&FileDisk::open_read_only(&archive).unwrap()).unwrap();
    assert!(found.segments > 2, "several files: {found:?}");
    let archived = entries(&archive);
    assert!(archived.keys().copied().eq(1..=archived.len() as u64), "no entry is missing");
    assert!(archived.len() as u64 >= last);
    for at in 0..3 {
        let own = entries(&world.home(at));
        let settled = own.iter().filter(|(vlsn, _)| **vlsn <= last);
        for (vlsn, bytes) in settled {
            assert_eq!(archived.get(vlsn), Some(bytes), "entry {vlsn} at n{}", at + 1);
        }
    }
}

/// A sink that takes nothing when it is told so; what it has, as a run of entries.
#[derive(Clone, Default)]
struct Taker(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    last: LogPoint,
    is_away: bool,
    panics: bool,
}

impl Taker {
    fn change(&self, change: impl FnOnce(&mut Taken)) {
        change(&mut self.0.lock().unwrap());
    }

    fn last(&self) -> u64 {
        self.0.lock().unwrap().last.vlsn.get()
    }
}

impl SegmentSink for Taker {
    type Error = &'static str;

    fn acknowledged(&mut self, _: GroupId, _: ShardId) -> Result<LogPoint, &'static str> {
        let taken = self.0.lock().unwrap();
        if taken.is_away { Err("it is away") } else { Ok(taken.last) }
    }

    fn take(&mut self, segment: &Segment) -> Result<(), &'static str> {
        let mut taken = self.0.lock().unwrap();
        assert_eq!(segment.prev(), taken.last, "nothing is skipped");
        if taken.panics {
            drop(taken);
            panic!("a sink's own mistake");
        }
        if taken.is_away {
            return Err("it is away");
        }
        taken.last = segment.last();
        Ok(())
    }
}

fn alone(retention: u64) -> (World, ReplicatedEnvironment) {
    let mut world = World::new(Net::Memory, 1);
    let config = world.config(0).tune(|timing, limits| {
        steady(timing);
        timing.election_timeout = Duration::from_millis(300);
        timing.checkpoint_interval = Duration::from_millis(50);
        small_files(timing, limits);
        limits.log_retention_bytes = retention;
        // Else memory still has what is gone from the files.
        limits.tail_bytes_max = 64 << 10;
    });
    let env = world.open_as(0, config.build().unwrap());
    env.wait_for_master(PATIENCE).unwrap();
    (world, env)
}

fn first(env: &ReplicatedEnvironment) -> u64 {
    env.vlsn_range().unwrap().start().get()
}

#[test]
pub(super) fn what_is_durable_leaves_as_often_as_told() {
    let with = |interval: Duration| {
        let mut world = World::new(Net::Memory, 1);
        let config = world.config(0).tune(|timing, _| timing.ship_interval = interval);
        let env = world.open_as(0, config.build().unwrap());
        env.wait_for_master(PATIENCE).unwrap();
        put(&env, "alice", "0").unwrap();
        let taker = Taker::default();
        env.ship_to("audit", taker.clone()).unwrap();
        eventually("a first segment", || (taker.last() > 0).then_some(()));
        (world, env, taker)
    };
    let (_often, often, taken) = with(Duration::from_millis(5));
    let (_never, never, kept) = with(Duration::from_secs(1_000_000));
    let mut last = (0, 0);
    for value in ["1", "2", "3", "4"] {
        last = (put(&often, "alice", value).unwrap().point().vlsn.get(), last.1);
        last.1 = put(&never, "alice", value).unwrap().point().vlsn.get();
        eventually("its next segment", || (taken.last() >= last.0).then_some(()));
    }
    assert!(kept.last() < last.1, "it was not asked again");
}

#[test]
fn a_log_waits_for_a_sink_that_is_away_and_the_sink_misses_nothing() {
    // More than is written before a machine that is busy with something else has made its checkpoints.
    let (_world, env) = alone(1024 * SEGMENT);
    let taker = Taker::default();
    let shipping = env.ship_to("audit", taker.clone()).unwrap();
    put(&env, "alice", "1").unwrap();
    eventually("a first segment", || (taker.last() > 0).then_some(()));
    taker.change(|taken| taken.is_away = true);
    let value = "x".repeat(200 << 10);
    let checkpoints = env.stats().checkpoints;
    eventually("checkpoints of full files", || {
        put(&env, "key", &value).unwrap();
        let stats = env.stats();
        (stats.checkpoints > checkpoints + 6 && stats.ship_lag > Some(20)).then_some(())
    });
    assert_eq!(first(&env), 1, "nothing that the sink lacks is cleaned away");
    let away = Some(ShipProblem::Sink("it is away".to_owned()));
    eventually("its trouble", || (shipping.problem() == away).then_some(()));
    taker.change(|taken| taken.is_away = false);
    let last = put(&env, "alice", "2").unwrap().point();
    eventually("the rest", || (taker.last() >= last.vlsn.get()).then_some(()));
    eventually("its word", || (shipping.acknowledged() >= Some(last)).then_some(()));
    assert_eq!(shipping.problem(), None);
    eventually("a cleaning", || {
        put(&env, "key", &value).unwrap();
        (first(&env) > 1).then_some(())
    });
}

#[test]
fn a_sink_that_is_away_for_too_long_is_told_of_the_gap_and_gets_nothing() {
    let (_world, env) = alone(2 * SEGMENT);
    let taker = Taker::default();
    let shipping = env.ship_to("audit", taker.clone()).unwrap();
    put(&env, "alice", "1").unwrap();
    eventually("a first segment", || (taker.last() > 0).then_some(()));
    taker.change(|taken| taken.is_away = true);
    let held = taker.last();
    let value = "x".repeat(200 << 10);
    eventually("a log that waits no longer", || {
        put(&env, "key", &value).unwrap();
        (first(&env) > held + 1).then_some(())
    });
    taker.change(|taken| taken.is_away = false);
    let gap = eventually("a gap", || match shipping.problem() {
        Some(ShipProblem::Gap { acknowledged, first }) => Some((acknowledged.get(), first.get())),
        _ => None,
    });
    assert!(gap.0 == taker.last() && gap.1 > gap.0 + 1, "{gap:?}");
    assert!(env.stats().ships_failed > 0);
    // Another one begins with what there is.
    let other = Taker::default();
    let from = first(&env);
    other.change(|taken| taken.last = LogPoint::NULL);
    let late = env.ship_to("late", Late(other.clone(), None)).unwrap();
    eventually("all that is left", || late.acknowledged().filter(|it| it.vlsn.get() > from));
    assert_eq!(taker.last(), gap.0);
}

/// A sink that has nothing takes whatever comes first.
struct Late(Taker, Option<LogPoint>);

impl SegmentSink for Late {
    type Error = &'static str;

    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, &'static str> {
        self.0.acknowledged(group, shard)
    }

    fn take(&mut self, segment: &Segment) -> Result<(), &'static str> {
        if self.1.replace(segment.last()).is_none() {
            self.0.change(|taken| taken.last = segment.prev());
        }
        self.0.take(segment)
    }
}

#[test]
fn a_sink_has_one_name_and_ends_when_it_is_told_panics_or_all_is_over() {
    let (world, env) = alone(64 * SEGMENT);
    let taker = Taker::default();
    let shipping = env.ship_to("audit", taker.clone()).unwrap();
    let again = env.ship_to("audit", Taker::default()).unwrap_err();
    assert!(matches!(again, Error::Invalid { .. }), "{again}");
    let mistaken = Taker::default();
    mistaken.change(|taken| taken.panics = true);
    let other = env.ship_to("mistaken", mistaken).unwrap();
    eventually("a panic", || (other.problem() == Some(ShipProblem::Panicked)).then_some(()));
    let token = put(&env, "alice", "1").unwrap();
    eventually("the other goes on", || (taker.last() >= token.point().vlsn.get()).then_some(()));
    assert_eq!(get(&view_at(&env, token), "alice").as_deref(), Some("1"));
    shipping.stop();
    eventually("its name is free", || env.ship_to("audit", taker.clone()).ok());
    drop(world);
    env.close().unwrap();
    let over = env.ship_to("late", Taker::default()).unwrap_err();
    assert_eq!(over, Error::Closed);
}

#[test]
fn no_member_ships_into_a_home() {
    let (mut world, env) = alone(64 * SEGMENT);
    let mut config = || world.config(0);
    let refused = |config: RepConfigBuilder| match config.build() {
        Err(Error::Config { option: "ship_to", .. }) => {}
        other => panic!("{other:?}"),
    };
    refused(config().ship_to(""));
    let home = world.home(0);
    let config = || RepConfig::builder("bank", "n1").home(&home).bootstrap().listen("127.0.0.1:1");
    refused(config().ship_to(home.join("archive")));
    let joining = RepConfig::builder("bank", "n1").home(&home).join(["127.0.0.1:2"]);
    let arbiter = joining.listen("127.0.0.1:1").member_type(MemberType::Arbiter);
    refused(arbiter.ship_to(world.home(1)));
    config().ship_to(world.home(1)).build().unwrap();
    // A member that is not running does not lose its home to another one's archive.
    let mut other = World::new(Net::Memory, 1);
    other.open(0).wait_for_master(PATIENCE).unwrap();
    other.close(0);
    let before = entries(&other.home(0));
    let archive = Archive::new(other.home(0), Default::default(), ShardId(0));
    let shipping = env.ship_to("a mistake", archive).unwrap();
    let why = eventually("a reason", || shipping.problem()).to_string();
    assert!(why.contains("is a member's home"), "{why}");
    shipping.stop();
    assert_eq!(entries(&other.home(0)), before);
}

/// What leaves over a mesh is the same log, from whichever member it comes.
#[test]
fn a_store_behind_a_mesh_has_the_groups_history_from_whoever_ships() {
    let mut world = World::tuned(Net::Memory, 3, small_files);
    let (mesh, archive) = (Mesh::new(), world.home(9));
    let config = LogConfig::default().with_segment_bytes(SEGMENT);
    let folder = Folder::open(FileDisk::open(&archive).unwrap(), config, ShardId(0)).unwrap();
    let store = mesh.create("archive").unwrap();
    let ends: Vec<_> = ["n1", "n2"]
        .into_iter()
        .map(|name| {
            let end = mesh.create(name).unwrap();
            mesh.connect(&name, &"archive").unwrap();
            mesh.connect(&"archive", &name).unwrap();
            end
        })
        .collect();
    let store = MeshStore::new(store, folder);
    let serving = std::thread::spawn(move || store.run());
    let mut last = 0;
    for (at, end) in ends.into_iter().enumerate() {
        let shipping = world.env(at).ship_to("mesh", MeshSink::new(end, "archive")).unwrap();
        for number in 0..10 {
            last = world.put(&format!("k{number}"), &"x".repeat(100 << 10)).point().vlsn.get();
        }
        eventually("a store that has it", || {
            let acknowledged = shipping.acknowledged()?.vlsn.get();
            (acknowledged >= last).then_some(())
        });
        world.close(at);
        let config = world.config(at).tune(small_files).build().unwrap();
        world.open_as(at, config);
    }
    // With the members' sinks everybody is gone who could ask.
    serving.join().unwrap().close().unwrap();
    let archived = entries(&archive);
    assert!(archived.keys().copied().eq(1..=archived.len() as u64), "no entry is missing");
    assert!(archived.len() as u64 >= last);
    let found = verify(&FileDisk::open_read_only(&archive).unwrap()).unwrap();
    assert_eq!(found.entries, archived.len() as u64);
}
