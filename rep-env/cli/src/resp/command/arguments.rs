//! How the arguments of each command are read. What is not understood is refused.

use super::super::reads::{Read, Scan};
use super::super::reply::{Reply, Version};
use super::super::writes::{Answer, When, Write};
use super::{Args, Command, Parsed, number, printable, unsupported};
use bytes::Bytes;
use std::time::Duration;

// ---- reads and writes ----

fn one(mut args: Args) -> Bytes {
    args.next().unwrap_or_default()
}

pub(super) fn get(args: Args) -> Parsed {
    Ok(Command::Read(Read::Get(one(args))))
}

pub(super) fn mget(args: Args) -> Parsed {
    Ok(Command::Read(Read::MGet(args.collect())))
}

pub(super) fn exists(args: Args) -> Parsed {
    Ok(Command::Read(Read::Exists(args.collect())))
}

pub(super) fn dbsize(_: Args) -> Parsed {
    Ok(Command::Read(Read::DbSize))
}

pub(super) fn scan(mut args: Args) -> Parsed {
    let cursor = args.next().and_then(|cursor| std::str::from_utf8(&cursor).ok()?.parse().ok());
    let mut scan = Scan { cursor: cursor.ok_or("ERR invalid cursor")?, pattern: None, count: 10 };
    while let Some(option) = args.next() {
        let value = args.next().ok_or("ERR syntax error")?;
        match &*option.to_ascii_uppercase() {
            b"MATCH" => scan.pattern = Some(value),
            b"COUNT" => match number(&value).ok_or(NOT_A_NUMBER)? {
                count @ 1.. => scan.count = count.unsigned_abs(),
                _ => return Err("ERR syntax error".to_owned()),
            },
            _ => return Err(unsupported("scan", &option)),
        }
    }
    Ok(Command::Read(Read::Scan(scan)))
}

pub(super) fn set(mut args: Args) -> Parsed {
    let (Some(key), Some(value)) = (args.next(), args.next()) else {
        return Err("ERR syntax error".to_owned());
    };
    let (mut when, mut get) = (When::Always, false);
    for option in args {
        match &*option.to_ascii_uppercase() {
            b"NX" if when != When::Present => when = When::Absent,
            b"XX" if when != When::Absent => when = When::Present,
            b"NX" | b"XX" => return Err("ERR syntax error".to_owned()),
            b"GET" => get = true,
            _ => return Err(unsupported("set", &option)),
        }
    }
    let answer = if get { Answer::Old } else { Answer::Done };
    Ok(Command::Write(Write::Set { key, value, when, answer }))
}

pub(super) fn setnx(args: Args) -> Parsed {
    Ok(set_as(args, When::Absent, Answer::Count))
}

pub(super) fn getset(args: Args) -> Parsed {
    Ok(set_as(args, When::Always, Answer::Old))
}

fn set_as(mut args: Args, when: When, answer: Answer) -> Command {
    let key = args.next().unwrap_or_default();
    Command::Write(Write::Set { key, value: one(args), when, answer })
}

pub(super) fn append(mut args: Args) -> Parsed {
    let key = args.next().unwrap_or_default();
    Ok(Command::Write(Write::Append { key, value: one(args) }))
}

pub(super) fn strlen(args: Args) -> Parsed {
    Ok(Command::Read(Read::StrLen(one(args))))
}

pub(super) fn keys(args: Args) -> Parsed {
    Ok(Command::Read(Read::Keys(one(args))))
}

pub(super) fn flushdb(mut args: Args) -> Parsed {
    match (args.next(), args.next()) {
        (None, _) => Ok(Command::FlushDb),
        // Nothing is answered before it is done, either way.
        (Some(how), None) if is_word(&how, "SYNC") || is_word(&how, "ASYNC") => {
            Ok(Command::FlushDb)
        }
        _ => Err("ERR syntax error".to_owned()),
    }
}

fn is_word(text: &[u8], word: &str) -> bool {
    text.eq_ignore_ascii_case(word.as_bytes())
}

pub(super) fn mset(args: Args) -> Parsed {
    if !args.len().is_multiple_of(2) {
        return Err("ERR wrong number of arguments for 'mset' command".to_owned());
    }
    Ok(Command::Write(Write::MSet(args.collect())))
}

pub(super) fn del(args: Args) -> Parsed {
    Ok(Command::Write(Write::Del(args.collect())))
}

pub(super) fn incr(args: Args) -> Parsed {
    Ok(Command::Write(Write::Add { key: one(args), delta: 1 }))
}

pub(super) fn decr(args: Args) -> Parsed {
    Ok(Command::Write(Write::Add { key: one(args), delta: -1 }))
}

pub(super) fn incrby(mut args: Args) -> Parsed {
    let key = args.next().unwrap_or_default();
    let delta = number(&one(args)).ok_or(NOT_A_NUMBER)?;
    Ok(Command::Write(Write::Add { key, delta }))
}

pub(super) fn decrby(mut args: Args) -> Parsed {
    let key = args.next().unwrap_or_default();
    let delta = number(&one(args)).ok_or(NOT_A_NUMBER)?;
    let delta = delta.checked_neg().ok_or("ERR decrement would overflow")?;
    Ok(Command::Write(Write::Add { key, delta }))
}

const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

// ---- transactions ----

pub(super) fn multi(_: Args) -> Parsed {
    Ok(Command::Multi)
}

pub(super) fn exec(_: Args) -> Parsed {
    Ok(Command::Exec)
}

pub(super) fn discard(_: Args) -> Parsed {
    Ok(Command::Discard)
}

