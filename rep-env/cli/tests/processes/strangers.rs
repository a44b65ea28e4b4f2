//! Clients that send anything.

use crate::group::{Group, PATIENCE};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

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

/// A member used to live with the soft limit that it found, which is usually 1024: with as many clients as it may have, it could
/// refuse none, and no other member reached it.
#[test]
fn a_member_takes_as_many_clients_as_its_hard_limit_lets_it_and_says_if_that_is_few() {
    let mut group = Group::new(1);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 32 && ulimit -Hn 200 && exec \"$@\"", "sh"]);
    group.start_under(0, command);
    group.master();
    let clients: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&group);
            stream.write_all(b"PING\r\n").unwrap();
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).unwrap();
            stream
        })
        .collect();
    drop(clients);
    let log = fs::read_to_string(group.home(0).with_extension("log")).unwrap();
    assert!(log.contains("too few files and sockets") && log.contains("limit=200"), "{log}");
}
