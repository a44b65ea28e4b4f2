//! A whole Redis client: what it says to a running port, in whatever pieces, is answered in whole replies, one for each
//! command, and the port is there for the next client.

use crate::kit::Input;
use crate::served;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const COMMANDS_MAX: usize = 40;

/// Names, options and arguments: good commands and bad ones. Not WAIT, which waits, and not HELLO and QUIT, after which
/// replies look otherwise or do not come.
const WORDS: &[&str] = &[
    "get",
    "SET",
    "mget",
    "MSET",
    "del",
    "EXISTS",
    "incr",
    "DECR",
    "incrby",
    "decrby",
    "setnx",
    "GETSET",
    "append",
    "strlen",
    "keys",
    "FLUSHDB",
    "scan",
    "DBSIZE",
    "MULTI",
    "exec",
    "discard",
    "watch",
    "UNWATCH",
    "auth",
    "ping",
    "ECHO",
    "select",
    "readonly",
    "READWRITE",
    "info",
    "role",
    "command",
    "client",
    "config",
    "nx",
    "XX",
    "GET",
    "match",
    "COUNT",
    "setname",
    "docs",
    "id",
    "save",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "9223372036854775807",
    "a",
    "b",
    "*",
    "[",
];

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    if input.is() { anything(&mut input) } else { commands(&mut input) }
}

/// As many commands as there are replies.
fn commands(input: &mut Input<'_>) {
    let lengths = input.short();
    let (mut wire, mut count) = (Vec::new(), 0);
    while !input.is_empty() && count < COMMANDS_MAX {
        let words: Vec<&[u8]> = (0..1 + input.below(5)).map(|_| word(input)).collect();
        let avoided: [&[u8]; 3] = [b"wait", b"hello", b"quit"];
        if avoided.iter().any(|name| name.eq_ignore_ascii_case(words[0])) {
            continue;
        }
        wire.extend(format!("*{}\r\n", words.len()).into_bytes());
        for word in words {
            wire.extend(format!("${}\r\n", word.len()).into_bytes());
            wire.extend_from_slice(word);
            wire.extend_from_slice(b"\r\n");
        }
        count += 1;
    }
    let said = talk(Input::new(&wire).pieces(lengths));
    assert_eq!(count_replies(&said), count, "{}", String::from_utf8_lossy(&said));
}

fn word<'a>(input: &mut Input<'a>) -> &'a [u8] {
    match usize::from(input.byte()) {
        known if known < WORDS.len() => WORDS[known].as_bytes(),
        _ => input.short(),
    }
}

/// Bytes that may be no commands at all: what comes back is whole all the same.
fn anything(input: &mut Input<'_>) {
    let lengths = input.short();
    let bytes = input.rest();
    // Somebody who waits for replicas that there are none of waits for ever.
    if !bytes.to_ascii_lowercase().windows(4).any(|window| window == b"wait") {
        count_replies(&talk(Input::new(bytes).pieces(lengths)));
    }
}

/// Says this to the port and hangs up; all that is answered until it hangs up too.
fn talk(pieces: Vec<&[u8]>) -> Vec<u8> {
    let mut stream = TcpStream::connect(served::address()).expect("the port is there");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // A port that has refused the rest no longer reads it.
    let _ = pieces.iter().try_for_each(|piece| stream.write_all(piece));
    let _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        // What was still on its way when the port hung up.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("no answer: {error}"),
    }
    said
}

/// How many replies these bytes are, of either version.
fn count_replies(mut rest: &[u8]) -> usize {
    let mut count = 0;
    while !rest.is_empty() {
        // Replies that are missing of the one under way: an array's items count too.
        let mut missing = 1_u64;
        while missing > 0 {
            missing = missing - 1 + reply(&mut rest);
        }
        count += 1;
    }
    count
}

/// Takes the head of a reply and what it holds itself; tells how many follow that are part of it.
fn reply(rest: &mut &[u8]) -> u64 {
    let end = rest.windows(2).position(|two| two == b"\r\n").expect("a reply ends its line");
    let (line, behind) = (&rest[..end], &rest[end + 2..]);
    *rest = behind;
    let number = || -> i64 {
        std::str::from_utf8(&line[1..]).ok().and_then(|text| text.parse().ok()).expect("a number")
    };
    match line.first() {
        Some(b'+' | b'-' | b'_') => 0,
        Some(b':') => {
            number();
            0
        }
        Some(b'$') => {
            if let Ok(length) = usize::try_from(number()) {
                let (value, behind) = rest.split_at_checked(length + 2).expect("it is whole");
                assert!(value.ends_with(b"\r\n"));
                *rest = behind;
            }
            0
        }
        Some(b'*') => number().max(0) as u64,
        Some(b'%') => 2 * number().max(0) as u64,
        other => panic!("{other:?} begins no reply"),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let at = |word: &str| WORDS.iter().position(|known| *known == word).unwrap_or(255) as u8;
    let line = |words: &[&str]| -> Vec<u8> {
        let words: Vec<u8> = words.iter().map(|word| at(word)).collect();
        [&[words.len() as u8 - 1], &words[..]].concat()
    };
    let stories: [&[&[&str]]; 4] = [
        &[&["SET", "a", "b"], &["get", "a"], &["incr", "b"], &["mget", "a", "b"], &["keys", "*"]],
        &[&["MULTI"], &["SET", "a", "1"], &["incr", "a"], &["exec"], &["watch", "a"], &["exec"]],
        &[
            &["scan", "0", "match", "*"],
            &["info"],
            &["role"],
            &["command", "docs"],
            &["client", "id"],
        ],
        &[&["get"], &["config", "GET", "save"], &["select", "1"], &["FLUSHDB"], &["DBSIZE"]],
    ];
    let mut seeds = Vec::new();
    for story in stories {
        let lines: Vec<u8> = story.iter().flat_map(|words| line(words)).collect();
        seeds.push([&[0, 1, 255][..], &lines].concat());
        seeds.push([&[0, 2, 3, 0][..], &lines].concat());
    }
    let wires: [&[u8]; 5] = [
        b"PING\r\nHELLO 3\r\nGET a\r\nCOMMAND\r\nQUIT\r\nPING\r\n",
        b"*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n*1\r\n$4\r\nINFO\r\n",
        b"*1\r\n$99999999\r\n",
        b"set k 'v w'\r\nset k\r\n*1\r\n:1\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    seeds.extend(wires.iter().map(|wire| [&[1, 2, 7, 255], *wire].concat()));
    seeds
}
