//! Any bytes as a question to a running node: every frame has one answer, of this version, and the node is as well after it
//! as before.

use bytes::Bytes;
use rep_env::admin::{ADMIN_SERVICE, AdminClient};
use rep_env::net::mem::Hub;
use rep_env::net::{Address, Channel, Hello, Transport};
use rep_env::{RepConfig, ReplicatedEnvironment};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const VERSION: u8 = 3;
const REQUEST_BYTES_MAX: usize = 1024;
/// A version, and the number of a question in its longest spelling.
const QUESTION_BYTES_MAX: usize = 6;
const STATUS: u8 = 0;
const DIGEST: u8 = 1;
const REFUSED: u8 = 2;
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
    let answer = ask(Bytes::copy_from_slice(data));
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

fn ask(question: Bytes) -> Bytes {
    for _ in 0..ATTEMPTS {
        let channel = dial();
        if channel.send(question.clone()).is_ok()
            && let Ok(Some(answer)) = channel.receive(Instant::now() + PATIENCE)
        {
            // The channel lives on, whatever was asked.
            channel.send(Bytes::from_static(&[VERSION, DIGEST])).expect("it is open");
            let next = channel.receive(Instant::now() + PATIENCE).expect("it is open");
            assert_eq!(next.as_deref().map(|answer| &answer[..2]), Some(&[VERSION, DIGEST][..]));
            channel.close();
            return answer;
        }
        channel.close();
    }
    panic!("no answer");
}

/// As many as have gone may not all have been noticed to be gone: then the node says that it is busy.
fn dial() -> Arc<dyn Channel> {
    let deadline = Instant::now() + PATIENCE;
    let hello = Hello::new("", ADMIN_SERVICE);
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
    ]
}
