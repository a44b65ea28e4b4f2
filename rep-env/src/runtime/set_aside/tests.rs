//! A directory that is given up, and a crash after every step of that.

use super::moving::{self, SET_ASIDE_MAX};
use super::note::Note;
use super::{Found, helpers, open};
use crate::config::{OnDamage, RepConfig};
use crate::error::Error;
use crate::runtime::home::{self, Home};
use rep_node::{Member, MemberType, Membership, Quorums};
use rep_vlsn::cell::DurableCell;
use rep_vlsn::{FileDisk, GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::TempDir;

fn config(home: &Path) -> RepConfig {
    RepConfig::builder("bank", "n1")
        .members(["n1=place-1", "n2=place-2"])
        .home(home)
        .build()
        .unwrap()
}

/// The home of a member that has promised something, with a store and a file of somebody else's.
fn used_home() -> (TempDir, Incarnation) {
    let dir = TempDir::new().unwrap();
    let disk = home::lock(&dir.path().to_path_buf()).unwrap();
    let (mut promise, _) = DurableCell::open(disk.clone(), home::PROMISE_CELL).unwrap();
    promise.store(&rep_node::Fence::default().encode()).unwrap();
    home::store_place(&disk, b"somewhere", dir.path()).unwrap();
    let incarnation = home::identify(&disk, dir.path(), &config(dir.path())).unwrap();
    drop(Home::open(disk, dir.path(), &config(dir.path())).unwrap());
    fs::create_dir_all(dir.path().join("store.fjall/parts")).unwrap();
    fs::write(dir.path().join("store.fjall/parts/1"), "much").unwrap();
    fs::write(dir.path().join("a file of the application"), "something").unwrap();
    (dir, incarnation)
}

/// Neither slot of a cell can be read any more.
fn rot(home: &Path, cell: &str) {
    let file = OpenOptions::new().write(true).open(home.join(cell)).unwrap();
    for offset in [8, 69_632 + 8] {
        file.write_all_at(&[0xff; 64], offset).unwrap();
    }
}

fn opened(home: &Path) -> Result<(Found<FileDisk>, RepConfig), Error> {
    let disk = home::lock(&home.to_path_buf())?;
    let mut config = config(home);
    Ok((open(&disk, home, &mut config, &|_, _| true)?, config))
}

/// Every file with its bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(
                files(&entry.path()).into_iter().map(|(it, bytes)| (format!("{name}/{it}"), bytes)),
            ),
            false => drop(found.insert(name, fs::read(entry.path()).unwrap())),
        }
    }
    found
}

#[test]
fn what_is_damaged_lies_aside_whole_and_who_comes_after_is_somebody_new_that_joins() {
    for cell in [home::PROMISE_CELL, home::IDENTITY_CELL, home::PAST_CELL, home::PLACE_CELL] {
        let (dir, old) = used_home();
        rot(dir.path(), cell);
        let mut before = files(dir.path());
        before.remove("LOCK");
        let (found, config) = opened(dir.path()).unwrap();
        assert_ne!(found.home.unwrap().incarnation, old);
        assert_eq!(files(&dir.path().join("damaged-1")), before);
        let damage = found.damage.unwrap();
        assert!(damage.contains(cell) && damage.contains("lies in damaged-1"), "{damage}");
        // Whatever the flags say: it may found nothing.
        assert!(config.members.is_empty(), "{config:?}");
        assert_eq!(config.join, Some(vec!["place-2".to_owned()]));
    }
}

/// A directory without part of what belongs to it must not be opened as the member it was, wherever a crash has stopped the moving.
#[test]
fn a_crash_after_any_rename_leaves_the_old_member_whole_or_nobody() {
    for crash in 0.. {
        let (dir, old) = used_home();
        rot(dir.path(), home::PROMISE_CELL);
        let mut before = files(dir.path());
        before.remove("LOCK");
        let note =
            Note { folder: "damaged-1".into(), why: "rot".into(), helpers: vec!["place-2".into()] };
        note.store(&home::lock(&dir.path().to_path_buf()).unwrap(), dir.path()).unwrap();
        let mut renames = 0;
        let moved = moving::move_all(dir.path(), &note.folder, |from, to| {
            if renames == crash {
                return Err(io::Error::other("the power is gone"));
            }
            renames += 1;
            fs::rename(from, to)
        });
        assert_eq!(
            dir.path().join(home::IDENTITY_CELL).exists(),
            renames == 0,
            "after {renames} renames"
        );
        let (found, _) = opened(dir.path()).unwrap();
        assert_ne!(found.home.unwrap().incarnation, old, "after {renames} renames");
        assert_eq!(files(&dir.path().join("damaged-1")), before, "after {renames} renames");
        assert!(!dir.path().join("damaged-2").exists());
        if moved.is_ok() {
            assert!(crash > 5, "there were {crash} renames");
            break;
        }
    }
}

#[test]
fn who_was_given_up_joins_at_every_opening_until_it_is_a_member() {
    let (dir, _) = used_home();
    rot(dir.path(), home::PROMISE_CELL);
    let first = opened(dir.path()).unwrap().0.home.unwrap().incarnation;
    let (found, config) = opened(dir.path()).unwrap();
    assert_eq!(found.home.unwrap().incarnation, first);
    assert!(config.members.is_empty() && config.join.is_some(), "{config:?}");
    assert!(found.damage.is_some());
}

