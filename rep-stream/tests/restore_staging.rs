//! Chunks on a disk that loses power, rots, fills up and fails: what is complete is whole, and an installing ends at the
//! old member or at the new one.

#[path = "support/installing.rs"]
mod installing;
#[path = "support/restoring.rs"]
mod restoring;

use bytes::Bytes;
use installing::{fetch, member, new, old, open, records};
use rep_stream::restore::{
    ChunkId, Chunks, InstallError, Manifest, Pending, Present, Staging, StagingError, install,
    install_over,
};
use rep_vlsn::{Disk, DiskFile, LogPoint, MemDisk, SyncFailure};
use restoring::{GROUP, Rng, State, assert_holds, point};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn state(seed: u64) -> State {
    State::new(&mut Rng(seed), 30, 6)
}

/// A member on whose disk a copy of `state` is complete.
fn complete(state: &State) -> MemDisk {
    let disk = member();
    fetch(&mut Staging::open(disk.clone()).unwrap(), state).unwrap();
    disk
}

/// What a state machine does at least.
fn read_all(state: &State) -> impl FnOnce(&mut Chunks<'_>) -> Result<LogPoint, String> {
    let point = state.point;
    move |chunks| {
        for chunk in chunks {
            chunk.map_err(|error| error.to_string())?;
        }
        Ok(point)
    }
}

fn reopen(disk: &MemDisk) -> Staging<MemDisk> {
    Staging::open(disk.clone()).unwrap()
}

#[test]
fn whatever_operation_is_the_last_a_member_is_the_old_one_or_the_new_one() {
    installing::whatever_operation_is_the_last_a_member_is_the_old_one_or_the_new_one();
}

#[test]
fn a_copy_that_is_left_to_the_system_is_the_old_member_or_the_new_one() {
    installing::a_copy_that_is_left_to_the_system_is_the_old_member_or_the_new_one();
}

#[test]
fn a_copy_of_the_same_point_is_installed_or_given_up_and_never_taken_for_the_old_state() {
    installing::a_copy_of_the_same_point_is_installed_or_given_up_and_never_taken_for_the_old_state(
    );
}

#[test]
fn a_complete_copy_outlives_any_power_cut() {
    installing::a_complete_copy_outlives_any_power_cut();
}

#[test]
fn a_copy_that_rots_half_installed_is_the_old_member_or_the_new_one() {
    installing::a_copy_that_rots_half_installed_is_the_old_member_or_the_new_one();
}

#[test]
fn a_list_that_rots_half_installed_opens_nothing() {
    installing::a_list_that_rots_half_installed_opens_nothing();
}

#[test]
fn a_sync_says_nothing_of_a_later_file() {
    installing::a_sync_says_nothing_of_a_later_file();
}

#[test]
fn a_spoilt_chunk_is_not_there() {
    installing::a_spoilt_chunk_is_not_there();
}

#[test]
fn without_a_copy_nothing_is_installed_and_nothing_written() {
    let disk = member();
    let before = disk.ops_count();
    let (mut staging, installed) = open(&disk, point(1, 30)).unwrap();
    assert_eq!((installed, staging.ids().unwrap()), (None, Vec::new()));
    staging.clear().unwrap();
    assert_eq!(disk.ops_count(), before);
    assert_eq!(records(&disk), old());
}

/// Rot in a complete copy is found before anything is touched; then the copy is given up but for what is good of it.
#[test]
fn a_complete_copy_that_rots_is_given_up_and_mended() {
    let state = state(1);
    let disk = complete(&state);
    let files = disk.list("restore").unwrap();
    assert_eq!(files.len(), state.chunks.len() + 2, "chunks, a list and a cell: {files:?}");
    for file in files.iter().filter(|file| *file != "cell") {
        let (disk, name) = (disk.image(), format!("restore/{file}"));
        let length = disk.contents(&name).unwrap().len() as u64;
        for offset in [0, length / 2, length - 1] {
            let disk = disk.image();
            disk.flip_bit(&name, offset);
            let outcome = open(&disk, state.point);
            let Err(InstallError::GivenUp(StagingError::Spoilt { file })) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(file, name);
            assert_eq!(records(&disk), old());
            assert_eq!(open(&disk, state.point).unwrap().1, None, "the old member, as it was");
            let mut staging = reopen(&disk);
            let spoilt = usize::from(name.ends_with("chunk"));
            assert_eq!(staging.ids().unwrap().len(), state.chunks.len() - spoilt);
            fetch(&mut staging, &state).unwrap();
            assert_eq!(open(&disk, state.point).unwrap().1, Some(state.point));
            assert_eq!(records(&disk), new(&state));
        }
    }
}

