//! Clients that send anything.

use crate::group::{Group, PATIENCE};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

fn connect(group: &Group) -> TcpStream {
    let stream = TcpStream::connect(&group.resp[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All that is answered until the server hangs up.
fn talk(group: &Group, bytes: &[u8]) -> String {
    let mut stream = connect(group);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn lines_of_words_are_commands_too() {
    let group = Group::running(1);
    group.master();
    let answer = talk(&group, b"PING\r\n\r\nset k \"a b\"\nGET k\r\nQUIT\r\nPING\r\n");
    assert_eq!(answer, "+PONG\r\n+OK\r\n$3\r\na b\r\n+OK\r\n");
}

#[test]
fn what_is_no_command_is_told_so_and_hung_up_on() {
    let group = Group::running(1);
    group.master();
    for bytes in [
        &b"*1\r\n*1\r\n"[..],
        b"*2000000\r\n",
        b"*-9999999999999999999\r\n",
        b"*1\r\n$99999999\r\n",
        b"*1\r\n$3\r\nPINGxx",
        b"get \"unfinished\r\n",
        &[b'a'; 70_000],
    ] {
        let answer = talk(&group, bytes);
        assert!(answer.starts_with("-ERR Protocol error: "), "{answer}");
        assert!(answer.ends_with("\r\n") && answer.lines().count() == 1, "{answer}");
    }
    // The explanation arrives even if more was sent than anybody reads.
    let flood = [&b"*x\r\n"[..], &[b'a'; 300_000]].concat();
    assert!(talk(&group, &flood).starts_with("-ERR Protocol error: "));
    // What came before it is answered first, writes too.
    let answer = talk(&group, b"SET k v\r\nSET k w\r\n*x\r\nPING\r\n");
    assert!(answer.starts_with("+OK\r\n+OK\r\n-ERR Protocol error"), "{answer}");
}

#[test]
fn a_client_that_hangs_up_is_still_answered_what_it_asked() {
    let group = Group::running(1);
    group.master();
    let mut stream = connect(&group);
    stream.write_all(b"SET k v\r\nGET k\r\nSET k w\r\nPI").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "+OK\r\n$1\r\nv\r\n+OK\r\n");
}

#[test]
fn one_client_too_many_is_refused_in_words() {
    let group = Group::running(1);
    group.master();
    let clients: Vec<TcpStream> = (0..1024)
        .map(|_| {
            let mut stream = connect(&group);
            stream.write_all(b"PING\r\n").unwrap();
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).unwrap();
            stream
        })
        .collect();
    assert_eq!(talk(&group, b""), "-ERR max number of clients reached\r\n");
    drop(clients);
    crate::group::eventually("room for another client", || {
        talk(&group, b"QUIT\r\n").starts_with("+OK").then_some(())
    });
}
