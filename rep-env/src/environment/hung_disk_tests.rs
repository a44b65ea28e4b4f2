//! The disk under the log hangs, as a dying one or a lost mount does: no call ever returns, and nobody can end the thread
//! that made it.

use super::*;
use crate::admin::AdminClient;
use crate::runtime::start_on;
use bytes::Bytes;
use rep_net::mem::Hub;
use rep_vlsn::FileDisk;
use rep_vlsn::disk::{Disk, DiskFile};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

/// A real directory, whose log hangs for as long as somebody holds the gate.
#[derive(Clone, Debug)]
struct Hung {
    disk: FileDisk,
    gate: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct HungFile {
    file: <FileDisk as Disk>::File,
    gate: Option<Arc<Mutex<()>>>,
}

impl Hung {
    fn file(&self, name: &str, file: <FileDisk as Disk>::File) -> HungFile {
        let gate = name.starts_with("log/").then(|| Arc::clone(&self.gate));
        HungFile { file, gate }
    }
}

impl Disk for Hung {
    type File = HungFile;

    fn create(&self, name: &str) -> io::Result<HungFile> {
        Ok(self.file(name, self.disk.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Option<HungFile>> {
        Ok(self.disk.open(name)?.map(|file| self.file(name, file)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl HungFile {
    fn hang(&self) -> Option<MutexGuard<'_, ()>> {
        self.gate.as_ref().map(|gate| gate.lock().unwrap())
    }
}

impl DiskFile for HungFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        drop(self.hang());
        self.file.write_at(offset, bytes)
    }

    fn write_vectored_at(&self, offset: u64, parts: &[Bytes]) -> io::Result<()> {
        drop(self.hang());
        self.file.write_vectored_at(offset, parts)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.hang());
        self.file.sync()
    }
}

fn config(home: &Path, close_timeout: Duration) -> RepConfig {
    let config = RepConfig::builder("bank", "n1").members(["n1=here"]).home(home);
    let config = config.transport(Hub::default().transport()).store(crate::StoreKind::Memory);
    config.tune(|timing, _| timing.close_timeout = close_timeout).build().unwrap()
}

fn open_hung(home: &Path, gate: &Arc<Mutex<()>>) -> ReplicatedEnvironment {
    open_as(home, gate, config(home, Duration::from_millis(100)))
}

fn open_as(home: &Path, gate: &Arc<Mutex<()>>, config: RepConfig) -> ReplicatedEnvironment {
    let disk = Hung { disk: FileDisk::open(home).unwrap(), gate: Arc::clone(gate) };
    let started = start_on(disk, home.into(), config, runtime::databases, None).unwrap();
    let env = ReplicatedEnvironment::of(started);
    env.wait_for_master(PATIENCE).unwrap();
    env
}

/// Looks until there is something to see.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Some(seen) => return seen,
            None => assert!(start.elapsed() < PATIENCE, "{what} did not come"),
        }
        thread::park_timeout(Duration::from_millis(2));
    }
}

fn begin_put(env: &ReplicatedEnvironment) -> Result<crate::CommitHandle, Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), b"alice", b"1")?;
    txn.commit()
}

#[test]
fn a_log_stuck_in_its_disk_is_left_and_named_and_keeps_the_directory_and_nobody_waits_for_it() {
    let (home, gate) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(())));
    let env = open_hung(home.path(), &gate);
    eventually("a write", || begin_put(&env).ok()?.wait().ok());
    let hanging = gate.lock().unwrap();
    let before = env.vlsn_range();
    let pending = begin_put(&env).unwrap();
    eventually("its place in the log", || (env.vlsn_range() != before).then_some(()));
    let named = |error: Error| match error {
        Error::CloseTimeout { threads, .. } => threads,
        other => panic!("{other}"),
    };
    assert!(named(env.close().unwrap_err()).contains(&"rep-log".to_owned()));
    // A busy machine may take longer to end the others.
    eventually("the end of the others", || {
        (named(env.close().unwrap_err()) == ["rep-log"]).then_some(())
    });
    let outcome = pending.wait_for(PATIENCE).expect("whoever waits is told");
    let Err(error @ Error::InsufficientAcks { why: crate::Unacknowledged::Ended, .. }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert!(error.to_string().contains("closed or halted"), "{error}");
    assert_eq!(begin_put(&env).unwrap_err(), Error::Closed);
    let locked = ReplicatedEnvironment::open(config(home.path(), PATIENCE)).unwrap_err();
    assert!(matches!(locked, Error::Locked { .. }), "it may write yet: {locked}");
    drop(hanging);
    eventually("the end", || env.close().ok());
    ReplicatedEnvironment::open(config(home.path(), PATIENCE)).unwrap().close().unwrap();
}

/// The last handle's drop is a close that nobody reads the answer of; it ends all the same.
#[test]
fn the_last_drop_does_not_wait_for_a_stuck_log() {
    let (home, gate) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(())));
    let env = open_hung(home.path(), &gate);
    let hanging = gate.lock().unwrap();
    drop(env);
    let locked = ReplicatedEnvironment::open(config(home.path(), PATIENCE)).unwrap_err();
    assert!(matches!(locked, Error::Locked { .. }), "{locked}");
    drop(hanging);
    let again = || ReplicatedEnvironment::open(config(home.path(), PATIENCE)).ok();
    eventually("the directory", again).close().unwrap();
}

/// A budget was called full at its last byte only, where it hardly ever comes: nobody was told why all writes waited.
#[test]
fn a_budget_that_somebody_waits_for_is_why_writes_wait() {
    const MIB: u64 = 1 << 20;
    for (overlay, unsynced, words) in [
        (MIB, 8 * MIB, "committed and not applied yet"),
        (8 * MIB, MIB, "wait for this node's disk"),
    ] {
        let (home, gate) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(())));
        let mut config = config(home.path(), PATIENCE);
        (config.limits.overlay_bytes_max, config.limits.unsynced_bytes_max) = (overlay, unsynced);
        (config.timing.busy_wait, config.timing.disk_stall) = (PATIENCE, 60 * PATIENCE);
        let env = open_as(home.path(), &gate, config);
        let problems = || {
            let client = AdminClient::connect(&*env.runtime().transport, "here", PATIENCE).unwrap();
            client.status(PATIENCE).unwrap().problems.join("; ")
        };
        eventually("nothing to say", || problems().is_empty().then_some(()));
        let hanging = gate.lock().unwrap();
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut handles = Vec::new();
                for key in [b"a", b"b"] {
                    let mut txn = env.begin()?;
                    txn.put(&env.database("accounts"), key, &vec![7; 600 << 10])?;
                    handles.push(txn.commit()?);
                }
                handles.into_iter().try_for_each(|handle| handle.wait().map(drop))
            });
            let why = eventually("a reason", || Some(problems()).filter(|it| it.contains(words)));
            assert!(why.contains("of 1048576 bytes"), "{why}");
            drop(hanging);
            assert_eq!(writer.join().unwrap(), Ok(()));
        });
        eventually("no reason", || problems().is_empty().then_some(()));
        env.close().unwrap();
    }
}
