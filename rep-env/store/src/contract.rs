//! The contract of [`StateMachine`], as tests for any implementation.
//!
//! Describe yours by a [`Subject`] and call [`check`] in a test, or the checks one by one. Each
//! panics with what did not hold. They use one generated history, whose terms change now and then and whose
//! entries are not all data.

use crate::state_machine::Chunks;
use crate::{Digest, Entry, StateMachine, StoreError};
use bytes::Bytes;
use rep_vlsn::{Kind, LogPoint, Term, Vlsn};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A state machine under test, and the place where it keeps its state.
pub trait Subject {
    /// The state machine.
    type Machine: StateMachine;

    /// Opens it in its place: empty the first time, later whatever survived dropping it.
    fn open(&mut self) -> Self::Machine;

    /// The payload of data entry `vlsn`. Applying it has to change the digest.
    fn payload(&self, vlsn: Vlsn) -> Bytes;

    /// A payload that means nothing, if there is one.
    fn nonsense(&self) -> Option<Bytes>;

    /// Which point a reader sees, and the digest of what it sees there, in one view.
    fn observe(reader: &<Self::Machine as StateMachine>::Reader) -> (LogPoint, Digest);
}

/// Runs every check, each on a subject of its own.
pub fn check<S: Subject>(mut make: impl FnMut() -> S) {
    an_empty_machine_is_at_the_null_point(&mut make());
    batch_borders_do_not_matter(&mut make);
    entries_applied_again_have_no_effect(&mut make);
    other_kinds_only_move_the_applied_point(&mut make());
    entries_that_do_not_follow_are_refused(&mut make());
    a_refused_batch_leaves_no_trace(&mut make());
    readers_see_one_point_while_batches_are_applied(&mut make);
    a_checkpoint_survives_reopening(&mut make());
    a_snapshot_installs_elsewhere(&mut make);
    a_state_goes_on_while_another_is_loaded(&mut make);
    what_was_loaded_in_vain_leaves_no_trace(&mut make);
    a_snapshot_is_not_moved_by_applies(&mut make);
    a_copy_goes_on_with_the_snapshot_of_another_machine(&mut make);
    a_damaged_snapshot_changes_nothing(&mut make);
}

/// Length of the generated history.
const ENTRIES: u64 = 60;

/// A machine that has applied nothing says so.
pub fn an_empty_machine_is_at_the_null_point<S: Subject>(subject: &mut S) {
    let mut machine = subject.open();
    assert_eq!(machine.applied(), LogPoint::NULL);
    apply(&mut machine, &[]);
    assert_eq!(machine.applied(), LogPoint::NULL, "no entry, no step");
    let (seen, digest) = S::observe(&machine.reader());
    assert_eq!((seen, digest), (LogPoint::NULL, digest_of(&machine)));
}

/// The state is a function of the entries, not of how they were grouped; and so are the outputs.
pub fn batch_borders_do_not_matter<S: Subject>(make: &mut impl FnMut() -> S) {
    let mut outcomes = Vec::new();
    for size in [1, 2, 7, ENTRIES as usize] {
        let mut subject = make();
        let history = history(&subject);
        let mut machine = subject.open();
        let mut outputs = Vec::new();
        for batch in history.chunks(size) {
            machine.apply(batch, &mut outputs).expect("the history is good");
            assert_eq!(machine.applied(), batch[batch.len() - 1].point);
        }
        outcomes.push((digest_of(&machine), format!("{outputs:?}"), outputs.len()));
    }
    let data = history(&make()).iter().filter(|entry| entry.kind == Kind::Data).count();
    assert_eq!(outcomes[0].2, data, "one output for each data entry");
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "batch borders matter");
}

/// What is at or below the applied point is skipped, also inside a batch that goes beyond it.
pub fn entries_applied_again_have_no_effect<S: Subject>(make: &mut impl FnMut() -> S) {
    let states = digests(&mut make());
    let mut subject = make();
    let history = history(&subject);
    let mut machine = subject.open();
    apply(&mut machine, &history[..30]);
    let before = (machine.applied(), digest_of(&machine));
    for again in [&history[..1], &history[10..30], &history[..30]] {
        assert_eq!(apply(&mut machine, again), 0, "a skipped entry has no output");
        assert_eq!((machine.applied(), digest_of(&machine)), before, "applied again");
    }
    let fresh = history[30..50].iter().filter(|entry| entry.kind == Kind::Data).count();
    assert_eq!(apply(&mut machine, &history[20..50]), fresh);
    apply(&mut machine, &history[50..]);
    assert_eq!(digest_of(&machine), states[&machine.applied()]);
}

