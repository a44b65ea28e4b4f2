//! The opening of a directory in which a copy may wait, and the opening again of one that has got one.
//!
//! There is one way: what a crash leaves is opened like what a fetch has left. Within a running process the thread that owns
//! the state machine goes it. The writers of log and promises end, the copy is put in place, the directory is opened, and
//! another node takes the place of the one that has fallen silent. Handles, readers, channels' numbers and the clock go on.

use super::fetching::Fetcher;
use super::loading::Loaded;
use super::{Question, question};
use crate::config::RepConfig;
use crate::error::Error;
use crate::runtime::home::{self, Home};
use crate::runtime::inbox::Input;
use crate::runtime::log_writer::{self, LogQueue};
use crate::runtime::peers::{Context, Entries};
use crate::runtime::promise_writer::{self, Word};
use crate::runtime::start::make_node;
use bytes::Bytes;
use rep_net::queue::{Lane, Queue};
use rep_node::Node;
use rep_node::rep_stream::restore::{
    Chunks, InstallError, Present, Staging, StagingError, install_over,
};
use rep_store::{StateMachine, StoreError};
use rep_vlsn::disk::Disk;
use rep_vlsn::tail::Tail;
use rep_vlsn::{Beginning, CellError, LogPoint, NodeId};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether the opening should give up, because somebody closes the environment.
type IsClosing<'a> = &'a dyn Fn() -> bool;

/// Puts a copy that waits on the disk in its place, before anything else is opened; its point, if there was one.
pub(crate) fn install_waiting<D: Disk, M: StateMachine>(
    disk: &D,
    path: &Path,
    config: &RepConfig,
    (staging, machine): (&mut Staging<D>, &mut M),
    is_closing: IsClosing<'_>,
) -> Result<Option<LogPoint>, Error> {
    let nothing = Loaded::default();
    install_loaded(disk, path, config, (staging, machine, &nothing), is_closing)
}

/// The same, of which the machine may have loaded a part already.
fn install_loaded<D: Disk, M: StateMachine>(
    disk: &D,
    path: &Path,
    config: &RepConfig,
    (staging, machine, loaded): (&mut Staging<D>, &mut M, &Loaded),
    is_closing: IsClosing<'_>,
) -> Result<Option<LogPoint>, Error> {
    let in_place = is_in_place(staging, machine);
    check_machine(staging, machine, path)?;
    let order = staging.pending().ok().flatten().map(|pending| pending.order);
    let loaded = loaded.settle(machine, &order.unwrap_or_default());
    let takes_space = machine.takes_space();
    let present = Present { applied: machine.applied(), loaded, takes_space };
    let installed = install_over(
        staging,
        present,
        |chunks| install_state(machine, chunks, is_closing),
        |past| Ok(home::store_past(disk, past, path)?),
        |beginning| begin_log(disk, beginning, path, config),
    );
    match installed {
        Ok(installed) => Ok(installed),
        // The directory is what it was.
        Err(InstallError::GivenUp(error)) => {
            machine.unload();
            tracing::warn!(%error, "a copy is not put in place; what it lacks will be fetched again");
            Ok(None)
        }
        Err(InstallError::State(Unplaced::Store(error @ StoreError::BadChunk { .. })))
            if !in_place =>
        {
            tracing::error!(%error, "a copy is none of this store's, and is thrown away");
            staging.clear().map_err(|error| staging_error(&error, path))?;
            Ok(None)
        }
        Err(InstallError::Past(error) | InstallError::State(error) | InstallError::Log(error)) => {
            Err(error.into())
        }
        Err(InstallError::Staging(error)) => Err(staging_error(&error, path)),
        Err(other) => Err(damaged_copy(&other)),
    }
}

/// Whether an earlier opening came as far as replacing the state: until then all is as it was, for it is replaced whole or not at all.
fn is_in_place<D: Disk, M: StateMachine>(staging: &Staging<D>, machine: &M) -> bool {
    let pending = staging.pending().ok().flatten();
    staging.is_installing() && pending.is_none_or(|it| it.manifest.point == machine.applied())
}

/// Another engine may have been chosen since the copy was fetched, one that no copy can be given to.
fn check_machine<D: Disk, M: StateMachine>(
    staging: &Staging<D>,
    machine: &M,
    path: &Path,
) -> Result<(), Error> {
    let waits = staging.is_complete() && machine.is_rebuilt_from_the_log();
    let detail = || {
        let path = path.display();
        format!(
            "a copy of the state waits in {path} to be put in place, and this store is built again from the log, which a copy is not: \
             open it once with the store that it was fetched for"
        )
    };
    if waits { Err(Error::Open { detail: detail() }) } else { Ok(()) }
}

