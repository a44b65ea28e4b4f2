//! `rep certs show`: whose, of whom, until when.

use super::authority::{certificates, parsed};
use super::files::{self, Directory};
use super::{dates, revoked};
use anyhow::Context;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// Something has expired, or will within [`SOON_DAYS`].
const SOON: u8 = 1;
const SOON_DAYS: i64 = 30;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files to look at; without any, those of the directory
    files: Vec<PathBuf>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// One certificate.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    file: String,
    /// Its alternative names; of an authority, what it is called.
    names: Vec<String>,
    authority: bool,
    issuer: String,
    serial: String,
    not_before: String,
    not_after: String,
    /// Whole days; negative once it has expired.
    days_left: i64,
    revoked: bool,
}

pub(super) fn run(args: &Args, dir: &Directory, now: SystemTime) -> anyhow::Result<(String, u8)> {
    let revoked = match dir.holds(files::REVOKED) {
        true => revoked::serials(&dir.read(files::REVOKED)?)?,
        false => Vec::new(),
    };
    let files = if args.files.is_empty() { dir.list()? } else { args.files.clone() };
    let mut rows = Vec::new();
    for file in &files {
        rows.extend(look(file, &revoked, now)?);
    }
    let text = match args.json {
        true => serde_json::to_string(&rows)? + "\n",
        false => table(&rows)?,
    };
    let soon = rows.iter().any(|row| !row.revoked && row.days_left < SOON_DAYS);
    Ok((text, if soon { SOON } else { 0 }))
}

fn look(file: &Path, revoked: &[Vec<u8>], now: SystemTime) -> anyhow::Result<Vec<Row>> {
    let wrong = || format!("{} cannot be read as certificates", file.display());
    let text = files::read(file)?;
    let mut rows = Vec::new();
    for block in certificates(&text).with_context(wrong)? {
        let certificate = parsed(&block).with_context(wrong)?;
        let is_revoked = revoked.iter().any(|serial| serial == certificate.raw_serial());
        rows.push(row(file, &certificate, is_revoked, now));
    }
    Ok(rows)
}

fn row(file: &Path, certificate: &X509Certificate<'_>, revoked: bool, now: SystemTime) -> Row {
    let validity = certificate.validity();
    let until = validity.not_after.timestamp();
    Row {
        file: file.display().to_string(),
        names: names(certificate),
        authority: certificate.is_ca(),
        issuer: certificate.issuer().to_string(),
        serial: certificate.raw_serial_as_string(),
        not_before: dates::day(validity.not_before.timestamp()),
        not_after: dates::day(until),
        days_left: dates::days_left(now, until),
        revoked,
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let mut names = Vec::new();
    for name in alternatives.iter().flat_map(|found| &found.value.general_names) {
        match name {
            GeneralName::URI(uri) => names.push((*uri).to_owned()),
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            other => names.push(other.to_string()),
        }
    }
    if names.is_empty() {
        names.push(certificate.subject().to_string());
    }
    names
}

fn table(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for row in rows {
        let what = if row.authority { "authority" } else { "member" };
        writeln!(text, "{}: {what} {}", row.file, row.names.join(", "))?;
        writeln!(text, "    signed by {}, serial {}", row.issuer, row.serial)?;
        writeln!(text, "    from {} until {}: {}", row.not_before, row.not_after, state(row))?;
    }
    Ok(text)
}

fn state(row: &Row) -> String {
    match row.days_left {
        _ if row.revoked => "REVOKED".to_owned(),
        days if days < 0 => "EXPIRED".to_owned(),
        days if days < SOON_DAYS => format!("EXPIRES in {days} days: renew it"),
        days => format!("{days} days left"),
    }
}
