//! Takes away whatever a run has left on the machine, found by its names: it needs to remember nothing.

use super::names;
use super::tools;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long killed processes may take to be gone.
const DEATH_LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// Everything, in the order in which it can be had: what hangs is thawed, what runs is killed, what is mounted is unmounted, and
/// then folders and namespaces go. What could not be taken away.
pub(super) fn everything() -> Vec<String> {
    let folder = names::folder();
    let mounts = mounts(&folder);
    for mount in &mounts {
        // An error says that it was not frozen.
        let _ = tools::run("fsfreeze", &["--unfreeze", mount]);
    }
    kill_users(&folder);
    let mut left: Vec<String> = mounts.iter().filter_map(|mount| unmount(mount)).collect();
    left.extend(detach_loops(&folder));
    left.extend(namespaces().into_iter().filter_map(|name| {
        let deleted = tools::run("ip", &["netns", "delete", &name]);
        deleted.err().map(|error| format!("{error:#}"))
    }));
    // Never through a mount that is still there.
    if self::mounts(&folder).is_empty() && folder.exists() {
        left.extend(fs::remove_dir_all(&folder).err().map(|error| format!("{error:#}")));
    }
    left
}

/// Where file systems are mounted below `folder`, the deepest first.
fn mounts(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut points: Vec<String> = mount_points(&table, folder).map(str::to_owned).collect();
    points.sort();
    points.reverse();
    points
}

fn mount_points<'a>(table: &'a str, folder: &'a Path) -> impl Iterator<Item = &'a str> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    points.filter(move |point| Path::new(point).starts_with(folder))
}

fn unmount(mount: &str) -> Option<String> {
    tools::run("umount", &[mount]).err().map(|error| format!("{error:#}"))
}

/// Loop devices whose file is ours. Those that were mounted are gone already.
fn detach_loops(folder: &Path) -> Vec<String> {
    let listed = tools::run("losetup", &["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
    let listed = listed.unwrap_or_default();
    let ours = listed.lines().filter_map(|line| {
        let (device, file) = line.trim().split_once(' ')?;
        Path::new(file.trim()).starts_with(folder).then_some(device)
    });
    let detached = ours.map(|device| tools::run("losetup", &["--detach", device]));
    detached.filter_map(|done| done.err().map(|error| format!("{error:#}"))).collect()
}

fn namespaces() -> Vec<String> {
    let entries = fs::read_dir(names::NAMESPACES).into_iter().flatten().flatten();
    let listed = entries.filter_map(|entry| entry.file_name().into_string().ok());
    listed
        .filter(|name| name.strip_prefix(names::PREFIX).is_some_and(|rest| rest.starts_with('-')))
        .collect()
}

/// Kills every process that was given a path below `folder`, and waits until it is gone.
fn kill_users(folder: &Path) {
    let begun = Instant::now();
    loop {
        let users = users(folder);
        if users.is_empty() || begun.elapsed() > DEATH_LIMIT {
            return;
        }
        for user in users {
            // It may have ended by itself meanwhile.
            let _ = kill_process(user, Signal::KILL);
        }
        thread::sleep(LOOK);
    }
}

fn users(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = numbers.filter(|number| {
        // Of a process that is dead and not waited for, it is empty.
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        uses(&line, folder)
    });
    ours.filter(|number| *number != std::process::id().cast_signed())
        .filter_map(Pid::from_raw)
        .collect()
}

/// Whether one of the arguments is a path below `folder`.
fn uses(command_line: &[u8], folder: &Path) -> bool {
    let arguments = command_line.split(|byte| *byte == 0);
    let paths =
        arguments.map(|argument| PathBuf::from(String::from_utf8_lossy(argument).into_owned()));
    paths.into_iter().any(|path| path.starts_with(folder) && path != folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_mounted_below_the_folder_is_ours() {
        let table = "/dev/vda / ext4 rw 0 0\n\
                     /dev/loop0 /run/repch/n1 ext4 rw 0 0\n\
                     /dev/loop1 /run/repchx/n1 ext4 rw 0 0\n";
        let found: Vec<_> = mount_points(table, Path::new("/run/repch")).collect();
        assert_eq!(found, ["/run/repch/n1"]);
    }

    #[test]
    fn only_a_process_that_was_given_a_path_of_ours_is_ours() {
        let folder = Path::new("/run/repch");
        assert!(uses(b"rep\0serve\0--home\0/run/repch/n1/home\0", folder));
        assert!(!uses(b"rep\0serve\0--home\0/run/repchx/n1/home\0", folder));
        assert!(!uses(b"vi\0notes about /run/repch/n1\0", folder));
        assert!(!uses(b"", folder));
    }
}
