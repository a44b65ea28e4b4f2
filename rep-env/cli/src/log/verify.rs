//! `rep log verify`: is every entry that was synced still there, and whole.

use super::{DAMAGED, is_damage, open};
use crate::print::print;
use rep_env::log::{self, CellState, FileDisk, Inspection, OpenError, Place, Vlsn};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The cells of a home directory: see docs/log-format.md.
const CELLS: [&str; 6] = ["identity", "promise", "vouch", "past", "place", "cut"];
/// Those of a folder that is shipped to.
const FOLDER_CELLS: [&str; 2] = ["folder", "cut"];

/// Read and check every entry, mark and cell of a log.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The member's home directory, or a folder that is shipped to
    dir: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let disk = open(&args.dir)?;
    let verdict = verdict(&args.dir, &disk)?;
    print(&match args.json {
        true => serde_json::to_string(&verdict)? + "\n",
        false => verdict.story()?,
    })?;
    Ok(if verdict.damaged { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS })
}

/// What was found, as it is printed. Keys are only ever added.
#[derive(Debug, Serialize)]
struct Verdict {
    dir: String,
    damaged: bool,
    group: Option<String>,
    segments: usize,
    first: u64,
    last: Option<String>,
    entries: u64,
    bytes: u64,
    marks: u64,
    damaged_marks: u32,
    /// What the marks say was synced, and durable at a commit quorum.
    synced: Option<u64>,
    dvlsn: Option<u64>,
    /// Files of half-made segments.
    leftovers: usize,
    cells: Vec<Cell>,
    /// What was never synced and will be cut: no harm.
    torn: Option<Spot>,
    damage: Option<Spot>,
}

#[derive(Debug, Serialize)]
struct Cell {
    name: &'static str,
    state: &'static str,
    damaged: bool,
}

/// The first entry that is not there, and where it should be.
#[derive(Debug, Serialize)]
struct Spot {
    vlsn: Option<u64>,
    segment: Option<String>,
    offset: Option<u64>,
    what: String,
}

fn verdict(dir: &Path, disk: &FileDisk) -> anyhow::Result<Verdict> {
    let cells = cells(disk)?;
    let cell_damaged = cells.iter().any(|cell| cell.damaged);
    let dir = dir.display().to_string();
    match log::inspect(disk) {
        Ok(found) => Ok(Verdict {
            dir,
            damaged: cell_damaged || found.damage.is_some(),
            torn: found.torn.as_ref().map(|place| torn(place, found.report.torn_at)),
            damage: found.damage.as_ref().map(spot),
            cells,
            ..counted(&found)
        }),
        Err(error) if is_damage(&error) => {
            Ok(Verdict { dir, damaged: true, damage: Some(spot(&error)), cells, ..nothing() })
        }
        Err(error) => Err(error.into()),
    }
}

fn counted(found: &Inspection) -> Verdict {
    Verdict {
        group: found.group.map(|group| group.to_string()),
        segments: found.report.segments,
        first: found.first.get(),
        last: (found.report.entries > 0).then(|| found.last.to_string()),
        entries: found.report.entries,
        bytes: found.report.bytes,
        marks: found.report.marks,
        damaged_marks: found.report.damaged_marks,
        synced: found.marks.map(|mark| mark.synced.get()),
        dvlsn: found.marks.map(|mark| mark.dvlsn.get()),
        leftovers: found.report.leftovers,
        ..nothing()
    }
}

fn nothing() -> Verdict {
    Verdict {
        dir: String::new(),
        damaged: false,
        group: None,
        segments: 0,
        first: 1,
        last: None,
        entries: 0,
        bytes: 0,
        marks: 0,
        damaged_marks: 0,
        synced: None,
        dvlsn: None,
        leftovers: 0,
        cells: Vec::new(),
        torn: None,
        damage: None,
    }
}

fn cells(disk: &FileDisk) -> anyhow::Result<Vec<Cell>> {
    let is_folder = log::inspect_cell(disk, FOLDER_CELLS[0])?.exists;
    let cells = if is_folder { &FOLDER_CELLS[..] } else { &CELLS[..] };
    let cells = cells.iter().map(|name| {
        let state = log::inspect_cell(disk, name)?;
        Ok(Cell { name, state: in_words(&state), damaged: state.is_damaged() })
    });
    cells.collect()
}

fn in_words(state: &CellState) -> &'static str {
    match state.slots {
        _ if !state.exists => "was never written",
        [Some(one), Some(other)] if one == other => "whole",
        [Some(_), Some(_)] => "whole; its last store was cut short",
        [None, None] => "damaged: what it held is lost",
        [Some(_), None] | [None, Some(_)] => {
            "one of its two slots cannot be read, the other can; the next opening mends it"
        }
    }
}

fn torn(place: &Place, first_missing: Option<Vlsn>) -> Spot {
    Spot {
        vlsn: first_missing.map(Vlsn::get),
        segment: Some(place.segment.clone()),
        offset: Some(place.offset),
        what: "was never synced; the next opening cuts it".to_owned(),
    }
}

fn spot(error: &OpenError) -> Spot {
    let what = error.to_string();
    match error {
        OpenError::Damaged { vlsn, segment, offset, .. } => Spot {
            vlsn: Some(vlsn.get()),
            segment: Some(segment.clone()),
            offset: Some(*offset),
            what,
        },
        _ => Spot { vlsn: None, segment: None, offset: None, what },
    }
}

impl Verdict {
    fn story(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let Verdict { dir, segments, entries, bytes, marks, damaged_marks, .. } = self;
        match (&self.group, &self.last) {
            (Some(group), Some(last)) => writeln!(
                text,
                "log      {dir}: group {group}, {entries} entries from {} to {last}, {bytes} bytes in {segments} segments",
                self.first
            )?,
            _ => writeln!(text, "log      {dir}: no entry can be read, {segments} segments")?,
        }
        write!(text, "marks    {marks}")?;
        if let (Some(synced), Some(dvlsn)) = (self.synced, self.dvlsn) {
            write!(text, ": synced to {synced}, durable to {dvlsn}")?;
        }
        match damaged_marks {
            0 => writeln!(text)?,
            more => writeln!(text, "; {more} more do not verify, which costs nothing")?,
        }
        for Cell { name, state, .. } in &self.cells {
            writeln!(text, "cell     {name}: {state}")?;
        }
        if self.leftovers > 0 {
            writeln!(text, "left     {} files of half-made segments", self.leftovers)?;
        }
        self.end(&mut text)?;
        Ok(text)
    }

    fn end(&self, text: &mut String) -> std::fmt::Result {
        if let Some(Spot { vlsn: Some(vlsn), segment: Some(segment), offset: Some(offset), what }) =
            &self.torn
        {
            writeln!(text, "torn     entry {vlsn} {what} (segment {segment}, offset {offset})")?;
        }
        if let Some(Spot { what, .. }) = &self.damage {
            writeln!(text, "damage   {what}")?;
        }
        match self.damaged {
            true => writeln!(
                text,
                "verdict  damaged: what was synced has to come back from another member"
            ),
            false => writeln!(text, "verdict  whole"),
        }
    }
}
