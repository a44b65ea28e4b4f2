//! What can be wrong with a recorded history, and whose doing it is.

use crate::value::Value;
use thiserror::Error;

/// A history that cannot be judged: nothing is said about the system that it is of.
#[derive(Debug, Error)]
#[error("line {line}: {problem}")]
pub struct HistoryError {
    /// Where, counted from 1. Of a problem of the whole, the last line that was looked at.
    pub line: u64,
    /// What.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The environment's doing: the input cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The recorder's doing: not an object of JSON, or a field of a wrong kind, or twice.
    #[error(
        "not an event as JSON: {0}; whoever recorded the history has to write one object a line"
    )]
    NotAnEvent(String),
    /// The recorder's doing: a field is not there.
    #[error("the field {field:?} is missing; whoever recorded the history has to write it")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// The recorder's doing: a field says something that this format does not have.
    #[error(
        "{field:?} is {given:?}, and may be {allowed}; whoever recorded the history has to translate it"
    )]
    Foreign {
        /// The field.
        field: &'static str,
        /// What it says.
        given: String,
        /// What it could say.
        allowed: &'static str,
    },
    /// The recorder's doing: a value of a kind whose equality is in doubt, or of the wrong shape.
    #[error(
        "the value of {op} is {given}, and has to be {wanted}; whoever recorded the history has to translate it"
    )]
    WrongValue {
        /// What was asked.
        op: &'static str,
        /// The kind of value that is there.
        given: String,
        /// What has to be there.
        wanted: &'static str,
    },
    /// The recorder's doing: an operation is completed that was not begun, or was completed before.
    #[error(
        "process {process} completes {op}, and has no operation open; whoever recorded the history has lost an invocation \
         or written a completion twice"
    )]
    NotOpen {
        /// Who.
        process: Value,
        /// What is completed.
        op: &'static str,
    },
    /// The recorder's doing: what is completed is not what was begun.
    #[error(
        "process {process} completes {completed}, and what it has open is {open}; whoever recorded the history has mixed up \
         operations"
    )]
    Disagrees {
        /// Who.
        process: Value,
        /// What is completed.
        completed: String,
        /// The newest operation that it has open.
        open: String,
    },
    /// The caller's doing: the model knows no such operation.
    #[error("{op} means nothing to the model {model:?}: choose one that has it")]
    NotInModel {
        /// The operation.
        op: &'static str,
        /// The model.
        model: &'static str,
    },
    /// A bound of this checker: what it is given is foreign, and its memory is not endless.
    #[error("{what}: no more than {max} are read; check a part of the history")]
    TooMuch {
        /// Of what there is too much.
        what: &'static str,
        /// How much there may be.
        max: u64,
    },
}
