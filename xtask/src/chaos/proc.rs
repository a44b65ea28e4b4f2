//! What the kernel says of a process: whether a fault that other people's programs bring about has come to it.
//!
//! A tool that does nothing looks like a node that nothing harms.

use anyhow::{Context, bail, ensure};
use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How long a tool may take to begin.
const LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);

/// Waits until the process has mapped this library.
pub(super) fn await_library(process: u32, library: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    // It is another name if there are links, as in `libfaketimeMT.so.1`; what is mapped is told by the last one.
    let file = fs::canonicalize(library).with_context(|| library.to_owned())?;
    let file = file.to_str().context("a name in UTF-8")?;
    loop {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        if maps.lines().any(|line| line.ends_with(file)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < LIMIT, "{process} does not load {file}");
        thread::sleep(LOOK);
    }
}

/// Waits until every thread of the process is traced by `tracer`, or the process has ended already, of what that did to it.
pub(super) fn await_tracer(process: u32, tracer: &mut Child) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        if threads(process).iter().all(|it| is_dead(it) || is_traced(it, tracer.id())) {
            return Ok(());
        }
        if let Some(status) = tracer.try_wait()? {
            bail!("{process} cannot be traced ({status})");
        }
        ensure!(begun.elapsed() < LIMIT, "{process} is not traced after {LIMIT:?}");
        thread::sleep(LOOK);
    }
}

/// `/proc/PID/task/*/status`; nothing of a process that is gone.
fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    // One that ends meanwhile is not there to be read.
    tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).collect()
}

fn is_traced(status: &str, tracer: u32) -> bool {
    field(status, "TracerPid") == Some(&tracer.to_string())
}

fn is_dead(status: &str) -> bool {
    field(status, "State").is_some_and(|state| state.starts_with(['Z', 'X']))
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_status_tells_the_tracer_and_the_dead() {
        let status = "Name:\trep\nState:\tS (sleeping)\nTgid:\t7\nTracerPid:\t12\n";
        assert!(is_traced(status, 12) && !is_traced(status, 1) && !is_dead(status));
        assert!(is_dead("State:\tZ (zombie)\nTracerPid:\t0\n"));
        assert!(!is_traced("", 0) && !is_dead(""));
    }

    #[test]
    fn a_tool_that_has_ended_traces_nobody() {
        let mut traced = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut tool = Command::new("false").spawn().unwrap();
        let told = await_tracer(traced.id(), &mut tool);
        drop(traced.stdin.take());
        traced.wait().unwrap();
        assert!(told.unwrap_err().to_string().contains("cannot be traced"));
    }

    #[test]
    fn a_process_has_loaded_its_own_program() {
        let program = fs::read_link("/proc/self/exe").unwrap();
        await_library(std::process::id(), program.to_str().unwrap()).unwrap();
    }
}
