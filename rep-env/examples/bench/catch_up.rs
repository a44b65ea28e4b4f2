//! A member that was away and comes back: how fast it is where the others are.

use crate::Options;
use crate::group::Here;
use crate::load::{VALUE, eventually};
use crate::log::disk_floor;
use crate::parts::{Any, Table, ms};
use rep_env::{CommitHandle, ReplicatedEnvironment, StoreKind};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const ENTRIES: u64 = 200_000;
/// Commits in flight while the log is filled.
const PIPELINE: usize = 1000;
/// A record of a value of 100 bytes: header, write set, value.
const RECORD_BYTES: u64 = 170;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn catch_up(name: &str, _: &Options) -> Result<(), Box<dyn Any>> {
    let mut group = Here::start(StoreKind::Memory)?;
    let away = group.close_replica()?;
    fill(group.master(), ENTRIES)?;
    let table = Table::begin(name, group.dir.path())?;
    let bytes = ENTRIES * RECORD_BYTES;
    let (net, disk) = (loopback(bytes)?, disk_floor(group.dir.path(), bytes)?);
    let begun = Instant::now();
    group.open_again(away)?;
    let target = group.last();
    eventually(PATIENCE, || (group.last_of(away) >= target).then_some(()))
        .ok_or("it never came back")?;
    let took = begun.elapsed();
    let rate = |took: Duration| ENTRIES as f64 / took.as_secs_f64();
    let mega = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
    let floors = format!("raw loopback {:.0} MB/s, disk floor {:.0} MB/s", mega(net), mega(disk));
    let what = format!("{ENTRIES} entries of 100 bytes in {} ({floors})", ms(took));
    let share = format!("{:.2} of the disk floor", disk.as_secs_f64() / took.as_secs_f64());
    table.row(&what, &format!("{:.0} entries/s, {:.0} MB/s", rate(took), mega(took)), &share);
    Ok(())
}

/// One thread commits and does not wait, but for what it committed long ago.
fn fill(env: &ReplicatedEnvironment, entries: u64) -> Result<(), Box<dyn Any>> {
    let database = env.database("bench");
    let mut handles: VecDeque<CommitHandle> = VecDeque::with_capacity(PIPELINE);
    for number in 0..entries {
        if handles.len() == PIPELINE
            && let Some(oldest) = handles.pop_front()
        {
            oldest.wait()?;
        }
        let mut txn = env.begin()?;
        txn.put(&database, format!("key-{}", number % 10_000).as_bytes(), VALUE.as_bytes())?;
        handles.push_back(txn.commit()?);
    }
    for handle in handles {
        handle.wait()?;
    }
    Ok(())
}

/// How long so many bytes take through a socket, in pieces of 64 KiB.
pub(crate) fn loopback(bytes: u64) -> std::io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        scope.spawn(move || -> std::io::Result<()> {
            let (mut stream, piece) = (TcpStream::connect(address)?, vec![7; 64 << 10]);
            let mut left = bytes as usize;
            while left > 0 {
                let now = left.min(piece.len());
                stream.write_all(&piece[..now])?;
                left -= now;
            }
            Ok(())
        });
        let (mut stream, _) = listener.accept()?;
        let (begun, mut piece) = (Instant::now(), vec![0; 64 << 10]);
        while stream.read(&mut piece)? > 0 {}
        Ok(begun.elapsed())
    })
}
