//! Any bytes as a question to a running node, by an operator or by another node: every frame has one answer, of this version, and the node is
//! as well after it as before.

use bytes::Bytes;
use rep_env::admin::{ADMIN_SERVICE, AdminClient};
use rep_env::net::mem::Hub;
use rep_env::net::{Address, Channel, Hello, Transport};
use rep_env::{RepConfig, ReplicatedEnvironment};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const VERSION: u8 = 5;
const REQUEST_BYTES_MAX: usize = 1024;
/// A version, and the number of a question in its longest spelling.
const QUESTION_BYTES_MAX: usize = 6;
const STATUS: u8 = 0;
const DIGEST: u8 = 1;
const REFUSED: u8 = 2;

/// What nodes ask one another.
const JOIN_SERVICE: &str = "join";
const JOIN_VERSION: u8 = 1;
const MASTER: u8 = 0;
const INTRODUCE: u8 = 1;
const JOIN: u8 = 2;
const ADMIT: u8 = 3;
const JOIN_REFUSED: u8 = 1;
const PATIENCE: Duration = Duration::from_secs(20);
/// A caller that is idle for a minute is hung up on, and asks anew.
const ATTEMPTS: usize = 2;

/// A group of one, with a caller that stays.
struct Node {
    transport: Arc<dyn Transport>,
    _env: ReplicatedEnvironment,
}

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let transport: Arc<dyn Transport> = Hub::default().transport();
    let config = RepConfig::builder("bank", "n1")
        .members(["n1=here"])
        .transport(Arc::clone(&transport))
        .ephemeral();
    let env = ReplicatedEnvironment::open(config.build().expect("it is sound")).expect("it opens");
    env.wait_for_master(Duration::from_secs(60)).expect("one is a majority of one");
    Node { transport, _env: env }
});

pub(crate) fn body(data: &[u8]) {
    operator_asks(data);
    node_asks(data);
}

fn operator_asks(data: &[u8]) {
    let answer = ask(ADMIN_SERVICE, &[VERSION, DIGEST], data);
    assert_eq!(answer.first(), Some(&VERSION));
    let kind = answer.get(1).copied();
    match data {
        [VERSION, STATUS] => assert_eq!(kind, Some(STATUS)),
        [VERSION, DIGEST] => assert_eq!(kind, Some(DIGEST)),
        _ if kind != Some(REFUSED) => {
            assert!(data.first() == Some(&VERSION) && data.len() <= QUESTION_BYTES_MAX);
        }
        _ => assert!(answer.len() > 3, "it says why"),
    }
}

fn node_asks(data: &[u8]) {
    let answer = ask(JOIN_SERVICE, &[JOIN_VERSION, MASTER], data);
    assert_eq!(answer.first(), Some(&JOIN_VERSION));
    let kind = answer.get(1).copied();
    match data {
        [JOIN_VERSION, MASTER] => assert_eq!(kind, Some(MASTER)),
        [JOIN_VERSION, INTRODUCE] => assert_eq!(kind, Some(2)),
        // A wish that is one may be granted, and a membership that is one may be this node's.
        [JOIN_VERSION, JOIN | ADMIT, _, ..] => assert!(kind != Some(MASTER)),
        _ if kind != Some(JOIN_REFUSED) => {
            assert!(data.first() == Some(&JOIN_VERSION) && data.get(1) > Some(&0x7f));
        }
        _ => assert!(answer.len() > 2, "it says why"),
    }
}

/// What is answered there, and that the next question, whose answer begins like it, is answered too.
fn ask(service: &str, next: &[u8; 2], question: &[u8]) -> Bytes {
    for _ in 0..ATTEMPTS {
        let channel = dial(service);
        if channel.send(Bytes::copy_from_slice(question)).is_ok()
            && let Ok(Some(answer)) = channel.receive(Instant::now() + PATIENCE)
        {
            // The channel lives on, whatever was asked.
            channel.send(Bytes::copy_from_slice(next)).expect("it is open");
            let told = channel.receive(Instant::now() + PATIENCE).expect("it is open");
            assert_eq!(told.as_deref().map(|told| &told[..2]), Some(&next[..]));
            channel.close();
            return answer;
        }
        channel.close();
    }
    panic!("no answer");
}

/// As many as have gone may not all have been noticed to be gone: then the node says that it is busy.
fn dial(service: &str) -> Arc<dyn Channel> {
    let deadline = Instant::now() + PATIENCE;
    let hello = Hello::new("bank", service);
    while Instant::now() < deadline {
        if let Ok(channel) = NODE.transport.dial(&Address::new("here"), &hello, deadline) {
            return channel;
        }
        std::thread::yield_now();
    }
    panic!("nobody is let in");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let client = AdminClient::connect(&*NODE.transport, "here", PATIENCE).expect("it is there");
    let report = client.status(PATIENCE).expect("it answers");
    assert_eq!(report.group_name, "bank");
    let wish = ("n2", [7_u8; 16], "there", "monitor", 0_u32);
    let wish = postcard::to_stdvec(&wish).expect("plain data can be written");
    vec![
        vec![VERSION, STATUS],
        vec![VERSION, DIGEST],
        vec![VERSION, REFUSED],
        vec![VERSION],
        vec![VERSION + 1, STATUS],
        vec![VERSION, 0x80, 0],
        vec![VERSION, STATUS, 0],
        vec![],
        [&[VERSION, STATUS][..], &[0; REQUEST_BYTES_MAX]].concat(),
        vec![JOIN_VERSION, MASTER],
        vec![JOIN_VERSION, INTRODUCE],
        [&[JOIN_VERSION, JOIN][..], &wish].concat(),
        [&[JOIN_VERSION, JOIN][..], &wish[..wish.len() - 1]].concat(),
        vec![JOIN_VERSION, ADMIT, 2, 9, 9],
        vec![JOIN_VERSION, ADMIT, 0xff, 0xff, 0xff, 0xff, 0x0f, 1],
    ]
}
