//! A process whose disk forgets comes back by itself.

use crate::group::{Group, eventually};
use rep_env::MemberType;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MORE: &[&str] = &["--set", "scrub_bytes_per_s=1GiB", "--set", "segment_bytes=1MiB"];

fn oldest_full_file(home: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(home.join("log")).ok()?.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        names.filter(|it| it.extension().is_some_and(|it| it == "seg")).collect();
    files.sort();
    (files.len() > 2).then(|| files.swap_remove(0))
}

#[test]
fn a_member_in_whose_log_a_bit_rots_is_a_new_member_without_anybodys_help() {
    let mut group = Group::new(3);
    (0..3).for_each(|at| group.start_with(at, MORE));
    let value = "x".repeat(300 << 10);
    for number in 0..12 {
        group.put(&[0, 1, 2], &format!("k{number}"), &value);
    }
    let path = eventually("full files", || oldest_full_file(&group.home(2)));
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(64).position(|window| window == [b'x'; 64]).unwrap() as u64;
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"y", at + 5).unwrap();
    eventually("a voter again", || {
        group.put(&[0, 1], "meanwhile", "writing goes on");
        let members = group.status(0)?.members;
        let member = members.into_iter().find(|member| member.member.name == "n3")?;
        (member.kind == MemberType::Electable && member.member.id == 4).then_some(())
    });
    assert!(group.home(2).join("damaged-1/identity").exists());
    eventually("a follower", || group.status(2).filter(|report| report.state == "replica"));
    // The same process, at the same ports, and it ends as it is asked to.
    assert_eq!(group.terminate(2).code(), Some(0));
}