/// What a run has kept itself it does not read again, but for a copy that was given up.
#[test]
fn after_a_copy_was_given_up_nothing_of_it_is_trusted() {
    let (disk, state) = (member(), state(13));
    let mut staging = reopen(&disk);
    fetch(&mut staging, &state).unwrap();
    let spoilt = state.ids()[3];
    disk.flip_bit(&format!("restore/{spoilt}.chunk"), 0);
    let outcome = install(&mut staging, LogPoint::NULL, read_all(&state), |_| Ok(()), |_| Ok(()));
    assert!(matches!(outcome, Err(InstallError::GivenUp(_))), "{outcome:?}");
    assert!(!staging.ids().unwrap().contains(&spoilt));
    fetch(&mut staging, &state).unwrap();
    assert_holds(&mut staging, &state);
}

/// Half a file would only take the space that is lacking.
#[test]
fn a_chunk_that_could_not_be_written_leaves_no_file() {
    let (disk, state) = (member(), state(14));
    let mut staging = reopen(&disk);
    staging.keep(state.ids()[0], &state.chunks[0]).unwrap();
    disk.fail_next_write();
    assert!(staging.keep(state.ids()[1], &state.chunks[1]).is_err());
    assert_eq!(disk.list("restore").unwrap().len(), 2, "a chunk and the cell");
    staging.keep(state.ids()[1], &state.chunks[1]).unwrap();
    assert_eq!(staging.ids().unwrap().len(), 2);
}

#[test]
fn a_file_of_a_complete_copy_that_is_gone_or_cut_or_grown_is_spoilt() {
    let state = state(2);
    let disk = complete(&state);
    let files = disk.list("restore").unwrap();
    for file in files.iter().filter(|file| *file != "cell") {
        for change in 0..3 {
            let (disk, name) = (disk.image(), format!("restore/{file}"));
            let opened = disk.open(&name).unwrap().unwrap();
            let length = opened.len().unwrap();
            match change {
                0 => disk.remove(&name).unwrap(),
                1 => opened.set_len(length - 1).unwrap(),
                _ => opened.set_len(length + 1).unwrap(),
            }
            let outcome = open(&disk, state.point);
            assert!(matches!(outcome, Err(InstallError::GivenUp(_))), "{name}: {outcome:?}");
        }
    }
}

/// One slot of the cell may rot; of two nobody knows what they said, and an installing may have been under way.
#[test]
fn a_cell_that_nobody_can_read_keeps_the_member_closed() {
    let disk = complete(&state(3));
    disk.flip_bit("restore/cell", 30);
    assert!(reopen(&disk).pending().unwrap().is_some());
    for slot in [30, (68 << 10) + 30] {
        disk.flip_bit("restore/cell", slot);
    }
    let outcome = open(&disk, point(1, 30));
    assert!(matches!(outcome, Err(InstallError::Staging(StagingError::Cell(_)))), "{outcome:?}");
}

/// The state machine sees an error, and may say what it likes.
#[test]
fn a_chunk_that_rots_while_it_is_installed_gives_the_copy_up() {
    let state = state(4);
    let disk = complete(&state);
    let mut staging = reopen(&disk);
    let name = format!("restore/{}.chunk", state.ids()[2]);
    let outcome = install(
        &mut staging,
        LogPoint::NULL,
        |chunks| {
            disk.flip_bit(&name, 0);
            let read: Result<Vec<Bytes>, StagingError> = chunks.collect();
            read.map(|_| state.point).map_err(|_| "that is none of my chunks")
        },
        |_| panic!("what is beside the log stays"),
        |_| panic!("the log stays"),
    );
    assert!(matches!(outcome, Err(InstallError::GivenUp(_))), "{outcome:?}");
    assert_eq!(staging.pending().unwrap(), None);
    assert!(!staging.ids().unwrap().contains(&state.ids()[2]));
}

