//! What each command does, asked by the `redis` crate.

use crate::group::{Group, PATIENCE, connect, eventually};
use redis::{Commands, Connection, RedisResult, Value};

/// A group of one is enough for what a command means.
pub(crate) fn one() -> (Group, Connection) {
    let group = Group::running(1);
    group.master();
    let connection = group.connect(0);
    (group, connection)
}

pub(crate) fn ask(connection: &mut Connection, line: &str) -> RedisResult<Value> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.query(connection)
}

/// The reply's error, as the client shows it.
pub(crate) fn refusal(connection: &mut Connection, line: &str) -> (String, String) {
    let error = ask(connection, line).expect_err(line);
    (error.code().unwrap_or("").to_owned(), error.detail().unwrap_or("").to_owned())
}

#[test]
pub(crate) fn keys_are_set_read_counted_and_removed() {
    let (_group, mut c) = one();
    assert_eq!(ask(&mut c, "PING"), Ok(Value::SimpleString("PONG".into())));
    assert_eq!(ask(&mut c, "ECHO x"), Ok(Value::BulkString(b"x".into())));
    assert_eq!(ask(&mut c, "GET a"), Ok(Value::Nil));
    assert_eq!(ask(&mut c, "SET a 1"), Ok(Value::Okay));
    assert_eq!(ask(&mut c, "MSET b 2 c 3 b 4"), Ok(Value::Okay));
    let values: Vec<Option<String>> = c.mget(&["a", "b", "nope", "c"]).unwrap();
    assert_eq!(values, [Some("1".into()), Some("4".into()), None, Some("3".into())]);
    assert_eq!(ask(&mut c, "EXISTS a a nope b"), Ok(Value::Int(3)));
    assert_eq!(ask(&mut c, "DBSIZE"), Ok(Value::Int(3)));
    assert_eq!(ask(&mut c, "DEL a a nope b"), Ok(Value::Int(2)));
    assert_eq!(ask(&mut c, "DBSIZE"), Ok(Value::Int(1)));
}

#[test]
fn a_set_may_depend_on_what_is_there() {
    let (_group, mut c) = one();
    assert_eq!(ask(&mut c, "SET a 1 XX"), Ok(Value::Nil));
    assert_eq!(ask(&mut c, "SET a 1 NX"), Ok(Value::Okay));
    assert_eq!(ask(&mut c, "SET a 2 NX"), Ok(Value::Nil));
    assert_eq!(ask(&mut c, "SET a 3 XX GET"), Ok(Value::BulkString(b"1".into())));
    assert_eq!(ask(&mut c, "SET a 4 NX GET"), Ok(Value::BulkString(b"3".into())));
    assert_eq!(ask(&mut c, "SET b 1 GET"), Ok(Value::Nil));
    assert_eq!(ask(&mut c, "GET a"), Ok(Value::BulkString(b"3".into())));
}

#[test]
fn numbers_count_and_what_is_none_is_left_alone() {
    let (group, mut c) = one();
    assert_eq!(ask(&mut c, "INCR n"), Ok(Value::Int(1)));
    assert_eq!(ask(&mut c, "INCRBY n 41"), Ok(Value::Int(42)));
    assert_eq!(ask(&mut c, "DECRBY n 2"), Ok(Value::Int(40)));
    assert_eq!(ask(&mut c, "DECR n"), Ok(Value::Int(39)));
    let () = c.set("word", "x").unwrap();
    let () = c.set("max", i64::MAX).unwrap();
    assert!(refusal(&mut c, "INCR word").1.contains("not an integer"));
    assert!(refusal(&mut c, "INCR max").1.contains("overflow"));
    assert_eq!(c.get::<_, i64>("max"), Ok(i64::MAX));

    let counters: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = group.connect(0);
            std::thread::spawn(move || {
                let mut pipe = redis::pipe();
                (0..50).for_each(|_| {
                    pipe.incr("shared", 1).ignore();
                });
                pipe.query::<()>(&mut connection).unwrap();
            })
        })
        .collect();
    counters.into_iter().for_each(|counter| counter.join().unwrap());
    assert_eq!(c.get::<_, i64>("shared"), Ok(200));
}

