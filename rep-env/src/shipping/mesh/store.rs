//! The end that takes segments, and gives them to a sink of its own.

use super::words::{Answer, Question};
use crate::shipping::segments::{Segment, SegmentSink};
use bytes::Bytes;
use rep_net::mesh::Endpoint;
use rep_net::queue::Closed;
use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

/// Looked at again so often while nobody asks anything.
const IDLE: Duration = Duration::from_secs(3600);

/// Takes what [`MeshSink`](super::MeshSink)s send to an endpoint, and gives it to `sink`. What they are answered is that sink's word.
#[derive(Debug)]
pub struct MeshStore<K: Ord + Clone + Debug, S> {
    endpoint: Endpoint<K>,
    sink: S,
}

impl<K, S> MeshStore<K, S>
where
    K: Ord + Clone + Debug,
    S: SegmentSink,
    S::Error: Display,
{
    /// A store behind this endpoint.
    pub fn new(endpoint: Endpoint<K>, sink: S) -> Self {
        MeshStore { endpoint, sink }
    }

    /// Answers one question; tells whether there was one by `deadline`. Blocks on the sink.
    ///
    /// # Errors
    ///
    /// [`Closed`] once nobody is left who could ask.
    pub fn serve(&mut self, deadline: Instant) -> Result<bool, Closed> {
        let Some((from, frame)) = self.endpoint.receive(deadline)? else { return Ok(false) };
        match self.answer(frame) {
            // Who has no room for an answer, or is gone, asks again where the store stands.
            Ok(answer) => drop(self.endpoint.try_send(&from, answer)),
            Err(what) => tracing::warn!(?from, what, "a frame that is no question is dropped"),
        }
        Ok(true)
    }

    /// Answers until nobody is left who could ask, and gives the sink back.
    pub fn run(mut self) -> S {
        while self.serve(Instant::now() + IDLE).is_ok() {}
        self.sink
    }

    fn answer(&mut self, frame: Bytes) -> Result<Bytes, &'static str> {
        let (number, question) = Question::decode(frame)?;
        let answer = match question {
            Question::Where { group, shard } => {
                let last = self.sink.acknowledged(group, shard);
                last.map_or_else(|error| refused(&error), Answer::Has)
            }
            Question::Take(bytes) => match Segment::decode(bytes) {
                Ok(segment) => self.take(&segment),
                Err(error) => refused(&error),
            },
        };
        Ok(answer.encode(number))
    }

    fn take(&mut self, segment: &Segment) -> Answer {
        let last = match self.sink.acknowledged(segment.group(), segment.shard()) {
            Ok(last) => last,
            Err(error) => return refused(&error),
        };
        if !last.vlsn.is_null() && segment.prev().vlsn > last.vlsn {
            return Answer::Gap(last);
        }
        match self.sink.take(segment) {
            Ok(()) => Answer::Has(segment.last().max(last)),
            Err(error) => refused(&error),
        }
    }
}

fn refused(why: &dyn Display) -> Answer {
    Answer::Refused(why.to_string())
}
