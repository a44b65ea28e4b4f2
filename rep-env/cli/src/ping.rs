//! `rep ping`: does a member answer, and how fast.

use crate::print::print;
use crate::trust::Trust;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);
/// Somebody did not answer.
const NO_ANSWER: u8 = 2;
/// Round trips that are kept to be compared.
const COUNT_MAX: u32 = 1_000_000;

/// Ask a running member whether it is there. A round trip goes through the member's own loop, so that one that is stuck is
/// not taken for alive because its port is open.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the member listens for the others
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// How many times to ask, one after the other
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
    #[command(flatten)]
    trust: Trust,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut round_trips = Vec::new();
    let failed = ask(args, &mut round_trips).err();
    if !round_trips.is_empty() {
        print(&summary(args.count, &mut round_trips))?;
    }
    let Some(error) = failed else { return Ok(ExitCode::SUCCESS) };
    eprintln!("rep: {error:#}");
    Ok(ExitCode::from(NO_ANSWER))
}

/// Asks, and prints each answer as it comes.
fn ask(args: &Args, round_trips: &mut Vec<Duration>) -> anyhow::Result<()> {
    let client = args.trust.connect(&args.address, PATIENCE)?;
    for _ in 0..args.count {
        let asked = Instant::now();
        let report = client.status(PATIENCE)?;
        let round_trip = asked.elapsed();
        round_trips.push(round_trip);
        let (me, group) = (&report.me, &report.group_name);
        let state = &report.state;
        print(&format!("{} of group {group}, {state}: {}\n", me.name, Ms(round_trip)))?;
    }
    Ok(())
}

fn summary(asked: u32, round_trips: &mut [Duration]) -> String {
    round_trips.sort_unstable();
    let answered = round_trips.len();
    let mut text = format!("{asked} asked, {answered} answered");
    if let (Some(first), Some(last)) = (round_trips.first(), round_trips.last()) {
        let middle = round_trips[answered / 2];
        let (first, middle, last) = (Ms(*first), Ms(middle), Ms(*last));
        let _ = write!(text, "; round trip least {first}, median {middle}, most {last}");
    }
    text + "\n"
}

/// A duration in milliseconds, to the microsecond.
pub(crate) struct Ms(pub(crate) Duration);

impl std::fmt::Display for Ms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ms", self.0.as_secs_f64() * 1e3)
    }
}
