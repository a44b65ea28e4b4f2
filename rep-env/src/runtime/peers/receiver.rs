//! The thread that reads one channel.

use super::{Context, announce};
use crate::runtime::inbox::Input;
use rep_net::Channel;
use rep_node::{FeederMessage, Link, Message, Service};
use rep_vlsn::Incarnation;

use std::time::{Duration, Instant};

/// A channel's end wakes its reader; the deadline is only because `receive` has one.
const LONG: Duration = Duration::from_secs(3600);

pub(super) fn run(context: &Context, link: Link, dialled: bool, channel: &dyn Channel) {
    if let Err(why) = receive(context, link, dialled, channel) {
        tracing::warn!(node = %context.shared.name, ?link, %why, "a member sent what no member sends");
    }
    context.ended(link);
    forward(context, link, dialled, 0, Input::LinkDown { link });
}

/// Reads until the channel ends.
///
/// # Errors
///
/// What the peer has said that no correct peer says.
fn receive(
    context: &Context,
    link: Link,
    dialled: bool,
    channel: &dyn Channel,
) -> Result<(), String> {
    let shared = &context.shared;
    let counters = shared.counters.peer(link.peer);
    let mut announced = link.service != Service::Peer;
    loop {
        let frame = match channel.receive(Instant::now() + LONG) {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(_) => return Ok(()),
        };
        let bytes = frame.len();
        counters.frames_received.add(1);
        counters.bytes_received.add(bytes as u64);
        counters.heard_ms.set(shared.clock.now().as_millis() as u64 + 1);
        if !announced {
            announced = true;
            let attributes = announce::decode(&frame).ok_or("its announcement cannot be read")?;
            let incarnation = Incarnation(channel.peer().incarnation);
            let input = Input::Announced { link, incarnation, attributes };
            forward(context, link, dialled, bytes, input);
            continue;
        }
        let message =
            Message::decode(link.service, dialled, frame).map_err(|error| error.to_string())?;
        let credit = match batch_bytes(&message) {
            0 => 0,
            bytes => match shared.credit.enter(bytes, None) {
                Ok(grant) => grant.spend(),
                Err(_) => return Ok(()),
            },
        };
        forward(context, link, dialled, bytes, Input::Message { link, message, credit });
    }
}

/// All that comes over one channel goes into one lane, so that its order is kept: the stream from the master into the data
/// lane, everything else into control.
fn forward(context: &Context, link: Link, dialled: bool, bytes: usize, input: Input) {
    match (link.service, dialled) {
        (Service::Feeder, true) => context.shared.inbox.data(input),
        (Service::Feeder, false) | (Service::Peer, _) => {
            context.shared.inbox.control_frame(bytes, input)
        }
    }
}

/// Bytes of entries that a message brings.
fn batch_bytes(message: &Message) -> u64 {
    match message {
        Message::ToReplica(message) => match message {
            FeederMessage::Batch { entries, .. } => entries.byte_len() as u64,
            FeederMessage::SyncUp(_)
            | FeederMessage::NeedsRestore { .. }
            | FeederMessage::Refused { .. }
            | FeederMessage::Watermarks { .. } => 0,
        },
        Message::Election(_)
        | Message::Heartbeat { .. }
        | Message::HeartbeatReply { .. }
        | Message::Ping { .. }
        | Message::Pong { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::Acquaint(_)
        | Message::RoundTrips(_)
        | Message::Load(_)
        | Message::TurnedAway(_)
        | Message::Vouch { .. }
        | Message::Vouched { .. }
        | Message::Stands { .. }
        | Message::GroupShutDown { .. }
        | Message::ToFeeder(_) => 0,
    }
}
