//! Processes die, at any moment or at a chosen call, and stand still.

use super::super::node::DISK_CALLS;
use super::super::scene::{ELECTION_TIMEOUT, Scene, Whom};
use anyhow::ensure;
use std::thread;
use std::time::{Duration, Instant};

/// How long the dead stay dead, at most.
const DEATH_MAX: Duration = Duration::from_millis(600);
/// In election timeouts, in halves: 0.5, 1, 2 and 10.
const PAUSES: [u32; 4] = [1, 2, 4, 20];
/// A call of this number is waited for so long. A node that follows an idle group does not make every number.
const CALL_LIMIT: Duration = Duration::from_secs(3);
const CALLS_OF_EVERY_OPENING: u32 = 3;
/// The calls of the sweep are counted to this.
const CALLS: u64 = 200;

/// SIGKILL, in turn of the master, a replica, and all at once.
pub(crate) fn kill(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::Master, Whom::Replica, Whom::All]);
    let victims = scene.victims(whom)?;
    let since = Instant::now();
    for victim in &victims {
        scene.node(*victim).kill()?;
    }
    come_back(scene, whom, &victims, since)
}

/// SIGKILL, and what was not synced is gone; in turn of the master, a replica, and all at once.
pub(crate) fn power(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::All, Whom::Master, Whom::Replica]);
    let victims = scene.victims(whom)?;
    let since = Instant::now();
    for victim in &victims {
        scene.node(*victim).lose_power()?;
    }
    for victim in &victims {
        scene.node(*victim).disk.restore_power()?;
    }
    come_back(scene, whom, &victims, since)
}

/// The dead are started again, after some time.
fn come_back(
    scene: &mut Scene<'_>,
    whom: Whom,
    victims: &[usize],
    since: Instant,
) -> anyhow::Result<()> {
    if whom != Whom::All {
        scene.served(whom, since)?;
    }
    scene.last_up_to(DEATH_MAX);
    let back = Instant::now();
    for victim in victims {
        scene.node(*victim).start()?;
    }
    if whom == Whom::All {
        scene.served(whom, back)?;
    }
    scene.synced(whom, back)
}

/// SIGSTOP for half an election timeout, one, two and ten, then SIGCONT: whoever wakes up believes what was true before.
pub(crate) fn pause(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::Master, Whom::Replica]);
    let halves = PAUSES[(scene.round / 2) as usize % PAUSES.len()];
    let length = ELECTION_TIMEOUT * halves / 2;
    let victim = scene.victims(whom)?[0];
    let since = Instant::now();
    scene.node(victim).pause()?;
    let served = scene.served_meanwhile(whom, since, length)?;
    thread::sleep(length.saturating_sub(since.elapsed()));
    let back = Instant::now();
    scene.node(victim).resume()?;
    // Another master served meanwhile, or, after a short pause, the same one does now.
    if !served {
        scene.served(whom, since)?;
    }
    scene.figures.note(format!("paused for {} ms", length.as_millis()));
    scene.synced(whom, back)
}

/// SIGKILL at the n-th call of a thread that changes the disk: of the master under load, of a replica, or of a node that
/// recovers from the last such end.
pub(crate) fn crash_at_call(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let nth = u32::try_from(1 + scene.round / 3 % CALLS)?;
    match scene.round % 3 {
        0 => crash_running(scene, Whom::Master, nth),
        1 => crash_running(scene, Whom::Replica, nth),
        _ => crash_opening(scene, nth),
    }
}

fn crash_running(scene: &mut Scene<'_>, whom: Whom, nth: u32) -> anyhow::Result<()> {
    let victim = scene.victims(whom)?[0];
    let mut strace = scene.node(victim).inject(DISK_CALLS, &format!("signal=KILL:when={nth}"))?;
    let reached = scene.node(victim).killed_within(CALL_LIMIT)?;
    let since = Instant::now();
    // The tracer first: it would hold a process that is killed.
    strace.kill()?;
    strace.wait()?;
    if !reached {
        scene
            .figures
            .note(format!("call {nth} or a later one was not made by the {}", whom.word()));
        scene.node(victim).kill()?;
    }
    come_back(scene, whom, &[victim], since)
}

fn crash_opening(scene: &mut Scene<'_>, nth: u32) -> anyhow::Result<()> {
    let whom = Whom::Replica;
    let victim = scene.victims(whom)?[0];
    let since = Instant::now();
    scene.node(victim).kill()?;
    // Few calls are made before a node serves, so that a low number crashes it while it recovers.
    scene.node(victim).start_doomed(nth)?;
    if !scene.node(victim).killed_within(CALL_LIMIT)? {
        // Every opening makes a few, and a node under load makes hundreds: a kill that never comes is a tool that does not work.
        ensure!(nth > CALLS_OF_EVERY_OPENING, "call {nth} after an opening killed nobody");
        scene.figures.note("an opening made fewer calls, and was killed");
        scene.node(victim).kill()?;
    }
    come_back(scene, whom, &[victim], since)
}
