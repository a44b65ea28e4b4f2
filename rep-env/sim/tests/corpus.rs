//! Every case that was ever kept is played with every test run: what broke once holds now, and a case that shows a planted
//! bug holds where the bug is not.

use rep_sim::{Build, Case, CaseError, Detail, Invariant, run_seed, shrink};
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

/// People write files, and a world that cannot be panicked in the middle of a run: that was told as a finding (P-1), or ended the command.
#[test]
fn what_no_world_can_have_is_refused_by_the_name_of_its_field() {
    for (swarm, faults, field) in [
        (r#""nodes":0"#, "", "swarm.nodes"),
        (r#""nodes":900"#, "", "swarm.nodes"),
        (r#""heartbeat":{"secs":0,"nanos":0}"#, "", "swarm.heartbeat"),
        (r#""election_timeout":{"secs":0,"nanos":1}"#, "", "swarm.election_timeout"),
        (r#""net":{"drop":7.0}"#, "", "swarm.net.drop"),
        (r#""net":{"bandwidth":0.0}"#, "", "swarm.net.bandwidth"),
        (r#""load":{"patience":-1.0}"#, "", "swarm.load.patience"),
        (r#""process":{"drift_ppm":1000000}"#, "", "swarm.process.drift_ppm"),
        ("", r#"{"Image":{"id":4}}"#, "faults[0].fault"),
        ("", r#"{"Tear":{"id":1,"ops":0,"end":END,"back":null}}"#, "faults[0].fault.ops"),
        (
            "",
            r#"{"Rot":{"id":1,"entry":0,"damage":"Lost","end":null,"back":null}}"#,
            "faults[0].fault.entry",
        ),
        (
            "",
            r#"{"Rot":{"id":1,"entry":1,"damage":{"Misplaced":0},"end":null,"back":null}}"#,
            "faults[0].fault.damage",
        ),
        (
            "",
            r#"{"Leap":{"id":1,"by":{"secs":18446744073709551615,"nanos":0}}}"#,
            "faults[0].fault",
        ),
    ] {
        let error = Case::parse(&case_of(swarm, faults)).expect_err("it is none");
        assert!(
            matches!(&error, CaseError::Field { field: named, .. } if named == field),
            "{field}: {error}"
        );
    }
    let unknown = case_of("", "").replace("I-1", "I-0");
    assert!(
        matches!(Case::parse(&unknown), Err(CaseError::Field { field, .. }) if field == "invariant")
    );
}

/// A case of three members with one fault, or with none.
fn case_of(swarm: &str, fault: &str) -> String {
    let end = r#"{"how":"Kill","fate":0,"silent":false}"#;
    let fault = fault.replace("END", end);
    let comma = if swarm.is_empty() { "" } else { "," };
    let at = r#""at":{"secs":1,"nanos":0},"moment":0"#;
    let faults =
        if fault.is_empty() { String::new() } else { format!("{{{at},\"fault\":{fault}}}") };
    let nodes = if swarm.contains("nodes") { "" } else { r#","nodes":3"# };
    format!(
        r#"{{"format":1,"invariant":"I-1","found":7,"seed":7,"swarm":{{{swarm}{comma}"chaos":{{"secs":1,"nanos":0}}{nodes}}},"faults":[{faults}]}}"#
    )
}

/// Whatever number stands in a case of the corpus: it is refused, or it is a world.
#[test]
fn a_spoiled_case_is_refused_or_played_without_a_panic() {
    let mut whole: serde_json::Value =
        serde_json::from_str(&read(&files()[0]).to_text()).expect("it is one");
    whole["swarm"]["chaos"]["secs"] = 0.into();
    let (mut played, mut refused) = (0, 0);
    for place in 0..numbers_of(&mut whole.clone(), usize::MAX, 0.into()) {
        for number in [0.into(), u64::MAX.into(), serde_json::Value::from(0.5)] {
            let mut spoiled = whole.clone();
            numbers_of(&mut spoiled, place, number);
            let Ok(case) = Case::parse(&spoiled.to_string()) else {
                refused += 1;
                continue;
            };
            played += 1;
            let panicked = case.run(Detail::Brief).err();
            let panicked =
                panicked.filter(|failure| failure.violation.invariant == Invariant::NoPanic);
            assert!(panicked.is_none(), "{}\n{panicked:?}", case.to_text());
        }
    }
    assert!(played > 20 && refused > 20, "{played} were played, {refused} refused");
}

/// How many numbers there are in a value; the one in this place becomes another.
fn numbers_of(value: &mut serde_json::Value, place: usize, number: serde_json::Value) -> usize {
    fn walk(
        value: &mut serde_json::Value,
        at: &mut usize,
        place: usize,
        number: &serde_json::Value,
    ) {
        match value {
            serde_json::Value::Number(_) => {
                if *at == place {
                    *value = number.clone();
                }
                *at += 1;
            }
            serde_json::Value::Array(items) => {
                items.iter_mut().for_each(|item| walk(item, at, place, number))
            }
            serde_json::Value::Object(fields) => {
                fields.values_mut().for_each(|field| walk(field, at, place, number))
            }
            _ => {}
        }
    }
    let mut at = 0;
    walk(value, &mut at, place, &number);
    at
}

/// A build is part of what a failure is: without it, what is played again may be another run.
#[test]
fn a_case_remembers_the_build_that_it_was_found_in() {
    let text = case_of("", "")
        .replace(r#""found""#, r#""slow_paths":true,"mutant":"acks-own-twice","found""#);
    let build = Case::parse(&text).expect("it is one").build();
    assert_eq!(build.to_string(), "planted acks-own-twice, slow paths");
    assert_eq!(build.options(), " --mutant acks-own-twice --coverage");
    assert_eq!(Build::this().options(), "");
    let plain = Case::parse(&case_of("", "")).expect("it is one");
    assert_eq!(plain.build(), Build::default());
    assert!(!plain.to_text().contains("slow_paths"));
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
