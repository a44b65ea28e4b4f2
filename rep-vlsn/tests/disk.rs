//! Both disks keep the contract; the one in memory also loses power as real ones do.

mod common;

use common::Rng;
use rep_vlsn::{Disk, DiskFile, MemDisk, SyncFailure};
use std::collections::BTreeSet;

#[test]
fn the_disk_in_memory_keeps_the_contract() {
    rep_vlsn::contract::disk(MemDisk::new);
}

#[cfg(feature = "file")]
mod file {
    use rep_vlsn::{FileDisk, LogConfig, Vlsn, open};
    use std::io::ErrorKind;

    #[test]
    fn a_directory_keeps_the_contract() {
        let home = tempfile::tempdir().unwrap();
        let mut count = 0;
        rep_vlsn::contract::disk(|| {
            count += 1;
            FileDisk::open(home.path().join(count.to_string())).unwrap()
        });
    }

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(home.path()).unwrap();
        let error = FileDisk::open(home.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let handle = disk.clone();
        drop(disk);
        assert!(FileDisk::open(home.path()).is_err(), "a handle lives");
        drop(handle);
        FileDisk::open(home.path()).unwrap();
    }

    #[test]
    fn a_log_on_files_reads_back() {
        let home = tempfile::tempdir().unwrap();
        let (mut maker, mut rng) = (super::common::Maker::new(), super::Rng(1));
        let records: Vec<_> = (0..3000).map(|_| maker.next(&mut rng)).collect();
        let config = || LogConfig::default().with_segment_bytes(100_000).with_tail_bytes(1000);
        let mut opened = open(FileDisk::open(home.path()).unwrap(), config()).unwrap();
        opened.writer.set_group(super::common::GROUP).unwrap();
        for group in records.chunks(1100) {
            super::common::write(&mut opened.writer, &opened.tail, group);
            opened.writer.sync().unwrap();
        }
        let (last, epoch) = (maker.last, opened.view.epoch());
        let found = opened.reader.batch(Vlsn::FIRST, last.vlsn, 1 << 20, epoch).unwrap();
        assert_eq!(found.records()[..], records[..found.records().len()]);
        drop(opened);
        let opened = open(FileDisk::open(home.path()).unwrap(), config()).unwrap();
        assert_eq!(opened.view.last(), last);
        assert_eq!(super::common::all(&opened.reader, last, epoch), records);
    }
}

/// Cuts the power under one scene, many times, and collects what can be found afterwards.
fn outcomes<T: Ord>(scene: impl Fn(&MemDisk), look: impl Fn(&MemDisk) -> T) -> BTreeSet<T> {
    let cut = |seed| {
        let (disk, mut rng) = (MemDisk::new(), Rng(seed));
        scene(&disk);
        disk.power_cut(&mut || rng.next());
        look(&disk)
    };
    (0..300).map(cut).collect()
}

#[test]
fn what_was_synced_survives_and_what_was_not_survives_in_any_part() {
    let scene = |disk: &MemDisk| {
        let file = disk.create("a").unwrap();
        file.write_at(0, &[1; 8192]).unwrap();
        file.sync().unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(4096, &[2; 4096]).unwrap();
        file.write_at(0, &[3; 1024]).unwrap();
    };
    let found = outcomes(scene, |disk| {
        let bytes = disk.contents("a").unwrap();
        assert_eq!(bytes.len(), 8192);
        assert!(bytes[1024..4096].iter().all(|byte| *byte == 1), "nobody wrote there");
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is never torn");
        }
        (bytes[0], bytes[512], bytes[4096], bytes[8191])
    });
    for expected in [(1, 1, 1, 1), (3, 3, 2, 2), (3, 3, 1, 1), (1, 1, 2, 2), (3, 1, 1, 1)] {
        assert!(found.contains(&expected), "{expected:?} is not among {found:?}");
    }
}

#[test]
fn a_name_is_durable_with_its_directory_and_a_file_without_it_may_be_gone() {
    let scene = |disk: &MemDisk| {
        disk.create_dir("d").unwrap();
        disk.sync_dir("").unwrap();
        let file = disk.create("d/a").unwrap();
        file.write_at(0, b"x").unwrap();
        file.sync().unwrap();
        disk.rename("d/a", "d/b").unwrap();
        disk.create("d/kept").unwrap();
        disk.sync_dir("d").unwrap();
        disk.remove("d/kept").unwrap();
        disk.create("d/c").unwrap();
        disk.rename("d/b", "d/z").unwrap();
    };
    let found = outcomes(scene, |disk| disk.list("d").unwrap().join(" "));
    for expected in ["b kept", "c z", "b c", "kept z", "b c kept", "z"] {
        assert!(found.contains(expected), "{expected:?} is not among {found:?}");
    }
    assert!(found.iter().all(|names| names.contains('b') != names.contains('z')), "{found:?}");
}

