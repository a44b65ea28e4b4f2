//! `MULTI`, `EXEC`, `WATCH`: several commands as one.

use crate::commands::{ask, one, refusal};
use crate::group::{Group, eventually};
use redis::{Commands, Connection, ConnectionLike, Value};

fn ask_all(c: &mut Connection, lines: &[&str]) {
    for line in lines {
        let status = ask(c, line).expect(line);
        assert!(matches!(status, Value::Okay | Value::SimpleString(_)), "{line}: {status:?}");
    }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.into())
}

#[test]
fn what_stands_between_multi_and_exec_happens_at_once() {
    let (group, mut c) = one();
    let mut other = group.connect(0);
    for protocol in ["2", "3"] {
        let () = redis::cmd("HELLO").arg(protocol).query::<Value>(&mut c).map(drop).unwrap();
        ask_all(&mut c, &["SET word x", "SET n 1", "MULTI", "SET a 1", "INCR n", "GET n", "GET a"]);
        ask_all(&mut c, &["MGET a word", "DEL a", "PING"]);
        assert_eq!(other.get("n"), Ok(1), "nothing happens before EXEC");
        let expected = [
            Value::Okay,
            Value::Int(2),
            text("2"),
            text("1"),
            Value::Array(vec![text("1"), text("x")]),
            Value::Int(1),
            Value::SimpleString("PONG".into()),
        ];
        assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Array(expected.into())));
        assert_eq!(other.get("n"), Ok(2));
        assert_eq!(ask(&mut c, "EXISTS a"), Ok(Value::Int(0)));
        ask_all(&mut c, &["MULTI"]);
        assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Array(vec![])));
    }
}

#[test]
fn a_command_that_turns_out_to_be_impossible_changes_nothing_and_the_others_take_effect() {
    let (_group, mut c) = one();
    ask_all(&mut c, &["SET word x", "MULTI", "SET a 1", "INCR word", "SET b 2"]);
    let exec = redis::cmd("EXEC").get_packed_command();
    let Ok(Value::Array(replies)) = c.req_packed_command(&exec) else { panic!("no array") };
    assert_eq!((&replies[0], &replies[2]), (&Value::Okay, &Value::Okay));
    let Value::ServerError(error) = &replies[1] else { panic!("{:?}", replies[1]) };
    assert!(error.details().is_some_and(|text| text.contains("not an integer")), "{error:?}");
    let values: Vec<String> = c.mget(&["word", "a", "b"]).unwrap();
    assert_eq!(values, ["x", "1", "2"]);
}

#[test]
fn what_cannot_be_queued_leaves_nothing_to_carry_out() {
    let (_group, mut c) = one();
    for wrong in
        ["INCR", "NOSUCH", "SET a 1 EX 10", "KEYS *", "FLUSHDB", "DBSIZE", "HELLO 3", "INFO"]
    {
        ask_all(&mut c, &["MULTI", "SET a 1"]);
        assert_eq!(refusal(&mut c, wrong).0, "ERR", "{wrong}");
        ask_all(&mut c, &["SET b 1"]);
        assert_eq!(refusal(&mut c, "EXEC").0, "EXECABORT", "{wrong}");
        assert_eq!(ask(&mut c, "DBSIZE"), Ok(Value::Int(0)), "{wrong}");
    }
    // These are wrong, too, but spoil nothing.
    ask_all(&mut c, &["MULTI", "SET a 1"]);
    assert!(refusal(&mut c, "MULTI").1.contains("nested"));
    assert!(refusal(&mut c, "WATCH a").1.contains("inside MULTI"));
    assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Array(vec![Value::Okay])));
    assert!(refusal(&mut c, "EXEC").1.contains("without MULTI"));
    assert!(refusal(&mut c, "DISCARD").1.contains("without MULTI"));
    ask_all(&mut c, &["MULTI", "SET a 2", "DISCARD"]);
    assert_eq!(c.get("a"), Ok(1));
}

#[test]
fn all_of_it_is_too_large_or_none() {
    let (_group, mut c) = one();
    let large = vec![b'x'; 5 << 20];
    ask_all(&mut c, &["MULTI", "SET small 1"]);
    for key in ["a", "b"] {
        let _: Value = redis::cmd("SET").arg(key).arg(&large).query(&mut c).unwrap();
    }
    assert_eq!(refusal(&mut c, "EXEC").0, "ERR");
    assert_eq!(ask(&mut c, "DBSIZE"), Ok(Value::Int(0)));
    // Many keys are more than a front does by the way.
    let pairs: Vec<String> = (0..6000).map(|number| number.to_string()).collect();
    ask_all(&mut c, &["MULTI"]);
    let _: Value = redis::cmd("MSET").arg(&pairs).query(&mut c).unwrap();
    assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Array(vec![Value::Okay])));
    assert_eq!(ask(&mut c, "DBSIZE"), Ok(Value::Int(3000)));
}

