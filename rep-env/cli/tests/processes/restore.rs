//! A member that no log reaches any more is given a copy while the group writes on, and its source is killed half-way.

use crate::group::{Group, PATIENCE, connect, eventually, rep};
use crate::line::run;
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
    // Five: without the member that is given a copy and the source that is killed there still is a majority.
    let mut group = Group::new_alone(5);
    (0..5).for_each(|at| group.start_with(at, &more));
    let (master, _) = group.put(&[0, 1, 2, 3, 4], "first", "one");
    let away = (master + 1) % 5;
    let left = eventually("an end of its log", || Some(group.status(away)?.synced));
    assert_eq!(group.terminate(away).code(), Some(0));
    let others: Vec<usize> = (0..5).filter(|at| *at != away).collect();
    strand(&group, &others, left, bytes);

    let writer = Writer::start(&group.resp[master]);
    let idle: Vec<u64> = others.iter().map(|at| resident(&group, *at)).collect();
    let begun = Instant::now();
    group.start_with(away, &more);
    let source = eventually("half of a copy", || {
        let half = group.status(away)?.stats.restore_bytes > bytes / 2;
        half.then(|| others.iter().copied().find(|at| gives(&group, *at)))?
    });
    let mut memory = Peaks { source: resident(&group, source), sink: 0 };
    let at_source = idle[others.iter().position(|at| *at == source).unwrap()];
    let given = group.status(source).unwrap().stats.restore_bytes_given;
    group.kill(source);
    let took_over = writer.written();
    let report = eventually("a copy in its place", || {
        memory.sink = memory.sink.max(resident(&group, away));
        let report = group.status(away)?;
        (report.stats.restores == 1 && report.state == "replica").then_some(report)
    });
    let took = begun.elapsed();
    let written = writer.stop();

    let came = report.stats.restore_bytes;
    println!(
        "a state of {mib} MiB in {took:?}, {} MB/s; {given} bytes given by the one that was killed, {came} came in all; \
         {written} writes meanwhile; memory: sink {} MiB, source {} MiB above idle",
        bytes / 1_000 / took.as_millis() as u64,
        memory.sink >> 20,
        memory.source.saturating_sub(at_source) >> 20,
    );
    assert!(came >= bytes, "all of it came: {came}");
    assert!(came < bytes + bytes / 4, "what was there is not sent again: {came} of {bytes}");
    assert!(written > took_over, "the group writes on");
    let at_source = memory.source.saturating_sub(at_source);
    assert!(memory.sink < MEMORY_MIB << 20, "{} bytes at the sink", memory.sink);
    assert!(at_source < MEMORY_MIB << 20, "{at_source} bytes at the source");
    group.start_with(source, &more);
    group.assert_converged();
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

/// Bytes.
struct Peaks {
    source: u64,
    sink: u64,
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

/// Anonymous memory of a member's process, in bytes.
fn resident(group: &Group, at: usize) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", group.pid(at)));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0_u64) << 10
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
