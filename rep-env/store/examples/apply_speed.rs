//! How fast entries are applied: `cargo run --release -p rep-store --all-features --example apply_speed`.
//!
//! Random 16-byte keys out of 500,000 with 100-byte values, 100 puts a batch, a checkpoint every 100
//! batches; then the same with a view taken before each batch and dropped after it.

use rep_store::{Database, Databases, Entry, StateMachine, StoreError, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::time::Instant;

const BATCHES: u64 = 10_000;
const PUTS: u64 = 100;
const KEYS: u64 = 500_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    measure("memory", Databases::memory(), BATCHES, false)?;
    measure("memory, a view for each batch", Databases::memory(), BATCHES, true)?;
    let home = tempfile::tempdir()?;
    #[cfg(feature = "redb")]
    measure("redb", Databases::redb(home.path().join("redb"))?, BATCHES / 20, false)?;
    #[cfg(feature = "fjall")]
    measure("fjall", Databases::fjall(home.path().join("fjall"))?, BATCHES, false)?;
    Ok(home.close()?)
}

fn measure(name: &str, mut store: Databases, batches: u64, viewed: bool) -> Result<(), StoreError> {
    let log: Vec<Entry> = (1..=batches).map(entry).collect();
    let (reader, mut results) = (store.reader(), Vec::new());
    let began = Instant::now();
    for batch in log.chunks(1) {
        let view = viewed.then(|| reader.view()).transpose()?;
        store.apply(batch, &mut results)?;
        if batch[0].point.vlsn.get() % 100 == 0 {
            store.checkpoint()?;
        }
        drop(view);
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {:.0} puts/s", (batches * PUTS) as f64 / seconds);
    Ok(())
}

fn entry(vlsn: u64) -> Entry {
    let (mut set, database) = (WriteSet::new(), Database::new("d"));
    for at in 0..PUTS {
        let key = u128::from(scatter(vlsn * PUTS + at) % KEYS).to_be_bytes();
        set.put(&database, &key, &[7; 100]).expect("within bounds");
    }
    Entry::data(LogPoint::new(Term::new(1), Vlsn::new(vlsn)), 0, set.encode())
}

/// Spreads consecutive numbers (the finisher of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
