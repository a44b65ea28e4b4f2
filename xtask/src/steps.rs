//! A row of steps: each is timed, all are run, and the end says what to do about those that failed.

use crate::run::Tally;
use anyhow::bail;
use std::time::{Duration, Instant};

/// One step.
pub(crate) struct Step<'a> {
    pub(crate) name: &'static str,
    /// What it should take on two cores, cold. More is told, not punished.
    pub(crate) budget: Duration,
    /// What to type to run this step alone.
    pub(crate) again: String,
    pub(crate) work: Work<'a>,
}

pub(crate) type Work<'a> = Box<dyn FnMut(&mut Tally) -> anyhow::Result<Outcome> + 'a>;

/// How a step ended that did not fail.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    /// It could not be run here; the reason.
    Skipped(String),
}

#[derive(Debug)]
struct Report {
    name: &'static str,
    took: Duration,
    budget: Duration,
    again: String,
    ended: anyhow::Result<Outcome>,
}

pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Runs every step, also after one failed: a formatting slip should not hide a failing test.
///
/// The last line is the sum of all test results. A skipped step is never green: it makes the whole row fail.
pub(crate) fn run_all(steps: Vec<Step<'_>>) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    let reports: Vec<_> = steps.into_iter().map(|step| run_one(step, &mut tally)).collect();
    println!();
    reports.iter().for_each(print_report);
    let bad: Vec<_> =
        reports.iter().filter(|report| !matches!(report.ended, Ok(Outcome::Done))).collect();
    for report in &bad {
        println!("to look at `{}` alone: {}", report.name, report.again);
    }
    let good = bad.is_empty() && tally.failed == 0;
    let word = if good { "ok" } else { "FAILED" };
    println!("test result: {word}. {} passed; {} failed", tally.passed, tally.failed);
    match good {
        true => Ok(()),
        false => bail!("{} of {} steps did not pass", bad.len(), reports.len()),
    }
}

fn run_one(mut step: Step<'_>, tally: &mut Tally) -> Report {
    println!("\n=== {} ===", step.name);
    let begun = Instant::now();
    let ended = (step.work)(tally);
    let report = Report {
        name: step.name,
        took: begun.elapsed(),
        budget: step.budget,
        again: step.again,
        ended,
    };
    print_report(&report);
    report
}

fn print_report(report: &Report) {
    let word = match &report.ended {
        Ok(Outcome::Done) => "ok".to_owned(),
        Ok(Outcome::Skipped(why)) => format!("SKIPPED: {why}"),
        Err(error) => format!("FAILED: {error:#}"),
    };
    let over = if report.took > report.budget { "over its budget: " } else { "" };
    println!(
        "{:<12} {:>6.1} s  ({over}{} s)  {word}",
        report.name,
        report.took.as_secs_f64(),
        report.budget.as_secs()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(
        name: &'static str,
        mut work: impl FnMut() -> anyhow::Result<Outcome> + 'static,
    ) -> Step<'static> {
        Step { name, budget: minutes(1), again: String::new(), work: Box::new(move |_| work()) }
    }

    #[test]
    fn a_skipped_step_is_never_green() {
        assert!(run_all(vec![step("done", || Ok(Outcome::Done))]).is_ok());
        assert!(run_all(vec![step("skipped", || Ok(Outcome::Skipped("no tool".into())))]).is_err());
    }

    #[test]
    fn steps_after_a_failed_one_are_run() {
        let (sender, seen) = std::sync::mpsc::sync_channel(1);
        let second = step("second", move || {
            sender.send(()).unwrap();
            Ok(Outcome::Done)
        });
        assert!(run_all(vec![step("first", || bail!("broken")), second]).is_err());
        assert!(seen.try_recv().is_ok());
    }
}
