//! A member that no log reaches any more: how fast it is given a copy of the state while the others write on, and what memory that takes.

use crate::Options;
use crate::catch_up::loopback;
use crate::group::Here;
use crate::load::eventually;
use crate::log::disk_floor;
use crate::parts::{Any, Table, ms};
use rep_env::config::RepConfigBuilder;
use rep_env::{Error, NodeState, ReplicatedEnvironment, StoreKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Pairs of one transaction.
const PAIRS: u64 = 64;
const VALUE: usize = 4 << 10;
const PATIENCE: Duration = Duration::from_secs(300);

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
    let mut group = Here::start_as(StoreKind::Redb, forgetful)?;
    let away = group.close_replica()?;
    let bytes = (options.gib * (1u64 << 30) as f64) as u64;
    // So much that the logs of the others have forgotten what the member needs.
    let times = (96_u64 << 20).div_ceil(bytes).max(1);
    (0..times).try_for_each(|_| fill(group.master(), bytes))?;
    let table = Table::begin(name, group.dir.path())?;
    let (net, disk) = (loopback(bytes)?, disk_floor(group.dir.path(), bytes)?);
    let idle = resident();
    let (stop, peak, written) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    group.open_again(away)?;
    let took = thread::scope(|scope| {
        let env = group.member(away);
        let master = group.master();
        scope.spawn(|| watch(&stop, &peak));
        scope.spawn(|| write_on(master, &stop, &written));
        let restored = || (env.stats().restores > 0).then(|| begun.elapsed());
        let took = eventually(PATIENCE, restored);
        let follows = || (env.state() == NodeState::Replica).then_some(());
        let followed = eventually(PATIENCE, follows);
        stop.store(true, Ordering::SeqCst);
        took.filter(|_| followed.is_some()).ok_or("it was given no copy, or does not follow")
    })?;
    let mega = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
    let floors = format!("raw loopback {:.0} MB/s, disk floor {:.0} MB/s", mega(net), mega(disk));
    let what =
        format!("a state of {} MiB fetched and installed in {} ({floors})", bytes >> 20, ms(took));
    let share = format!("{:.2} of the slower", net.max(disk).as_secs_f64() / took.as_secs_f64());
    table.row(&what, &format!("{:.0} MB/s", mega(took)), &share);
    let above = peak.load(Ordering::SeqCst).saturating_sub(idle) >> 20;
    table.row(
        "memory of all three members meanwhile, above what it was before",
        &format!("{above} MiB"),
        "",
    );
    let writes = written.load(Ordering::SeqCst);
    table.row("writes acknowledged to one writer meanwhile", &format!("{writes}"), "");
    Ok(())
}

/// Writes values of its own to every key: so many bytes.
fn fill(env: &ReplicatedEnvironment, bytes: u64) -> Result<(), Error> {
    let database = env.database("bench");
    let mut value = vec![7; VALUE];
    for first in (0..bytes / VALUE as u64).step_by(PAIRS as usize) {
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

fn watch(stop: &AtomicBool, peak: &AtomicU64) {
    while !stop.load(Ordering::SeqCst) {
        peak.fetch_max(resident(), Ordering::SeqCst);
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Bytes of this process that are in memory, without those of files.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0_u64) << 10
}
