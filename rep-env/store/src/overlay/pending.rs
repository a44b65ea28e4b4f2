//! A transaction while it is built: its own writes over an overlay over a view.

use super::{OverlaySnapshot, Seq, Slot};
use crate::memory::tree;
use crate::view::{self, are_crossed};
use crate::{Database, StoreError, View, WriteSet};
use bytes::Bytes;
use rep_vlsn::mutant;
use std::cell::Cell;
use std::collections::btree_map;
use std::fmt;
use std::iter::Peekable;
use std::ops::RangeBounds;

/// Reads and writes of one transaction.
///
/// It remembers the newest overlay entry whose write it has read. What a read-only transaction saw
/// is true only once that entry is durable.
#[derive(Debug)]
pub struct Pending {
    view: View,
    overlay: OverlaySnapshot,
    own: WriteSet,
    newest_read: Cell<Option<Seq>>,
}

impl Pending {
    /// A transaction that has written nothing yet. The overlay has to hold everything that was admitted
    /// above the view, which [`Overlay::begin`](super::Overlay::begin) sees to.
    pub fn new(view: View, overlay: OverlaySnapshot) -> Self {
        Pending { view, overlay, own: WriteSet::new(), newest_read: Cell::new(None) }
    }

    /// The view at the bottom.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The value of `key` as this transaction sees it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the store cannot read.
    pub fn get(&self, database: &Database, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(own) = self.own.get(database, key) {
            return Ok(own.clone());
        }
        if let Some((value, seq)) = self.overlay.get(database, key) {
            self.has_read(seq);
            if value.is_some() || !mutant!("overlay-reads-through-delete") {
                return Ok(value);
            }
        }
        self.view.get(database, key)
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    ///
    /// As [`Pending::get`].
    pub fn exists(&self, database: &Database, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(database, key)?.is_some())
    }

    /// The pairs whose keys lie within `bounds`, in order of keys. Overlay entries count as read when
    /// the iterator comes past them, deletions too.
    pub fn range<'k>(
        &self,
        database: &Database,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> PendingRange<'_> {
        let (start, end) = (bounds.start_bound().cloned(), bounds.end_bound().cloned());
        let crossed = are_crossed(start, end);
        let own = self.own.changes_of(database).filter(|_| !crossed);
        let overlay = self.overlay.index.get(database.name().as_bytes()).filter(|_| !crossed);
        let overlay = overlay.filter(|_| !mutant!("overlay-range-skips-pending"));
        PendingRange {
            pending: self,
            own: own.map(|own| own.range::<[u8], _>((start, end)).peekable()),
            overlay: overlay.map(|tree| tree.range(start, end).peekable()),
            view: self.view.range(database, (start, end)).peekable(),
        }
    }

    /// Sets `key` to a copy of `value`.
    ///
    /// # Errors
    ///
    /// As [`WriteSet::put`].
    pub fn put(&mut self, database: &Database, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.own.put(database, key, value)
    }

    /// Sets `key` to `value` without copying them here.
    ///
    /// # Errors
    ///
    /// As [`WriteSet::put`].
    pub fn put_bytes(
        &mut self,
        database: &Database,
        key: Bytes,
        value: Bytes,
    ) -> Result<(), StoreError> {
        self.own.put_bytes(database, key, value)
    }

    /// Removes `key`.
    ///
    /// # Errors
    ///
    /// As [`WriteSet::put`].
    pub fn delete(&mut self, database: &Database, key: &[u8]) -> Result<(), StoreError> {
        self.own.delete(database, key)
    }

    /// The newest overlay entry whose write was read.
    pub fn newest_read(&self) -> Option<Seq> {
        self.newest_read.get()
    }

    /// What it changes.
    pub fn writes(&self) -> &WriteSet {
        &self.own
    }

    /// What it changes; its reads are over.
    pub fn into_writes(self) -> WriteSet {
        self.own
    }

    fn has_read(&self, seq: Seq) {
        self.newest_read.set(self.newest_read.get().max(Some(seq)));
    }
}

/// Pairs of three layers, merged: own writes over the overlay over the view.
pub struct PendingRange<'a> {
    pending: &'a Pending,
    own: Option<Peekable<btree_map::Range<'a, Bytes, Option<Bytes>>>>,
    overlay: Option<Peekable<tree::Range<Slot>>>,
    view: Peekable<view::Range>,
}

impl PendingRange<'_> {
    /// The smallest key that any layer has next.
    fn next_key(&mut self) -> Result<Option<Bytes>, StoreError> {
        let own = peek(&mut self.own).map(|(key, _)| (*key).clone());
        let overlay = peek(&mut self.overlay).map(|(key, _)| key.clone());
        let view = match self.view.peek() {
            None => None,
            Some(Ok((key, _))) => Some(key.clone()),
            Some(Err(error)) => {
                let error = error.clone();
                self.stop();
                return Err(error);
            }
        };
        Ok([own, overlay, view].into_iter().flatten().min())
    }

    /// Moves every layer past `key`; what the uppermost one said of it.
    fn pass(&mut self, key: &Bytes) -> Option<Bytes> {
        let own = take(&mut self.own, |(other, _)| *other == key).map(|(_, value)| value.clone());
        let overlay = take(&mut self.overlay, |(other, _)| other == key).map(|(_, slot)| slot);
        let is_key = |item: &Result<(Bytes, Bytes), StoreError>| {
            item.as_ref().is_ok_and(|(other, _)| other == key)
        };
        let view = self.view.next_if(is_key).and_then(Result::ok).map(|(_, value)| value);
        match (own, overlay) {
            (Some(own), _) => own,
            (None, Some(slot)) => {
                self.pending.has_read(slot.seq);
                slot.value
            }
            (None, None) => view,
        }
    }

    fn stop(&mut self) {
        (self.own, self.overlay) = (None, None);
        self.view.by_ref().for_each(drop);
    }
}

impl Iterator for PendingRange<'_> {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = match self.next_key() {
                Ok(key) => key?,
                Err(error) => return Some(Err(error)),
            };
            if let Some(value) = self.pass(&key) {
                return Some(Ok((key, value)));
            }
        }
    }
}

impl fmt::Debug for PendingRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRange").finish_non_exhaustive()
    }
}

fn peek<I: Iterator>(layer: &mut Option<Peekable<I>>) -> Option<&I::Item> {
    layer.as_mut()?.peek()
}

fn take<I: Iterator>(
    layer: &mut Option<Peekable<I>>,
    is_wanted: impl FnOnce(&I::Item) -> bool,
) -> Option<I::Item> {
    layer.as_mut()?.next_if(is_wanted)
}
