//! Disks are full, fail, vanish and hang.

use super::super::node::DISK_RESERVE;
use super::super::scene::{Scene, Whom, bound_within};
use super::super::tools;
use anyhow::{Context, bail};
use std::time::{Duration, Instant};

/// How long until a node has to have noticed.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);
/// How long a node may take to come back by itself when there is room again.
const BY_ITSELF: Duration = Duration::from_secs(10);
/// Seconds for which a disk hangs: less than a `disk_stall`, and more.
const HANGS: [u64; 3] = [1, 3, 8];
/// How long a thaw may be late.
const THAW_LIMIT: Duration = Duration::from_secs(15);
/// Which sync of a thread fails.
const SYNC_MAX: usize = 20;

const ROLES: [Whom; 2] = [Whom::Master, Whom::Replica];

/// No room is left for the log while much is written, and half of its reserve for the store; later there is room again.
pub(crate) fn full(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&ROLES);
    let victim = scene.victims(whom)?[0];
    let more = scene.chance.below(DISK_RESERVE as usize / 2) as u64;
    scene.node(victim).disk.fill(DISK_RESERVE / 2 + more)?;
    scene.journal.write_bulk(true);
    let noticed = scene.noticed(victim, NOTICE_LIMIT)?;
    scene.journal.write_bulk(false);
    if !noticed {
        bail!("a full disk was not noticed within {NOTICE_LIMIT:?}");
    }
    scene.served(whom, Instant::now())?;
    scene.node(victim).disk.free()?;
    let back = Instant::now();
    scene
        .group
        .await_sync(back, BY_ITSELF)
        .context("there is room again, and the node is not back")?;
    scene.synced(whom, back)
}

/// One sync says EIO, and all later ones say that all is well: it was not, and nothing may be acknowledged on their word.
pub(crate) fn failed_sync(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&ROLES);
    let victim = scene.victims(whom)?[0];
    let nth = 1 + scene.chance.below(SYNC_MAX);
    let what = format!("error=EIO:when={nth}");
    let mut strace = scene.node(victim).inject("fdatasync,fsync", &what)?;
    let noticed = scene.noticed(victim, NOTICE_LIMIT)?;
    let since = Instant::now();
    strace.kill()?;
    strace.wait()?;
    if !noticed {
        bail!("a failed sync was not noticed within {NOTICE_LIMIT:?}");
    }
    scene.served(whom, since)?;
    start_again(scene, whom, victim)
}

/// The whole disk says EIO to everything, under a process that goes on.
pub(crate) fn gone(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&ROLES);
    let victim = scene.victims(whom)?[0];
    let since = Instant::now();
    scene.node(victim).disk.cut_power()?;
    if !scene.noticed(victim, NOTICE_LIMIT)? {
        bail!("a disk that was gone was not noticed within {NOTICE_LIMIT:?}");
    }
    scene.served(whom, since)?;
    scene.node(victim).kill()?;
    scene.node(victim).disk.restore_power()?;
    start_again(scene, whom, victim)
}

fn start_again(scene: &mut Scene<'_>, whom: Whom, victim: usize) -> anyhow::Result<()> {
    scene.node(victim).kill()?;
    let back = Instant::now();
    scene.node(victim).start()?;
    scene.synced(whom, back)
}

/// Whoever writes waits, and cannot be killed: on one node, which must hold up nobody else, or on all, until the thaw.
pub(crate) fn hang(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::Master, Whom::Replica, Whom::All]);
    let seconds = HANGS[(scene.round / 3) as usize % HANGS.len()];
    let time = Duration::from_secs(seconds);
    let victims = scene.victims(whom)?;
    let before = scene.group.master()?;
    let mut thaws = Vec::new();
    for victim in victims {
        thaws.push(scene.node(victim).disk.hang(time)?);
    }
    let since = Instant::now();
    match whom {
        // It takes writes, which are durable at the others. It answers no read, as its store holds what its own log has synced, until
        // it gives up its place.
        Whom::Master => scene.acknowledged(whom, since, bound_within(time))?,
        Whom::Replica => {
            if !scene.served_meanwhile(whom, since, time)? {
                scene.served(whom, since)?;
            }
        }
        Whom::All => {}
    }
    for thaw in &mut thaws {
        if !tools::ends_within(thaw, time + THAW_LIMIT)? {
            bail!("the disk was not thawed");
        }
    }
    let back = Instant::now();
    if whom == Whom::All {
        scene.served(whom, back)?;
    }
    scene.synced(whom, back)?;
    let place = if scene.group.master()? == before { "kept" } else { "lost" };
    scene
        .figures
        .note(format!("{} hung for {seconds} s: the master {place} its place", whom.word()));
    Ok(())
}