/// Entries without a payload for the machine are counted, and change nothing.
pub fn other_kinds_only_move_the_applied_point<S: Subject>(subject: &mut S) {
    let mut machine = subject.open();
    let empty = digest_of(&machine);
    let founded = &history(subject)[..1];
    assert_eq!(founded[0].kind, Kind::GroupFounded);
    assert_eq!(apply(&mut machine, founded), 0, "no output");
    assert_eq!((machine.applied(), digest_of(&machine)), (founded[0].point, empty));
}

/// A gap, a falling term, or another entry at the applied place is refused.
pub fn entries_that_do_not_follow_are_refused<S: Subject>(subject: &mut S) {
    let history = history(subject);
    let mut machine = subject.open();
    apply(&mut machine, &history[..20]);
    let before = (machine.applied(), digest_of(&machine));
    let next = history[20].clone();
    let at = |term: u64, vlsn: u64| {
        let point = LogPoint::new(Term::new(term), Vlsn::new(vlsn));
        Entry { point, ..next.clone() }
    };
    let term = before.0.term.get();
    let gap = vec![at(term, 22)];
    let inner_gap = vec![at(term, 21), at(term, 23)];
    let falling = vec![at(term - 1, 21)];
    let another = vec![at(term + 1, 20), at(term + 1, 21)];
    for batch in [gap, inner_gap, falling, another] {
        let result = machine.apply(&batch, &mut Vec::new());
        assert!(matches!(result, Err(StoreError::OutOfOrder { .. })), "{batch:?}: {result:?}");
        assert_eq!((machine.applied(), digest_of(&machine)), before, "refused without a trace");
    }
    apply(&mut machine, &history[20..]);
}

/// A payload that means nothing is refused with its place, and nothing of its batch is applied.
pub fn a_refused_batch_leaves_no_trace<S: Subject>(subject: &mut S) {
    let Some(nonsense) = subject.nonsense() else { return };
    let history = history(subject);
    let mut machine = subject.open();
    apply(&mut machine, &history[..20]);
    let before = (machine.applied(), digest_of(&machine));
    let mut batch = history[20..30].to_vec();
    let bad = batch.iter_mut().rfind(|entry| entry.kind == Kind::Data).expect("data");
    bad.payload = nonsense;
    let at = bad.point;
    let mut outputs = Vec::new();
    match machine.apply(&batch, &mut outputs) {
        Err(StoreError::Corrupt { point, .. }) => assert_eq!(point, at),
        other => panic!("nonsense was met with {other:?}"),
    }
    assert!(outputs.is_empty());
    assert_eq!((machine.applied(), digest_of(&machine)), before);
    apply(&mut machine, &history[20..]);
}

/// What a reader sees at a point is the state at that point, at any moment; and it never goes back.
pub fn readers_see_one_point_while_batches_are_applied<S: Subject>(make: &mut impl FnMut() -> S) {
    let states = digests(&mut make());
    for _ in 0..ROUNDS {
        watch_applies(&mut make(), &states);
    }
}

/// How often readers are raced against applies: a torn view shows itself only now and then.
const ROUNDS: usize = 40;

fn watch_applies<S: Subject>(subject: &mut S, states: &BTreeMap<LogPoint, Digest>) {
    let history = history(subject);
    let mut machine = subject.open();
    let reader = machine.reader();
    let end = history[history.len() - 1].point;
    let is_over = AtomicBool::new(false);
    let watch = |reader: <S::Machine as StateMachine>::Reader| {
        let mut last = LogPoint::NULL;
        while last != end && !is_over.load(Relaxed) {
            let (seen, digest) = S::observe(&reader);
            assert!(seen >= last, "a reader went back from {last} to {seen}");
            assert_eq!(states.get(&seen), Some(&digest), "a torn view at {seen}");
            last = seen;
        }
    };
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let watchers = [reader.clone(), reader].map(|reader| scope.spawn(|| watch(reader)));
        for batch in history.chunks(3) {
            apply(&mut machine, batch);
        }
        assert_eq!(machine.applied(), end);
        drop(over);
        watchers.into_iter().for_each(|watcher| watcher.join().expect("what readers see"));
    });
    let seen = S::observe(&machine.reader());
    assert_eq!(seen, (end, states[&end]), "a reader lags behind what is applied");
}

