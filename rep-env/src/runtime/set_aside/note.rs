//! The cell `rejoin`: a directory's memory that it was given up.
//!
//! It outlives the moving, and stays: until it was admitted, whatever is opened here has to ask the members of the group, also when the flags
//! of its member say that it founds one.

use crate::config::RepConfig;
use crate::error::Error;
use crate::runtime::home;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use rep_vlsn::disk::Disk;

/// The cell's name, and the name under which it is made.
pub(super) const REJOIN_CELL: &str = "rejoin";
pub(super) const REJOIN_BEING_MADE: &str = "rejoin.new";
const VERSION: u8 = 1;

/// Why a directory was given up, where it lies, and who is asked to admit what comes after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) folder: String,
    pub(super) why: String,
    pub(super) helpers: Vec<String>,
}

impl Note {
    pub(super) fn read<D: Disk>(disk: &D, path: &Path) -> Result<Option<Note>, Error> {
        let (_, value) = home::open_cell(disk, REJOIN_CELL, path)?;
        let unknown = || Error::Open {
            detail: format!("the cell {REJOIN_CELL} in {} is of a later version", path.display()),
        };
        value.map(|value| decode(&value).ok_or_else(unknown)).transpose()
    }

    pub(super) fn store<D: Disk>(&self, disk: &D, path: &Path) -> Result<(), Error> {
        let (mut cell, _) = home::open_cell(disk, REJOIN_CELL, path)?;
        let mut value = vec![VERSION];
        value.extend(postcard::to_stdvec(self).expect("plain data is encodable"));
        cell.store(&value).map_err(|error| home::cell_error(error, REJOIN_CELL, path))
    }

    /// Whoever is opened after it joins. Those whom the flags name are asked first, as they may have been told anew.
    pub(super) fn aim(&self, config: &mut RepConfig) {
        let mut asked = super::helpers::flagged(config);
        asked.extend(
            self.helpers
                .iter()
                .filter(|helper| !asked.contains(helper))
                .cloned()
                .collect::<Vec<_>>(),
        );
        config.members.clear();
        config.join = Some(asked);
    }
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Note { folder, why, .. } = self;
        write!(
            f,
            "its directory was damaged ({why}), lies in {folder}, and it comes back as a new member"
        )
    }
}

fn decode(value: &[u8]) -> Option<Note> {
    match value.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).ok(),
        Some(_) | None => None,
    }
}
