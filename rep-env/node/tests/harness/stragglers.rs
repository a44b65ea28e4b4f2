#![allow(dead_code, reason = "each test binary uses its part of the harness")]
//! A member that is slower than the writers is given copies; and the rules of waiting for it, for the planted bugs to break.

use crate::harness::Group;
use crate::stranded::{in_sync_keeping, news, problems};
use bytes::Bytes;
use rep_node::{NodeState, PAUSE_MAX, Persisted, Pin, RestoreNews, Retention};
use rep_vlsn::{LogPoint, NodeId, SegmentSize, Vlsn};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(1);
const KEPT: u64 = 256 << 10;
/// Ticks that a copy takes at first: four times as much is written meanwhile as is kept, by writers who are let.
const COPY_TICKS: u64 = 250;
/// Entries that the writers would write in one tick.
const EAGER: usize = 4;

/// By whom, where it stands, and what goes with it.
#[derive(Clone)]
struct Copy {
    source: NodeId,
    pin: Pin,
    at: LogPoint,
    past: Bytes,
}

/// Writers, and a member that cannot keep up with them.
struct Race {
    group: Group,
    master: NodeId,
    slow: NodeId,
    /// Bytes of an entry.
    bytes: usize,
    /// Entries that the slow one syncs in a tick.
    syncs: usize,
    /// Entries of a file.
    file: usize,
    /// Ticks that it takes to give a copy, and to put it in place.
    copy_ticks: u64,
    install_ticks: u64,
    tick: u64,
    /// The copy that is being given, and when it is whole; or is put in place, and when it is.
    giving: Option<(Copy, u64)>,
    installs: Option<(Copy, u64)>,
    /// Copies that were given.
    copies: usize,
    /// Entries that were let in, when the last was, and the longest that one was waited for.
    written: usize,
    last: Duration,
    gap: Duration,
    /// Ticks in which writers were slowed down.
    slowed: u64,
}

impl Race {
    fn new(patience: Duration, bytes: usize, syncs: usize) -> Race {
        let keeps = Retention { bytes: KEPT, age: Duration::from_secs(3600) };
        let names = ["n1", "n2", "n3"];
        let (mut group, master, others) = in_sync_keeping(&names, keeps, patience);
        let slow = others[1];
        group.kill(slow);
        let last = group.now;
        let mut race = Race {
            group,
            master,
            slow,
            bytes,
            syncs,
            file: 1,
            copy_ticks: COPY_TICKS,
            install_ticks: 20,
            tick: 0,
            giving: None,
            installs: None,
            copies: 0,
            written: 0,
            last,
            gap: Duration::ZERO,
            slowed: 0,
        };
        (0..4 * KEPT as usize / bytes).for_each(|_| race.write_one());
        race.checkpoint();
        race.group.start(slow);
        race
    }

    fn write_one(&mut self) {
        let payload = "x".repeat(self.bytes);
        self.group.propose(self.master, &payload);
        self.written += 1;
        (self.gap, self.last) =
            (self.gap.max(self.group.now.saturating_sub(self.last)), self.group.now);
    }

