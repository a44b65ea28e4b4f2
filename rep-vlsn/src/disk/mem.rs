//! A disk in memory that can lose power.
//!
//! It keeps what is durable apart from what is merely written, so that a test can cut the power and see
//! any outcome that a real disk may show: each unsynced write kept, lost or torn page by page, a name
//! without its file or a file without its name. It costs little: pages are shared until they are
//! written to, and space that was only allocated is not there at all.

mod content;
mod faults;

pub use faults::SyncFailure;

use super::{Disk, DiskFile, check_name, parent};
use crate::sync::{Mutex, MutexGuard};
use bytes::Bytes;
use content::Content;
use faults::Faults;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

/// A disk in memory. Clones are handles to the same disk; it lives through the crashes that it is put through.
#[derive(Clone, Default)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

type Inode = Arc<Mutex<Content>>;

#[derive(Debug, Default)]
struct State {
    names: Names,
    /// What a power cut leaves of the names for certain; the rest hangs on `unsynced`.
    durable: Names,
    unsynced: Vec<NameOp>,
    /// Raised by each crash: handles of an earlier life are dead.
    life: u64,
    ops: u64,
    syncs: u64,
    ops_left: Option<u64>,
    crashed: bool,
    faults: Faults,
}

#[derive(Clone, Debug, Default)]
struct Names {
    files: BTreeMap<String, Inode>,
    dirs: BTreeSet<String>,
}

#[derive(Clone, Debug)]
enum NameOp {
    Link { name: String, inode: Inode },
    Rename { from: String, to: String, inode: Inode },
    Unlink { name: String },
    MakeDir { name: String },
}

impl MemDisk {
    /// An empty disk.
    pub fn new() -> MemDisk {
        MemDisk::default()
    }

    /// The power fails: of what was not synced any part survives, as `rng` will have it, and every open
    /// handle is dead. A crash ordered before is over.
    pub fn power_cut(&self, rng: &mut dyn FnMut() -> u64) {
        let mut state = self.state.lock();
        let mood = Mood::draw(rng);
        let mut names = state.durable.clone();
        for op in std::mem::take(&mut state.unsynced) {
            if mood.keeps(rng) {
                names.apply(&op);
            }
        }
        let Names { files, dirs } = &mut names;
        files.retain(|name, _| parent(name).is_empty() || dirs.contains(parent(name)));
        for inode in names.files.values() {
            inode.lock().power_cut(mood, rng);
        }
        state.durable = names.clone();
        state.names = names;
        state.next_life();
    }

    /// The process is killed: everything written survives, synced or not, and every open handle is dead. A crash
    /// ordered before is over. What was not synced can still be lost by a later power cut.
    pub fn kill(&self) {
        self.state.lock().next_life();
    }

    /// The `count`-th operation from now (1: the next) fails, and every operation after it: a place to
    /// crash. What the failing operation was to do may be done all the same. Reads are not counted.
    pub fn crash_after_ops(&self, count: u64) {
        self.state.lock().ops_left = Some(count);
    }

    /// Ends an ordered crash, or calls it off; handles opened before work again.
    pub fn revive(&self) {
        let mut state = self.state.lock();
        state.crashed = false;
        state.ops_left = None;
    }

    /// Whether an ordered crash has happened.
    pub fn crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// The bytes of a file.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        state.names.files.get(name).map(|inode| inode.lock().to_vec())
    }

    /// Whether a failed sync has left pages that read as they were written and that a power cut will take.
    pub fn is_in_doubt(&self) -> bool {
        self.state.lock().names.files.values().any(|inode| inode.lock().is_in_doubt())
    }

    /// A disk of its own with one file, if so much as its name is certain: what any power cut now would leave of it at least.
    pub fn certain(&self, name: &str) -> MemDisk {
        let state = self.state.lock();
        let copied = |inode: &Inode| Arc::new(Mutex::new(inode.lock().certain_copy()));
        let file = state.durable.files.get(name).map(|inode| (name.to_owned(), copied(inode)));
        let names = Names { files: file.into_iter().collect(), dirs: state.durable.dirs.clone() };
        let state = State { durable: names.clone(), names, ..State::default() };
        MemDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Whether nothing was done to the files that are asked for, nor to their names, since they were last synced.
    pub fn is_synced(&self, of: impl Fn(&str) -> bool) -> bool {
        let state = self.state.lock();
        let mut files = state.names.files.iter().filter(|(name, _)| of(name));
        files.all(|(_, inode)| inode.lock().is_synced())
            && !state.unsynced.iter().any(|op| of(op.name()))
    }

    /// How many operations were asked for so far, reads not counted.
    pub fn ops_count(&self) -> u64 {
        self.state.lock().ops
    }

    /// How many syncs of files and directories were asked for so far.
    pub fn syncs_count(&self) -> u64 {
        self.state.lock().syncs
    }

    /// A disk of its own with all that this one holds now, as if it had been synced.
    pub fn image(&self) -> MemDisk {
        let names = self.state.lock().names.copy();
        let state = State { durable: names.clone(), names, ..State::default() };
        MemDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Puts an image back: what the disk held is gone, and every open handle is dead.
    pub fn restore(&self, image: &MemDisk) {
        let names = image.state.lock().names.copy();
        let mut state = self.state.lock();
        state.durable = names.clone();
        state.names = names;
        state.unsynced.clear();
        state.next_life();
    }

    /// Everything is gone, for good, and every open handle is dead.
    pub fn wipe(&self) {
        self.restore(&MemDisk::new());
    }
}

impl fmt::Debug for MemDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("MemDisk").field("files", &state.names.files.keys()).finish_non_exhaustive()
    }
}

