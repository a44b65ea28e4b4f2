//! A node of one, all but its protocol: committers, the turn, the credit, the helm and its watch, the log with its writer, the
//! board; while it closes, while its disk fails, while the power does.
//!
//! Nobody may be left waiting, whatever comes when; and what was acknowledged is on the disk.

use super::{explore, join, rejects, threads};
use crate::commit::{CommitHandle, CommitPromise, CommitSlot, CommitToken};
use crate::error::Error;
use crate::events::Board;
use crate::runtime::credit::Credit;
use crate::runtime::directory::Directory;
use crate::runtime::helm::{Helm, LaneBounds, Post};
use crate::runtime::log_writer::{Command, LogQueue};
use crate::sync::{Flaw, Mutex};
use crate::transaction::turn::Turn;
use rep_explore::{never, random, thread, yield_now};
use rep_fsm::NodeState;
use rep_vlsn::{
    Draft, Flags, GroupId, Kind, LogConfig, LogPoint, LogWriter, MemDisk, NodeId, Opened, Tail,
    Term, Vlsn, open,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

const COMMITTERS: usize = 5;
const COMMITS: usize = 2;
/// One commit in five waits for the disk.
const UNSYNCED_BYTES_MAX: u64 = 450;
const COMMIT_BYTES: u64 = 100;
const GROUP: GroupId = GroupId([7; 16]);
const TERM: Term = Term::new(1);
const SHARE_TURNS: usize = 2;

/// What happens in the midst of it all.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Nothing: it closes when all is done.
    Good,
    /// It is closed.
    Closed,
    /// The disk fails to sync.
    SyncFails,
    /// The power fails.
    PowerFails,
}

/// When the writer says that an entry is durable.
#[derive(Clone, Copy, PartialEq)]
enum Vouches {
    ForSynced,
    /// Twin: for all that was staged by the end of a sync.
    ForStaged,
}

enum News {
    Propose { credit: u64, promise: CommitPromise },
    Durable(Vlsn),
    DiskFailed,
    Close,
}

const COMPLETIONS: usize = 0;
const CONTROL: usize = 1;
const PROPOSALS: usize = 2;

/// What is driven.
struct Node {
    last: LogPoint,
    last_crc: u32,
    pending: BTreeMap<Vlsn, CommitPromise>,
}

struct World {
    turn: Turn,
    credit: Credit,
    helm: Helm<News, Node>,
    tail: Tail,
    log: LogQueue,
    board: Board,
    disk: MemDisk,
    /// What was acknowledged while there was power, and whether there is.
    acknowledged: Mutex<(Vec<Vlsn>, bool)>,
}

type AtHelm = Box<Post<News, Node>>;

impl World {
    fn drive(&self) {
        let mut next = self.helm.take();
        for turn in 1..=SHARE_TURNS {
            let Some(post) = next else { return };
            next = self.step(post, turn < SHARE_TURNS);
        }
    }

    fn watch(&self) {
        while let Some(post) = self.helm.stand_watch() {
            self.step(post, false);
        }
    }

    fn bring(&self, lane: usize, news: News) {
        self.helm.leave(lane, 0, news);
        self.drive();
    }

    fn step(&self, mut post: AtHelm, goes_on: bool) -> Option<AtHelm> {
        let Post { driven, inputs } = &mut *post;
        let (mut entered, mut wakers, mut ends) = (0, Vec::new(), false);
        for news in inputs.drain(..) {
            match news {
                News::Propose { credit, promise } => {
                    entered += credit;
                    self.stage(driven, promise);
                }
                News::Durable(up_to) => {
                    let rest = driven.pending.split_off(&up_to.next());
                    for (vlsn, promise) in std::mem::replace(&mut driven.pending, rest) {
                        wakers.extend(self.acknowledge(vlsn, promise));
                    }
                }
                News::DiskFailed | News::Close => {
                    ends = true;
                    break;
                }
            }
        }
        if ends {
            return self.end(post);
        }
        self.log.write(GROUP);
        self.credit.settle(entered, COMMIT_BYTES * driven.pending.len() as u64);
        wakers.into_iter().for_each(Waker::wake);
        self.helm.after_turn(post, None, goes_on)
    }

