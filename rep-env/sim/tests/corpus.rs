//! Every case that was ever kept is played with every test run: what broke once holds now, and a case that shows a planted
//! bug holds where the bug is not.

use rep_sim::{Case, Detail, run_seed, shrink};
use std::fs;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let entries = fs::read_dir(folder).expect("the corpus is part of the crate");
    let files = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|ext| ext == "json")).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Case {
    let text = fs::read_to_string(file).expect("it can be read");
    Case::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_case_of_the_corpus_holds() {
    for file in files() {
        if let Err(failure) = read(&file).run(Detail::Hash) {
            panic!("{}\n{failure}", file.display());
        }
    }
}

#[test]
fn a_file_of_the_corpus_is_called_as_its_case_is() {
    for file in files() {
        let case = read(&file);
        assert_eq!(file.file_name().and_then(|name| name.to_str()), Some(&*case.name()));
    }
}

#[test]
fn what_is_no_case_is_told_to_be_none() {
    for (text, why) in [
        ("", "this is no case"),
        ("{}", "this is no case"),
        ("[1, 2]", "this is no case"),
        (r#"{"format":9,"invariant":"I-1","found":0,"seed":0,"swarm":{},"faults":[]}"#, "format 9"),
    ] {
        let error = Case::parse(text).expect_err("it is none").to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// What a case leaves out is calm: so an old one is still a case when worlds have more to them.
#[test]
fn a_case_need_not_say_what_is_calm() {
    let text =
        r#"{"format":1,"invariant":"I-1","found":7,"seed":7,"swarm":{"nodes":3},"faults":[]}"#;
    let case = Case::parse(text).unwrap();
    assert_eq!(case.name(), "I-1-7.json");
    let outcome = case.run(Detail::Hash).expect("a calm world holds");
    assert_eq!(
        Case::parse(&case.to_text()).unwrap().run(Detail::Hash).unwrap().trace,
        outcome.trace
    );
    assert_ne!(outcome.trace, run_seed(7, Detail::Hash).unwrap().trace);
}

/// Nobody writes in this world, so no write is served when it has healed; no fault has anything to do with it, and no second member.
#[test]
fn what_a_failure_does_not_need_is_left_out() {
    let mend = r#"{"at":{"secs":1,"nanos":0},"moment":0,"fault":{"Mend":{"from":1,"to":2}}}"#;
    let faults = [mend; 9].join(",");
    let text = format!(
        r#"{{"format":1,"invariant":"I-34","found":7,"seed":7,"swarm":{{"nodes":3,"load":{{"clients":0}}}},"faults":[{faults}]}}"#
    );
    let case = Case::parse(&text).unwrap();
    assert!(case.run(Detail::Brief).is_err());
    let small = shrink::shrink(case, || true);
    assert!(small.to_string().starts_with("0 faults, 1 nodes, 0 clients"), "{small}");
    assert_eq!(small.run(Detail::Brief).unwrap_err().violation.invariant.id(), "I-34");
}

/// Whoever has no more time gets what there is.
#[test]
fn no_patience_is_no_change() {
    let text = r#"{"format":1,"invariant":"I-34","found":7,"seed":7,"swarm":{"nodes":3,"load":{"clients":0}},"faults":[]}"#;
    let case = Case::parse(text).unwrap();
    assert_eq!(shrink::shrink(case.clone(), || false).to_text(), case.to_text());
}
