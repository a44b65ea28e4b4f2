//! How a learner gets on, told to whoever waits for it: a line for each stage, and one now and then while it lasts.

use super::AddArgs;
use crate::copy::Copy;
use crate::orders::PATIENCE;
use rep_env::admin::{RestoreReport, StatusReport};
use std::time::{Duration, Instant};

/// A stage that lasts is told so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Where a learner is.
#[derive(Debug)]
enum Stage {
    /// What it lacks is in the master's log, so many entries.
    Log(u64),
    /// It is given a copy of the state, of which it says that.
    Copy(Option<RestoreReport>),
}

/// What was told last, and when.
#[derive(Debug, Default)]
pub(super) struct Told(Option<(bool, Instant)>);

impl Told {
    /// Looks how far the learner of that number is, and tells it if that is news.
    pub(super) fn tell(&mut self, args: &AddArgs, (name, id): (&str, u32)) {
        // Who does not answer now is asked again in a moment.
        let stage = at_master(args).and_then(|status| stage(args, &status, id));
        if let Some(line) = stage.and_then(|stage| self.line(name, &stage, Instant::now())) {
            eprintln!("{line}");
        }
    }

    /// Whether anything was told.
    pub(super) fn anything(&self) -> bool {
        self.0.is_some()
    }

    fn line(&mut self, name: &str, stage: &Stage, now: Instant) -> Option<String> {
        let copied = matches!(stage, Stage::Copy(_));
        let is_old = |(said, when): &(bool, Instant)| {
            *said == copied && now.saturating_duration_since(*when) < LINE_EVERY
        };
        if self.0.as_ref().is_some_and(is_old) {
            return None;
        }
        self.0 = Some((copied, now));
        Some(match stage {
            Stage::Log(lag) => {
                format!("{name} is a learner, {lag} entries behind: it catches up by the log")
            }
            Stage::Copy(None) => {
                format!(
                    "{name} is a learner, too far behind for the log: it is given a copy of the state"
                )
            }
            Stage::Copy(Some(report)) => {
                format!("{name} is a learner, too far behind for the log: {}", Copy(report))
            }
        })
    }
}

fn at_master(args: &AddArgs) -> Option<StatusReport> {
    let ask = |address: &str| args.at.trust.connect(address, PATIENCE).ok()?.status(PATIENCE).ok();
    let asked = ask(&args.at.address)?;
    match &asked.master {
        Some(master) if master.id != asked.me.id => ask(&master.address),
        _ => Some(asked),
    }
}

fn stage(args: &AddArgs, master: &StatusReport, id: u32) -> Option<Stage> {
    let member = master.members.iter().find(|it| it.member.id == id)?;
    let replica = member.replica.as_ref()?;
    let (synced, lag) = replica.synced.zip(replica.lag)?;
    if synced + 1 >= master.first {
        return Some(Stage::Log(lag));
    }
    let learner =
        args.at.trust.connect(&args.new, PATIENCE).and_then(|it| Ok(it.status(PATIENCE)?));
    Some(Stage::Copy(learner.ok().and_then(|learner| learner.restore)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_told_when_it_begins_and_now_and_then() {
        let (mut told, now) = (Told::default(), Instant::now());
        let mut line = |stage, at| told.line("n4", &stage, now + Duration::from_secs(at));
        let copied = "n4 is a learner, too far behind for the log: it is given a copy of the state";
        assert_eq!(line(Stage::Copy(None), 0).as_deref(), Some(copied));
        assert_eq!(line(Stage::Copy(None), 9), None);
        let log = |lag| format!("n4 is a learner, {lag} entries behind: it catches up by the log");
        assert_eq!(line(Stage::Log(7), 9), Some(log(7)));
        assert_eq!(line(Stage::Log(6), 18), None);
        assert_eq!(line(Stage::Log(5), 19), Some(log(5)));
    }
}
