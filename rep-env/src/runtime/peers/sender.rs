//! The thread that writes one channel, when whoever drives the node could not.

use super::outgoing::{Job, Outgoing, SentRun};
use super::{Context, Entries};
use crate::runtime::inbox::Input;
use bytes::Bytes;
use rep_net::{Channel, NetError};
use rep_node::output::SendRange;
use rep_node::{Link, SendFailed};
use rep_vlsn::error::ReadError;

pub(super) fn run(context: &Context, link: Link, outgoing: &Outgoing) {
    let send = |channel: &dyn Channel, job| match job {
        Job::Frame(frame) => {
            let bytes = frame.len();
            channel.send(frame)?;
            outgoing.count_sent(bytes);
            Ok(None)
        }
        Job::Entries(range) => send_entries(context, (link, outgoing), channel, range).map(Some),
        Job::Rest => channel.flush().map(|()| None),
    };
    outgoing.work(send, |input| context.shared.inbox.completed(input));
}

/// Sends slices of the log behind a header; no record is encoded again.
fn send_entries(
    context: &Context,
    (link, outgoing): (Link, &Outgoing),
    channel: &dyn Channel,
    range: SendRange,
) -> Result<Input, NetError> {
    let run = match context.entries.run(range.from, range.to, range.bytes_max, range.log_epoch) {
        Ok(run) if run.prev == range.header.prev => run,
        Ok(_) => return Ok(Input::SendFailed { link, why: SendFailed::Truncated }),
        Err(error) => {
            tracing::debug!(?link, %error, "entries cannot be sent");
            return Ok(Input::SendFailed { link, why: failure_of(&error) });
        }
    };
    let sent = SentRun { last: run.last, bytes: run.bytes };
    let mut parts = Vec::with_capacity(1 + run.slices.len());
    parts.push(Bytes::copy_from_slice(&range.header.encode()));
    parts.extend(run.slices);
    channel.send_parts(&parts)?;
    outgoing.count_entries(&sent);
    Ok(Input::Sent { link, last: sent.last, bytes: sent.bytes })
}

fn failure_of(error: &ReadError) -> SendFailed {
    match error {
        ReadError::Cleaned { first } => SendFailed::Cleaned { first: *first },
        ReadError::Damaged { .. } | ReadError::Io(_) => SendFailed::Damaged,
        // Whatever was asked for is not what the log is now; the node asks again for what it is.
        _ => SendFailed::Truncated,
    }
}
