//! A state machine of one's own: counters that tell each caller what its own step made, and outlive their master.
//!
//! `cargo run -p rep-env --example own_state_machine`; with `cargo test` the suite in `rep_env::store::contract` runs over the machine.
//!
//! The log says what happened and in which order; the machine says what that means. Here an entry is a name, and means "one more".
//! The environment brings each entry to each member, in order, once it can no longer be lost; what a machine owes in return
//! stands at [`StateMachine`], in six sentences.

use rep_env::net::mem::Hub;
use rep_env::store::state_machine::Chunks;
use rep_env::store::{Digest, Entry, Snapshot, StateMachine, StoreError};
use rep_env::{Consistency, Error, LogPoint, NodeState, RepConfig, ReplicatedEnvironment};
use rep_vlsn::{Kind, Vlsn};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// What is known: the counters, and the entry up to which they have counted. The two never part.
#[derive(Clone, Default)]
struct State {
    applied: LogPoint,
    counters: BTreeMap<String, u64>,
}

/// The machine. Readers share its state, and it keeps a file for what need not be counted again after a crash.
struct Counters {
    state: Arc<RwLock<State>>,
    file: PathBuf,
}

impl Counters {
    /// As of its last checkpoint. What has been logged since, the environment applies again.
    fn open(file: PathBuf) -> Result<Self, StoreError> {
        let state = match std::fs::read(&file) {
            Ok(bytes) => State::decode(&bytes).ok_or_else(|| damaged(0))?,
            Err(_) => State::default(),
        };
        Ok(Counters { state: Arc::new(RwLock::new(state)), file })
    }

    fn state(&self) -> State {
        self.state.read().unwrap().clone()
    }
}

impl StateMachine for Counters {
    type Reader = Arc<RwLock<State>>;
    type Output = u64;

    fn reader(&self) -> Self::Reader {
        Arc::clone(&self.state)
    }

    fn applied(&self) -> LogPoint {
        self.state.read().unwrap().applied
    }

    /// Works on a copy, so that a batch is applied whole or, if an entry is bad, not at all.
    fn apply(&mut self, batch: &[Entry], results: &mut Vec<u64>) -> Result<(), StoreError> {
        let (mut state, mut made) = (self.state(), Vec::new());
        for entry in batch {
            made.extend(state.apply(entry)?);
        }
        *self.state.write().unwrap() = state;
        results.extend(made);
        Ok(())
    }

    /// Writes another file and gives it the name: a crash leaves the old one or the new one.
    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        let (state, draft) = (self.state(), self.file.with_extension("new"));
        let written = std::fs::write(&draft, state.encode())
            .and_then(|()| std::fs::File::open(&draft)?.sync_all())
            .and_then(|()| std::fs::rename(&draft, &self.file))
            .and_then(|()| sync_directory(&self.file));
        written.map_err(failed("checkpoint"))?;
        Ok(state.applied)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let (state, digest) = (self.state(), self.digest()?);
        let end = [&state.applied.encode()[..], &digest.0[..]].concat();
        let chunks = vec![state.encode(), end].into_iter();
        Ok(Box::new(Copy { point: state.applied, chunks }))
    }

    /// Two chunks: the state, and what its digest has to be. Nothing is replaced before both have been seen.
    fn install(&mut self, chunks: &mut Chunks<'_>) -> Result<LogPoint, StoreError> {
        let whole = chunks.next().ok_or_else(|| damaged(0))??;
        let state = State::decode(&whole).ok_or_else(|| damaged(0))?;
        let end = chunks.next().ok_or_else(|| damaged(1))??;
        let expected = [&state.applied.encode()[..], &digest_of(&state).0[..]].concat();
        if end != expected {
            return Err(damaged(1));
        }
        *self.state.write().unwrap() = state;
        self.checkpoint()
    }

    fn digest(&self) -> Result<Digest, StoreError> {
        Ok(digest_of(&self.state()))
    }
}

impl State {
    /// Counts one entry; the result for its caller, if it has one.
    fn apply(&mut self, entry: &Entry) -> Result<Option<u64>, StoreError> {
        let (applied, point) = (self.applied, entry.point);
        if point == applied || point.vlsn < applied.vlsn {
            return Ok(None); // counted before a crash; it is only told again
        }
        if point.vlsn != applied.vlsn.next() || point.term < applied.term {
            return Err(StoreError::OutOfOrder { applied, entry: point });
        }
        self.applied = point;
        if entry.kind != Kind::Data {
            return Ok(None); // the group's own business
        }
        let name = std::str::from_utf8(&entry.payload).map_err(|_| StoreError::Corrupt {
            point,
            at: 0,
            what: "not a name",
        })?;
        let counter = self.counters.entry(name.to_owned()).or_default();
        *counter += 1;
        Ok(Some(*counter))
    }

