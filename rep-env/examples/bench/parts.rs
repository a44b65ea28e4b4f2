//! The parts of the run, each a few rows of the table.

use crate::Options;
use crate::floor::Floor;
use crate::group::{Here, Speech, There};
use crate::load::{self, Load, VALUE, cpu_secs, eventually, median};
use crate::redis::Client;
use bytes::Bytes;
use rep_env::net::{Channel, Limits, mem};
use rep_env::{
    CommitToken, Consistency, Durability, Error, ReplicatedEnvironment, Stats, StoreKind, SyncClass,
};
pub(crate) use std::error::Error as Any;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

type Part = fn(&str, &Options) -> Result<(), Box<dyn Any>>;

pub(crate) const PARTS: &[(&str, Part)] = &[
    ("facade-memory", |name, options| facade(name, StoreKind::Memory, SYNCED, options)),
    ("facade-redb", |name, options| facade(name, StoreKind::Redb, SYNCED, options)),
    ("nosync-memory", |name, options| facade(name, StoreKind::Memory, WRITTEN, options)),
    ("nosync-redb", |name, options| facade(name, StoreKind::Redb, WRITTEN, options)),
    ("reads", reads),
    ("redis-memory", |name, options| redis(name, "memory", (Speech::Tcp, &[]), options)),
    ("redis-memory-tls", |name, options| redis(name, "memory", (Speech::Tls, &[]), options)),
    ("redis-memory-quic", |name, options| redis(name, "memory", (Speech::Quic, &[]), options)),
    ("redis-redb", |name, options| redis(name, "redb", (Speech::Tcp, &[]), options)),
    ("nosync-redis-memory", |name, options| redis(name, "memory", RESP_WRITTEN, options)),
    ("nosync-redis-redb", |name, options| redis(name, "redb", RESP_WRITTEN, options)),
    ("failover", failover),
    ("transfer", crate::transfer::transfer),
    ("catch-up", crate::catch_up::catch_up),
    ("restore", crate::restore::restore),
    ("restore-processes", crate::restore::processes),
    ("idle", crate::idle::idle),
    ("channel", channel),
    ("append", crate::log::append),
    ("index", crate::log::index),
    ("recovery", crate::log::recovery),
];

pub(crate) const WIDTHS: [usize; 4] = [1, 8, 32, 128];
const KEYS: usize = 10_000;
const SYNCED: Durability = Durability::SYNC_MAJORITY;
/// A majority has it, in the hands of the operating system.
const WRITTEN: Durability = SYNCED.local(SyncClass::NoSync).replica(SyncClass::NoSync);

/// The same for the clients of three servers.
const RESP_WRITTEN: Serving = (Speech::Tcp, &["resp_durability=nosync/nosync/majority"]);
/// What the servers speak to each other, and what else they are told.
type Serving = (Speech, &'static [&'static str]);

// ---- writes ----

fn facade(
    name: &str,
    store: StoreKind,
    durability: Durability,
    options: &Options,
) -> Result<(), Box<dyn Any>> {
    let group = Here::start(store)?;
    let table = Table::begin(name, group.dir.path())?;
    let env = group.master();
    let mut one = None;
    for &width in &options.writers {
        let before = cpu_secs(&[std::process::id()]);
        let counted = env.stats();
        let load = load::run(width, options.time, |worker| {
            let mut number = worker;
            move || {
                number += width;
                put(env, &format!("key-{}", number % KEYS), durability).is_ok()
            }
        });
        let cpu = cpu_secs(&[std::process::id()]) - before;
        table.writes(width, &load, cpu, "with its callers", &mut one);
        table.row(&master_work(&counted, &env.stats(), load.done), "", "");
    }
    Ok(())
}

/// What the master did for its writes.
fn master_work(before: &Stats, after: &Stats, writes: usize) -> String {
    let frames = |stats: &Stats| stats.replicas.iter().map(|peer| peer.frames_sent).sum::<u64>();
    let received =
        |stats: &Stats| stats.replicas.iter().map(|peer| peer.frames_received).sum::<u64>();
    let of_1000 = |after: u64, before: u64| (after - before) * 1000 / writes.max(1) as u64;
    format!(
        "of 1000 of these writes: {} syncs, {} frames sent, {} received, {} turns, {} batches applied",
        of_1000(after.log_syncs, before.log_syncs),
        of_1000(frames(after), frames(before)),
        of_1000(received(after), received(before)),
        of_1000(after.steps, before.steps),
        of_1000(after.batches_applied, before.batches_applied),
    )
}

