//! What clients asked and were told, in the order in which it happened, as the history checker reads it.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A history that is being written. One line for each event; the lock makes their order that of time.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    begun: Instant,
    lines: Mutex<Lines>,
    processes: AtomicU64,
}

#[derive(Debug)]
struct Lines {
    file: BufWriter<File>,
    /// Disk full on our side, for one; told when the history is closed.
    failed: Option<std::io::Error>,
    invoked: u64,
    /// When the latest read, and the latest write, was asked of those that were answered well.
    read: Option<Instant>,
    written: Option<Instant>,
}

/// What is asked of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Read,
    Write(String),
}

/// One operation under way.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    process: u64,
    key: &'a str,
    op: Op,
    at: Instant,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// What was read, or nothing for a write.
    Ok(Option<String>),
    /// It had no effect, and never will have.
    Failed,
    /// It may have an effect at any time from now on, or never.
    Unknown,
}

impl History {
    pub(super) fn create(path: &Path) -> anyhow::Result<History> {
        let file = BufWriter::new(File::create(path)?);
        let lines = Lines { file, failed: None, invoked: 0, read: None, written: None };
        Ok(History {
            path: path.to_owned(),
            begun: Instant::now(),
            lines: Mutex::new(lines),
            processes: AtomicU64::new(0),
        })
    }

    /// A number for a client. Whoever does not know how its operation ended goes on under another.
    pub(super) fn process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that something is about to be asked.
    pub(super) fn ask<'a>(&self, process: u64, key: &'a str, op: Op) -> Asked<'a> {
        let asked = Asked { process, key, op, at: Instant::now() };
        let value = match &asked.op {
            Op::Read => Value::Null,
            Op::Write(value) => json!(value),
        };
        self.note(&asked, "invoke", &value);
        asked
    }

    /// Notes how it ended.
    pub(super) fn end(&self, asked: &Asked<'_>, ended: &Ended) {
        let written = match &asked.op {
            Op::Read => Value::Null,
            Op::Write(value) => json!(value),
        };
        match (ended, &asked.op) {
            (Ended::Ok(read), Op::Read) => {
                self.note(asked, "ok", &json!(read));
                let latest = &mut self.lines.lock().read;
                *latest = (*latest).max(Some(asked.at));
            }
            (Ended::Ok(_), Op::Write(_)) => {
                self.note(asked, "ok", &written);
                let latest = &mut self.lines.lock().written;
                *latest = (*latest).max(Some(asked.at));
            }
            (Ended::Failed, _) => self.note(asked, "fail", &written),
            (Ended::Unknown, _) => self.note(asked, "info", &written),
        }
    }

    /// Whether a read and a write have been answered well that were asked after `since`.
    pub(super) fn answered_after(&self, since: Instant) -> bool {
        let lines = self.lines.lock();
        [lines.read, lines.written].iter().all(|latest| latest.is_some_and(|at| at >= since))
    }

    fn note(&self, asked: &Asked<'_>, event: &str, value: &Value) {
        let op = match asked.op {
            Op::Read => "read",
            Op::Write(_) => "write",
        };
        let mut lines = self.lines.lock();
        lines.invoked += u64::from(event == "invoke");
        // Looked at under the lock: the order of the lines is the order of the times.
        let time_ns = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let line = json!({
            "process": asked.process, "type": event, "op": op, "key": asked.key, "value": value, "time_ns": time_ns,
        });
        if let Err(error) = writeln!(lines.file, "{line}") {
            lines.failed.get_or_insert(error);
        }
    }

    /// Completes the file: where it is, and how many operations it has.
    pub(super) fn close(&self) -> anyhow::Result<(PathBuf, u64)> {
        let mut lines = self.lines.lock();
        lines.file.flush()?;
        match lines.failed.take() {
            Some(error) => Err(error.into()),
            None => Ok((self.path.clone(), lines.invoked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_answered_well_and_asked_later_counts_as_an_answer() {
        let path = std::env::temp_dir().join(format!("answers-{}.jsonl", std::process::id()));
        let history = History::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let begun = Instant::now();
        let tell = |op, ended| history.end(&history.ask(0, "k", op), &ended);
        let write = || Op::Write("a".into());
        tell(write(), Ended::Ok(None));
        assert!(!history.answered_after(begun), "nothing was read");
        tell(Op::Read, Ended::Failed);
        tell(Op::Read, Ended::Unknown);
        assert!(!history.answered_after(begun), "no read was answered well");
        tell(Op::Read, Ended::Ok(None));
        assert!(history.answered_after(begun));
        let later = Instant::now();
        tell(Op::Read, Ended::Ok(None));
        assert!(!history.answered_after(later), "nothing was written since");
        tell(write(), Ended::Ok(None));
        assert!(history.answered_after(later));
    }

    #[test]
    fn a_history_is_one_object_a_line_as_the_checker_reads_it() {
        let path = std::env::temp_dir().join(format!("history-{}.jsonl", std::process::id()));
        let history = History::create(&path).unwrap();
        let process = history.process();
        let write = history.ask(process, "k", Op::Write("a".into()));
        history.end(&write, &Ended::Unknown);
        let read = history.ask(history.process(), "k", Op::Read);
        history.end(&read, &Ended::Ok(None));
        let (path, operations) = history.close().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line["process"].as_u64(), line["type"].as_str(), &line["value"]))
            .collect();
        let (a, null) = (json!("a"), Value::Null);
        assert_eq!(
            told,
            [
                (Some(0), Some("invoke"), &a),
                (Some(0), Some("info"), &a),
                (Some(1), Some("invoke"), &null),
                (Some(1), Some("ok"), &null),
            ]
        );
        assert_eq!(operations, 2);
    }
}
