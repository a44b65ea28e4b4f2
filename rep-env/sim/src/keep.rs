//! What becomes of a failure: it is made small, and kept as a file that plays it again.

use crate::args::Args;
use rep_sim::{Case, Detail, Failure, shrink};
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
    if let Some(mutant) = &args.mutant {
        case = case.showing(mutant);
    }
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
        Some(Ok(file)) => println!("saved    : {file}\nreplay   : cargo xtask sim --replay {file}"),
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
    match case.run(if trace { Detail::Print } else { Detail::Hash }) {
        Ok(outcome) => {
            println!("it holds: {} events, {case}", outcome.events);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::from(failure.class().exit_code())
        }
    }
}
