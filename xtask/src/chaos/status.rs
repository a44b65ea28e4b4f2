//! What the members say of themselves, asked with `rep status --json` as an operator would.

use super::network::Namespace;
use super::tools;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A member that is well answers in a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
/// A stream this many entries behind is still catching up.
const LAG_MAX: u64 = 200;

/// How a member begins to say that its disk failed it (`rep-node`, `problems`).
const FAILURES: [&str; 3] = ["halted: ", "the log failed", "the disk is full: "];

/// One member's answer.
#[derive(Clone, Debug)]
pub(super) struct Status(Value);

/// Asks a member; none if it does not answer.
pub(super) fn ask(rep: &Path, clients: &Namespace, address: &str) -> Option<Status> {
    let mut command = Command::new(rep);
    command.args(["status", address, "--json", "--allow-plaintext"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = clients.within(|| command.spawn()).ok()?.ok()?;
    if !tools::ends_within(&mut child, PATIENCE).ok()? {
        child.kill().ok()?;
        child.wait().ok()?;
        return None;
    }
    let output = child.wait_with_output().ok()?;
    serde_json::from_slice(&output.stdout).ok().map(Status)
}

impl Status {
    pub(super) fn is_master(&self) -> bool {
        self.0["state"] == "master"
    }

    /// Whether it says that its disk failed it: that it halted, or takes no more entries.
    pub(super) fn has_failed(&self) -> bool {
        let problems = self.0["problems"].as_array().into_iter().flatten();
        let failed = |problem: &str| FAILURES.iter().any(|words| problem.starts_with(words));
        problems.filter_map(Value::as_str).any(failed)
    }

    /// Whether it is master or replica: neither is one whose disk failed.
    fn serves(&self) -> bool {
        self.is_master() || self.0["state"] == "replica"
    }

    /// Whom it follows, in which term.
    fn follows(&self) -> (Option<&str>, Option<u64>) {
        (self.0["master"]["name"].as_str(), self.0["term"].as_u64())
    }

    /// The last entry of its log, and the last in its store.
    pub(super) fn points(&self) -> (Option<&str>, Option<&str>) {
        (self.0["last"].as_str(), self.0["applied"].as_str())
    }

    /// Whether every other member is on a stream of this master, and not far behind.
    fn streams_to_all(&self) -> bool {
        let others: Vec<&Value> = self.0["members"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|member| &member["replica"])
            .collect();
        let streams = |replica: &&Value| {
            replica["state"] == "stream"
                && replica["lag"].as_u64().is_some_and(|lag| lag <= LAG_MAX)
        };
        others.iter().filter(|replica| replica.is_object()).all(streams)
    }

    /// The whole answer, for a report.
    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }
}

/// Whether all members answered, follow one master in one term, and it streams to all.
pub(super) fn in_sync(answers: &[Option<Status>]) -> bool {
    let Some(answers) = answers.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let mut masters = answers.iter().filter(|status| status.is_master());
    let (Some(master), None) = (masters.next(), masters.next()) else { return false };
    answers.iter().all(|status| status.serves())
        && answers.iter().all(|status| status.follows() == master.follows())
        && master.streams_to_all()
}

/// Whether all members hold and have applied the same last entry.
pub(super) fn have_met(answers: &[Option<Status>]) -> bool {
    let points: Option<Vec<_>> =
        answers.iter().map(|status| status.as_ref().map(Status::points)).collect();
    let Some(points) = points else { return false };
    points.iter().all(|point| *point == points[0] && point.0.is_some() && point.0 == point.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member(
        state: &str,
        master: &str,
        last: &str,
        applied: &str,
        replica: &str,
    ) -> Option<Status> {
        Some(Status(json!({
            "state": state, "master": {"name": master}, "term": 3, "last": last, "applied": applied,
            "members": [{"replica": null}, {"replica": {"state": replica, "lag": 1}}],
        })))
    }

    #[test]
    fn a_group_is_in_sync_when_one_master_streams_to_all_who_follow_it() {
        let master = || member("master", "n1", "3.9", "3.9", "stream");
        let replica = || member("replica", "n1", "3.9", "3.9", "");
        assert!(in_sync(&[master(), replica()]));
        assert!(!in_sync(&[master(), None]));
        assert!(!in_sync(&[master(), master()]));
        assert!(!in_sync(&[replica(), replica()]));
        assert!(!in_sync(&[master(), member("replica", "n2", "3.9", "3.9", "")]));
        assert!(!in_sync(&[master(), member("unknown", "n1", "3.9", "3.9", "")]));
        assert!(!in_sync(&[member("master", "n1", "3.9", "3.9", "probe"), replica()]));
    }

    #[test]
    fn a_member_has_failed_if_it_says_so_and_not_if_it_merely_does_not_serve() {
        let says = |problem: &str| Status(json!({ "state": "unknown", "problems": [problem] }));
        assert!(says("halted: the promise could not be written").has_failed());
        assert!(says("the log failed and takes no more entries: EIO; restart").has_failed());
        assert!(!says("no master: 1 of 2 needed voters").has_failed());
        assert!(!Status(json!({ "state": "unknown", "problems": [] })).has_failed());
    }

    #[test]
    fn members_have_met_when_all_hold_and_have_applied_the_same() {
        let at = |last, applied| member("replica", "n1", last, applied, "");
        assert!(have_met(&[at("3.9", "3.9"), at("3.9", "3.9")]));
        assert!(!have_met(&[at("3.9", "3.9"), at("3.9", "3.8")]));
        assert!(!have_met(&[at("3.9", "3.9"), at("3.8", "3.8")]));
        assert!(!have_met(&[at("3.9", "3.9"), None]));
    }
}
