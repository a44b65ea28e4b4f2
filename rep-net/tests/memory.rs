//! Memory is taken as bytes arrive, not as they are announced. Alone in its process, which it measures.
#![cfg(all(target_os = "linux", not(rep_loom)))]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Party, hello};
use rep_net::frame;
use rep_net::{Bytes, Channel, Limits, TcpTransport};

const CALLERS: usize = 40;
const ANNOUNCED_BYTES: usize = 1 << 30;
/// What each sends of it.
const SENT_BYTES: usize = 1 << 20;

/// Bytes of memory that this process may write to, touched or not: an allocation of zeros costs address space at once, and
/// pages only when it is used.
fn writable_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmData:")).unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// Connects, is let in, announces a frame of a gigabyte and sends the beginning of it.
fn announce(party: &Party) -> (TcpStream, Arc<dyn Channel>) {
    let mut raw = TcpStream::connect(party.address().as_str()).unwrap();
    let said = hello().encode().unwrap();
    raw.write_all(&frame::header(std::slice::from_ref(&said))).unwrap();
    raw.write_all(&said).unwrap();
    let mut header = [0; frame::FRAME_HEADER_BYTES];
    raw.read_exact(&mut header).unwrap();
    let answer_bytes = u32::from_le_bytes(header[..4].try_into().unwrap());
    raw.read_exact(&mut vec![0; answer_bytes as usize]).unwrap();
    let channel = party.desk.next().1;
    raw.write_all(&(ANNOUNCED_BYTES as u32).to_le_bytes()).unwrap();
    raw.write_all(&[0; 4]).unwrap();
    (raw, channel)
}

#[test]
fn forty_gigabytes_announced_cost_what_has_arrived_of_them() {
    let mut limits = Limits::default();
    limits.frame_bytes_max = ANNOUNCED_BYTES;
    let transport = TcpTransport::new(limits);
    let party = Party::new(&transport, "127.0.0.1:0", Arc::new(transport.clone()));
    let before = writable_bytes();
    let part = Bytes::from(vec![7; SENT_BYTES]);
    let mut callers: Vec<_> = (0..CALLERS).map(|_| announce(&party)).collect();
    for (raw, channel) in &mut callers {
        let mut rest = &part[..];
        // The frame never becomes whole; each receive takes what is there.
        while !rest.is_empty() {
            let sent = raw.write(&rest[..rest.len().min(64 << 10)]).unwrap();
            rest = &rest[sent..];
            assert_eq!(channel.receive(Instant::now() + Duration::from_millis(1)), Ok(None));
        }
    }
    let taken = writable_bytes().saturating_sub(before);
    // Twice what arrived, a block more, and the thread and arena of a caller: far from a gigabyte each.
    assert!(taken < CALLERS * 16 * SENT_BYTES, "{taken} bytes for {CALLERS} callers");
}
