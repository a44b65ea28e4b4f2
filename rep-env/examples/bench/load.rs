//! Closed loops: each thread does the next thing when the last one is done.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is written.
pub(crate) const VALUE: &str = concat!(
    "a value of one hundred bytes, as configurations, sessions and",
    " counters are wont to be, no more than. "
);

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Runs `width` loops for `time`. `worker` makes the thing that one of them does again and again; the thing tells whether
/// it was a success.
pub(crate) fn run<W: FnMut() -> bool>(
    width: usize,
    time: Duration,
    worker: impl Fn(usize) -> W + Sync,
) -> Load {
    let (over, ready) = (AtomicBool::new(false), Barrier::new(width + 1));
    let (mut times, mut failed, mut took) = (Vec::new(), 0, Duration::ZERO);
    thread::scope(|scope| {
        let loops: Vec<_> = (0..width)
            .map(|number| {
                let (over, ready, worker) = (&over, &ready, &worker);
                scope.spawn(move || {
                    let mut work = worker(number);
                    ready.wait();
                    one_loop(over, &mut work)
                })
            })
            .collect();
        ready.wait();
        let begun = Instant::now();
        pause(time);
        over.store(true, Ordering::Relaxed);
        took = begun.elapsed();
        for handle in loops {
            let (mut own, refused) = handle.join().expect("a loop does not panic");
            times.append(&mut own);
            failed += refused;
        }
    });
    times.sort_unstable();
    let rate = times.len() as f64 / took.as_secs_f64();
    let (p50, p99) = (quantile(&times, 50), quantile(&times, 99));
    Load { done: times.len(), failed, rate, p50, p99 }
}

fn one_loop(over: &AtomicBool, work: &mut impl FnMut() -> bool) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match work() {
            true => times.push(begun.elapsed()),
            false => failed += 1,
        }
    }
    (times, failed)
}

pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    quantile(times, 50)
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

/// Sleeps `time`: a measurement is the one thing that really has to last that long.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Looks until `look` sees something; `None` after `patience`.
pub(crate) fn eventually<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(seen) = look() {
            return Some(seen);
        }
        pause(Duration::from_millis(1));
    }
    None
}

/// Seconds of CPU that these processes have used.
pub(crate) fn cpu_secs(processes: &[u32]) -> f64 {
    let ticks = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(ticks(11)? + ticks(12)?)
    };
    // Linux tells in hundredths of a second, whatever the kernel's own tick is.
    processes.iter().filter_map(ticks).sum::<u64>() as f64 / 100.0
}
