//! The planted bugs that the model has to find, and the smallest world in which each can be.

use crate::bounds::{Bounds, Start};
use crate::run::Report;
#[cfg(rep_mutants)]
use crate::{Group, Manner, explore};

/// One planted bug: see `docs/testing.md` for what goes wrong.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Planted {
    /// The name of its site.
    pub name: &'static str,
    /// Where to look.
    pub bounds: Bounds,
}

const fn planted(name: &'static str, bounds: Bounds) -> Planted {
    Planted { name, bounds }
}

const NONE: Bounds = Bounds::least();
const ONE: Bounds = NONE.entries(1);
const TWO: Bounds = ONE.terms(2);

/// Every planted bug that is about what the model explores.
pub const TABLE: &[Planted] = &[
    planted("election-majority-off-by-one", ONE),
    planted("election-skip-promise-sync", ONE),
    planted("election-two-promises-a-term", ONE),
    planted("election-resolicit-persisted-term", ONE.crashes(1)),
    planted("election-accept-after-restart", TWO.crashes(1)),
    planted("election-no-rank", NONE.terms(2).start(Start::Ahead)),
    planted("election-rank-by-vlsn", NONE.terms(2).start(Start::Ahead)),
    planted("node-count-old-term", NONE.terms(2).start(Start::Parted)),
    planted("node-apply-beyond-synced", ONE),
    planted("stream-ack-before-sync", ONE),
    planted("stream-skip-syncup", TWO),
    planted("stream-watermark-unlimited", TWO),
];

impl Planted {
    /// Founds a group, plants the bug in the place of any that was planted before, and looks for it.
    #[cfg(rep_mutants)]
    pub fn hunt(&self, manner: Manner) -> Report {
        rep_vlsn::mutants::disable_all();
        let group = Group::new(self.bounds);
        rep_vlsn::mutants::enable(self.name);
        explore(group, manner)
    }

    /// What became of the hunt, as a row of a table.
    pub fn row(&self, report: &Report) -> String {
        let shortest = report.broken().min_by_key(|found| found.way.as_ref().map_or(0, Vec::len));
        let (found, steps) = match shortest {
            Some(found) => (found.what, found.way.as_ref().map_or(0, Vec::len).to_string()),
            None => ("SURVIVED", "-".to_owned()),
        };
        let (name, bounds, seconds) = (self.name, self.bounds, report.took.as_secs_f64());
        let worlds = report.worlds;
        format!("| `{name}` | {bounds} | {found} | {worlds} | {steps} | {seconds:.1} |")
    }
}
