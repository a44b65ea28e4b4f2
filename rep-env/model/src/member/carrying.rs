//! What a member's node puts out: carried out as far as it concerns this member alone, handed back as far as it does not.

use super::{Effect, Member};
use crate::letters::{Letter, Letters};
use crate::rules::Rule;
use rep_node::output::SendRange;
use rep_node::{
    ElectionMessage, Event, FeederMessage, Fence, Link, Message, Outcome, Output, ReplicaMessage,
    Service,
};
use rep_vlsn::{Batch, NodeId, Vlsn};

impl Member {
    pub(super) fn carry_out(&mut self, letters: &Letters, effects: &mut Vec<Effect>) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::PersistFence(fence) => self.disk.write_fence(fence),
                Output::Append { records, .. } => self.disk.append(records),
                Output::Truncate { keep, epoch } => self.disk.cut(keep, epoch),
                Output::Send { link, message } => self.say(link, message, letters, effects),
                Output::SendEntries { link, range } => {
                    self.send_entries(link, range, letters, effects);
                }
                // The PEER links are always there.
                Output::Connect { service: Service::Peer, .. } => {}
                Output::Connect { peer, service: Service::Feeder } => {
                    effects.push(Effect::Dial { master: peer });
                }
                Output::Disconnect { link } => effects.push(Effect::Hangup { link }),
                Output::Apply { to, .. } => self.apply(to, effects),
                Output::Staged { .. } => {}
                Output::Resolve { outcome, .. } => effects.extend(committed(&outcome)),
                // Who they are is settled, and the links are always there.
                Output::Contacts(_) => {}
                Output::Event(event) => effects.extend(told(&event)),
                Output::Halt(_) => effects.push(Effect::Broke(Rule::NobodyHalts)),
                other => unreachable!("an output that this version does not know: {other:?}"),
            }
        }
    }

    fn say(&mut self, link: Link, message: Message, letters: &Letters, effects: &mut Vec<Effect>) {
        if self.is_reliving {
            // Which letter it was does not matter, only that there was one.
            let is_letter =
                link.service == Service::Peer && Letter::is_carried(link.peer, &message);
            effects.extend(is_letter.then_some(Effect::Mail(0)));
            return;
        }
        effects.extend(self.spoken_too_soon(link.peer, &message).map(Effect::Broke));
        if !Letter::is_carried(link.peer, &message) {
            return;
        }
        let letter = letters.number(Letter { from: self.me, to: link.peer, message });
        effects.push(match link.service {
            Service::Peer => Effect::Mail(letter),
            Service::Feeder => Effect::Stream { link, letter },
        });
    }

    /// Which rule a message breaks that leans on what the disk does not hold.
    fn spoken_too_soon(&self, to: NodeId, message: &Message) -> Option<Rule> {
        let held = |term, promised_to| {
            let fence = self.disk.fence();
            fence.term > term || fence == Fence { term, promised_to: Some(promised_to) }
        };
        match message {
            Message::Election(ElectionMessage::Promise(promise)) => {
                (!held(promise.term, to)).then_some(Rule::PromiseOnDisk)
            }
            Message::Election(ElectionMessage::Solicit(ask)) => {
                (!held(ask.term, self.me)).then_some(Rule::PromiseOnDisk)
            }
            Message::HeartbeatReply { term, .. } => {
                (self.disk.fence().term < *term).then_some(Rule::PromiseOnDisk)
            }
            // Below its fence, and above what is on disk of it, a node does nothing for a stream.
            Message::ToFeeder(message) if message.connection().term > self.disk.fence().term => {
                Some(Rule::PromiseOnDisk)
            }
            Message::ToFeeder(ReplicaMessage::Ack { synced, .. }) => {
                let on_disk = self.disk.safe().len() as u64;
                (synced.vlsn.get() > on_disk).then_some(Rule::AckOnDisk)
            }
            _ => None,
        }
    }

    fn send_entries(
        &mut self,
        link: Link,
        range: SendRange,
        letters: &Letters,
        effects: &mut Vec<Effect>,
    ) {
        // One entry at a time, so that a replica may have any part of what its source has.
        let record = self.disk.log()[range.from.prev().get() as usize].clone();
        let (last, bytes) = (record.point(), record.bytes().len());
        let entries = Batch::of(vec![record]).expect("an entry is a batch");
        let rep_node::BatchHeader { connection, prev, dvlsn, cvlsn } = range.header;
        let batch = FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries };
        self.say(link, Message::ToReplica(batch), letters, effects);
        if self.habits.sends_at_once {
            self.node.handle_sent(self.now, link, last, bytes);
        }
    }

    /// An entry has left.
    pub(super) fn sent(&mut self, letter: &Letter, epoch: u8) {
        if let Message::ToReplica(FeederMessage::Batch { entries, .. }) = &letter.message {
            let (last, bytes) = (entries.last(), entries.byte_len());
            self.node.handle_sent(self.now, super::link(letter.to, epoch), last, bytes);
        }
    }

    /// The store is instant. What it is given must be on this very disk.
    fn apply(&mut self, to: Vlsn, effects: &mut Vec<Effect>) {
        if to.get() > self.disk.safe().len() as u64 {
            effects.push(Effect::Broke(Rule::DurableIsTrue));
        }
        let point = self.disk.log()[to.prev().get() as usize].point();
        self.node.handle_applied(self.now, point);
    }
}

fn committed(outcome: &Outcome) -> Option<Effect> {
    match outcome {
        Outcome::Committed { point } => Some(Effect::Committed(*point)),
        _ => None,
    }
}

fn told(event: &Event) -> Option<Effect> {
    match event {
        Event::Crowned { term } => Some(Effect::Crowned(*term)),
        Event::RolledBack { .. } => Some(Effect::RolledBack),
        _ => None,
    }
}
