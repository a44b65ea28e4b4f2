//! What an environment leaves of itself in its process: nothing. One test alone, because threads are counted by process.
#![cfg(target_os = "linux")]

use rep_env::net::{Channel, Hello, ServiceHandler, TcpTransport, Transport};
use rep_env::{Consistency, Error, RepConfig, ReplicatedEnvironment};
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// The threads of this process that are somebody's environment's.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // One that ends meanwhile is not there to be read.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).filter(|name| name.starts_with("rep-")).collect()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come; {:?}", threads());
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Listens to its caller until that hangs up.
struct Listens;

impl ServiceHandler for Listens {
    fn accept(&self, _hello: Hello, channel: Arc<dyn Channel>) {
        while channel.receive(Instant::now() + PATIENCE).is_ok() {}
    }
}

fn group() -> Vec<ReplicatedEnvironment> {
    let sockets: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let numbered = |(at, socket): (usize, &TcpListener)| {
        format!("n{}={}", at + 1, socket.local_addr().unwrap())
    };
    let members: Vec<_> = sockets.iter().enumerate().map(numbered).collect();
    let open = |(at, socket): (usize, TcpListener)| {
        let config = RepConfig::builder("bank", format!("n{}", at + 1)).members(members.clone());
        ReplicatedEnvironment::open(config.ephemeral().listener(socket).build().unwrap()).unwrap()
    };
    sockets.into_iter().enumerate().map(open).collect()
}

fn write(group: &[ReplicatedEnvironment]) -> Result<(), Error> {
    let master = group[0].wait_for_master(PATIENCE)?;
    let env = group.iter().find(|env| env.name() == master.name).expect("it is a member");
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), b"alice", b"1")?;
    let token = txn.commit()?.wait()?;
    group.iter().try_for_each(|env| env.read(Consistency::AtLeast(token)).wait().map(drop))
}

/// Members that work, serve callers, and have clones, handles, events and views outstanding: when the last clone of each
/// is dropped, all of their threads end, without `close` ever having been called.
#[test]
fn the_last_drop_ends_every_thread() {
    assert_eq!(threads(), Vec::<String>::new());
    let group = group();
    eventually("a write that everybody has", || write(&group).ok());
    group[0].register_service("listens", Arc::new(Listens)).unwrap();
    let (address, deadline) = (group[0].local_addr().as_str().into(), Instant::now() + PATIENCE);
    let hello = Hello::new("bank", "listens");
    let caller = TcpTransport::default().dial(&address, &hello, deadline).unwrap();
    let named =
        |wanted: &'static str| move || threads().iter().any(|name| name == wanted).then_some(());
    for name in
        ["rep-log", "rep-promise", "rep-apply", "rep-watch", "rep-accept", "rep-serve-liste"]
    {
        eventually(name, named(name));
    }
    let (view, events) =
        (group[0].read(Consistency::None).wait().unwrap(), group[0].subscribe().states());
    let clones = group.clone();
    drop(group);
    assert!(!threads().is_empty(), "the clones are handles to the same members");
    drop(clones);
    eventually("the end", || threads().is_empty().then_some(()));
    assert!(caller.receive(Instant::now() + PATIENCE).is_err(), "it was hung up on");
    assert_eq!(events.last().unwrap().new, rep_env::NodeState::Shutdown);
    drop(view);
}
