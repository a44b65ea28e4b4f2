//! A group whose quorum is gone for good, made a group again of one directory that is left: offline, by order.
//!
//! [`examine`] tells what the directory holds and what would be written, and changes nothing. [`force_quorum`] does it. What that is, is `rep_node`'s
//! to say; here it is written, in an order in which a crash at any step leaves either the old directory or one that does not open
//! before the order was given again: the fence; the cell `forcing`, which says that it was begun; the two entries; the cell again. See decision 26.
//!
//! It must never be done while one of the lost members may still be at work, or may come back before it has reached the survivors: the
//! two halves would be one group with two histories. Nothing here can see whether that is so.

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::runtime::home::{self, DISOWNED_CELL, IDENTITY_CELL, Identity, PAST_CELL, PROMISE_CELL};
use bytes::Bytes;
use rep_node::rep_stream::restore::Staging;
use rep_node::{Fence, Forced, Membership, Remains};
use rep_vlsn::disk::Disk;
use rep_vlsn::error::{LogError, OpenError};
use rep_vlsn::recovery::{self, Opened};
use rep_vlsn::{FileDisk, GroupId, Inspection, LogConfig, LogPoint, NodeId, Record, Term, Vlsn};
use rep_vlsn::{Seen, inspect, inspect_cell, walk};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use rep_node::{MemberType, NotForced};

/// Says that a forcing was begun, and in which term. Empty, or not there at all, in every directory that may be opened.
const FORCING_CELL: &str = "forcing";
/// A log is not made larger than it is, on a disk that may be full: a new file of it is no larger than it has to be.
const SEGMENT_BYTES: u64 = 1 << 20;

/// Who is to be left of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    survivors: Vec<String>,
    even_without_a_vote: bool,
}

impl Order {
    /// The member whose directory it is, alone.
    pub fn alone() -> Order {
        Order::default()
    }

    /// Those members, the directory's own among them. The others' directories are not touched: they follow, and drop what only they have.
    #[must_use]
    pub fn survivors(self, names: impl IntoIterator<Item = impl Into<String>>) -> Order {
        Order { survivors: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Also those that had no vote, though nobody ever waited for what they hold.
    #[must_use]
    pub fn even_without_a_vote(self) -> Order {
        Order { even_without_a_vote: true, ..self }
    }
}

/// What a directory holds, and what forcing its quorum comes to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Findings {
    /// The name of the group.
    pub group_name: String,
    /// The group. It stays the same one.
    pub group: GroupId,
    /// The name of the member.
    pub name: String,
    /// The last entry of its log, from which the group goes on.
    pub last: LogPoint,
    /// Whether something behind it was never synced, and will be cut.
    pub torn: bool,
    /// The last entry that is known to have been durable: by the log's marks, or because the store holds it. Those behind it may
    /// have been, too.
    pub known_durable: Vlsn,
    /// What the store holds, if there is one.
    pub applied: Option<LogPoint>,
    /// A master has told that this is an older image of the member's home, in these words: entries that were acknowledged may be missing.
    pub disowned: Option<String>,
    /// An earlier order was begun and is not complete.
    pub begun: bool,
    /// The members that are left, all of them voters.
    pub survivors: Vec<Recorded>,
    /// Those who are members no more.
    pub cast_out: Vec<Recorded>,
    /// The term in which that is written; nothing, if it is written already.
    pub term: Option<Term>,
    plan: Plan,
}

/// A member, as the directory records it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Its number, which nobody gets again.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// What it was.
    pub kind: MemberType,
}

impl From<&rep_node::Member> for Recorded {
    fn from(member: &rep_node::Member) -> Self {
        let rep_node::Member { id, name, address, kind, .. } = member.clone();
        Recorded { id, name, address, kind }
    }
}

#[derive(Clone, Debug)]
enum Plan {
    Force(Box<Forced>),
    /// All of it is in the log.
    Finish,
}