#[test]
fn any_bytes_are_keys_and_values() {
    let (_group, mut c) = one();
    let key: Vec<u8> = (0..=255).collect();
    let value: Vec<u8> = key.iter().rev().copied().chain(*b"\r\n$-1\r\n").collect();
    let () = c.set(&key, &value).unwrap();
    assert_eq!(c.get::<_, Vec<u8>>(&key), Ok(value));
    let () = c.set("", "the empty key").unwrap();
    assert_eq!(c.get::<_, String>(""), Ok("the empty key".into()));

    let large = vec![7; 7 << 20];
    let () = c.set("large", &large).unwrap();
    assert_eq!(c.get::<_, Vec<u8>>("large"), Ok(large));
    let error = c.mget::<_, Vec<Vec<u8>>>(&["large"; 10]).unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
    let mut both = redis::cmd("MSET");
    both.arg("a").arg(vec![7_u8; 5 << 20]).arg("b").arg(vec![7_u8; 5 << 20]);
    let error = both.query::<()>(&mut c).unwrap_err();
    assert_eq!(error.code(), Some("ERR"), "{error}");
    assert_eq!(c.exists::<_, bool>("a"), Ok(false));
    let key = vec![b'k'; (64 << 10) + 1];
    let error = c.set::<_, _, ()>(key, "v").unwrap_err();
    assert_eq!(error.code(), Some("ERR"));
}

#[test]
fn a_pipeline_reads_what_it_has_written_in_both_versions_of_the_protocol() {
    let (group, _) = one();
    for protocol in ["resp2", "resp3"] {
        let url = format!("redis://{}/?protocol={protocol}", group.resp[0]);
        let client = redis::Client::open(url).unwrap();
        let mut c = client.get_connection_with_timeout(PATIENCE).unwrap();
        let mut pipe = redis::pipe();
        for number in 0..300 {
            pipe.set("k", number).get("k").incr("n", 1).get("absent");
        }
        let () = redis::cmd("DEL").arg("n").query(&mut c).unwrap();
        let replies: Vec<Value> = pipe.query(&mut c).unwrap();
        for (number, replies) in replies.chunks(4).enumerate() {
            let expected = [
                Value::Okay,
                Value::BulkString(number.to_string().into()),
                Value::Int(number as i64 + 1),
                Value::Nil,
            ];
            assert_eq!(replies, expected);
        }
    }
}

#[test]
fn who_reads_what_is_applied_still_reads_what_it_has_written() {
    let (_group, mut c) = one();
    let () = redis::cmd("READONLY").query(&mut c).unwrap();
    for number in 0..200 {
        let () = c.set("k", number).unwrap();
        assert_eq!(c.get::<_, i64>("k"), Ok(number));
    }
}

#[test]
fn an_iteration_tells_every_key_once() {
    let (_group, mut c) = one();
    let mut pipe = redis::pipe();
    for number in 0..500 {
        pipe.set(format!("key:{number}"), number).ignore();
        pipe.set(format!("other:{number}"), number).ignore();
    }
    let () = pipe.query(&mut c).unwrap();
    let mut found = Vec::new();
    let mut cursor = 0_u64;
    let mut steps = 0;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg("key:*[05]").arg("COUNT").arg(37);
        let (next, keys): (u64, Vec<String>) = scan.query(&mut c).unwrap();
        found.extend(keys);
        steps += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(steps, 1000_usize.div_ceil(37));
    assert_eq!(found.len(), 100);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 100);
    assert!(refusal(&mut c, "SCAN 12345").1.contains("cursor"));
    assert_eq!(c.scan::<String>().unwrap().count(), 1000);
}

#[test]
fn what_is_not_supported_is_refused_and_has_no_effect() {
    let (_group, mut c) = one();
    for line in [
        "SET a 1 EX 10",
        "SET a 1 KEEPTTL",
        "SETEX a 10 1",
        "EXPIRE a 1",
        "FLUSHALL",
        "CONFIG SET appendonly no",
        "CONFIG GET maxmemory",
        "SELECT 1",
        "CLIENT KILL x",
        "SCAN 0 TYPE string",
        "MSET a",
        "GET",
    ] {
        assert_eq!(refusal(&mut c, line).0, "ERR", "{line}");
    }
    assert_eq!(ask(&mut c, "DBSIZE"), Ok(Value::Int(0)));
}

