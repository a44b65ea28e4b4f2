//! Test binaries, as many at a time as there are cores.
//!
//! Cargo runs one after the other, and most of the time of most of them is waiting. Each one's output is printed when it has ended, in one piece.

use crate::run::{Tally, Watch, finish, run_reading, shown};
use anyhow::{Context, bail};
use parking_lot::Mutex;
use serde_json::Value;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A test binary that cargo has built.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Suite {
    executable: PathBuf,
    /// Where cargo would run it: its package's folder.
    dir: PathBuf,
    /// The package's folder and the target, as `rep-net: tcp`.
    name: String,
}

/// Has cargo build what `test` says, and runs it. None may take longer than `limit`; the build has as long.
///
/// Fails if anything of it does, after all have run.
pub(crate) fn run(mut test: Command, limit: Duration, tally: &mut Tally) -> anyhow::Result<()> {
    let suites = build(&mut test, limit)?;
    let todo = Mutex::new(suites);
    let (told, failed) = (Mutex::new(tally), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                while let Some(suite) = next(&todo) {
                    let outcome =
                        one(&suite, limit, |output| tell(&suite, output, &mut told.lock()));
                    outcome
                        .unwrap_or_else(|why| failed.lock().push(format!("{}: {why}", suite.name)));
                }
            });
        }
    });
    match failed.into_inner().as_slice() {
        [] => Ok(()),
        failed => bail!("test binaries that failed:\n{}", failed.join("\n")),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn next(todo: &Mutex<Vec<Suite>>) -> Option<Suite> {
    todo.lock().pop()
}

/// Those of most code last, which is where they are taken from: they tend to take longest, and none of them should begin when all others have ended.
fn build(test: &mut Command, limit: Duration) -> anyhow::Result<Vec<Suite>> {
    test.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let mut suites = Vec::new();
    run_reading(test, Some(limit), |line| suites.extend(suite_of(line)))?;
    suites.sort_by_key(|suite| size_of(&suite.executable));
    Ok(suites)
}

fn size_of(file: &Path) -> u64 {
    file.metadata().map_or(0, |found| found.len())
}

/// What a line of cargo's messages tells of a test binary, if it does.
fn suite_of(line: &str) -> Option<Suite> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_test = message["profile"]["test"].as_bool()?;
    let executable = PathBuf::from(message["executable"].as_str().filter(|_| is_test)?);
    let dir = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
    let package = dir.file_name()?.to_string_lossy();
    let name = format!("{package}: {}", message["target"]["name"].as_str()?);
    Some(Suite { executable, dir, name })
}

fn one(suite: &Suite, limit: Duration, tell: impl FnOnce(&str)) -> anyhow::Result<()> {
    let mut command = Command::new(&suite.executable);
    command.current_dir(&suite.dir).env("CARGO_MANIFEST_DIR", &suite.dir);
    // They wait for each other far more than they compute: nine tenths of the time of a group's tests is its timeouts.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", (3 * cores()).to_string());
    }
    let (output, outcome) = output_of(command, limit)?;
    tell(&output);
    outcome
}

/// All that the command prints, and how it ended.
fn output_of(
    mut command: Command,
    limit: Duration,
) -> anyhow::Result<(String, anyhow::Result<()>)> {
    let (mut reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child =
        command.spawn().with_context(|| format!("cannot start: {}", shown(&command)))?;
    // The command holds the other end of the pipe for as long as it lives.
    drop(command);
    let watch = Watch::new(child.id(), limit);
    let mut output = Vec::new();
    reader.read_to_end(&mut output)?;
    let outcome = finish(&mut child, Some(watch)).and_then(|status| match status.success() {
        true => Ok(()),
        false => bail!("{status}"),
    });
    Ok((String::from_utf8_lossy(&output).into_owned(), outcome))
}

fn tell(suite: &Suite, output: &str, tally: &mut Tally) {
    println!("     Running {} ({})", suite.name, suite.executable.display());
    print!("{output}");
    output.lines().for_each(|line| tally.count(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(test: bool, executable: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"/w/rep-net/Cargo.toml","target":{{"name":"tcp"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
        )
    }

    #[test]
    fn the_test_binaries_are_found_among_what_cargo_tells() {
        let suite = suite_of(&message(true, r#""/t/tcp-1""#)).unwrap();
        let (executable, dir) = ("/t/tcp-1".into(), "/w/rep-net".into());
        assert_eq!(suite, Suite { executable, dir, name: "rep-net: tcp".to_owned() });
        assert_eq!(suite_of(&message(false, r#""/t/rep""#)), None, "a program that tests start");
        assert_eq!(suite_of(&message(true, "null")), None, "a library");
        assert_eq!(suite_of(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn all_that_a_binary_prints_is_had_in_one_piece_whether_it_fails_or_not() {
        let sh = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            output_of(command, Duration::from_secs(60)).unwrap()
        };
        let (output, outcome) = sh("echo one; echo two >&2");
        assert_eq!((output.as_str(), outcome.is_ok()), ("one\ntwo\n", true));
        let (output, outcome) = sh("echo three; exit 3");
        assert_eq!((output.as_str(), outcome.is_ok()), ("three\n", false));
    }

    #[test]
    fn a_binary_that_hangs_is_killed_and_what_it_said_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; sh -c 'while :; do :; done' & wait"]);
        let (output, outcome) = output_of(command, Duration::from_millis(200)).unwrap();
        assert!(outcome.unwrap_err().to_string().contains("limit"));
        assert_eq!(output, "one\n");
    }
}
