//! How one world becomes the next: something happens to one member, and what that means for the others follows at once
//! as far as it costs no time.

use crate::judge;
use crate::letters::LetterId;
use crate::member::{Effect, Input, PEER_EPOCH};
use crate::model::{Action, Group, What};
use crate::rules::Rule;
use crate::shortcuts;
use crate::world::{Note, Pair, Stream, World, index_of, member_at};
use rep_node::{FeederMessage, Link, Message, ReplicaMessage};

/// A world that is being made out of the one before it.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    pub(crate) group: &'a Group,
    pub(crate) before: World,
    pub(crate) world: World,
    moved: bool,
}

impl<'a> Making<'a> {
    pub(crate) fn of(group: &'a Group, before: &World) -> Self {
        let before = *before;
        Making { group, before, world: World { note: Note::Nothing, ..before }, moved: false }
    }

    /// The world that was made, judged; none if nothing came of it.
    pub(crate) fn finish(self) -> Option<World> {
        let Making { group, before, mut world, moved } = self;
        if !moved {
            return None;
        }
        for state in world.members {
            world.mail = group.without_dead_letters(world.mail, state);
        }
        // A letter that was sent again, and is taken no notice of, is no news.
        if world == before {
            return None;
        }
        let sights = group.sights(&world);
        judge::judge(&mut world, &sights);
        Some(world)
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.happen(action.what);
        if !self.group.bounds.every_order {
            self.finish_disk_work(action.sticks);
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Deliver { letter } => {
                let to = index_of(self.group.atlas.letters.letter(letter).to);
                self.tell(to, Input::Hear { letter, epoch: PEER_EPOCH });
            }
            What::Down { pair } => {
                let letter = self.change(Pair::at(pair), |stream| stream.down.remove(0));
                self.leave(Pair::at(pair), letter);
                self.hand_over(Pair::at(pair), letter, true);
            }
            What::Up { pair } => {
                let letter = self.change(Pair::at(pair), |stream| stream.up.remove(0));
                self.hand_over(Pair::at(pair), letter, false);
                self.notice(Pair::at(pair));
            }
            What::Break { pair } => self.break_stream(Pair::at(pair)),
            What::Wait { member } => self.tell(member, Input::Wait),
            What::FenceWritten { member } => self.tell(member, Input::FenceWritten),
            What::LogSynced { member } => self.tell(member, Input::LogSynced),
            What::LogCut { member } => self.tell(member, Input::LogCut),
            What::Write { member } => {
                self.world.written += 1;
                self.tell(member, Input::Propose { number: self.world.written });
            }
            What::PowerCut { member, lost } => self.cut_power(member, lost),
        }
    }

    fn break_stream(&mut self, pair: Pair) {
        self.world.breaks += 1;
        let epoch = pair.epoch(self.stream(pair).number);
        self.close_at_replica(pair);
        self.tell(pair.replica, Input::LinkDown { peer: member_at(pair.source), epoch });
    }

    fn cut_power(&mut self, member: usize, lost: u8) {
        self.world.crashes += 1;
        let loses_fence = self.group.atlas.sight(self.world.members[member]).writes_fence;
        for pair in Pair::all() {
            if pair.replica == member {
                self.close_at_replica(pair);
            } else if pair.source == member {
                self.change(pair, Stream::close_at_source);
            }
        }
        self.tell(member, Input::PowerCut { lost });
        self.moved = true;
        self.world.note = match (lost > 0, loses_fence) {
            (true, _) => Note::LostEntries,
            (false, true) => Note::LostFence,
            (false, false) => Note::Nothing,
        };
    }

    /// Nothing comes of it.
    pub(crate) fn give_up(&mut self) {
        self.moved = false;
    }

    /// Something happens to one member.
    pub(crate) fn tell(&mut self, member: usize, input: Input) {
        let group = self.group;
        let before = self.world.members[member];
        let (to, effects) = group.atlas.step(before, input);
        self.world.members[member] = to;
        self.moved |= to != before;
        effects.iter().for_each(|effect| self.carry_out(member, *effect));
    }

    fn carry_out(&mut self, member: usize, effect: Effect) {
        match effect {
            Effect::Mail(letter) => self.post(letter),
            Effect::Stream { link, letter } => self.say(member, link, letter),
            Effect::Dial { master } => {
                self.connect(Pair { replica: member, source: index_of(master) });
            }
            Effect::Hangup { link } => self.hang_up(member, link),
            Effect::Crowned(term) => judge::crowned(&mut self.world.past, member, term),
            Effect::Committed(point) => judge::committed(&mut self.world.past, point),
            Effect::RolledBack => self.world.note = Note::RolledBack,
            Effect::Broke(rule) => {
                self.world.past.broken.note(rule);
                self.moved = true;
            }
        }
    }