#[test]
fn clients_may_ask_what_they_like_to_ask_first() {
    let (group, mut c) = one();
    assert_eq!(ask(&mut c, "SELECT 0"), Ok(Value::Okay));
    assert_eq!(ask(&mut c, "CLIENT SETNAME me"), Ok(Value::Okay));
    assert_eq!(ask(&mut c, "CLIENT GETNAME"), Ok(Value::BulkString(b"me".into())));
    assert!(matches!(ask(&mut c, "CLIENT ID"), Ok(Value::Int(1..))));
    let appendonly: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("appendonly").query(&mut c).unwrap();
    assert_eq!(appendonly, ["appendonly", "yes"]);
    let info: String = redis::cmd("INFO").query(&mut c).unwrap();
    for line in ["role:master", "loading:0", "node:n1", "group:bank", "connected_slaves:0"] {
        assert!(info.lines().any(|found| found == line), "{line} is missing in\n{info}");
    }
    let commands: Vec<Value> = redis::cmd("COMMAND").query(&mut c).unwrap();
    let count: usize = redis::cmd("COMMAND").arg("COUNT").query(&mut c).unwrap();
    assert_eq!(commands.len(), count);
    assert_eq!(ask(&mut c, "QUIT"), Ok(Value::Okay));
    assert!(ask(&mut c, "PING").is_err());
    connect(&group.resp[0]).unwrap();
}

#[test]
fn a_replica_says_where_the_master_is_and_reads_only_if_told_to() {
    let group = Group::steady(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "v");
    let replica = (master + 1) % 3;
    let mut at_master = group.connect(master);
    let mut at_replica = group.connect(replica);
    let there = format!("{} {}", group.name(master), group.resp[master]);
    // It follows before it has heard where the master's Redis port is.
    eventually("a redirection", || {
        let (code, detail) = refusal(&mut at_replica, "GET k");
        assert!(["NOTMASTER", "MASTERDOWN"].contains(&&*code), "{code} {detail}");
        (detail == there).then_some(())
    });
    let (code, detail) = refusal(&mut at_replica, "SET k w");
    assert_eq!(code, "READONLY");
    assert!(detail.ends_with(&there), "{detail}");

    assert_eq!(ask(&mut at_replica, "READONLY"), Ok(Value::Okay));
    eventually("the value at the replica", || {
        at_replica.get::<_, Option<String>>("k").unwrap().filter(|value| value == "v")
    });
    assert_eq!(refusal(&mut at_replica, "SET k w").0, "READONLY");
    assert_eq!(ask(&mut at_replica, "READWRITE"), Ok(Value::Okay));
    assert_eq!(refusal(&mut at_replica, "GET k").0, "NOTMASTER");

    let role: (String, String, u16, String, i64) =
        redis::cmd("ROLE").query(&mut at_replica).unwrap();
    let (host, port) = group.resp[master].rsplit_once(':').unwrap();
    assert_eq!((&*role.0, &*role.1, role.2), ("slave", host, port.parse().unwrap()));
    let role: (String, i64, Vec<(String, String, String)>) =
        redis::cmd("ROLE").query(&mut at_master).unwrap();
    assert_eq!((&*role.0, role.2.len()), ("master", 2));
}

#[test]
fn without_a_majority_writes_and_reads_are_refused_and_nothing_happens() {
    let mut group = Group::running(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "before");
    let mut c = group.connect(master);
    (0..3).filter(|at| *at != master).for_each(|at| group.kill(at));
    // Until the loss is noticed, a write is logged and stays unknown; after that it is refused.
    let mut unknown = Vec::new();
    let code = eventually("a refusal", || {
        let key = format!("late-{}", unknown.len());
        match c.set::<_, _, ()>(&key, "x") {
            Ok(()) => panic!("acknowledged by one of three"),
            Err(error) if error.code() == Some("UNKNOWNOUTCOME") => {
                unknown.push(key);
                None
            }
            Err(error) => error.code().map(str::to_owned),
        }
    });
    assert!(["NOREPLICAS", "MASTERDOWN"].contains(&&*code), "{code}");
    let refused = format!("late-{}", unknown.len());
    let read: RedisResult<String> = c.get("k");
    assert!(["MASTERDOWN", "TRYAGAIN"].contains(&read.unwrap_err().code().unwrap()));
    (0..3).filter(|at| *at != master).for_each(|at| group.start(at));
    assert_eq!(group.get("k").as_deref(), Some("before"));
    assert_eq!(group.get(&refused), None);
}

