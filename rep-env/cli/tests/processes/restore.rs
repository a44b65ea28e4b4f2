//! A member that no log reaches any more is given a copy while the group writes on, and its source is killed half-way.

use crate::group::{Group, PATIENCE, connect, eventually, eventually_within, rep};
use crate::line::run;
use rep_env::Stats;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A value and its key fill one page of a store on disk.
const VALUE_BYTES: usize = 4_000;
/// Sets in one breath.
const PIPELINE: u64 = 64;
/// MiB of the state, unless `REP_RESTORE_MIB` says something else.
const MIB: u64 = 8;
/// What a restore may take of either side, beyond what it had before.
const MEMORY_MIB: u64 = 64;

/// Logs that forget soon: what follows `kept` MiB is gone.
fn settings(kept: u64, bytes_per_s: u64) -> Vec<String> {
    let options = [
        "store=redb".to_owned(),
        "segment_bytes=2MiB".to_owned(),
        "checkpoint_bytes=2MiB".to_owned(),
        format!("log_retention_bytes={kept}MiB"),
        format!("restore_bytes_per_s={bytes_per_s}"),
    ];
    options.into_iter().flat_map(|option| ["--set".to_owned(), option]).collect()
}

#[test]
fn a_source_that_is_killed_half_way_is_followed_by_another_one_that_gives_the_rest() {
    let asked = std::env::var("REP_RESTORE_MIB").ok().and_then(|mib| mib.parse().ok());
    let mib: u64 = asked.unwrap_or(MIB);
    let bytes = mib << 20;
    // Small ones are slowed down, so that there is a half-way.
    let pace = if asked.is_some() { 1 << 40 } else { bytes / 3 };
    let more = settings((mib / 4).clamp(4, 64), pace);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let Stranded { mut group, master, away, others, idle } = Stranded::new(bytes, &more);

    let writer = Writer::start(&group.resp[master]);
    let sources = others.iter().map(|at| (*at, Memory::watch(group.pid(*at), None)));
    let sources: Vec<(usize, Memory)> = sources.collect();
    let begun = Instant::now();
    group.start_with(away, &more);
    let sink = Memory::watch(group.pid(away), Some(idle));
    let killed = kill_the_source_half_way(&mut group, (away, &others), bytes);
    let written_before = writer.written();
    let stats = eventually_within(patience(bytes), "a copy in its place", || {
        let report = group.status(away)?;
        (report.stats.restores == 1 && report.state == "replica").then_some(report.stats)
    });
    let took = begun.elapsed();
    let written = writer.stop() - written_before;
    let (next, given) = given_by_the_next(&group, &others, killed.source);

    println!(
        "a state of {mib} MiB in {took:?}, {} MB/s; killed when {} bytes in {} chunks had come and {} were given; \
         the next one gave {given}, so that {} in {} chunks came in all; {written} writes after the kill",
        bytes / 1_000 / took.as_millis() as u64,
        killed.came,
        killed.chunks,
        killed.given,
        stats.restore_bytes,
        stats.restore_chunks,
    );
    assert!(stats.restore_bytes >= bytes, "all of it came: {}", stats.restore_bytes);
    let again = (stats.restore_bytes - bytes).max((killed.came + given).saturating_sub(bytes));
    assert!(again < bytes / 4, "what was there is not sent again: {again} bytes");
    assert!(written > 0, "the group writes on");
    assert_little("the sink", sink);
    let gave = sources.into_iter().filter(|(at, _)| [killed.source, next].contains(at));
    gave.for_each(|(_, memory)| assert_little("a source", memory));
    group.start_with(killed.source, &more);
    group.assert_converged();
}

/// A group of which one member is down, and no log of the others reaches back to it.
struct Stranded {
    group: Group,
    master: usize,
    away: usize,
    others: Vec<usize>,
    /// What the member took of memory, in bytes.
    idle: u64,
}

