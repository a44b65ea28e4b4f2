//! The parent of a run: whatever becomes of the child, what it made is taken away.

use super::clean;
use super::names;
use anyhow::{Context, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often the child is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Runs this program again, with these arguments, and cleans up when it has ended, or is made to.
pub(super) fn run(arguments: &[OsString], limit: Duration) -> anyhow::Result<()> {
    let lock = lock()?;
    clean()?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let mut child = spawn(arguments)?;
    let ended = watch(&mut child, &mut signals, limit);
    // Dead or not: `kill` of one that has ended does nothing.
    let _ = child.kill();
    let _ = child.wait();
    let cleaned = clean();
    drop(lock);
    let status = ended?;
    cleaned?;
    if !status.success() {
        bail!("the run failed ({status})");
    }
    Ok(())
}

/// Takes away what is left of earlier runs, unless one is going on.
pub(super) fn clean_alone() -> anyhow::Result<()> {
    let _lock = lock()?;
    clean()
}

fn lock() -> anyhow::Result<File> {
    let path = Path::new(names::LOCK);
    let file = File::create(path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another run is going on ({})", path.display()),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn clean() -> anyhow::Result<()> {
    match &clean::everything()[..] {
        [] => Ok(()),
        left => bail!("cannot clean up: {}", left.join("; ")),
    }
}

fn spawn(arguments: &[OsString]) -> anyhow::Result<Child> {
    let mut command = Command::new("nice");
    command.args(["-n", "5"]).arg(std::env::current_exe()?).args(arguments);
    // Its standard input ends with us, and it with that. In a group of its own, so that a Ctrl-C comes to us alone.
    command.stdin(Stdio::piped()).process_group(0);
    command.spawn().context("cannot start the run")
}

fn watch(child: &mut Child, signals: &mut Signals, limit: Duration) -> anyhow::Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Some(signal) = signals.pending().next() {
            bail!("ended by signal {signal}");
        }
        if begun.elapsed() > limit {
            bail!("ended after {limit:?}, which is as long as a run may take (--minutes)");
        }
        thread::sleep(LOOK);
    }
}

/// In the child: ends this process when the guardian is gone. The nodes then end by themselves, as their standard input does.
pub(super) fn end_with_guardian() -> io::Result<()> {
    let watch = thread::Builder::new().name("guardian".to_owned());
    watch.spawn(|| {
        let mut bytes = [0; 64];
        while io::stdin().read(&mut bytes).is_ok_and(|read| read > 0) {}
        eprintln!("the guardian is gone");
        std::process::exit(1);
    })?;
    Ok(())
}