/// Why nothing was forced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRecovered {
    /// The directory cannot be used, or is damaged.
    #[error(transparent)]
    Home(#[from] Error),
    /// Nothing to go on from.
    #[error("{} never belonged to a group: {why}", .path.display())]
    NoGroup {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// The member has fetched the state of another one, which is not in its place yet.
    #[error(
        "a copy of another member's state waits in {} to be put in place: open the member once, close it, and look again", .path.display()
    )]
    CopyWaits {
        /// The directory.
        path: PathBuf,
    },
    /// It is not to be done.
    #[error(transparent)]
    Refused(#[from] NotForced),
}

/// What the directory `home` holds and what [`force_quorum`] would make of it. Nothing is changed, but that its store is opened as at any start.
///
/// # Errors
///
/// Why it would not be done. Whether a copy waits there is found out only when it is.
pub fn examine(home: impl AsRef<Path>, order: &Order) -> Result<Findings, NotRecovered> {
    let path = home.as_ref();
    let disk = FileDisk::open_read_only(path).map_err(|error| home::lock_error(error, path))?;
    let applied = applied_in(path)?;
    examine_on(&disk, path, order, applied)
}

/// Makes the group go on from the directory `home`, with those members alone that the order says. When it returns, that is durable.
///
/// # Errors
///
/// Why it is not done. If it was begun, the directory is not opened before the order was given again.
pub fn force_quorum(home: impl AsRef<Path>, order: &Order) -> Result<Findings, NotRecovered> {
    let path = home.as_ref();
    // Which makes no directory where there is none.
    drop(FileDisk::open_read_only(path).map_err(|error| home::lock_error(error, path))?);
    let disk = home::lock(&path.to_path_buf())?;
    let applied = applied_in(path)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    force_on(&disk, path, order, applied, now.as_millis() as u64)
}

/// To be asked before a directory is opened.
pub(crate) fn refuse_half_done<D: Disk>(disk: &D, path: &Path) -> Result<(), Error> {
    match cell(disk, FORCING_CELL, path)?.is_some_and(|begun| !begun.is_empty()) {
        false => Ok(()),
        true => Err(Error::Open {
            detail: format!(
                "`rep recover --force-quorum` was begun on {} and is not complete: give the same order again",
                path.display()
            ),
        }),
    }
}

fn examine_on<D: Disk>(
    disk: &D,
    path: &Path,
    order: &Order,
    applied: Option<LogPoint>,
) -> Result<Findings, NotRecovered> {
    let no_group = |why| NotRecovered::NoGroup { path: path.into(), why };
    let identity =
        cell(disk, IDENTITY_CELL, path)?.ok_or_else(|| no_group("it has no identity"))?;
    let identity = home::decode_identity(&identity).ok_or_else(|| damaged(IDENTITY_CELL))?;
    let promise = cell(disk, PROMISE_CELL, path)?;
    let log = inspect(disk).map_err(|error| home::log_error(error, path))?;
    if log.last.vlsn.is_null() && log.damage.is_none() {
        return Err(no_group("its log is empty"));
    }
    if let Some(damage) = log.damage {
        return Err(home::log_error(damage, path).into());
    }
    let fence = promise.as_deref().map(Fence::decode).transpose();
    let fence = fence.ok().flatten().ok_or_else(|| damaged(PROMISE_CELL))?;
    let begun = cell(disk, FORCING_CELL, path)?.filter(|begun| !begun.is_empty());
    let begun = begun.map(|begun| Fence::decode(&begun).map_err(|_| damaged(FORCING_CELL)));
    let begun = begun.transpose()?;
    check_applied(applied, log.last)?;
    let remains = remains(disk, path, (&identity, fence), (&log, begun.is_some()))?;
    let plan = match begun.filter(|fence| remains.has_forced(*fence)) {
        Some(_) if is_as_ordered(&remains, order)? => Plan::Finish,
        _ => Plan::Force(Box::new(remains.force(&order.survivors, order.even_without_a_vote)?)),
    };
    let disowned = cell(disk, DISOWNED_CELL, path)?.filter(|why| !why.is_empty());
    let disowned = disowned.map(|why| String::from_utf8_lossy(&why).into_owned());
    Ok(Findings { disowned, ..findings(identity, &remains, &log, applied, plan) })
}