/// Each step may fail, for good or once, and the next opening goes on.
#[test]
fn an_installing_that_fails_at_a_step_is_done_again_from_the_first() {
    let state = state(5);
    for failing in 0..4 {
        let mut staging = reopen(&complete(&state));
        let mut steps = Vec::new();
        for attempt in 0..2 {
            let fails = |step| if step == failing && attempt == 0 { Err("no") } else { Ok(()) };
            let seen = std::cell::RefCell::new(Vec::new());
            let outcome = install(
                &mut staging,
                LogPoint::NULL,
                |chunks| {
                    seen.borrow_mut().push("state");
                    let chunks: Vec<Bytes> = chunks.map(Result::unwrap).collect();
                    assert_eq!(chunks, state.chunks);
                    fails(0)?;
                    Ok(if fails(3).is_ok() { state.point } else { point(1, 31) })
                },
                |past| {
                    assert_eq!(past, state.manifest().past);
                    seen.borrow_mut().push("past");
                    fails(1)
                },
                |entry| {
                    assert_eq!(entry, state.manifest().beginning);
                    seen.borrow_mut().push("log");
                    fails(2)
                },
            );
            match (failing, attempt, &outcome) {
                (0, 0, Err(InstallError::State("no")))
                | (1, 0, Err(InstallError::Past("no")))
                | (2, 0, Err(InstallError::Log("no")))
                | (3, 0, Err(InstallError::OtherPoint { .. })) => {}
                (_, 1, Ok(Some(installed))) => assert_eq!(*installed, state.point),
                _ => panic!("{failing} {attempt}: {outcome:?}"),
            }
            steps.extend(seen.into_inner());
        }
        let all = ["state", "past", "log"];
        let first = if failing == 3 { 1 } else { failing + 1 };
        assert_eq!(steps, [&all[..first], &all].concat());
        assert_eq!(staging.pending().unwrap(), None);
    }
}

#[test]
fn a_full_disk_loses_nothing_and_the_restore_goes_on_when_there_is_space() {
    let state = state(6);
    let disk = member();
    disk.fill(true);
    let mut staging = reopen(&disk);
    let outcome = fetch(&mut staging, &state);
    assert!(matches!(outcome, Err(StagingError::Full { .. })), "{outcome:?}");
    disk.fill(false);
    let kept = &state.chunks[..4];
    kept.iter().for_each(|chunk| staging.keep(ChunkId::of(chunk), chunk).unwrap());
    disk.fill(true);
    let outcome = fetch(&mut staging, &state);
    assert!(matches!(outcome, Err(StagingError::Full { .. })), "{outcome:?}");
    assert_eq!(staging.ids().unwrap().len(), 4);
    disk.fill(false);
    for chunk in &state.chunks {
        staging.keep(ChunkId::of(chunk), chunk).unwrap();
    }
    disk.fill(true);
    let outcome = staging.complete(&state.manifest(), &state.ids());
    assert!(matches!(outcome, Err(StagingError::Full { .. })), "{outcome:?}");
    assert_eq!(staging.pending().unwrap(), None);
    disk.fill(false);
    staging.complete(&state.manifest(), &state.ids()).unwrap();
    assert_holds(&mut staging, &state);
    // What it takes to be done with it is there already.
    disk.fill(true);
    let outcome = install(&mut staging, LogPoint::NULL, read_all(&state), |_| Ok(()), |_| Ok(()));
    assert_eq!(outcome.unwrap(), Some(state.point));
    assert_eq!(disk.list("restore").unwrap(), ["cell"]);
}

