//! A replicated map: three members, one write, read back from each of them.
//!
//! `cargo run -p rep-env --example kv`

use rep_env::net::mem::Hub;
use rep_env::{Consistency, Error, NodeState, RepConfig, ReplicatedEnvironment};
use std::time::Duration;

fn main() -> Result<(), Error> {
    // All in one process and in memory. Over TCP, each member is a process with a `home` instead.
    let hub = Hub::default();
    let open = |name| {
        let config = RepConfig::builder("kv", name).members(["a=here", "b=there", "c=yonder"]);
        ReplicatedEnvironment::open(config.transport(hub.transport()).ephemeral().build()?)
    };
    let group = [open("a")?, open("b")?, open("c")?];
    group.iter().try_for_each(|env| env.wait_for_master(Duration::from_secs(10)).map(drop))?;
    let env = group.iter().find(|env| env.state() == NodeState::Master).expect("all know it");

    let map = env.database("map");
    let mut txn = env.begin()?;
    txn.put(&map, b"hello", b"world")?;
    let token = txn.commit()?.wait()?; // two of three have it

    for env in &group {
        let view = env.read(Consistency::AtLeast(token)).wait()?;
        println!("{} reads {:?}", env.name(), view.get(&map, b"hello")?);
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
