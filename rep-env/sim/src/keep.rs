//! What becomes of a failure: it is made small, and kept as a file that plays it again.

use crate::args::Args;
use rep_sim::{Build, Case, Detail, Failure, shrink};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Seconds that are spent on making a failure small, unless it was planted.
const SHRINK_S: f64 = 60.0;

/// Makes the case of a failure small, if it has one, and saves it.
pub(crate) fn make_small(args: &Args, failure: &Failure) {
    let Some(case) = &failure.case else { return };
    let mut case = case.clone();
    let seconds = args.shrink.unwrap_or(if args.mutant.is_some() { 0.0 } else { SHRINK_S });
    if seconds > 0.0 {
        // tidy: allow(clock) because people wait for it, and no run sees it
        let until = Instant::now() + Duration::from_secs_f64(seconds.min(1e6));
        // tidy: allow(clock) because people wait for it, and no run sees it
        let small = shrink::shrink(case.clone(), || Instant::now() < until);
        println!("shrunk   : {case}\n       -> {small}");
        case = small;
    }
    match args.save.as_ref().map(|folder| save(folder, &case)) {
        Some(Ok(file)) => {
            println!("saved    : {file}\nreplay   : {}", replaying(&file, case.build()))
        }
        Some(Err(error)) => eprintln!("rep-sim: the case cannot be saved: {error}"),
        None => {}
    }
}

fn save(folder: &Path, case: &Case) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let file = folder.join(case.name());
    fs::write(&file, case.to_text())?;
    Ok(file.display().to_string())
}

fn replaying(file: &str, build: Build) -> String {
    format!("cargo xtask sim --replay {file}{}", build.options())
}

/// Says, where nobody can overlook it, that what is played is another run than the one that was found.
fn warn_of_another_build(file: &str, found: Build) {
    let here = Build::this();
    if here != found {
        let line = replaying(file, found);
        eprintln!(
            "rep-sim: ANOTHER BUILD: the case is of \"{found}\", this one is \"{here}\"; what it does proves nothing about that one"
        );
        eprintln!("rep-sim: to play what was found: {line}");
    }
}

/// Plays the case in a file.
pub(crate) fn replay(file: &Path, trace: bool) -> ExitCode {
    let case = fs::read_to_string(file).map_err(|error| error.to_string());
    let case = match case.and_then(|text| Case::parse(&text).map_err(|error| error.to_string())) {
        Ok(case) => case,
        Err(why) => {
            eprintln!("rep-sim: {}: {why}", file.display());
            return ExitCode::from(2);
        }
    };
    let name = file.display().to_string();
    warn_of_another_build(&name, case.build());
    match case.run(if trace { Detail::Print } else { Detail::Hash }) {
        Ok(outcome) => {
            println!("it holds in build \"{}\": {} events, {case}", Build::this(), outcome.events);
            ExitCode::SUCCESS
        }
        Err(mut failure) => {
            failure.replay = replaying(&name, Build::this());
            println!("{failure}");
            ExitCode::from(failure.class().exit_code())
        }
    }
}
