//! Connections that write, one write after the other each.

use super::Target;
use super::histogram::Histogram;
use crate::client::Client;
use anyhow::anyhow;
use redis_protocol::resp2::types::BytesFrame;
use std::thread;
use std::time::{Duration, Instant};

/// What so many writers saw together.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Of the writes that were acknowledged.
    pub(super) latencies: Histogram,
    pub(super) elapsed: Duration,
    /// Writes that were refused, or whose answer did not come.
    pub(super) failed: u64,
    /// Why, the first time.
    pub(super) failure: Option<String>,
}

/// Lets `count` connections write for so long. They begin once all of them are connected.
pub(super) fn run(target: &Target, count: u64, time: Duration) -> anyhow::Result<Measured> {
    let clients = (0..count).map(|_| Client::connect(&target.resp));
    let clients: Vec<Client> = clients.collect::<anyhow::Result<_>>()?;
    let told: Vec<anyhow::Result<Measured>> = thread::scope(|scope| {
        let begin = |(writer, client)| {
            let work = move || write(target, writer, client, time);
            thread::Builder::new().name(format!("writer-{writer}")).spawn_scoped(scope, work)
        };
        let threads: Vec<_> = (0..count).zip(clients).map(begin).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Measured>| {
            thread.join().map_err(|_| anyhow!("a writer panicked"))
        };
        threads.into_iter().map(|thread| join(thread?)).collect()
    });
    let mut sum = Measured::default();
    for told in told {
        sum.take(told?);
    }
    Ok(sum)
}

/// Writes until the time is up or the connection is lost.
fn write(target: &Target, writer: u64, mut client: Client, time: Duration) -> Measured {
    let mut measured = Measured::default();
    let begun = Instant::now();
    for number in 0.. {
        let key = target.key(writer, number);
        let start = Instant::now();
        match client.ask(&[b"SET", key.as_bytes(), &target.value]) {
            Ok(BytesFrame::SimpleString(_)) => {
                measured.latencies.add(start.elapsed().as_micros() as u64);
            }
            Ok(BytesFrame::Error(refusal)) => measured.fail(&refusal),
            Ok(other) => measured.fail(&format!("{other:?}")),
            Err(error) => {
                measured.fail(&error.to_string());
                break;
            }
        }
        if begun.elapsed() >= time {
            break;
        }
    }
    measured.elapsed = begun.elapsed();
    measured
}

impl Measured {
    fn fail(&mut self, why: &str) {
        self.failed += 1;
        self.failure.get_or_insert_with(|| why.to_owned());
    }

    fn take(&mut self, other: Measured) {
        self.latencies.merge(&other.latencies);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
    }
}
