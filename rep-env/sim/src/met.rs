//! What a hunt has met, as a page.

use rep_sim::coverage::{Coverage, INPUTS, PROBES, ROLES};
use std::process::ExitCode;

/// So many seeds have to have met everything.
const SEEDS_ENOUGH: u64 = 10_000;
/// How many seeds make a point of the curve of states.
const SEEDS_A_POINT: u64 = 1_000;

/// Something that could be met was not.
const UNMET: u8 = 7;

/// What the seeds of a hunt have met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    seeds: u64,
    all: Coverage,
    /// States known after each thousand seeds.
    curve: Vec<usize>,
}

impl Met {
    pub(crate) fn add(&mut self, coverage: Coverage) {
        self.seeds += 1;
        self.all.add(coverage);
        if self.seeds.is_multiple_of(SEEDS_A_POINT) {
            self.curve.push(self.all.states.len());
        }
    }

    /// Prints the page. Enough seeds that have not met everything are a failure.
    pub(crate) fn tell(&self) -> ExitCode {
        self.tell_matrix();
        self.tell_probes();
        self.tell_states();
        let (cells, probes) = (self.all.unseen_cells(), self.all.unmet_probes());
        let unmet = !cells.is_empty() || !probes.is_empty();
        if unmet {
            println!("\nnever met: {cells:?} {probes:?}");
        }
        match unmet && self.seeds >= SEEDS_ENOUGH {
            true => ExitCode::from(UNMET),
            false => ExitCode::SUCCESS,
        }
    }

    fn tell_matrix(&self) {
        let heads: Vec<String> = ROLES.iter().map(|role| format!("{role:?}")).collect();
        println!("\n| input | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(ROLES.len()));
        for input in INPUTS {
            let count = |role| self.all.cells.get(&(role, *input)).copied().unwrap_or(0);
            let row: Vec<String> = ROLES.iter().map(|role| count(*role).to_string()).collect();
            println!("| {input} | {} |", row.join(" | "));
        }
    }

    fn tell_probes(&self) {
        if !cfg!(rep_coverage) {
            println!("\nno probes: they are in builds with --cfg rep_coverage");
            return;
        }
        println!("\n| rare moment | times |\n|---|--:|");
        for name in PROBES {
            println!("| `{name}` | {} |", self.all.probes.get(name).copied().unwrap_or(0));
        }
    }

    fn tell_states(&self) {
        let before = std::iter::once(0).chain(self.curve.iter().copied());
        let new: Vec<String> =
            before.zip(&self.curve).map(|(before, now)| (now - before).to_string()).collect();
        println!(
            "\nstates met: {}; new ones in each 1,000 seeds: {}",
            self.all.states.len(),
            new.join(" ")
        );
    }
}
