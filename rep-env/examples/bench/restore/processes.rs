//! The same between three `rep serve`, where each side's memory can be told: what it takes beyond what it took before.

use super::{PAIRS, PATIENCE, Times, VALUES, bytes_of, floors};
use crate::Options;
use crate::group::{Speech, There};
use crate::load::{eventually, pause};
use crate::parts::{Any, Table, skipped};
use crate::redis::Client;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SETTINGS: [&str; 4] = [
    "segment_bytes=8MiB",
    "checkpoint_bytes=8MiB",
    "log_retention_bytes=32MiB",
    "restore_bytes_per_s=1024GiB",
];
/// What the founding took for a while is given back then, and what was written is applied and durable.
const SETTLE: Duration = Duration::from_secs(6);
/// How often memory is looked at, and whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn processes(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let Some(rep) = &options.rep else { return skipped(name) };
    VALUES.iter().try_for_each(|value| among(rep, name, bytes_of(options), *value))
}

fn among(rep: &str, name: &str, bytes: u64, value: usize) -> Result<(), Box<dyn Any>> {
    let mut group = There::start_with(rep, "redb", Speech::Tcp, &SETTINGS)?;
    let master = group.wait_for_master();
    pause(SETTLE);
    let away = (master + 1) % 3;
    let idle_sink = resident(&group, away);
    let left = group.status(away).ok_or("a member does not say where its log ends")?.synced;
    group.kill(away);
    let others: Vec<usize> = (0..3).filter(|at| *at != away).collect();
    let reaches = |at: &usize| group.status(*at).is_none_or(|report| report.first <= left + 1);
    while others.iter().any(reaches) {
        fill(&group.ports[master], bytes, value)?;
    }
    pause(SETTLE);
    let idle: Vec<u64> = others.iter().map(|at| resident(&group, *at)).collect();
    let (table, floors) = floors(name, group.dir.path(), bytes)?;
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    group.run(away)?;
    let seen = thread::scope(|scope| {
        let port = &group.ports[master];
        scope.spawn(|| write_on(port, &stop, &written));
        let seen = watch(&group, (away, &others), begun);
        stop.store(true, Ordering::SeqCst);
        seen
    });
    let Seen { times, sink, sources } = seen.ok_or("it was given no copy, or does not follow")?;
    floors.row(&table, value, &times);
    let above = |peak: u64, idle: u64| format!("{} MiB", peak.saturating_sub(idle) >> 20);
    memory(&table, "the sink", &above(sink, idle_sink));
    for ((at, peak), idle) in others.iter().zip(sources).zip(idle) {
        let gave = group.status(*at).is_some_and(|report| report.stats.restores_given > 0);
        let who = if gave { "the source" } else { "the third member" };
        memory(&table, who, &above(peak, idle));
    }
    let writes = written.load(Ordering::SeqCst);
    table.row("writes acknowledged to one writer meanwhile", &format!("{writes}"), "");
    Ok(())
}

fn memory(table: &Table<'_>, who: &str, above: &str) {
    table.row(&format!("memory of {who} meanwhile, at most, above what it was before"), above, "");
}

/// A restore from outside.
struct Seen {
    times: Times,
    /// The most memory that each had.
    sink: u64,
    sources: Vec<u64>,
}

fn watch(group: &There, (away, others): (usize, &[usize]), begun: Instant) -> Option<Seen> {
    let mut seen = Seen { times: Times::default(), sink: 0, sources: vec![0; others.len()] };
    eventually(PATIENCE, || {
        pause(LOOK_EVERY);
        seen.sink = seen.sink.max(resident(group, away));
        for (at, peak) in others.iter().zip(&mut seen.sources) {
            *peak = resident(group, *at).max(*peak);
        }
        let report = group.status(away)?;
        seen.times.look(begun.elapsed(), report.stats.restore_bytes, report.stats.restores);
        (report.stats.restores > 0 && report.state == "replica").then_some(())
    })?;
    Some(seen)
}

fn fill(port: &str, bytes: u64, value: usize) -> Result<(), Box<dyn Any>> {
    let mut client = Client::connect(port)?;
    for first in (0..bytes / value as u64).step_by(PAIRS as usize) {
        let pair = |key: u64| (format!("key-{key:09}"), format!("{key:0value$}"));
        let pairs: Vec<(String, String)> = (first..first + PAIRS).map(pair).collect();
        if !client.set_all(&pairs)? {
            return Err("a write was refused".into());
        }
    }
    Ok(())
}

fn write_on(port: &str, stop: &AtomicBool, written: &AtomicU64) {
    let Ok(mut client) = Client::connect(port) else { return };
    while !stop.load(Ordering::SeqCst) {
        if client.set("meanwhile", "written") {
            written.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Bytes of a member's process that are in memory, without those of files.
fn resident(group: &There, at: usize) -> u64 {
    let status = group.process(at).map(|process| format!("/proc/{process}/status"));
    let status = status.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0_u64) << 10
}
