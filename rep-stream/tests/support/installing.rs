//! A member's disk through a restore, with a power cut wherever one is wanted: the chunks, and beside them the three
//! things that an installing replaces, each a small durable record.
#![allow(dead_code, reason = "each test file uses its part")]

use crate::restoring::{Rng, State, assert_holds};
use bytes::Bytes;
use rep_stream::restore::{
    ChunkId, Chunks, InstallError, Manifest, Staging, StagingError, install,
};
use rep_vlsn::{Disk, DurableCell, LogPoint, MemDisk};
use std::collections::BTreeSet;

const RECORDS: [&str; 3] = ["past", "store", "log"];

/// What past, store and log say.
pub(crate) type Records = [Vec<u8>; 3];

pub(crate) fn old() -> Records {
    RECORDS.map(|_| b"old".to_vec())
}

/// What they say when `state` has been installed.
pub(crate) fn new(state: &State) -> Records {
    let Manifest { beginning, past, .. } = state.manifest();
    [past.to_vec(), state.chunks.concat(), beginning.to_vec()]
}

/// A disk of a member that has something.
pub(crate) fn member() -> MemDisk {
    let disk = MemDisk::new();
    RECORDS.iter().for_each(|name| store(&disk, name, b"old").unwrap());
    disk
}

pub(crate) fn records(disk: &MemDisk) -> Records {
    let read = |name: &str| DurableCell::open(disk.clone(), name).unwrap().1.unwrap().to_vec();
    RECORDS.map(read)
}

fn store(disk: &MemDisk, name: &str, value: &[u8]) -> Result<(), String> {
    let (mut cell, _) = DurableCell::open(disk.clone(), name).map_err(|e| e.to_string())?;
    cell.store(value).map_err(|e| e.to_string())
}

/// One opening of the member's directory, up to where the log would be opened.
pub(crate) fn open(
    disk: &MemDisk,
    point: LogPoint,
) -> Result<(Staging<MemDisk>, Option<LogPoint>), InstallError<String>> {
    open_with(disk, point, LogPoint::NULL)
}

/// The same of a member whose state ends at `old_point` before.
fn open_with(
    disk: &MemDisk,
    point: LogPoint,
    old_point: LogPoint,
) -> Result<(Staging<MemDisk>, Option<LogPoint>), InstallError<String>> {
    let mut staging = Staging::open(disk.clone())?;
    // The point of a store is in it, and is part of what is replaced at one stroke.
    let held = || DurableCell::open(disk.clone(), "store").ok()?.1;
    let is_new = staging.is_complete() && held().is_some_and(|held| held != b"old"[..]);
    let applied = if is_new { point } else { old_point };
    let installed = install(
        &mut staging,
        applied,
        |chunks| load(disk, chunks, point),
        |past| store(disk, "past", past),
        |entry| store(disk, "log", entry),
    )?;
    Ok((staging, installed))
}

fn load(disk: &MemDisk, chunks: &mut Chunks<'_>, point: LogPoint) -> Result<LogPoint, String> {
    let chunks: Result<Vec<Bytes>, StagingError> = chunks.collect();
    store(disk, "store", &chunks.map_err(|error| error.to_string())?.concat())?;
    Ok(point)
}

/// Keeps what is missing of a state, and says that it is complete.
pub(crate) fn fetch(staging: &mut Staging<MemDisk>, state: &State) -> Result<(), StagingError> {
    let had = staging.ids()?;
    for chunk in &state.chunks {
        let id = ChunkId::of(chunk);
        if !had.contains(&id) {
            staging.keep(id, chunk)?;
        }
    }
    staging.complete(&state.manifest(), &state.ids())
}

/// A fetch that was begun for another state, and what a restart makes of it.
fn begun(disk: &MemDisk, state: &State) -> Result<(), StagingError> {
    let mut staging = Staging::open(disk.clone())?;
    for chunk in state.chunks.iter().step_by(2) {
        staging.keep(ChunkId::of(chunk), chunk)?;
    }
    Ok(())
}

