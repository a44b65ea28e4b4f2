//! A small ext4 of one node's own, from which the power can be taken.

use super::ioctl::shut_down_ext4;
use super::tools;
use anyhow::{Context, bail, ensure};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const IMAGE_BYTES: u64 = 64 << 20;
/// What fills the disk.
const FILLER: &str = "filler";
/// How long the kernel may take to let go of a file system whose processes are dead.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// A file with an ext4 in it, mounted.
#[derive(Debug)]
pub(super) struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes it, below `folder`.
    pub(super) fn create(folder: &Path, name: &str) -> anyhow::Result<Disk> {
        let disk = Disk { image: folder.join(format!("{name}.ext4")), mount: folder.join(name) };
        File::create(&disk.image)?.set_len(IMAGE_BYTES)?;
        // Without blocks kept back for root, who runs the nodes: a full disk has to be full for them.
        tools::run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&disk.image)?])?;
        fs::create_dir_all(&disk.mount)?;
        disk.mount()?;
        Ok(disk)
    }

    /// The directory for the node.
    pub(super) fn home(&self) -> PathBuf {
        self.mount.join("home")
    }

    /// The power fails: nothing more is written, and what had not been synced is gone. What still runs gets EIO.
    pub(super) fn cut_power(&self) -> anyhow::Result<()> {
        shut_down_ext4(&self.mount).with_context(|| self.mount.display().to_string())
    }

    /// The power is back: the journal is replayed, the file system is looked over, and mounted again. Nobody uses it.
    pub(super) fn restore_power(&self) -> anyhow::Result<()> {
        self.unmount()?;
        self.mount()?;
        self.unmount()?;
        tools::run("e2fsck", &["-f", "-n", text(&self.image)?])?;
        self.mount()
    }

    /// Leaves room for `left` bytes.
    pub(super) fn fill(&self, left: u64) -> anyhow::Result<()> {
        let filler = File::create(self.mount.join(FILLER))?;
        let mut length = self.room()?.saturating_sub(left);
        // The file system needs some of the room to know where the file is.
        while length > 0 && fallocate(&filler, FallocateFlags::empty(), 0, length).is_err() {
            length = length.saturating_sub(64 << 10);
        }
        Ok(())
    }

    /// Takes away what [`Disk::fill`] put there.
    pub(super) fn free(&self) -> anyhow::Result<()> {
        fs::remove_file(self.mount.join(FILLER))?;
        Ok(())
    }

    /// Bytes that can still be written.
    pub(super) fn room(&self) -> anyhow::Result<u64> {
        let told = statvfs(&self.mount)?;
        Ok(told.f_bavail * told.f_frsize)
    }

    /// Hangs when this returns: whoever writes waits, and cannot even be killed, until `time` is over.
    ///
    /// A process of its own thaws it, so that it is thawed whatever becomes of us.
    pub(super) fn hang(&self, time: Duration) -> anyhow::Result<Child> {
        let script = "trap '' INT TERM HUP; fsfreeze --freeze \"$1\" && echo frozen; sleep \"$2\"; fsfreeze --unfreeze \"$1\"";
        let seconds = format!("{:.3}", time.as_secs_f64());
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh", text(&self.mount)?, &seconds]);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn()?;
        let mut said = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut said)?;
        ensure!(said.trim() == "frozen", "{} does not freeze", self.mount.display());
        Ok(child)
    }

    fn mount(&self) -> anyhow::Result<()> {
        tools::run("mount", &["-o", "loop", text(&self.image)?, text(&self.mount)?])?;
        Ok(())
    }

    fn unmount(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while let Err(error) = tools::run("umount", &[text(&self.mount)?]) {
            if begun.elapsed() > BUSY_LIMIT {
                bail!(error);
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the temporary folder has a name in UTF-8")
}
