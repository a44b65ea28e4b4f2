//! `rep bench`: what a running group does, beside what this machine does.
//!
//! A rate alone says little: the same group writes ten times as much a second on a machine whose disk syncs ten times as
//! fast. So each run begins with the floors: one synced append, and one round trip, which are what a write is made of.

mod floors;
mod histogram;
mod writers;

use crate::client::Client;
use crate::ping::Ms;
use crate::print::print;
use crate::trust::Trust;
use anyhow::{Context, bail};
use floors::Floors;
use rep_env::admin::StatusReport;
use serde::Serialize;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use writers::Measured;

const PATIENCE: Duration = Duration::from_secs(5);
/// Keys that one writer writes to, again and again.
const KEYS_PER_WRITER: u64 = 1_000;
const WRITERS_MAX: u64 = 1_000;

/// Write to a running group through its Redis port, and print rates and latencies beside what the machine itself needs for
/// a sync and a round trip. Keys are written under a prefix of their own and deleted afterwards
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where any member listens for the others; the master is asked of it
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// How many connections write at a time, each one write after the other; a row for each number
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 8, 32, 128],
          value_parser = clap::value_parser!(u64).range(1..=WRITERS_MAX))]
    writers: Vec<u64>,
    /// How long each row takes, in seconds
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    secs: u64,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=4 << 20))]
    value: u64,
    /// Where to measure a sync: on the disk that the members use, if they are on this machine
    #[arg(long, value_name = "DIR", default_value = ".")]
    disk: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
}

/// All that was measured, as it is printed. Keys are only ever added.
#[derive(Debug, Serialize)]
struct Report {
    group: String,
    master: String,
    members: usize,
    value_bytes: u64,
    floors: Floors,
    rows: Vec<Row>,
    keys_deleted: u64,
}

#[derive(Debug, Serialize)]
struct Row {
    writers: u64,
    writes_per_s: f64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
    failed: u64,
}

/// What is written to, and what is written.
struct Target {
    resp: String,
    prefix: String,
    value: Vec<u8>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let status = args.trust.connect(&args.address, PATIENCE)?.status(PATIENCE)?;
    let target = target(args, &status)?;
    let mut report = Report {
        group: status.group_name.clone(),
        master: target.resp.clone(),
        members: status.members.len(),
        value_bytes: args.value,
        floors: floors::measure(&args.disk, &target.resp)?,
        rows: Vec::new(),
        keys_deleted: 0,
    };
    let say = |text: String| if args.json { Ok(()) } else { print(&text) };
    say(head(&report, &target))?;
    let measured = measure(args, &target, &mut report, &say);
    // Whatever went wrong: what was written goes.
    let deleted = delete(args, &target);
    measured?;
    report.keys_deleted =
        deleted.with_context(|| format!("keys may be left: they begin with {}", target.prefix))?;
    say(format!("deleted  {} keys\n", report.keys_deleted))?;
    if args.json {
        print(&(serde_json::to_string(&report)? + "\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    args: &Args,
    target: &Target,
    report: &mut Report,
    say: &dyn Fn(String) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    for count in &args.writers {
        let measured = writers::run(target, *count, Duration::from_secs(args.secs))?;
        if measured.latencies.count() == 0 {
            let why = measured.failure.unwrap_or_else(|| "no answer came".to_owned());
            bail!("with {count} writers not one write was acknowledged: {why}");
        }
        let row = Row::of(*count, &measured);
        say(row.line())?;
        report.rows.push(row);
    }
    Ok(())
}

/// The master's Redis port.
fn target(args: &Args, status: &StatusReport) -> anyhow::Result<Target> {
    let master = status.members.iter().find(|member| member.is_master);
    let master = master.with_context(|| {
        format!("{} knows no master: {}", args.address, status.problems.join("; "))
    })?;
    let resp = master.member.attributes.get(crate::resp::ATTRIBUTE).with_context(|| {
        format!("the master, {}, announces no Redis port: it runs without --resp", master.member)
    })?;
    // Two runs at a time do not delete each other's keys.
    let prefix = format!("rep-bench:{:08x}:", RandomState::new().hash_one(0_u8) as u32);
    Ok(Target { resp: resp.clone(), prefix, value: vec![b'x'; args.value as usize] })
}

/// Removes every key that a writer may have written.
fn delete(args: &Args, target: &Target) -> anyhow::Result<u64> {
    let mut client = Client::connect(&target.resp)?;
    let mut deleted = 0;
    for writer in 0..args.writers.iter().copied().max().unwrap_or(0) {
        let keys: Vec<String> =
            (0..KEYS_PER_WRITER).map(|number| target.key(writer, number)).collect();
        let mut words: Vec<&[u8]> = vec![b"DEL"];
        words.extend(keys.iter().map(String::as_bytes));
        deleted += client.integer(&words)?;
    }
    Ok(deleted)
}

impl Target {
    /// The key of a writer's `number`-th write.
    fn key(&self, writer: u64, number: u64) -> String {
        format!("{}{writer}:{}", self.prefix, number % KEYS_PER_WRITER)
    }
}

fn head(report: &Report, target: &Target) -> String {
    let Report { group, master, members, value_bytes, floors, .. } = report;
    format!(
        "group    {group}, {members} members, master at {master}; values of {value_bytes} bytes under {}*\n\
         floors   sync of an append {}, round trip on this machine {}, PING at the port {} (medians)\n\
         {:>7} {:>10} {:>9} {:>9} {:>9} {:>7}\n",
        target.prefix,
        Ms(Duration::from_micros(floors.sync_us)),
        Ms(Duration::from_micros(floors.loopback_us)),
        Ms(Duration::from_micros(floors.ping_us)),
        "writers",
        "writes/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "failed",
    )
}

impl Row {
    fn of(writers: u64, measured: &Measured) -> Row {
        let Measured { latencies, elapsed, failed, .. } = measured;
        Row {
            writers,
            writes_per_s: (latencies.count() as f64 / elapsed.as_secs_f64()).round(),
            p50_us: latencies.quantile(0.5),
            p99_us: latencies.quantile(0.99),
            max_us: latencies.max(),
            failed: *failed,
        }
    }

    fn line(&self) -> String {
        let ms = |us: u64| us as f64 / 1e3;
        let Row { writers, writes_per_s, p50_us, p99_us, max_us, failed } = self;
        let (p50, p99, max) = (ms(*p50_us), ms(*p99_us), ms(*max_us));
        format!("{writers:>7} {writes_per_s:>10.0} {p50:>9.3} {p99:>9.3} {max:>9.3} {failed:>7}\n")
    }
}