/// A sync that failed says nothing about what is durable, and neither does a later one.
#[test]
fn a_chunk_whose_sync_failed_is_fetched_again() {
    for how in [SyncFailure::ReadsNew, SyncFailure::ReadsOld, SyncFailure::NoSpace] {
        let (disk, state) = (member(), state(7));
        let mut staging = reopen(&disk);
        staging.keep(state.ids()[0], &state.chunks[0]).unwrap();
        for chunk in &state.chunks {
            staging.keep(ChunkId::of(chunk), chunk).unwrap();
        }
        disk.fail_next_sync_as(how);
        let outcome = staging.complete(&state.manifest(), &state.ids());
        assert!(outcome.is_err() && staging.pending().unwrap().is_none(), "{outcome:?}");
        assert_eq!(staging.ids().unwrap().len(), state.chunks.len() - 1);
        fetch(&mut staging, &state).unwrap();
        disk.power_cut(&mut || 0);
        assert_holds(&mut reopen(&disk), &state);
    }
}

/// As far as a disk can tell, for a chunk in a group as for one alone.
#[test]
fn a_group_is_synced_by_somebody_else_while_chunks_are_kept() {
    let (disk, state) = (member(), state(15));
    let mut staging = reopen(&disk);
    assert!(staging.unsynced(0).is_none());
    let (first, last) = state.chunks.split_at(state.chunks.len() / 2);
    first.iter().for_each(|chunk| staging.keep(ChunkId::of(chunk), chunk).unwrap());
    let bytes = first.iter().map(Bytes::len).sum::<usize>() as u64;
    assert!(staging.unsynced(bytes + 1).is_none());
    let group = staging.unsynced(bytes).unwrap();
    last.iter().for_each(|chunk| staging.keep(ChunkId::of(chunk), chunk).unwrap());
    let early = staging.complete(&state.manifest(), &state.ids());
    assert!(matches!(early, Err(StagingError::BeingSynced)), "{early:?}");
    disk.fail_next_sync();
    staging.handle_synced(group.sync());
    assert_eq!(staging.ids().unwrap().len(), state.chunks.len() - 1, "one failed");
    let missing = staging.complete(&state.manifest(), &state.ids());
    assert!(matches!(missing, Err(StagingError::Missing { .. })), "{missing:?}");
    let lost = first.iter().find(|chunk| !staging.ids().unwrap().contains(&ChunkId::of(chunk)));
    staging.keep(ChunkId::of(lost.unwrap()), lost.unwrap()).unwrap();
    staging.complete(&state.manifest(), &state.ids()).unwrap();
    disk.power_cut(&mut || 0);
    assert_holds(&mut reopen(&disk), &state);
}

#[test]
fn a_failure_anywhere_else_leaves_a_copy_that_is_complete_or_is_not() {
    let state = state(8);
    let failures: [fn(&MemDisk); 3] =
        [MemDisk::fail_next_write, MemDisk::fail_next_sync_dir, MemDisk::fail_next_sync];
    for (number, failure) in failures.into_iter().enumerate() {
        let disk = member();
        let mut staging = reopen(&disk);
        for chunk in &state.chunks {
            staging.keep(ChunkId::of(chunk), chunk).unwrap();
        }
        failure(&disk);
        let outcome = staging.complete(&state.manifest(), &state.ids());
        assert!(outcome.is_err(), "failure {number}");
        assert_eq!(staging.pending().unwrap(), None);
        disk.cure();
        fetch(&mut staging, &state).unwrap();
        assert_holds(&mut staging, &state);
    }
    // The list of a copy without chunks is the first thing that is synced.
    let (disk, empty) = (member(), State { point: point(1, 9), chunks: Vec::new() });
    let mut staging = reopen(&disk);
    staging.keep(state.ids()[0], &state.chunks[0]).unwrap();
    disk.fail_next_sync();
    assert!(staging.complete(&empty.manifest(), &[]).is_err());
    staging.complete(&empty.manifest(), &[]).unwrap();
    assert_holds(&mut staging, &empty);
    assert_eq!(open(&disk, empty.point).unwrap().1, Some(empty.point));
}

