//! Who gives a secondary its entries.

use crate::error::Error;
use rep_node::FeedFrom;

/// The option's name.
pub(super) const FEED_FROM: &str = "feed_from";
/// Which values there are, in words.
pub(super) const FEED_FROM_VALUES: &str = "`master`, `replica`";

pub(super) fn feed_from_named(name: &str) -> Result<FeedFrom, Error> {
    match name {
        "master" => Ok(FeedFrom::Master),
        "replica" => Ok(FeedFrom::Replica),
        other => {
            let problem = format!("{other:?} is none of {FEED_FROM_VALUES}");
            Err(Error::config(FEED_FROM, problem))
        }
    }
}
