//! `rep log dump`: the entries, one a line.

use super::{DAMAGED, is_damage, open};
use crate::print::enough;
use rep_env::log::{self, Kind, OpenError, Place, Record, Seen, SyncClass, Vlsn};
use serde::Serialize;
use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Print the entries of a log, one a line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The member's home directory, or a folder that is shipped to
    dir: PathBuf,
    /// The first entry to print
    #[arg(long, value_name = "VLSN", default_value_t = 1)]
    from: u64,
    /// The last entry to print
    #[arg(long, value_name = "VLSN", default_value_t = u64::MAX)]
    to: u64,
    /// Print each entry as one JSON object
    #[arg(long)]
    json: bool,
    /// Print payloads, too, in hex
    #[arg(long)]
    payload: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let disk = open(&args.dir)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut end = None;
    let walk = match log::walk(&disk, Vlsn::new(args.from)) {
        Ok(walk) => walk,
        Err(error) => return told(error),
    };
    for seen in walk {
        match seen {
            Ok(Seen::Entry(record, _)) if record.point().vlsn.get() > args.to => break,
            Ok(Seen::Entry(record, place)) if record.point().vlsn.get() >= args.from => {
                match write_line(&mut out, &Line::of(&record, place, args.payload), args.json) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                        return Ok(ExitCode::SUCCESS);
                    }
                    written => written?,
                }
            }
            Ok(Seen::End { due, place, what }) => end = Some((due, place, what)),
            Ok(_) => {}
            Err(error) => {
                enough(out.flush())?;
                return told(error);
            }
        }
    }
    enough(out.flush())?;
    judge(&disk, end)
}

/// Whether the log should have gone on where the walk ended: `verify` knows, and reads everything for it.
fn judge(disk: &log::FileDisk, end: Option<(Vlsn, Place, &str)>) -> anyhow::Result<ExitCode> {
    let Some((due, place, what)) = end else { return Ok(ExitCode::SUCCESS) };
    if what == log::UNWRITTEN {
        // Space that was never written: most likely the end, and looking further would be to verify.
        return Ok(ExitCode::SUCCESS);
    }
    match log::inspect(disk)?.damage {
        Some(damage) => told(damage),
        None => {
            let Place { segment, offset, .. } = place;
            eprintln!(
                "rep: entry {due} was never synced: {what} (segment {segment}, offset {offset})"
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Says what is wrong, and how bad it is.
fn told(error: OpenError) -> anyhow::Result<ExitCode> {
    if !is_damage(&error) {
        return Err(error.into());
    }
    eprintln!("rep: {error}");
    Ok(ExitCode::from(DAMAGED))
}

fn write_line(out: &mut impl Write, line: &Line, json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, line)?;
        return writeln!(out);
    }
    writeln!(out, "{line}")
}

/// An entry, as it is printed.
#[derive(Debug, Serialize)]
struct Line {
    vlsn: u64,
    term: u64,
    kind: &'static str,
    /// Who opened the term, of an entry that opens one.
    #[serde(skip_serializing_if = "Option::is_none")]
    opener: Option<u32>,
    payload_bytes: u32,
    time_ms: u64,
    local_sync: &'static str,
    replica_sync: &'static str,
    session: bool,
    payload_crc: u32,
    header_crc: u32,
    segment: String,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

impl Line {
    fn of(record: &Record, place: Place, payload: bool) -> Line {
        let header = record.header();
        Line {
            vlsn: header.point.vlsn.get(),
            term: header.point.term.get(),
            kind: kind(header.kind),
            opener: record.opener().map(|opener| opener.get()),
            payload_bytes: header.length,
            time_ms: header.time_ms,
            local_sync: class(header.flags.local_sync),
            replica_sync: class(header.flags.replica_sync),
            session: header.flags.session_prefix,
            payload_crc: header.payload_crc,
            header_crc: record.header_crc(),
            segment: place.segment,
            offset: place.offset,
            payload: payload.then(|| hex(&record.payload())),
        }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line { term, vlsn, kind, payload_bytes, time_ms, .. } = self;
        write!(f, "{term}.{vlsn} {kind} {payload_bytes} bytes, time {time_ms}")?;
        if let Some(opener) = self.opener {
            write!(f, ", opened by node {opener}")?;
        }
        write!(f, ", local {}, replicas {}", self.local_sync, self.replica_sync)?;
        if self.session {
            write!(f, ", of a session")?;
        }
        write!(f, ", {}:{}", self.segment, self.offset)?;
        match &self.payload {
            Some(payload) => write!(f, ", {payload}"),
            None => Ok(()),
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Data => "data",
        Kind::TermStart => "term-start",
        Kind::GroupFounded => "group-founded",
        Kind::Membership => "membership",
        _ => "other",
    }
}

fn class(class: SyncClass) -> &'static str {
    match class {
        SyncClass::Sync => "sync",
        SyncClass::WriteNoSync => "write-no-sync",
        SyncClass::NoSync => "no-sync",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
