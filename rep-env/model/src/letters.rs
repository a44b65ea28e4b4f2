//! Everything that one node has ever said to another, each letter once and numbered.

use crate::numbering::Numbering;
use rep_node::{ElectionMessage, Message};
use rep_vlsn::NodeId;

/// The number of a letter.
pub(crate) type LetterId = u32;

/// A message between two members.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

/// The kinds of letters that go over PEER links here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerKind {
    Solicit,
    Promise,
    Name,
    Heartbeat,
}

/// All letters.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    known: Numbering<(NodeId, NodeId, Vec<u8>), Letter>,
}

impl Letters {
    pub(crate) fn number(&self, letter: Letter) -> LetterId {
        let frame = letter.message.encode().to_vec();
        self.known.number((letter.from, letter.to, frame), || letter)
    }

    pub(crate) fn letter(&self, id: LetterId) -> &Letter {
        self.known.value(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

impl Letter {
    /// Whether the model carries such a message at all. The README says of each of the others why nothing is lost with it.
    pub(crate) fn is_carried(to: NodeId, message: &Message) -> bool {
        match message {
            Message::Election(ElectionMessage::Solicit(_) | ElectionMessage::Promise(_))
            | Message::Heartbeat { .. }
            | Message::ToFeeder(_)
            | Message::ToReplica(_) => true,
            Message::Election(ElectionMessage::Name(name)) => name.winner == to,
            // The pre-vote binds nobody, and is granted whenever it is asked for.
            Message::Election(ElectionMessage::PreSolicit(_) | ElectionMessage::PreGrant(_))
            // A refusal is a promise that never comes, and news of a term that a solicitation brings as well.
            | Message::Election(ElectionMessage::Refuse(_))
            // Signs of life are about time, which passes as it likes; reads are not modelled.
            | Message::HeartbeatReply { .. }
            | Message::Ping { .. }
            | Message::Pong { .. }
            | Message::RoundTrips(_)
            | Message::Load(_)
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            // There is one process of each member here.
            | Message::TurnedAway(_)
            // Nobody comes or goes.
            | Message::Acquaint(_)
            | Message::Vouch { .. }
            | Message::Vouched { .. }
            | Message::Stands { .. }
            // Nobody asks for it.
            | Message::GroupShutDown { .. } => false,
        }
    }

    /// The term that a letter over the PEER link speaks of.
    pub(crate) fn term(&self) -> u64 {
        match &self.message {
            Message::Election(message) => message.term().get(),
            Message::Heartbeat { term, .. } => term.get(),
            other => unreachable!("{} is no letter of the PEER link", other.name()),
        }
    }

    /// What a letter over the PEER link is about.
    pub(crate) fn kind(&self) -> PeerKind {
        match &self.message {
            Message::Election(ElectionMessage::Solicit(_)) => PeerKind::Solicit,
            Message::Election(ElectionMessage::Promise(_)) => PeerKind::Promise,
            Message::Election(ElectionMessage::Name(_)) => PeerKind::Name,
            Message::Heartbeat { .. } => PeerKind::Heartbeat,
            other => unreachable!("{} is no letter of the PEER link", other.name()),
        }
    }
}
