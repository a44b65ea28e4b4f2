//! Other people's programs, and whether all that are needed are here.

use anyhow::{Context, bail};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What has to be installed.
const PROGRAMS: [&str; 10] =
    ["ip", "mount", "umount", "losetup", "mkfs.ext4", "e2fsck", "fsfreeze", "strace", "nice", "sh"];

/// Steps over the wall clock of the processes under it, and of theirs alone.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// How long a tool may take. What it waits for would otherwise be waited for without end.
const TOOL_LIMIT: Duration = Duration::from_secs(30);
/// How often a process is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Why this machine cannot do it, if it cannot.
pub(super) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root: for network namespaces, loop devices and mounts".to_owned());
    }
    let absent = PROGRAMS.iter().find(|program| !is_installed(program));
    if let Some(program) = absent {
        return Some(format!("needs {program} (iproute2, util-linux, e2fsprogs, strace)"));
    }
    for device in ["/dev/net/tun", "/dev/loop-control"] {
        if !Path::new(device).exists() {
            return Some(format!("needs {device}"));
        }
    }
    None
}

/// The library that fakes the time, if it is installed.
pub(super) fn faketime() -> Option<&'static str> {
    FAKETIME.into_iter().find(|path| Path::new(path).exists())
}

fn is_installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Runs a tool to its end, and gives what it printed.
pub(super) fn run(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = format!("{program} {}", args.join(" "));
    let mut child = command.spawn().with_context(|| format!("cannot start: {shown}"))?;
    if !ends_within(&mut child, TOOL_LIMIT)? {
        child.kill()?;
        bail!("not ended after {TOOL_LIMIT:?}: {shown}");
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("failed ({}): {shown}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the process has ended before the time is over.
pub(super) fn ends_within(child: &mut Child, limit: Duration) -> std::io::Result<bool> {
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > limit {
            return Ok(false);
        }
        thread::sleep(LOOK);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_fails_is_an_error_with_its_words() {
        assert_eq!(run("sh", &["-c", "echo yes"]).unwrap(), "yes\n");
        let error = run("sh", &["-c", "echo no >&2; exit 3"]).unwrap_err().to_string();
        assert!(error.contains("no") && error.contains('3'), "{error}");
    }

    #[test]
    fn what_is_not_installed_is_missed() {
        assert!(is_installed("sh"));
        assert!(!is_installed("a-program-that-nobody-has"));
    }
}
