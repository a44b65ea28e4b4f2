//! Replies, in both versions of the protocol.

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::types::BytesFrame as Resp2;
use redis_protocol::resp3::types::BytesFrame as Resp3;

/// Which version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    /// What every connection begins with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Bytes),
    Null,
    Array(Vec<Reply>),
    /// Pairs: a map in RESP3, a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    pub(crate) const OK: Reply = Reply::Status("OK");

    /// A bulk string of our own words.
    pub(crate) fn text(text: impl Into<String>) -> Reply {
        Reply::Bulk(Bytes::from(text.into()))
    }

    /// An error of our own words.
    pub(crate) fn error(text: impl Into<String>) -> Reply {
        Reply::Error(text.into())
    }

    /// Bytes of the values in it, roughly: what it costs to keep it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Reply::Status(_) | Reply::Integer(_) | Reply::Null => 0,
            Reply::Error(text) => text.len(),
            Reply::Bulk(bytes) => bytes.len(),
            Reply::Array(items) => items.iter().map(Reply::bytes).sum(),
            Reply::Map(pairs) => pairs.iter().map(|(key, value)| key.bytes() + value.bytes()).sum(),
        }
    }

    /// `value`, or null if there is none.
    pub(crate) fn optional(value: Option<Bytes>) -> Reply {
        value.map_or(Reply::Null, Reply::Bulk)
    }

    /// Appends the reply's bytes.
    pub(crate) fn write(self, version: Version, out: &mut BytesMut) {
        let written = match version {
            Version::Resp2 => {
                redis_protocol::resp2::encode::extend_encode(out, &self.resp2(), false)
            }
            Version::Resp3 => {
                redis_protocol::resp3::encode::complete::extend_encode(out, &self.resp3(), false)
            }
        };
        written.expect("plain replies always encode");
    }

    fn resp2(self) -> Resp2 {
        match self {
            Reply::Status(text) => Resp2::SimpleString(Bytes::from_static(text.as_bytes())),
            Reply::Error(text) => Resp2::Error(one_line(text).into()),
            Reply::Integer(number) => Resp2::Integer(number),
            Reply::Bulk(bytes) => Resp2::BulkString(bytes),
            Reply::Null => Resp2::Null,
            Reply::Array(items) => Resp2::Array(items.into_iter().map(Reply::resp2).collect()),
            Reply::Map(pairs) => {
                let flat = pairs.into_iter().flat_map(|(key, value)| [key.resp2(), value.resp2()]);
                Resp2::Array(flat.collect())
            }
        }
    }

    fn resp3(self) -> Resp3 {
        let attributes = None;
        match self {
            Reply::Status(text) => {
                Resp3::SimpleString { data: Bytes::from_static(text.as_bytes()), attributes }
            }
            Reply::Error(text) => Resp3::SimpleError { data: one_line(text).into(), attributes },
            Reply::Integer(data) => Resp3::Number { data, attributes },
            Reply::Bulk(data) => Resp3::BlobString { data, attributes },
            Reply::Null => Resp3::Null,
            Reply::Array(items) => {
                let data = items.into_iter().map(Reply::resp3).collect();
                Resp3::Array { data, attributes }
            }
            Reply::Map(pairs) => {
                let pairs = pairs.into_iter().map(|(key, value)| (key.resp3(), value.resp3()));
                Resp3::Map { data: pairs.collect(), attributes }
            }
        }
    }
}

/// An error reply is one line.
fn one_line(text: String) -> String {
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(reply: Reply, version: Version) -> Vec<u8> {
        let mut out = BytesMut::new();
        reply.write(version, &mut out);
        out.to_vec()
    }

    #[test]
    fn both_versions_look_as_redis_does() {
        let map = || Reply::Map(vec![(Reply::text("a"), Reply::Integer(1))]);
        assert_eq!(bytes(Reply::OK, Version::Resp2), b"+OK\r\n");
        assert_eq!(bytes(Reply::Null, Version::Resp2), b"$-1\r\n");
        assert_eq!(bytes(Reply::Null, Version::Resp3), b"_\r\n");
        assert_eq!(bytes(map(), Version::Resp2), b"*2\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(bytes(map(), Version::Resp3), b"%1\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(bytes(Reply::Error("ERR a\r\nb".into()), Version::Resp2), b"-ERR a  b\r\n");
    }
}
