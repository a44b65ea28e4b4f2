//! Which program is running: the plain one, or one that does something on purpose that the plain one does not.
//!
//! A seed is one run of one program. A build in which the shipped code takes its slow paths now and then (`--cfg
//! rep_coverage`), or that has a planted bug, plays another run to the same seed. So whoever tells of a failure says of which
//! program it is, and whoever plays it again in another one is told so.

use crate::planted;
use std::fmt;

/// What a build has besides the shipped code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The planted bug that is switched on.
    pub mutant: Option<&'static str>,
    /// The shipped code takes slow paths on purpose.
    pub slow_paths: bool,
}

impl Build {
    /// The one that is running.
    pub fn this() -> Self {
        let mutant = planted::enabled().map(|mutant| mutant.name);
        Build { mutant, slow_paths: cfg!(rep_coverage) }
    }

    /// What `cargo xtask sim` has to be told to run this build; it begins with a space, if it is anything.
    pub fn options(self) -> String {
        let mutant = self.mutant.map(|name| format!(" --mutant {name}")).unwrap_or_default();
        let slow_paths = if self.slow_paths { " --coverage" } else { "" };
        format!("{mutant}{slow_paths}")
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mutant, self.slow_paths) {
            (None, false) => write!(f, "plain"),
            (None, true) => write!(f, "slow paths"),
            (Some(name), false) => write!(f, "planted {name}"),
            (Some(name), true) => write!(f, "planted {name}, slow paths"),
        }
    }
}
