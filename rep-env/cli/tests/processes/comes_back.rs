//! A process whose disk is lost, rots or is full comes back by itself; what is wrong meanwhile its status says in plain words, and the group goes on.

use crate::group::{Group, connect, eventually};
use rep_env::MemberType;
use rep_env::admin::StatusReport;
use rustix::fs::FallocateFlags;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Logs that forget soon, so that who comes back needs a copy of the state, which takes some seconds; and a home that is read again all the time.
const MORE: &[&str] = &[
    "--set",
    "store=redb",
    "--set",
    "segment_bytes=1MiB",
    "--set",
    "checkpoint_bytes=1MiB",
    "--set",
    "log_retention_bytes=4MiB",
    "--set",
    "restore_bytes_per_s=1MiB",
    "--set",
    "scrub_bytes_per_s=1GiB",
];
const LOST: usize = 2;
const OTHERS: [usize; 2] = [0, 1];
const KEYS: usize = 12;
const VALUE_BYTES: usize = 300 << 10;
/// Others use this disk too: so much of it may come and go without a meaning.
const NOISE: u64 = 2 << 30;

/// No two acknowledged writes lie further apart, whatever becomes of the third member. A machine that is busy with something else may
/// cost the master its mastership now and then.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What the members have said was wrong, while the group was written to.
struct Said {
    lost: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Said {
    /// Looks until the lost member is as it is to be, and others have written meanwhile.
    fn until(
        what: &str,
        (group, writer): (&Group, &Writer),
        is_back: impl Fn(&StatusReport) -> bool,
    ) -> Said {
        let mut said = Said { lost: BTreeSet::new(), others: BTreeSet::new() };
        let written = writer.written();
        eventually(what, || {
            let lost = group.status(LOST);
            lost.iter().for_each(|it| said.lost.extend(it.problems.iter().cloned()));
            let others = OTHERS.iter().filter_map(|at| group.status(*at));
            let masters = others.filter(|it| it.state == "master");
            said.others.extend(masters.flat_map(|it| it.problems));
            let went_on = writer.written() > written;
            lost.filter(|it| went_on && is_back(it)).map(drop)
        });
        said
    }

    fn assert(&self, lost: &[&str], others: &[&str]) {
        for (said, wanted) in [(&self.lost, lost), (&self.others, others)] {
            for words in wanted {
                assert!(said.iter().any(|it| it.contains(words)), "{words:?} in {said:#?}");
            }
        }
    }
}

/// One client that writes all the time, to whoever takes it.
struct Writer {
    shared: Arc<(AtomicU64, AtomicBool)>,
    thread: JoinHandle<Duration>,
}

impl Writer {
    fn start(addresses: Vec<String>) -> Writer {
        let shared = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let (mut longest, mut last) = (Duration::ZERO, Instant::now());
            for address in addresses.iter().cycle() {
                let mut connection = connect(address).ok();
                while let Some(open) = connection.as_mut().filter(|_| !own.1.load(Ordering::SeqCst))
                {
                    let set = redis::cmd("SET").arg("meanwhile").arg("it goes on").query(open);
                    let Ok(()) = set else { break };
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                    own.0.fetch_add(1, Ordering::SeqCst);
                    // A load, not a flood: the copy of the state is a slow one.
                    thread::park_timeout(Duration::from_millis(5));
                }
                if own.1.load(Ordering::SeqCst) {
                    return longest.max(last.elapsed());
                }
                thread::park_timeout(Duration::from_millis(5));
            }
            longest
        });
        Writer { shared, thread }
    }

    fn written(&self) -> u64 {
        self.shared.0.load(Ordering::SeqCst)
    }

    /// How long at most nothing was acknowledged.
    fn stop(self) -> Duration {
        self.shared.1.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// It votes, as a new member of that number, and has nothing to complain of.
fn is_well(number: u32) -> impl Fn(&StatusReport) -> bool {
    move |report| {
        let votes =
            |it: &rep_env::admin::MemberReport| it.is_me && it.kind == MemberType::Electable;
        let is_new = report.me.id == number && report.members.iter().any(votes);
        is_new && report.state == "replica" && report.problems.is_empty()
    }
}

fn fill(group: &Group, rounds: usize) {
    let value = "x".repeat(VALUE_BYTES);
    for number in 0..rounds * KEYS {
        group.put(&OTHERS, &format!("k{}", number % KEYS), &value);
    }
}

#[test]
fn whose_disk_is_lost_rots_or_is_full_comes_back_by_itself_and_says_what_is_wrong_meanwhile() {
    let mut group = Group::new(3);
    (0..3).for_each(|at| group.start_with(at, MORE));
    group.put(&[0, 1, 2], "k", "v");
    // The third one is to be none that the others cannot do without.
    if group.master() == LOST {
        group.terminate(LOST);
        group.put(&OTHERS, "k", "v");
        group.start_with(LOST, MORE);
    }
    fill(&group, 3);
    let writer = Writer::start(OTHERS.iter().map(|at| group.resp[*at].clone()).collect());

    // Its disk dies, and it has an empty one.
    group.kill(LOST);
    let killed = Instant::now();
    fs::remove_dir_all(group.home(LOST)).unwrap();
    group.start_with(LOST, MORE);
    let early = group.status(LOST).filter(|_| killed.elapsed() < Duration::from_secs(1));
    let mut said = Said::until("a member with another disk", (&group, &writer), is_well(4));
    said.assert(&["is being given a copy by n"], &["n3 is behind: "]);
    if let Some(report) = early {
        said.lost.extend(report.problems);
        // Its place may be taken when it has been silent for a while.
        said.assert(&["no member yet: "], &[]);
    }

    // A bit flips in the middle of its log.
    fill(&group, 1);
    let path = eventually("full files", || oldest_full_file(&group.home(LOST)));
    flip_a_bit(&path);
    let said = Said::until("a member that was damaged", (&group, &writer), is_well(5));
    let damaged = "its directory was damaged (log: ";
    said.assert(&[damaged, "lies in damaged-1", "is being given a copy by n"], &["n3 is behind: "]);
    assert!(group.home(LOST).join("damaged-1/identity").exists());

    // Its disk fills, and somebody makes room.
    fill_the_disk(&mut group, &writer);
    let written = writer.written();
    let silence = writer.stop();
    println!("{written} writes meanwhile, at most {silence:?} between two of them");
    assert!(silence < SILENCE_MAX, "the group stopped for {silence:?}");
    // Through all of it the same process, and it ends as it is asked to.
    assert_eq!(group.terminate(LOST).code(), Some(0));
    group.start_with(LOST, MORE);
    group.assert_converged();
}

/// The disk is full for who wants more of it left free than there is.
fn fill_the_disk(group: &mut Group, writer: &Writer) {
    let home = group.home(0);
    let free = || {
        let stat = rustix::fs::statvfs(&home).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let before = free();
    if before < 4 * NOISE {
        return eprintln!("{before} bytes are free: too little to take any away for a test");
    }
    let reserve = before - NOISE;
    let path = group.home(0).with_extension("ballast");
    assert_eq!(group.terminate(LOST).code(), Some(0));
    let option = format!("disk_reserve_bytes={reserve}");
    group.start_with(LOST, &[MORE, &["--set", &option]].concat());
    Said::until("a member that follows", (group, writer), is_well(5));
    let ballast = File::create(&path).unwrap();
    fill(group, 1);
    // Others use the disk as well: whatever they give back is taken, too.
    let is_full = |report: &StatusReport| {
        if let Some(over) = free().checked_sub(reserve) {
            let (taken, flags) = (ballast.metadata().unwrap().len(), FallocateFlags::empty());
            rustix::fs::fallocate(&ballast, flags, taken, over + NOISE / 2).unwrap();
        }
        report.problems.iter().any(|it| it.contains("full"))
    };
    let said = Said::until("a full disk", (group, writer), is_full);
    said.assert(&["the disk is full: ", "wait for space, which somebody has to make"], &[]);
    fs::remove_file(&path).unwrap();
    drop(ballast);
    Said::until("a member that has space", (group, writer), is_well(5));
}

fn oldest_full_file(home: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(home.join("log")).ok()?.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        names.filter(|it| it.extension().is_some_and(|it| it == "seg")).collect();
    files.sort();
    (files.len() > 2).then(|| files.swap_remove(0))
}

/// In a value; `x` and `y` differ by a bit.
fn flip_a_bit(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let at = bytes.windows(64).position(|window| window == [b'x'; 64]).unwrap() as u64;
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(b"y", at + 5).unwrap();
}
