//! What the demo tells while it runs.

use super::Outcome;
use std::fmt;
use std::io::Write;
use std::time::Instant;

/// Lines with the time since the beginning.
#[derive(Debug)]
pub(super) struct Story(Instant);

impl Story {
    pub(super) fn begin() -> Self {
        Story(Instant::now())
    }

    pub(super) fn tell(&self, line: fmt::Arguments<'_>) {
        // Whoever no longer listens misses the story, and the demo goes on.
        let _ = writeln!(std::io::stdout(), "{:7.3} s  {line}", self.0.elapsed().as_secs_f64());
    }

    /// Whether all is well.
    pub(super) fn tell_outcome(&self, outcome: &Outcome) -> bool {
        let Outcome { writes_acked, writes_lost, writes_resurrected, converged, .. } = outcome;
        if *writes_lost == 0 {
            self.tell(format_args!("all {writes_acked} acknowledged writes are at every node"));
        } else {
            self.tell(format_args!("LOST: {writes_lost} of {writes_acked} acknowledged writes"));
        }
        if *writes_resurrected > 0 {
            self.tell(format_args!("WRONG: {writes_resurrected} refused writes have an effect"));
        }
        for node in &outcome.nodes {
            self.tell(format_args!("{}: digest {} at {}", node.name, node.digest, node.applied));
        }
        if !converged {
            self.tell(format_args!("WRONG: the nodes do not hold the same"));
        }
        *writes_lost == 0 && *writes_resurrected == 0 && *converged
    }
}