    fn stage(&self, node: &mut Node, mut promise: CommitPromise) {
        let point = LogPoint::new(TERM, node.last.vlsn.next());
        let draft = match node.last.vlsn.is_null() {
            true => Draft::opening(Kind::GroupFounded, NodeId::new(1), b""),
            false => Draft::new(Kind::Data, Flags::default(), b"a write"),
        };
        let record = draft.stamp(point, node.last_crc, 0);
        (node.last, node.last_crc) = (point, record.header_crc());
        self.tail.stage(&[record]);
        promise.logged(CommitToken::new(GROUP, point));
        node.pending.insert(point.vlsn, promise);
    }

    fn acknowledge(&self, vlsn: Vlsn, promise: CommitPromise) -> Vec<Waker> {
        let mut acknowledged = self.acknowledged.lock();
        if acknowledged.1 {
            acknowledged.0.push(vlsn);
        }
        drop(acknowledged);
        promise.settle(Ok(CommitToken::new(GROUP, LogPoint::new(TERM, vlsn))))
    }

    /// As the end of a real node: everybody who waits for anything is told.
    fn end(&self, post: AtHelm) -> Option<AtHelm> {
        self.board.publish(NodeState::Shutdown, TERM, None, "closed");
        self.helm.close();
        self.credit.close();
        self.turn.close();
        self.log.close();
        drop(post);
        self.helm.end();
        None
    }

    fn commit(&self) -> Result<CommitToken, Error> {
        let ticket = self.turn.take(never())?;
        let slot = Arc::new(CommitSlot::pending());
        let promise = CommitPromise::new(Arc::clone(&slot));
        match self.credit.enter(COMMIT_BYTES, None) {
            Ok(grant) => {
                let credit = grant.spend();
                self.helm.leave(PROPOSALS, 0, News::Propose { credit, promise });
            }
            Err(_) => drop(promise),
        }
        self.turn.give_back(ticket);
        self.drive();
        CommitHandle::new(slot).wait()
    }

    /// The log writer's thread.
    fn write_on(&self, mut writer: LogWriter<MemDisk>, vouches: Vouches) {
        while let Ok(command) = self.log.next(None) {
            assert!(matches!(command, Some(Command::Write(_))));
            while let Some(durable) = write(&mut writer).transpose() {
                let news = match (durable, vouches) {
                    (Ok(synced), Vouches::ForSynced) => News::Durable(synced),
                    (Ok(_), Vouches::ForStaged) => News::Durable(self.tail.last().vlsn),
                    (Err(_), _) => News::DiskFailed,
                };
                let failed = matches!(news, News::DiskFailed);
                self.bring(COMPLETIONS, news);
                if failed {
                    break;
                }
            }
        }
    }

    fn meet(&self, fate: Fate) {
        (0..random() % 128).for_each(|_| yield_now());
        match fate {
            Fate::Good => {}
            Fate::Closed => {
                self.turn.close();
                self.bring(CONTROL, News::Close);
            }
            Fate::SyncFails => self.disk.fail_next_sync(),
            Fate::PowerFails => {
                let mut acknowledged = self.acknowledged.lock();
                acknowledged.1 = false;
                self.disk.power_cut(&mut random);
            }
        }
    }
}

/// One group: written, and synced a moment later.
fn write(writer: &mut LogWriter<MemDisk>) -> Result<Option<Vlsn>, rep_vlsn::LogError> {
    if writer.write_group(Vlsn::NULL)?.is_none() {
        return Ok(None);
    }
    yield_now();
    Ok(Some(writer.sync()?.point.vlsn))
}

