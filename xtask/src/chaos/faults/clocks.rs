//! Wall clocks jump. No decision may rest on them.

use super::super::scene::{Scene, Whom};
use std::time::{Duration, Instant};

const HOUR: i64 = 3600;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
const JUMPS: [i64; 6] = [-TEN_YEARS, -HOUR, -1, 1, HOUR, TEN_YEARS];
/// How long the wrong time lasts, at most.
const LAST_MAX: Duration = Duration::from_millis(800);

/// The wall clock of the master, of a replica, or of each node for itself, jumps, and jumps back.
pub(crate) fn jump(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let whom = scene.turn(&[Whom::Master, Whom::Replica, Whom::All]);
    let victims = scene.victims(whom)?;
    let since = Instant::now();
    for victim in &victims {
        let seconds = scene.chance.pick(&JUMPS);
        scene.node(*victim).set_clock(seconds)?;
    }
    scene.served(whom, since)?;
    scene.last_up_to(LAST_MAX);
    let back = Instant::now();
    for victim in &victims {
        scene.node(*victim).set_clock(0)?;
    }
    scene.served(whom, back)?;
    scene.synced(whom, back)
}
