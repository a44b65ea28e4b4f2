//! The bodies of the fuzz targets (`cargo xtask fuzz`) as property tests.

#[path = "../../../xtask/fuzz/kit.rs"]
mod kit;

mod fuzz {
    pub(crate) mod snapshot_install;
    pub(crate) mod write_set;
}

use fuzz::{snapshot_install, write_set};

#[test]
fn a_write_set_is_read_within_its_bounds_and_applied_as_it_says() {
    kit::holds(write_set::body, write_set::seeds);
}

#[test]
fn a_snapshot_is_installed_as_the_state_that_it_was_made_of_or_not_at_all() {
    kit::holds(snapshot_install::body, snapshot_install::seeds);
}