#[test]
fn values_are_lengthened_measured_and_exchanged_in_both_versions_of_the_protocol() {
    let (group, _) = one();
    for protocol in ["resp2", "resp3"] {
        let url = format!("redis://{}/?protocol={protocol}", group.resp[0]);
        let client = redis::Client::open(url).unwrap();
        let mut c = client.get_connection_with_timeout(PATIENCE).unwrap();
        assert_eq!(ask(&mut c, "FLUSHDB"), Ok(Value::Okay));
        assert_eq!(ask(&mut c, "SETNX a 1"), Ok(Value::Int(1)));
        assert_eq!(ask(&mut c, "SETNX a 2"), Ok(Value::Int(0)));
        assert_eq!(ask(&mut c, "GETSET a 3"), Ok(Value::BulkString(b"1".into())));
        assert_eq!(ask(&mut c, "GETSET b 4"), Ok(Value::Nil));
        assert_eq!(ask(&mut c, "APPEND a 56"), Ok(Value::Int(3)));
        assert_eq!(ask(&mut c, "APPEND new xy"), Ok(Value::Int(2)));
        assert_eq!(ask(&mut c, "STRLEN a"), Ok(Value::Int(3)));
        assert_eq!(ask(&mut c, "STRLEN absent"), Ok(Value::Int(0)));
        assert_eq!(ask(&mut c, "GET a"), Ok(Value::BulkString(b"356".into())));
        assert_eq!(ask(&mut c, "INCR a"), Ok(Value::Int(357)));
        let () =
            redis::cmd("APPEND").arg("a").arg(&[0_u8, 255, b'\r', b'\n']).query(&mut c).unwrap();
        assert_eq!(c.get::<_, Vec<u8>>("a"), Ok(b"357\x00\xff\r\n".to_vec()));
        let large = vec![7_u8; 6 << 20];
        let () = c.set("large", &large).unwrap();
        let error = redis::cmd("APPEND").arg("large").arg(&large).query::<()>(&mut c).unwrap_err();
        assert!(error.to_string().contains("maximum allowed size"), "{error}");
        assert_eq!(ask(&mut c, "STRLEN large"), Ok(Value::Int(6 << 20)));
    }
}

#[test]
fn keys_are_found_by_pattern_and_all_of_them_removed() {
    let (group, mut c) = one();
    let mut pipe = redis::pipe();
    for number in 0..3000 {
        pipe.set(format!("key:{number}"), number).ignore();
    }
    let () = pipe.query(&mut c).unwrap();
    let mut found: Vec<String> = redis::cmd("KEYS").arg("key:?").query(&mut c).unwrap();
    found.sort();
    let expected: Vec<String> = (0..10).map(|number| format!("key:{number}")).collect();
    assert_eq!(found, expected);
    let all: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut c).unwrap();
    assert_eq!(all.len(), 3000);
    // Whoever else writes is served meanwhile, and a command behind it sees what it has done.
    let mut other = group.connect(0);
    let writer = std::thread::spawn(move || {
        (0..50).for_each(|number| other.set::<_, _, ()>("zzz", number).unwrap());
    });
    let mut pipe = redis::pipe();
    pipe.set("key:new", 1).cmd("FLUSHDB").exists("key:new").exists("key:2999");
    let replies: Vec<Value> = pipe.query(&mut c).unwrap();
    assert_eq!(replies, [Value::Okay, Value::Okay, Value::Int(0), Value::Int(0)]);
    writer.join().unwrap();
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut c).unwrap();
    assert!(left.iter().all(|key| key == "zzz"), "{left:?}");
    for line in ["FLUSHDB", "FLUSHDB ASYNC", "FLUSHDB SYNC"] {
        assert_eq!(ask(&mut c, line), Ok(Value::Okay));
    }
    assert_eq!(ask(&mut c, "DBSIZE"), Ok(Value::Int(0)));
    assert_eq!(ask(&mut c, "KEYS *"), Ok(Value::Array(vec![])));
}