fn put(
    env: &ReplicatedEnvironment,
    key: &str,
    durability: Durability,
) -> Result<CommitToken, Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("bench"), key.as_bytes(), VALUE.as_bytes())?;
    txn.commit_with(durability)?.wait()
}

fn redis(
    name: &str,
    store: &'static str,
    (speech, settings): Serving,
    options: &Options,
) -> Result<(), Box<dyn Any>> {
    let Some(rep) = &options.rep else { return skipped(name) };
    let group = There::start_with(rep, store, speech, settings)?;
    let table = Table::begin(name, group.dir.path())?;
    let port = &group.ports[group.wait_for_master()];
    let mut one = None;
    for &width in &options.writers {
        let before = cpu_secs(&group.processes());
        let load = load::run(width, options.time, |worker| {
            let mut client = Client::connect(port).expect("the master takes clients");
            let mut number = worker;
            move || {
                number += width;
                client.set(&format!("key-{}", number % KEYS), VALUE)
            }
        });
        let cpu = cpu_secs(&group.processes()) - before;
        table.writes(width, &load, cpu, "three servers", &mut one);
    }
    let load = load::run(32, options.time, |worker| {
        let mut client = Client::connect(port).expect("the master takes clients");
        move || client.get(&format!("key-{worker}"))
    });
    table.row("GET by 32 clients at the master", &per_second(&load), "");
    Ok(())
}

pub(crate) fn skipped(name: &str) -> Result<(), Box<dyn Any>> {
    println!("| {name} | | | needs `--rep PATH` of the `rep` binary | | |");
    Ok(())
}

// ---- reads ----

const BOUND: Duration = Duration::from_millis(100);

fn reads(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let group = Here::start(StoreKind::Memory)?;
    let table = Table::begin(name, group.dir.path())?;
    let token = put(group.master(), "key", SYNCED)?;
    let cases = [
        ("applied, at the master", group.master(), Consistency::None),
        ("token, at a replica", group.replica(), Consistency::AtLeast(token)),
        ("linearizable, at the master", group.master(), Consistency::Linearizable),
        ("linearizable, at a replica", group.replica(), Consistency::Linearizable),
        ("at most 100 ms old, at a replica", group.replica(), Consistency::Bounded(BOUND)),
    ];
    for (what, env, consistency) in cases {
        for width in [1, 32] {
            let load = load::run(width, options.time, |_| {
                let database = env.database("bench");
                move || {
                    let view = env.read(consistency).wait();
                    view.is_ok_and(|view| view.get(&database, b"key").is_ok())
                }
            });
            let what = format!("{what}, {width} readers, p50 {}", us(load.p50));
            table.row(&what, &per_second(&load), &times(load.p50, table.floor.trip, "RTT"));
        }
    }
    Ok(())
}

// ---- failover ----

fn failover(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let Some(rep) = &options.rep else { return skipped(name) };
    let mut group = There::start(rep, "memory", Speech::Tcp)?;
    let table = Table::begin(name, group.dir.path())?;
    let mut gaps = Vec::new();
    for _ in 0..options.kills {
        let master = group.wait_for_master();
        // Everybody is in the company before the next one is lost.
        load::pause(Duration::from_millis(1500));
        group.kill(master);
        let begun = Instant::now();
        eventually(Duration::from_secs(30), || group.master()).ok_or("nobody took over")?;
        gaps.push(begun.elapsed());
        group.run(master)?;
    }
    let worst = gaps.iter().max().copied().unwrap_or_default();
    let what = format!(
        "SIGKILL of the master until the next acknowledged write, median of {}",
        gaps.len()
    );
    table.row(&what, &ms(median(&mut gaps)), "");
    table.row("the longest of them", &ms(worst), "");
    let master = group.wait_for_master();
    load::pause(Duration::from_millis(1500));
    group.freeze(master)?;
    let begun = Instant::now();
    eventually(Duration::from_secs(30), || group.master()).ok_or("nobody took over")?;
    table.row("SIGSTOP of the master until the next acknowledged write", &ms(begun.elapsed()), "");
    Ok(())
}

