//! A member that no log reaches any more: how fast it is given a copy of the state while the others write on.

mod processes;

pub(crate) use processes::processes;

use crate::Options;
use crate::catch_up::loopback;
use crate::group::Here;
use crate::load::eventually;
use crate::log::disk_floor;
use crate::parts::{Any, Table, ms};
use rep_env::config::RepConfigBuilder;
use rep_env::{Error, NodeState, ReplicatedEnvironment, StoreKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Pairs of one transaction.
const PAIRS: u64 = 64;
/// A pair of the one length reaches a little beyond a page of a store on disk; of the other three fit into one.
const VALUES: [usize; 2] = [4 << 10, 1 << 10];
const PATIENCE: Duration = Duration::from_secs(600);

/// Logs that forget soon, and copies that are not held back.
fn forgetful(config: RepConfigBuilder) -> RepConfigBuilder {
    config.tune(|_, limits| {
        limits.segment_bytes = 8 << 20;
        limits.checkpoint_bytes = 8 << 20;
        limits.log_retention_bytes = 32 << 20;
        limits.restore_bytes_per_s = 1 << 40;
    })
}

pub(crate) fn restore(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    VALUES.iter().try_for_each(|value| restore_of(name, options, *value))
}

fn restore_of(name: &str, options: &Options, value: usize) -> Result<(), Box<dyn Any>> {
    let mut group = Here::start_as(StoreKind::Redb, forgetful)?;
    let away = group.close_replica()?;
    let bytes = bytes_of(options);
    // So much that the logs of the others have forgotten what the member needs.
    let times = (96_u64 << 20).div_ceil(bytes).max(1);
    (0..times).try_for_each(|_| fill(group.master(), bytes, value))?;
    let (table, floors) = floors(name, group.dir.path(), bytes)?;
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    group.open_again(away)?;
    let times = thread::scope(|scope| {
        let (env, master) = (group.member(away), group.master());
        scope.spawn(|| write_on(master, &stop, &written));
        let mut times = Times::default();
        let followed = eventually(PATIENCE, || {
            let stats = env.stats();
            times.look(begun.elapsed(), stats.restore_bytes, stats.restores);
            (stats.restores > 0 && env.state() == NodeState::Replica).then_some(())
        });
        stop.store(true, Ordering::SeqCst);
        followed.map(|()| times).ok_or("it was given no copy, or does not follow")
    })?;
    floors.row(&table, value, &times);
    let writes = written.load(Ordering::SeqCst);
    table.row("writes acknowledged to one writer meanwhile", &format!("{writes}"), "");
    Ok(())
}

fn bytes_of(options: &Options) -> u64 {
    (options.gib * (1u64 << 30) as f64) as u64
}

/// How long the machine takes for so many bytes, at least.
struct Floors {
    bytes: u64,
    net: Duration,
    disk: Duration,
}

fn floors<'a>(
    name: &'a str,
    directory: &Path,
    bytes: u64,
) -> Result<(Table<'a>, Floors), Box<dyn Any>> {
    let table = Table::begin(name, directory)?;
    let (net, disk) = (loopback(bytes)?, disk_floor(directory, bytes)?);
    std::fs::remove_file(directory.join("disk-floor"))?;
    Ok((table, Floors { bytes, net, disk }))
}

/// How long it took from the opening until the first part of a copy had come, all of it, and until it was in its place.
#[derive(Debug, Default)]
struct Times {
    bytes: u64,
    first: Duration,
    all: Duration,
    placed: Duration,
}

impl Times {
    /// So many bytes have come by now, and so many copies are in their place.
    fn look(&mut self, now: Duration, bytes: u64, restores: u64) {
        if bytes > self.bytes {
            self.first = if self.bytes == 0 { now } else { self.first };
            (self.bytes, self.all) = (bytes, now);
        }
        if restores > 0 && self.placed.is_zero() {
            self.placed = now;
        }
    }
}

impl Floors {
    fn row(&self, table: &Table<'_>, value: usize, times: &Times) {
        let Floors { bytes, net, disk } = *self;
        let mega = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
        let (mib, took) = (bytes >> 20, times.placed);
        let (first, all, placed) = (ms(times.first), ms(times.all), ms(took));
        let (net_floor, disk_floor) = (mega(net), mega(disk));
        let what = format!(
            "a state of {mib} MiB in pairs of {value} bytes: begun after {first}, fetched after {all}, installed after {placed} \
             (raw loopback {net_floor:.0} MB/s, disk floor {disk_floor:.0} MB/s)"
        );
        let share = net.max(disk).as_secs_f64() / took.as_secs_f64();
        table.row(&what, &format!("{:.0} MB/s", mega(took)), &format!("{share:.2} of the slower"));
    }
}

/// Writes values of its own to every key: so many bytes.
fn fill(env: &ReplicatedEnvironment, bytes: u64, value: usize) -> Result<(), Error> {
    let database = env.database("bench");
    let mut value = vec![7; value];
    for first in (0..bytes / value.len() as u64).step_by(PAIRS as usize) {
        let mut txn = env.begin()?;
        for key in first..first + PAIRS {
            value[..8].copy_from_slice(&key.to_le_bytes());
            txn.put(&database, &key.to_be_bytes(), &value)?;
        }
        txn.commit()?.wait()?;
    }
    Ok(())
}

fn write_on(env: &ReplicatedEnvironment, stop: &AtomicBool, written: &AtomicU64) {
    let database = env.database("bench");
    while !stop.load(Ordering::SeqCst) {
        let put = || {
            let mut txn = env.begin()?;
            txn.put(&database, b"meanwhile", b"written")?;
            txn.commit()?.wait()
        };
        if put().is_ok() {
            written.fetch_add(1, Ordering::SeqCst);
        }
    }
}