/// Ends the watchers, also when an apply panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// After reopening, the state lies between the last checkpoint and the last batch, and is whole.
pub fn a_checkpoint_survives_reopening<S: Subject>(subject: &mut S) {
    let history = history(subject);
    let mut machine = subject.open();
    let mut checkpointed = LogPoint::NULL;
    let mut states = BTreeMap::from([(LogPoint::NULL, digest_of(&machine))]);
    for entry in &history {
        apply(&mut machine, std::slice::from_ref(entry));
        states.insert(entry.point, digest_of(&machine));
        let vlsn = entry.point.vlsn.get();
        if vlsn % 10 == 0 {
            checkpointed = machine.checkpoint().expect("a checkpoint");
            assert_eq!(checkpointed, entry.point);
        }
        if vlsn % 15 == 0 {
            let last = machine.applied();
            drop(machine);
            machine = subject.open();
            let applied = machine.applied();
            assert!((checkpointed..=last).contains(&applied), "{checkpointed} {applied} {last}");
            assert_eq!(states[&applied], digest_of(&machine), "state and point parted");
            apply(&mut machine, &history[..vlsn as usize]);
            assert_eq!(states[&last], digest_of(&machine), "the log did not bring it back");
        }
    }
}

/// An installed snapshot replaces what was there, durably, and the log goes on from its point.
pub fn a_snapshot_installs_elsewhere<S: Subject>(make: &mut impl FnMut() -> S) {
    let history = history(&make());
    let states = digests(&mut make());
    for (from, to) in [(40, 0), (40, 10), (10, 40), (0, 20)] {
        let chunks = chunks_at(&mut make(), &history[..from]);
        let mut subject = make();
        let mut machine = subject.open();
        let reader = machine.reader();
        apply(&mut machine, &history[..to]);
        let point = install(&mut machine, chunks).expect("a whole snapshot");
        assert_eq!((point, digest_of(&machine)), (machine.applied(), states[&point]));
        assert_eq!(S::observe(&reader), (point, states[&point]), "readers stay valid");
        drop((machine, reader));
        let mut machine = subject.open();
        assert_eq!((machine.applied(), digest_of(&machine)), (point, states[&point]));
        apply(&mut machine, &history);
        assert_eq!(digest_of(&machine), states[&machine.applied()]);
    }
}

/// A snapshot shows the state of its point, whatever is applied while it is read.
pub fn a_snapshot_is_not_moved_by_applies<S: Subject>(make: &mut impl FnMut() -> S) {
    let mut subject = make();
    let history = history(&subject);
    let mut machine = subject.open();
    apply(&mut machine, &history[..30]);
    let before = (machine.applied(), digest_of(&machine));
    let mut snapshot = machine.snapshot().expect("a snapshot");
    assert_eq!(snapshot.point(), before.0);
    let mut chunks = Vec::new();
    let mut rest = history[30..].iter();
    while let Some(chunk) = snapshot.next_chunk().expect("a chunk") {
        chunks.push(chunk);
        rest.next().into_iter().for_each(|entry| {
            apply(&mut machine, std::slice::from_ref(entry));
        });
        machine.checkpoint().expect("a checkpoint");
    }
    let mut other = make();
    let mut other = other.open();
    install(&mut other, chunks).expect("a whole snapshot");
    assert_eq!((other.applied(), digest_of(&other)), before);
}