#[test]
fn a_log_or_promise_without_an_identity_is_nobodys() {
    let (dir, old) = used_home();
    fs::remove_file(dir.path().join(home::IDENTITY_CELL)).unwrap();
    let (found, _) = opened(dir.path()).unwrap();
    assert_ne!(found.home.unwrap().incarnation, old);
    assert!(dir.path().join("damaged-1").join(home::PROMISE_CELL).exists());
}

#[test]
fn a_disk_that_damages_whatever_it_is_given_is_not_filled() {
    let (dir, _) = used_home();
    for number in 1..=SET_ASIDE_MAX {
        rot(dir.path(), home::IDENTITY_CELL);
        opened(dir.path()).unwrap();
        assert!(dir.path().join(format!("damaged-{number}")).is_dir());
    }
    rot(dir.path(), home::IDENTITY_CELL);
    let error = opened(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Damaged { what: "identity", .. }), "{error}");
    assert!(error.to_string().contains("3 earlier ones lie there"), "{error}");
    // Somebody has looked, and made room.
    fs::remove_dir_all(dir.path().join("damaged-2")).unwrap();
    opened(dir.path()).unwrap();
}

#[test]
fn what_is_no_damage_is_left_where_it_is() {
    let (dir, _) = used_home();
    let before = files(dir.path());
    let path = dir.path().to_path_buf();
    // Another version's promise, whole.
    let disk = home::lock(&path).unwrap();
    let (mut promise, _) = DurableCell::open(disk.clone(), home::PROMISE_CELL).unwrap();
    promise.store(b"of another version").unwrap();
    let mut ours = config(&path);
    assert!(matches!(open(&disk, &path, &mut ours, &|_, _| true).unwrap_err(), Error::Open { .. }));
    promise.store(&rep_node::Fence::default().encode()).unwrap();
    // Another group's directory.
    let mut theirs = config(&path);
    theirs.group = "shop".into();
    let error = open(&disk, &path, &mut theirs, &|_, _| true).unwrap_err();
    assert!(matches!(error, Error::AnotherIdentity { .. }), "{error}");
    assert!(before.keys().eq(files(&path).keys()));
    // One that is to wait for an operator.
    rot(&path, home::PROMISE_CELL);
    let mut refusing = config(&path);
    refusing.on_damage = OnDamage::Refuse;
    assert!(matches!(
        open(&disk, &path, &mut refusing, &|_, _| true).unwrap_err(),
        Error::Damaged { .. }
    ));
    assert!(before.keys().eq(files(&path).keys()));
}

/// It may be the copy that the others wait for.
#[test]
fn what_the_group_cannot_go_on_without_is_left_where_it_is() {
    let (dir, _) = used_home();
    rot(dir.path(), home::PROMISE_CELL);
    let before = files(dir.path());
    let disk = home::lock(&dir.path().to_path_buf()).unwrap();
    let asked = std::cell::RefCell::new(Vec::new());
    let nobody = |_: &RepConfig, helpers: &[String]| {
        asked.borrow_mut().extend_from_slice(helpers);
        false
    };
    let error = open(&disk, dir.path(), &mut config(dir.path()), &nobody).unwrap_err();
    assert!(matches!(&error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("has a master without it"), "{error}");
    assert_eq!(*asked.borrow(), ["place-2"]);
    assert!(before.keys().eq(files(dir.path()).keys()));
    // One that was given up already is not asked about again.
    let found = open(&disk, dir.path(), &mut config(dir.path()), &|_, _| true).unwrap();
    assert!(found.damage.is_some());
    drop(found);
    let again = open(&disk, dir.path(), &mut config(dir.path()), &nobody).unwrap();
    assert!(again.damage.is_some());
    assert_eq!(asked.borrow().len(), 1);
}

#[test]
fn whoever_is_alone_has_nobody_to_ask() {
    let (dir, _) = used_home();
    rot(dir.path(), home::PROMISE_CELL);
    let disk = home::lock(&dir.path().to_path_buf()).unwrap();
    let mut alone = config(dir.path());
    alone.members.remove("n2");
    assert_eq!(helpers::of(&disk, &alone), Vec::<String>::new());
    let error = open(&disk, dir.path(), &mut alone, &|_, _| true).unwrap_err();
    assert!(error.to_string().contains("no other member"), "{error}");
    assert!(!dir.path().join("damaged-1").exists());
}

#[test]
fn whoever_only_learns_is_nobody_to_ask() {
    let (dir, _) = used_home();
    rot(dir.path(), home::PROMISE_CELL);
    let disk = home::lock(&dir.path().to_path_buf()).unwrap();
    let named = |at: u32, kind| Member {
        id: NodeId::new(at),
        name: format!("n{at}"),
        incarnation: Incarnation([at as u8; 16]),
        address: format!("place-{at}"),
        kind,
        priority: 0,
        attributes: BTreeMap::new(),
    };
    for (other, asks) in [
        (MemberType::Learner, false),
        (MemberType::Monitor, false),
        (MemberType::Secondary, true),
        (MemberType::Electable, true),
    ] {
        let members = [named(1, MemberType::Electable), named(2, other)];
        let told = Membership {
            group: GroupId([1; 16]),
            at: LogPoint::new(Term::new(1), Vlsn::new(5)),
            members: members.into_iter().map(|member| (member.id, member)).collect(),
            next_id: NodeId::new(3),
            quorums: Quorums::Majority,
            removed: Vec::new(),
        };
        home::store_place(&disk, &told.encode(), dir.path()).unwrap();
        assert_eq!(!helpers::of(&disk, &config(dir.path())).is_empty(), asks, "{other}");
    }
}