/// How merciful a power cut is: the extremes are worth seeing more often than chance would show them.
#[derive(Clone, Copy)]
enum Mood {
    Nothing,
    Everything,
    Some,
}

impl Mood {
    fn draw(rng: &mut dyn FnMut() -> u64) -> Mood {
        match rng() % 5 {
            0 => Mood::Nothing,
            1 => Mood::Everything,
            _ => Mood::Some,
        }
    }

    fn keeps(self, rng: &mut dyn FnMut() -> u64) -> bool {
        match self {
            Mood::Nothing => false,
            Mood::Everything => true,
            Mood::Some => rng() >> 7 & 1 == 0,
        }
    }
}

impl Names {
    fn apply(&mut self, op: &NameOp) {
        match op {
            NameOp::Link { name, inode } => {
                self.files.insert(name.clone(), Arc::clone(inode));
            }
            NameOp::Rename { from, to, inode } => {
                if self.files.get(from).is_some_and(|there| Arc::ptr_eq(there, inode)) {
                    self.files.remove(from);
                }
                self.files.insert(to.clone(), Arc::clone(inode));
            }
            NameOp::Unlink { name } => {
                self.files.remove(name);
            }
            NameOp::MakeDir { name } => {
                self.dirs.insert(name.clone());
            }
        }
    }

    fn copy(&self) -> Names {
        let copied = |(name, inode): (&String, &Inode)| {
            (name.clone(), Arc::new(Mutex::new(inode.lock().clean_copy())))
        };
        Names { files: self.files.iter().map(copied).collect(), dirs: self.dirs.clone() }
    }
}

impl NameOp {
    /// The name that it gives or takes away.
    fn name(&self) -> &str {
        match self {
            NameOp::Link { name, .. } | NameOp::Unlink { name } | NameOp::MakeDir { name } => name,
            NameOp::Rename { to, .. } => to,
        }
    }

    /// The directory whose sync makes it durable.
    fn dir(&self) -> &str {
        match self {
            NameOp::Link { name, .. } | NameOp::Unlink { name } | NameOp::MakeDir { name } => {
                parent(name)
            }
            NameOp::Rename { to, .. } => parent(to),
        }
    }
}

impl State {
    fn next_life(&mut self) {
        self.life += 1;
        self.crashed = false;
        self.ops_left = None;
        self.faults = Faults { full: self.faults.full, ..Faults::default() };
    }

    fn alive(&self, life: u64) -> io::Result<()> {
        if self.crashed || self.life != life { Err(crash()) } else { Ok(()) }
    }

    /// Counts an operation. An operation at which the crash is due is done all the same: see [`State::end`].
    fn begin(&mut self, life: u64) -> io::Result<()> {
        self.alive(life)?;
        self.ops += 1;
        if let Some(left) = &mut self.ops_left {
            *left = left.saturating_sub(1);
            self.crashed = *left == 0;
        }
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        if self.crashed { Err(crash()) } else { Ok(()) }
    }

    fn change(&mut self, op: NameOp) -> io::Result<()> {
        self.names.apply(&op);
        self.unsynced.push(op);
        self.end()
    }

    fn has_dir(&self, dir: &str) -> io::Result<()> {
        if dir.is_empty() || self.names.dirs.contains(dir) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "no such directory"))
    }

    fn inode(&self, name: &str) -> io::Result<Inode> {
        let found = self.names.files.get(name).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
}

