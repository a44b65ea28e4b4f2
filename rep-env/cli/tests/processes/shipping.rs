//! `rep serve --ship-to`, and what `rep log` makes of the folder.

use crate::group::{Group, eventually, rep};
use crate::line::run;
use serde_json::Value;
use std::path::Path;

fn log(command: &str, dir: &Path) -> (Option<i32>, Vec<Value>, String) {
    let (code, stdout, stderr) = run(rep().args(["log", command, "--json"]).arg(dir));
    let lines = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (code, lines, stderr)
}

/// What an entry is, wherever it lies.
fn entry(line: &Value) -> [u64; 4] {
    ["vlsn", "term", "header_crc", "payload_crc"].map(|key| line[key].as_u64().unwrap())
}

#[test]
fn a_folder_that_a_killed_member_shipped_to_is_whole_and_goes_on_with_the_next_one() {
    let mut group = Group::new(1);
    let archive = group.home(0).with_extension("archive");
    let more = ["--ship-to", archive.to_str().unwrap(), "--set", "ship_interval=5ms"];
    let more = [&more[..], &["--set", "segment_bytes=1MiB"]].concat();
    let value = "x".repeat(300 << 10);
    for round in 0..2 {
        group.start_with(0, &more);
        for number in 0..6 {
            group.put(&[0], &format!("{round}-{number}"), &value);
        }
        eventually("an archive that has it", || {
            let stats = group.status(0)?.stats;
            (stats.shipped > Some(6) && stats.ship_lag == Some(0)).then_some(())
        });
        // Read by another process only when nobody writes to it.
        assert_eq!(log("verify", &archive).0, Some(2));
        group.kill(0);
        let (code, found, stderr) = log("verify", &archive);
        assert_eq!(code, Some(0), "{stderr}");
        let (found, segments) = (&found[0], found[0]["segments"].as_u64().unwrap());
        assert!(found["damaged"] == Value::Bool(false) && segments > round + 1, "{found}");
        let (code, archived, stderr) = log("dump", &archive);
        assert_eq!(code, Some(0), "{stderr}");
        let (_, own, _) = log("dump", &group.home(0));
        let (archived, own): (Vec<_>, Vec<_>) =
            (archived.iter().map(entry).collect(), own.iter().map(entry).collect());
        assert!(archived.len() >= 6 && own.starts_with(&archived), "{archived:?}\n{own:?}");
    }
}