fn remains<D: Disk>(
    disk: &D,
    path: &Path,
    (identity, fence): (&Identity, Fence),
    (log, begun): (&Inspection, bool),
) -> Result<Remains, NotRecovered> {
    let said = newest_membership(disk, log.first).map_err(|error| home::log_error(error, path))?;
    let past = cell(disk, PAST_CELL, path)?;
    let membership = Remains::membership(log.first, said.as_slice(), past.as_ref())
        .map_err(|error| Error::Open { detail: error.to_string() })?;
    let no_group = || NotRecovered::NoGroup { path: path.into(), why: "its log founds none" };
    let membership = membership.ok_or_else(no_group)?;
    let (name, incarnation) = (identity.name.clone(), identity.incarnation);
    Ok(Remains { name, incarnation, fence, last: log.last, membership, begun })
}

/// Whether the survivors of a forcing that is in the log are those of this order.
fn is_as_ordered(remains: &Remains, order: &Order) -> Result<bool, NotForced> {
    let own = [remains.me()?.name.clone()];
    let named = if order.survivors.is_empty() { &own[..] } else { &order.survivors };
    let members = &remains.membership.members;
    let is_named = |member: &rep_node::Member| named.contains(&member.name);
    let is_member = |name: &String| remains.membership.named(name).is_some();
    Ok(members.values().all(is_named) && named.iter().all(is_member))
}

fn findings(
    identity: Identity,
    remains: &Remains,
    log: &Inspection,
    applied: Option<LogPoint>,
    plan: Plan,
) -> Findings {
    let (membership, cast_out, term): (&Membership, &[rep_node::Member], _) = match &plan {
        Plan::Force(forced) => (&forced.membership, &forced.cast_out, Some(forced.fence.term)),
        Plan::Finish => (&remains.membership, &[], None),
    };
    let mark = log.marks.map_or(Vlsn::NULL, |mark| mark.dvlsn);
    Findings {
        group_name: identity.group,
        group: membership.group,
        name: identity.name,
        last: log.last,
        torn: log.torn.is_some(),
        known_durable: mark.max(applied.map_or(Vlsn::NULL, |applied| applied.vlsn)),
        applied,
        disowned: None,
        begun: remains.begun,
        survivors: membership.members.values().map(Recorded::from).collect(),
        cast_out: cast_out.iter().map(Recorded::from).collect(),
        term,
        plan,
    }
}

fn force_on<D: Disk>(
    disk: &D,
    path: &Path,
    order: &Order,
    applied: Option<LogPoint>,
    time_ms: u64,
) -> Result<Findings, NotRecovered> {
    let found = examine_on(disk, path, order, applied)?;
    let staging = Staging::open(disk.clone());
    let staging = staging.map_err(|error| Error::Open { detail: error.to_string() })?;
    if staging.is_complete() {
        return Err(NotRecovered::CopyWaits { path: path.into() });
    }
    // What opening mends, it mends at every start.
    let config = LogConfig::default().with_verify_on_open(true).with_segment_bytes(SEGMENT_BYTES);
    let log = recovery::open(disk.clone(), config).map_err(|error| home::log_error(error, path))?;
    check_opened(&log, found.last, applied)?;
    let (mut forcing, _) = home::open_cell(disk, FORCING_CELL, path)?;
    let store_error = |error| home::cell_error(error, FORCING_CELL, path);
    if let Plan::Force(forced) = &found.plan {
        let (mut promise, _) = home::open_cell(disk, PROMISE_CELL, path)?;
        let fence = forced.fence.encode();
        promise.store(&fence).map_err(|error| home::cell_error(error, PROMISE_CELL, path))?;
        // A log that ends with the opening of that term would outrank those that hold more, under members who could follow it.
        forcing.store(&fence).map_err(store_error)?;
        append(log, forced, time_ms).map_err(|error| not_written(&error, path))?;
    }
    if found.disowned.is_some() {
        // There is nothing better, or the order would not have been given.
        let (mut disowned, _) = home::open_cell(disk, DISOWNED_CELL, path)?;
        disowned.store(b"").map_err(|error| home::cell_error(error, DISOWNED_CELL, path))?;
    }
    forcing.store(b"").map_err(store_error)?;
    Ok(found)
}

