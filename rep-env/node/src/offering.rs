//! What a member gives to one that is too far behind: a copy of its own state, if it may vouch for it.
//!
//! The driver reads the state and sends it. The node says whether it may, what a log that begins with the copy's entry has to
//! remember of what came before, and keeps its own log from being cleaned past that entry as long as it is given.

use crate::membership::Membership;
use crate::node::Node;
use crate::past::Past;
use bytes::Bytes;
use rep_stream::restore::Manifest;
use rep_vlsn::{Beginning, Incarnation, LogPoint, NodeId, Vlsn, mutant};
use std::fmt;
use std::time::Duration;

/// A place in the log that is not cleaned past while a copy is given; see [`Node::unpin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin(pub(crate) u64);

/// A copy that this node may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// Held until it is given back, by [`Node::unpin`] or [`Node::copy_given`].
    pub pin: Pin,
    /// What the state holds at least. A snapshot that is taken after this has it, or more.
    pub point: LogPoint,
}

/// Why a node gives no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotOffered {
    /// It is closed, halted, or about to be.
    ShuttingDown,
    /// It is neither master nor in sync with one.
    NotInSync,
    /// Its log failed, or is being cut; or something has rotted in it, and others could give.
    LogInDoubt,
    /// It gives as many copies as it may.
    Busy,
    /// Its state does not hold what is needed.
    Behind {
        /// What it holds.
        applied: Vlsn,
    },
}

impl fmt::Display for NotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotOffered::ShuttingDown => write!(f, "it is shutting down"),
            NotOffered::NotInSync => write!(f, "it is not in sync itself"),
            NotOffered::LogInDoubt => write!(f, "its log is in doubt"),
            NotOffered::Busy => write!(f, "it gives as many copies as it may"),
            NotOffered::Behind { applied } => write!(f, "its state ends at {applied}"),
        }
    }
}

impl std::error::Error for NotOffered {}

/// Whether a copy that comes with this past knows this directory as that of member `me`. One that does not is not to be taken: a directory
/// that was wiped is none of the group's, and with the group's own word for that in it, it could not even be opened any more. One that was admitted
/// after the copy's last entry has a number which was not given out by then.
pub fn names_member(past: &[u8], me: NodeId, incarnation: Incarnation) -> bool {
    let past = Past::recovered(Some(&Bytes::copy_from_slice(past)), Vlsn::FIRST);
    let knows = |it: &Membership| {
        it.admits(me, incarnation) || (it.next_id <= me && !it.members.is_empty())
    };
    past.ok().flatten().is_some_and(|past| knows(&past.membership))
}

/// Whether what stands in a manifest can be put in place in the directory of member `me`, so that nothing is touched on the strength of what
/// cannot: it is of this directory's group, and its log begins with the entry that its state ends with.
///
/// # Errors
///
/// What does not fit, in words.
pub fn check_manifest(
    manifest: &Manifest,
    me: NodeId,
    incarnation: Incarnation,
) -> Result<(), String> {
    if !names_member(&manifest.past, me, incarnation) {
        return Err("the group records another directory than this one (wiped or replaced?)".into());
    }
    let beginning = Beginning::decode(manifest.beginning.clone())
        .map_err(|error| format!("its log cannot be begun: {error}"))?;
    let (point, group) = (beginning.point(), beginning.group());
    if point != manifest.point || group != manifest.group {
        return Err(format!(
            "a copy of {} of group {}, and a log that begins with {point} of group {group}",
            manifest.point, manifest.group
        ));
    }
    Ok(())
}

impl Node {
    /// Whether this node gives a copy that holds `at_least` to the member with that data directory. If so, its log is kept from there on until [`Node::unpin`] or
    /// [`Node::copy_given`], as far as the bounds allow.
    ///
    /// # Errors
    ///
    /// [`NotOffered`]; nothing is kept.
    pub fn offer(&mut self, at_least: Vlsn, taker: Incarnation) -> Result<Offer, NotOffered> {
        self.check_offer(at_least)?;
        let pin = self.cleaning.pin(self.applied.vlsn, taker);
        Ok(Offer { pin, point: self.applied })
    }

    fn check_offer(&self, at_least: Vlsn) -> Result<(), NotOffered> {
        let applied = self.applied.vlsn;
        if self.is_over() || self.shutting.is_some() {
            return Err(NotOffered::ShuttingDown);
        }
        if !mutant!("restore-from-a-source-in-doubt") {
            self.vouches()?;
        }
        match () {
            () if self.cleaning.pins() >= self.config.restores_max => Err(NotOffered::Busy),
            () if applied < at_least || applied < self.log.first() => {
                Err(NotOffered::Behind { applied })
            }
            () => Ok(()),
        }
    }

    /// Whether this node knows that it is of one mind with its group. A master need not have begun its term: that may take just the member
    /// which needs the copy, and what is applied is durable in the group, whatever becomes of the term.
    fn vouches(&self) -> Result<(), NotOffered> {
        let reigns = self.reign.is_some();
        let follows = self.following.as_ref().is_some_and(|following| following.in_sync());
        match () {
            () if self.log_failed.is_some() || self.truncating => Err(NotOffered::LogInDoubt),
            () if self.is_doubtful(self.clock) => Err(NotOffered::LogInDoubt),
            () if reigns || follows => Ok(()),
            () => Err(NotOffered::NotInSync),
        }
    }

    /// What the cell `past` has to hold beside a log that begins with the entry at `point`; `None` if this node cannot tell, as its
    /// log does not hold it.
    pub fn past_of(&self, point: LogPoint) -> Option<Bytes> {
        let membership = self.in_force.settled(self.dvlsn())?;
        self.log.contains(point).then(|| {
            let kept = self.cleaning.kept();
            Past::before(point.vlsn, membership, kept, self.log.history()).encode()
        })
    }

    /// The copy was not given to its end, or is not wanted any more.
    pub fn unpin(&mut self, pin: Pin) {
        self.cleaning.unpin(pin);
    }

    /// The copy was given, whole, to the member with this data directory. It has to put it in place, and to follow: what comes after
    /// the copy is kept for it until then, as far as the bounds allow.
    pub fn copy_given(&mut self, now: Duration, pin: Pin, taker: Incarnation) {
        self.clock = now;
        let Some(at) = self.cleaning.unpin(pin) else { return };
        let member = self.in_force.ruling().and_then(|ruling| ruling.of_incarnation(taker));
        if let Some(id) = member.map(|member| member.id) {
            self.cleaning.linger(now, at, (id, taker));
        }
    }
}
