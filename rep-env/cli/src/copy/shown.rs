//! A copy on its way, shown to whoever waits for it: a bar on a terminal, else a line now and then.

use super::Copy;
use indicatif::{ProgressBar, ProgressStyle};
use rep_env::admin::{RestoreReport, RestoreStage};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Without a terminal a stage that goes on is told so often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// With what is to come, if that is known.
const BAR: &str = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const NO_BAR: &str = "{msg} {bytes}, {bytes_per_sec}";

pub(super) enum Shown {
    Bar { bar: ProgressBar, is_measured: bool },
    Lines(Lines),
}

impl Shown {
    pub(super) fn new() -> Self {
        if !stderr().is_terminal() {
            return Shown::Lines(Lines::default());
        }
        let bar = ProgressBar::new(0).with_style(style(NO_BAR));
        Shown::Bar { bar, is_measured: false }
    }

    pub(super) fn show(&mut self, report: &RestoreReport) {
        match self {
            Shown::Bar { bar, is_measured } => {
                let measured = report.remaining_bytes.is_some();
                if measured != *is_measured {
                    *is_measured = measured;
                    bar.set_style(style(if measured { BAR } else { NO_BAR }));
                }
                draw(bar, report);
            }
            Shown::Lines(lines) => {
                let line = lines.next(report, Instant::now());
                line.into_iter().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates of this file");
    style.progress_chars("=> ")
}

fn draw(bar: &ProgressBar, report: &RestoreReport) {
    let RestoreReport { stage, source, bytes, remaining_bytes, .. } = report;
    bar.set_message(match (stage, source) {
        (RestoreStage::Fetching, Some(source)) => format!("from {source}"),
        _ => Copy(report).to_string(),
    });
    bar.set_length(bytes.saturating_add(remaining_bytes.unwrap_or(0)));
    bar.set_position(*bytes);
    if stage.is_end() {
        bar.finish();
    }
}

/// What was said last, and when.
#[derive(Debug, Default)]
pub(super) struct Lines(Option<(Said, Instant)>);

/// What makes a line worth saying: the stage, the source, and whether it is known what is to come.
type Said = (RestoreStage, Option<String>, bool);

impl Lines {
    /// What is to be said now, if anything.
    fn next(&mut self, report: &RestoreReport, now: Instant) -> Option<String> {
        let says = (report.stage, report.source.clone(), report.remaining_bytes.is_some());
        let is_old = |(said, when): &(Said, Instant)| {
            *said == says && now.saturating_duration_since(*when) < LINE_EVERY
        };
        // The last word is the command's own.
        if report.stage.is_end() || self.0.as_ref().is_some_and(is_old) {
            return None;
        }
        self.0 = Some((says, now));
        Some(Copy(report).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_line_is_said_for_each_stage_and_for_one_that_goes_on_now_and_then() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        let mut said = |more: &str, at| lines.next(&report(more), now + at).is_some();
        let asking = r#"{"stage":"asking","source":null}"#;
        assert!(said(asking, Duration::ZERO));
        assert!(!said(asking, Duration::from_secs(1)));
        assert!(said("{}", Duration::from_secs(1)));
        assert!(!said("{}", Duration::from_secs(10)));
        assert!(said("{}", Duration::from_secs(11)));
        assert!(said(r#"{"remaining_bytes":7}"#, Duration::from_secs(11)), "a measure");
        assert!(said(r#"{"source":"n1"}"#, Duration::from_secs(11)), "another source");
        assert!(!said(r#"{"stage":"installed"}"#, Duration::from_secs(90)));
    }

    #[test]
    fn a_bar_has_what_came_and_what_is_to_come() {
        let bar = ProgressBar::hidden().with_style(style(BAR));
        draw(&bar, &report(r#"{"bytes":3,"remaining_bytes":9}"#));
        assert_eq!((bar.position(), bar.length(), &*bar.message()), (3, Some(12), "from n3"));
        draw(&bar, &report(r#"{"stage":"given-up","why":"why"}"#));
        assert!(bar.is_finished());
    }
}
