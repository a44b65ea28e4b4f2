//! The thread that writes one channel, when whoever drives the node could not.

use super::outgoing::{Job, Outgoing, SentRun};
use super::{Context, Entries};
use crate::runtime::inbox::Input;
use crate::runtime::shared::Shared;
use bytes::Bytes;
use rep_net::{Channel, NetError};
use rep_node::output::SendRange;
use rep_node::{Link, SendFailed};
use rep_vlsn::Vlsn;
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
            let why = failure_of(&error, range.from, covered(&context.shared));
            return Ok(Input::SendFailed { link, why });
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

/// The last entry that a copy of this member's state has, whatever becomes of the log: of a member that goes on with damage, as it is the only copy. Its store has what has rotted
/// from before, and has checksums of its own. Any other member is about to be silent, and sends nobody away for a copy.
fn covered(shared: &Shared) -> Vlsn {
    match shared.scrubbing.borne() {
        Some(_) => shared.shown.positions().applied.vlsn,
        None => Vlsn::NULL,
    }
}

/// Why entries from `from` on cannot be sent. Who needs what has rotted, of a log whose state is `covered` beyond that, is given a copy, as if the log began there.
fn failure_of(error: &ReadError, from: Vlsn, covered: Vlsn) -> SendFailed {
    match error {
        ReadError::Cleaned { first } => SendFailed::Cleaned { first: *first },
        ReadError::Damaged { vlsn } => match from.max(*vlsn).next() {
            first if first <= covered => SendFailed::Cleaned { first },
            _ => SendFailed::Damaged,
        },
        // The stream ends, and is begun again: the disk may give then what it did not now.
        ReadError::Io(_) => SendFailed::Damaged,
        // Whatever was asked for is not what the log is now; the node asks again for what it is.
        _ => SendFailed::Truncated,
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn who_needs_what_has_rotted_is_given_a_copy_only_if_the_store_has_it() {
        let failure = |from, vlsn, covered| {
            let [from, vlsn, covered] = [from, vlsn, covered].map(Vlsn::new);
            failure_of(&ReadError::Damaged { vlsn }, from, covered)
        };
        let copy_from = |first| SendFailed::Cleaned { first: Vlsn::new(first) };
        assert_eq!(failure(1, 7, 20), copy_from(8));
        assert_eq!(failure(9, 7, 20), copy_from(10), "more than it has already");
        assert_eq!(failure(1, 7, 8), copy_from(8));
        assert_eq!(failure(1, 7, 7), SendFailed::Damaged, "no copy could say what comes next");
        assert_eq!(failure(1, 7, 3), SendFailed::Damaged, "nobody ever applied it");
        assert_eq!(failure(1, 7, 0), SendFailed::Damaged, "others go on without this member");
    }
}
