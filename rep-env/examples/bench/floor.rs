//! What nothing here can be faster than.

use crate::load::median;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const RECORD: [u8; 128] = [7; 128];
const SYNCS: u64 = 100;
const TRIPS: usize = 2000;
/// Virtual disks are of two minds: an idle machine may notice a finished sync only with its next tick, a busy one at once. The
/// best of so many medians is the floor.
const ROUNDS: usize = 5;

/// The floors of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    /// Median of one append into a file that has its length already, and its sync.
    pub(crate) sync: Duration,
    /// Median of one small round trip over loopback.
    pub(crate) trip: Duration,
}

impl Floor {
    /// Measures both, the disk in `directory`.
    pub(crate) fn measure(directory: &Path) -> io::Result<Floor> {
        let mut floor = Floor { sync: Duration::MAX, trip: Duration::MAX };
        for _ in 0..ROUNDS {
            floor.sync = floor.sync.min(sync(directory)?);
            floor.trip = floor.trip.min(trip()?);
        }
        Ok(floor)
    }

    /// What one commit waits for at least: the entry there, its acknowledgement back, and one sync.
    pub(crate) fn commit(&self) -> Duration {
        self.sync + self.trip
    }
}

fn sync(directory: &Path) -> io::Result<Duration> {
    let file = File::create(directory.join("floor"))?;
    file.write_all_at(&vec![0; SYNCS as usize * RECORD.len()], 0)?;
    file.sync_all()?;
    let mut times = Vec::new();
    for number in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&RECORD, number * RECORD.len() as u64)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(median(&mut times))
}

fn trip() -> io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::scope(|scope| {
        let echo = scope.spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut record = RECORD;
            for _ in 0..TRIPS {
                stream.read_exact(&mut record)?;
                stream.write_all(&record)?;
            }
            Ok(())
        });
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (mut record, mut times) = (RECORD, Vec::new());
        for _ in 0..TRIPS {
            let begun = Instant::now();
            stream.write_all(&RECORD)?;
            stream.read_exact(&mut record)?;
            times.push(begun.elapsed());
        }
        echo.join().expect("the echo does not panic")?;
        Ok(median(&mut times))
    })
}
