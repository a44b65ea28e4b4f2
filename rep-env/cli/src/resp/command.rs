//! The commands: one table that says what there is, and how its arguments are read.
//!
//! What is not understood is refused, options too: a client that asks for an expiry and is told OK would believe that
//! the key goes away.

use super::reads::Read;
use super::reply::{Reply, Version};
use super::request::Request;
use super::writes::Write;
use bytes::Bytes;
use std::time::Duration;

mod arguments;

use arguments::{
    append, auth, client, config, dbsize, decr, decrby, del, discard, echo, exec, exists, flushdb,
    get, getset, hello, incr, incrby, info, keys, mget, mset, multi, ping, quit, readonly,
    readwrite, role, scan, select, set, setnx, strlen, unwatch, wait, watch,
};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Read(Read),
    Write(Write),
    /// Removes every key.
    FlushDb,
    /// The answer is known without looking at anything.
    Answer(Reply),
    Hello {
        version: Option<Version>,
        name: Option<Bytes>,
        /// User and password.
        auth: Option<(Bytes, Bytes)>,
    },
    Auth {
        user: Bytes,
        password: Bytes,
    },
    Quit,
    /// Reads of this connection take what is applied here, or no longer do.
    ReadOnly(bool),
    Multi,
    Exec,
    Discard,
    Watch(Vec<Bytes>),
    Unwatch,
    /// Until so many replicas have synced what this connection wrote; a timeout of zero is none.
    Wait {
        replicas: i64,
        timeout: Duration,
    },
    Info(Vec<Bytes>),
    Role,
    ClientId,
    ClientName,
    SetClientName(Bytes),
}

impl Command {
    /// Whether who has not said the password may ask for it.
    pub(super) fn is_for_strangers(&self) -> bool {
        matches!(self, Command::Auth { .. } | Command::Hello { .. } | Command::Quit)
    }

    /// Whether it is carried out at once even after `MULTI`.
    pub(super) fn ends_multi(&self) -> bool {
        matches!(self, Command::Exec | Command::Discard | Command::Quit)
    }

    /// Whether all writes before it have to be decided before it runs.
    pub(super) fn waits_for_writes(&self) -> bool {
        match self {
            Command::Read(_)
            | Command::FlushDb
            | Command::Hello { .. }
            | Command::Watch(_)
            | Command::Wait { .. }
            | Command::Info(_)
            | Command::Role => true,
            Command::Write(_)
            | Command::Answer(_)
            | Command::Auth { .. }
            | Command::Quit
            | Command::ReadOnly(_)
            | Command::Multi
            | Command::Exec
            | Command::Discard
            | Command::Unwatch
            | Command::ClientId
            | Command::ClientName
            | Command::SetClientName(_) => false,
        }
    }
}

/// Arguments, without the command's name.
type Args = std::vec::IntoIter<Bytes>;
/// What was asked for, or the text of an error.
type Parsed = Result<Command, String>;

struct Spec {
    name: &'static str,
    /// As Redis counts: with the name, and negative for "at least".
    arity: i64,
    flags: &'static [&'static str],
    /// First key, last key, step.
    keys: (i64, i64, i64),
    summary: &'static str,
    parse: fn(Args) -> Parsed,
}

const WRITE: &[&str] = &["write", "denyoom"];
const READ: &[&str] = &["readonly"];
const FAST: &[&str] = &["fast"];
const NONE: (i64, i64, i64) = (0, 0, 0);
const ONE: (i64, i64, i64) = (1, 1, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);