/// The power fails at each operation of a disk in turn, from the first chunk to the last step of the installing. What was
/// complete stays complete; what is neither complete nor under way is the old member or the new one.
pub(crate) fn whatever_operation_is_the_last_a_member_is_the_old_one_or_the_new_one() {
    let mut rng = Rng(77);
    let first = State::new(&mut rng, 30, 5);
    let state = first.later(&mut rng, 5);
    let (mut cut_short, mut gone_on) = (0, 0);
    for op in 1.. {
        for seed in 0..5 {
            let disk = member();
            let start = disk.ops_count();
            disk.crash_after_ops(op);
            let complete = life(&disk, &first, &state);
            let ended = !disk.crashed();
            let mut rng = Rng(seed << 32 | op);
            disk.power_cut(&mut || rng.next());
            cut_short += u32::from(!ended);
            let staging = Staging::open(disk.clone()).unwrap();
            let waits = staging.pending().unwrap().is_some();
            let now = records(&disk);
            assert!(waits || now == old() || now == new(&state), "op {op}: between");
            assert!(!complete || waits || now == new(&state), "op {op}: forgotten");
            assert!(complete || waits || now == old(), "op {op}: installed what was not complete");
            gone_on += u32::from(waits && now != old());
            finish(&disk, &mut rng, &first, &state);
            if ended && seed == 4 {
                assert!(
                    disk.ops_count() > start && cut_short > 300 && gone_on > 20,
                    "{cut_short} {gone_on}"
                );
                return;
            }
        }
    }
}

/// All of a restore, or as much as the disk lets through. Whether the copy was said to be complete.
fn life(disk: &MemDisk, first: &State, state: &State) -> bool {
    if begun(disk, first).is_err() {
        return false;
    }
    let Ok(mut staging) = Staging::open(disk.clone()) else { return false };
    if fetch(&mut staging, state).is_err() {
        return false;
    }
    drop(open(disk, state.point));
    true
}

/// Openings, with more power cuts, until the member is the new one.
fn finish(disk: &MemDisk, rng: &mut Rng, first: &State, state: &State) {
    for _ in 0..3 {
        disk.crash_after_ops(1 + rng.below(40));
        drop(open(disk, state.point));
        disk.power_cut(&mut || rng.next());
    }
    let (mut staging, installed) = open(disk, state.point).unwrap();
    if installed.is_none() && records(disk) == old() {
        let allowed: BTreeSet<_> = first.ids().into_iter().chain(state.ids()).collect();
        assert!(staging.ids().unwrap().iter().all(|id| allowed.contains(id)));
        fetch(&mut staging, state).unwrap();
        assert_holds(&mut staging, state);
        assert_eq!(open(disk, state.point).unwrap().1, Some(state.point));
    }
    assert_eq!(records(disk), new(state));
    let (mut staging, installed) = open(disk, state.point).unwrap();
    assert_eq!((installed, staging.pending().unwrap()), (None, None));
    staging.clear().unwrap();
    assert_eq!(staging.ids().unwrap(), []);
}