    fn post(&mut self, letter: LetterId) {
        let (group, mail) = (self.group, self.group.mails.value(self.world.mail));
        if mail.contains(&letter) {
            return;
        }
        if judge::is_second_promise(letter, mail, &group.atlas.letters) {
            self.world.past.broken.note(Rule::OnePromise);
        }
        self.world.mail = group.mail_with(self.world.mail, letter);
        self.moved = true;
    }
}

/// Streams.
impl Making<'_> {
    fn stream(&self, pair: Pair) -> &Stream {
        self.group.streams.value(self.world.streams[pair.index()])
    }

    fn change<R>(&mut self, pair: Pair, change: impl FnOnce(&mut Stream) -> R) -> R {
        let mut stream = self.stream(pair).clone();
        let result = change(&mut stream);
        let number = self.group.number_stream(stream);
        self.moved |= self.world.streams[pair.index()] != number;
        self.world.streams[pair.index()] = number;
        result
    }

    /// Both ends learn at once that they are connected, the source first. An older connection of the pair is gone.
    fn connect(&mut self, pair: Pair) {
        let number = self.stream(pair).number + 1;
        let open = Stream { number, at_replica: true, at_source: true, ..Stream::default() };
        self.change(pair, |stream| *stream = open);
        let (epoch, [replica, source]) = (pair.epoch(number), pair.ends());
        self.tell(pair.source, Input::LinkUp { peer: replica, epoch, dialled: false });
        self.tell(pair.replica, Input::LinkUp { peer: source, epoch, dialled: true });
    }

    /// What is said over a stream waits for its turn, but for sync-up: that is one exchange.
    fn say(&mut self, member: usize, link: Link, letter: LetterId) {
        let Some((pair, is_down)) = self.pair_of(member, link) else { return };
        let stream = self.stream(pair);
        let (is_open, is_idle) = match is_down {
            true => (stream.at_replica, stream.down.is_empty()),
            false => (stream.at_source, stream.up.is_empty()),
        };
        if !is_open {
            return;
        }
        let message = &self.group.atlas.letters.letter(letter).message;
        let waits_for_nothing = is_sync_up(message)
            || (!self.group.bounds.every_order && shortcuts::is_of_no_account(message));
        if is_idle && waits_for_nothing {
            return self.hand_over(pair, letter, is_down);
        }
        self.change(pair, |stream| {
            let queue = if is_down { &mut stream.down } else { &mut stream.up };
            queue.push(letter);
        });
    }

    fn hand_over(&mut self, pair: Pair, letter: LetterId, is_down: bool) {
        let epoch = pair.epoch(self.stream(pair).number);
        let at = if is_down { pair.replica } else { pair.source };
        self.tell(at, Input::Hear { letter, epoch });
    }

    /// The pair, and whether `member` is its source, of a link as it is called there.
    fn pair_of(&self, member: usize, link: Link) -> Option<(Pair, bool)> {
        let peer = index_of(link.peer);
        let fed = (Pair { replica: peer, source: member }, true);
        let source = (Pair { replica: member, source: peer }, false);
        let is_this = |pair: Pair| u64::from(pair.epoch(self.stream(pair).number)) == link.epoch;
        [fed, source].into_iter().find(|(pair, _)| is_this(*pair))
    }

    fn hang_up(&mut self, member: usize, link: Link) {
        let Some((pair, is_source)) = self.pair_of(member, link) else { return };
        match is_source {
            true => self.change(pair, Stream::close_at_source),
            false => self.close_at_replica(pair),
        }
    }

    fn close_at_replica(&mut self, pair: Pair) {
        self.change(pair, Stream::close_at_replica);
        self.notice(pair);
    }

    /// An entry leaves its source in the moment in which it arrives.
    fn leave(&mut self, pair: Pair, letter: LetterId) {
        let stream = self.stream(pair);
        if !self.group.bounds.every_order && stream.at_source {
            let epoch = pair.epoch(stream.number);
            self.tell(pair.source, Input::Sent { letter, epoch });
        }
    }

    /// The source notices that its replica is gone when it has heard the last of it. That it went on feeding nobody for a
    /// while would make no difference to anybody else.
    fn notice(&mut self, pair: Pair) {
        let stream = self.stream(pair);
        if stream.at_source && !stream.at_replica && stream.up.is_empty() {
            let epoch = pair.epoch(stream.number);
            self.change(pair, Stream::close_at_source);
            self.tell(pair.source, Input::LinkDown { peer: member_at(pair.replica), epoch });
        }
    }
}

fn is_sync_up(message: &Message) -> bool {
    match message {
        Message::ToReplica(
            FeederMessage::SyncUp(_)
            | FeederMessage::Refused { .. }
            | FeederMessage::NeedsRestore { .. },
        )
        | Message::ToFeeder(ReplicaMessage::Handshake(_) | ReplicaMessage::Ready { .. }) => true,
        Message::ToReplica(FeederMessage::Batch { .. } | FeederMessage::Watermarks { .. })
        | Message::ToFeeder(ReplicaMessage::Ack { .. }) => false,
        other => unreachable!("{} does not go over a stream", other.name()),
    }
}
