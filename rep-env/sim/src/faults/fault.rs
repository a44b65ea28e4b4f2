//! A fault as a plain value, and the list of those that a run has seen.
//!
//! Whatever goes wrong in a world goes through [`World::inflict`](crate::world::World::inflict) as a [`Fault`], with
//! everything that chance had to say about it, its end included. So a run can be played again from the list of its faults,
//! or of some of them, and no rate, trap or recipe has a word in it.

use super::Order;
use crate::machine::Machine;
use crate::network::{Frame, Mishap, Opening};
use crate::process::Crash;
use rep_node::Service;
use rep_vlsn::SyncFailure;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Something that goes wrong, or that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// A process ends; it is started again after `back`, if ever.
    Crash { id: Machine, end: End, back: Option<Duration> },
    /// A process is stopped, and continues after `lasts`, if ever. Its clock may stand still meanwhile (`frozen`).
    Pause { id: Machine, lasts: Option<Duration>, frozen: bool },
    /// The clock of a process leaps ahead.
    Leap { id: Machine, by: Duration },
    /// The machine loses power in the middle of the `ops`-th disk operation from now.
    Tear { id: Machine, ops: u64, end: End, back: Option<Duration> },
    /// The disk takes orders and finishes none, for `lasts`, if ever it goes on.
    Hang { id: Machine, lasts: Option<Duration> },
    /// The process is gone, and its directory is emptied.
    Wipe { id: Machine, end: End, back: Option<Duration> },
    /// A copy of the directory is made, as it is now.
    Image { id: Machine },
    /// The process is gone, and the copy takes the place of its directory.
    PutBack { id: Machine, end: End, back: Option<Duration> },
    /// An entry at or below the last mark is damaged; the process is gone first, or goes on and does not know.
    Rot { id: Machine, entry: u64, damage: Damage, end: Option<End>, back: Option<Duration> },
    /// The process is gone, and something on its disk that is no entry is not what it was. Who is refused its directory for that
    /// gets what `cure` says, after `back` again.
    Wear { id: Machine, place: Place, how: How, end: End, back: Duration, cure: Cure },
    /// A bit flips in a chunk of the copy that lies there: the chunk and the bit of these numbers, modulo how many there are.
    SpoilChunk { id: Machine, chunk: u64, bit: u64 },
    /// The next operation of a kind fails; if that shows, somebody restarts the process after `back`.
    Ail { id: Machine, ailment: Ailment, back: Duration },
    /// The disk has no space for `lasts`; if that shows, somebody restarts the process after `back`.
    Full { id: Machine, lasts: Duration, back: Duration },
    /// Whatever the disk does takes so long, for `lasts`.
    Slow { id: Machine, takes: Duration, lasts: Duration },
    /// Nothing goes from one to the other, for `lasts`, if ever it ends.
    Cut { from: Machine, to: Machine, lasts: Option<Duration> },
    /// A cut ends.
    Mend { from: Machine, to: Machine },
    /// The connections of one kind between two members reset; what is under way arrives before, or never (`abrupt`).
    Reset { a: Machine, b: Machine, service: Service, abrupt: bool },
    /// The end at `id` of its connections of one kind to `other` is reset, and the other end does not hear of it.
    HalfOpen { id: Machine, other: Machine, service: Service },
    /// One member dials another so many times at once, hears no answer, and hangs up.
    Storm { from: Machine, to: Machine, service: Service, count: u32 },
    /// A second process with a copy of a member's directory dials another.
    Twin { of: Machine, at: Machine, service: Service },
    /// A frame does not arrive as it was sent.
    Frame { frame: Frame, mishap: Mishap },
    /// Frames of dead connections come back on a new one: which of those that are kept, towards each end.
    Ghosts { opening: Opening, towards: [u16; 2] },
    /// A machine that is no member is told to join.
    Recruit { id: Machine },
    /// An operator asks somebody for a change of the membership.
    Order { at: Machine, order: Order },
    /// Clients go to this node, whoever is master; `None`: no longer.
    Lure { to: Option<Machine> },
}

impl Fault {
    /// The members that it is about; none if it is about nobody.
    pub(crate) fn members(&self) -> [Option<Machine>; 2] {
        match *self {
            Fault::Crash { id, .. }
            | Fault::Leap { id, .. }
            | Fault::Pause { id, .. }
            | Fault::Tear { id, .. }
            | Fault::Hang { id, .. }
            | Fault::Wipe { id, .. }
            | Fault::Image { id }
            | Fault::PutBack { id, .. }
            | Fault::Rot { id, .. }
            | Fault::Wear { id, .. }
            | Fault::SpoilChunk { id, .. }
            | Fault::Ail { id, .. }
            | Fault::Full { id, .. }
            | Fault::Slow { id, .. }
            | Fault::Recruit { id } => [Some(id), None],
            Fault::Order { at, order } => [Some(at), order.about()],
            Fault::Cut { from, to, .. }
            | Fault::Mend { from, to }
            | Fault::Storm { from, to, .. } => [Some(from), Some(to)],
            Fault::Twin { of, at, .. } => [Some(of), Some(at)],
            Fault::Reset { a, b, .. } => [Some(a), Some(b)],
            Fault::HalfOpen { id, other, .. } => [Some(id), Some(other)],
            Fault::Frame { frame, .. } => [Some(frame.from), Some(frame.to)],
            Fault::Ghosts { opening, .. } => [Some(opening.from), Some(opening.to)],
            Fault::Lure { to } => [to, None],
        }
    }

