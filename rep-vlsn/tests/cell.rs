//! A cell is old or new after a crash, and never silently empty.

mod common;

use common::Rng;
use rep_vlsn::{CELL_BYTES_MAX, CellError, Disk, DurableCell, MemDisk};

fn load(disk: &MemDisk) -> Result<Option<Vec<u8>>, CellError> {
    DurableCell::open(disk.clone(), "promise").map(|(_, value)| value.map(|bytes| bytes.to_vec()))
}

#[test]
fn a_cell_holds_what_was_stored_last_and_nothing_before() {
    let disk = MemDisk::new();
    assert_eq!(load(&disk).unwrap(), None);
    for value in [&b"one"[..], b"", b"three", &[5; CELL_BYTES_MAX]] {
        let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
        cell.store(value).unwrap();
        disk.power_cut(&mut || 0);
        assert_eq!(load(&disk).unwrap().as_deref(), Some(value));
    }
}

#[test]
fn a_value_beyond_the_bound_is_refused_and_changes_nothing() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    cell.store(b"kept").unwrap();
    assert!(matches!(cell.store(&[0; CELL_BYTES_MAX + 1]), Err(CellError::TooLong { .. })));
    cell.store(b"still works").unwrap();
    assert_eq!(load(&disk).unwrap().as_deref(), Some(&b"still works"[..]));
}

/// Stores value after value, dying at every operation, with many outcomes of each death.
#[test]
fn wherever_a_store_is_interrupted_the_cell_holds_the_last_value_stored_or_the_one_in_flight() {
    for op in 1..40 {
        for seed in 0..40 {
            let disk = MemDisk::new();
            let mut rng = Rng(seed << 8 | op);
            disk.crash_after_ops(op);
            let mut stored = None;
            let mut in_flight = 0;
            if let Ok((mut cell, _)) = DurableCell::open(disk.clone(), "promise") {
                in_flight = 1;
                while in_flight < 9 && cell.store(&[in_flight; 700]).is_ok() {
                    stored = Some(in_flight);
                    in_flight += 1;
                }
            }
            if rng.below(4) == 0 {
                disk.kill()
            } else {
                disk.power_cut(&mut || rng.next())
            }
            if rng.below(2) == 0 {
                // The opening itself is interrupted.
                disk.crash_after_ops(1 + rng.below(5));
                let _ = load(&disk);
                disk.power_cut(&mut || rng.next());
            }
            let found = load(&disk).unwrap().map(|value| value[0]);
            assert!(found == stored || found == Some(in_flight), "{found:?} of {stored:?}");
            disk.power_cut(&mut || rng.next());
            assert_eq!(
                load(&disk).unwrap().map(|value| value[0]),
                found,
                "what was told once stays"
            );
        }
    }
}

/// The reason for writing both slots before a store returns.
#[test]
fn one_rotten_bit_never_forgets_the_newest_value() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    for value in [b"first promise", b"newer promise"] {
        cell.store(value).unwrap();
    }
    let length = disk.contents("promise").unwrap().len() as u64;
    let both = [0, 68 << 10];
    for offset in both.into_iter().flat_map(|slot| slot..slot + 24 + 13).filter(|at| *at < length) {
        let image = disk.image();
        assert!(image.flip_bit("promise", offset));
        assert_eq!(load(&image).unwrap().as_deref(), Some(&b"newer promise"[..]));
        // And the slot has been mended: the other one may go now.
        let other = if offset < 68 << 10 { (68 << 10) + 3 } else { 3 };
        image.flip_bit("promise", other);
        assert_eq!(load(&image).unwrap().as_deref(), Some(&b"newer promise"[..]));
    }
}

#[test]
fn a_cell_damaged_in_both_slots_is_damaged_and_not_fresh() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    cell.store(b"a promise").unwrap();
    let image = disk.image();
    image.flip_bit("promise", 25);
    image.flip_bit("promise", (68 << 10) + 25);
    assert!(matches!(load(&image), Err(CellError::Damaged { .. })));
    let image = disk.image();
    use rep_vlsn::DiskFile;
    image.open("promise").unwrap().unwrap().set_len(0).unwrap();
    assert!(matches!(load(&image), Err(CellError::Damaged { .. })), "an empty file is none");
}

#[test]
fn a_cell_under_another_cells_name_is_damaged() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "cut").unwrap();
    cell.store(b"a cut").unwrap();
    disk.rename("cut", "promise").unwrap();
    assert!(matches!(load(&disk), Err(CellError::Damaged { .. })));
}

#[test]
fn a_failed_sync_poisons_the_cell() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    cell.store(b"one").unwrap();
    disk.fail_next_sync();
    assert!(matches!(cell.store(b"two"), Err(CellError::Io { .. })));
    assert!(matches!(cell.store(b"three"), Err(CellError::Poisoned { .. })));
    disk.power_cut(&mut || 0);
    assert_eq!(load(&disk).unwrap().as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_cell_that_was_stored_to_once_takes_the_longest_value_on_a_full_disk() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    cell.store(b"").unwrap();
    disk.fill(true);
    let longest = vec![7; CELL_BYTES_MAX];
    cell.store(&longest).unwrap();
    disk.power_cut(&mut || 0);
    assert_eq!(load(&disk).unwrap().as_deref(), Some(&longest[..]));
}

/// A sync fails at the first of two slots, and the process is restarted: the slot reads as new, and the disk does not have
/// it. The value that the opening tells must survive a crash in the middle of the next store.
#[test]
fn a_value_told_after_a_failed_sync_survives_a_torn_store() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    cell.store(b"one").unwrap();
    disk.fail_next_sync();
    assert!(cell.store(b"two").is_err());
    disk.kill();
    let (mut cell, told) = DurableCell::open(disk.clone(), "promise").unwrap();
    assert_eq!(told.as_deref(), Some(&b"two"[..]));
    // The power fails at the sync of the next store's first slot, of which half reaches the disk.
    disk.crash_after_ops(2);
    assert!(cell.store(&[3; 600]).is_err());
    let mut draws = [4, 1 << 7, 1, 1 << 11].into_iter();
    disk.power_cut(&mut || draws.next().unwrap_or(1 << 11));
    let (_, told) = DurableCell::open(disk, "promise").unwrap();
    assert_ne!(told.as_deref(), Some(&b"one"[..]), "what was told is forgotten");
}
