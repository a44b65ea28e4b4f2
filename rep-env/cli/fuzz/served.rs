//! A Redis port in this very process, so that the fuzzer sees what becomes of what it says.

use crate::resp::{RespConfig, RespServer};
use rep_env::net::mem::Hub;
use rep_env::{RepConfig, ReplicatedEnvironment};
use std::net::{SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::time::Duration;

/// Of a group of one that lives as long as the process.
static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let config = RepConfig::builder("bank", "n1")
        .members(["n1=here"])
        .transport(Hub::default().transport())
        .ephemeral();
    let env = ReplicatedEnvironment::open(config.build().expect("it is sound")).expect("it opens");
    env.wait_for_master(Duration::from_secs(60)).expect("one is a majority of one");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let server = RespServer::start(listener, env, RespConfig::default()).expect("it starts");
    Box::leak(Box::new(server)).local_addr()
});

pub(crate) fn address() -> SocketAddr {
    *ADDRESS
}
