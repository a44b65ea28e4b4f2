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
const LOST: &str = "the member was started again meanwhile, which ends an order that was not complete; give it once more";
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
    Order { args, source, before, number: None, uptime_ms: 0 }.wait()?;
    print(&format!("the copy from {source} is in place\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// A copy that somebody waits for.
struct Order<'a> {
    args: &'a RestoreArgs,
    source: &'a str,
    /// The number of the copy before it.
    before: u64,
    /// Its own, once that is known.
    number: Option<u64>,
    uptime_ms: u64,
}

impl Order<'_> {
    /// Waits for its end, and shows how far it is.
    fn wait(mut self) -> anyhow::Result<()> {
        let (mut shown, mut heard) = (Shown::new(), Instant::now());
        loop {
            match look(self.args) {
                Ok(status) => {
                    heard = Instant::now();
                    if self.is_done(status.uptime_ms, status.restore, &mut shown)? {
                        return Ok(());
                    }
                }
                // While it puts the copy in place it may be slow to answer.
                Err(error) if heard.elapsed() >= SILENCE_MAX => return Err(error),
                Err(_) => {}
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Whether the copy is in place.
    fn is_done(
        &mut self,
        uptime_ms: u64,
        report: Option<RestoreReport>,
        shown: &mut Shown,
    ) -> anyhow::Result<bool> {
        if uptime_ms < std::mem::replace(&mut self.uptime_ms, uptime_ms) {
            // A copy that was complete is put in place by the next run.
            let installed = report.is_some_and(|it| it.stage == RestoreStage::Installed);
            return installed.then_some(true).ok_or_else(|| anyhow!(LOST));
        }
        // The order may have been taken just now.
        let Some(report) = report.filter(|it| it.number > self.before) else { return Ok(false) };
        let is_own = report.ordered_from.as_deref() == Some(self.source);
        if !is_own || *self.number.get_or_insert(report.number) != report.number {
            bail!(
                "the order was given up, and another copy began meanwhile: rep status tells how far that is"
            );
        }
        shown.show(&report);
        match report.stage {
            RestoreStage::Installed => Ok(true),
            RestoreStage::GivenUp => {
                bail!("no copy is in place: {}", report.why.unwrap_or_default())
            }
            _ => Ok(false),
        }
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
    fn an_order_is_done_by_its_own_copy_alone() {
        let args = RestoreArgs {
            address: "h:1".into(),
            source: Some("n2".into()),
            no_wait: false,
            cancel: false,
            trust: Trust::default(),
        };
        let after = |looks: &[(u64, &str)]| {
            let (number, uptime_ms) = (None, 0);
            let mut order = Order { args: &args, source: "n2", before: 3, number, uptime_ms };
            let mut look = |(uptime_ms, more): &(u64, &str)| {
                let report = (!more.is_empty()).then(|| report(more));
                order.is_done(*uptime_ms, report, &mut Shown::new())
            };
            let told: Vec<_> = looks.iter().map(&mut look).collect();
            told.into_iter().next_back().unwrap().map_err(|error| error.to_string())
        };
        let coming = (5, r#"{"number":4}"#);
        assert_eq!(after(&[(5, "")]), Ok(false));
        assert_eq!(
            after(&[(5, r#"{"number":3,"stage":"installed"}"#)]),
            Ok(false),
            "an earlier one"
        );
        assert_eq!(after(&[coming]), Ok(false));
        assert_eq!(after(&[coming, (6, r#"{"number":4,"stage":"installed"}"#)]), Ok(true));
        let given_up = (6, r#"{"number":4,"stage":"given-up","why":"n2 is gone"}"#);
        assert_eq!(after(&[coming, given_up]), Err("no copy is in place: n2 is gone".into()));
        for other in [
            r#"{"number":5,"stage":"installed","ordered_from":null}"#,
            r#"{"number":5,"stage":"installed"}"#,
        ] {
            assert!(after(&[coming, (6, other)]).unwrap_err().contains("another copy began"));
        }
        let unordered = (5, r#"{"number":4,"stage":"installed","ordered_from":null}"#);
        assert!(after(&[unordered]).unwrap_err().contains("another copy began"));
        assert_eq!(after(&[coming, (1, "")]), Err(LOST.into()));
        assert_eq!(after(&[coming, (1, "{}")]), Err(LOST.into()));
        assert_eq!(after(&[coming, (1, r#"{"stage":"installed"}"#)]), Ok(true), "it was complete");
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
