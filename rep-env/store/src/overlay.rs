//! What has been admitted and is not applied yet.
//!
//! A transaction that begins right after another has committed must see its writes, though the log is
//! still syncing them and the store knows nothing of them. Waiting would tie every transaction to
//! the disk. So admitted write sets lie as an *overlay* above the store: a new transaction reads its own
//! writes first, then the overlay, then a view of what is applied.
//!
//! Order is everything here. One transaction builds at a time, write sets enter in the order of
//! admission, and that becomes the order of the log; so the newest write set that names a key has the
//! right value, and entries leave from the oldest end only. If one admitted write set cannot
//! become an entry, everything built on it is void: the overlay is dropped whole.
//!
//! Pure: no clock, no thread, no I/O beyond reading the view; the simulator drives it as it is.

mod pending;

pub use pending::{Pending, PendingRange};

use crate::memory::tree::Tree;
use crate::{Database, View, WriteSet};
use bytes::Bytes;
use rep_vlsn::{LogPoint, Vlsn, mutant};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// The number of an admission, given by whoever admits; larger is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// Admitted write sets above what is applied, oldest first.
///
/// `Seq`s increase, VLSNs increase among those that have one, and `bytes` is the sum of what was pushed.
#[derive(Default)]
pub struct Overlay {
    entries: VecDeque<Admitted>,
    index: Index,
    bytes: usize,
    /// Up to where entries have left; a view below it would miss them.
    trimmed: Vlsn,
}

/// The newest write to each (database, key) among the entries.
type Index = Tree<Tree<Slot>>;

#[derive(Clone)]
struct Slot {
    seq: Seq,
    value: Option<Bytes>,
}

struct Admitted {
    seq: Seq,
    vlsn: Option<Vlsn>,
    writes: Arc<WriteSet>,
    bytes: usize,
}

impl Overlay {
    /// An overlay without entries.
    pub fn new() -> Self {
        Overlay::default()
    }

    /// Puts an admitted write set on top; `bytes` count against the caller's budget until it leaves.
    ///
    /// # Panics
    ///
    /// If `seq` is not above every earlier one.
    pub fn push(&mut self, seq: Seq, writes: Arc<WriteSet>, bytes: usize) {
        assert!(
            self.entries.back().is_none_or(|newest| newest.seq < seq),
            "admissions are ordered"
        );
        for (database, key, value) in writes.iter() {
            let slot = Slot { seq, value: value.clone() };
            write(&mut self.index, database, key, slot);
        }
        self.bytes += bytes;
        self.entries.push_back(Admitted { seq, vlsn: None, writes, bytes });
    }

    /// The write set admitted as `seq` has become entry `vlsn`. Tells whether it was still here.
    ///
    /// # Panics
    ///
    /// If the order of the log is not the order of admission.
    pub fn assign(&mut self, seq: Seq, vlsn: Vlsn) -> bool {
        let Ok(at) = self.entries.binary_search_by_key(&seq, |entry| entry.seq) else {
            return false;
        };
        let before = self.entries.range(..at).rev().find_map(|entry| entry.vlsn);
        let after = self.entries.range(at + 1..).find_map(|entry| entry.vlsn);
        assert!(before.is_none_or(|before| before < vlsn), "the log keeps the order of admission");
        assert!(after.is_none_or(|after| vlsn < after), "the log keeps the order of admission");
        self.entries[at].vlsn = Some(vlsn);
        true
    }

    /// Drops the entries at or below `applied`, from the oldest on. Those without a VLSN stay, and so
    /// does what lies above them.
    ///
    /// [`Overlay::begin`] does this by itself. To make room while a `commit` waits for it, trim with the
    /// point of a view: transactions that have begun keep their snapshot, and no later one may begin
    /// on an older view, which would lack what was dropped.
    pub fn trim(&mut self, applied: LogPoint) {
        let upto = applied.vlsn;
        let upto = if mutant!("overlay-trim-too-far") { upto.next() } else { upto };
        while self.entries.front().is_some_and(|oldest| oldest.vlsn.is_some_and(|v| v <= upto)) {
            let oldest = self.entries.pop_front().expect("it was just seen");
            self.bytes -= oldest.bytes;
            for (database, key, _) in oldest.writes.iter() {
                erase(&mut self.index, database, key, oldest.seq);
            }
        }
        self.trimmed = self.trimmed.max(applied.vlsn);
    }

