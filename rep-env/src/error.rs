//! What can go wrong, whose doing it is, and what to do next.
//!
//! A caller of a replicated store has four ways on, and must never have to guess which: try again here, go to the
//! master, give up, or find out whether the write happened. So each error has a [`Verdict`].

use crate::commit::CommitToken;
use crate::member::Member;
use rep_node::{Acks, MemberType, NotChanged};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that this crate may answer instead of doing what was asked.
///
/// `Clone`, because several handles may wait for one outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This node is not the master (any more). Nothing was logged. Go to `master`, or wait if there is none.
    #[error("not the master; {}", master_words(.master))]
    NotMaster {
        /// Who is, as far as this node knows.
        master: Option<Member>,
    },
    /// This node is a member that holds no data: it can neither be read nor written to. Nothing was logged. Go to `master`, or to another member
    /// that holds the data.
    #[error("this node is of type {kind} and holds no data; {}", master_words(.master))]
    HoldsNoData {
        /// What it is: an arbiter, or a monitor.
        kind: MemberType,
        /// Who is master, as far as this node knows.
        master: Option<Member>,
    },
    /// The environment: this node's disk is full, so it gave up its mastership, and it knows no other master. Nothing was logged. It goes on by itself
    /// once there is space.
    #[error(
        "this node's disk is full, so it takes no writes, and no other master is known; nothing was logged: make space there, or try again in a moment"
    )]
    DiskFull,
    /// The environment: fewer members are live than the durability asks for. Nothing was logged.
    #[error("{live} live members, {needed} are needed for {policy}; nothing was logged. {}", missing_words(.missing))]
    InsufficientReplicas {
        /// How many acknowledgements were asked for.
        policy: Acks,
        /// Live members that it needs, this node included.
        needed: usize,
        /// Live members, this node included.
        live: usize,
        /// The members that are not live.
        missing: Vec<String>,
    },
    /// The environment: it is logged here, and not enough members said in time that they hold it as it asked. It may
    /// still become durable, or be lost: the outcome is unknown.
    #[error("entry {} is logged, but {}; the outcome is unknown: a read at least at its token tells", .token.point(), acks_words(*.why, *.needed, .acked_by, .missing))]
    InsufficientAcks {
        /// The entry.
        token: CommitToken,
        /// Why no more of them were waited for.
        why: Unacknowledged,
        /// Acknowledgements that it needs, the master's own included; 0 if this node cannot tell, nor who did.
        needed: usize,
        /// Who acknowledged it, this node included if its own copy is as was asked. After a mastership: as far as was known when that ended.
        acked_by: Vec<String>,
        /// Who did not.
        missing: Vec<String>,
    },
    /// Another master's history took the entry's place: it has no effect, now or later.
    #[error("entry {} was rolled back, another master's is in its place: it has no effect, and may be written again", .token.point())]
    RolledBack {
        /// The entry that is gone.
        token: CommitToken,
    },
    /// The caller: the write set is larger than an entry may be. Nothing was logged.
    #[error("a transaction of {bytes} bytes; an entry takes {bytes_max}: write less in each")]
    TxnTooLarge {
        /// Its encoded length.
        bytes: usize,
        /// The longest that is taken.
        bytes_max: usize,
    },
    /// The caller: a database name or key that is empty or too long. Nothing was changed.
    #[error("refused, and nothing was changed: {what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// The caller: the transaction was open for longer than `txn_timeout` and lost its turn. It has no effect.
    #[error(
        "the transaction was open for longer than {timeout:?} and has lost its turn; it has no effect: begin again, and commit sooner"
    )]
    TxnExpired {
        /// The `txn_timeout`.
        timeout: Duration,
    },
    /// Another transaction held the turn for all of `begin_timeout`.
    #[error("waited {waited:?} for the turn, which {holder} holds for {age:?}; try again")]
    BeginTimeout {
        /// How long this call waited.
        waited: Duration,
        /// The thread that holds the turn.
        holder: String,
        /// For how long it does.
        age: Duration,
    },
    /// `try_begin`: another transaction has the turn.
    #[error("the turn is taken by {holder} for {age:?}; try again")]
    TurnTaken {
        /// The thread that holds the turn.
        holder: String,
        /// For how long it does.
        age: Duration,
    },
    /// A budget is full, and stayed so for as long as the call may wait. Nothing was logged.
    #[error(
        "{what} is full: {bytes} of {bytes_max} bytes; nothing was logged: try again in a moment"
    )]
    Busy {
        /// Which budget.
        what: &'static str,
        /// Bytes in it.
        bytes: u64,
        /// Bytes that it takes.
        bytes_max: u64,
    },
    /// Writers are slowed down for a member that was given a copy and lags, and the call does not wait. Nothing was logged.
    #[error(
        "writers are slowed down until a member that was given a copy has caught up; nothing was logged: try again within {within:?}, or wait"
    )]
    Paced {
        /// By then one is let in.
        within: Duration,
    },
    /// The read's condition did not come true in time.
    #[error("the read could not be served as asked within {timeout:?}; try again, or ask for less")]
    ReadTimeout {
        /// The `read_timeout`.
        timeout: Duration,
    },
    /// The read would have had to wait, and as many wait already as may.
    #[error(
        "{waiting} reads wait at this node already; this one was not taken: try again in a moment"
    )]
    TooManyReads {
        /// How many wait.
        waiting: usize,
    },
    /// The caller: the token is of another group than this one, perhaps of the same name.
    #[error("the token is of another group; ask there")]
    OtherGroup,
    /// No master was seen in time.
    #[error("no master within {waited:?}, try again: {why}")]
    NoMaster {
        /// How long this call waited.
        waited: Duration,
        /// Why there is none, as far as this node knows.
        why: String,
    },
    /// The mastership is being handed over, or the group shut down, and that took longer than this commit might wait. Nothing was logged.
    #[error(
        "the mastership is being handed over and no commits are let in, for {waited:?} so far; nothing was logged: try again in a moment"
    )]
    HandingOver {
        /// How long this call waited.
        waited: Duration,
    },
    /// The mastership was not handed over as was asked.
    #[error("not handed over: {why}; {}", if *.still_master { "try again here" } else { "ask the master" })]
    NotTransferred {
        /// Why.
        why: String,
        /// Whether this node is the master still, or again.
        still_master: bool,
        /// Who is master instead, if another is.
        master: Option<Member>,
    },
    /// The members are what they were, unless it says otherwise.
    #[error("the membership is not changed: {why}")]
    NotChanged {
        /// Why.
        why: NotChanged,
    },
    /// The node that was to be a member is none.
    #[error("the node at {address} was not added: {why}; see to that, and add it again")]
    NotAdded {
        /// Where it was asked.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The environment: it is a learner, and had not caught up in time. It goes on.
    #[error(
        "{name} is a learner still, after {waited:?}, {}; it goes on by itself: wait longer, or remove it to give up", lag_words(*.lag)
    )]
    StillLearning {
        /// Who.
        name: String,
        /// How long this call waited.
        waited: Duration,
        /// Entries that it is not known to have, if that is known.
        lag: Option<u64>,
    },
    /// The caller: this version does not do that (yet). Nothing happened.
    #[error("this version does not do that: {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// The node stopped itself, because its disk or its beliefs can no longer be relied on. Reopen the environment.
    #[error(
        "the node has halted: {reason}; see to that, then close the environment and open it again"
    )]
    Halted {
        /// Why.
        reason: String,
    },
    /// The environment is closed. Whatever had been logged before stays what it was.
    #[error("the environment is closed; open it again")]
    Closed,
    /// Some threads did not end within `close_timeout`; they keep the directory's lock until they do.
    #[error("still running after {waited:?}, and the home stays locked: {}; close again to go on waiting", .threads.join(", "))]
    CloseTimeout {
        /// How long close waited.
        waited: Duration,
        /// The threads that it waited for.
        threads: Vec<String>,
    },
    /// The caller: `close` was called from one of the environment's own threads, which it would wait for.
    #[error(
        "close was called from a thread of this environment, which it would have to wait for; call it from another"
    )]
    WouldDeadlock,
    /// The caller: the configuration cannot work.
    #[error("option `{option}`: {problem}")]
    Config {
        /// Which option.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The caller: plain TCP would be spoken on an address that others can reach.
    #[error(
        "{address} is not a loopback address and the transport is not encrypted; allow_plaintext() permits that"
    )]
    Plaintext {
        /// The address.
        address: String,
    },
    /// The environment: the address cannot be listened on.
    #[error("cannot listen on {address}: {detail}; free it, or choose another")]
    Listen {
        /// The address.
        address: String,
        /// The system's words.
        detail: String,
    },
    /// The environment: the home directory cannot be used as it should.
    #[error("the home cannot be used, {path}: {detail}; see to that, or choose another", path = .path.display())]
    Home {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// The caller: another environment, perhaps of another process, has this home open.
    #[error("home {path} is in use by another environment; close that first", path = .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The caller: the home belongs to another node or group. It is left as it is.
    #[error("home {path} belongs to {what} {found:?}, not to {expected:?}, and was left as it is; choose another", path = .path.display())]
    AnotherIdentity {
        /// The directory.
        path: PathBuf,
        /// `node` or `group`.
        what: &'static str,
        /// Who it should belong to.
        expected: String,
        /// Who it belongs to.
        found: String,
    },
    /// The environment: stored bytes are not what was written. A node that forgot what it promised or held must not
    /// vote, so it does not open: repair it, or start it as a new member.
    #[error(
        "{what} is damaged, so this node must neither vote nor acknowledge: {detail}; repair it, or start as a new member"
    )]
    Damaged {
        /// What is damaged: `promise`, `identity`, `log`, ...
        what: &'static str,
        /// How it shows.
        detail: String,
    },
    /// The environment: the store holds entries that the log does not, so the directory was put together by hand, or an older image of a part of it
    /// was put back. What it holds is not the group's for certain; a member with an empty directory gets it all from the others.
    #[error(
        "the store has applied {applied}, the log ends at {log_last}, so they are of different moments: move this directory away, and start with an empty one"
    )]
    StoreAheadOfLog {
        /// The store's last entry, `term.vlsn`.
        applied: String,
        /// The log's last entry, `term.vlsn`.
        log_last: String,
    },
    /// The state machine or the database under it failed.
    #[error("the store failed: {detail}; see to its disk, then open the environment again")]
    Store {
        /// Its words.
        detail: String,
    },
    /// The node refuses to open with what it was given.
    #[error("cannot open: {detail}; see to that, and open it again")]
    Open {
        /// Why.
        detail: String,
    },
    /// A question over one of the services ADMIN and JOIN got no usable answer.
    #[error("asked at {address}, {}: {detail}", if *.unreachable { "where nobody answers; ask another member" } else { "and no usable answer came; see what it says" })]
    Admin {
        /// Who was asked.
        address: String,
        /// What came instead.
        detail: String,
        /// Nobody could be reached there at all.
        unreachable: bool,
    },
    /// Whoever was asked over the ADMIN service does not do that, and says why.
    #[error("asked at {address}: {why}")]
    Refused {
        /// Who was asked.
        address: String,
        /// Its words.
        why: String,
    },
    /// A question over the ADMIN service was asked with a certificate that is no administrator's.
    #[error("asked at {address}, with a certificate that is no administrator's: {detail}")]
    NotAdministrator {
        /// Who was asked.
        address: String,
        /// Its words.
        detail: String,
    },
}

