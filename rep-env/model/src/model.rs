//! What may happen next in a world.

use crate::atlas::{Atlas, Sight};
use crate::bounds::Bounds;
use crate::founding;
use crate::judge;
use crate::letters::{LetterId, PeerKind};
use crate::making::Making;
use crate::member::{Habits, Input, MEMBERS, PEER_EPOCH};
use crate::numbering::{Numbering, QuickMap};
use crate::world::{Mail, Note, PAIRS, Past, Stream, World, index_of};
use stateright::{Model, Property};
use std::cmp::Ordering;
use std::fmt;
use std::sync::{PoisonError, RwLock};

/// Everything that may happen within some bounds.
#[derive(Debug)]
pub struct Group {
    pub(crate) bounds: Bounds,
    pub(crate) atlas: Atlas,
    pub(crate) mails: Numbering<Mail, Mail>,
    pub(crate) streams: Numbering<Stream, Stream>,
    pub(crate) term_max: u64,
    /// What is left of some mail when a member in some state has thrown away what it will take no notice of.
    sifted: RwLock<QuickMap<(u32, u32), u32>>,
    first: Vec<World>,
}

/// One thing that happens, and what becomes of the disk work that it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// What happens.
    pub what: What,
    /// The work that it begins is never finished: the member's power will fail first.
    pub sticks: bool,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.what)?;
        if self.sticks { f.write_str(", and the disk gets stuck") } else { Ok(()) }
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A letter arrives over a PEER link: for the first time, or again.
    Deliver {
        /// Which.
        letter: LetterId,
    },
    /// The next message of a stream arrives at its replica.
    Down {
        /// Which pair's.
        pair: usize,
    },
    /// The next message of a stream arrives at its source.
    Up {
        /// Which pair's.
        pair: usize,
    },
    /// A stream breaks, as its replica sees it.
    Break {
        /// Which pair's.
        pair: usize,
    },
    /// A member hears of no master until it does something about it.
    Wait {
        /// Its index.
        member: usize,
    },
    /// A fence is on disk.
    FenceWritten {
        /// Its member's index.
        member: usize,
    },
    /// A log is synced.
    LogSynced {
        /// Its member's index.
        member: usize,
    },
    /// A log is cut.
    LogCut {
        /// Its member's index.
        member: usize,
    },
    /// A client writes.
    Write {
        /// To which member.
        member: usize,
    },
    /// The power fails.
    PowerCut {
        /// Whose.
        member: usize,
        /// How many entries that were not synced are lost with it.
        lost: u8,
    },
}

impl Group {
    /// All that may happen within these bounds.
    pub fn new(bounds: Bounds) -> Self {
        let mut group = Group {
            bounds,
            atlas: Atlas::new(Habits {
                slow_fences: bounds.slow_fences,
                sends_at_once: bounds.every_order,
            }),
            mails: Numbering::default(),
            streams: Numbering::default(),
            term_max: 0,
            sifted: RwLock::default(),
            first: Vec::new(),
        };
        let (first, term) = founding::set_out(&group, bounds.start);
        group.term_max = term + u64::from(bounds.terms);
        group.first = vec![first];
        group
    }

    /// How many states members were seen in, how many steps they took, and how many letters they wrote.
    pub fn extent(&self) -> (usize, usize, usize) {
        self.atlas.extent()
    }

    /// Whether states of members that the digest takes for one are one: each is gone into by a second way, where one was
    /// seen, and left by all the steps that were taken from it. Gives how many steps that were, and those that differed.
    pub fn audit(&self) -> (usize, Vec<String>) {
        self.atlas.audit()
    }

