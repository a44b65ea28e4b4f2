//! One member of a group of three, over TCP. In three terminals:
//!
//! ```text
//! cargo run -p rep-env --example kv -- n1
//! cargo run -p rep-env --example kv -- n2
//! cargo run -p rep-env --example kv -- n3
//! ```
//!
//! Kill the master: another takes over and goes on counting where it was.

use rep_env::{RepConfig, ReplicatedEnvironment, Verdict};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).ok_or("which member am I: n1, n2 or n3?")?;
    let home = std::env::temp_dir().join("rep-example-kv").join(&name);
    let members = ["n1=127.0.0.1:7001", "n2=127.0.0.1:7002", "n3=127.0.0.1:7003"];
    let config = RepConfig::builder("example", name).members(members).home(home).build()?;
    let env = ReplicatedEnvironment::open(config)?;
    let counters = env.database("counters");
    loop {
        let counted = env.begin().and_then(|mut txn| {
            let old = txn.get(&counters, b"seconds")?;
            let old: u64 =
                old.and_then(|v| std::str::from_utf8(&v).ok()?.parse().ok()).unwrap_or(0);
            txn.put(&counters, b"seconds", (old + 1).to_string().as_bytes())?;
            txn.commit()?.wait()?;
            Ok(old + 1)
        });
        match counted {
            Ok(count) => println!("I am master, and {count} is on disk at a majority"),
            Err(error) => match error.verdict() {
                Verdict::Redirect(master) => println!("the master is {master}"),
                _ => println!("{error}"),
            },
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