/// The cell's own store fails: it is opened again, and what it says then counts.
#[test]
fn a_cell_that_could_not_be_stored_to_is_asked_again() {
    let state = state(9);
    let disk = complete(&state);
    let mut staging = reopen(&disk);
    disk.fail_next_write();
    assert!(staging.reject().is_err());
    assert!(staging.pending().unwrap().is_some(), "the write that failed changed nothing");
    disk.fail_next_sync();
    assert!(staging.reject().is_err());
    staging.reject().unwrap();
    assert_eq!(staging.pending().unwrap(), None);
    fetch(&mut staging, &state).unwrap();
    assert_holds(&mut staging, &state);
}

#[test]
fn thousands_of_chunks_are_kept_and_read_in_their_order() {
    let chunks: Vec<Bytes> =
        (0..5_000_u32).rev().map(|n| n.to_be_bytes().to_vec().into()).collect();
    let state = State { point: point(1, 30), chunks };
    let disk = member();
    fetch(&mut reopen(&disk), &state).unwrap();
    disk.power_cut(&mut || 0);
    assert_holds(&mut reopen(&disk), &state);
}

/// The same chunk twice in one state is one file, and is read twice.
#[test]
fn a_chunk_may_come_twice() {
    let chunks = [&b"same"[..], b"other", b"", b"same"].map(Bytes::from_static).to_vec();
    let state = State { point: point(1, 30), chunks };
    let disk = complete(&state);
    assert_holds(&mut reopen(&disk), &state);
    assert_eq!(open(&disk, state.point).unwrap().1, Some(state.point));
    assert_eq!(records(&disk), new(&state));
}

#[test]
fn a_complete_copy_takes_no_more_and_a_copy_needs_all_of_its_chunks() {
    let state = state(10);
    let mut staging = reopen(&complete(&state));
    let chunk = ChunkId::of(b"more");
    assert!(matches!(staging.keep(chunk, b"more"), Err(StagingError::AlreadyComplete)));
    let again = staging.complete(&state.manifest(), &[]);
    assert!(matches!(again, Err(StagingError::AlreadyComplete)));
    staging.reject().unwrap();
    let missing = staging.complete(&state.manifest(), &[chunk]);
    assert!(matches!(missing, Err(StagingError::Missing { id }) if id == chunk), "{missing:?}");
}

/// Of the home, and of the folder itself, only what is ours is touched.
#[test]
fn what_belongs_to_others_stays() {
    let (disk, state) = (member(), state(11));
    disk.create("identity").unwrap().write_at(0, b"me").unwrap();
    let mut staging = reopen(&disk);
    staging.keep(state.ids()[0], &state.chunks[0]).unwrap();
    let id = state.ids()[1].to_string();
    let strange = [id.to_uppercase() + ".chunk", id[1..].to_owned() + ".chunk", id, "x".into()];
    for name in &strange {
        disk.create(&format!("restore/{name}")).unwrap().write_at(0, b"strange").unwrap();
    }
    fetch(&mut staging, &state).unwrap();
    assert_eq!(open(&disk, state.point).unwrap().1, Some(state.point));
    assert_eq!(disk.contents("identity").unwrap(), b"me");
    for name in &strange {
        assert_eq!(disk.contents(&format!("restore/{name}")).unwrap(), b"strange");
    }
    assert_eq!(disk.list("restore").unwrap().len(), strange.len() + 1);
}

/// A disk that gives nothing for a moment has not said that a copy is spoilt, and least of all that a directory is lost.
#[test]
fn an_error_that_passes_spoils_nothing() {
    let state = state(3);
    let disk = complete(&state);
    let stopped = install(
        &mut reopen(&disk),
        LogPoint::NULL,
        |_| Err("the power goes before the store is replaced".to_owned()),
        |_| Ok(()),
        |_| Ok(()),
    );
    assert!(matches!(stopped, Err(InstallError::State(_))), "{stopped:?}");
    assert!(reopen(&disk).is_installing());
    let mut staging = reopen(&disk);
    disk.fail_next_read();
    let failed = install(&mut staging, LogPoint::NULL, read_all(&state), |_| Ok(()), |_| Ok(()));
    assert!(matches!(failed, Err(InstallError::Staging(StagingError::Io { .. }))), "{failed:?}");
    open(&disk, state.point).unwrap();
    assert_eq!(records(&disk), new(&state));
}