fn master_words(master: &Option<Member>) -> String {
    match master {
        Some(master) => format!("the master is {master}"),
        None => "no master is known, try again in a moment".to_owned(),
    }
}

fn missing_words(missing: &[String]) -> String {
    match missing {
        [] => "Try again in a moment.".to_owned(),
        _ => format!(
            "Not in reach or not in sync: {}. Bring them back, or ask for fewer acknowledgements.",
            missing.join(", ")
        ),
    }
}

fn lag_words(lag: Option<u64>) -> String {
    lag.map_or("nobody knows how far".to_owned(), |lag| format!("{lag} entries behind"))
}

/// Why enough acknowledgements of an entry were not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unacknowledged {
    /// They did not come within `ack_timeout`.
    Late,
    /// This node's mastership ended, and within `ack_timeout` it did not learn what became of the entry.
    Deposed,
    /// This environment was closed, or has halted.
    Ended,
}

fn acks_words(
    why: Unacknowledged,
    needed: usize,
    acked_by: &[String],
    missing: &[String],
) -> String {
    let end = match why {
        Unacknowledged::Late => "in time",
        Unacknowledged::Deposed => "before this node's mastership ended",
        Unacknowledged::Ended => "before this environment was closed or halted",
    };
    if needed == 0 {
        return format!("too few members had acknowledged it {end}");
    }
    let not = if missing.is_empty() {
        String::new()
    } else {
        format!(", and not {}", missing.join(", "))
    };
    format!("{} of {needed} acknowledged it {end}{not}", acked_by.len())
}