/// The most frequent ones first.
#[rustfmt::skip]
const TABLE: &[Spec] = &[
    Spec { name: "get", arity: 2, flags: READ, keys: ONE, summary: "The value of a key.", parse: get },
    Spec { name: "set", arity: -3, flags: WRITE, keys: ONE, summary: "Sets a key; NX, XX, GET.", parse: set },
    Spec { name: "incr", arity: 2, flags: WRITE, keys: ONE, summary: "Adds 1 to a number.", parse: incr },
    Spec { name: "del", arity: -2, flags: WRITE, keys: ALL, summary: "Removes keys.", parse: del },
    Spec { name: "mget", arity: -2, flags: READ, keys: ALL, summary: "The values of keys.", parse: mget },
    Spec { name: "mset", arity: -3, flags: WRITE, keys: (1, -1, 2), summary: "Sets keys, all or none.", parse: mset },
    Spec { name: "exists", arity: -2, flags: READ, keys: ALL, summary: "How many of these keys there are.", parse: exists },
    Spec { name: "setnx", arity: 3, flags: WRITE, keys: ONE, summary: "Sets a key that is not there.", parse: setnx },
    Spec { name: "getset", arity: 3, flags: WRITE, keys: ONE, summary: "Sets a key; its old value.", parse: getset },
    Spec { name: "append", arity: 3, flags: WRITE, keys: ONE, summary: "Lengthens a value.", parse: append },
    Spec { name: "strlen", arity: 2, flags: READ, keys: ONE, summary: "The length of a value.", parse: strlen },
    Spec { name: "decr", arity: 2, flags: WRITE, keys: ONE, summary: "Subtracts 1 from a number.", parse: decr },
    Spec { name: "incrby", arity: 3, flags: WRITE, keys: ONE, summary: "Adds to a number.", parse: incrby },
    Spec { name: "decrby", arity: 3, flags: WRITE, keys: ONE, summary: "Subtracts from a number.", parse: decrby },
    Spec { name: "scan", arity: -2, flags: READ, keys: NONE, summary: "Iterates over keys; MATCH, COUNT.", parse: scan },
    Spec { name: "keys", arity: 2, flags: READ, keys: NONE, summary: "All keys that match a pattern.", parse: keys },
    Spec { name: "flushdb", arity: -1, flags: WRITE, keys: NONE, summary: "Removes every key, in steps.", parse: flushdb },
    Spec { name: "dbsize", arity: 1, flags: READ, keys: NONE, summary: "How many keys there are.", parse: dbsize },
    Spec { name: "multi", arity: 1, flags: FAST, keys: NONE, summary: "Begins a transaction.", parse: multi },
    Spec { name: "exec", arity: 1, flags: FAST, keys: NONE, summary: "Carries out a transaction.", parse: exec },
    Spec { name: "discard", arity: 1, flags: FAST, keys: NONE, summary: "Forgets a transaction.", parse: discard },
    Spec { name: "watch", arity: -2, flags: FAST, keys: ALL, summary: "EXEC fails if these keys change.", parse: watch },
    Spec { name: "unwatch", arity: 1, flags: FAST, keys: NONE, summary: "Watches no key any more.", parse: unwatch },
    Spec { name: "wait", arity: 3, flags: FAST, keys: NONE, summary: "Waits for replicas to hold what was written.", parse: wait },
    Spec { name: "auth", arity: -2, flags: FAST, keys: NONE, summary: "Says the password.", parse: auth },
    Spec { name: "ping", arity: -1, flags: FAST, keys: NONE, summary: "PONG, or the argument.", parse: ping },
    Spec { name: "echo", arity: 2, flags: FAST, keys: NONE, summary: "The argument.", parse: echo },
    Spec { name: "hello", arity: -1, flags: FAST, keys: NONE, summary: "Chooses version 2 or 3 of the protocol.", parse: hello },
    Spec { name: "select", arity: 2, flags: FAST, keys: NONE, summary: "There is database 0.", parse: select },
    Spec { name: "readonly", arity: 1, flags: FAST, keys: NONE, summary: "Reads take what is applied at this node.", parse: readonly },
    Spec { name: "readwrite", arity: 1, flags: FAST, keys: NONE, summary: "Reads are linearizable again.", parse: readwrite },
    Spec { name: "info", arity: -1, flags: FAST, keys: NONE, summary: "This node, as text.", parse: info },
    Spec { name: "role", arity: 1, flags: FAST, keys: NONE, summary: "Master or replica.", parse: role },
    Spec { name: "command", arity: -1, flags: FAST, keys: NONE, summary: "This table; COUNT, LIST, INFO, DOCS.", parse: command },
    Spec { name: "client", arity: -2, flags: FAST, keys: NONE, summary: "ID, GETNAME, SETNAME, SETINFO.", parse: client },
    Spec { name: "config", arity: -2, flags: FAST, keys: NONE, summary: "GET save, GET appendonly.", parse: config },
    Spec { name: "quit", arity: -1, flags: FAST, keys: NONE, summary: "Closes the connection.", parse: quit },
];

/// What `request`, which is not empty, asks for.
pub(crate) fn parse(request: Request) -> Parsed {
    let count = request.len();
    let mut args = request.into_iter();
    let name = args.next().unwrap_or_default();
    let Some(spec) = find(&name) else {
        return Err(format!("ERR unknown command '{}'", printable(&name)));
    };
    if !spec.takes(count) {
        return Err(format!("ERR wrong number of arguments for '{}' command", spec.name));
    }
    (spec.parse)(args)
}

/// A whole number as Redis writes it: no sign but `-`, no leading zero, no space.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-").unwrap_or(text) {
        [b'1'..=b'9', ..] => {}
        _ if text == b"0" => {}
        _ => return None,
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn find(name: &[u8]) -> Option<&'static Spec> {
    TABLE.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
}