/// Nothing of the member was replaced yet, so nothing is lost by fetching another copy; to stay closed for as long as a sector is bad would lose a member.
#[test]
fn a_chunk_that_a_later_opening_cannot_read_gives_the_copy_up() {
    let state = state(3);
    let disk = complete(&state);
    let stopped = |_: &mut Chunks<'_>| Err("the power goes before the store is replaced");
    let first = install(&mut reopen(&disk), LogPoint::NULL, stopped, |_| Ok(()), |_| Ok(()));
    assert!(matches!(first, Err(InstallError::State(_))), "{first:?}");
    let mut staging = reopen(&disk);
    assert!(staging.is_installing());
    let outcome = install(
        &mut staging,
        LogPoint::NULL,
        |chunks| {
            disk.fail_next_read();
            let read: Result<Vec<Bytes>, StagingError> = chunks.collect();
            read.map(|_| state.point).map_err(|_| "no chunk")
        },
        |_| panic!("what is beside the log stays"),
        |_| panic!("the log stays"),
    );
    assert!(matches!(outcome, Err(InstallError::GivenUp(_))), "{outcome:?}");
    assert_eq!(reopen(&disk).pending().unwrap(), None);
}

#[test]
fn a_chunk_that_cannot_be_read_now_is_not_removed() {
    let (disk, state) = (member(), state(4));
    let mut staging = reopen(&disk);
    for chunk in &state.chunks {
        staging.keep(ChunkId::of(chunk), chunk).unwrap();
    }
    let all = staging.ids().unwrap();
    let mut again = reopen(&disk);
    disk.fail_next_read();
    assert_eq!(again.ids().unwrap().len(), all.len() - 1);
    assert_eq!(reopen(&disk).ids().unwrap(), all);
}

#[test]
fn what_earlier_attempts_have_left_makes_room_for_what_is_needed() {
    let (disk, state) = (member(), state(5));
    let mut staging = reopen(&disk);
    for chunk in &state.chunks {
        staging.keep(ChunkId::of(chunk), chunk).unwrap();
    }
    let needed: Vec<ChunkId> = staging.ids().unwrap().into_iter().step_by(2).collect();
    staging.keep_only(&needed).unwrap();
    assert_eq!(staging.ids().unwrap(), needed);
    assert_eq!(reopen(&disk).ids().unwrap(), needed);
}

#[test]
fn a_copy_is_forgotten_on_request() {
    let disk = complete(&state(12));
    let mut staging = reopen(&disk);
    staging.clear().unwrap();
    assert_eq!((staging.pending().unwrap(), staging.ids().unwrap()), (None, Vec::new()));
    assert_eq!(disk.list("restore").unwrap(), ["cell"]);
    disk.power_cut(&mut || 0);
    assert_eq!(reopen(&disk).pending().unwrap(), None, "that it is forgotten is durable");
}

/// The bytes of `restore/`, pinned.
#[test]
fn the_files_are_as_they_were() {
    let disk = member();
    let mut staging = reopen(&disk);
    let order = [&b"abc"[..], b""].map(ChunkId::of);
    staging.keep(order[0], b"abc").unwrap();
    staging.keep(order[1], b"").unwrap();
    let (entry, past) = (Bytes::from_static(b"entry"), Bytes::from_static(b"past"));
    let manifest = Manifest::new(GROUP, point(2, 300), entry, past);
    staging.complete(&manifest, &order).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (one, other) = ("ba7816bf8f01cfea414140de5dae2223", "e3b0c44298fc1c149afbf4c8996fb924");
    let digest = "62d8e528f06f36a0cff461faf69e729e";
    let names = [
        one.to_owned() + ".chunk",
        "cell".into(),
        digest.to_owned() + ".list",
        other.to_owned() + ".chunk",
    ];
    let found = disk.list("restore").unwrap();
    assert!(names.iter().all(|name| found.contains(name)) && found.len() == 4, "{found:?}");
    let list = [
        "7265706c69737431 1f000000 00000000 0200000000000000", // magic, length, reserved, chunks
        "01 07070707070707070707070707070707 02 ac02", // the manifest: version, group, point
        "05 656e747279 04 70617374",                   // entry and past
        one,
        other,
    ];
    let list = list.concat().replace(' ', "");
    assert_eq!(hex(&disk.contents(&format!("restore/{digest}.list")).unwrap()), list);
    let cell = disk.contents("restore/cell").unwrap();
    // Behind the slot's own header: version, complete, reserved, length of the list, its digest.
    assert_eq!(hex(&cell[24..56]), ["0101000000000000", "5700000000000000", digest].concat());
    let Pending { manifest: read, order: names, .. } = reopen(&disk).pending().unwrap().unwrap();
    assert_eq!((read, names), (manifest, order.to_vec()));
}

