//! The benchmark, built for speed beside the `rep` that it drives.
//!
//! It is an example of `rep-env`, so that this crate, which everything waits for in CI, stays small.

use crate::run::run_seeing;
use crate::workspace::Workspace;

/// What may be asked of the benchmark.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only the parts whose name has this in it: facade, redis, memory, redb, reads, failover, transfer, catch-up, restore, restore-processes, idle, channel, append, index, recovery, elect, transports
    #[arg(value_name = "PART")]
    parts: Vec<String>,
    /// The same, in the way of the other commands
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Seconds for each number
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    secs: u64,
    /// Masters to kill in `failover`, and to hand over in `transfer`
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    kills: u64,
    /// How many write at once, once for each number [default: 1, 8, 32 and 128]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    writers: Vec<u64>,
    /// GiB of the log that is opened in `recovery`, and of the state that is copied in `restore`
    #[arg(long, default_value_t = 0.0625)]
    gib: f64,
}

impl Args {
    fn named(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().chain(&self.only).map(String::as_str)
    }

    fn wants(&self, part: &str) -> bool {
        self.named().next().is_none() || self.named().any(|name| part.contains(name))
    }
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let mut build = workspace.cargo();
    build.args(["build", "--quiet", "--release", "--package", "rep-cli", "--bin", "rep"]);
    run_seeing(&mut build, None, |_| ())?;
    let rep = workspace.target.join("release").join("rep");
    let mut bench = workspace.cargo();
    bench.args(["run", "--quiet", "--release", "--package", "rep-env", "--example", "bench", "--"]);
    bench.arg("--rep").arg(rep);
    bench.args(["--secs", &args.secs.to_string(), "--kills", &args.kills.to_string()]);
    bench.args(["--gib", &args.gib.to_string()]);
    bench.args(args.named().flat_map(|name| ["--only", name]));
    for writers in &args.writers {
        bench.args(["--writers", &writers.to_string()]);
    }
    run_seeing(&mut bench, None, |_| ())?;
    for alone in ALONE {
        if args.wants(alone.name) {
            alone.run(workspace)?;
        }
    }
    Ok(())
}

/// What a crate measures alone, with criterion.
struct Alone {
    name: &'static str,
    package: &'static str,
    features: &'static str,
}

const ALONE: &[Alone] = &[
    Alone { name: "elect", package: "rep-election", features: "" },
    Alone { name: "transports", package: "rep-net", features: "quic" },
];

impl Alone {
    fn run(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let mut bench = workspace.cargo();
        bench.args(["bench", "--quiet", "--package", self.package, "--bench", self.name]);
        bench.args(["--features", self.features]);
        run_seeing(&mut bench, None, |_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    #[test]
    fn a_part_is_named_by_itself_or_as_the_other_commands_do() {
        let named = |parts: &[&str], only: &[&str]| Args {
            parts: parts.iter().map(|&part| part.into()).collect(),
            only: only.iter().map(|&part| part.into()).collect(),
            ..Args::default()
        };
        assert!(named(&[], &[]).wants("failover"));
        assert!(named(&["failover"], &[]).wants("failover"));
        assert!(!named(&["failover"], &[]).wants("elect"));
        assert!(named(&["failover"], &["elect"]).wants("elect"));
        assert!(named(&["redis"], &[]).wants("redis-memory"), "a part of the name will do");
    }
}