impl Spec {
    fn takes(&self, count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }

    /// As `COMMAND INFO` shows it.
    fn shown(&self) -> Reply {
        let (first, last, step) = self.keys;
        Reply::Array(vec![
            Reply::text(self.name),
            Reply::Integer(self.arity),
            Reply::Array(self.flags.iter().copied().map(Reply::Status).collect()),
            Reply::Integer(first),
            Reply::Integer(last),
            Reply::Integer(step),
        ])
    }
}

// ---- the table itself ----

fn command(mut args: Args) -> Parsed {
    let Some(what) = args.next() else {
        return Ok(Command::Answer(Reply::Array(TABLE.iter().map(Spec::shown).collect())));
    };
    let reply = match &*what.to_ascii_uppercase() {
        b"COUNT" if args.len() == 0 => Reply::Integer(TABLE.len() as i64),
        b"LIST" if args.len() == 0 => {
            Reply::Array(TABLE.iter().map(|spec| Reply::text(spec.name)).collect())
        }
        b"INFO" if args.len() == 0 => Reply::Array(TABLE.iter().map(Spec::shown).collect()),
        b"INFO" => {
            let shown = args.map(|name| find(&name).map_or(Reply::Null, Spec::shown));
            Reply::Array(shown.collect())
        }
        b"DOCS" => {
            let asked: Vec<Bytes> = args.collect();
            let wanted = |spec: &&Spec| {
                asked.is_empty()
                    || asked.iter().any(|name| name.eq_ignore_ascii_case(spec.name.as_bytes()))
            };
            let docs = TABLE.iter().filter(wanted).map(|spec| {
                let summary = (Reply::text("summary"), Reply::text(spec.summary));
                (Reply::text(spec.name), Reply::Map(vec![summary]))
            });
            Reply::Map(docs.collect())
        }
        _ => return Err(unsupported("command", &what)),
    };
    Ok(Command::Answer(reply))
}

fn unsupported(command: &str, option: &[u8]) -> String {
    format!("ERR '{}' of '{command}' is not supported here", printable(option))
}

/// The beginning of what a client sent, fit for a line of text.
fn printable(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(64)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::reads::Scan;
    use crate::resp::writes::{Answer, When};

    fn parsed(line: &str) -> Parsed {
        parse(line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect())
    }

    fn refusal(line: &str) -> String {
        parsed(line).expect_err(line)
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn names_and_options_are_read_in_any_case() {
        let expected = Write::Set {
            key: bytes("k"),
            value: bytes("v"),
            when: When::Absent,
            answer: Answer::Old,
        };
        assert_eq!(parsed("sEt k v nx gEt"), Ok(Command::Write(expected)));
        assert_eq!(parsed("get k"), Ok(Command::Read(Read::Get(bytes("k")))));
        let expected = Scan { cursor: 7, pattern: Some(bytes("a*")), count: 3 };
        assert_eq!(parsed("SCAN 7 match a* COUNT 3"), Ok(Command::Read(Read::Scan(expected))));
        let expected = Write::Add { key: bytes("k"), delta: -5 };
        assert_eq!(parsed("decrby k 5"), Ok(Command::Write(expected)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "set k v ex 10",
            "set k v px 10",
            "set k v keepttl",
            "set k v nx xx",
            "scan 0 type string",
            "scan 0 count 0",
            "scan x",
            "hello 3 auth a",
            "auth a b c",
            "wait 1 -1",
            "wait x 1",
            "flushdb now",
            "getset k",
            "config set save x",
            "config get maxmemory",
            "client kill x",
            "command getkeys get k",
            "flushall",
            "select 1",
            "mset a b c",
            "get",
            "get a b",
            "incrby k 1.5",
            "decrby k -9223372036854775808",
            "ping a b",
            "expire k 1",
            "multi 1",
            "exec now",
            "watch",
        ] {
            let refusal = refusal(line);
            assert!(refusal.starts_with("ERR "), "{line}: {refusal}");
        }
        assert!(refusal("hello 4").starts_with("NOPROTO"));
    }

    #[test]
    fn numbers_are_written_in_one_way() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"-9223372036854775808"), Some(i64::MIN));
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "9223372036854775808", "x"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_table_lists_each_command_once_in_small_letters() {
        for (at, spec) in TABLE.iter().enumerate() {
            assert_eq!(spec.name, spec.name.to_ascii_lowercase());
            assert!(TABLE[at + 1..].iter().all(|other| other.name != spec.name));
            assert!(spec.arity != 0);
        }
    }
}
