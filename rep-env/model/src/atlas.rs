//! Every state that one member was ever seen in, and every step from it: each is taken by the shipped code once.
//!
//! A world of three members is explored in hundreds of millions of steps, but each of them is a step of one member, and
//! that one mostly in a state, and told a thing, that were seen before in another company. So a state of a member is a
//! number here, what can be seen of it is a [`Sight`], and a step is looked up. A node cannot be copied: to step from a
//! state again, it is made again from the disk that its run began with and told all that it was told.

use crate::disk::Kept;
use crate::letters::Letters;
use crate::member::{Effect, FOUNDED, Habits, Input, Member};
use crate::numbering::{Numbering, QuickHasher, QuickMap};
use crate::rules::Rule;
use rep_node::Role;
use rep_vlsn::{Kind, LogPoint, NodeId, Record};
use std::hash::{BuildHasher, BuildHasherDefault};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// The number of a member's state.
pub(crate) type StateId = u32;

/// Members kept ready to be stepped on from where they are, at most.
const WARM_MAX: usize = 50_000;

/// Locks that share the steps among them, so that two explorers seldom meet.
const SHARDS: usize = 64;

/// What can be seen of a member in a state.
#[derive(Debug)]
pub(crate) struct Sight {
    /// The term of the fence in force.
    pub(crate) fence: u64,
    /// The term of the fence on disk.
    pub(crate) durable_fence: u64,
    /// To whom that term was promised.
    pub(crate) promised_to: Option<NodeId>,
    /// The term that it reigns in.
    pub(crate) reigns: Option<u64>,
    pub(crate) may_write: bool,
    pub(crate) writes_fence: bool,
    pub(crate) cuts_log: bool,
    pub(crate) unsynced: usize,
    pub(crate) log: Vec<Entry>,
    /// How many entries of the log are safe on its disk.
    pub(crate) safe: usize,
    pub(crate) dvlsn: usize,
    /// It has stopped: nothing more happens to it.
    pub(crate) is_over: bool,
}

/// One entry of a log. Two with the same point and CRC are the same, and so is all before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) point: LogPoint,
    pub(crate) crc: u32,
    pub(crate) is_data: bool,
}

/// A step: where it leads, and the number of what it means for others.
#[derive(Clone, Copy, Debug)]
struct Step {
    to: StateId,
    effects: u32,
}

#[derive(Debug)]
struct State {
    me: NodeId,
    origin: Origin,
    sight: Sight,
}

#[derive(Clone, Debug)]
enum Origin {
    /// A run begins, on what the disk kept.
    Start(Arc<Kept>),
    After(StateId, Input),
}

type Steps = QuickMap<(StateId, Input), Step>;

/// All states of all members.
#[derive(Debug)]
pub(crate) struct Atlas {
    pub(crate) letters: Letters,
    habits: Habits,
    states: Numbering<(NodeId, u128), State>,
    effects: Numbering<Vec<Effect>, Vec<Effect>>,
    steps: Vec<RwLock<Steps>>,
    warm: Mutex<QuickMap<StateId, Member>>,
    /// A second way into a state, where one was seen: what [`Atlas::audit`] goes by.
    detours: Mutex<QuickMap<StateId, Origin>>,
}

impl Atlas {
    pub(crate) fn new(habits: Habits) -> Self {
        Atlas {
            letters: Letters::default(),
            habits,
            states: Numbering::default(),
            effects: Numbering::default(),
            steps: (0..SHARDS).map(|_| RwLock::default()).collect(),
            warm: Mutex::default(),
            detours: Mutex::default(),
        }
    }

    /// The state of a member that starts on what its disk kept.
    pub(crate) fn start(&self, me: NodeId, kept: Kept) -> StateId {
        let mut member = Member::start(me, kept.clone(), self.habits);
        let effects = member.settle(&self.letters);
        assert!(effects.is_empty(), "a node that starts says nothing but hello: {effects:?}");
        self.arrive(member, Origin::Start(Arc::new(kept)))
    }

    /// What can be seen of a state.
    pub(crate) fn sight(&self, state: StateId) -> &Sight {
        &self.states.value(state).sight
    }

    /// Whose state it is.
    pub(crate) fn owner(&self, state: StateId) -> NodeId {
        self.states.value(state).me
    }

    /// The step that a member in `from` takes when `input` happens to it: where it leads, and what it means for others.
    pub(crate) fn step(&self, from: StateId, input: Input) -> (StateId, &[Effect]) {
        let key = (from, input);
        let shard = &self.steps[shard(&key)];
        let known = shard.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let step = known.unwrap_or_else(|| {
            let step = self.take(from, input);
            shard.write().unwrap_or_else(PoisonError::into_inner).insert(key, step);
            step
        });
        (step.to, self.effects.value(step.effects))
    }

    /// How many states members were seen in, how many steps they took, and how many letters they wrote.
    pub(crate) fn extent(&self) -> (usize, usize, usize) {
        let steps =
            |shard: &RwLock<Steps>| shard.read().unwrap_or_else(PoisonError::into_inner).len();
        (self.states.len(), self.steps.iter().map(steps).sum(), self.letters.len())
    }

    /// A member in that state.
    pub(crate) fn member(&self, state: StateId) -> Member {
        if let Some(member) = lock(&self.warm).remove(&state) {
            return member;
        }
        let (start, inputs) = self.story(self.states.value(state), None);
        let mut member = Member::start(start.0, (*start.1).clone(), self.habits);
        member.settle(&self.letters);
        member.relive(inputs.into_iter(), &self.letters);
        member
    }

