//! Frames that leave and frames that come: the threads of the peers' links.

use crate::coverage::input_of_message;
use crate::faults::Moment;
use crate::machine::Machine;
use crate::network::{ConnId, Side};
use crate::oracle::{Invariant, ensure};
use crate::trace::digest;
use crate::world::{Event, World};
use bytes::{BufMut, Bytes, BytesMut};
use rep_node::output::SendRange;
use rep_node::{
    ElectionMessage, FeederMessage, Link, MemberType, Message, ReplicaMessage, SendFailed,
};
use rep_vlsn::{LogPoint, ReadError, Term, Vlsn};
use std::time::Duration;

impl World {
    pub(crate) fn send(&mut self, id: Machine, link: Link, message: Message) {
        let Some((conn, side)) = self.network.find(id, link.epoch) else { return };
        let moment = self.inspect(id, link, &message);
        let bytes = message.encode();
        let facts = [30, u64::from(link.peer.get()), digest(0, &bytes)];
        self.note(id, &facts, || {
            format!("n{} -> n{}: {}", id.get(), link.peer.get(), brief(&message))
        });
        self.put_on_wire((conn, side), bytes);
        if let Some(moment) = moment {
            self.spring(id, moment);
        }
    }

    fn put_on_wire(&mut self, (conn, side): (ConnId, Side), bytes: Bytes) {
        let Some(frame) = self.network.next_frame(conn, side) else { return };
        let Some(mishap) = self.mishap_of(frame) else {
            let coming = self.network.send(self.now, (conn, side), bytes);
            coming.into_iter().for_each(|(at, event)| self.schedule.push(at, Event::Net(event)));
            return;
        };
        let coming = self.network.send_amiss(self.now, (conn, side), bytes, (frame, mishap));
        self.net_coming(coming);
    }