#[test]
fn a_watched_key_that_changes_ends_the_transaction() {
    let (group, mut c) = one();
    let mut other = group.connect(0);
    let changes: [&[&str]; 4] =
        [&["SET a 2"], &["DEL a"], &["INCR a"], &["MULTI", "SET a 7", "EXEC"]];
    for (protocol, change) in ["2", "3", "2", "3"].iter().zip(changes) {
        let () = redis::cmd("HELLO").arg(protocol).query::<Value>(&mut c).map(drop).unwrap();
        ask_all(&mut c, &["SET a 1", "SET b 1", "WATCH b a", "MULTI", "SET done x"]);
        change.iter().for_each(|line| drop(ask(&mut other, line).unwrap()));
        assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Nil), "{change:?}");
        assert_eq!(ask(&mut c, "EXISTS done"), Ok(Value::Int(0)));
        // What was watched is forgotten with it.
        ask_all(&mut c, &["MULTI", "SET done x"]);
        assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Array(vec![Value::Okay])));
        let () = c.del("done").unwrap();
    }
    // A key that came to be.
    ask_all(&mut c, &["WATCH absent"]);
    ask_all(&mut other, &["SET absent 1"]);
    ask_all(&mut c, &["MULTI", "SET done x"]);
    assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Nil));
    // One's own change counts, and so does nothing after UNWATCH or DISCARD.
    ask_all(&mut c, &["WATCH a", "SET a own", "MULTI", "SET done x"]);
    assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Nil));
    ask_all(&mut c, &["WATCH a", "UNWATCH"]);
    ask_all(&mut other, &["SET a 3"]);
    ask_all(&mut c, &["MULTI", "SET done x"]);
    assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Array(vec![Value::Okay])));
    ask_all(&mut c, &["WATCH a", "MULTI", "DISCARD"]);
    ask_all(&mut other, &["SET a 4"]);
    ask_all(&mut c, &["MULTI", "SET done x"]);
    assert_eq!(ask(&mut c, "EXEC"), Ok(Value::Array(vec![Value::Okay])));
}

#[test]
fn many_who_watch_the_same_key_lose_no_step() {
    let (group, mut c) = one();
    let steppers: Vec<_> = (0..4)
        .map(|_| {
            let mut c = group.connect(0);
            std::thread::spawn(move || {
                let mut steps = 0;
                while steps < 25 {
                    ask_all(&mut c, &["WATCH n"]);
                    let n: Option<i64> = c.get("n").unwrap();
                    let n = n.unwrap_or(0) + 1;
                    ask_all(&mut c, &["MULTI", &format!("SET n {n}")]);
                    steps += i32::from(ask(&mut c, "EXEC").unwrap() != Value::Nil);
                }
            })
        })
        .collect();
    steppers.into_iter().for_each(|stepper| stepper.join().unwrap());
    assert_eq!(c.get("n"), Ok(100));
}

#[test]
fn what_was_watched_at_one_master_is_not_trusted_at_another() {
    let mut group = Group::running(3);
    let (old, term) = group.put(&[0, 1, 2], "k", "1");
    let mut c = group.connect(old);
    ask_all(&mut c, &["WATCH k", "MULTI", "SET done x"]);
    // The others are gone until it has given up, and whoever is master then, it is so in another term.
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    others.iter().for_each(|at| group.kill(*at));
    eventually("the end of its term", || {
        group.status(old).filter(|report| report.state != "master")
    });
    others.iter().for_each(|at| group.start(*at));
    let (_, newer) = group.master_of(&[0, 1, 2], term);
    assert!(newer > term);
    match redis::cmd("EXEC").query::<Value>(&mut c) {
        Ok(reply) => assert_eq!(reply, Value::Nil),
        Err(error) => {
            assert!(["READONLY", "MASTERDOWN"].contains(&error.code().unwrap()), "{error}")
        }
    }
    assert_eq!(group.get("done"), None);
    assert_eq!(group.get("k").as_deref(), Some("1"));
}

#[test]
fn a_replica_watches_nothing_and_carries_out_nothing() {
    let group = Group::steady(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "v");
    let mut c = group.connect((master + 1) % 3);
    let moved = ["READONLY", "NOTMASTER", "MASTERDOWN"];
    for readonly in ["READWRITE", "READONLY"] {
        ask_all(&mut c, &[readonly]);
        assert!(moved.contains(&&*refusal(&mut c, "WATCH k").0));
        ask_all(&mut c, &["MULTI", "SET k w"]);
        assert!(moved.contains(&&*refusal(&mut c, "EXEC").0));
    }
    assert_eq!(refusal(&mut c, "WAIT 1 0").0, "UNBLOCKED");
    assert_eq!(group.get("k").as_deref(), Some("v"));
}
