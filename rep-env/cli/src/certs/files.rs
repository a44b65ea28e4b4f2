//! The directory: who may read what, and no file that is only half there.

use anyhow::{Context, bail};
use rep_env::net::Identity;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The authorities that are trusted.
pub(super) const CA: &str = "ca.pem";
/// The key of the one that signs.
pub(super) const CA_KEY: &str = "ca.key";
/// What is trusted no more.
pub(super) const REVOKED: &str = "revoked.pem";
/// A file of these is short; what is longer is not one of them.
const BYTES_MAX: u64 = 16 << 20;

/// Where a member's certificate and key lie. Names may hold what a file system does not like.
pub(super) fn of_node(node: &str) -> String {
    // Members called `ca` and `revoked` are kept apart from the authority's files.
    let uri = Identity::new("group", node).to_uri();
    let name = uri.rsplit('/').next().unwrap_or_default();
    match name {
        name if Identity::administrator_of(node).is_some() => format!("@{name}.pem"),
        "ca" | "revoked" => format!("node-{name}.pem"),
        name => format!("{name}.pem"),
    }
}

/// Whether a file may be there already.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    New,
    Replace,
}

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(super) fn new(path: &Path) -> Self {
        Directory { path: path.to_owned() }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    pub(super) fn holds(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    /// Nobody else looks into it.
    pub(super) fn create(&self) -> anyhow::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .with_context(|| format!("cannot make {}", self.path.display()))
    }

    pub(super) fn expect(&self, file: &str, otherwise: &str) -> anyhow::Result<()> {
        if !self.holds(file) {
            bail!("there is no {}: {otherwise}", self.path(file).display());
        }
        Ok(())
    }

    pub(super) fn read(&self, file: &str) -> anyhow::Result<String> {
        read(&self.path(file))
    }

    /// The names of its `.pem` files, in order.
    pub(super) fn list(&self) -> anyhow::Result<Vec<PathBuf>> {
        let listing = fs::read_dir(&self.path)
            .with_context(|| format!("cannot list {}", self.path.display()))?;
        let mut found = Vec::new();
        for entry in listing {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Nobody but the owner reads it.
    pub(super) fn write_secret(
        &self,
        file: &str,
        text: &str,
        access: Access,
    ) -> anyhow::Result<()> {
        self.write(file, text, access, 0o600)
    }

    pub(super) fn write_public(
        &self,
        file: &str,
        text: &str,
        access: Access,
    ) -> anyhow::Result<()> {
        self.write(file, text, access, 0o644)
    }

    /// Under a name of its own first, so that nobody ever reads half of it.
    fn write(&self, file: &str, text: &str, access: Access, mode: u32) -> anyhow::Result<()> {
        let (path, fresh) = (self.path(file), self.path(&format!(".{file}.new")));
        let failed = || format!("cannot write {}", path.display());
        // What a crash has left would keep its own mode.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(failed);
            }
            _ => {}
        }
        let written =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh).and_then(
                |mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()),
            );
        let placed = written.and_then(|()| match access {
            Access::Replace => fs::rename(&fresh, &path),
            // A link is refused where there is something.
            Access::New => fs::hard_link(&fresh, &path),
        });
        let _ = fs::remove_file(&fresh);
        match placed {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
                "{} is there already and is left as it is: rep certs renew replaces it",
                path.display()
            ),
            placed => placed.with_context(failed)?,
        }
        File::open(&self.path).and_then(|dir| dir.sync_all()).with_context(failed)
    }
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("cannot read {}", path.display());
    let length = fs::metadata(path).with_context(failed)?.len();
    if length > BYTES_MAX {
        bail!("{} has {length} bytes: that is no file of certificates", path.display());
    }
    fs::read_to_string(path).with_context(failed)
}
