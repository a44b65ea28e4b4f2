//! Where the workspace is, and which packages it has.

use anyhow::{Context, bail};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace on disk, as cargo sees it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root, with `/`.
    pub(crate) dir: String,
    pub(crate) dependencies: Vec<String>,
}

impl Workspace {
    pub(crate) fn find() -> anyhow::Result<Self> {
        // Asked at run time: a binary in a shared target directory may have been built from another checkout.
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest_dir)
            .parent()
            .context("xtask has no parent directory")?
            .to_path_buf();
        let metadata = metadata(&root)?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target directory")?
            .into();
        let listed = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
        let packages = listed
            .iter()
            .map(|package| read_package(&root, package))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { root, target, packages })
    }

    /// `cargo`, to be run at the root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(&self.root);
        command
    }

    /// `cargo` with a `--cfg` for every crate, and a target directory of its own, so that builds do not evict each other.
    pub(crate) fn cargo_with_cfg(&self, cfg: &str, target: &str) -> Command {
        let mut command = self.cargo();
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{flags} --cfg {cfg}").trim_start());
        command.env("CARGO_TARGET_DIR", self.target.join(target));
        command
    }
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn metadata(root: &Path) -> anyhow::Result<Value> {
    let mut command = Command::new(cargo_program());
    command.current_dir(root).args(["metadata", "--format-version", "1", "--no-deps"]);
    let output = command.output().context("cargo metadata does not start")?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn read_package(root: &Path, package: &Value) -> anyhow::Result<Package> {
    let name = package["name"].as_str().context("a package has no name")?.to_owned();
    let manifest =
        Path::new(package["manifest_path"].as_str().context("a package has no manifest")?);
    let dir = manifest.parent().and_then(|dir| dir.strip_prefix(root).ok());
    let dir = dir
        .with_context(|| format!("{name} lies outside the workspace"))?
        .to_string_lossy()
        .replace('\\', "/");
    let listed = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    let dependencies = listed
        .iter()
        .filter_map(|dependency| dependency["name"].as_str())
        .map(str::to_owned)
        .collect();
    Ok(Package { name, dir, dependencies })
}
