//! What was asked for.

use rep_sim::planted;

pub(crate) const USAGE: &str = "\
usage: rep-sim [--seeds N] [--seed S] [--minutes M] [--jobs J] [--mutant NAME] [--scene NAME] [--twice] [--trace]
       rep-sim --list-mutants

  --seeds N       how many seeds to run (2000)
  --seed S        the first seed, decimal or 0x... (0)
  --minutes M     start no seed after this many minutes
  --jobs J        threads (2)
  --mutant NAME   plant this bug first (needs a build with --cfg rep_mutants)
  --scene NAME    play a scene instead of the swarm: je
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
    pub(crate) twice: bool,
    pub(crate) trace: bool,
}

impl Args {
    /// Reads the arguments; `None` if the answer has been printed already.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
        let mut args = Args {
            seeds: 2_000,
            seed: 0,
            minutes: None,
            jobs: 2,
            mutant: None,
            scene: None,
            twice: false,
            trace: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seeds" => args.seeds = number(&value()?)?,
                "--seed" => args.seed = number(&value()?)?,
                "--jobs" => args.jobs = number(&value()?)?.clamp(1, 64) as usize,
                "--minutes" => {
                    let text = value()?;
                    args.minutes = Some(text.parse().map_err(|_| format!("{text} is no number"))?);
                }
                "--mutant" => args.mutant = Some(value()?),
                "--scene" => args.scene = Some(scene(value()?)?),
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

fn scene(name: String) -> Result<String, String> {
    if rep_sim::scenario::NAMES.contains(&&*name) {
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
