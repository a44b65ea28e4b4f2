//! The faults. Each is done to a group that is well, asks that those who can serve do so, ends, and asks that all come back.

pub(super) mod clocks;
pub(super) mod disks;
pub(super) mod partitions;
pub(super) mod processes;
