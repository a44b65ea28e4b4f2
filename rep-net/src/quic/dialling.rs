//! Calling somebody: a connection, a stream of it, Hello, the answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use quinn::{RecvStream, SendStream};

use crate::calling::{judge_answer, listening_peer};
use crate::channel::Channel;
use crate::error::{DialError, NetError};
use crate::hello::Hello;
use crate::identity;
use crate::quic::Shared;
use crate::quic::channel::QuicChannel;
use crate::quic::engine::Engine;
use crate::quic::faults::Judge;
use crate::quic::line::Line;
use crate::quic::link::{Link, code};
use crate::quic::pool::Found;
use crate::quic::waiting::wait;
use crate::tls::Material;
use crate::transport::Address;

/// One call.
pub(super) struct Call<'a> {
    pub(super) shared: &'a Shared,
    pub(super) engine: &'a Arc<Engine>,
    pub(super) address: &'a Address,
    pub(super) hello: &'a Hello,
    pub(super) deadline: Instant,
}

/// Why a call over a connection that was there already is made once more, over a new one.
enum Failed {
    /// The connection is of no use any more: lost, full, or its proof is out of date.
    Again,
    For(DialError),
}

impl From<DialError> for Failed {
    fn from(error: DialError) -> Self {
        Self::For(error)
    }
}

impl Call<'_> {
    pub(super) fn dial(&self) -> Result<Arc<dyn Channel>, DialError> {
        let sent = self.hello.encode().map_err(DialError::Hello)?;
        let material = self.shared.credentials.material();
        let link = match self.shared.pool.find(
            self.address,
            |link| link.is_usable(&material),
            self.deadline,
        ) {
            Found::TimedOut => return Err(self.timed_out("waiting for a connection")),
            Found::Connect(connecting) => {
                let link = self.connect(&material)?;
                connecting.done(&link);
                return self.call(&link, &sent, false).or_else(|failed| self.give_up(failed));
            }
            Found::Link(link) => link,
        };
        match self.call(&link, &sent, true) {
            Err(Failed::Again) => {
                link.retire();
                let link = self.connect(&material)?;
                self.shared.pool.add(self.address, &link);
                self.call(&link, &sent, false).or_else(|failed| self.give_up(failed))
            }
            called => called.or_else(|failed| self.give_up(failed)),
        }
    }

    fn give_up<R>(&self, failed: Failed) -> Result<R, DialError> {
        Err(match failed {
            Failed::For(error) => error,
            Failed::Again => self.hung_up("it wants no channel over this connection"),
        })
    }

    fn connect(&self, material: &Arc<Material>) -> Result<Arc<Link>, DialError> {
        self.shared.connect(self.engine, self.address, material, self.deadline)
    }

    /// Calls over that connection, of which was known before whether it `is_old`.
    fn call(
        &self,
        link: &Arc<Link>,
        sent: &Bytes,
        is_old: bool,
    ) -> Result<Arc<dyn Channel>, Failed> {
        let not_proved = |error| DialError::Tls { address: self.address.clone(), error };
        identity::may_be_told(&link.proved, self.hello).map_err(not_proved)?;
        let stream = self.open(link, is_old)?;
        let limits = &self.shared.limits;
        let line = Arc::new(Line::new(stream, Arc::clone(link), self.engine, limits));
        let answer = self.ask(&line, sent).map_err(|error| self.unheard(&line, &error, is_old))?;
        let accepted = judge_answer(self.address, self.hello, &answer)?;
        identity::is_who_answered(&link.proved, &accepted).map_err(not_proved)?;
        let peer = listening_peer(self.hello, accepted, self.address.clone());
        Ok(Arc::new(QuicChannel::new(line, peer, None, limits)))
    }

    /// A new stream. An old connection may have as many as it is allowed; a new one gets some in a moment.
    fn open(&self, link: &Link, is_old: bool) -> Result<(SendStream, RecvStream), Failed> {
        let mut opening = pin!(link.connection.open_bi());
        let open = poll_fn(|context| match opening.as_mut().poll(context) {
            Poll::Pending if is_old => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(opened) => Poll::Ready(Some(opened)),
        });
        match wait(open, Some(self.deadline)) {
            None => Err(self.timed_out("opening a channel").into()),
            Some(None) => Err(Failed::Again),
            Some(Some(Err(_))) if is_old => Err(Failed::Again),
            Some(Some(Err(error))) => Err(self.judge(link, &error).into()),
            Some(Some(Ok(stream))) => Ok(stream),
        }
    }

    fn ask(&self, line: &Line, sent: &Bytes) -> Result<Bytes, Option<NetError>> {
        // A listener that does not take it says why in its answer.
        let _ = line.send(sent.clone());
        line.receive(self.deadline).map_err(Some)?.ok_or(None)
    }

    fn unheard(&self, line: &Line, error: &Option<NetError>, is_old: bool) -> Failed {
        let lost = line.link.connection.close_reason();
        match (error, lost) {
            (_, Some(_)) if is_old => Failed::Again,
            (_, None) if line.broken_off() == Some(code::PROVE_AGAIN) => Failed::Again,
            (None, _) => self.timed_out("waiting for the answer").into(),
            (Some(_), Some(lost)) => self.judge(&line.link, &lost).into(),
            (Some(NetError::Closed), None) => self.hung_up("the channel was closed").into(),
            (Some(error), None) => self.hung_up(error).into(),
        }
    }

    /// Why the peer ended a connection that had come about, from what it showed us: only then may it have looked at our certificate.
    fn judge(&self, link: &Link, error: &quinn::ConnectionError) -> DialError {
        let own_not_before = link.material.certificate.not_before;
        Judge { address: self.address, own_not_before, found: None }
            .failure(error, "waiting for the answer")
    }

    fn timed_out(&self, during: &'static str) -> DialError {
        DialError::TimedOut { address: self.address.clone(), during }
    }

    fn hung_up(&self, detail: impl ToString) -> DialError {
        DialError::HungUp { address: self.address.clone(), detail: detail.to_string() }
    }
}
