//! What a master says that has been cut off from the others and does not know it yet.

use crate::resp::{RespConfig, RespServer};
use redis::{Connection, RedisResult};
use rep_env::net::mem::Hub;
use rep_env::{NodeState, RepConfig, ReplicatedEnvironment};
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn member(hub: &Hub, number: usize) -> ReplicatedEnvironment {
    let config = RepConfig::builder("g", format!("n{number}"))
        .members(["n1=a", "n2=b", "n3=c"])
        .transport(hub.transport())
        .ephemeral()
        .tune(|timing, _| {
            // A master that nobody answers any more believes for so long that it still is one.
            timing.election_timeout = Duration::from_secs(4);
            timing.read_timeout = Duration::from_millis(500);
        });
    ReplicatedEnvironment::open(config.build().unwrap()).unwrap()
}

fn serve(env: &ReplicatedEnvironment) -> (RespServer, Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = RespServer::start(listener, env.clone(), RespConfig::default()).unwrap();
    let client = redis::Client::open(format!("redis://{}", server.local_addr())).unwrap();
    (server, client.get_connection().unwrap())
}

fn run(client: &mut Connection, words: &[&str]) -> RedisResult<redis::Value> {
    redis::cmd(words[0]).arg(&words[1..]).query(client)
}

#[test]
fn a_master_that_nobody_answers_does_not_say_what_there_is_not() {
    let hub = Hub::default();
    let mut group: Vec<_> = (1..=3).map(|number| member(&hub, number)).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    let master = loop {
        assert!(Instant::now() < deadline, "no master");
        if let Some(at) = group.iter().position(|env| env.state() == NodeState::Master) {
            break group.swap_remove(at);
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    let (_server, mut client) = serve(&master);
    while run(&mut client, &["SET", "word", "x"]).is_err() {
        assert!(Instant::now() < deadline, "no write");
    }
    let nothing: [&[&str]; 4] = [
        &["DEL", "absent"],
        &["SET", "word", "y", "NX"],
        &["SET", "absent", "y", "XX"],
        &["INCR", "word"],
    ];
    while run(&mut client, nothing[0]) != Ok(redis::Value::Int(0)) {
        assert!(Instant::now() < deadline, "nobody says that there is no such key");
    }
    // The others could have another master from now on, and `absent` a value there.
    group.iter().for_each(|env| env.close().unwrap());
    for words in nothing {
        let refused = run(&mut client, words).expect_err(words[0]);
        let word = refused.code().unwrap_or_default().to_owned();
        assert!(["TRYAGAIN", "MASTERDOWN"].contains(&&*word), "{words:?}: {refused}");
    }
    assert!(run(&mut client, &["PING"]).is_ok());
}
