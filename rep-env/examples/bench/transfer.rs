//! The mastership handed over under load, again and again: how long nobody takes writes, and whether one was lost.

use crate::Options;
use crate::group::{Speech, There};
use crate::load::{eventually, median};
use crate::parts::{Any, Table, ms, skipped};
use crate::redis::Client;
use rep_env::admin::AdminClient;
use rep_env::net::{Limits, TcpTransport};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WRITERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);

/// What the writers share.
struct Load<'a> {
    ports: &'a [String],
    stop: AtomicBool,
    written: AtomicUsize,
    acked: Mutex<Vec<String>>,
}

impl Load<'_> {
    /// Writes to whoever takes it, until told to stop.
    fn write(&self, worker: usize) {
        let mut at = worker % self.ports.len();
        let mut client = None;
        while !self.stop.load(Ordering::SeqCst) {
            let key = format!("t{}", self.written.fetch_add(1, Ordering::SeqCst));
            let open = client.take().or_else(|| Client::connect(&self.ports[at]).ok());
            match open.map(|mut open| (open.set(&key, "1"), open)) {
                Some((true, open)) => {
                    client = Some(open);
                    self.acked.lock().expect("nobody panics with it").push(key);
                }
                Some((false, _)) | None => at = (at + 1) % self.ports.len(),
            }
        }
    }
}

pub(crate) fn transfer(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let Some(rep) = &options.rep else { return skipped(name) };
    let group = There::start(rep, "memory", Speech::Tcp)?;
    let table = Table::begin(name, group.dir.path())?;
    group.wait_for_master();
    let (stop, written, acked) = Default::default();
    let load = Load { ports: &group.ports, stop, written, acked };
    let (mut calls, mut gaps) = thread::scope(|scope| {
        let load = &load;
        for worker in 0..WRITERS {
            scope.spawn(move || load.write(worker));
        }
        let measured = hand_over(&group, options.kills);
        load.stop.store(true, Ordering::SeqCst);
        measured
    })?;
    let worst = gaps.iter().max().copied().unwrap_or_default();
    let what =
        format!("transfer under {WRITERS} writers, the call itself, median of {}", calls.len());
    table.row(&what, &ms(median(&mut calls)), "");
    table.row("its return until the next acknowledged write", &ms(median(&mut gaps)), "");
    table.row("the longest of them", &ms(worst), "");
    let acked = load.acked.into_inner()?;
    let mut master = Client::connect(&group.ports[group.wait_for_master()])?;
    let mut lost = 0;
    for keys in acked.chunks(100) {
        lost += master.missing(keys)?;
    }
    table.row(
        "acknowledged writes, and how many of them are lost",
        &format!("{}, {lost}", acked.len()),
        "",
    );
    Ok(())
}

/// How long each call took, and how long it was from there to a write at the new master.
fn hand_over(group: &There, times: usize) -> Result<(Vec<Duration>, Vec<Duration>), Box<dyn Any>> {
    let (mut calls, mut gaps) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let old = group.wait_for_master();
        let transport = TcpTransport::new(Limits::default());
        let admin = AdminClient::connect(&transport, group.address(old), PATIENCE)?;
        let begun = Instant::now();
        let new = admin.transfer_master(&[], PATIENCE, false)?;
        calls.push(begun.elapsed());
        let at = (0..3).find(|at| group.address(*at) == new.address).ok_or("a stranger reigns")?;
        let returned = Instant::now();
        let taken = || Client::connect(&group.ports[at]).ok()?.set("probe", "1").then_some(());
        eventually(PATIENCE, taken).ok_or("the new master takes no writes")?;
        gaps.push(returned.elapsed());
        thread::park_timeout(Duration::from_millis(500));
    }
    Ok((calls, gaps))
}
