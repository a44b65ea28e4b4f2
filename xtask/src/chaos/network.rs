//! One network namespace for each node, one for the clients, and in each a TUN device whose other end is ours.

use super::ioctl::open_tun;
use super::names;
use super::tools;
use anyhow::{Context, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

/// A namespace. It is deleted with everything else in [`super::clean`].
#[derive(Clone, Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace of `port`, and the device in it; our end of which is the file.
    pub(super) fn create(port: usize) -> anyhow::Result<(Namespace, File)> {
        let namespace = Namespace { name: names::namespace(port) };
        tools::run("ip", &["netns", "add", &namespace.name])?;
        let tun = namespace.within(|| {
            let tun = open_tun(names::DEVICE).context("a TUN device")?;
            let address = format!("{}/24", names::address(port));
            tools::run("ip", &["address", "add", &address, "dev", names::DEVICE])?;
            tools::run("ip", &["link", "set", names::DEVICE, "up"])?;
            tools::run("ip", &["link", "set", "lo", "up"])?;
            anyhow::Ok(tun)
        })??;
        Ok((namespace, tun))
    }

    /// Moves this thread into the namespace: its sockets, and the processes that it starts, are there from now on.
    pub(super) fn move_here(&self) -> anyhow::Result<()> {
        let path = Path::new(names::NAMESPACES).join(&self.name);
        let link = File::open(&path).with_context(|| path.display().to_string())?;
        move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// Does something inside, on a thread of its own.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| self.move_here().map(|()| work()));
            inside.join().map_err(|_| anyhow!("a panic inside {}", self.name))?
        })
    }
}
