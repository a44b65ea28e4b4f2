//! A thread that ships what is durable to a sink, as the runtime does it; and what the log keeps for that.

use crate::archive::{Mood, SHARD};
use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, ensure};
use crate::process::Live;
use crate::world::{Event, World};
use rep_node::oldest_within;
use rep_node::rep_stream::segments::{ShipError, Shipper};
use rep_vlsn::{LogPoint, ReadError, SegmentSize, Vlsn};

/// How far a sink is, as its thread knows it.
#[derive(Debug, Default)]
pub(crate) struct Shipping {
    shipper: Option<Shipper>,
    acknowledged: Vlsn,
    /// The sink lacks what the log does not hold any more.
    in_vain: bool,
}

/// A sink that took nothing is asked again after so many times as long.
const PATIENCE: u32 = 3;
/// Operations of a sink's disk within which its power fails.
const OPS_MAX: u64 = 40;

type Shipped = Result<(), ShipError<String>>;

impl World {
    /// Whether this machine ships.
    pub(crate) fn is_shipper(&self, id: Machine) -> bool {
        id.get() <= self.swarm.sinks.shippers.min(self.swarm.nodes)
    }

    /// A process that ships begins to.
    pub(crate) fn begins_to_ship(&mut self, id: Machine) {
        if self.is_shipper(id) {
            let run = self.process(id).run;
            self.schedule.push(self.now + self.swarm.sinks.every, Event::ShipDue { id, run });
        }
    }

    pub(crate) fn ship_due(&mut self, id: Machine) {
        let run = self.process(id).run;
        let shipped = self.ship(id);
        self.judge_archive();
        let every = self.swarm.sinks.every;
        let after = if shipped.is_ok() { every } else { every * PATIENCE };
        self.schedule.push(self.now + after, Event::ShipDue { id, run });
        let Err(error) = shipped else { return };
        self.counts.ships_failed += 1;
        self.note(id, &[101], || format!("n{} ships nothing: {error}", id.get()));
        self.judge_refusal(id, &error);
    }

    /// Ships all that is durable now.
    fn ship(&mut self, id: Machine) -> Shipped {
        let mood = self.mood_of_the_sink();
        let Some(live) = self.process(id).live.as_ref() else { return Ok(()) };
        let Some(group) = live.node.group().filter(|_| !live.makes_way && !live.removed) else {
            return Ok(());
        };
        let upto = live.node.dvlsn().min(live.node.log().last().vlsn);
        let reader = live.reader.clone();
        let Some(live) = self.live_mut(id) else { return Ok(()) };
        let mut shipping = std::mem::take(&mut live.shipping);
        let shipper = shipping.shipper.get_or_insert_with(|| Shipper::new(group, SHARD));
        self.archive.begin(id, mood);
        let mut shipped = shipper.ship(&reader, upto, &mut self.archive);
        while let Ok(Some(last)) = shipped {
            self.counts.shipped += 1;
            self.note(id, &[100, last.vlsn.get()], || format!("n{} has shipped {last}", id.get()));
            shipped = shipper.ship(&reader, upto, &mut self.archive);
        }
        self.archive.end();
        let known = shipper.acknowledged().map(|point| point.vlsn);
        shipping.acknowledged = known.unwrap_or(shipping.acknowledged);
        shipping.in_vain =
            matches!(shipped, Err(ShipError::Gap { .. } | ShipError::Diverged { .. }));
        if let Some(live) = self.live_mut(id) {
            live.shipping = shipping;
        }
        shipped.map(|_| ())
    }

    fn mood_of_the_sink(&mut self) -> Mood {
        let rng = &mut self.rngs.shipping;
        let (lot, fails) = (rng.below(9), rng.chance(self.swarm.sinks.fails));
        let (ops, fate) = (rng.between(1, OPS_MAX), rng.next_u64());
        if !fails || !self.faults.on {
            return Mood::Well;
        }
        match lot {
            0 | 1 => Mood::Away,
            2 => Mood::Torn,
            3 => Mood::Mute,
            4 | 5 => Mood::PowerCut { ops, fate },
            6 | 7 => Mood::GoesBack,
            _ => Mood::Empty,
        }
    }

    /// I-50.
    fn judge_archive(&mut self) {
        let held = self.archive.held();
        let checked = ensure(held.is_ok(), Invariant::ShippedWhole, || {
            format!("what a sink was given cannot be read: {held:?}")
        });
        self.check(checked);
        let held = held.unwrap_or_default();
        self.archive.last = held.last().map_or(0, |(point, _)| point.vlsn.get());
        let checked = self.oracle.shipped(&held, self.archive.acknowledged);
        self.check(checked);
    }

    /// I-37 for who ships: of the reasons to ship nothing, all but the sink's own are true.
    fn judge_refusal(&mut self, id: Machine, error: &ShipError<String>) {
        let checked = match error {
            ShipError::Sink(_) => Ok(()),
            ShipError::Log(ReadError::NotYet) => self.is_behind(id),
            ShipError::Log(error) => self.may_fail(id, error),
            ShipError::Gap { acknowledged, first } => {
                self.counts.ship_gaps += 1;
                ensure(*first > acknowledged.next(), Invariant::ErrorHonesty, || {
                    format!(
                        "{id} says that a sink with entry {acknowledged} misses what is before {first}"
                    )
                })
            }
            other => {
                ensure(false, Invariant::ErrorHonesty, || format!("{id} cannot ship: {other}"))
            }
        };
        self.check(checked);
    }

    /// An entry may be durable in the group before it is in the files here.
    fn is_behind(&self, id: Machine) -> Checked {
        let member = self.oracle.member(id);
        ensure(member.written < member.log.len(), Invariant::ErrorHonesty, || {
            format!("{id} says that its log is behind, and has written all of it")
        })
    }

    /// What a log may lose at a checkpoint: not what a sink has still to get, unless that is more than is kept for others.
    pub(super) fn held_for_the_sink(
        &self,
        id: Machine,
        checkpoint: LogPoint,
        segments: &[SegmentSize],
    ) -> LogPoint {
        let live = self.process(id).live.as_ref().filter(|_| self.is_shipper(id));
        let kept = live
            .and_then(|live| live.shipping.needs())
            .map(|needed| needed.max(oldest_within(segments, self.swarm.disk.retention_bytes)));
        let vlsn = kept.map_or(checkpoint.vlsn, |kept| kept.min(checkpoint.vlsn));
        LogPoint { vlsn, ..checkpoint }
    }

    /// Whether somebody who ships can still give the sink what it lacks, and it has not got all.
    pub(crate) fn lacks_entries(&self) -> bool {
        let next = Vlsn::new(self.archive.last).next();
        let gives = |live: &Live| self.archive.last == 0 || live.reader.first() <= next;
        let core = self.core();
        let ships = |id: &Machine| {
            self.is_shipper(*id) && self.process(*id).live.as_ref().is_some_and(|live| gives(live))
        };
        core.iter().any(ships) && self.archive.last < self.oracle.committed()
    }
}

impl Shipping {
    /// The last entry that may go as far as the sink is concerned; `None` if it waits for nothing.
    fn needs(&self) -> Option<Vlsn> {
        (!self.in_vain).then_some(self.acknowledged)
    }
}