    fn run(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.tick += 1;
            self.group.run_for(TICK);
            self.write();
            self.slow_disk();
            self.copy();
            self.slowed += u64::from(self.is_slowed());
            if self.tick.is_multiple_of(20) {
                self.checkpoint();
            }
        }
    }

    fn write(&mut self) {
        for _ in 0..EAGER {
            let admission = self.group.node(self.master).admission(self.group.now);
            assert!(admission.writable, "its master was never in trouble");
            if !admission.paced {
                self.write_one();
            }
        }
    }

    /// What it is sent it takes, and syncs a little of it.
    fn slow_disk(&mut self) {
        let now = self.group.now;
        let machine = self.group.machines.get_mut(&self.slow).unwrap();
        machine.hold_log = true;
        let synced = machine.records.len().min(machine.synced + self.syncs);
        if machine.synced == synced || machine.reopens.is_some() {
            return;
        }
        (machine.synced, machine.written) = (synced, machine.written.max(synced));
        let point = machine.records[synced - 1].point();
        let Some(node) = &mut machine.node else { return };
        node.handle_persisted(now, Persisted::Log { point, epoch: node.log().epoch() });
        self.group.settle();
    }

    /// The first source that it names gives it a copy.
    fn copy(&mut self) {
        let (slow, tick) = (self.slow, self.tick);
        if let Some((copy, _)) = self.installs.take_if(|(_, due)| *due <= tick) {
            return self.group.install_beside(slow, copy.source, copy.at, copy.past);
        }
        let Some((_, sources, at_least)) = self.group.machines[&slow].fetch.clone() else {
            if let Some((copy, _)) = self.giving.take() {
                self.group.act(copy.source, |node, _| node.unpin(copy.pin));
            }
            return;
        };
        match self.giving.take_if(|(_, due)| *due <= tick) {
            Some((copy, _)) => {
                let taker = self.group.machines[&slow].incarnation;
                self.group.act(copy.source, |node, now| node.copy_given(now, copy.pin, taker));
                news(&mut self.group, slow, RestoreNews::Fetched { point: copy.at });
                self.group.machines.get_mut(&slow).unwrap().fetch = None;
                self.copies += 1;
                let taken = self.group.machines[&slow].reopens.is_some();
                self.installs = taken.then_some((copy, tick + self.install_ticks));
            }
            None if self.giving.is_none() => self.begin_copy(sources[0], at_least),
            None => {}
        }
    }

    fn begin_copy(&mut self, source: NodeId, at_least: Vlsn) {
        let taker = self.group.machines[&self.slow].incarnation;
        let mut offer = None;
        self.group.act(source, |node, _| offer = node.offer(at_least, taker).ok());
        let Some(offer) = offer else { return };
        let (pin, at) = (offer.pin, offer.point);
        let past = self.group.node(source).past_of(at).expect("it holds the entry");
        self.giving = Some((Copy { source, pin, at, past }, self.tick + self.copy_ticks));
        news(&mut self.group, self.slow, RestoreNews::Began { source });
    }

    fn checkpoint(&mut self) {
        let ids = self.group.ids().into_iter().filter(|id| *id != self.slow);
        for id in ids.collect::<Vec<_>>() {
            let machine = &self.group.machines[&id];
            let held = machine.records.iter().filter(|it| it.point().vlsn >= machine.first);
            let held: Vec<_> = held.collect();
            let file = |entries: &[&rep_vlsn::Record]| SegmentSize {
                first: entries[0].point().vlsn,
                bytes: entries.iter().map(|it| it.bytes().len() as u64).sum(),
            };
            let files: Vec<SegmentSize> = held.chunks(self.file).map(file).collect();
            self.group.act(id, |node, now| node.handle_checkpointed(now, node.applied(), &files));
        }
    }

    fn is_slowed(&self) -> bool {
        let told = problems(&self.group, self.master);
        told.iter().any(|it| it.contains("are slowed down for n"))
    }

    fn follows(&self) -> bool {
        self.group.machines[&self.slow].node.is_some()
            && self.group.node(self.slow).state() == NodeState::Replica
    }
}

/// Writers that nobody slows down leave it behind each time.
pub(crate) fn without_a_pace_a_straggler_is_given_copy_after_copy() {
    let mut race = Race::new(Duration::ZERO, 1000, 1);
    race.run(3000);
    assert!(race.copies >= 6, "{} copies", race.copies);
    assert!(!race.follows());
    assert_eq!(race.slowed, 0);
}

/// One copy of a replica, which keeps nothing for it; one of the master, and with that it follows.
pub(crate) fn a_straggler_slower_than_the_writers_converges() {
    let mut race = Race::new(Duration::from_secs(60), 1000, 1);
    race.run(3000);
    assert!(race.copies <= 2, "{} copies", race.copies);
    assert!(race.follows(), "{:?}", problems(&race.group, race.slow));
    assert!(race.slowed > 0, "and that was said");
    // Writers are faster than it whenever they are let.
    let (last, applied) =
        (race.group.node(race.master).applied(), race.group.node(race.slow).log().synced());
    assert!(last.vlsn.distance_from(applied) < 2 * KEPT / 1000, "{applied} of {last}");
}

