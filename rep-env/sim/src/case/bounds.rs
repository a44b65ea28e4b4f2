//! What a case may say: every number is one that a world can have, and every member one of its own.
//!
//! A case is a file, and people write files. What no world can have (a heartbeat of nothing, a chance of 7, a fault of a
//! member that is not there) would panic in the middle of a run, and that would be told as a finding (P-1) about code that
//! did nothing wrong. So it is refused when it is read, by the name of its field.

use super::{Case, CaseError};
use crate::faults::{Damage, Fault, How, Inflicted, STORM_MAX};
use crate::oracle::Invariant;
use crate::planted;
use crate::swarm::{
    DiskSwarm, LoadSwarm, MEMBERS_MAX, MembersSwarm, NetSwarm, ProcessSwarm, SPARES_MAX, Swarm,
};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The verdict on one field.
type Verdict = Result<(), CaseError>;

pub(super) fn check(case: &Case) -> Verdict {
    let known = Invariant::ALL.iter().any(|invariant| invariant.id() == case.invariant);
    refuse_unless(known, "invariant", || format!("{:?} is none", case.invariant))?;
    let unknown = case.mutant.as_ref().filter(|name| planted::find(name).is_none());
    refuse_unless(unknown.is_none(), "mutant", || format!("no planted bug is called {unknown:?}"))?;
    of_swarm(&case.swarm)?;
    for (at, inflicted) in case.faults.iter().enumerate() {
        of_fault(inflicted, case.swarm.machines())
            .map_err(|error| error.within(&format!("faults[{at}]")))?;
    }
    Ok(())
}

/// No time in a case is longer.
const LONG: Duration = Duration::from_secs(24 * 3_600);
/// No single thing takes longer.
const A_WHILE: Duration = Duration::from_secs(60);
/// Nothing that happens again and again happens sooner again.
const SHORT: Duration = Duration::from_micros(1);
/// Nothing comes more often in a second.
const RATE_MAX: f64 = 10_000.0;

fn of_swarm(swarm: &Swarm) -> Verdict {
    within("swarm.nodes", swarm.nodes, 1..=MEMBERS_MAX)?;
    within("swarm.chaos", swarm.chaos, Duration::ZERO..=LONG)?;
    within("swarm.heartbeat", swarm.heartbeat, Duration::from_millis(1)..=A_WHILE)?;
    within("swarm.election_timeout", swarm.election_timeout, swarm.heartbeat * 2..=A_WHILE * 10)?;
    of_net(&swarm.net)?;
    of_disk(&swarm.disk)?;
    of_process(&swarm.process, swarm.nodes)?;
    of_load(&swarm.load)?;
    of_members(&swarm.members)?;
    within("swarm.sinks.shippers", swarm.sinks.shippers, 0..=MEMBERS_MAX)?;
    within("swarm.sinks.every", swarm.sinks.every, SHORT..=LONG)?;
    within("swarm.sinks.fails", swarm.sinks.fails, 0.0..=1.0)
}

fn of_net(net: &NetSwarm) -> Verdict {
    within("swarm.net.delay", net.delay, Duration::ZERO..=A_WHILE)?;
    let bandwidth = net.bandwidth.unwrap_or(1e9);
    within("swarm.net.bandwidth", bandwidth, 1_000.0..=1e12)?;
    within("swarm.net.partition", net.partition, Duration::ZERO..=LONG)?;
    for (field, chance) in [
        ("swarm.net.drop", net.drop),
        ("swarm.net.corrupt", net.corrupt),
        ("swarm.net.duplicate", net.duplicate),
        ("swarm.net.reorder", net.reorder),
        ("swarm.net.replay", net.replay),
        ("swarm.net.one_way", net.one_way),
    ] {
        within(field, chance, 0.0..=1.0)?;
    }
    for (field, rate) in [
        ("swarm.net.half_opens_per_s", net.half_opens_per_s),
        ("swarm.net.resets_per_s", net.resets_per_s),
        ("swarm.net.storms_per_s", net.storms_per_s),
        ("swarm.net.partitions_per_s", net.partitions_per_s),
    ] {
        within(field, rate, 0.0..=RATE_MAX)?;
    }
    Ok(())
}

fn of_disk(disk: &DiskSwarm) -> Verdict {
    within("swarm.disk.write", disk.write, Duration::ZERO..=A_WHILE)?;
    within("swarm.disk.sync", disk.sync, Duration::ZERO..=A_WHILE)?;
    let (_, factor) = disk.slow.unwrap_or((1, 1));
    within("swarm.disk.slow", factor, 1..=10_000)?;
    within("swarm.disk.checkpoint_bytes", disk.checkpoint_bytes, 1..=1 << 40)?;
    within("swarm.disk.segment_bytes", disk.segment_bytes, 512..=1 << 30)?;
    within("swarm.disk.tail_bytes", disk.tail_bytes, 64..=1 << 30)?;
    within("swarm.disk.unsynced_bytes_max", disk.unsynced_bytes_max, 1 << 10..=1 << 40)?;
    within("swarm.disk.payload_bytes_max", disk.payload_bytes_max, 0..=1 << 10)?;
    for (field, rate) in [
        ("swarm.disk.hangs_per_s", disk.hangs_per_s),
        ("swarm.disk.slows_per_s", disk.slows_per_s),
        ("swarm.disk.errors_per_s", disk.errors_per_s),
        ("swarm.disk.fills_per_s", disk.fills_per_s),
        ("swarm.disk.wears_per_s", disk.wears_per_s),
    ] {
        within(field, rate, 0.0..=RATE_MAX)?;
    }
    Ok(())
}

