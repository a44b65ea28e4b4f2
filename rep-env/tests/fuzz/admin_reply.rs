//! Any bytes as the answer to an operator's question: understood for what they say, or an error of the caller's, never
//! worse.

use bytes::Bytes;
use rep_env::admin::{ADMIN_SERVICE, AdminClient, AppliedDigest, StatusReport};
use rep_env::net::mem::Hub;
use rep_env::net::{
    Address, Channel, Hello, Host, Listener, ServiceHandler, ServiceTable, Transport,
};
use rep_env::{Error, RepConfig, ReplicatedEnvironment};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
/// What stands before an account of status, and before a digest.
const STATUS: [u8; 2] = [4, 0];
const DIGEST: [u8; 2] = [4, 1];

/// Answers every question with the same bytes.
#[derive(Default)]
struct Liar(Mutex<Bytes>);

impl ServiceHandler for Liar {
    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        while let Ok(Some(_)) = channel.receive(Instant::now() + Duration::from_secs(3600)) {
            let lie = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if channel.send(lie).is_err() {
                break;
            }
        }
        channel.close();
    }

    fn needs_group(&self) -> bool {
        false
    }
}

struct Call {
    liar: Arc<Liar>,
    client: AdminClient,
    _listener: Box<dyn Listener>,
}

static CALL: LazyLock<Mutex<Call>> = LazyLock::new(|| {
    let (transport, liar) = (Hub::default().transport(), Arc::new(Liar::default()));
    let table = ServiceTable::new();
    table.host(Host::new("bank", "n1", [1; 16])).expect("a new group");
    table.register("bank", ADMIN_SERVICE, Arc::clone(&liar) as _).expect("a new service");
    let listener = transport.listen(&Address::new("here"), Arc::new(table)).expect("it is free");
    let client = AdminClient::connect(&*transport, "here", PATIENCE).expect("it is there");
    Mutex::new(Call { liar, client, _listener: listener })
});

pub(crate) fn body(data: &[u8]) {
    let call = CALL.lock().unwrap_or_else(PoisonError::into_inner);
    let said = told(&call, data);
    for (bytes, expected) in [(said.0, true), (said.1, false)] {
        let Some(bytes) = bytes else { continue };
        let again = told(&call, &bytes);
        let understood = if expected { again.0 } else { again.1 };
        assert_eq!(understood.as_ref(), Some(&bytes), "what is understood survives the wire");
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(told(&call, &more), (None, None), "an answer ends where it ends");
    }
}

/// What is understood of these bytes as an account of status, and as a digest, written again.
fn told(call: &Call, lie: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    *call.liar.0.lock().unwrap_or_else(PoisonError::into_inner) = Bytes::copy_from_slice(lie);
    let status = understood(call.client.status(PATIENCE));
    let digest = understood(call.client.digest(PATIENCE));
    assert!(status.is_none() || digest.is_none(), "one answer answers one question");
    (status.map(|it| spelled(STATUS, &it)), digest.map(|it| spelled(DIGEST, &it)))
}

fn understood<T>(answer: Result<T, Error>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(Error::Admin { unreachable, address, detail }) => {
            assert!(!unreachable && address == "here", "{detail}");
            None
        }
        Err(Error::Refused { address, why }) => {
            assert_eq!(address, "here", "{why}");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

fn spelled(kind: [u8; 2], answer: &impl serde::Serialize) -> Vec<u8> {
    let body = postcard::to_stdvec(answer).expect("plain data can be written");
    [&kind[..], &body].concat()
}

/// What a real node says of itself.
fn honest() -> (StatusReport, AppliedDigest) {
    let transport: Arc<dyn Transport> = Hub::default().transport();
    let config = RepConfig::builder("bank", "n1")
        .members(["n1=there"])
        .transport(Arc::clone(&transport))
        .attribute("resp", "h:1")
        .ephemeral();
    let env = ReplicatedEnvironment::open(config.build().expect("it is sound")).expect("it opens");
    env.wait_for_master(Duration::from_secs(60)).expect("one is a majority of one");
    let client = AdminClient::connect(&*transport, "there", PATIENCE).expect("it is there");
    let status = client.status(PATIENCE).expect("it answers");
    let digest = client.digest(PATIENCE).expect("it answers");
    drop(client);
    env.close().expect("nothing is stuck");
    (status, digest)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (status, digest) = honest();
    vec![
        spelled(STATUS, &status),
        spelled(DIGEST, &digest),
        [&[4, 2, 3][..], b"why"].concat(),
        vec![1, 0],
        vec![2],
        vec![],
    ]
}