/// It follows, and syncs nothing any more: long before its log is gone, writers are as fast as before.
pub(crate) fn writers_are_slowed_down_for_so_long_and_no_longer() {
    let patience = Duration::from_secs(2);
    let mut race = Race::new(patience, 1000, 1);
    race.run(1500);
    assert!(race.follows());
    race.syncs = 0;
    let before = race.slowed;
    race.run(2600);
    let spent = race.slowed - before;
    assert!(spent as u128 <= patience.as_millis() + 10, "{spent} ms");
    let told = problems(&race.group, race.master);
    assert!(told.iter().any(|it| it.contains("is waited for no more")), "{told:?}");
    let written = race.written;
    race.run(100);
    assert_eq!(race.written - written, 100 * EAGER, "they are not slowed down");
}

/// Whatever it does or does not do.
pub(crate) fn an_entry_is_let_in_every_half_second() {
    let mut race = Race::new(Duration::from_secs(60), 1000, 1);
    race.run(1000);
    assert!(race.follows());
    // What follows costs more than is granted meanwhile.
    (race.syncs, race.bytes, race.gap) = (0, 60_000, Duration::ZERO);
    race.run(2000);
    assert!(race.gap <= PAUSE_MAX + TICK * 2, "{:?}", race.gap);
    assert!(race.gap >= PAUSE_MAX / 2, "they are slowed down: {:?}", race.gap);
}

/// Somebody is waited for whose first copy, that of a replica, was in vain, as nothing is kept for it; and `slower` says of its second one, that of
/// the master, what does not come to an end.
fn waited_for(patience: Duration, slower: fn(&mut Race)) -> Race {
    let mut race = Race::new(patience, 1000, 1);
    race.file = 100;
    while race.copies == 0 || !race.is_slowed() {
        race.run(1);
        if race.copies == 1 {
            slower(&mut race);
        }
        assert!(race.tick < 5000, "{} copies", race.copies);
    }
    race
}

const NEVER: u64 = 1 << 40;

/// Files are cut whole, so that a log is gone somewhat earlier than its entries make up for what is kept, and the pin with it.
pub(crate) fn nobody_is_waited_for_whose_log_is_gone() {
    let mut race = waited_for(Duration::from_secs(5), |race| race.copy_ticks = NEVER);
    let needs = race.giving.as_ref().unwrap().0.at.vlsn.next();
    let is_gone = |race: &Race| race.group.node(race.master).log().first() > needs;
    while !is_gone(&race) {
        assert!(race.is_slowed(), "{:?}", problems(&race.group, race.master));
        race.run(1);
    }
    race.run(2);
    assert!(!race.is_slowed(), "{:?}", problems(&race.group, race.master));
}

/// It puts its copy in place, and nothing is heard of it any more.
pub(crate) fn the_dead_are_waited_for_a_tenth_of_the_patience() {
    let mut race = waited_for(Duration::from_secs(20), |race| race.install_ticks = NEVER);
    while race.installs.is_none() {
        race.run(1);
    }
    race.group.kill(race.slow);
    let before = race.slowed;
    race.run(2500);
    let spent = race.slowed - before;
    assert!((1000..=2100).contains(&spent), "{spent} ms");
    assert!(!race.is_slowed());
}

/// It was let in for the sake of the pause, and short ones need not wait until all of it is made up for.
pub(crate) fn a_long_entry_is_owed_for_two_seconds() {
    let mut race = Race::new(Duration::from_secs(60), 1000, 1);
    race.run(1000);
    assert!(race.follows());
    race.syncs = 0;
    race.run(100);
    assert!(race.is_slowed());
    let written = race.written;
    race.bytes = 250_000;
    while race.written == written {
        race.run(1);
    }
    (race.bytes, race.written) = (100, 0);
    race.run(2300);
    assert!(race.is_slowed() && race.written > 50, "{} entries", race.written);
}
