//! The task that moves frames from an outbox into its stream, and sees the stream's end through.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use quinn::{SendStream, StoppedError, VarInt, WriteError};

use crate::error::NetError;
use crate::quic::faults;
use crate::quic::link::{Link, code};
use crate::quic::outbox::{Next, Outbox};

/// Sends what is put into the outbox until that ends, or the peer or the network ends it. The link is kept until the peer has everything, for at
/// most `last_words`.
pub(super) async fn pump(
    mut stream: SendStream,
    outbox: Arc<Outbox>,
    link: Arc<Link>,
    last_words: Duration,
) {
    let mut stopped = pin!(stream.stopped());
    loop {
        let next = poll_fn(|context| match stopped.as_mut().poll(context) {
            Poll::Ready(how) => Poll::Ready(Err(why_stopped(how))),
            Poll::Pending => outbox.poll_next(context).map(Ok),
        });
        match next.await {
            Ok(Next::Send(pieces)) => {
                if let Err(error) = send(&mut stream, pieces, &outbox).await {
                    return outbox.fail(why_not_written(error));
                }
            }
            Ok(Next::End) => break,
            Ok(Next::BreakOff(code)) => return drop(stream.reset(code)),
            Err(error) => return outbox.fail(error),
        }
    }
    let _ = stream.finish();
    if tokio::time::timeout(last_words, stopped).await.is_err() {
        let _ = stream.reset(code::CUT_OFF);
    }
    drop(link);
}

async fn send(
    stream: &mut SendStream,
    mut pieces: Vec<Bytes>,
    outbox: &Outbox,
) -> Result<(), WriteError> {
    let mut rest = &mut pieces[..];
    while !rest.is_empty() {
        let written = stream.write_chunks(rest).await?;
        outbox.taken(written.bytes);
        rest = &mut rest[written.chunks..];
    }
    Ok(())
}

/// A peer that wants no more has closed its end.
fn why_stopped(how: Result<Option<VarInt>, StoppedError>) -> NetError {
    match how {
        Ok(_) => NetError::Closed,
        Err(StoppedError::ConnectionLost(error)) => faults::why_lost(&error),
        Err(error @ StoppedError::ZeroRttRejected) => faults::lost(&error.into()),
    }
}

fn why_not_written(error: WriteError) -> NetError {
    match error {
        WriteError::Stopped(_) | WriteError::ClosedStream => NetError::Closed,
        WriteError::ConnectionLost(error) => faults::why_lost(&error),
        WriteError::ZeroRttRejected => faults::lost(&error.into()),
    }
}