pub(super) fn watch(args: Args) -> Parsed {
    Ok(Command::Watch(args.collect()))
}

pub(super) fn unwatch(_: Args) -> Parsed {
    Ok(Command::Unwatch)
}

pub(super) fn wait(mut args: Args) -> Parsed {
    let replicas = args.next().and_then(|replicas| number(&replicas)).ok_or(NOT_A_NUMBER)?;
    match number(&one(args)) {
        Some(timeout @ 0..) => {
            // As good as for ever, and no clock overflows.
            let timeout =
                Duration::from_millis(timeout.unsigned_abs()).min(Duration::from_secs(1 << 30));
            Ok(Command::Wait { replicas, timeout })
        }
        Some(_) => Err("ERR timeout is negative".to_owned()),
        None => Err("ERR timeout is not an integer or out of range".to_owned()),
    }
}

// ---- the connection ----

pub(super) fn auth(mut args: Args) -> Parsed {
    let first = args.next().unwrap_or_default();
    match (args.next(), args.next()) {
        (None, _) => Ok(Command::Auth { user: Bytes::from_static(b"default"), password: first }),
        (Some(password), None) => Ok(Command::Auth { user: first, password }),
        (Some(_), Some(_)) => Err("ERR syntax error".to_owned()),
    }
}

pub(super) fn ping(mut args: Args) -> Parsed {
    match (args.next(), args.next()) {
        (None, _) => Ok(Command::Answer(Reply::Status("PONG"))),
        (Some(text), None) => Ok(Command::Answer(Reply::Bulk(text))),
        (Some(_), Some(_)) => Err("ERR wrong number of arguments for 'ping' command".to_owned()),
    }
}

pub(super) fn echo(args: Args) -> Parsed {
    Ok(Command::Answer(Reply::Bulk(one(args))))
}

pub(super) fn quit(_: Args) -> Parsed {
    Ok(Command::Quit)
}

pub(super) fn select(args: Args) -> Parsed {
    match number(&one(args)) {
        Some(0) => Ok(Command::Answer(Reply::OK)),
        Some(_) => Err("ERR DB index is out of range".to_owned()),
        None => Err("ERR invalid DB index".to_owned()),
    }
}

pub(super) fn hello(mut args: Args) -> Parsed {
    let version = match args.next().as_deref() {
        None => None,
        Some(b"2") => Some(Version::Resp2),
        Some(b"3") => Some(Version::Resp3),
        Some(_) => return Err("NOPROTO unsupported protocol version".to_owned()),
    };
    let (mut name, mut auth) = (None, None);
    while let Some(option) = args.next() {
        match &*option.to_ascii_uppercase() {
            b"SETNAME" => name = Some(client_name(args.next().ok_or("ERR syntax error")?)?),
            b"AUTH" => match (args.next(), args.next()) {
                (Some(user), Some(password)) => auth = Some((user, password)),
                _ => return Err("ERR syntax error".to_owned()),
            },
            _ => return Err(unsupported("hello", &option)),
        }
    }
    Ok(Command::Hello { version, name, auth })
}

pub(super) fn readonly(_: Args) -> Parsed {
    Ok(Command::ReadOnly(true))
}

pub(super) fn readwrite(_: Args) -> Parsed {
    Ok(Command::ReadOnly(false))
}

pub(super) fn client(mut args: Args) -> Parsed {
    let what = args.next().unwrap_or_default();
    match (&*what.to_ascii_uppercase(), args.len()) {
        (b"ID", 0) => Ok(Command::ClientId),
        (b"GETNAME", 0) => Ok(Command::ClientName),
        (b"SETNAME", 1) => Ok(Command::SetClientName(client_name(one(args))?)),
        (b"SETINFO", 2) => set_info(args),
        _ => Err(unsupported("client", &what)),
    }
}

/// What a client says of its library concerns nobody but those who read the log.
fn set_info(mut args: Args) -> Parsed {
    let (what, value) = (args.next().unwrap_or_default(), one(args));
    match &*what.to_ascii_uppercase() {
        b"LIB-NAME" | b"LIB-VER" => {
            tracing::debug!(what = %printable(&what), value = %printable(&value), "a client");
            Ok(Command::Answer(Reply::OK))
        }
        _ => Err(unsupported("client setinfo", &what)),
    }
}

fn client_name(name: Bytes) -> Result<Bytes, String> {
    if name.len() > 255 || !name.iter().all(u8::is_ascii_graphic) {
        return Err("ERR client names are up to 255 printable characters without spaces".into());
    }
    Ok(name)
}

// ---- the node ----

pub(super) fn info(args: Args) -> Parsed {
    Ok(Command::Info(args.collect()))
}

pub(super) fn role(_: Args) -> Parsed {
    Ok(Command::Role)
}

/// The two settings that redis-benchmark asks for, with what is true of every write here.
pub(super) fn config(mut args: Args) -> Parsed {
    let what = args.next().unwrap_or_default();
    if !what.eq_ignore_ascii_case(b"GET") || args.len() == 0 {
        return Err(unsupported("config", &what));
    }
    let pairs: Result<Vec<_>, String> = args
        .map(|name| match &*name.to_ascii_lowercase() {
            b"save" => Ok((Reply::text("save"), Reply::text(""))),
            b"appendonly" => Ok((Reply::text("appendonly"), Reply::text("yes"))),
            _ => Err(unsupported("config get", &name)),
        })
        .collect();
    Ok(Command::Answer(Reply::Map(pairs?)))
}
