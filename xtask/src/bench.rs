//! The benchmark, built for speed beside the `rep` that it drives.
//!
//! It is an example of `rep-env`, so that this crate, which everything waits for in CI, stays small.

use crate::run::run_seeing;
use crate::workspace::Workspace;

/// What may be asked of the benchmark.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only the parts whose name has this in it: facade, redis, memory, redb, reads, failover, transfer, catch-up, restore, restore-processes, idle, channel, append, index, recovery, elect, transports
    #[arg(long)]
    only: Vec<String>,
    /// Seconds for each number
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    secs: u64,
    /// Masters to kill in `failover`, and to hand over in `transfer`
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    kills: u64,
    /// GiB of the log that is opened in `recovery`, and of the state that is copied in `restore`
    #[arg(long, default_value_t = 0.0625)]
    gib: f64,
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
    bench.args(args.only.iter().flat_map(|only| ["--only", only]));
    run_seeing(&mut bench, None, |_| ())?;
    for alone in ALONE {
        if args.only.is_empty() || args.only.iter().any(|only| alone.name.contains(&**only)) {
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
