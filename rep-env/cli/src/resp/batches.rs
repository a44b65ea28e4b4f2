//! What many clients write at the same time, as few transactions.
//!
//! A front finds the writes of all clients that had something to say since it last looked. Each of them is all or nothing by
//! itself, and a command that changes nothing leaves nothing behind, so they may share a transaction: one entry of the log, one
//! look at the overlay, one commit to wait for. Its order is the order in which they came. What fails alone is taken out and
//! refused alone; what the whole transaction has to wait for (members that are to come back, room, the turn) is tried again until the
//! command has waited for as long as `commit` would have.

use super::failure;
use super::mailbox::Mailbox;
use super::reply::Reply;
use super::server::Port;
use super::session::Job;
use super::writes::Refusal;
use rep_env::{CommitHandle, CommitToken, Consistency, Error, ReadHandle, View};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Writes that share a transaction at most.
const WRITES_MAX: usize = 1024;
/// Bytes of these writes. One alone may be larger.
const BYTES_MAX: usize = 256 << 10;
/// After so long a turn that was taken is tried for again.
const TURN_AGAIN: Duration = Duration::from_millis(1);
/// After so long a transaction is built again that could not be committed for want of members or room.
const COMMIT_AGAIN: Duration = Duration::from_millis(5);

/// Writes that are to be carried out, and transactions that are not decided yet.
#[derive(Debug, Default)]
pub(super) struct Batches {
    queue: VecDeque<Job>,
    /// By number.
    under_way: BTreeMap<u64, Batch>,
    /// The next transaction takes no more writes than this: the one behind them could not be carried out.
    take: Option<usize>,
}

#[derive(Debug)]
struct Batch {
    stage: Stage,
    changes: bool,
    members: Vec<Member>,
}

#[derive(Debug)]
enum Stage {
    Committing(CommitHandle),
    /// Nothing was written, so it was a read: whether this node was still master then is being asked.
    Confirming(ReadHandle<View>, CommitToken),
}

/// A write within a transaction, and what it answers if that becomes durable.
#[derive(Debug)]
struct Member {
    client: i64,
    place: u64,
    reply: Reply,
}

/// News about one write.
#[derive(Debug)]
pub(super) enum News {
    /// It is on its way to the log; its reply costs so many bytes.
    Began(usize),
    /// It is decided.
    Settled(Reply, Option<CommitToken>),
}

/// News about writes: of which client, at which place.
pub(super) type Told = Vec<(i64, u64, News)>;

impl Batches {
    /// Takes more writes.
    pub(super) fn take_in(&mut self, jobs: &mut Vec<Job>) {
        self.queue.extend(jobs.drain(..));
    }

