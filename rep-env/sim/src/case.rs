//! A case: one run told by its faults, not by the chances that made them.
//!
//! A seed replays a run only as long as nobody draws a number more or less. A *case* is the world of a run and the list of
//! what went wrong in it, as a file that people can read; so what was found once is played for ever. And what is a list can be
//! made shorter ([`shrink`](crate::shrink)).

mod bounds;

use crate::build::Build;
use crate::faults::Inflicted;
use crate::planted;
use crate::report::Failure;
use crate::run::{self, Outcome};
use crate::swarm::Swarm;
use crate::trace::Detail;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the file's format.
const FORMAT: u32 = 1;

/// A world and the faults that come to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    format: u32,
    /// The invariant that it broke when it was found, by number.
    invariant: String,
    /// The planted bug that it shows, if it shows one; without that bug the case holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mutant: Option<String>,
    /// It was found in a build that takes slow paths on purpose; in another one it is another run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    slow_paths: bool,
    /// The seed of the swarm that broke it.
    found: u64,
    /// From which everything is drawn that is no fault: delays, and what clients do.
    pub(crate) seed: u64,
    pub(crate) swarm: Swarm,
    pub(crate) faults: Vec<Inflicted>,
}

/// A file that is no case.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaseError {
    /// It cannot be read as one.
    Malformed(serde_json::Error),
    /// It is of a later version.
    Format {
        /// What it says.
        found: u32,
        /// What can be read.
        known: u32,
    },
    /// It says something that no world can have.
    Field {
        /// Where.
        field: String,
        /// Why not.
        why: String,
    },
}

impl Case {
    pub(crate) fn of(failure: &Failure, swarm: Swarm, faults: Vec<Inflicted>) -> Self {
        let invariant = failure.violation.invariant.id().to_owned();
        let seed = failure.seed;
        let Build { mutant, slow_paths } = Build::this();
        let mutant = mutant.map(str::to_owned);
        Case { format: FORMAT, invariant, mutant, slow_paths, found: seed, seed, swarm, faults }
    }

    /// The invariant that it broke when it was found, by number.
    pub fn invariant(&self) -> &str {
        &self.invariant
    }

    /// The planted bug that it shows, if any.
    pub fn mutant(&self) -> Option<&str> {
        self.mutant.as_deref()
    }

    /// The build in which it breaks what it says; in another one it is another run.
    pub fn build(&self) -> Build {
        let mutant = self.mutant.as_ref().and_then(|name| planted::find(name));
        Build { mutant: mutant.map(|mutant| mutant.name), slow_paths: self.slow_paths }
    }

    /// A name for its file: the invariant or the planted bug, and the seed.
    pub fn name(&self) -> String {
        let what = self.mutant.as_ref().unwrap_or(&self.invariant);
        format!("{what}-{:x}.json", self.found)
    }

    /// Plays it.
    ///
    /// # Errors
    ///
    /// The first invariant that did not hold.
    pub fn run(&self, detail: Detail) -> Result<Outcome, Box<Failure>> {
        run::play_list(self.seed, self.swarm.clone(), &self.faults, detail)
    }

    /// The same world and faults, with everything else drawn from another seed.
    pub(crate) fn drawn_from(&self, seed: u64) -> Self {
        Case { seed, ..self.clone() }
    }

    /// Whether it breaks the invariant that it broke when it was found.
    pub(crate) fn still_fails(&self) -> bool {
        let broken = self.run(Detail::Brief).err();
        broken.is_some_and(|failure| failure.violation.invariant.id() == self.invariant)
    }

    /// Reads a case from the text of its file.
    ///
    /// # Errors
    ///
    /// [`CaseError`] if it is none.
    pub fn parse(text: &str) -> Result<Self, CaseError> {
        let case: Case = serde_json::from_str(text).map_err(CaseError::Malformed)?;
        if case.format != FORMAT {
            return Err(CaseError::Format { found: case.format, known: FORMAT });
        }
        bounds::check(&case)?;
        Ok(case)
    }

    /// The text of its file.
    pub fn to_text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("a case is plain data") + "\n"
    }
}

impl CaseError {
    /// The same, of a field that is part of another.
    fn within(self, whole: &str) -> Self {
        match self {
            CaseError::Field { field, why } => {
                CaseError::Field { field: format!("{whole}.{field}"), why }
            }
            other => other,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Swarm { nodes, chaos, load, .. } = &self.swarm;
        let (faults, clients, seconds) = (self.faults.len(), load.clients, chaos.as_secs_f64());
        write!(f, "{faults} faults, {nodes} nodes, {clients} clients, {seconds:.3} s of trouble")
    }
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaseError::Malformed(error) => write!(f, "this is no case: {error}"),
            CaseError::Format { found, known } => {
                write!(f, "a case of format {found}; this simulator reads format {known}")
            }
            CaseError::Field { field, why } => write!(f, "this is no case: {field}: {why}"),
        }
    }
}

impl std::error::Error for CaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CaseError::Malformed(error) => Some(error),
            CaseError::Format { .. } | CaseError::Field { .. } => None,
        }
    }
}
