//! Histories are foreign: whatever they say, they are read or refused, and never more than that.

#![cfg(feature = "jsonl")]

use proptest::prelude::*;
use rep_checker::jsonl::{LINE_BYTES_MAX, OPEN_MAX, read_history, write_history};
use rep_checker::{Budget, Entry, HistoryError, Judgement, ModelKind, Outcome, Problem, judge};

fn read(text: &str) -> Result<Vec<Entry>, HistoryError> {
    read_history(text.as_bytes())
}

/// What the reader refuses, with the line.
fn refused(text: &str) -> (u64, Problem) {
    let error = read(text).expect_err("it is refused");
    (error.line, error.problem)
}

/// A process, a type, an op, and what else stands in the line.
type Row = (i64, &'static str, &'static str, &'static str);

/// Events of `{"process":P,"type":"T","op":"O"` and more.
fn events(rows: &[(i64, &str, &str, &str)]) -> String {
    let event = |(process, kind, op, more): &(i64, &str, &str, &str)| {
        format!("{{\"process\":{process},\"type\":\"{kind}\",\"op\":\"{op}\"{more}}}\n")
    };
    rows.iter().map(event).collect()
}

#[test]
fn an_operation_is_open_from_its_line_to_that_of_its_completion() {
    let entries = read(&events(&[
        (1, "invoke", "write", r#","value":1,"time_ns":10"#),
        (2, "invoke", "read", ""),
        (2, "ok", "read", r#","value":null"#),
        (1, "ok", "write", r#","value":1,"time_ns":30"#),
        (3, "invoke", "cas", r#","value":[1,2]"#),
        (3, "fail", "cas", r#","value":[1,2]"#),
        (4, "invoke", "append", r#","key":"k","value":"x""#),
    ]))
    .unwrap();
    let spans: Vec<_> = entries.iter().map(|entry| (entry.invoked, entry.returned)).collect();
    assert_eq!(spans, [(1, Some(4)), (2, Some(3)), (5, Some(6)), (7, None)]);
    assert_eq!((entries[0].invoked_ns, entries[0].returned_ns), (Some(10), Some(30)));
    assert_eq!(entries[2].outcome, Outcome::Failed);
}

#[test]
fn a_process_that_was_started_again_leaves_its_operation_open() {
    let entries = read(&events(&[
        (1, "invoke", "write", r#","value":1"#),
        (1, "invoke", "write", r#","value":2"#),
        (1, "invoke", "read", ""),
        (1, "ok", "write", r#","value":1"#),
        (1, "ok", "read", r#","value":2"#),
        (1, "info", "write", r#","value":2"#),
        (1, "invoke", "read", ""),
    ]))
    .unwrap();
    let spans: Vec<_> = entries.iter().map(|entry| (entry.invoked, entry.returned)).collect();
    assert_eq!(spans, [(1, Some(4)), (2, None), (3, Some(5)), (7, None)]);
}

/// A process does one thing at a time, so of two alike the one that was left behind stays open.
#[test]
fn of_operations_that_are_alike_the_newest_is_completed() {
    let entries = read(&events(&[
        (1, "invoke", "read", ""),
        (1, "invoke", "read", ""),
        (1, "ok", "read", r#","value":2"#),
    ]))
    .unwrap();
    let spans: Vec<_> = entries.iter().map(|entry| (entry.invoked, entry.returned)).collect();
    assert_eq!(spans, [(1, None), (2, Some(3))]);
}

#[test]
fn what_is_said_of_an_unknown_or_failed_outcome_need_not_be_a_value() {
    let entries = read(&events(&[
        (1, "invoke", "cas", r#","value":[1,2]"#),
        (1, "info", "cas", r#","value":"timed out""#),
        (2, "invoke", "write", r#","value":1"#),
        (2, "fail", "write", r#","value":{"reason":[1.5]}"#),
        (3, "invoke", "read", r#","value":[]"#),
        (3, "fail", "read", r#","value":"no leader""#),
    ]))
    .unwrap();
    let outcomes: Vec<_> = entries.into_iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unknown, Outcome::Failed, Outcome::Failed]);
}

#[test]
fn each_mistake_is_told_with_its_line() {
    let begun = (1, "invoke", "write", r#","value":1"#);
    let cases: &[(&[Row], u64, &str)] = &[
        (&[(1, "ok", "read", "")], 1, "has no operation open"),
        (&[begun, (1, "ok", "write", ""), (1, "ok", "write", "")], 3, "completion twice"),
        (&[begun, (1, "info", "write", ""), (1, "ok", "write", "")], 3, "has no operation open"),
        (&[begun, (1, "ok", "read", "")], 2, "mixed up"),
        (&[begun, (1, "ok", "write", r#","value":2"#)], 2, "mixed up"),
        (&[begun, (1, "ok", "write", r#","key":"k""#)], 2, "mixed up"),
        (&[(1, "invoke", "write", "")], 1, "\"value\" is missing"),
        (&[(1, "invoke", "cas", r#","value":1"#)], 1, "a list of two values"),
        (&[(1, "invoke", "write", r#","value":1.5"#)], 1, "whole number"),
        (&[(1, "invoke", "write", r#","value":[1,2]"#)], 1, "a string"),
        (&[(1, "invoke", "delete", "")], 1, "read, write, cas or append"),
        (&[(1, "begin", "read", "")], 1, "invoke, ok, fail or info"),
        (&[(1, "invoke", "read", r#","op":"read""#)], 1, "twice"),
        (&[(1, "invoke", "read", r#","key":{}"#)], 1, "\"key\""),
        (&[(1, "invoke", "read", r#","time_ns":"noon""#)], 1, "\"time_ns\""),
    ];
    for (rows, line, told) in cases {
        let (at, problem) = refused(&events(rows));
        assert!(
            at == *line && problem.to_string().contains(told),
            "{rows:?}: line {at}: {problem}"
        );
    }
    let missing = refused("{\"type\":\"invoke\",\"op\":\"read\"}");
    assert!(matches!(missing, (1, Problem::Missing { field: "process" })));
    let cut = refused("\n\n{\"process\":1,");
    assert!(matches!(cut, (3, Problem::NotAnEvent(_))), "{cut:?}");
}

#[test]
fn every_bound_is_kept() {
    let long = format!("{{\"process\":1,\"x\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX as usize));
    assert!(matches!(refused(&long), (1, Problem::TooMuch { .. })));
    let open = events(&[(1, "invoke", "read", "")]).repeat(OPEN_MAX + 1);
    assert!(matches!(refused(&open), (1025, Problem::TooMuch { .. })));
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(matches!(refused(&deep), (1, Problem::NotAnEvent(_))));
}

/// Lines that are nearly events.
fn nearly_events() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just(String::new()),
        Just(",\"value\":null".to_owned()),
        (0..3).prop_map(|value| format!(",\"value\":{value}")),
        (0..3, 0..3).prop_map(|(old, new)| format!(",\"value\":[{old},{new}]")),
        "[a-c\\\\\"\u{1}é]{0,2}".prop_map(|text| format!(",\"value\":{:?}", text)),
    ];
    let kind =
        prop_oneof![3 => Just("invoke"), 3 => Just("ok"), 1 => Just("fail"), 1 => Just("info")];
    let op = prop_oneof![Just("read"), Just("write"), Just("cas"), Just("append"), Just("\u{0}")];
    let row = (0..3_i64, kind, op, value);
    let row = row.prop_map(|(process, kind, op, more)| events(&[(process, kind, op, &more)]));
    proptest::collection::vec(row, 0..40).prop_map(|rows| rows.concat())
}

/// The lines that are fit to be read one after the other: each that is refused is left out.
fn readable(text: &str) -> String {
    let mut fit = String::new();
    for line in text.lines() {
        let longer = format!("{fit}{line}\n");
        if read(&longer).is_ok() {
            fit = longer;
        }
    }
    fit
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_history(&*bytes);
    }

    #[test]
    fn any_text_of_json_is_read_or_refused(text in "[\\[\\]{}:,\"\\\\a-f0-9.eE+\\- \n\u{0}]{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn whatever_is_read_is_judged_and_reads_the_same_when_written(text in nearly_events()) {
        let entries = read(&readable(&text)).unwrap();
        let budget = Budget { states_max: 10_000, ..Budget::default() };
        let before = judge(ModelKind::Kv, &entries, &budget).expect("it knows every operation");
        let written = write_history(&entries);
        let again = read(&written).expect("what was written is read");
        prop_assert_eq!(again.len(), entries.len());
        let after = judge(ModelKind::Kv, &again, &budget).expect("it knows every operation");
        let is_good = |judgement| matches!(judgement, Judgement::Linearizable);
        prop_assert_eq!(is_good(before), is_good(after));
    }
}