fn crash() -> io::Error {
    io::Error::other("the simulated process has crashed")
}

impl Disk for MemDisk {
    type File = MemFile;

    fn create(&self, name: &str) -> io::Result<MemFile> {
        check_name(name)?;
        let mut state = self.state.lock();
        state.has_dir(parent(name))?;
        if state.names.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let life = state.life;
        state.begin(life)?;
        state.space_for(0, 1)?;
        let inode = Inode::default();
        state.change(NameOp::Link { name: name.to_owned(), inode: Arc::clone(&inode) })?;
        Ok(MemFile { disk: self.clone(), inode, life })
    }

    fn open(&self, name: &str) -> io::Result<Option<MemFile>> {
        check_name(name)?;
        let state = self.state.lock();
        let life = state.life;
        state.alive(life)?;
        let file = |inode: &Inode| MemFile { disk: self.clone(), inode: Arc::clone(inode), life };
        Ok(state.names.files.get(name).map(file))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.alive(state.life)?;
        let inside = state.names.files.keys().filter(|name| parent(name) == dir);
        Ok(inside.map(|name| name[name.rfind('/').map_or(0, |at| at + 1)..].to_owned()).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(to)?;
        let mut state = self.state.lock();
        let inode = state.inode(from)?;
        state.has_dir(parent(to))?;
        let life = state.life;
        state.begin(life)?;
        if std::mem::take(&mut state.faults.rename) {
            return Err(io::Error::other("injected rename failure"));
        }
        state.change(NameOp::Rename { from: from.to_owned(), to: to.to_owned(), inode })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.inode(name)?;
        let life = state.life;
        state.begin(life)?;
        state.change(NameOp::Unlink { name: name.to_owned() })
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        check_name(dir)?;
        let mut state = self.state.lock();
        state.has_dir(parent(dir))?;
        if state.names.dirs.contains(dir) {
            return Ok(());
        }
        let life = state.life;
        state.begin(life)?;
        state.change(NameOp::MakeDir { name: dir.to_owned() })
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.has_dir(dir)?;
        let life = state.life;
        state.begin(life)?;
        state.syncs += 1;
        state.end()?;
        if std::mem::take(&mut state.faults.sync_dir) {
            return Err(io::Error::other("injected directory sync failure"));
        }
        let ops = std::mem::take(&mut state.unsynced);
        let (now, later) = ops.into_iter().partition(|op: &NameOp| op.dir() == dir);
        state.unsynced = later;
        for op in now {
            state.durable.apply(&op);
        }
        Ok(())
    }
}

/// An open file of a [`MemDisk`].
pub struct MemFile {
    disk: MemDisk,
    inode: Inode,
    life: u64,
}

impl MemFile {
    fn op(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.disk.state.lock();
        state.begin(self.life)?;
        Ok(state)
    }

    fn write(&self, offset: u64, bytes: &[Bytes]) -> io::Result<()> {
        let mut state = self.op()?;
        if std::mem::take(&mut state.faults.write) {
            return Err(io::Error::other("injected write failure"));
        }
        let mut at = offset;
        let mut content = self.inode.lock();
        let count: usize = bytes.iter().map(Bytes::len).sum();
        state.space_for(content.len(), offset + count as u64)?;
        for part in bytes {
            content.write(at, part.clone());
            at += part.len() as u64;
        }
        state.end()
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state.lock();
        state.alive(self.life)?;
        if std::mem::take(&mut state.faults.read) {
            return Err(io::Error::other("injected read failure"));
        }
        Ok(self.inode.lock().read(offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset, &[Bytes::copy_from_slice(bytes)])
    }

    fn write_vectored_at(&self, offset: u64, parts: &[Bytes]) -> io::Result<()> {
        self.write(offset, parts)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let state = self.op()?;
        self.inode.lock().set_len(len);
        state.end()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let state = self.op()?;
        let mut content = self.inode.lock();
        state.space_for(content.len(), len)?;
        if content.len() < len {
            content.set_len(len);
        }
        state.end()
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.state.lock().alive(self.life)?;
        Ok(self.inode.lock().len())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.op()?;
        state.syncs += 1;
        state.end()?;
        if let Some(how) = state.faults.sync.take() {
            self.inode.lock().sync_failed(how == SyncFailure::ReadsOld);
            return Err(how.error());
        }
        self.inode.lock().sync();
        Ok(())
    }
}

impl fmt::Debug for MemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFile").field("len", &self.inode.lock().len()).finish_non_exhaustive()
    }
}
