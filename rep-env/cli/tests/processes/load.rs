//! Writers on several connections, and what each of their writes was answered.
//!
//! Every key is written once, so its presence afterwards can be held against the answer.

use crate::group::{Group, connect, eventually};
use redis::{RedisError, RedisResult, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const WRITERS: usize = 4;
const DEPTH: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Acked,
    /// By an error that says that it has no effect.
    Refused,
    Unknown,
}

pub(crate) struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<Vec<Answer>>>,
}

struct Shared {
    addresses: Vec<String>,
    acked: AtomicU64,
    stop: AtomicBool,
}

/// The answers, by writer and by number of key.
pub(crate) struct Ledger(Vec<Vec<Answer>>);

impl Load {
    pub(crate) fn start(group: &Group) -> Load {
        let addresses = group.resp.clone();
        let (acked, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { addresses, acked, stop });
        let writers = (0..WRITERS)
            .map(|writer| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || write(&shared, writer))
            })
            .collect();
        Load { shared, writers }
    }

    /// Waits until so many more writes are acknowledged.
    pub(crate) fn wait_for_more(&self, count: u64) {
        let goal = self.shared.acked.load(Ordering::SeqCst) + count;
        eventually("more acknowledged writes", || {
            (self.shared.acked.load(Ordering::SeqCst) >= goal).then_some(())
        });
    }

    pub(crate) fn stop(mut self) -> Ledger {
        self.shared.stop.store(true, Ordering::SeqCst);
        let writers = std::mem::take(&mut self.writers);
        Ledger(writers.into_iter().map(|writer| writer.join().unwrap()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Ledger {
    /// At every node: what was acknowledged is there, what was refused is not.
    pub(crate) fn assert_kept(&self, group: &Group) {
        for at in 0..group.resp.len() {
            let mut connection = group.connect(at);
            let () = redis::cmd("READONLY").query(&mut connection).unwrap();
            for (writer, answers) in self.0.iter().enumerate() {
                for (number, (answer, found)) in
                    answers.iter().zip(values(&mut connection, writer, answers.len())).enumerate()
                {
                    let wanted = value(writer, number as u64);
                    let right = match answer {
                        Answer::Acked => found == Some(wanted),
                        Answer::Refused => found.is_none(),
                        Answer::Unknown => found.is_none() || found == Some(wanted),
                    };
                    assert!(
                        right,
                        "{} at {}: {answer:?}",
                        key(writer, number as u64),
                        group.name(at)
                    );
                }
            }
        }
    }

    pub(crate) fn count(&self, wanted: Answer) -> usize {
        self.0.iter().flatten().filter(|answer| **answer == wanted).count()
    }
}

fn values(connection: &mut redis::Connection, writer: usize, count: usize) -> Vec<Option<String>> {
    let numbers: Vec<u64> = (0..count as u64).collect();
    let chunks = numbers.chunks(500).map(|numbers| {
        let keys: Vec<String> = numbers.iter().map(|number| key(writer, *number)).collect();
        redis::cmd("MGET").arg(keys).query::<Vec<Option<String>>>(connection).unwrap()
    });
    chunks.collect::<Vec<_>>().concat()
}

fn key(writer: usize, number: u64) -> String {
    format!("{writer}-{number}")
}

fn value(writer: usize, number: u64) -> String {
    format!("{:x}", (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ writer as u64)
}

/// Writes until told to stop; follows the master from node to node.
fn write(shared: &Shared, writer: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut node = writer;
    while !shared.stop.load(Ordering::SeqCst) {
        node = (node + 1) % shared.addresses.len();
        let Ok(mut connection) = connect(&shared.addresses[node]) else {
            std::thread::park_timeout(Duration::from_millis(5));
            continue;
        };
        while !shared.stop.load(Ordering::SeqCst) {
            let from = answers.len();
            write_some(&mut connection, writer, &mut answers);
            let acked = answers[from..].iter().filter(|answer| **answer == Answer::Acked).count();
            shared.acked.fetch_add(acked as u64, Ordering::SeqCst);
            if acked < DEPTH as usize {
                std::thread::park_timeout(Duration::from_millis(5));
                break;
            }
        }
    }
    answers
}

fn write_some(connection: &mut redis::Connection, writer: usize, answers: &mut Vec<Answer>) {
    let first = answers.len() as u64;
    let mut packed = Vec::new();
    for number in first..first + DEPTH {
        let mut command = redis::cmd("SET");
        command.arg(key(writer, number)).arg(value(writer, number));
        packed.extend(command.get_packed_command());
    }
    let mut usable = connection.send_packed_command(&packed).is_ok();
    for _ in 0..DEPTH {
        let answer = if usable { answer(connection.recv_response()) } else { None };
        usable = answer.is_some();
        answers.push(answer.unwrap_or(Answer::Unknown));
    }
}

/// What an answer says; `None` if the connection is of no more use.
fn answer(response: RedisResult<Value>) -> Option<Answer> {
    let response = response.and_then(|value| value.extract_error());
    match response {
        Ok(Value::Okay) => Some(Answer::Acked),
        Ok(other) => panic!("{other:?} does not answer a SET"),
        Err(error) => judged(&error),
    }
}

/// What an error says of a write.
pub(crate) fn judged(error: &RedisError) -> Option<Answer> {
    match error.code() {
        Some("UNKNOWNOUTCOME") => Some(Answer::Unknown),
        Some(_) => Some(Answer::Refused),
        None => None,
    }
}
