//! A monitor: a member that watches.
//!
//! It is told who belongs and hears who is master, and that is all there is between it and the others. It promises nothing, answers no heartbeat and asks for no
//! stream; and whatever one says beyond a sign of life is not heeded, as nobody who knows that it is a monitor can have asked for it.
//!
//! | said | by a monitor | to a monitor |
//! |---|---|---|
//! | ping, pong | heeded | answered |
//! | who belongs | | kept |
//! | heartbeat | | the master is known, and not answered |
//! | it was removed, the group ends | | as to everybody |
//! | anything else | not heeded; a stream is refused | not heeded |

use crate::membership::MemberType;
use crate::membership::joining::Joining;
use crate::message::Message;
use crate::node::Node;
use crate::output::Event;
use rep_stream::ReplicaMessage;
use rep_vlsn::{NodeId, mutant};
use std::time::Duration;

impl Node {
    /// Whether this node is a monitor.
    pub(crate) fn is_monitor(&self) -> bool {
        self.kind_without_log() == Some(MemberType::Monitor)
    }

    /// Whether `id` is a monitor, as far as this node knows.
    pub(crate) fn watches(&self, id: NodeId) -> bool {
        self.kind_of(id) == Some(MemberType::Monitor)
    }

    /// A member that holds no data stays what it is, so who is master is told of by itself.
    pub(crate) fn tell_what_is_seen(&mut self) {
        let seen = self.following.as_ref().map(|following| (following.term, following.master));
        if self.is_over() || !self.lacks_data() || seen == self.seen {
            return;
        }
        self.seen = seen;
        let (state, master, term) = (self.state(), self.master(), self.term());
        let reason = if seen.is_some() { "hears a master" } else { "hears no master" };
        self.event(Event::State { old: state, new: state, master, term, reason });
    }

    /// A monitor stands for nothing, and nor does who asks to be admitted: nothing else tells them that the master they heard is silent.
    pub(crate) fn notice_silence(&mut self, now: Duration) {
        let stands_never = self.is_monitor() || self.joining == Joining::Asking;
        let patience = self.config.timing.election_timeout;
        let is_silent = self.following.as_ref().is_some_and(|it| it.silent_for(now) > patience);
        if stands_never && is_silent {
            self.unfollow();
        }
    }

    /// Whether what `from` says is for this node to heed.
    pub(crate) fn heeds(&self, from: NodeId, message: &Message) -> bool {
        let by_monitor = self.watches(from) && !mutant!("monitor-is-heeded");
        let to_monitor = self.is_monitor() && !mutant!("monitor-answers");
        (!by_monitor || is_sign_of_life(message)) && (!to_monitor || is_news(message))
    }
}

/// What may come from a monitor. Its first word on a stream is answered by a refusal.
fn is_sign_of_life(message: &Message) -> bool {
    let asks = matches!(message, Message::ToFeeder(ReplicaMessage::Handshake(_)));
    asks || matches!(message, Message::Ping { .. } | Message::Pong { .. })
}

/// What a monitor takes notice of.
fn is_news(message: &Message) -> bool {
    matches!(
        message,
        Message::Ping { .. }
            | Message::Pong { .. }
            | Message::Heartbeat { .. }
            | Message::Acquaint(_)
            | Message::TurnedAway(_)
            | Message::GroupShutDown { .. }
    )
}
