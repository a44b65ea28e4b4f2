//! `rep-sim`: seeds in, verdict out.

mod args;
mod hunt;
mod keep;
mod met;

use args::Args;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => hunt::run(&args),
        Ok(None) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("rep-sim: {why}\n\n{}", args::USAGE);
            ExitCode::from(2)
        }
    }
}
