//! What was asked for.

use rep_sim::planted;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: rep-sim [--seeds N] [--seed S] [--minutes M] [--jobs J] [--mutant NAME] [--scene NAME] [--members N] [--twice] [--trace]
       rep-sim --healthy [--hours H] [--seeds N] [--seed S] [--jobs J] [--trace]
       rep-sim --scene churn [--hours H] [--seeds N] [--seed S] [--jobs J] [--trace]
       rep-sim --replay FILE [--mutant NAME] [--trace]
       rep-sim --list-mutants

  --seeds N       how many seeds to run (2000; of healthy groups 4)
  --seed S        the first seed, decimal or 0x... (0)
  --minutes M     start no seed after this many minutes
  --jobs J        threads (2)
  --mutant NAME   plant this bug first (needs a build with --cfg rep_mutants)
  --scene NAME    play a scene instead of the swarm: je, healthy, rejoin, partial, outputs, arbiter, designated, relay, churn,
                  kill, freeze
  --members N     worlds of so many members only, each seed run once
  --healthy       no fault at all: loaded groups, none of which may elect a second master
  --hours H       virtual hours of each healthy group, or of the scene churn (1)
  --shrink S      make a failing seed small, for S seconds at most (60; 0 with --mutant or a scene)
  --save DIR      write the case of a failing seed to this directory
  --replay FILE   play the case in this file
  --coverage      tell what the seeds have met, and fail if 10,000 of them have not met everything
  --twice         run every seed twice and compare (else one in 64)
  --trace         print every line of the trace to stderr
exit: 0 clean, 2 usage, 3 safety, 4 liveness, 5 determinism, 6 panic";

/// The command line.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) seeds: u64,
    pub(crate) seed: u64,
    pub(crate) minutes: Option<f64>,
    pub(crate) jobs: usize,
    pub(crate) mutant: Option<String>,
    pub(crate) scene: Option<String>,
    pub(crate) members: Option<u32>,
    pub(crate) healthy: bool,
    /// Virtual hours of a run, where that is asked.
    pub(crate) hours: Option<f64>,
    /// How long a failure may be made smaller.
    pub(crate) shrink: Option<f64>,
    pub(crate) save: Option<PathBuf>,
    pub(crate) replay: Option<PathBuf>,
    pub(crate) coverage: bool,
    pub(crate) twice: bool,
    pub(crate) trace: bool,
}

impl Args {
    /// Reads the arguments; `None` if the answer has been printed already.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
        let mut args = Args {
            seeds: 0,
            seed: 0,
            minutes: None,
            jobs: 2,
            mutant: None,
            scene: None,
            members: None,
            healthy: false,
            hours: None,
            shrink: None,
            save: None,
            replay: None,
            coverage: false,
            twice: false,
            trace: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seeds" => args.seeds = number(&value()?)?,
                "--seed" => args.seed = number(&value()?)?,
                "--jobs" => args.jobs = number(&value()?)?.clamp(1, 64) as usize,
                "--minutes" => args.minutes = Some(decimal(&value()?)?),
                "--mutant" => args.mutant = Some(value()?),
                "--scene" => args.scene = Some(scene(value()?)?),
                "--members" => args.members = Some(number(&value()?)?.clamp(1, 7) as u32),
                "--healthy" => args.healthy = true,
                "--hours" => args.hours = Some(decimal(&value()?)?),
                "--shrink" => args.shrink = Some(decimal(&value()?)?),
                "--save" => args.save = Some(value()?.into()),
                "--replay" => args.replay = Some(value()?.into()),
                "--coverage" => args.coverage = true,
                "--twice" => args.twice = true,
                "--trace" => args.trace = true,
                "--list-mutants" => {
                    list_mutants();
                    return Ok(None);
                }
                "--help" | "-h" => {
                    println!("{USAGE}");
                    return Ok(None);
                }
                other => return Err(format!("{other} is no option")),
            }
        }
        if args.coverage && args.members.is_some() {
            return Err("--coverage looks at worlds of every size".to_owned());
        }
        // Hours alone are those of healthy groups.
        args.healthy |= args.hours.is_some() && args.scene.is_none();
        if args.hours.is_some() && args.scene.as_deref().is_some_and(|scene| scene != "churn") {
            return Err("that scene has a length of its own".to_owned());
        }
        if args.seeds == 0 {
            args.seeds = if args.healthy { 4 } else { 2_000 };
        }
        Ok(Some(args))
    }
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no number"))
}

fn decimal(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    parsed.ok_or_else(|| format!("{text} is no number"))
}

fn scene(name: String) -> Result<String, String> {
    if rep_sim::scenario::names().any(|known| known == name) {
        Ok(name)
    } else {
        Err(format!("{name} is no scene"))
    }
}

fn list_mutants() {
    for mutant in planted::TABLE {
        println!("{:<36} {:<13} {}", mutant.name, mutant.site, mutant.what);
    }
}
