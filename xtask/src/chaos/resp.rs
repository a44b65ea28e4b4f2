//! The least of a Redis client: one command, one answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of one value, and items of one array: more is not what we asked for.
const ITEMS_MAX: usize = 1 << 20;
const VALUE_BYTES_MAX: usize = 16 << 20;

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    reader: BufReader<TcpStream>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Value(Option<Vec<u8>>),
    Array(Vec<Reply>),
}

impl Client {
    /// Connects; each answer may take as long as `patience`.
    pub(super) fn connect(
        address: SocketAddr,
        dial: Duration,
        patience: Duration,
    ) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, dial)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Client { reader: BufReader::new(stream) })
    }

    /// A handle by which another thread can hang up, so that nobody waits for an answer any more.
    pub(super) fn handle(&self) -> io::Result<TcpStream> {
        self.reader.get_ref().try_clone()
    }

    /// Sends one command and takes its answer. After an error the connection is of no use: the answer may still come.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        self.reader.get_mut().write_all(&encoded(words))?;
        read_reply(&mut self.reader)
    }
}

fn encoded(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn read_reply(reader: &mut impl BufRead) -> io::Result<Reply> {
    let line = read_line(reader)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| wrong("an empty line"))?;
    match kind {
        "+" => Ok(Reply::Simple(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => rest.parse().map(Reply::Integer).map_err(|_| wrong("no number")),
        "$" => read_value(reader, rest),
        "*" => {
            let count = length(rest, ITEMS_MAX)?.unwrap_or(0);
            let items = (0..count).map(|_| read_reply(reader));
            items.collect::<io::Result<_>>().map(Reply::Array)
        }
        _ => Err(wrong("an unknown kind of reply")),
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(VALUE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\r\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).map_err(|_| wrong("no UTF-8"))
}

fn read_value(reader: &mut impl BufRead, length_text: &str) -> io::Result<Reply> {
    let Some(length) = length(length_text, VALUE_BYTES_MAX)? else { return Ok(Reply::Value(None)) };
    let mut value = vec![0; length + 2];
    reader.read_exact(&mut value)?;
    value.truncate(length);
    Ok(Reply::Value(Some(value)))
}

/// -1 means that there is none.
fn length(text: &str, max: usize) -> io::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    let length: usize = text.parse().map_err(|_| wrong("no length"))?;
    if length > max {
        return Err(wrong("a length beyond what is asked for"));
    }
    Ok(Some(length))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: &[u8]) -> io::Result<Reply> {
        read_reply(&mut io::Cursor::new(bytes))
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        assert_eq!(reply(b"+OK\r\n").unwrap(), Reply::Simple("OK".into()));
        assert_eq!(reply(b"-READONLY x\r\n").unwrap(), Reply::Error("READONLY x".into()));
        assert_eq!(reply(b"$2\r\na\n\r\n").unwrap(), Reply::Value(Some(b"a\n".to_vec())));
        let items = vec![Reply::Value(None), Reply::Integer(-7)];
        assert_eq!(reply(b"*2\r\n$-1\r\n:-7\r\n").unwrap(), Reply::Array(items));
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_an_error() {
        for bytes in [
            &b""[..],
            b"+OK",
            b"$3\r\nab",
            b"*2\r\n+a\r\n",
            b"$99999999999\r\n",
            b"?\r\n",
            b"$x\r\n",
        ] {
            assert!(reply(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_command_is_an_array_of_its_words() {
        assert_eq!(encoded(&[b"GET", b"k"]), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