/// What was fetched of one snapshot is taken for that of a later one wherever the bytes are the same: the copy is the later state.
pub fn a_copy_goes_on_with_the_snapshot_of_another_machine<S: Subject>(
    make: &mut impl FnMut() -> S,
) {
    let history = history(&make());
    let states = digests(&mut make());
    // The last of these entries only moves the applied point.
    for (kept, later) in [(30, 40), (40, 40), (41, 42)] {
        let kept: BTreeSet<Bytes> = chunks_at(&mut make(), &history[..kept]).into_iter().collect();
        let chunks = chunks_at(&mut make(), &history[..later]).into_iter();
        let put_together = chunks.map(|chunk| kept.get(&chunk).cloned().unwrap_or(chunk)).collect();
        let mut other = make();
        let mut other = other.open();
        let point = install(&mut other, put_together).expect("a whole snapshot");
        assert_eq!((point, other.applied()), (history[later - 1].point, point));
        assert_eq!(digest_of(&other), states[&point]);
        apply(&mut other, &history[later..]);
    }
}

/// What is loaded ahead of an install is seen by nobody while the state goes on, and is then put in its place with the rest.
pub fn a_state_goes_on_while_another_is_loaded<S: Subject>(make: &mut impl FnMut() -> S) {
    let history = history(&make());
    let states = digests(&mut make());
    let chunks = chunks_at(&mut make(), &history[..40]);
    for ahead in [1, chunks.len() / 2, chunks.len()] {
        let mut subject = make();
        let mut machine = subject.open();
        if !load(&mut machine, &chunks[..ahead]) {
            return;
        }
        for entry in &history[..10] {
            apply(&mut machine, std::slice::from_ref(entry));
            assert_eq!(digest_of(&machine), states[&entry.point], "it is as without");
        }
        machine.checkpoint().expect("a checkpoint");
        let point = install(&mut machine, chunks[ahead..].to_vec()).expect("a whole snapshot");
        assert_eq!((point, machine.applied()), (history[39].point, point));
        drop(machine);
        let mut machine = subject.open();
        assert_eq!((machine.applied(), digest_of(&machine)), (point, states[&point]));
        apply(&mut machine, &history);
    }
}

/// What was loaded and is not wanted, or is none of the snapshot that is installed, leaves no trace.
pub fn what_was_loaded_in_vain_leaves_no_trace<S: Subject>(make: &mut impl FnMut() -> S) {
    let history = history(&make());
    let states = digests(&mut make());
    let (chunks, other) =
        (chunks_at(&mut make(), &history[..40]), chunks_at(&mut make(), &history[..30]));
    let mut subject = make();
    let mut machine = subject.open();
    apply(&mut machine, &history[..10]);
    machine.checkpoint().expect("a checkpoint");
    let before = (machine.applied(), digest_of(&machine));
    let first = chunks[..1].to_vec();
    if !load(&mut machine, &first) {
        return;
    }
    install(&mut machine, chunks.clone()).expect_err("its first chunk is there already");
    assert_eq!((machine.applied(), digest_of(&machine)), before);
    load(&mut machine, &first);
    machine.load(&first[0]).expect_err("the same again");
    load(&mut machine, &first);
    install(&mut machine, other[other.len() - 1..].to_vec()).expect_err("the end of another one");
    assert_eq!((machine.applied(), digest_of(&machine)), before);
    load(&mut machine, &chunks);
    drop(machine);
    let mut machine = subject.open();
    assert_eq!((machine.applied(), digest_of(&machine)), before, "it was never installed");
    load(&mut machine, &first);
    machine.unload();
    let point = install(&mut machine, other).expect("a whole snapshot");
    assert_eq!(digest_of(&machine), states[&point]);
}

/// Whether the machine loads anything ahead of an install.
fn load<M: StateMachine>(machine: &mut M, chunks: &[Bytes]) -> bool {
    let loaded = |chunk: &Bytes| machine.load(chunk).expect("a chunk of a snapshot");
    chunks.iter().map(loaded).fold(true, |all, one| all & one)
}