fn of_process(process: &ProcessSwarm, nodes: u32) -> Verdict {
    within("swarm.process.away", process.away, SHORT..=LONG)?;
    within("swarm.process.damaged_max", process.damaged_max, 0..=nodes)?;
    within("swarm.process.traps", process.traps, 0..=64)?;
    within("swarm.process.frozen", process.frozen, 0.0..=1.0)?;
    within("swarm.process.drift_ppm", process.drift_ppm, 0..=500_000)?;
    for (field, rate) in [
        ("swarm.process.kills_per_s", process.kills_per_s),
        ("swarm.process.power_cuts_per_s", process.power_cuts_per_s),
        ("swarm.process.closes_per_s", process.closes_per_s),
        ("swarm.process.pauses_per_s", process.pauses_per_s),
        ("swarm.process.armed_per_s", process.armed_per_s),
        ("swarm.process.wipes_per_s", process.wipes_per_s),
        ("swarm.process.rots_per_s", process.rots_per_s),
        ("swarm.process.images_per_s", process.images_per_s),
        ("swarm.process.leaps_per_s", process.leaps_per_s),
        ("swarm.process.twins_per_s", process.twins_per_s),
        ("swarm.process.crashes_per_step", process.crashes_per_step),
    ] {
        within(field, rate, 0.0..=RATE_MAX)?;
    }
    Ok(())
}

fn of_members(members: &MembersSwarm) -> Verdict {
    within("swarm.members.spares", members.spares, 0..=SPARES_MAX)?;
    within("swarm.members.secondaries", members.secondaries, 0..=SPARES_MAX)?;
    within("swarm.members.monitors", members.monitors, 0..=SPARES_MAX)?;
    within("swarm.members.forced", members.forced, 0.0..=1.0)?;
    within("swarm.members.recruits_per_s", members.recruits_per_s, 0.0..=RATE_MAX)?;
    within("swarm.members.designates_per_s", members.designates_per_s, 0.0..=RATE_MAX)?;
    within("swarm.members.orders_per_s", members.orders_per_s, 0.0..=RATE_MAX)
}

fn of_load(load: &LoadSwarm) -> Verdict {
    within("swarm.load.clients", load.clients, 0..=64)?;
    within("swarm.load.pause", load.pause, SHORT..=LONG)?;
    within("swarm.load.keys", load.keys, 1..=1 << 20)?;
    within("swarm.load.reads", load.reads, 0.0..=1.0)?;
    within("swarm.load.slow_turns", load.slow_turns, 0.0..=1.0)?;
    within("swarm.load.patience", load.patience, 0.0..=1_000.0)?;
    within("swarm.load.weak", load.weak, 0.0..=1.0)?;
    within("swarm.load.lane", load.lane, Duration::ZERO..=A_WHILE)
}

fn of_fault(inflicted: &Inflicted, nodes: u32) -> Verdict {
    within("at", inflicted.at, Duration::ZERO..=LONG)?;
    for member in inflicted.fault.members().into_iter().flatten() {
        within("fault", member.get(), 1..=nodes)?;
    }
    for time in times(&inflicted.fault).into_iter().flatten() {
        within("fault", time, Duration::ZERO..=LONG)?;
    }
    match inflicted.fault {
        Fault::Tear { ops, .. } => within("fault.ops", ops, 1..=u64::MAX),
        Fault::Rot { entry, damage, .. } => {
            within("fault.entry", entry, 1..=u64::MAX)?;
            match damage {
                Damage::Misplaced(other) => within("fault.damage", other, 1..=u64::MAX),
                Damage::Flip(_) | Damage::Lost => Ok(()),
            }
        }
        Fault::Storm { count, .. } => within("fault.count", count, 1..=STORM_MAX),
        Fault::Wear { how: How::Astray(entry), .. } => within("fault.how", entry, 1..=u64::MAX),
        _ => Ok(()),
    }
}

/// Every time that a fault tells.
fn times(fault: &Fault) -> [Option<Duration>; 2] {
    match *fault {
        Fault::Crash { back, .. }
        | Fault::Tear { back, .. }
        | Fault::Wipe { back, .. }
        | Fault::PutBack { back, .. }
        | Fault::Rot { back, .. } => [back, None],
        Fault::Pause { lasts, .. } | Fault::Hang { lasts, .. } | Fault::Cut { lasts, .. } => {
            [lasts, None]
        }
        Fault::Leap { by, .. } => [Some(by), None],
        Fault::Ail { back, .. } | Fault::Wear { back, .. } => [Some(back), None],
        Fault::Full { lasts, back, .. } => [Some(lasts), Some(back)],
        Fault::Slow { takes, lasts, .. } => [Some(takes), Some(lasts)],
        Fault::Image { .. }
        | Fault::SpoilChunk { .. }
        | Fault::Mend { .. }
        | Fault::Reset { .. }
        | Fault::HalfOpen { .. }
        | Fault::Storm { .. }
        | Fault::Twin { .. }
        | Fault::Frame { .. }
        | Fault::Ghosts { .. }
        | Fault::Recruit { .. }
        | Fault::Order { .. }
        | Fault::Lure { .. } => [None, None],
    }
}

fn within<T: PartialOrd + Debug>(field: &str, value: T, range: RangeInclusive<T>) -> Verdict {
    refuse_unless(range.contains(&value), field, || {
        format!("{value:?} is not within {:?} and {:?}", range.start(), range.end())
    })
}

fn refuse_unless(holds: bool, field: &str, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(CaseError::Field { field: field.to_owned(), why: why() }) }
}
