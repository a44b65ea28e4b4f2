//! `rep demo`: a group, a load, and its master killed twice.
//!
//! Several connections write through the Redis port as fast as they are answered, each key once. The master dies under
//! that load without a word; another takes over; the dead one comes back; the new master dies too. Then every write
//! that was acknowledged has to be read back from every node, no write that was refused may have appeared, and all
//! nodes have to hold the same.

mod group;
mod home;
mod load;
mod node;
mod ports;
mod story;
mod verify;

use anyhow::{Context, bail};
use group::Group;
use load::Load;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use story::Story;

/// Connections that write.
const WRITERS: usize = 4;
/// Nothing here should take longer, on a machine that is busy with something else too.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two events of the story: so many writes acknowledged, and at least so long.
const CALM_WRITES: u64 = 500;
const CALM: Duration = Duration::from_millis(800);

/// Start a group, kill its master under load twice, and look whether anything was lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Members of the group
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=9))]
    nodes: u8,
    /// What the members speak over: tcp, tls or quic between processes, or memory between threads of this one
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Transport,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    json: bool,
    /// Leave the group running, and say how to go on
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    Tcp,
    /// With certificates made for the occasion.
    #[cfg(feature = "tls")]
    Tls,
    /// The same over UDP.
    #[cfg(feature = "quic")]
    Quic,
    Memory,
}

/// What came of it, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Outcome {
    writes_acked: u64,
    writes_unknown: u64,
    /// Acknowledged, and missing or different at some node.
    writes_lost: u64,
    /// Refused, and there nevertheless.
    writes_resurrected: u64,
    converged: bool,
    /// The last term: each is one election.
    elections: u64,
    failovers: Vec<Failover>,
    nodes: Vec<NodeOutcome>,
}

#[derive(Debug, Serialize)]
struct Failover {
    killed: String,
    master: String,
    first_ack_ms: f64,
}

#[derive(Debug, Serialize)]
struct NodeOutcome {
    name: String,
    applied: String,
    digest: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let patience = Patience(interrupted);
    let story = Story::begin();
    let mut group = Group::start(args.nodes.into(), args.transport, args.keep)?;
    let outcome = match play(&mut group, &patience, &story) {
        Ok(outcome) => outcome,
        Err(error) => {
            group.print_accounts();
            return Err(error);
        }
    };
    let good = story.tell_outcome(&outcome);
    if args.keep {
        group.keep(&story, &patience)?;
    }
    drop(group);
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play(group: &mut Group, patience: &Patience, story: &Story) -> anyhow::Result<Outcome> {
    story.tell(format_args!("{group}"));
    let (first, term) = group.wait_for_master(patience)?;
    story.tell(format_args!("{} is master of term {term}", group.name(first)));
    let load = Load::start(WRITERS, group.resp_addresses())?;
    story.tell(format_args!("{WRITERS} connections write, {} commands deep", load::DEPTH));
    load.wait_for_calm(patience)?;

    let mut failovers = Vec::new();
    let dead = fail_over(group, &load, patience, story, &mut failovers)?;
    load.wait_for_calm(patience)?;
    revive(group, dead, patience, story)?;
    load.wait_for_calm(patience)?;
    let dead = fail_over(group, &load, patience, story, &mut failovers)?;
    load.wait_for_calm(patience)?;
    revive(group, dead, patience, story)?;

    let ledger = load.stop()?;
    story.tell(format_args!(
        "the load ends: {} writes acknowledged, {} refused, {} with unknown outcome",
        ledger.acked(),
        ledger.refused(),
        ledger.unknown()
    ));
    let (converged, nodes) = verify::digests(group, patience)?;
    let elections = group.status(0)?.term;
    let found = verify::read_back(group, &ledger)?;
    Ok(Outcome {
        writes_acked: ledger.acked(),
        writes_unknown: ledger.unknown(),
        writes_lost: found.lost,
        writes_resurrected: found.resurrected,
        converged,
        elections,
        failovers,
        nodes,
    })
}

/// Kills the master and waits until another one acknowledges a write. Gives the dead one.
fn fail_over(
    group: &mut Group,
    load: &Load,
    patience: &Patience,
    story: &Story,
    failovers: &mut Vec<Failover>,
) -> anyhow::Result<usize> {
    let (dead, _) = group.wait_for_master(patience)?;
    let acked = load.acked();
    load.watch(dead);
    let killed = Instant::now();
    group.kill(dead)?;
    let name = group.name(dead).to_owned();
    story.tell(format_args!(
        "{} {name}; {acked} writes are acknowledged so far",
        group.how_it_dies()
    ));
    let (master, acked_at) = load.first_ack(patience)?;
    let first_ack_ms = acked_at.saturating_duration_since(killed).as_secs_f64() * 1000.0;
    let master = group.name(master).to_owned();
    story.tell(format_args!(
        "{master} is master: it acknowledged the first write {first_ack_ms:.0} ms after the kill"
    ));
    failovers.push(Failover { killed: name, master, first_ack_ms });
    Ok(dead)
}

fn revive(
    group: &mut Group,
    dead: usize,
    patience: &Patience,
    story: &Story,
) -> anyhow::Result<()> {
    group.start_again(dead)?;
    let began = Instant::now();
    group.wait_until_it_follows(dead, patience)?;
    story.tell(format_args!(
        "{} is back, and follows {:.0} ms after its start",
        group.name(dead),
        began.elapsed().as_secs_f64() * 1000.0
    ));
    Ok(())
}

/// How long to wait for anything: until it takes too long, or somebody presses Ctrl-C.
#[derive(Debug)]
struct Patience(Arc<AtomicBool>);

impl Patience {
    /// Looks again and again until there is something to see.
    fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.0.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if let Some(seen) = look().with_context(|| format!("while waiting for {what}"))? {
                return Ok(seen);
            }
            if Instant::now() >= deadline {
                bail!("{what} did not come within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Until somebody presses Ctrl-C.
    fn for_ever(&self) {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