/// A snapshot that is not whole leaves the old state, also when the machine is opened again.
pub fn a_damaged_snapshot_changes_nothing<S: Subject>(make: &mut impl FnMut() -> S) {
    let history = history(&make());
    let whole = chunks_at(&mut make(), &history[..40]);
    let other = chunks_at(&mut make(), &history[..30]);
    let mut subject = make();
    let mut machine = subject.open();
    apply(&mut machine, &history[..10]);
    machine.checkpoint().expect("a checkpoint");
    let before = (machine.applied(), digest_of(&machine));
    for (what, chunks) in damaged(&whole, &other) {
        install(&mut machine, chunks).expect_err(what);
        assert_eq!((machine.applied(), digest_of(&machine)), before, "{what}");
    }
    let failing = StoreError::SourceFailed { reason: "the connection broke".into() };
    let mut broken = whole[..whole.len() - 1].iter().cloned().map(Ok).chain([Err(failing)]);
    let result = machine.install(&mut broken as &mut Chunks<'_>);
    assert!(matches!(result, Err(StoreError::SourceFailed { .. })), "{result:?}");
    drop(machine);
    let mut machine = subject.open();
    assert_eq!((machine.applied(), digest_of(&machine)), before);
    apply(&mut machine, &history);
}

/// Every way to spoil a snapshot that a receiver has to notice.
fn damaged(whole: &[Bytes], other: &[Bytes]) -> Vec<(&'static str, Vec<Bytes>)> {
    let mut cases = vec![("no chunk at all", Vec::new())];
    for at in 0..whole.len() {
        let mut missing = whole.to_vec();
        missing.remove(at);
        cases.push(("a chunk is missing", missing));
        let mut foreign = whole.to_vec();
        foreign[at] = other[at.min(other.len() - 1)].clone();
        if foreign != whole {
            cases.push(("a chunk is of another snapshot", foreign));
        }
        for byte in [0, whole[at].len() / 2, whole[at].len() - 1] {
            let mut flipped = whole[at].to_vec();
            flipped[byte] ^= 1;
            let mut rotten = whole.to_vec();
            rotten[at] = flipped.into();
            cases.push(("a bit is flipped", rotten));
        }
        let mut short = whole.to_vec();
        short[at] = short[at].slice(..short[at].len() - 1);
        cases.push(("a chunk is cut short", short));
    }
    cases
}

/// The generated history: founded, then data, with a new term every seven entries.
fn history<S: Subject>(subject: &S) -> Vec<Entry> {
    let entry = |vlsn: u64| {
        let term = Term::new(1 + vlsn / 7);
        let kind = match vlsn {
            1 => Kind::GroupFounded,
            _ if vlsn.is_multiple_of(7) => Kind::TermStart,
            _ => Kind::Data,
        };
        let vlsn = Vlsn::new(vlsn);
        let payload = match kind {
            Kind::Data => subject.payload(vlsn),
            _ => Bytes::from_static(&[1, 0, 0, 0]),
        };
        Entry { point: LogPoint::new(term, vlsn), time_ms: 1000 + vlsn.get(), kind, payload }
    };
    (1..=ENTRIES).map(entry).collect()
}

/// The digest at every point of the history.
fn digests<S: Subject>(subject: &mut S) -> BTreeMap<LogPoint, Digest> {
    let history = history(subject);
    let mut machine = subject.open();
    let mut digests = BTreeMap::from([(LogPoint::NULL, digest_of(&machine))]);
    for entry in history {
        apply(&mut machine, std::slice::from_ref(&entry));
        digests.insert(machine.applied(), digest_of(&machine));
    }
    digests
}

fn chunks_at<S: Subject>(subject: &mut S, history: &[Entry]) -> Vec<Bytes> {
    let mut machine = subject.open();
    apply(&mut machine, history);
    let mut snapshot = machine.snapshot().expect("a snapshot");
    let mut chunks = Vec::new();
    let mut given = 0;
    while let Some(chunk) = snapshot.next_chunk().expect("a chunk") {
        chunks.push(chunk);
        if let Some((now, all)) = snapshot.progress() {
            assert!(given <= now && now <= all, "progress: {given}, then {now} of {all}");
            given = now;
        }
    }
    assert!(snapshot.next_chunk().expect("nothing").is_none(), "it stays ended");
    chunks
}

fn install<M: StateMachine>(machine: &mut M, chunks: Vec<Bytes>) -> Result<LogPoint, StoreError> {
    machine.install(&mut chunks.into_iter().map(Ok) as &mut Chunks<'_>)
}

/// Applies what has to be good; the number of outputs.
fn apply<M: StateMachine>(machine: &mut M, batch: &[Entry]) -> usize {
    let mut outputs = Vec::new();
    machine.apply(batch, &mut outputs).expect("the history is good");
    outputs.len()
}

fn digest_of<M: StateMachine>(machine: &M) -> Digest {
    machine.digest().expect("a digest")
}