/// A disk that knows what is free.
#[derive(Clone, Debug)]
struct Measured {
    disk: MemDisk,
    free_bytes: Arc<AtomicU64>,
}

impl Disk for Measured {
    type File = <MemDisk as Disk>::File;

    fn create(&self, name: &str) -> std::io::Result<Self::File> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> std::io::Result<Option<Self::File>> {
        self.disk.open(name)
    }

    fn list(&self, dir: &str) -> std::io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> std::io::Result<()> {
        self.disk.remove(name)
    }

    fn create_dir(&self, dir: &str) -> std::io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> std::io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn free_bytes(&self) -> std::io::Result<Option<u64>> {
        Ok(Some(self.free_bytes.load(Ordering::Relaxed)))
    }
}

/// A state that is written to a disk without room for it fails half-way, at every opening anew: it is not begun.
#[test]
fn a_copy_without_room_for_its_state_is_given_up_until_there_is_some() {
    const RESERVE: u64 = 1_000;
    let state = state(14);
    let bytes: u64 = state.chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let disk = Measured { disk: member(), free_bytes: Arc::new(AtomicU64::new(1 << 20)) };
    let all = state.chunks.len();
    let fetched = || {
        let mut staging = Staging::open(disk.clone()).unwrap().with_reserve_bytes(RESERVE);
        let had = staging.ids().unwrap();
        for (id, chunk) in state.ids().into_iter().zip(&state.chunks) {
            staging.keep(id, chunk).unwrap();
        }
        staging.complete(&state.manifest(), &state.ids()).unwrap();
        (staging, had.len())
    };
    let place = |staging: &mut Staging<Measured>, loaded, free_bytes| {
        disk.free_bytes.store(free_bytes, Ordering::Relaxed);
        let present = Present { applied: LogPoint::NULL, loaded, takes_space: true };
        let mut read = None;
        let state = |chunks: &mut Chunks<'_>| {
            read = Some(chunks.count());
            Ok::<_, String>(state.point)
        };
        let placed = install_over(staging, present, state, |_| Ok(()), |_| Ok(()));
        (placed, read)
    };
    let (mut staging, _) = fetched();
    match place(&mut staging, 0, RESERVE + bytes) {
        (Err(InstallError::GivenUp(error @ StagingError::NoRoom { .. })), None) => {
            assert!(error.is_lack_of_space());
            let needed =
                format!("takes {} bytes of the disk, and {bytes} are free", bytes + bytes / 2);
            assert!(error.to_string().contains(&needed), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let mut staging = Staging::open(disk.clone()).unwrap().with_reserve_bytes(RESERVE);
    assert_eq!(place(&mut staging, 0, 0).0.unwrap(), None, "the old member opens");
    // What was loaded already takes no more of it.
    disk.free_bytes.store(RESERVE, Ordering::Relaxed);
    let (mut staging, had) = fetched();
    assert_eq!(had, all, "nothing has to come again");
    let (placed, read) = place(&mut staging, all, RESERVE);
    assert_eq!((placed.unwrap(), read), (Some(state.point), Some(0)));
    disk.free_bytes.store(1 << 20, Ordering::Relaxed);
    let (mut staging, _) = fetched();
    let (placed, read) = place(&mut staging, 0, RESERVE + 2 * bytes);
    assert_eq!((placed.unwrap(), read), (Some(state.point), Some(all)));
}