/// The power fails at each operation of a disk to whose system the chunks are left, also after the copy was complete: then it may have
/// lost some of them. The member is the old one or the new one, and the old one becomes the new one with what is fetched again.
pub(crate) fn a_copy_that_is_left_to_the_system_is_the_old_member_or_the_new_one() {
    let state = State::new(&mut Rng(78), 30, 5);
    let (mut given_up, mut placed, mut kept) = (0, 0, 0);
    for op in 1.. {
        let mut ended = false;
        for seed in 0..5 {
            let disk = member();
            disk.crash_after_ops(op);
            drop(fetch_left(&disk, &state).map(|()| open(&disk, state.point)));
            ended = !disk.crashed();
            let mut rng = Rng(seed << 32 | op);
            disk.power_cut(&mut || rng.next());
            match open(&disk, state.point) {
                Err(InstallError::GivenUp(StagingError::Spoilt { .. })) => {
                    assert_eq!(records(&disk), old(), "op {op}: given up too late");
                    given_up += 1;
                }
                Ok((_, installed)) => placed += u32::from(installed.is_some()),
                Err(other) => panic!("op {op}: {other}"),
            }
            let now = records(&disk);
            assert!(now == old() || now == new(&state), "op {op}: between");
            if now == old() {
                kept += Staging::open(disk.clone()).unwrap().ids().unwrap().len();
                fetch_left(&disk, &state).unwrap();
                assert_eq!(open(&disk, state.point).unwrap().1, Some(state.point), "op {op}");
            }
            assert_eq!(records(&disk), new(&state), "op {op}");
        }
        if ended {
            break;
        }
    }
    assert!(given_up > 20 && placed > 20 && kept > 100, "{given_up} {placed} {kept}");
}

/// The same where the state that is replaced ends at the copy's own point, so that its point does not tell which of the two it is.
pub(crate) fn a_copy_of_the_same_point_is_installed_or_given_up_and_never_taken_for_the_old_state()
{
    let state = State::new(&mut Rng(79), 30, 5);
    let (mut given_up, mut placed) = (0, 0);
    for op in 1.. {
        let mut ended = false;
        for seed in 0..5 {
            let disk = member();
            fetch_left(&disk, &state).unwrap();
            disk.crash_after_ops(op);
            drop(open_with(&disk, state.point, state.point));
            ended = !disk.crashed();
            let mut rng = Rng(seed << 32 | op);
            disk.power_cut(&mut || rng.next());
            let opened = open_with(&disk, state.point, state.point);
            let now = records(&disk);
            match opened {
                Err(InstallError::GivenUp(
                    StagingError::Spoilt { .. } | StagingError::Io { .. },
                )) => {
                    assert_eq!(now, old(), "op {op}: given up too late");
                    given_up += 1;
                }
                Ok((_, installed)) => {
                    assert_eq!(now, new(&state), "op {op}: the old state passes for the new one");
                    placed += u32::from(installed.is_some());
                }
                Err(other) => panic!("op {op}: {other}"),
            }
        }
        if ended {
            break;
        }
    }
    assert!(given_up > 5 && placed > 20, "{given_up} {placed}");
}

fn fetch_left(disk: &MemDisk, state: &State) -> Result<(), StagingError> {
    fetch(&mut Staging::open(disk.clone())?.left_to_system(), state)
}

/// A crash at each operation of an installing, and then a chunk rots: if the state was not replaced the copy is given up, and if it was
/// the chunk is not needed any more.
pub(crate) fn a_copy_that_rots_half_installed_is_the_old_member_or_the_new_one() {
    let state = State::new(&mut Rng(6), 30, 4);
    let name = format!("restore/{}.chunk", state.ids()[1]);
    let (mut given_up, mut gone_on) = (0, 0);
    for (op, disk) in half_installed(&state) {
        let waits = disk.contents(&name).is_some();
        disk.flip_bit(&name, 0);
        let was_old = records(&disk) == old();
        match open(&disk, state.point) {
            Err(InstallError::GivenUp(_)) => {
                assert!(was_old, "op {op}: given up too late");
                assert_eq!(records(&disk), old(), "op {op}");
                given_up += 1;
            }
            Ok((_, Some(_))) => {
                assert_eq!(records(&disk), new(&state), "op {op}");
                gone_on += u32::from(waits);
            }
            Ok((_, None)) => {}
            other => panic!("op {op}: {other:?}"),
        }
        let now = records(&disk);
        assert!(now == old() || now == new(&state), "op {op}: between");
    }
    assert!(given_up > 2 && gone_on > 5, "{given_up} {gone_on}");
}

