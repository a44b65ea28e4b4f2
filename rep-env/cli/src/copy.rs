//! `rep restore`: a member's copy of the state is replaced by that of another one, and whoever ordered it sees how that goes.

mod shown;

use crate::orders::PATIENCE;
use crate::print::print;
use crate::trust::Trust;
use anyhow::{anyhow, bail};
use rep_env::admin::{RestoreReport, RestoreStage, StatusReport};
use shown::Shown;
use std::fmt::{self, Display, Formatter};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often somebody who waits for a copy looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A member that answers nothing for so long is not waited for.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const MIB: f64 = (1 << 20) as f64;

/// Replace a member's copy of the state by that of another member.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Where the member listens whose copy is to be replaced; the master's cannot be
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// The member whose copy it gets
    #[arg(long = "from", value_name = "NAME", required_unless_present = "cancel")]
    source: Option<String>,
    /// Do not wait until the copy is in place: the member goes on by itself
    #[arg(long, requires = "source")]
    no_wait: bool,
    /// End the fetching of a copy that was ordered; the member goes on as it was
    #[arg(long, conflicts_with_all = ["source", "no_wait"])]
    cancel: bool,
    #[command(flatten)]
    trust: Trust,
}

pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let client = args.trust.connect(&args.address, PATIENCE)?;
    let Some(source) = &args.source else {
        client.cancel_restore(PATIENCE)?;
        print("the copy is not fetched any more; the member goes on as it was\n")?;
        return Ok(ExitCode::SUCCESS);
    };
    let before = client.status(PATIENCE)?.restore.map_or(0, |report| report.number);
    client.restore_from(source, PATIENCE)?;
    let address = &args.address;
    if args.no_wait {
        print(&format!(
            "a copy is being fetched from {source}; rep status {address} says how far it is\n"
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "a copy is being fetched from {source}; whether this waits or not, the member goes on: rep restore {address} --cancel ends it"
    );
    wait(args, before)?;
    print(&format!("the copy from {source} is in place\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for the end of the copy after the one of that number, and shows how far it is.
fn wait(args: &RestoreArgs, before: u64) -> anyhow::Result<()> {
    let mut shown = Shown::new();
    let (mut heard, mut uptime_ms) = (Instant::now(), 0);
    loop {
        match look(args) {
            Ok(status) => {
                heard = Instant::now();
                let restarted = status.uptime_ms < uptime_ms;
                uptime_ms = status.uptime_ms;
                let report = status.restore.filter(|it| it.number > before && !restarted);
                let lost = "the member was started again meanwhile, which ends an order; give it once more";
                let report = report.ok_or_else(|| anyhow!(lost))?;
                shown.show(&report);
                match report.stage {
                    RestoreStage::Installed => return Ok(()),
                    RestoreStage::GivenUp => {
                        bail!("no copy is in place: {}", report.why.unwrap_or_default())
                    }
                    _ => {}
                }
            }
            // While it puts the copy in place it may be slow to answer.
            Err(error) if heard.elapsed() >= SILENCE_MAX => return Err(error),
            Err(_) => {}
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

fn look(args: &RestoreArgs) -> anyhow::Result<StatusReport> {
    Ok(args.trust.connect(&args.address, PATIENCE)?.status(PATIENCE)?)
}

/// How far a copy is, in a line.
pub(crate) struct Copy<'r>(pub(crate) &'r RestoreReport);

impl Display for Copy<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let RestoreReport { stage, source, ordered_from, why, .. } = self.0;
        let why = why.as_deref().unwrap_or("nobody has answered yet");
        let whom = source.as_ref().or(ordered_from.as_ref()).map_or("another member", |name| name);
        match stage {
            RestoreStage::Asking => write!(f, "asks {whom} for a copy of the state"),
            RestoreStage::Fetching => {
                write!(f, "a copy of the state comes from {whom}: {}", Bytes(self.0))
            }
            RestoreStage::Waiting => {
                write!(f, "asks for a copy of the state again in a moment: {why}")
            }
            RestoreStage::Installing => write!(f, "puts the copy in place"),
            RestoreStage::Installed => write!(f, "the copy is in place"),
            RestoreStage::GivenUp => write!(f, "no copy is fetched any more: {why}"),
            _ => write!(f, "is given a copy of the state"),
        }
    }
}

/// What came of it, how fast, and what is to come.
struct Bytes<'r>(&'r RestoreReport);

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let RestoreReport { bytes, remaining_bytes, bytes_per_s, .. } = *self.0;
        let mib = |bytes: u64| bytes as f64 / MIB;
        write!(f, "{:.1} MiB here, {:.1} MiB/s", mib(bytes), mib(bytes_per_s))?;
        let Some(remaining) = remaining_bytes else { return Ok(()) };
        write!(f, ", about {:.1} MiB to come", mib(remaining))?;
        match remaining.checked_div(bytes_per_s) {
            Some(seconds) => write!(f, " in {seconds} s"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn report(more: &str) -> RestoreReport {
        let mut text = serde_json::json!({
            "number": 1, "stage": "fetching", "ordered_from": "n2", "source": "n3", "bytes": 12_897_485,
            "remaining_bytes": null, "bytes_per_s": 4_299_161, "taken_ms": 3_000, "why": null,
        });
        let more: serde_json::Value = serde_json::from_str(more).unwrap();
        for (key, value) in more.as_object().unwrap() {
            text[key] = value.clone();
        }
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn every_stage_has_its_sentence() {
        for (more, sentence) in [
            (r#"{"stage":"asking","source":null}"#, "asks n2 for a copy of the state"),
            (
                r#"{"stage":"asking","source":null,"ordered_from":null}"#,
                "asks another member for a copy of the state",
            ),
            ("{}", "a copy of the state comes from n3: 12.3 MiB here, 4.1 MiB/s"),
            (
                r#"{"remaining_bytes":21495807}"#,
                "a copy of the state comes from n3: 12.3 MiB here, 4.1 MiB/s, about 20.5 MiB to come in 5 s",
            ),
            (
                r#"{"remaining_bytes":1048576,"bytes_per_s":0}"#,
                "a copy of the state comes from n3: 12.3 MiB here, 0.0 MiB/s, about 1.0 MiB to come",
            ),
            (
                r#"{"stage":"waiting","why":"n3 gives none: busy"}"#,
                "asks for a copy of the state again in a moment: n3 gives none: busy",
            ),
            (r#"{"stage":"installing"}"#, "puts the copy in place"),
            (r#"{"stage":"installed"}"#, "the copy is in place"),
            (
                r#"{"stage":"given-up","why":"it was cancelled"}"#,
                "no copy is fetched any more: it was cancelled",
            ),
        ] {
            assert_eq!(Copy(&report(more)).to_string(), sentence);
        }
    }
}