    /// Whether all that it is about are among the first machines.
    pub(crate) fn is_among(&self, nodes: u32) -> bool {
        self.members().into_iter().flatten().all(|id| id.get() <= nodes)
    }

    /// Whose disk loses what it had synced.
    pub(crate) fn spends(&self) -> Option<Machine> {
        match self {
            Fault::Wipe { id, .. } | Fault::PutBack { id, .. } | Fault::Rot { id, .. } => Some(*id),
            // An index may say what it likes.
            Fault::Wear { id, place, .. } if *place != Place::Index => Some(*id),
            _ => None,
        }
    }
}

/// What is wrong with a damaged entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Damage {
    /// A bit has flipped: the one of this number, modulo the length.
    Flip(u64),
    /// It was reported as synced and never written.
    Lost,
    /// The bytes of this other entry were written in its place.
    Misplaced(u64),
}

/// What may wear on a disk besides entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// One slot of a cell, or both.
    Cell { cell: Cell, slots: Slots },
    /// The index beside the log.
    Index,
    /// A local mark: the one of this number, modulo how many there are.
    Mark(u64),
    /// The header of a segment: likewise.
    Header(u64),
}

/// A cell of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cell {
    Promise,
    Identity,
    /// What is left of the log.
    Cut,
    /// What an arbiter vouches for.
    Vouch,
}

/// Which of a cell's two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Slots {
    First,
    Second,
    Both,
}

/// What has become of the bytes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// A bit has flipped: the one of this number, modulo the length.
    Flip(u64),
    /// A write of this entry went astray, and its bytes lie there.
    Astray(u64),
}

/// What somebody does about a directory that cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cure {
    /// It is emptied, and the member comes back as another.
    Wipe,
    /// The disk is brought back as it was before it wore.
    Back,
}

/// What a disk will fail to do, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ailment {
    Sync(SyncFailure),
    Write,
    Read,
    Rename,
    /// The sync of a directory.
    SyncDir,
}

/// How a process ends, and what becomes of what it had not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) how: Crash,
    /// What a power cut leaves is drawn from this.
    pub(crate) fate: u64,
    /// Its peers hear of it only by its silence.
    pub(crate) silent: bool,
}

/// A fault, and when it came: the time, and how many moments of that time had passed at which one may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inflicted {
    pub(crate) at: Duration,
    pub(crate) moment: u64,
    pub(crate) fault: Fault,
}

/// The faults of a run: those that came, and those that are to come if the run is played from a list.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) inflicted: Vec<Inflicted>,
    given: Option<Given>,
}

/// A list to play, frames and connections by their numbers.
#[derive(Debug, Default)]
struct Given {
    coming: VecDeque<Inflicted>,
    frames: BTreeMap<Frame, Mishap>,
    ghosts: BTreeMap<Opening, [u16; 2]>,
}

impl Ledger {
    /// From now on only these happen.
    pub(crate) fn play(&mut self, list: &[Inflicted]) {
        let mut given = Given::default();
        for inflicted in list {
            match inflicted.fault {
                Fault::Frame { frame, mishap } => drop(given.frames.insert(frame, mishap)),
                Fault::Ghosts { opening, towards } => drop(given.ghosts.insert(opening, towards)),
                _ => given.coming.push_back(*inflicted),
            }
        }
        self.given = Some(given);
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// When the next fault of the list comes, if it comes between two events.
    pub(crate) fn next_at(&self) -> Option<(Duration, u64)> {
        self.given.as_ref()?.coming.front().map(|next| (next.at, next.moment))
    }

    pub(crate) fn take_next(&mut self) -> Option<Fault> {
        self.given.as_mut()?.coming.pop_front().map(|next| next.fault)
    }

    /// The next fault of the list, if it comes at this very moment.
    pub(crate) fn take_at(&mut self, now: Duration, moment: u64) -> Option<Fault> {
        self.next_at().filter(|next| *next == (now, moment))?;
        self.take_next()
    }

    pub(crate) fn mishap(&self, frame: Frame) -> Option<Mishap> {
        self.given.as_ref()?.frames.get(&frame).copied()
    }

    pub(crate) fn ghosts(&self, opening: Opening) -> [u16; 2] {
        let given = self.given.as_ref();
        given.and_then(|given| given.ghosts.get(&opening)).copied().unwrap_or_default()
    }
}
