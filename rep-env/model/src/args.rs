//! What may be asked on the command line.

use rep_model::{Bounds, Start};
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: rep-model [OPTIONS]          explores everything within the bounds
       rep-model --planted          plants each bug in turn, and has to find it (needs --cfg rep_mutants)

  --terms N        terms after the founding's                        (default 2)
  --entries N      entries that clients write                        (default 2)
  --crashes N      power cuts                                        (default 1)
  --breaks N       streams that break and are dialled again          (default 0)
  --ahead          set out from one log that is ahead
  --parted         set out from logs that have parted
  --every-order    take no shortcuts
  --compare        go both ways, and compare what the rules look at
  --slow-fences    fences take their time to the disk
  --threads N      (default 2)
  --minutes M      give up after so long                             (default 10)
  --breadth-first  short ways to what is found, for more memory
  --mutant NAME    plant this bug first
  --ways           print how to get to what has to be seen once";

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) bounds: Bounds,
    pub(crate) threads: usize,
    pub(crate) limit: Duration,
    pub(crate) breadth_first: bool,
    pub(crate) mutant: Option<String>,
    pub(crate) planted: bool,
    pub(crate) compare: bool,
    pub(crate) ways: bool,
}

impl Default for Args {
    fn default() -> Self {
        Args {
            bounds: Bounds::least().terms(2).entries(2).crashes(1),
            threads: 2,
            limit: Duration::from_secs(600),
            breadth_first: false,
            mutant: None,
            planted: false,
            compare: false,
            ways: false,
        }
    }
}

impl Args {
    /// Reads the arguments; none if help was asked for.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
        let (mut args, mut words) = (Args::default(), words);
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                println!("{USAGE}");
                return Ok(None);
            }
            args.take(&word, &mut words)?;
        }
        Ok(Some(args))
    }

    fn take(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let bounds = self.bounds;
        match word {
            "--terms" => self.bounds = bounds.terms(number(word, words)?),
            "--entries" => self.bounds = bounds.entries(number(word, words)?),
            "--crashes" => self.bounds = bounds.crashes(number(word, words)?),
            "--breaks" => self.bounds = bounds.breaks(number(word, words)?),
            "--ahead" => self.bounds = bounds.start(Start::Ahead),
            "--parted" => self.bounds = bounds.start(Start::Parted),
            "--every-order" => self.bounds = bounds.every_order(),
            "--slow-fences" => self.bounds = bounds.slow_fences(),
            "--threads" => self.threads = number(word, words)?,
            "--minutes" => self.limit = Duration::from_secs_f64(60.0 * number::<f64>(word, words)?),
            "--breadth-first" => self.breadth_first = true,
            "--mutant" => self.mutant = Some(words.next().ok_or("--mutant needs a name")?),
            "--planted" => self.planted = true,
            "--compare" => self.compare = true,
            "--ways" => self.ways = true,
            other => return Err(format!("unknown argument {other}")),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(
    word: &str,
    words: &mut impl Iterator<Item = String>,
) -> Result<T, String> {
    let given = words.next().ok_or_else(|| format!("{word} needs a number"))?;
    given.parse().map_err(|_| format!("{word} needs a number, not {given}"))
}