    /// `term.vlsn`, then a line for each counter, then a checksum.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.applied.encode().to_vec();
        for (name, count) in &self.counters {
            bytes.extend((name.len() as u64).to_le_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(count.to_le_bytes());
        }
        let sum = crc32c::crc32c(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<State> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body).to_le_bytes() != *sum {
            return None;
        }
        let (applied, mut rest) = body.split_first_chunk()?;
        let mut state = State { applied: LogPoint::decode(*applied), ..State::default() };
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk()?;
            let (name, after) = after.split_at_checked(u64::from_le_bytes(*length) as usize)?;
            let (count, after) = after.split_first_chunk()?;
            let name = std::str::from_utf8(name).ok()?.to_owned();
            state.counters.insert(name, u64::from_le_bytes(*count));
            rest = after;
        }
        Some(state)
    }
}

/// Equal states have equal digests, on every member.
fn digest_of(state: &State) -> Digest {
    let (mut digest, counters) = ([0; 16], State { applied: LogPoint::NULL, ..state.clone() });
    let (sum, length) = (crc32c::crc32c(&counters.encode()), state.counters.len() as u64);
    digest[..4].copy_from_slice(&sum.to_le_bytes());
    digest[4..12].copy_from_slice(&length.to_le_bytes());
    Digest(digest)
}

#[derive(Debug)]
struct Copy {
    point: LogPoint,
    chunks: std::vec::IntoIter<Vec<u8>>,
}

impl Snapshot for Copy {
    fn point(&self) -> LogPoint {
        self.point
    }

    fn next_chunk(&mut self) -> Result<Option<bytes::Bytes>, StoreError> {
        Ok(self.chunks.next().map(bytes::Bytes::from))
    }
}

fn damaged(chunk: u32) -> StoreError {
    StoreError::BadChunk { chunk, what: "not what was written" }
}

fn failed(operation: &'static str) -> impl FnOnce(std::io::Error) -> StoreError {
    move |error| StoreError::Engine { operation, source: Arc::new(error) }
}

fn sync_directory(file: &Path) -> std::io::Result<()> {
    std::fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

type Env = ReplicatedEnvironment<Counters>;

/// Three members, and a master among them, who is closed half-way.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (home, hub) = (tempfile::tempdir()?, Hub::default());
    let open = |name: &str| -> Result<Env, Box<dyn std::error::Error>> {
        let machine = Counters::open(home.path().join(name).with_extension("counters"))?;
        let config =
            RepConfig::builder("counters", name).members(["a=here", "b=there", "c=yonder"]);
        let config = config.transport(hub.transport()).home(home.path().join(name)).build()?;
        Ok(Env::open_with(config, machine)?)
    };
    let mut group = vec![open("a")?, open("b")?, open("c")?];
    for round in 1..=2 {
        let (master, visits) = count(&group, "visits")?;
        println!("{master} has counted {visits}");
        assert_eq!(visits, round);
        if round == 1 {
            let old = group.iter().position(|env| env.name() == master).expect("one of them");
            group.remove(old).close()?;
            println!("{master} is closed; the others elect a new master");
        }
    }
    Ok(())
}

/// Counts one more at whoever is master, and reads it at every member. A step whose outcome is unknown is not tried again, for
/// that might count it twice.
fn count(group: &[Env], name: &str) -> Result<(String, u64), Error> {
    loop {
        let Some(env) = group.iter().find(|env| env.state() == NodeState::Master) else {
            group[0].wait_for_master(Duration::from_secs(10))?;
            continue;
        };
        let (token, made) = match env.replicate(name.as_bytes()).and_then(|handle| handle.wait()) {
            Ok(done) => done,
            Err(Error::NotMaster { .. } | Error::InsufficientReplicas { .. }) => continue,
            Err(error) => return Err(error),
        };
        assert!(token.point().vlsn > Vlsn::NULL);
        for member in group {
            let reader = member.reader(Consistency::AtLeast(token)).wait()?;
            assert_eq!(Some(reader.read().unwrap().counters[name]), made);
        }
        return Ok((env.name().to_owned(), made.expect("this member has applied it")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rep_env::store::contract::{Subject, check};

    /// The machine, and its place: all that the suite needs.
    struct InAFile(tempfile::TempDir);

    impl Subject for InAFile {
        type Machine = Counters;

        fn open(&mut self) -> Counters {
            Counters::open(self.0.path().join("counters")).unwrap()
        }

        fn payload(&self, vlsn: Vlsn) -> bytes::Bytes {
            format!("counter {}", vlsn.get() % 7).into()
        }

        fn nonsense(&self) -> Option<bytes::Bytes> {
            Some(bytes::Bytes::from_static(&[0xff]))
        }

        fn observe(reader: &Arc<RwLock<State>>) -> (LogPoint, Digest) {
            let state = reader.read().unwrap().clone();
            (state.applied, digest_of(&state))
        }
    }

    #[test]
    fn it_keeps_the_contract() {
        check(|| InAFile(tempfile::tempdir().unwrap()));
    }

    #[test]
    fn it_runs() {
        main().unwrap();
    }
}
