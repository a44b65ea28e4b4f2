//! Links are cut, in every shape that somebody's network has had.

use super::super::scene::{ELECTION_TIMEOUT, Scene, Whom};
use super::super::shapes::Shape;
use super::processes;
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

/// How long a partition lasts once the rest serves, at most.
const LAST_MAX: Duration = Duration::from_millis(1500);
/// Seconds.
const LONG_CUTS: [u64; 3] = [3, 7, 14];
/// How often a flapping link changes.
const FLAPS: u32 = 8;

pub(crate) fn isolate(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    partition(scene, Shape::Isolate)
}

pub(crate) fn halves(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    partition(scene, Shape::Halves)
}

pub(crate) fn chain(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    partition(scene, Shape::Chain)
}

pub(crate) fn bridge(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    partition(scene, Shape::Bridge)
}

pub(crate) fn deaf(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    partition(scene, Shape::Deaf)
}

pub(crate) fn mute(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    partition(scene, Shape::Mute)
}

pub(crate) fn pair(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    partition(scene, Shape::Pair)
}

/// In every shape somebody reaches a majority both ways, so the group has to serve while it lasts.
fn partition(scene: &mut Scene<'_>, shape: Shape) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::Master, Whom::Replica]);
    let order = scene.order(whom)?;
    let since = Instant::now();
    scene.group.cut(shape.cuts(&order));
    scene.served(whom, since)?;
    scene.last_up_to(LAST_MAX);
    let back = Instant::now();
    scene.group.cut(BTreeSet::new());
    scene.synced(whom, back)
}

/// One node is cut off for long: for so long that what its connections send again they send seldom.
pub(crate) fn cut_long(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::Master, Whom::Replica]);
    let seconds = LONG_CUTS[(scene.round / 2) as usize % LONG_CUTS.len()];
    let order = scene.order(whom)?;
    let since = Instant::now();
    scene.group.cut(Shape::Isolate.cuts(&order));
    scene.served(whom, since)?;
    thread::sleep(Duration::from_secs(seconds).saturating_sub(since.elapsed()));
    let back = Instant::now();
    scene.group.cut(BTreeSet::new());
    scene.synced(whom, back)
}

/// A node comes and goes at the pace of elections.
pub(crate) fn flap(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::Master, Whom::Replica]);
    let order = scene.order(whom)?;
    for _ in 0..FLAPS {
        scene.group.cut(Shape::Isolate.cuts(&order));
        thread::sleep(ELECTION_TIMEOUT / 2 + scene.chance.up_to(ELECTION_TIMEOUT));
        scene.group.cut(BTreeSet::new());
        thread::sleep(scene.chance.up_to(ELECTION_TIMEOUT));
    }
    let back = Instant::now();
    scene.served(whom, back)?;
    scene.synced(whom, back)
}

/// Any of the faults of processes and links, in weather that is bad all the time.
pub(crate) fn storm(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let fault = scene.chance.pick(&[
        processes::kill,
        processes::power,
        processes::pause,
        isolate,
        halves,
        deaf,
        mute,
    ]);
    fault(scene)
}