/// The same for the list, without which nobody knows what the state is of.
pub(crate) fn a_list_that_rots_half_installed_opens_nothing() {
    let state = State::new(&mut Rng(6), 30, 4);
    let (mut given_up, mut half_done) = (0, 0);
    for (op, disk) in half_installed(&state) {
        let files = disk.list("restore").unwrap();
        let Some(list) = files.iter().find(|name| name.ends_with("list")) else { continue };
        disk.flip_bit(&format!("restore/{list}"), 0);
        match open(&disk, state.point) {
            Err(InstallError::GivenUp(_)) => {
                assert_eq!(records(&disk), old(), "op {op}");
                given_up += 1;
            }
            Err(InstallError::HalfDone(_)) => {
                assert!(open(&disk, state.point).is_err(), "op {op}: nor the next time");
                half_done += 1;
            }
            Ok((_, None)) => assert_eq!(records(&disk), new(&state), "op {op}"),
            other => panic!("op {op}: {other:?}"),
        }
    }
    assert!(given_up > 0 && half_done > 10, "{given_up} {half_done}");
}

/// A member's disk after a power cut at each operation of an installing.
fn half_installed(state: &State) -> impl Iterator<Item = (u64, MemDisk)> {
    let fetched = member();
    fetch(&mut Staging::open(fetched.clone()).unwrap(), state).unwrap();
    let point = state.point;
    (1..).map_while(move |op| {
        let disk = fetched.image();
        disk.crash_after_ops(op);
        drop(open(&disk, point));
        let is_cut = disk.crashed();
        disk.power_cut(&mut || 1);
        is_cut.then_some((op, disk))
    })
}

/// A chunk is removed while somebody syncs its file, and kept again: what is said of the first file is nothing to rely on.
pub(crate) fn a_sync_says_nothing_of_a_later_file() {
    let (disk, state) = (member(), State::new(&mut Rng(9), 30, 3));
    let mut staging = Staging::open(disk.clone()).unwrap();
    let keep = |staging: &mut Staging<MemDisk>| {
        let chunks = &state.chunks;
        chunks.iter().for_each(|chunk| staging.keep(ChunkId::of(chunk), chunk).unwrap());
    };
    keep(&mut staging);
    let synced = staging.unsynced(0).unwrap().sync();
    staging.keep_only(&[]).unwrap();
    keep(&mut staging);
    staging.handle_synced(synced);
    staging.complete(&state.manifest(), &state.ids()).unwrap();
    disk.power_cut(&mut || 0);
    assert_holds(&mut Staging::open(disk).unwrap(), &state);
}

/// Complete is a word that a power cut does not change.
pub(crate) fn a_complete_copy_outlives_any_power_cut() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let (disk, state) = (member(), State::new(&mut rng, 30, 12));
        fetch(&mut Staging::open(disk.clone()).unwrap(), &state).unwrap();
        disk.power_cut(&mut || rng.next());
        assert_holds(&mut Staging::open(disk.clone()).unwrap(), &state);
        assert_eq!(open(&disk, state.point).unwrap().1, Some(state.point));
        assert_eq!(records(&disk), new(&state));
    }
}

/// A bit flips in a chunk that an earlier run left: it is not had any more, and its file is gone.
pub(crate) fn a_spoilt_chunk_is_not_there() {
    let (disk, state) = (member(), State::new(&mut Rng(5), 30, 3));
    let mut staging = Staging::open(disk.clone()).unwrap();
    for chunk in &state.chunks {
        staging.keep(ChunkId::of(chunk), chunk).unwrap();
    }
    disk.power_cut(&mut || 1);
    let image = disk.image();
    for chunk in &state.chunks {
        let name = format!("restore/{}.chunk", ChunkId::of(chunk));
        for offset in 0..chunk.len() as u64 {
            let disk = image.image();
            assert!(disk.flip_bit(&name, offset));
            let mut staging = Staging::open(disk.clone()).unwrap();
            assert_eq!(staging.ids().unwrap().len(), 3);
            assert_eq!(disk.contents(&name), None);
            fetch(&mut staging, &state).unwrap();
            assert_holds(&mut staging, &state);
        }
    }
}
