//! `rep-model`: bounds in, verdict out.

mod args;

use args::Args;
use rep_model::{Group, Manner, Report, explore};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(args)) if args.planted => hunt(&args),
        Ok(Some(args)) if args.compare => compare(&args),
        Ok(Some(args)) => run(&args),
        Err(why) => {
            eprintln!("rep-model: {why}\n\n{}", args::USAGE);
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> ExitCode {
    println!("{} on {} threads", args.bounds, args.threads);
    let group = Group::new(args.bounds);
    if let Some(name) = &args.mutant
        && !plant(name)
    {
        return ExitCode::from(2);
    }
    let report = explore(group, manner(args));
    print(&report, args.ways);
    match report.is_whole && report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Whether the shortcuts hide anything.
fn compare(args: &Args) -> ExitCode {
    let comparison = rep_model::compare::compare(args.bounds);
    println!("{}: {comparison}", args.bounds);
    match comparison.difference {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    }
}

fn manner(args: &Args) -> Manner {
    let Args { threads, limit, breadth_first, .. } = *args;
    Manner { threads, limit, breadth_first, until_broken: true }
}

fn print(report: &Report, ways: bool) {
    for found in &report.found {
        println!("{:<9} {}: {}", found.kind(), found.what, found.verdict(report.is_whole));
        if let Some(way) = found.way.as_ref().filter(|_| ways || found.always) {
            way.iter().for_each(|step| println!("            {step}"));
        }
    }
    println!("{report}");
}

/// Plants each bug in turn.
#[cfg(rep_mutants)]
fn hunt(args: &Args) -> ExitCode {
    println!("| planted bug | explored | found | worlds | steps to it | seconds |");
    println!("|---|---|---|---|---|---|");
    let mut survived = Vec::new();
    for planted in rep_model::planted::TABLE {
        let report = planted.hunt(Manner { breadth_first: true, ..manner(args) });
        println!("{}", planted.row(&report));
        if report.broken().next().is_none() {
            survived.push(planted.name);
        }
    }
    if survived.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("rep-model: not found: {}", survived.join(", "));
    ExitCode::FAILURE
}

#[cfg(not(rep_mutants))]
fn hunt(_args: &Args) -> ExitCode {
    eprintln!(
        "rep-model: no bugs can be planted in this build; `cargo xtask model --planted` makes one"
    );
    ExitCode::from(2)
}

#[cfg(rep_mutants)]
fn plant(name: &str) -> bool {
    rep_vlsn::mutants::enable(name);
    true
}

#[cfg(not(rep_mutants))]
fn plant(name: &str) -> bool {
    eprintln!(
        "rep-model: {name} cannot be planted in this build; `cargo xtask model --mutant` makes one"
    );
    false
}