    /// The term is over: nothing of what is here will be built on.
    pub fn drop_all(&mut self) {
        if !mutant!("overlay-survives-term") {
            *self = Overlay::new();
        }
    }

    /// Begins a transaction over `view`: drops what the view already shows, and freezes the rest.
    ///
    /// # Panics
    ///
    /// If `view` lies below an earlier trim, for it would miss what was dropped then.
    pub fn begin(&mut self, view: View) -> Pending {
        assert!(view.applied().vlsn >= self.trimmed, "a transaction begins on the newest view");
        self.trim(view.applied());
        Pending::new(view, self.snapshot())
    }

    /// The overlay as it is now, unchanging. Costs nothing.
    pub fn snapshot(&self) -> OverlaySnapshot {
        OverlaySnapshot { index: self.index.clone() }
    }

    /// What the newest write to `key` says, and whose it is: `None` if no entry names it, a value, or
    /// `None` for "deleted".
    pub fn get(&self, database: &Database, key: &[u8]) -> Option<(Option<Bytes>, Seq)> {
        lookup(&self.index, database, key)
    }

    /// The VLSN of an admission that is still here and has one.
    pub fn vlsn_of(&self, seq: Seq) -> Option<Vlsn> {
        let at = self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.entries[at].vlsn
    }

    /// Whether an admission is still here.
    pub fn contains(&self, seq: Seq) -> bool {
        self.entries.binary_search_by_key(&seq, |entry| entry.seq).is_ok()
    }

    /// The newest admission that is here.
    pub fn newest(&self) -> Option<Seq> {
        self.entries.back().map(|entry| entry.seq)
    }

    /// Sum of what was given with each entry that is here.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is here.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What must hold of every overlay. Reads everything.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self) {
        let entries: Vec<&Admitted> = self.entries.iter().collect();
        assert!(entries.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        let vlsns: Vec<Vlsn> = entries.iter().filter_map(|entry| entry.vlsn).collect();
        assert!(vlsns.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(self.bytes, entries.iter().map(|entry| entry.bytes).sum::<usize>());
        for entry in &entries {
            for (database, key, _) in entry.writes.iter() {
                let newest = entries.iter().rev().find(|e| e.writes.get(database, key).is_some());
                let newest = newest.expect("this one names it");
                let value = newest.writes.get(database, key).expect("it names the key").clone();
                assert_eq!(self.get(database, key), Some((value, newest.seq)), "newest wins");
            }
        }
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay")
            .field("entries", &self.entries.len())
            .field("bytes", &self.bytes)
            .field("newest", &self.newest())
            .field("trimmed", &self.trimmed)
            .finish_non_exhaustive()
    }
}

/// An overlay as it was at one moment.
#[derive(Clone, Default)]
pub struct OverlaySnapshot {
    index: Index,
}

impl OverlaySnapshot {
    /// As [`Overlay::get`].
    pub fn get(&self, database: &Database, key: &[u8]) -> Option<(Option<Bytes>, Seq)> {
        lookup(&self.index, database, key)
    }
}

impl fmt::Debug for OverlaySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverlaySnapshot").field("databases", &self.index.len()).finish()
    }
}

fn lookup(index: &Index, database: &Database, key: &[u8]) -> Option<(Option<Bytes>, Seq)> {
    let slot = index.get(database.name().as_bytes())?.get(key)?;
    Some((slot.value.clone(), slot.seq))
}

fn write(index: &mut Index, database: &Database, key: &[u8], slot: Slot) {
    let name = database.name().as_bytes();
    if index.get(name).is_none() {
        index.insert(name, Tree::new());
    }
    let newest = index.get_mut(name).expect("it was just made sure of");
    if mutant!("overlay-oldest-wins") && newest.get(key).is_some() {
        return;
    }
    newest.insert(key, slot);
}

/// Removes what `seq` wrote, unless a newer entry has written there since.
fn erase(index: &mut Index, database: &Database, key: &[u8], seq: Seq) {
    let name = database.name().as_bytes();
    let is_its = |tree: &Tree<Slot>| tree.get(key).is_some_and(|slot| slot.seq == seq);
    if !index.get(name).is_some_and(is_its) {
        return;
    }
    let tree = index.get_mut(name).expect("it was just read");
    tree.remove(key);
    if tree.is_empty() {
        index.remove(name);
    }
}
