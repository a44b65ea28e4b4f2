//! The contract suite over every engine of the named databases.

use bytes::Bytes;
use rep_store::contract::{self, Subject};
use rep_store::{Database, Databases, Digest, MemoryHome, Reader, WriteSet};
use rep_vlsn::{LogPoint, Vlsn};

/// Three puts and a delete in two databases, over few enough keys that entries overwrite each other.
fn payload(vlsn: Vlsn) -> Bytes {
    let number = vlsn.get();
    let mut set = WriteSet::new();
    let one = Database::new("one");
    set.put(&one, b"last", &number.to_le_bytes()).unwrap();
    set.put(&one, &[(number % 11) as u8], &vec![number as u8; 3000 * (number % 5) as usize])
        .unwrap();
    set.put(&"two".into(), &number.to_be_bytes(), b"").unwrap();
    set.delete(&one, &[(number * 3 % 11) as u8]).unwrap();
    set.encode()
}

fn observe(reader: &Reader) -> (LogPoint, Digest) {
    let view = reader.view().unwrap();
    (view.applied(), view.digest().unwrap())
}

struct InMemory(MemoryHome);

impl Subject for InMemory {
    type Machine = Databases;

    fn open(&mut self) -> Databases {
        Databases::memory_in(&self.0)
    }

    fn payload(&self, vlsn: Vlsn) -> Bytes {
        payload(vlsn)
    }

    fn nonsense(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"nonsense"))
    }

    fn observe(reader: &Reader) -> (LogPoint, Digest) {
        observe(reader)
    }
}

#[test]
fn databases_in_memory_keep_the_contract() {
    contract::check(|| InMemory(MemoryHome::new()));
}

#[cfg(feature = "redb")]
struct InRedb(tempfile::TempDir);

#[cfg(feature = "redb")]
impl Subject for InRedb {
    type Machine = Databases;

    fn open(&mut self) -> Databases {
        Databases::redb(self.0.path().join("store.redb")).unwrap()
    }

    fn payload(&self, vlsn: Vlsn) -> Bytes {
        payload(vlsn)
    }

    fn nonsense(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"nonsense"))
    }

    fn observe(reader: &Reader) -> (LogPoint, Digest) {
        observe(reader)
    }
}

#[cfg(feature = "redb")]
#[test]
fn databases_in_redb_keep_the_contract() {
    contract::check(|| InRedb(tempfile::tempdir().unwrap()));
}

#[cfg(feature = "fjall")]
struct InFjall(tempfile::TempDir);

#[cfg(feature = "fjall")]
impl Subject for InFjall {
    type Machine = Databases;

    fn open(&mut self) -> Databases {
        Databases::fjall(self.0.path().join("store.fjall")).unwrap()
    }

    fn payload(&self, vlsn: Vlsn) -> Bytes {
        payload(vlsn)
    }

    fn nonsense(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"nonsense"))
    }

    fn observe(reader: &Reader) -> (LogPoint, Digest) {
        observe(reader)
    }
}

#[cfg(feature = "fjall")]
#[test]
fn databases_in_fjall_keep_the_contract() {
    contract::check(|| InFjall(tempfile::tempdir().unwrap()));
}
