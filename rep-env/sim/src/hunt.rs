//! Many seeds over a few threads, and one page at the end.

use crate::args::Args;
use crate::keep;
use crate::met;
use rep_sim::run::{run_seed_among, run_seed_covered};
use rep_sim::scenario::Failover;
use rep_sim::{Counts, Detail, Failure, Outcome, planted, run_seed, run_seed_twice, scenario};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One seed in so many is run twice.
const TWICE_EVERY: u64 = 64;

#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    events: u64,
    virtual_time: Duration,
    progressed: u64,
    /// Of all traces together, in whatever order they came: two builds that play the same seeds alike have the same.
    traces: u64,
    counts: Counts,
    failovers: Vec<(u64, Failover)>,
    failure: Option<Box<Failure>>,
    met: met::Met,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(name) = &args.mutant
        && let Err(why) = planted::enable(name)
    {
        eprintln!("rep-sim: {why}");
        return ExitCode::from(2);
    }
    if let Some(file) = &args.replay {
        return keep::replay(file, args.trace);
    }
    // tidy: allow(clock) because how long a hunt takes is told to people, and no run sees it
    let begun = Instant::now();
    let totals = Mutex::new(Totals::default());
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| work(args, begun, &next, &stop, &totals));
        }
    });
    let totals = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tell(args, begun.elapsed(), &totals);
    match &totals.failure {
        None if args.coverage => totals.met.tell(),
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("{failure}");
            keep::make_small(args, failure);
            ExitCode::from(failure.class().exit_code())
        }
    }
}

fn work(args: &Args, begun: Instant, next: &AtomicU64, stop: &AtomicBool, totals: &Mutex<Totals>) {
    let late = || args.minutes.is_some_and(|most| begun.elapsed().as_secs_f64() > most * 60.0);
    while !stop.load(Ordering::Relaxed) && !late() {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= args.seeds {
            return;
        }
        let seed = args.seed.wrapping_add(at);
        let (result, coverage) = match args.coverage {
            true => run_seed_covered(seed).map_or_else(
                |failure| (Err(failure), None),
                |(outcome, coverage)| (Ok(outcome), Some(coverage)),
            ),
            false => (one(args, seed, at), None),
        };
        if result.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        totals.take(seed, result);
        coverage.into_iter().for_each(|coverage| totals.met.add(coverage));
    }
}

fn one(args: &Args, seed: u64, at: u64) -> Result<Outcome, Box<Failure>> {
    let detail = if args.trace { Detail::Print } else { Detail::Hash };
    let time = Duration::from_secs_f64(args.hours.unwrap_or(1.0) * 3_600.0);
    if args.healthy {
        return scenario::run_healthy(seed, time, detail);
    }
    if let Some(members) = args.members {
        return run_seed_among(seed, members, detail);
    }
    match &args.scene {
        Some(scene) if scene == "churn" => scenario::run_churn(seed, time, detail),
        Some(scene) => scenario::run_scene(scene, seed, detail),
        None if !args.trace && (args.twice || at.is_multiple_of(TWICE_EVERY)) => {
            run_seed_twice(seed)
        }
        None => run_seed(seed, detail),
    }
}

impl Totals {
    fn take(&mut self, seed: u64, result: Result<Outcome, Box<Failure>>) {
        self.seeds += 1;
        match result {
            Ok(outcome) => {
                self.events += outcome.events;
                self.virtual_time += outcome.virtual_time;
                self.traces = self.traces.wrapping_add(outcome.trace);
                self.progressed += u64::from(outcome.made_progress);
                self.counts.add(&outcome.counts);
                self.failovers.extend(outcome.failover.map(|failover| (seed, failover)));
            }
            // Of two threads that fail at once the lower seed is told.
            Err(failure) => {
                let lower = self.failure.as_ref().is_none_or(|other| failure.seed < other.seed);
                if lower {
                    self.failure = Some(failure);
                }
            }
        }
    }
}

fn tell(args: &Args, took: Duration, totals: &Totals) {
    let seconds = took.as_secs_f64().max(1e-9);
    let (seeds, events) = (totals.seeds as f64, totals.events as f64);
    println!(
        "rep-sim: {} seeds from {:#x} in {seconds:.1} s: {:.1} seeds/s, {:.0} events/s, {:.0} s of virtual time ({:.0}x), {:.0} % served writes",
        totals.seeds,
        args.seed,
        seeds / seconds,
        events / seconds,
        totals.virtual_time.as_secs_f64(),
        totals.virtual_time.as_secs_f64() / seconds,
        100.0 * totals.progressed as f64 / seeds.max(1.0),
    );
    let by_name: Vec<String> =
        totals.counts.by_name().iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("  {}", by_name.join(", "));
    println!("  all traces together: {:016x}", totals.traces);
    tell_failovers(&totals.failovers);
}

/// What it took, as a distribution over the seeds.
fn tell_failovers(failovers: &[(u64, Failover)]) {
    let Some((slowest, _)) = failovers.iter().max_by_key(|(_, failover)| failover.acked) else {
        return;
    };
    let within = failovers.iter().filter(|(_, failover)| failover.acked <= failover.bound).count();
    let percent = 100.0 * within as f64 / failovers.len() as f64;
    println!("  from the fault, in ms        min      p50      p90      p99      max");
    tell_times("another is crowned", failovers, |failover| failover.crowned);
    tell_times("it takes writes", failovers, |failover| failover.writable);
    tell_times("it acknowledges one", failovers, |failover| failover.acked);
    tell_times("bound of that world", failovers, |failover| failover.bound);
    println!(
        "  within their bound: {within} of {} ({percent:.1} %); the slowest is seed {slowest:#x}",
        failovers.len()
    );
}

fn tell_times(what: &str, failovers: &[(u64, Failover)], time: fn(&Failover) -> Duration) {
    let ms = |(_, failover): &(u64, Failover)| time(failover).as_secs_f64() * 1e3;
    let mut times: Vec<f64> = failovers.iter().map(ms).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let [min, p50, p90, p99, max] = [0.0, 0.5, 0.9, 0.99, 1.0].map(at);
    println!("  {what:<22} {min:>8.1} {p50:>8.1} {p90:>8.1} {p99:>8.1} {max:>8.1}");
}