    pub(crate) fn sights<'a>(&'a self, world: &World) -> [&'a Sight; MEMBERS] {
        world.members.map(|state| self.atlas.sight(state))
    }

    /// A world of members that have just started.
    pub(crate) fn world_of(&self, members: [u32; MEMBERS]) -> World {
        let silence = self.number_stream(Stream::default());
        World {
            members,
            mail: self.number_mail(Mail::new()),
            streams: [silence; PAIRS],
            written: 0,
            crashes: 0,
            breaks: 0,
            past: Past::default(),
            note: Note::default(),
        }
    }

    pub(crate) fn number_stream(&self, stream: Stream) -> u32 {
        let known = self.streams.known(&stream);
        known.unwrap_or_else(|| self.streams.number(stream.clone(), || stream))
    }

    fn number_mail(&self, mail: Mail) -> u32 {
        self.mails.known(&mail).unwrap_or_else(|| self.mails.number(mail.clone(), || mail))
    }

    /// The mail, and one letter more.
    pub(crate) fn mail_with(&self, mail: u32, letter: LetterId) -> u32 {
        let mut mail = self.mails.value(mail).clone();
        if let Err(at) = mail.binary_search(&letter) {
            mail.insert(at, letter);
        }
        self.number_mail(mail)
    }

    /// The mail without letters that a member in that state takes no notice of, now or ever.
    pub(crate) fn without_dead_letters(&self, mail: u32, state: u32) -> u32 {
        let key = (mail, state);
        let known = self.sifted.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        known.unwrap_or_else(|| {
            let alive = |letter: &&LetterId| !self.is_dead(**letter, state);
            let sifted = self.mails.value(mail).iter().filter(alive).copied().collect();
            let sifted = self.number_mail(sifted);
            self.sifted.write().unwrap_or_else(PoisonError::into_inner).insert(key, sifted);
            sifted
        })
    }

    fn is_dead(&self, letter: LetterId, state: u32) -> bool {
        let (envelope, sight) = (self.atlas.letters.letter(letter), self.atlas.sight(state));
        if self.atlas.owner(state) != envelope.to {
            return false;
        }
        // Below its fence a node does nothing, and a fence on disk only rises. But that is what is to be shown, so it is
        // tried as well.
        let may_be = match sight.durable_fence.cmp(&envelope.term()) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => match envelope.kind() {
                // Counted, or too late: no round of a term is ever opened again.
                PeerKind::Promise => true,
                // A term is promised once.
                PeerKind::Solicit | PeerKind::Name => sight.promised_to != Some(envelope.from),
                PeerKind::Heartbeat => false,
            },
        };
        may_be && self.is_idle(letter, state)
    }

    /// Whether the letter makes no difference to a member in that state.
    fn is_idle(&self, letter: LetterId, state: u32) -> bool {
        let (to, effects) = self.atlas.step(state, Input::Hear { letter, epoch: PEER_EPOCH });
        to == state && effects.is_empty()
    }
}

/// What may happen in a world.
impl Group {
    fn of_members(&self, world: &World, actions: &mut Vec<What>) {
        for (member, sight) in self.sights(world).into_iter().enumerate() {
            if sight.is_over {
                continue;
            }
            if sight.writes_fence {
                actions.push(What::FenceWritten { member });
            }
            if self.bounds.every_order {
                actions.extend(sight.cuts_log.then_some(What::LogCut { member }));
                let syncs = !sight.cuts_log && sight.unsynced > 0;
                actions.extend(syncs.then_some(What::LogSynced { member }));
            }
            if sight.may_write && world.written < self.bounds.entries {
                actions.push(What::Write { member });
            }
            actions.push(What::Wait { member });
            if self.may_lose_power(world, sight) {
                // That everything reached the disk all the same is a power cut after the sync.
                let survivors = if self.bounds.every_order { sight.unsynced.max(1) } else { 1 };
                actions.extend((0..survivors).map(|kept| What::PowerCut {
                    member,
                    lost: (sight.unsynced - kept.min(sight.unsynced)) as u8,
                }));
            }
        }
    }

    fn of_streams(&self, world: &World, actions: &mut Vec<What>) {
        for (pair, stream) in world.streams.iter().enumerate() {
            let stream = self.streams.value(*stream);
            if !stream.down.is_empty() {
                actions.push(What::Down { pair });
            }
            if !stream.up.is_empty() {
                actions.push(What::Up { pair });
            }
            if stream.at_replica && world.breaks < self.bounds.breaks {
                actions.push(What::Break { pair });
            }
        }
    }

    fn of_mail(&self, world: &World, actions: &mut Vec<What>) {
        for letter in self.mails.value(world.mail) {
            let to = world.members[index_of(self.atlas.letters.letter(*letter).to)];
            if !self.is_idle(*letter, to) {
                actions.push(What::Deliver { letter: *letter });
            }
        }
    }

    /// A node asks for no term beyond the last; whoever would, waits for ever.
    fn is_within(&self, world: &World) -> bool {
        world.members.iter().all(|state| self.atlas.sight(*state).fence <= self.term_max)
    }
}

impl Model for Group {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.first.clone()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.past.broken.any() {
            return;
        }
        let mut all = Vec::new();
        self.of_members(world, &mut all);
        self.of_streams(world, &mut all);
        self.of_mail(world, &mut all);
        actions.extend(all.iter().map(|what| Action { what: *what, sticks: false }));
        if self.may_stick(world) {
            let begin_work = all.iter().filter(|what| self.may_begin_disk_work(what));
            actions.extend(begin_work.map(|what| Action { what: *what, sticks: true }));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut making = Making::of(self, world);
        making.act(action);
        let next = making.finish()?;
        self.is_within(&next).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        judge::properties(&self.bounds)
    }
}