/// Why a copy is not in its place.
#[derive(Debug, thiserror::Error)]
enum Unplaced {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<Unplaced> for Error {
    fn from(error: Unplaced) -> Self {
        match error {
            Unplaced::Store(error) => error.into(),
            Unplaced::Other(error) => error,
        }
    }
}

fn install_state<M: StateMachine>(
    machine: &mut M,
    chunks: &mut Chunks<'_>,
    is_closing: IsClosing<'_>,
) -> Result<LogPoint, Unplaced> {
    let failed = |reason: String| StoreError::SourceFailed { reason };
    let mut chunks = chunks.map(|chunk| match is_closing() {
        true => Err(failed("the environment is being closed".to_owned())),
        false => chunk.map_err(|error| failed(error.to_string())),
    });
    Ok(machine.install(&mut chunks)?)
}

fn begin_log<D: Disk>(
    disk: &D,
    beginning: &[u8],
    path: &Path,
    config: &RepConfig,
) -> Result<(), Unplaced> {
    let beginning = Beginning::decode(Bytes::copy_from_slice(beginning))
        .map_err(|error| damaged_copy(&error))?;
    let begun = rep_vlsn::begin_with(disk, &home::log_config(config), &beginning);
    Ok(begun.map_err(|error| home::log_error(error, path))?)
}

/// What is kept of copies on this disk.
pub(crate) fn staging<D: Disk>(
    disk: D,
    path: &Path,
    config: &RepConfig,
) -> Result<Staging<D>, Error> {
    let staging = Staging::open(disk).map_err(|error| staging_error(&error, path))?;
    Ok(staging.with_reserve_bytes(config.limits.disk_reserve_bytes).left_to_system())
}

fn staging_error(error: &StagingError, path: &Path) -> Error {
    match error {
        // Nobody knows any more whether the state was about to be replaced.
        StagingError::Cell(CellError::Damaged { .. }) => damaged_copy(error),
        _ => Error::Home { path: path.join("restore"), detail: error.to_string() },
    }
}

fn damaged_copy(error: &dyn fmt::Display) -> Error {
    Error::Damaged { what: "copy", detail: error.to_string() }
}

/// Looks whether the directory is lost over a copy that has rotted while it was being put in place: without its list nobody knows what
/// the half of it belongs to.
///
/// # Errors
///
/// [`Error::Damaged`]
pub(crate) fn check_copy<D: Disk>(staging: &Staging<D>) -> Result<(), Error> {
    match staging.pending() {
        Err(error @ StagingError::Spoilt { .. }) if staging.is_installing() => {
            Err(damaged_copy(&error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The way to the disks of a running node. Dropped, what was asked of them is still done, and then their threads end.
#[derive(Debug)]
pub(crate) struct Disks {
    pub(crate) tail: Tail,
    pub(crate) log: LogQueue,
    pub(crate) words: Queue<Word>,
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.log.close();
        self.words.close();
    }
}

/// The writers of a running node, to whoever has to wait for their end.
#[derive(Debug)]
pub(crate) struct Writers {
    log: LogQueue,
    words: Queue<Word>,
    ended: [Question<()>; 2],
}

impl Writers {
    /// Starts them.
    pub(crate) fn start<D: Disk>(
        home: Home<D>,
        context: &Context,
    ) -> std::io::Result<(Disks, Writers)> {
        let Home { cells, past, log, .. } = home;
        let rep_vlsn::recovery::Opened { writer, tail, .. } = log;
        let words = Lane { items_max: promise_writer::WORDS_MAX, bytes_max: 0 };
        let disks = Disks { tail, log: LogQueue::new(), words: Queue::new([words]) };
        let (log, words) = (disks.log.clone(), disks.words.clone());
        let (threads, shared) = (&context.threads, &context.shared);
        let ((log_ended, log_ends), own) = (question(), Arc::clone(shared));
        let commands = log.clone();
        threads.start("rep-log", move || {
            let _ends = log_ends;
            log_writer::run(writer, past, &commands, &own);
        })?;
        let ((words_ended, words_end), own) = (question(), Arc::clone(shared));
        let written = words.clone();
        threads.start("rep-promise", move || {
            let _ends = words_end;
            promise_writer::run(cells, &written, &own);
        })?;
        Ok((disks, Writers { log, words, ended: [log_ended, words_ended] }))
    }

    /// Lets them do what was asked of them, and waits until their files are nobody's.
    fn end(self) {
        self.log.close();
        self.words.close();
        for ended in self.ended {
            let _ = ended.wait();
        }
    }
}

/// A node that takes the place of another one, and the way to its disks.
#[derive(Debug)]
pub(crate) struct Reopened {
    pub(crate) node: Node,
    /// Its number, which may be another one.
    pub(crate) me: NodeId,
    pub(crate) disks: Disks,
}

/// What a state machine's owner does to open the directory again, whatever disk lies below.
pub(crate) trait Reopens<M: StateMachine>: Send {
    /// Puts the copy in place that was fetched, keeps the place in the group that it was given, and opens the directory again.
    ///
    /// # Errors
    ///
    /// What is wrong with it now: the member cannot go on.
    fn reopen(&mut self, machine: &mut M, place: Option<Bytes>) -> Result<(), Error>;
}

/// A directory that may have to be opened again.
pub(crate) struct Directory<D: Disk> {
    pub(crate) disk: D,
    pub(crate) path: PathBuf,
    pub(crate) config: Arc<RepConfig>,
    pub(crate) context: Arc<Context>,
    pub(crate) fetcher: Fetcher<D>,
    /// Between two openings there are none.
    pub(crate) writers: Option<Writers>,
}

impl<D: Disk, M: StateMachine> Reopens<M> for Directory<D> {
    fn reopen(&mut self, machine: &mut M, place: Option<Bytes>) -> Result<(), Error> {
        let fetcher = self.fetcher.clone();
        let (fetched, mut staging) = fetcher.fetched();
        self.writers.take().into_iter().for_each(Writers::end);
        if let Some(place) = place {
            home::store_place(&self.disk, &place, &self.path)?;
        }
        let was_fetched = fetched.is_some();
        if let Some(fetched) = fetched
            && let Err(error) = staging.complete(&fetched.manifest, &fetched.order)
        {
            // What can be read of it is of use next time.
            tracing::warn!(%error, "a copy cannot be kept whole; the member goes on without it");
        }
        let shared = Arc::clone(&self.context.shared);
        let (disk, is_closing) = (&self.disk, || shared.is_closing());
        let all = (&mut *staging, &mut *machine, fetcher.loaded());
        let restored = install_loaded(disk, &self.path, &self.config, all, &is_closing)?;
        drop(staging);
        let home = Home::open(disk.clone(), &self.path, &self.config)?;
        let entries: Arc<dyn Entries> = Arc::new(home.log.reader.clone());
        let clock = shared.clock.now();
        let unplaced = was_fetched && restored.is_none();
        let made = (machine.applied(), (restored, unplaced), clock);
        let (node, me) = make_node(&self.config, &home, &*entries, made)?;
        self.context.entries.replace(entries);
        let started = Writers::start(home, &self.context);
        let (disks, writers) = started.map_err(|error| Error::Open {
            detail: format!("a thread cannot be started: {error}"),
        })?;
        self.writers = Some(writers);
        shared.inbox.completed(Input::Reopened(Box::new(Reopened { node, me, disks })));
        Ok(())
    }
}

impl<D: Disk> fmt::Debug for Directory<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use rep_node::rep_stream::restore::{ChunkId, Manifest};
    use rep_vlsn::{GroupId, MemDisk, Term, Vlsn};

    fn complete(disk: &MemDisk) -> Staging<MemDisk> {
        let mut staging = Staging::open(disk.clone()).unwrap();
        let point = LogPoint::new(Term::new(1), Vlsn::new(7));
        let (entry, past) = (Bytes::from_static(b"entry"), Bytes::new());
        let manifest = Manifest::new(GroupId([7; 16]), point, entry, past);
        staging.keep(ChunkId::of(b"chunk"), b"chunk").unwrap();
        staging.complete(&manifest, &[ChunkId::of(b"chunk")]).unwrap();
        staging
    }

    fn rot_the_list(disk: &MemDisk) {
        let files = disk.list("restore").unwrap();
        let list = files.iter().find(|name| name.ends_with("list")).unwrap();
        assert!(disk.flip_bit(&format!("restore/{list}"), 0));
    }

    /// Until then the member is what it was, and the copy is given up; after that it may be neither what it was nor what it was to become.
    #[test]
    fn a_list_that_rots_costs_the_directory_once_an_installing_has_begun() {
        let disk = MemDisk::new();
        let mut staging = complete(&disk);
        let stopped = |_: &mut Chunks<'_>| Err("the power goes");
        let present = Present { applied: LogPoint::NULL, loaded: 0, takes_space: true };
        let unbegun = disk.image();
        install_over(&mut staging, present, stopped, |_| Ok(()), |_| Ok(())).unwrap_err();
        for (disk, is_lost) in [(unbegun, false), (disk, true)] {
            let staging = Staging::open(disk.clone()).unwrap();
            check_copy(&staging).unwrap();
            rot_the_list(&disk);
            let checked = check_copy(&staging);
            assert_eq!(matches!(checked, Err(Error::Damaged { what: "copy", .. })), is_lost);
        }
    }

    #[test]
    fn without_its_cell_nobody_knows_whether_a_copy_was_being_put_in_place() {
        let disk = MemDisk::new();
        drop(complete(&disk));
        let cell = disk.contents("restore/cell").unwrap();
        (0..cell.len() as u64).step_by(8).for_each(|at| assert!(disk.flip_bit("restore/cell", at)));
        let error = staging_error(&Staging::open(disk).unwrap_err(), Path::new("home"));
        assert!(matches!(error, Error::Damaged { what: "copy", .. }), "{error}");
    }
}
