//! Runs a command, lets its output through line by line, and counts what its tests say.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// What all test binaries said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Takes note of a line if it is the last one of a test binary.
    pub(crate) fn count(&mut self, line: &str) {
        if !line.starts_with("test result: ") {
            return;
        }
        self.passed += number_before(line, " passed");
        self.failed += number_before(line, " failed");
        self.ignored += number_before(line, " ignored");
    }
}

fn number_before(line: &str, word: &str) -> u64 {
    let before =
        line.split(word).next().filter(|before| before.len() < line.len()).unwrap_or_default();
    before.rsplit([' ', '.']).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Runs the command to its end.
///
/// Fails if the command does. Its standard input is empty: nothing here may ask.
pub(crate) fn run_counting(command: &mut Command, tally: &mut Tally) -> anyhow::Result<()> {
    run_seeing(command, None, |line| tally.count(line))
}

/// As [`run_counting`], showing each line of standard output to `see`, and killing the command with all that it started when
/// `limit` is over.
pub(crate) fn run_seeing(
    command: &mut Command,
    limit: Option<Duration>,
    mut see: impl FnMut(&str),
) -> anyhow::Result<()> {
    run_reading(command, limit, |line| {
        print!("{line}");
        see(line.trim_end());
    })
}

/// As [`run_seeing`], for output that is not for people: nothing of it is printed. Lines come with their ends.
pub(crate) fn run_reading(
    command: &mut Command,
    limit: Option<Duration>,
    mut see: impl FnMut(&str),
) -> anyhow::Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if limit.is_some() {
        command.process_group(0);
    }
    let mut child = command.spawn().with_context(|| format!("cannot start: {shown}"))?;
    let watch = limit.map(|limit| Watch::new(child.id(), limit));
    let lines = child.stdout.take().context("standard output is piped")?;
    let told = read_lines(lines, &mut see);
    let status = finish(&mut child, watch)?;
    told?;
    if !status.success() {
        bail!("failed ({status}): {shown}");
    }
    Ok(())
}

fn read_lines(output: impl std::io::Read, see: &mut impl FnMut(&str)) -> anyhow::Result<()> {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        see(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// Waits for the command's end; an error if its watch had to kill it.
pub(crate) fn finish(
    child: &mut Child,
    watch: Option<Watch>,
) -> anyhow::Result<std::process::ExitStatus> {
    let status = child.wait()?;
    if let Some(watch) = watch {
        drop(watch.done);
        if let Some(told) = watch.thread.join().unwrap_or(None) {
            bail!(told);
        }
    }
    Ok(status)
}

/// A thread that kills a process group when its time is over.
pub(crate) struct Watch {
    done: SyncSender<()>,
    thread: thread::JoinHandle<Option<String>>,
}

impl Watch {
    /// Kills the process group `group` when `limit` is over and nobody hung up; what there is to tell then.
    pub(crate) fn new(group: u32, limit: Duration) -> Self {
        let (done, ended) = sync_channel(1);
        let thread = thread::spawn(move || match ended.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Some(match kill_group(group) {
                Ok(()) => "killed: it had not ended within its limit".to_owned(),
                Err(error) => {
                    let told = format!("not ended within its limit, and cannot be killed: {error}");
                    // At once: nobody hears of it otherwise before the command ends by itself.
                    eprintln!("{told}");
                    told
                }
            }),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => None,
        });
        Watch { done, thread }
    }
}

/// Not by `Child::kill`, which ends one process only: its children would hold our pipe. Nor by the program `kill`, which slim
/// systems do not have.
fn kill_group(group: u32) -> anyhow::Result<()> {
    let group = Pid::from_raw(group.cast_signed()).context("a process has a number")?;
    Ok(kill_process_group(group, Signal::KILL)?)
}

/// The command as one could type it.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(key, value)| {
        value.map(|value| format!("{}='{}' ", key.to_string_lossy(), value.to_string_lossy()))
    });
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let args = command.get_args().map(|arg| format!(" {}", arg.to_string_lossy()));
    variables.chain([program]).chain(args).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_test_binaries_are_summed() {
        let mut tally = Tally::default();
        tally.count("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.06s");
        tally.count(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        tally.count("test a_test_result_that_passed ... ok");
        assert_eq!(tally, Tally { passed: 15, failed: 2, ignored: 1 });
    }

    #[test]
    fn lines_are_seen_while_a_failure_is_an_error() {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exit 3"]);
        let outcome = run_seeing(&mut command, None, |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["one", "two"]);
        assert!(outcome.unwrap_err().to_string().contains("exit status: 3"));
    }

    #[test]
    fn a_command_is_killed_with_its_children_when_its_limit_is_over() {
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'while :; do :; done' & wait"]);
        let outcome = run_seeing(&mut command, Some(Duration::from_millis(50)), |_| ());
        assert!(outcome.unwrap_err().to_string().contains("limit"));
    }
}