    /// How a state was first reached, or by way of that detour: the start of the run, and all that was told since.
    fn story(&self, state: &State, detour: Option<&Origin>) -> ((NodeId, Arc<Kept>), Vec<Input>) {
        let me = state.me;
        let (mut origin, mut inputs) = (detour.unwrap_or(&state.origin), Vec::new());
        loop {
            match origin {
                Origin::Start(kept) => {
                    inputs.reverse();
                    return ((me, Arc::clone(kept)), inputs);
                }
                Origin::After(before, input) => {
                    inputs.push(*input);
                    origin = &self.states.value(*before).origin;
                }
            }
        }
    }

    fn take(&self, from: StateId, input: Input) -> Step {
        let mut member = self.member(from);
        let origin = match input {
            Input::PowerCut { lost } => {
                Origin::Start(Arc::new(member.disk.after_power_cut(lost.into())))
            }
            _ => Origin::After(from, input),
        };
        let taken = catch_unwind(AssertUnwindSafe(|| member.take(input, &self.letters)));
        let (to, effects) = match taken {
            Ok(effects) => (self.arrive(member, origin), effects),
            // What it believed impossible has happened: an assertion of the shipped code.
            Err(_) => (from, vec![Effect::Broke(Rule::NobodyHalts)]),
        };
        Step { to, effects: self.effects.number(effects.clone(), || effects) }
    }

    fn arrive(&self, member: Member, origin: Origin) -> StateId {
        let key = (member.me, member.key());
        if let Some(number) = self.states.known(&key) {
            lock(&self.detours).entry(number).or_insert(origin);
            return number;
        }
        let (me, sight) = (member.me, Sight::of(&member));
        let number = self.states.number(key, || State { me, origin, sight });
        let mut warm = lock(&self.warm);
        if warm.len() < WARM_MAX {
            warm.insert(number, member);
        }
        number
    }
}

/// Whether the digest sees all that matters.
impl Atlas {
    /// Goes into each state by a second way, where there is one, and takes each step from it that was taken from the first.
    /// Gives how many steps that were, and those that led elsewhere or meant something else.
    pub(crate) fn audit(&self) -> (usize, Vec<String>) {
        let detours = lock(&self.detours).clone();
        let (mut audited, mut differences) = (0, Vec::new());
        for ((from, input), step) in self.all_steps() {
            let Some(detour) = detours.get(&from) else { continue };
            audited += 1;
            let ((me, kept), inputs) = self.story(self.states.value(from), Some(detour));
            let mut member = Member::start(me, (*kept).clone(), self.habits);
            member.settle(&self.letters);
            member.relive(inputs.into_iter(), &self.letters);
            let taken = catch_unwind(AssertUnwindSafe(|| member.take(input, &self.letters)));
            let same_effects =
                taken.is_ok_and(|effects| effects == *self.effects.value(step.effects));
            let led_to = self.states.known(&(me, member.key()));
            if !same_effects || led_to != Some(step.to) {
                differences
                    .push(format!("{me} in {from}, {input:?}: to {led_to:?}, not {}", step.to));
            }
        }
        (audited, differences)
    }

    fn all_steps(&self) -> Vec<((StateId, Input), Step)> {
        let of_shard = |shard: &RwLock<Steps>| -> Vec<_> {
            let steps = shard.read().unwrap_or_else(PoisonError::into_inner);
            steps.iter().map(|(key, step)| (*key, *step)).collect()
        };
        self.steps.iter().flat_map(of_shard).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shard(key: &(StateId, Input)) -> usize {
    BuildHasherDefault::<QuickHasher>::default().hash_one(key) as usize % SHARDS
}

impl Sight {
    fn of(member: &Member) -> Sight {
        let (node, disk) = (&member.node, &member.disk);
        let reigns = (node.role() == Role::Leader).then(|| node.term().get());
        Sight {
            fence: node.term().get(),
            durable_fence: disk.fence().term.get(),
            promised_to: disk.fence().promised_to,
            reigns,
            may_write: node.admission(member.now()).writable,
            writes_fence: disk.is_writing_fence(),
            cuts_log: disk.is_cutting(),
            unsynced: disk.unsynced(),
            log: disk.log().iter().map(Entry::of).collect(),
            safe: disk.safe().len(),
            dvlsn: node.dvlsn().get() as usize,
            is_over: node.next_timeout().is_none(),
        }
    }

    /// Whether its log waits for its disk.
    pub(crate) fn has_disk_work(&self) -> bool {
        self.cuts_log || self.unsynced > 0
    }

    /// Whether the log holds that very entry.
    pub(crate) fn holds(&self, point: LogPoint) -> bool {
        holds(&self.log, point)
    }

    /// Whether that very entry is safe on the disk.
    pub(crate) fn keeps(&self, point: LogPoint) -> bool {
        holds(&self.log[..self.safe.min(self.log.len())], point)
    }

    /// The place of the last entry that it calls durable.
    pub(crate) fn durable(&self) -> LogPoint {
        self.dvlsn
            .checked_sub(1)
            .and_then(|at| self.log.get(at))
            .map_or(LogPoint::NULL, |entry| entry.point)
    }

    /// Whether it calls a client's entry durable.
    pub(crate) fn calls_data_durable(&self) -> bool {
        self.log.iter().take(self.dvlsn).skip(FOUNDED).any(|entry| entry.is_data)
    }
}

fn holds(log: &[Entry], point: LogPoint) -> bool {
    let at = (point.vlsn.get() as usize).checked_sub(1);
    at.is_none_or(|at| log.get(at).is_some_and(|entry| entry.point == point))
}

impl Entry {
    fn of(record: &Record) -> Entry {
        let is_data = record.header().kind == Kind::Data;
        Entry { point: record.point(), crc: record.header_crc(), is_data }
    }
}
