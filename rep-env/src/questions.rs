//! Questions to another node, and their answers: how they are framed, asked, and taken.
//!
//! One frame each: a version byte, then postcard, and nothing behind it. Each service has its own version and its own questions; who may ask
//! them is for it to say.

use crate::error::Error;
use crate::sync::{AtomicUsize, Ordering};
use crate::waiter::deadline;
use bytes::Bytes;
use rep_net::{Address, Channel, DialError, Hello, NetError, RefuseReason, Transport};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest question names all members of a group.
pub(crate) const QUESTION_BYTES_MAX: usize = 64 << 10;
/// A caller that asks nothing for so long is hung up on.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How often a node that asks another one looks whether it is being closed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn encode<T: Serialize>(version: u8, value: &T) -> Bytes {
    let mut frame = vec![version];
    frame.extend(postcard::to_stdvec(value).expect("plain data is encodable"));
    frame.into()
}

/// What a frame says, if it says that and nothing more.
pub(crate) fn decode<T: DeserializeOwned>(version: u8, frame: &[u8]) -> Result<T, BadFrame> {
    let body = match frame.split_first() {
        Some((said, body)) if *said == version => body,
        Some(_) | None => return Err(BadFrame::OtherVersion),
    };
    match postcard::take_from_bytes(body) {
        Ok((said, [])) => Ok(said),
        Ok(_) => Err(BadFrame::BytesBehind),
        Err(_) => Err(BadFrame::Unknown),
    }
}

/// The same of a question, of which nobody knows yet whether anything in it is meant.
pub(crate) fn question<T: DeserializeOwned>(version: u8, frame: &[u8]) -> Result<T, BadFrame> {
    match frame.len() {
        0..=QUESTION_BYTES_MAX => decode(version, frame),
        _ => Err(BadFrame::TooLong),
    }
}

/// Why a frame is neither a question nor an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum BadFrame {
    #[error("it is longer than any question")]
    TooLong,
    #[error("it is of another version")]
    OtherVersion,
    #[error("it says nothing that this version understands")]
    Unknown,
    #[error("there are bytes behind its end")]
    BytesBehind,
}

/// Answers what comes over that channel, until its caller has hung up or asks nothing any more.
pub(crate) fn serve<Q: DeserializeOwned, R: Serialize>(
    channel: &dyn Channel,
    version: u8,
    answer: impl Fn(Result<Q, BadFrame>) -> R,
) {
    while let Ok(Some(frame)) = channel.receive(Instant::now() + IDLE_MAX) {
        let reply = answer(question(version, &frame));
        if channel.send(encode(version, &reply)).is_err() {
            break;
        }
    }
    channel.close();
}

/// So many callers at a time.
#[derive(Debug)]
pub(crate) struct Room {
    taken: AtomicUsize,
    places_max: usize,
}

impl Room {
    pub(crate) fn new(places_max: usize) -> Self {
        Room { taken: AtomicUsize::new(0), places_max }
    }

    pub(crate) fn check(&self) -> Result<(), RefuseReason> {
        let is_full = self.taken.load(Ordering::Relaxed) >= self.places_max;
        if is_full { Err(RefuseReason::Busy) } else { Ok(()) }
    }

    /// A place, if there is one.
    pub(crate) fn enter(&self) -> Option<Place<'_>> {
        let had = self.taken.fetch_add(1, Ordering::Relaxed);
        // Given back when it is dropped, also if it is beyond the last one.
        let place = Place(self);
        (had < self.places_max).then_some(place)
    }
}

/// A caller's place, until this is dropped.
pub(crate) struct Place<'a>(&'a Room);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open channel for questions, over any transport.
#[derive(Debug)]
pub(crate) struct Asking {
    channel: Arc<dyn Channel>,
    address: String,
    version: u8,
}

impl Asking {
    /// Reaches whoever listens at `address`.
    pub(crate) fn dial(
        transport: &dyn Transport,
        hello: &Hello,
        (address, version): (&str, u8),
        timeout: Duration,
    ) -> Result<Self, Error> {
        let channel = transport
            .dial(&Address::new(address), hello, deadline(timeout))
            .map_err(|error| dial_error(address, &error))?;
        Ok(Asking { channel, address: address.to_owned(), version })
    }

    pub(crate) fn ask<Q: Serialize, R: DeserializeOwned>(
        &self,
        question: &Q,
        timeout: Duration,
    ) -> Result<R, Error> {
        self.send(question)?;
        self.understood(self.channel.receive(deadline(timeout)), timeout)
    }

