//! `rep members`, `add`, `remove`, `update-member`, and `rep serve --bootstrap` and `--join`: groups of processes that change.

use crate::group::{Group, eventually, rep};
use crate::line::run;
use std::fs;
use std::time::Duration;

/// What a command printed that has to succeed.
fn done(words: &[&str]) -> String {
    let (code, stdout, stderr) = run(rep().args(words));
    assert_eq!(code, Some(0), "{words:?}: {stdout}{stderr}");
    stdout
}

/// Why a command failed that has to.
fn refused(words: &[&str]) -> String {
    let (code, stdout, stderr) = run(rep().args(words));
    assert_eq!(code, Some(1), "{words:?}: {stdout}{stderr}");
    stderr
}

impl Group {
    fn wait_until_listed(&self, asked: usize, line: &str) {
        eventually(line, || {
            let (_, stdout, _) = run(rep().args(["members", &self.addresses[asked]]));
            stdout.lines().any(|it| it.starts_with(line)).then_some(())
        });
    }

    fn line(&self, at: usize, kind: &str) -> String {
        format!("{} at {}: {kind}", self.name(at), self.addresses[at])
    }
}

#[test]
fn a_group_of_processes_grows_by_joining_and_by_orders_and_shrinks_again() {
    let mut group = Group::new(4);
    group.start_unlisted(0, &["--bootstrap"]);
    assert_eq!(group.master(), 0);
    group.put(&[0], "before", "1");
    let helper = group.addresses[0].clone();
    group.start_unlisted(1, &["--join", &helper]);
    group.wait_until_listed(1, &group.line(1, "electable"));
    // One that asks nobody, and is added; at a member that sends on to the master.
    group.start_unlisted(2, &["--join", "", "--priority", "3"]);
    let (code, stdout, _) = run(rep().args(["status", &group.addresses[2]]));
    assert_eq!(code, Some(1));
    assert!(stdout.contains("rep add"), "{stdout}");
    let added = done(&["add", &group.addresses[1], &group.addresses[2], "--name", "n3"]);
    assert!(added.ends_with("electable, number 3, priority 3\n"), "{added}");
    group.start_unlisted(3, &["--join", &helper, "--type", "secondary"]);
    group.wait_until_listed(0, &group.line(3, "secondary"));
    eventually("all of them", || (group.status(3)?.members.len() == 4).then_some(()));
    group.put(&[0, 1, 2], "after", "2");
    group.assert_converged();
    // The founder goes, and the group does not miss it.
    let gone = group.master();
    let name = group.name(gone);
    let why = refused(&["remove", &group.addresses[1], &name]);
    assert!(why.contains("hand the mastership over first"), "{why}");
    done(&["transfer-master", &group.addresses[gone], "--timeout", "60"]);
    let new = eventually("another master", || Some(group.master()).filter(|it| *it != gone));
    assert_eq!(done(&["remove", &group.addresses[new], &name]), format!("{name} is removed\n"));
    eventually("an end that it knows of", || {
        let report = group.status(gone)?;
        report.problems.iter().any(|problem| problem.contains("removed")).then_some(())
    });
    assert_eq!(group.get("before").as_deref(), Some("1"));
    let why = refused(&["remove", &group.addresses[new], &name]);
    assert!(why.contains("is no member"), "{why}");
}

#[test]
fn a_member_moves_to_another_address_and_one_that_lost_its_disk_comes_back() {
    let mut group = Group::running(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "v");
    let moved = (master + 1) % 3;
    let spare = Group::new(1);
    let place = spare.addresses[0].clone();
    let name = group.name(moved);
    let line = done(&["update-member", &group.addresses[moved], &name, "--address", &place]);
    assert!(line.starts_with(&format!("{name} at {place}: electable")), "{line}");
    let why = refused(&["update-member", &group.addresses[master], &name]);
    assert!(why.contains("nothing to record"), "{why}");
    let zone = ["update-member", &group.addresses[master], &name, "--attribute", "zone=north"];
    let line = done(&zone);
    assert!(line.trim_end().ends_with(", zone=north"), "{line}");
    eventually("it is known", || {
        let known = group.status(moved)?.me.attributes.get("zone").cloned();
        (known? == "north").then_some(())
    });
    let back = ["update-member", &group.addresses[master], &name, "--no-attribute", "zone"];
    assert!(!done(&back).contains("zone"));
    let why = refused(&["set-quorums", &group.addresses[master], "--designated", &name]);
    assert!(why.contains("two may vote at most"), "{why}");
    group.terminate(moved);
    let home = group.home(moved);
    group.addresses[moved] = place;
    // The flags may still name the old place: the log says who belongs.
    group.start(moved);
    eventually("it follows", || (group.status(moved)?.state != "unknown").then_some(()));
    group.put(&[0, 1, 2], "k", "moved");
    group.assert_converged();
    // And with nothing left but its flags.
    group.kill(moved);
    fs::remove_dir_all(home).unwrap();
    group.start(moved);
    eventually("it is another one", || {
        let report = group.status(moved)?;
        (report.me.id == 4 && ["replica", "master"].contains(&&*report.state)).then_some(())
    });
    let lines = done(&["members", &group.addresses[master]]);
    assert!(lines.contains(&format!("{name} at {}", group.addresses[moved])), "{lines}");
    group.assert_converged();
}

/// However far it has come each time: it has asked or not, was admitted or not, has kept that or not.
#[test]
fn a_process_that_is_killed_while_it_joins_ends_as_one_member() {
    let mut group = Group::new(2);
    group.start_unlisted(0, &["--bootstrap"]);
    group.put(&[0], "before", "1");
    let helper = group.addresses[0].clone();
    for round in 0..8 {
        group.start_unlisted(1, &["--join", &helper]);
        std::thread::park_timeout(Duration::from_millis(3 * round));
        group.kill(1);
    }
    group.start_unlisted(1, &["--join", &helper]);
    group.wait_until_listed(0, &format!("{}, number 2,", group.line(1, "electable")));
    assert_eq!(done(&["members", &helper]).lines().count(), 2);
    group.put(&[0, 1], "after", "2");
    group.assert_converged();
}

#[test]
fn what_cannot_be_said_together_is_refused() {
    let serve = |more: &[&str]| {
        let mut command = rep();
        command.args(["serve", "--group", "g", "--name", "n1", "--home", "h"]).args(more);
        run(&mut command)
    };
    for (more, why) in [
        (&["--members", "n1=h:1", "--bootstrap"][..], "cannot be used with"),
        (&["--bootstrap", "--join", "h:2"], "cannot be used with"),
        (&["--bootstrap"], "listen"),
        (&["--listen", "127.0.0.1:0", "--join", "h:2"], "tells nobody where this node is"),
        (&["--listen", "0.0.0.0:1", "--join", "h:2"], "tells nobody where this node is"),
        (&["--members", "n1=h:1", "--priority", "3"], "--priority: who founds"),
        (&["--listen", "h:1", "--bootstrap", "--type", "secondary"], "--type: who founds"),
        (&["--listen", "127.0.0.1:1", "--join", "n2=h:2"], "--join: "),
        (&["--listen", "127.0.0.1:1", "--join", "h:2", "--type", "learner"], "--type: "),
        (&["--listen", "127.0.0.1:1", "--join", "h:2", "--priority", "much"], "--priority: "),
        (&[], "members"),
    ] {
        let (code, _, stderr) = serve(more);
        assert_ne!(code, Some(0), "{more:?}");
        assert!(stderr.contains(why), "{more:?}: {stderr}");
    }
}