fn world(disk: &MemDisk) -> (World, LogWriter<MemDisk>) {
    let Opened { mut writer, tail, .. } = open(disk.clone(), LogConfig::default()).unwrap();
    writer.set_group(GROUP).unwrap();
    let bounds = LaneBounds { items_max: 2, bytes_max: usize::MAX };
    let world = World {
        turn: Turn::new(Duration::from_secs(3600)),
        credit: Credit::new(UNSYNCED_BYTES_MAX),
        helm: Helm::new([bounds; 3], 4),
        tail,
        log: LogQueue::new(),
        board: Board::new(Arc::new(Directory::listing("a", &[("a", "A:1")]))),
        disk: disk.clone(),
        acknowledged: Mutex::new((Vec::new(), true)),
    };
    (world, writer)
}

fn live(fate: Fate, vouches: Vouches) {
    let disk = MemDisk::new();
    let (world, writer) = world(&disk);
    let world = Arc::new(world);
    let node = Node { last: LogPoint::NULL, last_crc: 0, pending: BTreeMap::new() };
    world.helm.install(node);
    let told = world.board.subscribe().states();
    let own = |run: fn(&World)| {
        let world = Arc::clone(&world);
        thread::spawn(move || run(&world))
    };
    let watching = own(World::watch);
    let listening = thread::spawn(move || told.last().map(|event| event.new));
    let writing = thread::spawn({
        let world = Arc::clone(&world);
        move || world.write_on(writer, vouches)
    });
    let meeting = thread::spawn({
        let world = Arc::clone(&world);
        move || world.meet(fate)
    });
    let committing = threads(COMMITTERS, {
        let world = Arc::clone(&world);
        move |_| (0..COMMITS).map(|_| world.commit()).collect::<Vec<_>>()
    });
    let outcomes: Vec<_> = join(committing).into_iter().flatten().collect();
    meeting.join().unwrap();
    world.bring(CONTROL, News::Close);
    join(vec![watching, writing]);
    assert_eq!(listening.join().unwrap(), Some(NodeState::Shutdown));
    let mut succeeded: Vec<_> = outcomes.iter().flatten().map(|token| token.point().vlsn).collect();
    succeeded.sort_unstable();
    assert!(fate != Fate::Good || succeeded.len() == COMMITTERS * COMMITS, "{outcomes:?}");
    let last = open(disk.image(), LogConfig::default()).unwrap().view.last().vlsn;
    let acknowledged = world.acknowledged.lock();
    assert!(acknowledged.0.iter().all(|vlsn| *vlsn <= last), "what was acknowledged is there");
}

#[test]
fn shuttle_a_node_that_is_well_commits_for_all_and_closes() {
    explore(|| live(Fate::Good, Vouches::ForSynced));
}

#[test]
fn shuttle_twin_a_driver_that_goes_without_looking_forgets_a_commit() {
    rejects(Flaw::GoesWithoutLooking, "deadlock", || live(Fate::Good, Vouches::ForSynced));
}

#[test]
fn shuttle_a_close_in_the_midst_of_commits_answers_them_all_and_every_thread_ends() {
    explore(|| live(Fate::Closed, Vouches::ForSynced));
}

#[test]
fn shuttle_twin_a_promise_that_is_dropped_in_silence_is_found() {
    rejects(Flaw::PromiseDropsSilently, "deadlock", || live(Fate::Closed, Vouches::ForSynced));
}

#[test]
fn shuttle_a_sync_that_fails_fails_all_who_wait_for_it() {
    explore(|| live(Fate::SyncFails, Vouches::ForSynced));
}

#[test]
fn shuttle_twin_a_failed_sync_that_answers_nobody_is_found() {
    rejects(Flaw::PromiseDropsSilently, "deadlock", || live(Fate::SyncFails, Vouches::ForSynced));
}

#[test]
fn shuttle_what_was_acknowledged_outlives_the_power() {
    explore(|| live(Fate::PowerFails, Vouches::ForSynced));
}

#[test]
fn shuttle_twin_a_writer_that_vouches_for_what_came_meanwhile_is_found() {
    rep_explore::rejects("acknowledged", || live(Fate::PowerFails, Vouches::ForStaged));
}