    /// The same, unless `is_over` meanwhile, which nobody tells and is looked at now and then: a node that is closed waits for its threads.
    pub(crate) fn ask_unless<Q: Serialize, R: DeserializeOwned>(
        &self,
        question: &Q,
        timeout: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<R, Error> {
        self.send(question)?;
        let until = deadline(timeout);
        while !is_over() {
            match self.channel.receive(until.min(Instant::now() + LOOK_EVERY)) {
                Ok(None) if Instant::now() < until => {}
                answered => return self.understood(answered, timeout),
            }
        }
        Err(self.failed("nobody waits for its answer any more".to_owned()))
    }

    fn send<Q: Serialize>(&self, question: &Q) -> Result<(), Error> {
        let sent = self.channel.send(encode(self.version, question));
        sent.map_err(|error| self.failed(error.to_string()))
    }

    fn understood<R: DeserializeOwned>(
        &self,
        answered: Result<Option<Bytes>, NetError>,
        timeout: Duration,
    ) -> Result<R, Error> {
        match answered {
            Ok(Some(frame)) => decode(self.version, &frame)
                .map_err(|bad| self.failed(format!("its answer is not understood: {bad}"))),
            Ok(None) => Err(self.failed(format!("no answer within {timeout:?}"))),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    /// Who answers there: where names are proved, by the one that it has proved.
    pub(crate) fn answers(&self) -> &str {
        &self.channel.peer().node
    }

    /// Whoever was asked says no.
    pub(crate) fn refused(&self, why: String) -> Error {
        Error::Refused { address: self.address.clone(), why }
    }

    /// No usable answer came, but that.
    pub(crate) fn failed(&self, detail: String) -> Error {
        Error::Admin { address: self.address.clone(), detail, unreachable: false }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.channel.close();
    }
}

fn dial_error(address: &str, error: &DialError) -> Error {
    let address = address.to_owned();
    if let Some(RefuseReason::NotAdministrator { detail }) = error.refuse_reason() {
        return Error::NotAdministrator { address, detail: detail.clone() };
    }
    let unreachable = matches!(
        error,
        DialError::Refused { .. }
            | DialError::TimedOut { .. }
            | DialError::Unreachable { .. }
            | DialError::HungUp { .. }
    );
    Error::Admin { address, detail: error.to_string(), unreachable }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    const VERSION: u8 = 7;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Word {
        Yes,
        No(String),
    }

    fn understood(frame: &[u8]) -> Result<Word, BadFrame> {
        question(VERSION, frame)
    }

    /// A status with bytes behind it was once taken for a status, and the caller never knew that more had been said.
    #[test]
    fn a_frame_says_one_thing_and_nothing_behind_it() {
        let yes = encode(VERSION, &Word::Yes);
        assert_eq!(understood(&yes), Ok(Word::Yes));
        assert_eq!(understood(&[&yes[..], &[0]].concat()), Err(BadFrame::BytesBehind));
        let no = [&encode(VERSION, &Word::No("no".into()))[..], b"!"].concat();
        assert_eq!(understood(&no), Err(BadFrame::BytesBehind));
    }

    #[test]
    fn what_is_no_question_is_refused_for_what_it_is() {
        assert_eq!(understood(&[]), Err(BadFrame::OtherVersion));
        assert_eq!(understood(&[VERSION + 1, 0]), Err(BadFrame::OtherVersion));
        assert_eq!(understood(&[VERSION]), Err(BadFrame::Unknown));
        assert_eq!(understood(&[VERSION, 2]), Err(BadFrame::Unknown));
        assert_eq!(understood(&[VERSION; QUESTION_BYTES_MAX + 1]), Err(BadFrame::TooLong));
    }

    /// A length that lies is believed as far as there are bytes: nothing is taken for what is not there.
    #[test]
    fn a_text_that_is_longer_than_its_frame_is_no_text() {
        let lie = [VERSION, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, b'n'];
        assert_eq!(understood(&lie), Err(BadFrame::Unknown));
        let whole = encode(VERSION, &Word::No("because".into()));
        (1..whole.len())
            .for_each(|cut| assert_eq!(understood(&whole[..cut]), Err(BadFrame::Unknown)));
    }

    #[test]
    fn a_room_has_so_many_places_and_each_comes_back() {
        let room = Room::new(2);
        let (one, two) = (room.enter().unwrap(), room.enter().unwrap());
        assert!(room.enter().is_none() && room.check() == Err(RefuseReason::Busy));
        drop(one);
        let again = room.enter().unwrap();
        assert!(room.enter().is_none(), "one that was not let in takes nobody's place");
        drop((two, again));
        assert_eq!(room.check(), Ok(()));
    }
}