#[test]
fn commands_of_many_keys_do_what_short_ones_do() {
    let (_group, mut c) = one();
    let names: Vec<String> = (0..5000).map(|number| format!("k{number}")).collect();
    let pairs: Vec<&String> = names.iter().flat_map(|name| [name, name]).collect();
    let mut pipe = redis::pipe();
    pipe.set("k0", "before").cmd("MSET").arg(&pairs);
    pipe.cmd("EXISTS").arg(&names).cmd("MGET").arg(&names).get("k0");
    pipe.cmd("DEL").arg(&names).cmd("DEL").arg(&names).cmd("DBSIZE");
    let replies: Vec<Value> = pipe.query(&mut c).unwrap();
    let text = |name: &String| Value::BulkString(name.as_bytes().into());
    assert_eq!(replies[..3], [Value::Okay, Value::Okay, Value::Int(5000)]);
    assert_eq!(replies[3], Value::Array(names.iter().map(text).collect()));
    assert_eq!(replies[4..], [text(&names[0]), Value::Int(5000), Value::Int(0), Value::Int(0)]);
}

#[test]
fn a_client_may_wait_until_replicas_hold_what_it_wrote() {
    let mut group = Group::steady(3);
    let (master, _) = group.put(&[0, 1, 2], "k", "v");
    let mut c = group.connect(master);
    let others: Vec<usize> = (0..3).filter(|at| *at != master).collect();
    let () = c.set("k", "w").unwrap();
    assert_eq!(ask(&mut c, "WAIT 2 0"), Ok(Value::Int(2)));
    assert_eq!(ask(&mut c, "WAIT 0 0"), Ok(Value::Int(2)));
    group.kill(others[0]);
    let () = c.set("k", "x").unwrap();
    assert_eq!(ask(&mut c, "WAIT 1 0"), Ok(Value::Int(1)));
    assert_eq!(ask(&mut c, "WAIT 2 50"), Ok(Value::Int(1)));
    // In a pipeline it waits for the writes before it, and what is behind waits for it.
    let mut pipe = redis::pipe();
    pipe.set("k", "y").cmd("WAIT").arg(1).arg(0).get("k");
    let replies: Vec<Value> = pipe.query(&mut c).unwrap();
    assert_eq!(replies, [Value::Okay, Value::Int(1), Value::BulkString(b"y".into())]);
    group.start(others[0]);
    assert_eq!(ask(&mut c, "WAIT 2 60000"), Ok(Value::Int(2)));
    assert_eq!(refusal(&mut c, "WAIT 1 -1").0, "ERR");
    assert_eq!(refusal(&mut c, "WAIT x 1").0, "ERR");
}

#[test]
fn pipelines_of_any_length_are_answered_in_order() {
    let (group, _) = one();
    let talkers: Vec<_> = [1, 2, 16, 100, 1000]
        .into_iter()
        .map(|length| {
            let mut c = group.connect(0);
            std::thread::spawn(move || {
                for round in 0..3 {
                    let mut pipe = redis::pipe();
                    (0..length).for_each(|number| {
                        let key = format!("{length}-{}", number % 7);
                        pipe.set(&key, round * length + number).ignore();
                        pipe.cmd("INCR").arg(format!("{length}-count"));
                        if number % 3 == 0 {
                            pipe.get(key);
                        }
                    });
                    let replies: Vec<i64> = pipe.query(&mut c).unwrap();
                    let mut replies = replies.into_iter();
                    for number in 0..length {
                        assert_eq!(replies.next(), Some(round * length + number + 1));
                        if number % 3 == 0 {
                            assert_eq!(replies.next(), Some(round * length + number));
                        }
                    }
                }
            })
        })
        .collect();
    talkers.into_iter().for_each(|talker| talker.join().unwrap());
}
