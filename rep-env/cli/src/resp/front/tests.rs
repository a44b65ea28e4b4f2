//! Clients that are many, greedy or silent: what they cost the others.

use crate::resp::memory::SHARE;
use crate::resp::{RespConfig, RespServer};
use redis::{Commands, Connection};
use rep_env::net::mem::Hub;
use rep_env::{RepConfig, ReplicatedEnvironment};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// The memory of a port that is to become full.
const BUDGET: usize = 1 << 20;
/// What a crowd's unfinished commands take beside their bytes, which is counted once it is taken.
const OVERHEAD: usize = 8 << 10;

/// A group of one, and its port.
fn serve(change: impl FnOnce(&mut RespConfig)) -> RespServer {
    let config = RepConfig::builder("g", "n1")
        .members(["n1=here"])
        .transport(Hub::default().transport())
        .ephemeral();
    let env = ReplicatedEnvironment::open(config.build().unwrap()).unwrap();
    env.wait_for_master(PATIENCE).unwrap();
    let mut config = RespConfig::default();
    change(&mut config);
    RespServer::start(TcpListener::bind("127.0.0.1:0").unwrap(), env, config).unwrap()
}

fn connect(server: &RespServer) -> TcpStream {
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn client(server: &RespServer) -> Connection {
    let client = redis::Client::open(format!("redis://{}", server.local_addr())).unwrap();
    let connection = client.get_connection_with_timeout(PATIENCE).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// What INFO says of the memory that clients make the port keep.
fn kept(client: &mut Connection) -> usize {
    let info: String = redis::cmd("INFO").arg("clients").query(client).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("clients_memory_bytes:")).unwrap();
    line.parse().unwrap()
}

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let start = Instant::now();
    while !look() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Writes for as long as the other side takes it, a mebibyte at most.
fn pour(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let chunk = [b'x'; 32 << 10];
    let mut poured = 0;
    while poured < 1 << 20 {
        match stream.write(&chunk) {
            Ok(written) => poured += written,
            Err(_) => return,
        }
    }
}

#[test]
fn a_crowd_of_unfinished_commands_takes_no_more_than_the_budget_and_ordinary_clients_go_on() {
    let server = serve(|config| config.memory_bytes_max = BUDGET);
    let mut ordinary = client(&server);
    let mut crowd: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    for stream in &mut crowd {
        stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7000000\r\n").unwrap();
    }
    let bound = BUDGET + OVERHEAD;
    eventually("the end of room", || {
        crowd.iter_mut().for_each(pour);
        let kept = kept(&mut ordinary);
        assert!(kept <= bound, "{kept}");
        kept >= BUDGET
    });
    for number in 0..20 {
        crowd.iter_mut().for_each(pour);
        ordinary.set::<_, _, ()>("n", number).unwrap();
        assert_eq!(ordinary.get("n"), Ok(number));
        assert!(kept(&mut ordinary) <= bound);
    }
    drop(crowd);
    eventually("room", || kept(&mut ordinary) == 0);
    ordinary.set::<_, _, ()>("large", vec![7; 600 << 10]).unwrap();
}

#[test]
fn a_crowd_that_has_most_of_its_shares_takes_no_more_than_the_budget_either() {
    let server = serve(|config| config.memory_bytes_max = BUDGET);
    let mut ordinary = client(&server);
    let mut crowd: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    let most = vec![b'x'; SHARE - 1024];
    for stream in &mut crowd {
        stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7000000\r\n").unwrap();
        stream.write_all(&most).unwrap();
    }
    let mut greedy = connect(&server);
    greedy.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7000000\r\n").unwrap();
    eventually("the end of room", || {
        pour(&mut greedy);
        kept(&mut ordinary) >= BUDGET
    });
    // Each of them has a little of its share left, and sends more than that.
    for _ in 0..20 {
        crowd.iter_mut().for_each(pour);
        let kept = kept(&mut ordinary);
        assert!(kept <= BUDGET + OVERHEAD, "{kept}");
    }
}

#[test]
fn who_keeps_memory_from_others_and_says_nothing_is_hung_up_on() {
    let server = serve(|config| {
        config.memory_bytes_max = BUDGET;
        // Long enough for its memory to be seen before it is taken away.
        config.memory_timeout = Duration::from_secs(5);
    });
    let mut ordinary = client(&server);
    let mut silent = connect(&server);
    silent.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7000000\r\n").unwrap();
    eventually("the end of room", || {
        pour(&mut silent);
        kept(&mut ordinary) >= BUDGET
    });
    silent.set_nonblocking(false).unwrap();
    // An end or a reset, as the system likes.
    let end = silent.read(&mut [0; 1]);
    assert!(end.as_ref().map_or(true, |bytes| *bytes == 0), "{end:?}");
    eventually("room", || kept(&mut ordinary) == 0);
    ordinary.set::<_, _, ()>("large", vec![7; 600 << 10]).unwrap();
}

#[test]
fn who_does_not_read_is_not_read_from_and_then_hung_up_on() {
    let server = serve(|config| config.client_timeout = Duration::from_millis(300));
    let mut ordinary = client(&server);
    ordinary.set::<_, _, ()>("large", vec![7; 1 << 20]).unwrap();
    let mut greedy = connect(&server);
    greedy.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut most = 0;
    // As many replies as no buffer of the system takes.
    let ended = (0..20_000).any(|round| {
        if round % 500 == 0 {
            most = most.max(kept(&mut ordinary));
            assert_eq!(ordinary.strlen("large"), Ok(1 << 20));
        }
        greedy.write_all(b"GET large\r\n").is_err()
    });
    assert!(most <= 4 << 20, "{most} bytes were kept for one client");
    if !ended {
        eventually("the end", || greedy.write_all(b"GET large\r\n").is_err());
    }
    eventually("room", || kept(&mut ordinary) == 0);
}

#[test]
fn one_client_too_many_is_refused_in_words_and_there_is_room_when_one_has_gone() {
    let server = serve(|config| config.clients_max = 3);
    let mut clients: Vec<Connection> = (0..3).map(|_| client(&server)).collect();
    clients.iter_mut().for_each(|client| redis::cmd("PING").exec(client).unwrap());
    let refusal = || {
        let mut said = String::new();
        connect(&server).read_to_string(&mut said).unwrap();
        said
    };
    assert_eq!(refusal(), "-ERR max number of clients reached\r\n");
    clients.iter_mut().for_each(|client| redis::cmd("PING").exec(client).unwrap());
    clients.pop();
    eventually("room for another client", || {
        let mut stream = connect(&server);
        let mut answer = [0; 5];
        let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
        asked.is_ok() && &answer == b"+PONG"
    });
}

#[test]
fn several_fronts_serve_as_one() {
    let mut server = serve(|config| config.fronts = 3);
    let address = server.local_addr();
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let mut c = client(&server);
            std::thread::spawn(move || {
                for _ in 0..20 {
                    let mut pipe = redis::pipe();
                    (0..10).for_each(|_| {
                        pipe.incr("n", 1).ignore();
                    });
                    pipe.query::<()>(&mut c).unwrap();
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(client(&server).get("n"), Ok(2400));
    server.close(PATIENCE);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_port_that_closes_answers_what_it_has_taken() {
    let mut server = serve(|_| {});
    let mut stream = connect(&server);
    stream.write_all(b"SET k v\r\nGET k\r\n").unwrap();
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).unwrap();
    let closing = std::thread::spawn(move || server.close(PATIENCE));
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "\r\n$1\r\nv\r\n");
    drop(stream);
    closing.join().unwrap();
}