/// What to do about an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It had no effect; the same call may succeed here.
    RetryHere {
        /// When it is worth trying.
        after: Duration,
    },
    /// It had no effect; this member can do it.
    Redirect(Member),
    /// It had no effect; the same call will not succeed.
    GiveUp,
    /// It may or may not have an effect, now or later. A read at the master tells, once it has a durable entry of a
    /// later term.
    OutcomeUnknown(CommitToken),
}

const SOON: Duration = Duration::from_millis(20);
const AFTER_ELECTION: Duration = Duration::from_millis(200);

impl Error {
    /// Which of retry here, redirect, give up, or outcome unknown applies.
    pub fn verdict(&self) -> Verdict {
        match self {
            Error::NotMaster { master: Some(master) }
            | Error::HoldsNoData { master: Some(master), .. }
            | Error::NotTransferred { master: Some(master), .. } => {
                Verdict::Redirect(master.clone())
            }
            Error::InsufficientAcks { token, .. } => Verdict::OutcomeUnknown(*token),
            Error::NotMaster { master: None }
            | Error::DiskFull
            | Error::HoldsNoData { master: None, .. }
            | Error::InsufficientReplicas { .. }
            | Error::NoMaster { .. }
            | Error::NotTransferred { master: None, .. }
            | Error::StillLearning { .. } => Verdict::RetryHere { after: AFTER_ELECTION },
            Error::NotChanged { why } if passes(why) => {
                Verdict::RetryHere { after: AFTER_ELECTION }
            }
            Error::RolledBack { .. }
            | Error::TxnExpired { .. }
            | Error::BeginTimeout { .. }
            | Error::TurnTaken { .. }
            | Error::HandingOver { .. }
            | Error::Busy { .. }
            | Error::Paced { .. }
            | Error::ReadTimeout { .. }
            | Error::TooManyReads { .. }
            | Error::Locked { .. } => Verdict::RetryHere { after: SOON },
            Error::TxnTooLarge { .. }
            | Error::Invalid { .. }
            | Error::NotChanged { .. }
            | Error::NotAdded { .. }
            | Error::OtherGroup
            | Error::Unsupported { .. }
            | Error::Halted { .. }
            | Error::Closed
            | Error::CloseTimeout { .. }
            | Error::WouldDeadlock
            | Error::Config { .. }
            | Error::Plaintext { .. }
            | Error::Listen { .. }
            | Error::Home { .. }
            | Error::AnotherIdentity { .. }
            | Error::Damaged { .. }
            | Error::StoreAheadOfLog { .. }
            | Error::Store { .. }
            | Error::Open { .. }
            | Error::Admin { .. }
            | Error::Refused { .. }
            | Error::NotAdministrator { .. } => Verdict::GiveUp,
        }
    }

    /// Nobody in the group is called so.
    pub(crate) fn no_member(name: &str) -> Self {
        Error::Invalid { what: format!("{name:?} is no member; `rep members` lists them") }
    }

    pub(crate) fn config(option: &'static str, problem: impl Into<String>) -> Self {
        Error::Config { option, problem: problem.into() }
    }
}

/// Whether the same change may be made a moment later. Asked for twice, it is made once.
fn passes(why: &NotChanged) -> bool {
    matches!(
        why,
        NotChanged::Busy
            | NotChanged::Expired
            | NotChanged::Unknown
            | NotChanged::RolledBack
            | NotChanged::NotMaster { .. }
    )
}

#[cfg(test)]
mod tests;
