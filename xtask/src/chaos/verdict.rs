//! Whether what clients were told can have been said by one object, asked one thing at a time.

use anyhow::{Context, bail, ensure};
use rep_checker::{BYTES_MAX_DEFAULT, Budget, Judgement, ModelKind, STATES_MAX_DEFAULT, jsonl};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a history may be searched. One of a round takes milliseconds.
const JUDGING_LIMIT: Duration = Duration::from_secs(60);

/// Judges the history in this file. One that could not be judged in time has not passed.
pub(super) fn judge(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let entries = jsonl::read_history(BufReader::new(file))?;
    ensure!(!entries.is_empty(), "no operations in {}", path.display());
    let begun = Instant::now();
    let budget = Budget {
        states_max: STATES_MAX_DEFAULT,
        bytes_max: BYTES_MAX_DEFAULT,
        give_up: &|| begun.elapsed() >= JUDGING_LIMIT,
    };
    let verdict = match rep_checker::judge(ModelKind::Register, &entries, &budget)? {
        Judgement::Linearizable => return Ok(()),
        Judgement::NotLinearizable(found) => {
            format!("NOT LINEARIZABLE: {} operations fit no order", found.places.len())
        }
        Judgement::Unknown(keys) => format!("not judged: {} keys take too long", keys.len()),
    };
    let path = path.display();
    bail!("{verdict}; to see them: cargo xtask check-history --model register {path}")
}

#[cfg(test)]
mod tests {
    use super::super::history::{Ended, History, Op};
    use super::*;

    /// The judgement of one who wrote `a`, then `b`, both acknowledged, and then read `read`.
    fn judged(read: &str) -> anyhow::Result<()> {
        let file = format!("verdict-{read}-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(file);
        let history = History::create(&path).unwrap();
        let process = history.process();
        for value in ["a", "b"] {
            let write = history.ask(process, "k", Op::Write(value.into()));
            history.end(&write, &Ended::Ok(None));
        }
        let asked = history.ask(process, "k", Op::Read);
        history.end(&asked, &Ended::Ok(Some(read.into())));
        history.close().unwrap();
        let verdict = judge(&path);
        std::fs::remove_file(path).unwrap();
        verdict
    }

    #[test]
    fn a_stale_read_is_found() {
        judged("b").unwrap();
        assert!(judged("a").unwrap_err().to_string().starts_with("NOT LINEARIZABLE"));
    }

    #[test]
    fn an_empty_history_is_no_pass() {
        let file = format!("verdict-empty-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(file);
        History::create(&path).unwrap().close().unwrap();
        let verdict = judge(&path);
        std::fs::remove_file(path).unwrap();
        assert!(verdict.unwrap_err().to_string().starts_with("no operations"));
    }
}
