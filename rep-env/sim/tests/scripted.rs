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
    let paths = scripts();
    assert!(paths.len() >= 20, "the scripts are the readable specification");
    let wrong: Vec<String> = paths.iter().filter_map(|path| check(path).err()).collect();
    assert!(wrong.is_empty(), "{}\n(REP_BLESS=1 writes scripts anew)", wrong.join("\n"));
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap();
    let told = |why: &str| format!("{}: {why}", path.display());
    let printed = rep_sim::script::run_script(&text).map_err(|why| told(&why))?;
    if std::env::var_os("REP_BLESS").is_some() {
        fs::write(path, &printed).unwrap();
        return Ok(());
    }
    let differs = text.lines().zip(printed.lines()).position(|(then, now)| then != now);
    match differs {
        Some(at) => {
            let now = printed.lines().nth(at).unwrap_or_default();
            Err(told(&format!("line {} is {now:?} today", at + 1)))
        }
        None if text.len() != printed.len() => Err(told("it is longer or shorter today")),
        None => Ok(()),
    }
}

#[test]
fn a_script_that_asks_for_nonsense_is_told() {
    let why = rep_sim::script::run_script("group 3\n\nfly n1\n").unwrap_err();
    assert!(why.contains("fly n1"), "{why}");
    assert!(rep_sim::script::run_script("start n9\n").is_err());
}
