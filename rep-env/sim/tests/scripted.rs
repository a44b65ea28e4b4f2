//! Whole groups as text: each script prints today what it printed when it was written.
//!
//! `REP_BLESS=1` writes the scripts anew.

use std::fs;
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries =
        fs::read_dir(folder).expect("there are scripts").map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    paths.sort();
    paths
}

#[test]
fn every_script_prints_what_it_says() {
    let bless = std::env::var_os("REP_BLESS").is_some();
    let paths = scripts();
    assert!(paths.len() >= 4, "the scripts are the readable specification");
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let printed = rep_sim::script::run_script(&text)
            .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        if bless {
            fs::write(&path, &printed).unwrap();
        } else {
            assert_eq!(printed, text, "{} (REP_BLESS=1 writes it anew)", path.display());
        }
    }
}

#[test]
fn a_script_that_asks_for_nonsense_is_told() {
    let why = rep_sim::script::run_script("group 3\n\nfly n1\n").unwrap_err();
    assert!(why.contains("fly n1"), "{why}");
    assert!(rep_sim::script::run_script("start n9\n").is_err());
}