impl Stranded {
    fn new(bytes: u64, more: &[&str]) -> Stranded {
        // Five: without the member that is given a copy and the source that is killed there still is a majority.
        let mut group = Group::new_alone(5);
        (0..5).for_each(|at| group.start_with(at, more));
        let (master, _) = group.put(&[0, 1, 2, 3, 4], "first", "one");
        let away = (master + 1) % 5;
        let left = eventually("an end of its log", || Some(group.status(away)?.synced));
        let idle = resident(group.pid(away));
        assert_eq!(group.terminate(away).code(), Some(0));
        let others: Vec<usize> = (0..5).filter(|at| *at != away).collect();
        strand(&group, &others, left, bytes);
        Stranded { group, master, away, others, idle }
    }
}

/// A copy of so many bytes takes its time.
fn patience(bytes: u64) -> Duration {
    PATIENCE * (1 + (bytes >> 27) as u32)
}

/// What there was of a copy when its source was killed.
struct Killed {
    source: usize,
    /// Bytes that the source had given.
    given: u64,
    /// Bytes that the sink had got.
    came: u64,
    chunks: u64,
}

fn kill_the_source_half_way(
    group: &mut Group,
    (sink, others): (usize, &[usize]),
    bytes: u64,
) -> Killed {
    let (source, stats) = eventually_within(patience(bytes), "half of a copy", || {
        let stats = group.status(sink)?.stats;
        let half = stats.restore_bytes > bytes / 2;
        half.then(|| Some((others.iter().copied().find(|at| gives(group, *at))?, stats)))?
    });
    let given = group.status(source).unwrap().stats.restore_bytes_given;
    group.kill(source);
    let Stats { restore_bytes: came, restore_chunks: chunks, .. } = stats;
    Killed { source, given, came, chunks }
}

/// Who of those that live has given of a copy, one only, and how many bytes.
fn given_by_the_next(group: &Group, others: &[usize], killed: usize) -> (usize, u64) {
    let next = others.iter().copied().filter(|at| *at != killed && gives(group, *at));
    let next: Vec<usize> = next.collect();
    let [at] = *next else { panic!("one takes over: {next:?}") };
    (at, group.status(at).unwrap().stats.restore_bytes_given)
}

fn assert_little(who: &str, memory: Memory) {
    let taken = memory.above_idle();
    println!("memory of {who}: {} MiB above idle", taken >> 20);
    assert!(taken < MEMORY_MIB << 20, "{taken} bytes");
}

#[test]
fn chunks_that_a_stream_makes_needless_are_removed() {
    let bytes = 4 << 20;
    let more = settings(64, bytes / 4);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let mut group = Group::new_alone(3);
    (0..3).for_each(|at| group.start_with(at, &more));
    let (master, _) = group.put(&[0, 1, 2], "first", "one");
    let (member, source) = ((master + 1) % 3, (master + 2) % 3);
    fill(&group, bytes, 0);
    // A source whose state ends below the member's log gives nothing, and on a busy machine that lasts for longer than an order.
    await_one_state(&group, &[0, 1, 2]);
    let chunks = |group: &Group| {
        let files = std::fs::read_dir(group.home(member).join("restore"));
        let names = files.into_iter().flatten().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".chunk")).count()
    };
    let (address, name) = (group.addresses[member].clone(), group.name(source));
    let restore = |more: &[&str]| {
        let mut command = rep();
        command.args(["restore", &address]).args(more);
        command
    };
    let follows = |group: &Group| {
        eventually("a member that follows, without chunks", || {
            let follows = group.status(member)?.state == "replica";
            (follows && chunks(group) == 0).then_some(())
        });
    };
    let (code, stdout, stderr) = run(&mut restore(&["--from", &name, "--no-wait"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("a copy is being fetched"), "{stdout}");
    eventually("a part of a copy", || (chunks(&group) > 2).then_some(()));
    let (code, _, stderr) = run(&mut restore(&["--cancel"]));
    assert_eq!(code, Some(0), "{stderr}");
    follows(&group);
    // Somebody waits for the next one, and is told that nothing comes of it.
    let mut waits = restore(&["--from", &name]);
    let mut waits = waits.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waits.stderr.take().unwrap()).lines().map(Result::unwrap);
    let comes = lines.by_ref().find(|line| line.contains("a copy of the state comes from"));
    assert!(comes.is_some(), "it was told so");
    group.kill(source);
    let stderr = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(waits.wait().unwrap().code(), Some(1), "{stderr}");
    for line in ["again in a moment", "no copy is in place"] {
        assert!(stderr.contains(line), "{line}: {stderr}");
    }
    // What was ordered is given up, and the stream goes on where it was.
    follows(&group);
    assert_eq!(group.status(member).unwrap().stats.restores, 0);
    group.start_with(source, &more);
    group.assert_converged();
}