/// Writes and syncs both entries.
fn append<D: Disk>(log: Opened<D>, forced: &Forced, time_ms: u64) -> Result<(), LogError> {
    let Opened { mut writer, tail, view, marks, .. } = log;
    let dvlsn = marks.map_or(Vlsn::NULL, |mark| mark.dvlsn);
    writer.set_group(forced.membership.group)?;
    tail.stage(&forced.records(view.last_crc(), time_ms));
    while writer.write_group(dvlsn)?.is_some() {}
    writer.sync()?;
    writer.close(dvlsn)
}

/// The newest entry of a log that says who belongs.
fn newest_membership<D: Disk>(disk: &D, first: Vlsn) -> Result<Option<Record>, OpenError> {
    let mut newest = None;
    for seen in walk(disk, first)? {
        match seen? {
            Seen::Entry(record, _) if record.header().kind.says_members() => newest = Some(record),
            _ => {}
        }
    }
    Ok(newest)
}

/// What was looked at is what is there, and the store's.
fn check_opened<D: Disk>(
    log: &Opened<D>,
    last: LogPoint,
    applied: Option<LogPoint>,
) -> Result<(), Error> {
    let view = &log.view;
    if view.last() != last {
        let detail = format!("it ended with {last}, and ends with {} now", view.last());
        return Err(Error::Damaged { what: "log", detail });
    }
    let held = applied.filter(|applied| applied.vlsn >= view.first());
    held.filter(|applied| !view.contains(*applied)).map_or(Ok(()), |it| Err(ahead(it, last)))
}

fn check_applied(applied: Option<LogPoint>, last: LogPoint) -> Result<(), Error> {
    match applied.filter(|applied| applied.vlsn > last.vlsn) {
        Some(applied) => Err(ahead(applied, last)),
        None => Ok(()),
    }
}

fn ahead(applied: LogPoint, last: LogPoint) -> Error {
    Error::StoreAheadOfLog { applied: applied.to_string(), log_last: last.to_string() }
}

/// What the store in the directory has applied; `None` if there is none that outlives its process.
fn applied_in(path: &Path) -> Result<Option<LogPoint>, Error> {
    #[cfg(any(feature = "redb", feature = "fjall"))]
    use rep_store::{Databases, StateMachine};
    #[cfg(feature = "redb")]
    if path.join(home::STORE_FILE).exists() {
        return Ok(Some(Databases::redb(path.join(home::STORE_FILE))?.applied()));
    }
    #[cfg(feature = "fjall")]
    if path.join(home::STORE_DIRECTORY).exists() {
        return Ok(Some(Databases::fjall(path.join(home::STORE_DIRECTORY))?.applied()));
    }
    let _ = path;
    Ok(None)
}

/// The value of a cell, which is left as it is.
fn cell<D: Disk>(disk: &D, name: &'static str, path: &Path) -> Result<Option<Bytes>, Error> {
    let state = inspect_cell(disk, name).map_err(|error| home::log_error(error, path))?;
    if state.is_damaged() { Err(damaged(name)) } else { Ok(state.value) }
}

fn damaged(what: &'static str) -> Error {
    Error::Damaged { what, detail: "its bytes mean nothing".to_owned() }
}

fn not_written(error: &LogError, path: &Path) -> Error {
    Error::Home { path: path.join("log"), detail: error.to_string() }
}