#[test]
fn a_length_may_survive_without_its_bytes() {
    let scene = |disk: &MemDisk| {
        let file = disk.create("a").unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(0, &[9; 600]).unwrap();
    };
    let found = outcomes(scene, |disk| {
        let bytes = disk.contents("a").unwrap();
        (bytes.len(), bytes.first().copied())
    });
    let expected = BTreeSet::from([(0, None), (600, Some(0)), (600, Some(9))]);
    assert_eq!(found, expected);
}

#[test]
fn what_a_failed_sync_left_behind_reads_as_new_and_is_not_durable_after_the_next_sync() {
    let disk = MemDisk::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, b"old").unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(0, b"new").unwrap();
    disk.fail_next_sync();
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(disk.contents("a").unwrap(), b"new");
    disk.power_cut(&mut || 1);
    assert_eq!(disk.contents("a").unwrap(), b"old");
}

#[test]
fn a_crash_falls_on_the_operation_that_was_named_and_ends_all_later_ones() {
    let disk = MemDisk::new();
    let file = disk.create("a").unwrap();
    disk.crash_after_ops(2);
    file.write_at(0, b"one").unwrap();
    assert!(!disk.crashed());
    assert!(file.sync().is_err());
    assert!(disk.crashed());
    assert!(file.write_at(0, b"two").is_err());
    assert!(file.read_at(0, &mut [0]).is_err());
    assert!(disk.open("a").is_err() && disk.create("b").is_err() && disk.list("").is_err());
    assert_eq!((disk.ops_count(), disk.syncs_count()), (3, 1));
    disk.kill();
    assert!(file.read_at(0, &mut [0]).is_err(), "the process that held it is gone");
    assert_eq!(disk.contents("a").unwrap(), b"one");
    let file = disk.open("a").unwrap().unwrap();
    disk.crash_after_ops(1);
    assert!(file.sync().is_err());
    disk.revive();
    file.sync().unwrap();
}

#[test]
fn an_image_is_a_disk_of_its_own_and_can_be_put_back() {
    let disk = MemDisk::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, b"then").unwrap();
    let image = disk.image();
    file.write_at(0, b"now!").unwrap();
    assert_eq!(image.contents("a").unwrap(), b"then");
    image.power_cut(&mut || 0);
    assert_eq!(image.contents("a").unwrap(), b"then", "an image is synced");
    disk.restore(&image);
    assert!(file.write_at(0, b"late").is_err());
    assert_eq!(disk.contents("a").unwrap(), b"then");
    disk.wipe();
    assert_eq!(disk.contents("a"), None);
    assert_eq!(image.contents("a").unwrap(), b"then");
}

#[test]
fn allocated_space_costs_nothing() {
    let disk = MemDisk::new();
    let file = disk.create("a").unwrap();
    file.allocate(1 << 50).unwrap();
    file.write_at(1 << 49, b"here").unwrap();
    file.sync().unwrap();
    let mut found = [1; 6];
    assert_eq!(file.read_at((1 << 49) - 1, &mut found).unwrap(), 6);
    assert_eq!(&found, b"\0here\0");
    file.set_len(10).unwrap();
    assert_eq!(file.len().unwrap(), 10);
}

#[test]
fn what_a_failed_sync_dropped_reads_as_old() {
    let disk = MemDisk::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, b"old").unwrap();
    file.sync().unwrap();
    file.write_at(0, b"new").unwrap();
    disk.fail_next_sync_as(SyncFailure::ReadsOld);
    assert!(file.sync().is_err());
    assert_eq!(disk.contents("a").unwrap(), b"old");
}

#[test]
fn a_full_disk_grows_no_file_and_takes_writes_where_there_is_room() {
    let disk = MemDisk::new();
    let file = disk.create("a").unwrap();
    file.allocate(10).unwrap();
    disk.fill(true);
    let full = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    };
    full(disk.create("b").map(drop));
    full(file.write_at(8, b"long"));
    full(file.allocate(11));
    file.write_at(6, b"room").unwrap();
    disk.kill();
    full(disk.create("b").map(drop));
    disk.fill(false);
    disk.create("b").unwrap();
}

#[test]
fn what_was_put_elsewhere_by_mistake_is_durable() {
    let disk = MemDisk::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, b"whole").unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(4, b"!").unwrap();
    assert!(disk.scribble("a", 1, b"--"));
    assert!(!disk.scribble("a", 4, b"--") && !disk.scribble("b", 0, b"-"));
    disk.power_cut(&mut || 0);
    assert_eq!(disk.contents("a").unwrap(), b"w--le");
}
