//! `rep status`: how a running member and its group are.

use crate::copy::Copy;
use crate::trust::Trust;
use rep_env::admin::{MemberReport, RestoreStage, StatusReport};
use rep_env::{Error, MemberType};
use std::fmt::{self, Display, Formatter};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
/// No master is reachable.
const NO_MASTER: u8 = 1;
/// Nobody answers at the address.
const NO_ANSWER: u8 = 2;

/// Ask a running member how it and its group are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the member listens for the others
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let client = args.trust.connect(&args.address, PATIENCE);
    let report = match client.and_then(|client| Ok(client.status(PATIENCE)?)) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("rep: {}", told(&error));
            return Ok(ExitCode::from(NO_ANSWER));
        }
    };
    print(&match args.json {
        true => serde_json::to_string(&report)? + "\n",
        false => Told(&report).to_string(),
    })?;
    Ok(if reaches_master(&report) { ExitCode::SUCCESS } else { ExitCode::from(NO_MASTER) })
}

/// Prints, and takes it for enough if the reader at the other end of a pipe has had enough.
fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref() {
        Some(Error::Admin { unreachable: true, .. }) => format!("cannot connect: {error}"),
        _ => format!("{error:#}"),
    }
}

/// Whether this node is the master, or has an open channel to it.
pub(crate) fn reaches_master(report: &StatusReport) -> bool {
    let connected =
        |member: &MemberReport| member.replica.as_ref().is_some_and(|replica| replica.connected);
    report.members.iter().any(|member| member.is_master && (member.is_me || connected(member)))
}

/// The report as text.
pub(crate) struct Told<'r>(pub(crate) &'r StatusReport);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let StatusReport { group_name, me, state, reason, term, .. } = report;
        writeln!(
            f,
            "{} at {} in group {group_name}: {state} in term {term} ({reason})",
            me.name, me.address
        )?;
        match &report.group {
            Some(group) => writeln!(f, "group    {group}")?,
            None => writeln!(f, "group    not founded yet")?,
        }
        match &report.master {
            Some(master) => writeln!(f, "master   {master}")?,
            None => writeln!(f, "master   none known")?,
        }
        if let Some(relay) = report.source.as_ref().filter(|it| report.master.as_ref() != Some(it))
        {
            writeln!(f, "fed by   {relay}")?;
        }
        let StatusReport { first, last, synced, dvlsn, applied, .. } = report;
        writeln!(
            f,
            "log      from {first} to {last}, synced to {synced}, durable to {dvlsn}, applied to {applied}"
        )?;
        if let Some(changing) = &report.changing {
            writeln!(f, "changing {changing}")?;
        }
        // One that is in place needs no word.
        let restore = report.restore.as_ref().filter(|it| it.stage != RestoreStage::Installed);
        if let Some(restore) = restore {
            writeln!(f, "restore  {}", Copy(restore))?;
        }
        report.members.iter().try_for_each(|member| writeln!(f, "member   {}", Line(member)))?;
        report.problems.iter().try_for_each(|problem| writeln!(f, "problem  {problem}"))
    }
}

/// A member in a line.
struct Line<'r>(&'r MemberReport);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let MemberReport { member, kind, is_master, is_me, replica, .. } = self.0;
        write!(f, "{member}")?;
        if *kind != MemberType::Electable {
            write!(f, ", {kind}")?;
        }
        if *is_master {
            write!(f, ", master")?;
        }
        if *is_me {
            return write!(f, ", this node");
        }
        let Some(replica) = replica else { return Ok(()) };
        write!(f, ", {}", if replica.connected { "connected" } else { "not connected" })?;
        if let Some((received, synced)) = replica.received.zip(replica.synced) {
            let (state, sent) = (&replica.state, replica.sent);
            match &replica.fed_by {
                Some(relay) => write!(f, ", fed by {relay}: synced {synced}")?,
                None => {
                    let state = if state.is_empty() { "no stream" } else { state };
                    write!(f, ", {state}: sent {sent}, received {received}, synced {synced}")?;
                }
            }
        }
        if let Some(lag @ 1..) = replica.lag {
            write!(f, ", {lag} behind")?;
        }
        if let Some(heard) = replica.heard_ms_ago {
            write!(f, ", heard {heard} ms ago")?;
        }
        if let Some(trip) = replica.round_trip_us {
            write!(f, ", round trip {trip} us")?;
        }
        Ok(())
    }
}
