//! What goes to a sink next.

use super::error::{SegmentError, ShipError};
use super::segment::{RUN_BYTES, Segment, ShardId};
use rep_vlsn::disk::Disk;
use rep_vlsn::error::ReadError;
use rep_vlsn::{
    Batch, Beginning, GroupId, LogPoint, LogReader, SegmentSize, TermStart, Vlsn, mutant,
};

/// Takes what leaves a group: a folder, another system. It holds entries without gaps, from some first one on.
pub trait SegmentSink {
    /// Why it takes nothing.
    type Error;

    /// The last entry that it holds of a log, durably; [`LogPoint::NULL`] if it holds none yet.
    ///
    /// # Errors
    ///
    /// The sink's.
    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, Self::Error>;

    /// Takes a segment that follows what it holds. When this returns the segment is durable.
    ///
    /// # Errors
    ///
    /// The sink's. It holds none of the segment then, or a part of it from the first entry on.
    fn take(&mut self, segment: &Segment) -> Result<(), Self::Error>;
}

/// The log that is shipped, as far as a [`Shipper`] has to see it. Only entries that cannot change any more are asked for.
pub trait ShippedLog {
    /// The first entry that is held.
    fn first(&self) -> Vlsn;

    /// Entries `from..=to`, or as many as fit into `bytes_max`, and at least one.
    ///
    /// # Errors
    ///
    /// The log's.
    fn entries(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Result<Batch, ReadError>;

    /// An entry that a log can begin with.
    ///
    /// # Errors
    ///
    /// The log's.
    fn beginning(&self, point: LogPoint) -> Result<Beginning, ReadError>;
}

impl<D: Disk> ShippedLog for LogReader<D> {
    fn first(&self) -> Vlsn {
        LogReader::first(self)
    }

    fn entries(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Result<Batch, ReadError> {
        loop {
            // What is asked for cannot change; a cut elsewhere does not matter.
            match self.batch(from, to, bytes_max, self.tail().epoch()) {
                Err(ReadError::Truncated) => {}
                other => return other,
            }
        }
    }

    fn beginning(&self, point: LogPoint) -> Result<Beginning, ReadError> {
        LogReader::beginning(self, point)
    }
}

/// The last entry of the files that are full, and durable in the group up to `dvlsn`: what a caller ships who does not want
/// many small segments.
pub fn sealed_before(files: &[SegmentSize], dvlsn: Vlsn) -> Vlsn {
    let ends = files.iter().skip(1).map(|next| next.first.prev());
    ends.take_while(|end| *end <= dvlsn).last().unwrap_or(Vlsn::NULL)
}

/// Gives a sink the entries of a log, in order and each once.
#[derive(Debug)]
pub struct Shipper {
    group: GroupId,
    shard: ShardId,
    /// Where the sink stands; `None` if it has to be asked.
    at: Option<Place>,
}

/// The last entry that a sink has.
#[derive(Clone, Copy, Debug)]
struct Place {
    last: LogPoint,
    /// The opening of its term; `None` if nothing was shipped yet, and the log has to be asked.
    opening: Option<TermStart>,
}

impl Shipper {
    /// A shipper of a group's log.
    pub fn new(group: GroupId, shard: ShardId) -> Shipper {
        Shipper { group, shard, at: None }
    }

    /// Ships one segment of what comes next, up to `upto`, which the caller knows to be durable in the group. Tells the last entry that
    /// the sink then has, or `None` if there is nothing to ship: call it again until then. Blocks on log and sink.
    ///
    /// A sink that has nothing gets what the log still has, from its first entry on.
    ///
    /// # Errors
    ///
    /// [`ShipError`]; the next call begins with asking the sink where it stands.
    pub fn ship<L: ShippedLog, S: SegmentSink>(
        &mut self,
        log: &L,
        upto: Vlsn,
        sink: &mut S,
    ) -> Result<Option<LogPoint>, ShipError<S::Error>> {
        // An error leaves it unknown.
        let at = match self.at.take() {
            Some(at) => at,
            None => {
                let last = sink.acknowledged(self.group, self.shard).map_err(ShipError::Sink)?;
                Place { last, opening: None }
            }
        };
        let at = match mutant!("ship-skips-what-is-gone") && at.last.vlsn.next() < log.first() {
            true => Place { last: LogPoint::NULL, opening: None },
            false => at,
        };
        let from = match at.last.vlsn {
            Vlsn::NULL => log.first(),
            last => last.next(),
        };
        if from > upto {
            self.at = Some(at);
            return Ok(None);
        }
        let segment = self.segment(log, at, from, upto)?;
        let taken = sink.take(&segment).map_err(ShipError::Sink);
        if taken.is_ok() || mutant!("ship-counts-what-failed") {
            let opening = segment.entries().openings().last();
            let opening = opening.or(Some(segment.beginning().term_start()));
            self.at = Some(Place { last: segment.last(), opening });
        }
        taken.map(|()| Some(segment.last()))
    }

    /// The last entry that the sink has said or been seen to have, if it is known.
    pub fn acknowledged(&self) -> Option<LogPoint> {
        self.at.map(|at| at.last)
    }

    fn segment<L: ShippedLog, E>(
        &self,
        log: &L,
        at: Place,
        from: Vlsn,
        upto: Vlsn,
    ) -> Result<Segment, ShipError<E>> {
        // Memory may still hold what the files do not: the entries are there then, and nobody knows any more what they follow.
        let unread = |error| match error {
            ReadError::Cleaned { first } => ShipError::Gap { acknowledged: at.last.vlsn, first },
            other => ShipError::Log(other),
        };
        let entries = log.entries(from, upto, RUN_BYTES).map_err(unread)?;
        let beginning = match at.opening {
            Some(_) => {
                let record = entries.records()[0].clone();
                Beginning::new(self.group, at.last, at.opening, record)
                    .map_err(SegmentError::from)?
            }
            None => log.beginning(entries.first_point()).map_err(unread)?,
        };
        if beginning.prev() != at.last && !at.last.vlsn.is_null() {
            return Err(ShipError::Diverged { theirs: at.last });
        }
        Ok(Segment::new(self.shard, beginning, entries)?)
    }
}