// ---- channel ----

fn channel(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let dir = TempDir::new()?;
    let table = Table::begin(name, dir.path())?;
    let bare = bare_rate(options.time);
    let ours = memory_rate(options.time);
    table.row("crossbeam, bounded(1024), 128 byte frames", &format!("{:.0}/s", bare), "");
    let share = format!("{:.2} of crossbeam", ours / bare);
    table.row("memory channel, 128 byte frames", &format!("{:.0}/s", ours), &share);
    Ok(())
}

fn bare_rate(time: Duration) -> f64 {
    let (sender, receiver) = crossbeam_channel::bounded::<Bytes>(1024);
    let frame = Bytes::from_static(&[7; 128]);
    thread::scope(|scope| {
        scope.spawn(move || while sender.send(frame.clone()).is_ok() {});
        let rate = rate_of(time, || receiver.recv().is_ok());
        drop(receiver);
        rate
    })
}

fn memory_rate(time: Duration) -> f64 {
    let (left, right) = mem::pair(&Limits::default());
    let frame = Bytes::from_static(&[7; 128]);
    thread::scope(|scope| {
        scope.spawn(move || while left.send(frame.clone()).is_ok() {});
        let far = Instant::now() + Duration::from_secs(3600);
        let rate = rate_of(time, || right.receive(far).is_ok());
        right.close();
        rate
    })
}

/// How often per second; the clock is looked at now and then only.
fn rate_of(time: Duration, mut step: impl FnMut() -> bool) -> f64 {
    let (begun, mut steps) = (Instant::now(), 0_u64);
    while begun.elapsed() < time && (0..256).all(|_| step()) {
        steps += 256;
    }
    steps as f64 / begun.elapsed().as_secs_f64()
}

// ---- rows ----

/// The rows of one part, beside the floors of its own minute.
pub(crate) struct Table<'a> {
    part: &'a str,
    pub(crate) floor: Floor,
}

impl<'a> Table<'a> {
    pub(crate) fn begin(part: &'a str, directory: &std::path::Path) -> std::io::Result<Self> {
        Ok(Table { part, floor: Floor::measure(directory)? })
    }

    pub(crate) fn row(&self, what: &str, result: &str, ratio: &str) {
        let Floor { sync, trip } = self.floor;
        let (part, sync, trip) = (self.part, sync.as_micros(), trip.as_micros());
        println!("| {part} | {sync} | {trip} | {what} | {result} | {ratio} |");
    }

    fn writes(&self, width: usize, load: &Load, cpu: f64, of: &str, one: &mut Option<f64>) {
        let Load { done, failed, rate, p50, p99 } = load;
        let plural = if width == 1 { "writer" } else { "writers" };
        let mut what = format!("{width} {plural}, p50 {}, p99 {}", us(*p50), us(*p99));
        if *failed > 0 {
            what += &format!(", {failed} refused");
        }
        what += &format!(", CPU of 1000 writes {:.0} ms ({of})", cpu * 1e6 / *done as f64);
        let one = *one.get_or_insert(*rate);
        let ratio = match width {
            // Nothing is faster than its floor; the disk has changed its mind since.
            1 if *p50 < self.floor.sync && !self.part.starts_with("nosync") => {
                "the floor moved: run again".to_owned()
            }
            1 => times(*p50, self.floor.commit(), "(sync + RTT)"),
            _ => format!("{:.1} x one writer", rate / one),
        };
        self.row(&what, &per_second(load), &ratio);
    }
}

fn per_second(load: &Load) -> String {
    format!("{:.0}/s", load.rate)
}

fn times(time: Duration, floor: Duration, of: &str) -> String {
    format!("{:.2} x {of}", time.as_secs_f64() / floor.as_secs_f64())
}

fn us(time: Duration) -> String {
    format!("{} us", time.as_micros())
}

pub(crate) fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
