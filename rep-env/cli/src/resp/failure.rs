//! What an error means to a client.
//!
//! Every error reply but one means that the command has no effect, now or later. So errors are told apart by *when*
//! they came: what is said before a write is handed to the log is definite, whatever it is. After that only two facts
//! are: the node refused the entry because its term was over, or another history took the entry's place. Anything else
//! leaves the outcome unknown, and so does every error that this file does not know.

use super::ATTRIBUTE;
use super::reply::Reply;
use rep_env::{CommitToken, Error, Member, View};

/// A write that was never logged.
pub(crate) fn refused(error: &Error) -> Reply {
    match error {
        Error::NotMaster { master: Some(master) }
        | Error::HoldsNoData { master: Some(master), .. } => readonly(master),
        error => without_effect(error),
    }
}

/// A write that was handed to the log and got this answer.
pub(crate) fn unresolved(error: &Error) -> Reply {
    match error {
        Error::NotMaster { .. } | Error::HoldsNoData { .. } | Error::DiskFull => refused(error),
        Error::RolledBack { .. } => {
            Reply::Error(format!("TRYAGAIN {error}; another master's history took its place"))
        }
        error => Reply::Error(format!("UNKNOWNOUTCOME {error}")),
    }
}

/// A read that could not be served.
pub(crate) fn unread(error: &Error) -> Reply {
    match error {
        Error::NotMaster { master: Some(master) }
        | Error::HoldsNoData { master: Some(master), .. } => {
            Reply::Error(format!("NOTMASTER {} {}", master.name, port_of(master)))
        }
        error => without_effect(error),
    }
}

fn readonly(master: &Member) -> Reply {
    Reply::Error(format!(
        "READONLY this node is a replica; the master is {} {}",
        master.name,
        port_of(master)
    ))
}

fn without_effect(error: &Error) -> Reply {
    Reply::Error(match error {
        Error::NotMaster { .. }
        | Error::HoldsNoData { .. }
        | Error::NoMaster { .. }
        | Error::DiskFull => {
            format!("MASTERDOWN no master is known here; nothing happened ({error})")
        }
        Error::InsufficientReplicas { .. } => format!("NOREPLICAS {error}"),
        Error::TxnExpired { .. }
        | Error::BeginTimeout { .. }
        | Error::TurnTaken { .. }
        | Error::Busy { .. }
        | Error::Paced { .. }
        | Error::HandingOver { .. }
        | Error::RolledBack { .. }
        | Error::ReadTimeout { .. }
        | Error::TooManyReads { .. } => format!("TRYAGAIN {error}"),
        error => format!("ERR {error}"),
    })
}

/// Whether this node was still master in the term of `token` when `view`, which is linearizable, was asked for: what was read in
/// that term was true then.
pub(crate) fn same_term(view: &View, token: CommitToken) -> Result<(), Reply> {
    if view.applied().term == token.point().term {
        return Ok(());
    }
    Err(refused(&Error::NotMaster { master: None }))
}

/// A command of several transactions, some of which are done, was stopped by this.
pub(crate) fn half_done(reply: &Reply) -> Reply {
    match reply {
        Reply::Error(text) => {
            Reply::Error(format!("UNKNOWNOUTCOME only a part of it was done before this: {text}"))
        }
        reply => reply.clone(),
    }
}

/// A command whose reply would not fit into what all clients together may make the port keep.
pub(crate) fn no_memory() -> Reply {
    Reply::error("TRYAGAIN the memory of this port is full; nothing happened")
}

/// A command that takes long, while too many such commands wait already.
pub(crate) fn no_time() -> Reply {
    Reply::error("TRYAGAIN too many slow commands are waiting; nothing happened")
}

/// Where the Redis port of a member is, or `?` if it has not announced one to this node.
pub(crate) fn port_of(member: &Member) -> &str {
    member.attributes.get(ATTRIBUTE).map_or("?", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rep_env::{CommitToken, GroupId, LogPoint};

    fn word(reply: &Reply) -> &str {
        match reply {
            Reply::Error(text) => text.split(' ').next().unwrap(),
            other => panic!("{other:?} is no error"),
        }
    }

    fn token() -> CommitToken {
        CommitToken::new(GroupId::default(), LogPoint::default())
    }

    #[test]
    fn after_a_write_is_handed_over_only_definite_failures_have_other_words() {
        let unknown = [
            Error::InsufficientAcks {
                token: token(),
                why: rep_env::Unacknowledged::Late,
                needed: 2,
                acked_by: Vec::new(),
                missing: Vec::new(),
            },
            Error::Closed,
            Error::Halted { reason: "disk".into() },
            Error::Store { detail: "x".into() },
        ];
        for error in unknown {
            assert_eq!(word(&unresolved(&error)), "UNKNOWNOUTCOME", "{error}");
        }
        assert_eq!(word(&unresolved(&Error::RolledBack { token: token() })), "TRYAGAIN");
        assert_eq!(word(&unresolved(&Error::NotMaster { master: None })), "MASTERDOWN");
        assert_eq!(word(&unresolved(&Error::DiskFull)), "MASTERDOWN");
    }

    #[test]
    fn what_was_never_logged_is_never_called_unknown() {
        let refusals = [
            (Error::NotMaster { master: None }, "MASTERDOWN"),
            (Error::DiskFull, "MASTERDOWN"),
            (
                Error::InsufficientReplicas {
                    policy: rep_env::Acks::SimpleMajority,
                    needed: 2,
                    live: 1,
                    missing: Vec::new(),
                },
                "NOREPLICAS",
            ),
            (Error::Busy { what: "x", bytes: 1, bytes_max: 1 }, "TRYAGAIN"),
            (Error::Paced { within: std::time::Duration::ZERO }, "TRYAGAIN"),
            (Error::TooManyReads { waiting: 1 }, "TRYAGAIN"),
            (Error::Closed, "ERR"),
            (Error::TxnTooLarge { bytes: 9, bytes_max: 8 }, "ERR"),
        ];
        for (error, expected) in refusals {
            assert_eq!(word(&refused(&error)), expected, "{error}");
        }
    }
}
