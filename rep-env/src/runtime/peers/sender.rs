//! The thread that writes one channel.

use super::{Context, Job, Outgoing};
use crate::runtime::inbox::Input;
use bytes::Bytes;
use rep_net::{Channel, NetError};
use rep_node::output::SendRange;
use rep_node::{Link, SendFailed};
use rep_vlsn::error::ReadError;

pub(super) fn run(context: &Context, link: Link, outgoing: &Outgoing) {
    while let Ok(Some(job)) = outgoing.queue.pop(None) {
        let sent = match job {
            Job::Frame(frame) => {
                let bytes = frame.len();
                outgoing.channel.send(frame).map(|()| count(context, link, bytes))
            }
            Job::Entries(range) => send_entries(context, link, &*outgoing.channel, range),
        };
        if sent.is_err() {
            break;
        }
    }
    // The reader learns of it, and tells the node.
    outgoing.abandon();
}

/// Sends slices of the log behind a header; no record is encoded again.
fn send_entries(
    context: &Context,
    link: Link,
    channel: &dyn Channel,
    range: SendRange,
) -> Result<(), NetError> {
    let inbox = &context.shared.inbox;
    let run = match context.entries.run(range.from, range.to, range.bytes_max, range.log_epoch) {
        Ok(run) => run,
        Err(error) => {
            tracing::debug!(?link, %error, "entries cannot be sent");
            inbox.completed(Input::SendFailed { link, why: failure_of(&error) });
            return Ok(());
        }
    };
    if run.prev != range.header.prev {
        inbox.completed(Input::SendFailed { link, why: SendFailed::Truncated });
        return Ok(());
    }
    let mut parts = Vec::with_capacity(1 + run.slices.len());
    parts.push(Bytes::copy_from_slice(&range.header.encode()));
    parts.extend(run.slices);
    channel.send_parts(&parts)?;
    count(context, link, run.bytes);
    context.shared.counters.peers[&link.peer].sent.set(run.last.vlsn.get());
    inbox.completed(Input::Sent { link, last: run.last, bytes: run.bytes });
    Ok(())
}

fn count(context: &Context, link: Link, bytes: usize) {
    let counters = &context.shared.counters.peers[&link.peer];
    counters.frames_sent.add(1);
    counters.bytes_sent.add(bytes as u64);
}

fn failure_of(error: &ReadError) -> SendFailed {
    match error {
        ReadError::Cleaned { first } => SendFailed::Cleaned { first: *first },
        ReadError::Damaged { .. } | ReadError::Io(_) => SendFailed::Damaged,
        // Whatever was asked for is not what the log is now; the node asks again for what it is.
        _ => SendFailed::Truncated,
    }
}
