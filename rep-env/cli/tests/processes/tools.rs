//! `rep ping`, `rep log` and `rep bench`.

use crate::group::{Group, PATIENCE, eventually, rep};
use crate::line::run;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

fn log(command: &str, home: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    run(rep().args(["log", command]).arg(home).args(more))
}

/// Every file below a directory, with its bytes.
fn everything(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(everything(&path)),
            false => drop(files.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    files
}

/// The home of a member that wrote some keys, and was closed or killed.
fn left_behind(group: &mut Group, kill: bool) -> PathBuf {
    group.put(&[0], "alice", "100");
    group.put(&[0], "bob", "200");
    match kill {
        true => group.kill(0),
        false => assert_eq!(group.terminate(0).code(), Some(0)),
    }
    group.home(0)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Every entry of a log.
fn dumped(home: &Path) -> Vec<Value> {
    let (code, stdout, stderr) = log("dump", home, &["--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    stdout.lines().map(json).collect()
}

#[test]
fn ping_tells_who_answers_and_ends_with_2_if_nobody_does() {
    let mut group = Group::running(1);
    let (code, stdout, stderr) = run(rep().args(["ping", &group.addresses[0], "--count", "3"]));
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{stdout}");
    assert!(lines[..3].iter().all(|line| line.starts_with("n1 of group bank, ")), "{stdout}");
    assert!(lines[3].starts_with("3 asked, 3 answered; round trip least "), "{stdout}");
    group.kill(0);
    let (code, stdout, stderr) = run(rep().args(["ping", &group.addresses[0]]));
    assert_eq!((code, &*stdout), (Some(2), ""));
    assert!(stderr.contains(&group.addresses[0]), "{stderr}");
    // The Redis port is no member.
    group.start(0);
    let (code, _, _) = run(rep().args(["ping", &group.resp[0]]));
    assert_eq!(code, Some(2));
}

#[test]
fn a_dump_has_a_line_for_each_entry_and_takes_a_range() {
    let mut group = Group::running(1);
    let home = left_behind(&mut group, false);
    let all = dumped(&home);
    let vlsns: Vec<u64> = all.iter().map(|line| line["vlsn"].as_u64().unwrap()).collect();
    assert_eq!(vlsns, (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!(all[0]["kind"], "group-founded");
    let data = all.iter().filter(|line| line["kind"] == "data").count();
    assert_eq!(data, 2, "two writes: {all:?}");

    let (code, stdout, _) =
        log("dump", &home, &["--from", "2", "--to", "2", "--json", "--payload"]);
    assert_eq!((code, stdout.lines().count()), (Some(0), 1), "{stdout}");
    let line = json(&stdout);
    assert_eq!(line["vlsn"], 2);
    let bytes = line["payload_bytes"].as_u64().unwrap() as usize;
    assert_eq!(line["payload"].as_str().unwrap().len(), 2 * bytes);
    let (code, stdout, _) = log("dump", &home, &["--to", "1"]);
    assert_eq!(code, Some(0));
    assert!(
        stdout.starts_with("1.1 group-founded ") && stdout.contains("opened by node 1"),
        "{stdout}"
    );
    let (code, stdout, _) = log("dump", &home, &["--from", "1000"]);
    assert_eq!((code, &*stdout), (Some(0), ""));
}

#[test]
fn a_whole_log_is_verified_and_left_exactly_as_it_is() {
    for kill in [false, true] {
        let mut group = Group::running(1);
        let home = left_behind(&mut group, kill);
        let before = everything(&home);
        let (code, stdout, stderr) = log("verify", &home, &["--json"]);
        assert_eq!(code, Some(0), "{stderr}");
        let found = json(&stdout);
        assert_eq!((&found["damaged"], &found["damage"]), (&Value::Bool(false), &Value::Null));
        assert_eq!(found["entries"].as_u64(), Some(dumped(&home).len() as u64));
        let cells = found["cells"].as_array().unwrap();
        // Only who was admitted has a place, and only an arbiter vouches.
        let (others, own): (Vec<_>, Vec<_>) =
            cells.iter().partition(|cell| cell["name"] == "place" || cell["name"] == "vouch");
        assert!(own.len() == 4 && own.iter().all(|cell| cell["state"] == "whole"), "{stdout}");
        assert_eq!(others.len(), 2, "{stdout}");
        assert!(others.iter().all(|cell| cell["state"] == "was never written"), "{stdout}");
        let (code, stdout, _) = log("verify", &home, &[]);
        assert_eq!(code, Some(0));
        assert!(stdout.ends_with("verdict  whole\n"), "{stdout}");
        assert_eq!(everything(&home), before, "killed: {kill}");
        group.start(0);
        assert_eq!(group.get("alice").as_deref(), Some("100"));
    }
}

#[test]
fn damage_is_told_with_its_entry_file_and_offset_and_ends_with_1() {
    let mut group = Group::running(1);
    let home = left_behind(&mut group, false);
    let hit = dumped(&home).into_iter().find(|line| line["kind"] == "data").unwrap();
    let (segment, offset) = (hit["segment"].as_str().unwrap(), hit["offset"].as_u64().unwrap());
    let file = fs::OpenOptions::new().read(true).write(true).open(home.join(segment)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + 50).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset + 50).unwrap();

    let before = everything(&home);
    let (code, stdout, _) = log("verify", &home, &["--json"]);
    assert_eq!(code, Some(1), "{stdout}");
    let found = json(&stdout);
    let damage = &found["damage"];
    assert_eq!((&damage["vlsn"], &damage["segment"]), (&hit["vlsn"], &hit["segment"]));
    assert_eq!((&damage["offset"], &found["torn"]), (&hit["offset"], &Value::Null));
    assert!(found["synced"].as_u64() >= hit["vlsn"].as_u64(), "at or below the mark: {stdout}");
    let (code, stdout, _) = log("verify", &home, &[]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains(&format!("(segment {segment}, offset {offset})")), "{stdout}");
    assert!(stdout.contains("verdict  damaged"), "{stdout}");
    let (code, stdout, stderr) = log("dump", &home, &["--json"]);
    assert_eq!((code, stdout.lines().count() as u64), (Some(1), hit["vlsn"].as_u64().unwrap() - 1));
    assert!(stderr.contains("was synced and is damaged"), "{stderr}");
    assert_eq!(everything(&home), before);
}

#[test]
fn what_lies_above_the_mark_is_a_torn_tail_and_no_damage() {
    let mut group = Group::running(1);
    let home = left_behind(&mut group, false);
    let all = dumped(&home);
    let last = all.last().unwrap();
    let (segment, offset) = (last["segment"].as_str().unwrap(), last["offset"].as_u64().unwrap());
    // Behind the last record and the mark that closed the log.
    let end = offset + 48 + last["payload_bytes"].as_u64().unwrap() + 32;
    let file = fs::OpenOptions::new().write(true).open(home.join(segment)).unwrap();
    file.write_all_at(b"half a record", end).unwrap();
    let (code, stdout, _) = log("verify", &home, &["--json"]);
    assert_eq!(code, Some(0), "{stdout}");
    let found = json(&stdout);
    assert_eq!(found["torn"]["vlsn"].as_u64(), Some(all.len() as u64 + 1));
    assert_eq!((found["torn"]["offset"].as_u64(), &found["damage"]), (Some(end), &Value::Null));
    let (code, stdout, stderr) = log("dump", &home, &["--json"]);
    assert_eq!((code, stdout.lines().count()), (Some(0), all.len()));
    assert!(stderr.contains("never synced"), "{stderr}");
}

#[test]
fn a_cell_that_cannot_be_read_is_damage_and_one_bad_slot_is_not() {
    let mut group = Group::running(1);
    let home = left_behind(&mut group, false);
    let file = fs::OpenOptions::new().write(true).open(home.join("promise")).unwrap();
    file.write_all_at(b"rot", 10).unwrap();
    let (code, stdout, _) = log("verify", &home, &[]);
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("cell     promise: one of its two slots"), "{stdout}");
    file.write_all_at(b"rot", (68 << 10) + 10).unwrap();
    let (code, stdout, _) = log("verify", &home, &[]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("cell     promise: damaged"), "{stdout}");
}

#[test]
fn a_directory_that_is_in_use_or_no_home_is_not_looked_at() {
    let group = Group::running(1);
    group.put(&[0], "alice", "100");
    for command in ["dump", "verify"] {
        let (code, stdout, stderr) = log(command, &group.home(0), &[]);
        assert_eq!((code, &*stdout), (Some(2), ""), "{stderr}");
        assert!(stderr.contains("in use"), "{stderr}");
        let absent = group.home(0).join("absent");
        let (code, _, stderr) = log(command, &absent, &[]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(!absent.exists(), "a look makes no directory");
        let (code, _, stderr) = log(command, &group.home(0).join("log"), &[]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("no log"), "{stderr}");
    }
}

#[test]
fn a_bench_measures_each_row_and_takes_its_keys_away() {
    let mut group = Group::steady_alone(3);
    let (master, _) = group.put(&[0, 1, 2], "mine", "kept");
    let replica = (master + 1) % 3;
    // Asked of a replica, it finds the master.
    let bench = |more: &[&str]| {
        let mut command = rep();
        command.args(["bench", &group.addresses[replica], "--secs", "1", "--disk"]);
        run(command.arg(group.home(0).parent().unwrap()).args(more))
    };
    let report = eventually("a bench of a group that has heard of each other", || {
        let (code, stdout, stderr) = bench(&["--writers", "1,4", "--json", "--value", "10"]);
        // A replica may not have heard yet where the master's Redis port is.
        assert!(code == Some(0) || stderr.contains("no Redis port"), "{stderr}");
        (code == Some(0)).then(|| json(&stdout))
    });
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, writers) in rows.iter().zip([1, 4]) {
        assert_eq!((row["writers"].as_u64(), row["failed"].as_u64()), (Some(writers), Some(0)));
        let of = |key: &str| row[key].as_f64().unwrap();
        assert!(of("writes_per_s") > 0.0 && of("p50_us") <= of("p99_us"), "{row}");
        assert!(of("p99_us") <= of("max_us"), "{row}");
    }
    let floors = ["sync_us", "loopback_us", "ping_us"].map(|key| report["floors"][key].as_u64());
    assert!(floors.iter().all(Option::is_some), "{floors:?}");
    assert!(report["keys_deleted"].as_u64() > Some(0));
    let (code, stdout, stderr) = bench(&["--writers", "2"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("group    bank, 3 members, master at "), "{stdout}");
    assert!(stdout.contains("\nfloors   sync of an append "), "{stdout}");
    assert!(stdout.contains("\ndeleted  "), "{stdout}");
    let mut connection = group.connect(master);
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let left: u64 = redis::cmd("DBSIZE").query(&mut connection).unwrap();
    assert_eq!(left, 1, "what was there before, and nothing else");

    (0..3).for_each(|at| group.kill(at));
    let (code, _, stderr) = run(rep().args(["bench", &group.addresses[0]]));
    assert_eq!(code, Some(1), "{stderr}");
}