    /// What leaves is what the oracle judges: it looks at it at the very moment.
    fn inspect(&mut self, id: Machine, link: Link, message: &Message) -> Option<Moment> {
        if self.swarm.kind_of(id) == MemberType::Monitor {
            let checked = self.oracle.monitor_says(id, message);
            self.check(checked);
        }
        let run = self.process(id).run;
        let me = self.number_of(id, id)?;
        let (checked, moment) = match message {
            Message::Election(ElectionMessage::Promise(promise)) => {
                // Not what the cell has reported: what is on the disk.
                let stored = self.process(id).home.certain_fence();
                let durable = (stored.term, stored.promised_to);
                let promised = self.oracle.promise_leaves(id, promise.term, link.peer, durable);
                (promised, Moment::PromiseSent)
            }
            Message::Election(ElectionMessage::Solicit(ask)) => {
                (self.oracle.proposal_leaves((id, run), me, ask.term), Moment::SolicitSent)
            }
            Message::Election(ElectionMessage::Name(name)) => {
                (self.oracle.proposal_leaves((id, run), me, name.term), Moment::NameSent)
            }
            Message::Election(
                ElectionMessage::PreSolicit(_)
                | ElectionMessage::PreGrant(_)
                | ElectionMessage::Refuse(_),
            ) => return None,
            Message::HeartbeatReply { term, round } => {
                if *round > 0 {
                    self.leans_on_fence(id, link, *term);
                }
                return None;
            }
            Message::Heartbeat { term, .. } => {
                self.acts(id, *term, "sends heartbeats");
                return None;
            }
            Message::Vouch { term, point } => {
                self.acts(id, *term, "asks an arbiter");
                let checked = self.oracle.asks_to_vouch(id, *point);
                self.check(checked);
                let checked = self.lacks_copies(id, *term, *point);
                self.check(checked);
                return None;
            }
            Message::Vouched { term, point } => {
                self.leans_on_fence(id, link, *term);
                let checked = self.vouched_leaves(id, *term, *point);
                self.check(checked);
                return None;
            }
            Message::Ping { .. }
            | Message::Pong { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TurnedAway(_)
            | Message::Acquaint(_)
            | Message::RoundTrips(_)
            | Message::Load(_)
            | Message::Stands { .. }
            | Message::GroupShutDown { .. } => {
                return None;
            }
            Message::ToFeeder(ReplicaMessage::Ack { connection, synced, received }) => {
                self.leans_on_fence(id, link, connection.term);
                (self.oracle.ack_leaves(id, *synced, *received), Moment::AckSent)
            }
            // It says where the logs agree; nobody counts it as synced.
            Message::ToFeeder(ReplicaMessage::Ready { .. }) => return Some(Moment::ReadySent),
            Message::ToFeeder(ReplicaMessage::Handshake(_)) | Message::ToReplica(_) => return None,
        };
        self.check(checked);
        Some(moment)
    }

    /// I-1 for who is about to send entries. To a secondary somebody else than the term's master may, too: that is judged when they leave.
    pub(super) fn sends_as_it_may(&mut self, id: Machine, link: Link, term: Term) {
        let kind = self.other_end(id, link).map(|to| self.swarm.kind_of(to));
        let of = (id, self.process(id).run);
        let relays = self.swarm.members.relays && self.oracle.is_reigned_by_another(of, term);
        if !relays || kind.is_some_and(|kind| kind != MemberType::Secondary) {
            self.acts(id, term, "sends entries");
        }
    }

    /// A peer's writer thread: reads the range and sends it as one frame.
    pub(crate) fn send_entries(&mut self, id: Machine, link: Link, range: &SendRange) {
        let Some(live) = self.live_mut(id) else { return };
        let run = live.reader.read(range.from, range.to, range.bytes_max, range.log_epoch);
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                let why = match error {
                    ReadError::Cleaned { first } => SendFailed::Cleaned { first },
                    ReadError::Truncated => SendFailed::Truncated,
                    _ => {
                        let checked = self.may_fail(id, &error);
                        self.check(checked);
                        SendFailed::Damaged
                    }
                };
                self.step(id, |node, now| node.handle_send_failed(now, link, why));
                return;
            }
        };
        if let Some(to) = self.other_end(id, link) {
            let monitors = self.swarm.kind_of(to) == MemberType::Monitor;
            let checked = self.oracle.is_fed(to, monitors);
            self.check(checked);
        }
        let of = (id, self.process(id).run);
        if self.oracle.is_reigned_by_another(of, range.header.connection.term) {
            self.counts.relayed += 1;
            let checked = self.oracle.relays(id, run.last);
            self.check(checked);
        }
        let mut frame = BytesMut::with_capacity(64 + run.bytes);
        frame.put_slice(&range.header.encode());
        run.slices.iter().for_each(|slice| frame.put_slice(slice));
        let (last, bytes) = (run.last, run.bytes);
        let facts = [31, u64::from(link.peer.get()), last.vlsn.get()];
        self.note(id, &facts, || {
            let (from, dvlsn) = (range.from, range.header.dvlsn);
            format!(
                "n{} -> n{}: entries {from}..={last} (dvlsn {dvlsn})",
                id.get(),
                link.peer.get()
            )
        });
        let mut waits = Duration::ZERO;
        if let Some(end) = self.network.find(id, link.epoch) {
            self.put_on_wire(end, frame.freeze());
            waits = self.network.back_pressure(self.now, end.0, end.1);
        }
        if self.spring(id, Moment::EntriesSent) {
            return;
        }
        if waits.is_zero() {
            return self.sent(id, link, last, bytes);
        }
        let run = self.process(id).run;
        self.schedule.push(self.now + waits, Event::Sent { id, run, link, last, bytes });
    }

    /// The batch has left the send buffer's queue: the next one may come.
    pub(crate) fn sent(&mut self, id: Machine, link: Link, last: LogPoint, bytes: usize) {
        self.step(id, |node, now| node.handle_sent(now, link, last, bytes));
    }

    pub(crate) fn hang_up(&mut self, id: Machine, link: Link) {
        self.note(id, &[32, link.epoch], || format!("n{} closes {link:?}", id.get()));
        if let Some((conn, side)) = self.network.find(id, link.epoch) {
            let coming = self.network.close(self.now, conn, side);
            self.net_coming(coming);
        }
    }

    /// A frame has come. `old`: it was sent on an earlier connection, and must change nothing.
    pub(crate) fn frame_came(
        &mut self,
        id: Machine,
        link: Link,
        side: Side,
        frame: bytes::Bytes,
        old: bool,
    ) {
        let dialled = side == Side::Dialler;
        let facts = [33, u64::from(link.peer.get()), digest(1, &frame), u64::from(old)];
        self.note(id, &facts, || {
            let again = if old { " (of an earlier connection)" } else { "" };
            format!("n{} <- n{}: {} bytes{again}", id.get(), link.peer.get(), frame.len())
        });
        let message = match Message::decode(link.service, dialled, frame) {
            Ok(message) => message,
            Err(error) => return self.peer_erred(id, link, &error.to_string()),
        };
        self.meets(id, input_of_message(&message));
        let before = old.then(|| self.known_points(id));
        let returning = self.returning(id, link, &message).filter(|_| !old);
        let handled = self.step(id, |node, now| node.handle_message(now, link, message));
        if let Some(before) = before {
            let after = self.known_points(id);
            let stale = link.service == rep_node::Service::Feeder;
            let raised = before.iter().zip(&after).any(|(before, after)| before < after);
            let checked = ensure(!stale || !raised, Invariant::DistinctVoters, || {
                format!(
                    "an acknowledgement of an earlier connection counts at {id}: {before:?} becomes {after:?}"
                )
            });
            self.check(checked);
        }
        if let Some(at) = returning {
            self.refuses_image(id, link, at);
        }
        match handled {
            Some(Err(error)) => self.peer_erred(id, link, &error.to_string()),
            Some(Ok(())) if !old => self.has_heard(id, link.peer),
            _ => {}
        }
    }

    fn known_points(&mut self, id: Machine) -> Vec<Option<Vlsn>> {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return Vec::new() };
        let status = live.node.status(live.clock.local(now));
        status.members.iter().map(|member| member.synced).collect()
    }

    /// The driver closes a link on which something impossible was said. Between correct nodes on a network
    /// that keeps its word nothing is.
    fn peer_erred(&mut self, id: Machine, link: Link, error: &str) {
        self.counts.peer_errors += 1;
        self.note(id, &[34], || {
            format!("n{} hears nonsense from n{}: {error}", id.get(), link.peer.get())
        });
        // Who was admitted under another number and has not heard of that calls itself what it was.
        let number = self.other_end(id, link).and_then(|it| self.number_of(it, it));
        let excused = self.ever_hostile || number.is_none_or(|number| number != link.peer);
        let checked = ensure(excused, Invariant::ErrorHonesty, || {
            format!("{id} refuses what correct {} said: {error}", link.peer)
        });
        self.check(checked);
        self.hang_up(id, link);
        self.step(id, |node, now| node.handle_link_down(now, link));
    }
}

/// A message in a few words, for the trace.
fn brief(message: &Message) -> String {
    match message {
        Message::Election(message) => {
            let text = format!("{message:?}");
            let end = text.find("electorate").unwrap_or(text.len());
            text[..end].trim_end_matches([',', ' ']).to_owned()
        }
        Message::ToFeeder(ReplicaMessage::Handshake(hello)) => {
            format!("Handshake {:?} last {} synced {}", hello.connection, hello.last, hello.synced)
        }
        Message::ToReplica(FeederMessage::SyncUp(sync)) => {
            format!(
                "SyncUp {:?} matchpoint {} last {}",
                sync.connection, sync.matchpoint, sync.last
            )
        }
        other => format!("{other:?}"),
    }
}
