//! What a failure prints: what broke, where everybody stood, what had just happened, and the line that
//! shows it again.

use crate::build::Build;
use crate::case::Case;
use crate::faults::Inflicted;
use crate::oracle::{Class, Invariant, Violation};
use crate::process::Life;
use crate::swarm::Swarm;
use crate::world::World;
use std::fmt;
use std::time::Duration;

/// A run that broke something.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What was broken.
    pub violation: Violation,
    /// The number of the event at which it was seen.
    pub event: u64,
    /// When, in virtual time.
    pub at: Duration,
    /// Where each member stood.
    pub columns: Vec<String>,
    /// The last lines of the trace.
    pub lines: Vec<String>,
    /// What kind of world it was.
    pub swarm: Option<Swarm>,
    /// Which program broke it.
    pub build: Build,
    /// What was played: the command that plays it again.
    pub replay: String,
    /// The same run by the list of its faults, if it was a seed of the swarm.
    pub case: Option<Case>,
    pub(crate) faults: Vec<Inflicted>,
}

impl Failure {
    pub(crate) fn bare(seed: u64, violation: Violation) -> Self {
        let build = Build::this();
        let replay = format!("cargo xtask sim --seed {seed:#x} --seeds 1{}", build.options());
        let (event, at) = (0, Duration::ZERO);
        Failure {
            seed,
            violation,
            event,
            at,
            columns: Vec::new(),
            lines: Vec::new(),
            swarm: None,
            build,
            replay,
            case: None,
            faults: Vec::new(),
        }
    }

    /// A seed that failed and, played again, did not.
    pub(crate) fn unstable(seed: u64) -> Self {
        let what = "it failed, and played again it held".to_owned();
        Failure::bare(seed, Violation { invariant: Invariant::Determinism, what })
    }

    pub(crate) fn of(world: World, violation: Violation) -> Self {
        let mut failure = Failure::bare(world.seed, violation);
        failure.event = world.trace.events;
        failure.at = world.now;
        failure.columns = columns(&world);
        failure.faults = world.faults.ledger.inflicted;
        failure.swarm = Some(world.swarm);
        failure.lines = world.trace.into_lines();
        failure
    }

    /// What kind of harm it is.
    pub fn class(&self) -> Class {
        self.violation.invariant.class()
    }
}

/// One line a member: what it is and how far it has come.
pub(crate) fn columns(world: &World) -> Vec<String> {
    let mut lines = vec![
        "node  run  role       master  fence     log last/synced  dvlsn  applied  disk  notes"
            .to_owned(),
    ];
    for id in world.ids() {
        let process = world.process(id);
        let (n, run, member) = (id.get(), process.run, world.oracle.member(id));
        let Some(live) = &process.live else {
            let why = match &process.life {
                Life::Broken(why) => format!("stays out: {why}"),
                Life::Up | Life::Down => "down".to_owned(),
                Life::Spare => "spare".to_owned(),
            };
            lines.push(format!("n{n:<4} {run:<4} {why}; {} entries on disk", member.durable));
            continue;
        };
        let node = &live.node;
        let role = format!("{:?}", node.role());
        let master = node.master().map_or("-".to_owned(), |master| format!("n{}", master.get()));
        let fence = node.fence();
        let fence = format!(
            "{}{}",
            fence.term,
            fence.promised_to.map_or(String::new(), |to| format!(">n{}", to.get()))
        );
        let log = format!("{}/{}", node.log().last(), node.log().synced().get());
        let mut notes = Vec::new();
        if process.paused {
            notes.push("stopped");
        }
        if !world.oracle.counts(id) {
            notes.push(if world.oracle.belongs(id) { "no voter" } else { "no member" });
        }
        lines.push(format!(
            "n{n:<4} {run:<4} {role:<10} {master:<7} {fence:<9} {log:<16} {:<6} {:<8} {:<5} {}",
            node.dvlsn().get(),
            node.applied().vlsn.get(),
            member.durable,
            notes.join(", ")
        ));
    }
    let cuts: Vec<String> =
        world.network.cuts().map(|(a, b)| format!("n{}->n{}", a.get(), b.get())).collect();
    if !cuts.is_empty() {
        lines.push(format!("cut: {}", cuts.join(" ")));
    }
    lines
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, violation, event, at, .. } = self;
        writeln!(
            f,
            "FAIL {} {}  seed={seed:#x}  event={event}  t={:.6}s  class={:?}  build={}",
            violation.invariant.id(),
            violation.invariant.name(),
            at.as_secs_f64(),
            self.class(),
            self.build
        )?;
        writeln!(f, "  {}", violation.what)?;
        writeln!(f, "  ({})", violation.invariant.says().trim())?;
        if let Some(swarm) = &self.swarm {
            writeln!(f, "\nworld: {swarm:?}")?;
        }
        writeln!(f)?;
        self.columns.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\nlast events (number, seconds, what):")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "\nreproduce: {}", self.replay)
    }
}
