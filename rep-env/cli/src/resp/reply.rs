//! Replies, in both versions of the protocol.

use bytes::{BufMut, Bytes, BytesMut};

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
    /// What stands for an array that there is none of: an `EXEC` that was not carried out.
    NullArray,
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
            Reply::Status(_) | Reply::Integer(_) | Reply::Null | Reply::NullArray => 0,
            Reply::Error(text) => text.len(),
            Reply::Bulk(bytes) => bytes.len(),
            Reply::Array(items) => items.iter().map(|item| size_of::<Reply>() + item.bytes()).sum(),
            Reply::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| 2 * size_of::<Reply>() + key.bytes() + value.bytes())
                .sum(),
        }
    }

    /// `value`, or null if there is none.
    pub(crate) fn optional(value: Option<Bytes>) -> Reply {
        value.map_or(Reply::Null, Reply::Bulk)
    }

    /// Appends the reply's bytes. Replies are as deep as we make them, so this recurses no deeper.
    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        match self {
            Reply::Status(text) => line(b'+', text.as_bytes(), out),
            Reply::Error(text) => line(b'-', one_line(text).as_bytes(), out),
            Reply::Integer(number) => decimal(b':', *number, out),
            Reply::Bulk(bytes) => {
                decimal(b'$', bytes.len() as i64, out);
                out.reserve(bytes.len() + 2);
                out.put_slice(bytes);
                out.put_slice(b"\r\n");
            }
            Reply::Null | Reply::NullArray if version == Version::Resp3 => out.put_slice(b"_\r\n"),
            Reply::Null => out.put_slice(b"$-1\r\n"),
            Reply::NullArray => out.put_slice(b"*-1\r\n"),
            Reply::Array(items) => {
                decimal(b'*', items.len() as i64, out);
                items.iter().for_each(|item| item.write(version, out));
            }
            Reply::Map(pairs) => {
                match version {
                    Version::Resp2 => decimal(b'*', 2 * pairs.len() as i64, out),
                    Version::Resp3 => decimal(b'%', pairs.len() as i64, out),
                }
                for (key, value) in pairs {
                    key.write(version, out);
                    value.write(version, out);
                }
            }
        }
    }
}

fn line(mark: u8, text: &[u8], out: &mut BytesMut) {
    out.reserve(text.len() + 3);
    out.put_u8(mark);
    out.put_slice(text);
    out.put_slice(b"\r\n");
}

/// A line of one number, which most replies consist of: made without the machinery that formats anything.
fn decimal(mark: u8, number: i64, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.reserve(24);
    out.put_u8(mark);
    if number < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}

/// An error reply is one line.
fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis_protocol::resp2::decode::decode_bytes_mut as decode2;
    use redis_protocol::resp2::types::BytesFrame as Resp2;
    use redis_protocol::resp3::decode::complete::decode_bytes_mut as decode3;

    fn bytes(reply: &Reply, version: Version) -> BytesMut {
        let mut out = BytesMut::new();
        reply.write(version, &mut out);
        out
    }

    #[test]
    fn both_versions_look_as_redis_does() {
        let map = Reply::Map(vec![(Reply::text("a"), Reply::Integer(1))]);
        for (reply, resp2, resp3) in [
            (Reply::OK, &b"+OK\r\n"[..], &b"+OK\r\n"[..]),
            (Reply::Null, b"$-1\r\n", b"_\r\n"),
            (Reply::NullArray, b"*-1\r\n", b"_\r\n"),
            (map, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
            (Reply::Error("ERR a\r\nb".into()), b"-ERR a  b\r\n", b"-ERR a  b\r\n"),
            (Reply::Integer(0), b":0\r\n", b":0\r\n"),
            (Reply::Integer(i64::MIN), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
            (Reply::Integer(i64::MAX), b":9223372036854775807\r\n", b":9223372036854775807\r\n"),
            (Reply::Array(vec![]), b"*0\r\n", b"*0\r\n"),
            (Reply::text(""), b"$0\r\n\r\n", b"$0\r\n\r\n"),
        ] {
            assert_eq!(bytes(&reply, Version::Resp2), resp2);
            assert_eq!(bytes(&reply, Version::Resp3), resp3);
        }
    }

    fn reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Reply::Integer),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Reply::Bulk(bytes.into())),
            "[ -~]{0,20}".prop_map(Reply::Error),
            Just(Reply::OK),
            Just(Reply::Null),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
            prop::collection::vec(inner, 0..5).prop_map(Reply::Array)
        })
    }

    fn as_resp2(reply: Reply) -> Resp2 {
        match reply {
            Reply::Integer(number) => Resp2::Integer(number),
            Reply::Bulk(bytes) => Resp2::BulkString(bytes),
            Reply::Error(text) => Resp2::Error(text.into()),
            Reply::Status(text) => Resp2::SimpleString(Bytes::from_static(text.as_bytes())),
            Reply::Array(items) => Resp2::Array(items.into_iter().map(as_resp2).collect()),
            _ => Resp2::Null,
        }
    }

    proptest! {
        #[test]
        fn another_implementation_reads_what_is_written(reply in reply()) {
            let mut out = bytes(&reply, Version::Resp3);
            prop_assert!(decode3(&mut out).unwrap().is_some() && out.is_empty());
            let mut out = bytes(&reply, Version::Resp2);
            let (read, _, _) = decode2(&mut out).unwrap().unwrap();
            prop_assert!(out.is_empty());
            prop_assert_eq!(read, as_resp2(reply));
        }
    }
}
