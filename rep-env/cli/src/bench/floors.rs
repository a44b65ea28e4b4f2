//! What this machine needs for the two things of which a write is made.

use crate::client::Client;
use anyhow::Context;
use rustix::fs::{FallocateFlags, fallocate};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const SYNCS: usize = 200;
const APPEND_BYTES: usize = 4096;
const ROUND_TRIPS: usize = 2_000;
const MESSAGE_BYTES: usize = 128;
/// A floor is never worth more time than this.
const TIME_MAX: Duration = Duration::from_secs(3);

/// Medians, in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Floors {
    /// A synced append of 4 KiB to a preallocated file.
    pub(super) sync_us: u64,
    /// A round trip of 128 bytes over loopback TCP.
    pub(super) loopback_us: u64,
    /// A PING at the Redis port.
    pub(super) ping_us: u64,
}

pub(super) fn measure(dir: &Path, resp: &str) -> anyhow::Result<Floors> {
    let mut client = Client::connect(resp).with_context(|| format!("the Redis port {resp}"))?;
    Ok(Floors {
        sync_us: sync(dir).with_context(|| format!("a sync in {}", dir.display()))?,
        loopback_us: loopback().context("a round trip on this machine")?,
        ping_us: median(ROUND_TRIPS / 10, || client.ask(&[b"PING"]).map(drop))?,
    })
}

fn sync(dir: &Path) -> anyhow::Result<u64> {
    let path = dir.join(format!("rep-bench-{}.tmp", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let measured = sync_of(&file);
    drop(file);
    std::fs::remove_file(&path)?;
    measured
}

fn sync_of(file: &File) -> anyhow::Result<u64> {
    let len = (SYNCS * APPEND_BYTES) as u64;
    if fallocate(file, FallocateFlags::empty(), 0, len).is_err() {
        file.set_len(len)?;
    }
    file.sync_all()?;
    let mut at = 0;
    median(SYNCS, || {
        file.write_all_at(&[7; APPEND_BYTES], at)?;
        at += APPEND_BYTES as u64;
        Ok(file.sync_data()?)
    })
}

fn loopback() -> anyhow::Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = thread::Builder::new().name("echo".to_owned()).spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut message = [0; MESSAGE_BYTES];
        let ready = stream.set_nodelay(true);
        while ready.is_ok()
            && stream.read_exact(&mut message).is_ok()
            && stream.write_all(&message).is_ok()
        {}
    })?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut message = [7; MESSAGE_BYTES];
    let measured = median(ROUND_TRIPS, || {
        stream.write_all(&message)?;
        Ok(stream.read_exact(&mut message)?)
    });
    drop(stream);
    // It has nothing to say but that it is over.
    let _ = echo.join();
    measured
}

/// The median time of so many goes, or of as many as there is time for.
fn median(goes: usize, mut go: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let begun = Instant::now();
    let mut times = Vec::with_capacity(goes);
    while times.is_empty() || (times.len() < goes && begun.elapsed() < TIME_MAX) {
        let start = Instant::now();
        go()?;
        times.push(start.elapsed().as_micros() as u64);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