fn gives(group: &Group, at: usize) -> bool {
    group.status(at).is_some_and(|report| report.stats.restores_given > 0)
}

/// Writes all of the state, and again, until no log of the others reaches back to `left`.
fn strand(group: &Group, others: &[usize], left: u64, bytes: u64) {
    let begun = Instant::now();
    let reaches = |at: &usize| group.status(*at).is_none_or(|report| report.first <= left + 1);
    for round in 0_u8.. {
        fill(group, bytes, round);
        if !others.iter().any(reaches) {
            return await_one_state(group, others);
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "the logs forget nothing");
    }
}

/// Waits until all of these have applied the same: what one of them gives then, another one has as well.
fn await_one_state(group: &Group, others: &[usize]) {
    eventually("the same point at all who are left", || {
        let applied = others.iter().map(|at| group.status(*at).map(|report| report.applied));
        let applied: Vec<String> = applied.collect::<Option<_>>()?;
        applied.iter().all(|it| *it == applied[0]).then_some(())
    });
}

fn fill(group: &Group, bytes: u64, round: u8) {
    let mut connection = group.connect(group.master());
    let keys = bytes / VALUE_BYTES as u64 + 1;
    for first in (0..keys).step_by(PIPELINE as usize) {
        let mut pipe = redis::pipe();
        for key in first..(first + PIPELINE).min(keys) {
            let mut value = vec![round; VALUE_BYTES];
            value[..8].copy_from_slice(&key.to_le_bytes());
            pipe.cmd("SET").arg(format!("key-{key:09}")).arg(value).ignore();
        }
        let () = pipe.query(&mut connection).unwrap();
    }
}

/// Memory of a process, in bytes; nothing of one that is gone.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0_u64) << 10
}

/// Looks at the memory of a process all the time, until it is asked.
struct Memory {
    idle: u64,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Memory {
    /// Idle is what it takes now, unless something else is said.
    fn watch(pid: u32, idle: Option<u64>) -> Memory {
        let idle = idle.unwrap_or_else(|| resident(pid));
        let stop = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut peak = 0;
            while !own.load(Ordering::SeqCst) {
                peak = resident(pid).max(peak);
                thread::park_timeout(Duration::from_millis(5));
            }
            peak
        });
        Memory { idle, stop, thread }
    }

    /// The most that it took, beyond idle.
    fn above_idle(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap().saturating_sub(self.idle)
    }
}

/// One client that goes on writing.
struct Writer {
    shared: Arc<(AtomicU64, AtomicBool)>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(address: &str) -> Writer {
        let shared = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
        let (own, address) = (Arc::clone(&shared), address.to_owned());
        let thread = thread::spawn(move || {
            let mut connection = connect(&address).unwrap();
            while !own.1.load(Ordering::SeqCst) {
                let number = own.0.load(Ordering::SeqCst);
                let set = redis::cmd("SET").arg("meanwhile").arg(number).query(&mut connection);
                let () = set.unwrap();
                own.0.store(number + 1, Ordering::SeqCst);
                // A load, not a flood: what it writes is not to strand the member again.
                thread::park_timeout(Duration::from_millis(2));
            }
        });
        Writer { shared, thread }
    }

    fn written(&self) -> u64 {
        self.shared.0.load(Ordering::SeqCst)
    }

    fn stop(self) -> u64 {
        self.shared.1.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.shared.0.load(Ordering::SeqCst)
    }
}
