//! `rep recover`: what it says before anything is done, and what is there afterwards.

use crate::group::{Group, eventually, rep};
use crate::line::run;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn recover(home: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    run(rep().args(["recover", "--force-quorum"]).arg(home).args(more))
}

/// The cells and the log of a directory.
fn kept(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = [home.to_path_buf(), home.join("log")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let files = files.filter(|path| path.is_file() && !path.ends_with("store.redb"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Three members that hold the same, none of which runs.
fn killed() -> Group {
    let mut group = Group::running(3);
    group.put(&[0, 1, 2], "alice", "100");
    group.assert_converged();
    group.kill_all();
    group
}

#[test]
fn nothing_is_done_before_it_was_said_what_may_be_lost_and_yes_was_said_to_it() {
    let mut group = killed();
    let home = group.home(2);
    let before = kept(&home);
    let (code, stdout, stderr) = recover(&home, &[]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    for words in [
        "whose log ends with entry",
        "are known to have been",
        "LOST     whatever the others acknowledged",
        "CAST OUT n1 (number 1, electable)",
        "CAST OUT n2 (number 2, electable)",
        "stays    n3",
        "NEVER    do this while",
        "asked    n1: nobody answers",
    ] {
        assert!(stdout.contains(words), "{words:?} is missing in: {stdout}");
    }
    assert!(stderr.contains("--yes"), "{stderr}");
    assert_eq!(kept(&home), before);

    fs::remove_dir_all(group.home(0)).unwrap();
    fs::remove_dir_all(group.home(1)).unwrap();
    let (code, stdout, stderr) = recover(&home, &["--yes"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    group.start(2);
    assert_eq!(group.get("alice").as_deref(), Some("100"));
    group.put(&[2], "bob", "200");
    group.kill(2);
    let (code, _, stderr) = run(rep().args(["log", "verify"]).arg(&home));
    assert_eq!(code, Some(0), "{stderr}");
    let (code, _, stderr) = recover(&home, &["--yes"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("a quorum without any force"), "{stderr}");
}

#[test]
fn a_group_that_has_a_master_is_left_alone() {
    let mut group = Group::running(3);
    group.put(&[0, 1, 2], "alice", "100");
    group.assert_converged();
    group.kill(2);
    group.master_of(&[0, 1], 0);
    let home = group.home(2);
    let before = kept(&home);
    eventually("both know the master", || {
        let (code, stdout, stderr) = recover(&home, &["--yes"]);
        assert_eq!(code, Some(1), "{stdout}{stderr}");
        assert!(stderr.contains("the group may be at work"), "{stderr}");
        let known = ["ALIVE    n1 has a master", "ALIVE    n2 has a master"];
        known.iter().all(|words| stdout.contains(words)).then_some(())
    });
    assert_eq!(kept(&home), before);
    let (code, stdout, stderr) = recover(&home, &["--yes", "--even-though-a-master-answers"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_ne!(kept(&home), before);
}

#[test]
fn a_directory_of_nobody_is_refused() {
    let group = Group::new(1);
    let (code, _, stderr) = recover(&group.home(0), &["--yes"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("there is no directory"), "{stderr}");
    let (code, _, _) = run(rep().arg("recover").arg(group.home(0)));
    assert_eq!(code, Some(2), "without --force-quorum there is nothing to do");
}