    /// Whether nothing waits to be tried again.
    pub(super) fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }

    /// Commits what is queued. When to come back, if something is left.
    pub(super) fn commit(
        &mut self,
        port: &Port,
        mailbox: &Arc<Mailbox>,
        now: Instant,
        told: &mut Told,
    ) -> Option<Instant> {
        while !self.queue.is_empty() {
            let mut members = Vec::new();
            let built = self.build(port, &mut members);
            match built {
                Ok((commit, changes)) => {
                    let number = port.next_future();
                    self.begin(
                        number,
                        Batch { stage: Stage::Committing(commit), changes, members },
                        told,
                    );
                    self.woken(number, port, mailbox, told);
                }
                Err(refusal) => {
                    let count = members.len().max(1);
                    if let Some(patience) = port.patience(&refusal) {
                        if !self.refuse_after(patience, now, &refusal, told) {
                            let again = if members.is_empty() { TURN_AGAIN } else { COMMIT_AGAIN };
                            return Some(now + again);
                        }
                    } else if matches!(refusal, Unbuilt::Write(_)) && !members.is_empty() {
                        self.take = Some(count);
                    } else {
                        self.refuse(count, &refusal, told);
                    }
                }
            }
        }
        None
    }

    /// Carries out the first writes of the queue in one transaction and commits it; `members` are those that were carried out.
    fn build(
        &mut self,
        port: &Port,
        members: &mut Vec<Member>,
    ) -> Result<(CommitHandle, bool), Unbuilt> {
        // Fronts do not try for the turn against each other: what one does within it waits for nothing.
        let _turn = port.turn.lock();
        let mut txn = port.env.try_begin().map_err(Unbuilt::Transaction)?;
        let mut bytes = 0;
        let most = self.take.take().unwrap_or(WRITES_MAX);
        for job in self.queue.iter().take(most) {
            bytes += job.write.bytes();
            if bytes > BYTES_MAX && !members.is_empty() {
                break;
            }
            let reply = job.write.run(&mut txn, &port.database, &port.memory);
            let reply = reply.map_err(Unbuilt::Write)?;
            members.push(Member { client: job.client, place: job.place, reply });
        }
        let changes = !txn.is_empty();
        let commit = txn.try_commit_with(port.config.durability).map_err(Unbuilt::Transaction)?;
        Ok((commit, changes))
    }

    fn begin(&mut self, number: u64, batch: Batch, told: &mut Told) {
        self.queue.drain(..batch.members.len());
        told.extend(
            batch
                .members
                .iter()
                .map(|member| (member.client, member.place, News::Began(member.reply.bytes()))),
        );
        self.under_way.insert(number, batch);
    }

    /// Refuses the first writes of the queue.
    fn refuse(&mut self, count: usize, why: &Unbuilt, told: &mut Told) {
        let reply = why.reply();
        let refused = self.queue.drain(..count.min(self.queue.len()));
        told.extend(refused.map(|job| (job.client, job.place, News::Settled(reply.clone(), None))));
    }

    /// Refuses the writes that have waited for so long; false if there is none.
    fn refuse_after(
        &mut self,
        patience: Duration,
        now: Instant,
        why: &Unbuilt,
        told: &mut Told,
    ) -> bool {
        let late = |job: &&Job| now.duration_since(job.since) >= patience;
        let count = self.queue.iter().take_while(late).count();
        self.refuse(count, why, told);
        count > 0
    }

    /// The future of this number may be ready; false if it is not one of these.
    pub(super) fn woken(
        &mut self,
        number: u64,
        port: &Port,
        mailbox: &Arc<Mailbox>,
        told: &mut Told,
    ) -> bool {
        let Some(batch) = self.under_way.get_mut(&number) else { return false };
        let waker = mailbox.waker(number);
        let Poll::Ready(outcome) = batch.poll(port, &mut Context::from_waker(&waker)) else {
            return true;
        };
        let Some(batch) = self.under_way.remove(&number) else { return true };
        let (token, failure) = match outcome {
            Ok(token) => (Some(token), None),
            Err(reply) => (None, Some(reply)),
        };
        told.extend(batch.members.into_iter().map(|member| {
            let reply = failure.clone().unwrap_or(member.reply);
            (member.client, member.place, News::Settled(reply, token))
        }));
        true
    }
}

impl Batch {
    /// What became of it: its token, or what its clients are told instead.
    fn poll(&mut self, port: &Port, context: &mut Context<'_>) -> Poll<Result<CommitToken, Reply>> {
        loop {
            match &mut self.stage {
                Stage::Committing(commit) => match Pin::new(commit).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(failure::unresolved(&error)));
                    }
                    Poll::Ready(Ok(token)) if self.changes => return Poll::Ready(Ok(token)),
                    Poll::Ready(Ok(token)) => {
                        let read = port.env.read(Consistency::Linearizable);
                        self.stage = Stage::Confirming(read, token);
                    }
                },
                Stage::Confirming(read, token) => match Pin::new(read).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(failure::refused(&error))),
                    Poll::Ready(Ok(view)) => {
                        return Poll::Ready(failure::same_term(&view, *token).map(|()| *token));
                    }
                },
            }
        }
    }
}

/// Why a transaction was not built; nothing was logged.
#[derive(Debug)]
pub(super) enum Unbuilt {
    /// The command behind those that were carried out is to blame, or was the first to notice.
    Write(Refusal),
    Transaction(Error),
}

impl Unbuilt {
    fn reply(&self) -> Reply {
        match self {
            Unbuilt::Write(refusal) => refusal.reply(),
            Unbuilt::Transaction(error) => failure::refused(error),
        }
    }
}

impl Port {
    /// How long it is worth trying again, if it is.
    fn patience(&self, why: &Unbuilt) -> Option<Duration> {
        let Unbuilt::Transaction(error) = why else { return None };
        match error {
            Error::TurnTaken { .. } | Error::NoMaster { .. } | Error::Paced { .. } => {
                Some(self.config.begin_timeout)
            }
            Error::InsufficientReplicas { .. } | Error::HandingOver { .. } => {
                Some(self.config.replicas_wait)
            }
            Error::Busy { .. } => Some(self.config.busy_wait),
            _ => None,
        }
    }
}
