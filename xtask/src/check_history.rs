//! Judges the history of any system: could one object, asked one thing at a time, have answered so?
//!
//! The exit code is the answer, so everything else that can happen has another one: 3 if the history cannot be read, or is empty.

use rep_checker::{Budget, Counterexample, Entry, Judgement, ModelKind, jsonl, judge, timeline};
use std::fmt::Write as _;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What may be asked of `check-history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints `linearizable` (exit 0), `not linearizable` and the smallest bad history as JSON lines (exit 1), or `unknown` (exit 2): a
budget was used up before the answer was known. Exit 3: the history cannot be read, is malformed or has no operation, and nothing
was judged.
The format: rep-env/checker/README.md")]
pub(crate) struct Args {
    /// What each key of the history is
    #[arg(long, value_enum)]
    model: Kind,
    /// The history, one JSON object a line; `-` is standard input
    file: PathBuf,
    /// How long to search before the answer is `unknown`
    #[arg(long, default_value = "60", value_parser = seconds)]
    seconds: Duration,
    /// How many states of each key to visit before the answer is `unknown`
    #[arg(long, default_value_t = rep_checker::STATES_MAX_DEFAULT)]
    states: u64,
    /// How many MiB of memory the visited states of a key may take before the answer is `unknown`
    #[arg(long, default_value_t = rep_checker::BYTES_MAX_DEFAULT >> 20)]
    mib: usize,
    /// Draw the smallest bad history, if there is one, into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Registers, null at first: read, write, cas
    Register,
    /// Texts, empty at first: as register, and append
    Kv,
}

/// Everything that the command says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: u8,
    /// For programs: the verdict in its first line, then the bad history.
    out: String,
    /// For people.
    err: String,
    /// The drawing.
    svg: Option<String>,
}

const LINEARIZABLE: u8 = 0;
const NOT_LINEARIZABLE: u8 = 1;
const UNKNOWN: u8 = 2;
const UNREADABLE: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    let mut answer = match open(&args.file) {
        Ok(input) => answer(args, input),
        Err(error) => unreadable(args, &error),
    };
    if let (Some(path), Some(svg)) = (&args.svg, &answer.svg) {
        let told = match std::fs::write(path, svg) {
            Ok(()) => format!("drawn in {}\n", path.display()),
            Err(error) => format!("error: cannot draw {}: {error}\n", path.display()),
        };
        answer.err.push_str(&told);
    }
    // The exit code is the answer also to who reads no further.
    let _ = io::stdout().write_all(answer.out.as_bytes());
    let _ = io::stderr().write_all(answer.err.as_bytes());
    answer.code.into()
}

fn open(file: &Path) -> io::Result<Box<dyn Read>> {
    match file == Path::new("-") {
        true => Ok(Box::new(io::stdin())),
        false => Ok(Box::new(std::fs::File::open(file)?)),
    }
}

fn answer(args: &Args, input: impl Read) -> Answer {
    let entries = match jsonl::read_history(BufReader::new(input)) {
        Ok(entries) => entries,
        Err(error) => return unreadable(args, &error),
    };
    if entries.is_empty() {
        // Any object could have said nothing. Whoever asks has a file that should not be empty.
        let err = format!("error: {}: no operations: nothing was judged\n", args.file.display());
        return Answer { code: UNREADABLE, out: String::new(), err, svg: None };
    }
    let begun = Instant::now();
    let budget = Budget {
        states_max: args.states,
        bytes_max: args.mib.saturating_mul(1 << 20),
        give_up: &|| begun.elapsed() >= args.seconds,
    };
    match judge(args.model.into(), &entries, &budget) {
        Ok(judgement) => told(args, &entries, judgement),
        Err(error) => unreadable(args, &error),
    }
}

fn told(args: &Args, entries: &[Entry], judgement: Judgement) -> Answer {
    let answer = |code, out: &str, err| Answer { code, out: out.to_owned(), err, svg: None };
    match judgement {
        Judgement::Linearizable => {
            let err = format!("{} operations in {}\n", entries.len(), args.file.display());
            answer(LINEARIZABLE, "linearizable\n", err)
        }
        Judgement::NotLinearizable(found) => not_linearizable(entries, &found),
        Judgement::Unknown(keys) => {
            let mut err = String::new();
            for (key, why) in keys {
                // Writing to a string does not fail.
                let _ =
                    writeln!(err, "{}: {why}; --seconds, --states and --mib give more", of(key));
            }
            answer(UNKNOWN, "unknown\n", err)
        }
    }
}

fn not_linearizable(entries: &[Entry], found: &Counterexample) -> Answer {
    let mut bad: Vec<&Entry> = found.places.iter().map(|&at| &entries[at]).collect();
    bad.sort_by_key(|entry| entry.invoked);
    let key = of(found.key.clone());
    let mut err = format!("{key}: {} of {} operations fit no order\n", bad.len(), found.operations);
    if !found.complete {
        err.push_str(
            "a smaller bad history may exist: a budget was used up before that was known\n",
        );
    }
    for entry in &bad {
        let returned = entry.returned.map_or("?".to_owned(), |line| line.to_string());
        let _ = writeln!(
            err,
            "  lines {}-{returned}: process {}: {entry}",
            entry.invoked, entry.process
        );
    }
    let bars: Vec<timeline::Bar> = bad.iter().map(|&entry| entry.into()).collect();
    Answer {
        code: NOT_LINEARIZABLE,
        out: format!("not linearizable\n{}", jsonl::write_history(bad.iter().copied())),
        err,
        svg: Some(timeline::draw(&format!("not linearizable: {key}"), &bars)),
    }
}

fn of(key: Option<rep_checker::Value>) -> String {
    key.map_or("the one object".to_owned(), |key| format!("key {key}"))
}

fn unreadable(args: &Args, error: &dyn std::error::Error) -> Answer {
    let err = format!("error: {}: {error}\n", args.file.display());
    Answer { code: UNREADABLE, out: String::new(), err, svg: None }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

impl From<Kind> for ModelKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Register => ModelKind::Register,
            Kind::Kv => ModelKind::Kv,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(model: Kind) -> Args {
        Args {
            model,
            file: "-".into(),
            seconds: Duration::from_secs(60),
            states: 1_000_000,
            mib: 64,
            svg: None,
        }
    }

    fn ask(model: Kind, history: &str) -> Answer {
        answer(&args(model), history.as_bytes())
    }

    const STALE: &str = r#"
        {"process":1,"type":"invoke","op":"write","value":1}
        {"process":1,"type":"ok","op":"write","value":1}
        {"process":2,"type":"invoke","op":"read","value":null}
        {"process":2,"type":"ok","op":"read","value":null}
        {"process":2,"type":"invoke","op":"read","value":null}
        {"process":2,"type":"ok","op":"read","value":1}
    "#;

    /// Each file says in its name what it shows, which model it is of, and what it is: `WHAT.MODEL.VERDICT.jsonl`.
    #[test]
    fn every_known_history_is_judged_as_its_name_says() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../rep-env/checker/tests/histories");
        let mut judged = [0; 4];
        for file in folder.read_dir().unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let words: Vec<&str> = name.split('.').collect();
            let model = if words[1] == "kv" { Kind::Kv } else { Kind::Register };
            let verdict = match words[2] {
                "good" => LINEARIZABLE,
                "bad" => NOT_LINEARIZABLE,
                _ => UNREADABLE,
            };
            let answer = answer(&args(model), std::fs::File::open(&path).unwrap());
            assert_eq!(answer.code, verdict, "{name}: {answer:?}");
            judged[usize::from(verdict)] += 1;
            if verdict == NOT_LINEARIZABLE {
                let bad = answer.out.split_once('\n').unwrap().1;
                assert_eq!(
                    ask(model, bad).code,
                    NOT_LINEARIZABLE,
                    "{name}: what it prints is bad too"
                );
            }
        }
        assert!(judged[0] >= 6 && judged[1] >= 6 && judged[3] >= 3, "{judged:?}");
    }

    #[test]
    fn the_verdict_is_the_first_line_and_the_smallest_bad_history_follows() {
        let answer = ask(Kind::Register, STALE);
        assert_eq!(answer.code, NOT_LINEARIZABLE);
        assert_eq!(
            answer.out,
            "not linearizable\n\
             {\"process\":1,\"type\":\"invoke\",\"op\":\"write\",\"value\":1}\n\
             {\"process\":1,\"type\":\"ok\",\"op\":\"write\",\"value\":1}\n\
             {\"process\":2,\"type\":\"invoke\",\"op\":\"read\",\"value\":null}\n\
             {\"process\":2,\"type\":\"ok\",\"op\":\"read\",\"value\":null}\n"
        );
        assert!(answer.svg.is_some_and(|svg| svg.contains("read: null")));
    }

    /// A recorder that wrote nothing looked like a system that is right.
    #[test]
    fn a_history_without_operations_is_no_pass() {
        for empty in ["", "\n\n"] {
            let answer = ask(Kind::Register, empty);
            assert_eq!((answer.code, &*answer.out), (UNREADABLE, ""));
            assert!(answer.err.contains("no operations"), "{}", answer.err);
        }
    }

    /// Writes of few values that all overlap, and a read of none of them at the end: every order has to be refuted.
    #[test]
    fn a_budget_that_is_used_up_is_never_a_pass() {
        let mut history = String::new();
        for at in 0..40 {
            let _ = writeln!(
                history,
                "{{\"process\":{at},\"type\":\"invoke\",\"op\":\"cas\",\"value\":[{},{}]}}",
                at % 3,
                (at + 1) % 3
            );
        }
        history
            .insert_str(0, "{\"process\":99,\"type\":\"invoke\",\"op\":\"write\",\"value\":0}\n");
        for at in 0..39 {
            let _ = writeln!(history, "{{\"process\":{at},\"type\":\"ok\",\"op\":\"cas\"}}");
        }
        history.push_str("{\"process\":99,\"type\":\"ok\",\"op\":\"write\"}\n");
        history.push_str("{\"process\":5,\"type\":\"invoke\",\"op\":\"cas\",\"value\":[7,7]}\n");
        history.push_str("{\"process\":5,\"type\":\"ok\",\"op\":\"cas\"}\n");
        let few = Args { states: 10, ..args(Kind::Register) };
        let no_time = Args { seconds: Duration::ZERO, ..args(Kind::Register) };
        for args in [few, no_time] {
            let answer = answer(&args, history.as_bytes());
            assert_eq!((answer.code, &*answer.out), (UNKNOWN, "unknown\n"), "{}", answer.err);
        }
    }

    #[test]
    fn what_cannot_be_read_has_no_verdict_and_says_why() {
        let answer =
            ask(Kind::Register, "{\"process\":1,\"type\":\"ok\",\"op\":\"read\",\"value\":1}\n");
        assert_eq!((answer.code, &*answer.out), (UNREADABLE, ""));
        assert!(answer.err.contains("line 1: process 1 completes read"), "{}", answer.err);
        let append = "{\"process\":1,\"type\":\"invoke\",\"op\":\"append\",\"value\":\"a\"}\n";
        let refused = ask(Kind::Register, append);
        assert!(refused.code == UNREADABLE && refused.err.contains("append"), "{}", refused.err);
        assert_eq!(ask(Kind::Kv, append).code, LINEARIZABLE);
    }

    #[test]
    fn seconds_are_a_number_that_is_not_negative() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(["-1", "nan", "x", "1e300"].into_iter().all(|text| seconds(text).is_err()));
    }
}
