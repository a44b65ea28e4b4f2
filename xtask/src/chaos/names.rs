//! The names of everything that `chaos` makes on a machine. All begin alike, so that what is left of it can be found, and nothing
//! else is ever touched.

use std::path::PathBuf;

/// What every name begins with.
pub(super) const PREFIX: &str = "repch";
/// The TUN device of each namespace.
pub(super) const DEVICE: &str = "repch0";
/// Where `ip netns` keeps its names.
pub(super) const NAMESPACES: &str = "/run/netns";
/// The network inside the namespaces: no packet of it ever leaves them.
const NETWORK: &str = "10.79.0";

/// The file whose lock says that a run is going on: one for the machine, whatever `TMPDIR` says. Two runs at a time would measure
/// each other, and take away each other's namespaces.
pub(super) const LOCK: &str = "/run/repch.lock";
/// Where images and mounts are: one place for the machine, too, so that what is left of a run is found. Not below `/run`,
/// which is memory: nodes are to wait for a disk.
const FOLDER: &str = "/var/tmp/repch";

/// Where images and mounts are.
pub(super) fn folder() -> PathBuf {
    PathBuf::from(FOLDER)
}

/// The namespace of the port with this number.
pub(super) fn namespace(port: usize) -> String {
    format!("{PREFIX}-{}", port + 1)
}

/// The address of the port with this number.
pub(super) fn address(port: usize) -> String {
    format!("{NETWORK}.{}", port + 1)
}

/// The port whose address ends with this byte.
pub(super) fn port(last_byte: u8) -> Option<usize> {
    usize::from(last_byte).checked_sub(1)
}

/// The name of a node.
pub(super) fn node(number: usize) -> String {
    format!("n{}", number + 1)
}
