//! Commands, cut out of a stream of bytes.
//!
//! A request is a flat array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or one line of words. Nothing else is
//! read here, so that no client can make the parser recurse; a general RESP parser would follow nested arrays as deep
//! as they are sent. What is announced is checked against bounds before a byte of it is awaited, and memory grows only
//! as bytes arrive.

use super::BULK_BYTES_MAX;
use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Arguments of one command at most.
pub(crate) const ARGUMENTS_MAX: usize = 1 << 20;
/// Bytes of one command at most, all arguments together.
pub(crate) const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Length of one line at most: an inline command, or the announcement of a length.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Room that is made at a time for a word that was announced and is still to come.
const ROOM_BYTES: usize = 64 << 10;

/// A command: its name and arguments, as slices of what arrived.
pub(crate) type Request = Vec<Bytes>;

/// Bytes that are no request. Nothing after them can be understood, so the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum ProtocolError {
    #[error("invalid multibulk length")]
    Count,
    #[error("invalid bulk length")]
    Length,
    #[error("expected '$'")]
    NoBulk,
    #[error("a bulk string does not end in CRLF")]
    NoEnd,
    #[error("too big inline request")]
    LongLine,
    #[error("request larger than {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    #[error("unbalanced quotes in request")]
    Quotes,
    #[error("this is HTTP; whoever sends it does not know where it goes")]
    Http,
}

/// What is taken of a client that has not said the password yet.
const STRANGER_ARGUMENTS_MAX: usize = 10;
/// Bytes of its commands.
const STRANGER_BYTES_MAX: usize = 16 << 10;

/// Cuts requests out of what arrives; keeps what it has understood of an unfinished one.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    buffer: BytesMut,
    /// Whoever sends them is a stranger, of whom little is taken.
    stranger: bool,
    /// The array under way: how many bulk strings are missing, and those that are here.
    missing: usize,
    taken: Request,
    /// Bytes of `taken`.
    taken_bytes: usize,
}

impl Requests {
    /// Where the next bytes are to be read to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// From now on little is taken at a time, or no longer.
    pub(crate) fn set_stranger(&mut self, stranger: bool) {
        self.stranger = stranger;
    }

    /// Bytes that are kept here, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len() + self.taken_bytes + self.taken.capacity() * size_of::<Bytes>()
    }

    fn arguments_max(&self) -> usize {
        if self.stranger { STRANGER_ARGUMENTS_MAX } else { ARGUMENTS_MAX }
    }

    fn bytes_max(&self) -> usize {
        if self.stranger { STRANGER_BYTES_MAX } else { REQUEST_BYTES_MAX }
    }

    /// The next whole request, if it is here.
    pub(crate) fn next(&mut self) -> Result<Option<Request>, ProtocolError> {
        loop {
            if self.missing > 0 {
                if !self.take_bulks()? {
                    return Ok(None);
                }
                self.taken_bytes = 0;
                return Ok(Some(std::mem::take(&mut self.taken)));
            }
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'*') => match self.take_number(b'*', ProtocolError::Count)? {
                    None => return Ok(None),
                    // Redis takes an empty array, or a null one, for nothing at all.
                    Some(..=0) => {}
                    Some(count) => self.begin(count)?,
                },
                Some(_) => match self.take_inline()? {
                    None => return Ok(None),
                    Some(words) if words.is_empty() => {}
                    Some(words) if is_http(&words[0]) => return Err(ProtocolError::Http),
                    Some(words) => return Ok(Some(words)),
                },
            }
        }
    }

    fn begin(&mut self, count: i64) -> Result<(), ProtocolError> {
        let count = usize::try_from(count).map_err(|_| ProtocolError::Count)?;
        if count > self.arguments_max() {
            return Err(ProtocolError::Count);
        }
        self.missing = count;
        self.taken = Vec::with_capacity(count.min(16));
        Ok(())
    }

    /// Takes bulk strings until none is missing; false if more bytes are needed.
    fn take_bulks(&mut self) -> Result<bool, ProtocolError> {
        while self.missing > 0 {
            let Some((start, length)) = self.peek_bulk()? else { return Ok(false) };
            if self.buffer.len() < start + length + 2 {
                // More room only when the last is used up: asked for earlier, the buffer doubles for a single byte.
                if self.buffer.len() == self.buffer.capacity() {
                    self.buffer.reserve((start + length + 2 - self.buffer.len()).min(ROOM_BYTES));
                }
                return Ok(false);
            }
            if &self.buffer[start + length..start + length + 2] != b"\r\n" {
                return Err(ProtocolError::NoEnd);
            }
            self.buffer.advance(start);
            self.taken.push(self.buffer.split_to(length).freeze());
            self.buffer.advance(2);
            self.taken_bytes += length;
            self.missing -= 1;
        }
        Ok(true)
    }

    /// Where the next bulk string begins, and its length.
    fn peek_bulk(&mut self) -> Result<Option<(usize, usize)>, ProtocolError> {
        match self.buffer.first() {
            None => return Ok(None),
            Some(b'$') => {}
            Some(_) => return Err(ProtocolError::NoBulk),
        }
        let Some((length, start)) = parse_number(&self.buffer, ProtocolError::Length)? else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| ProtocolError::Length)?;
        if length > BULK_BYTES_MAX.min(self.bytes_max()) {
            return Err(ProtocolError::Length);
        }
        if self.taken_bytes + length > self.bytes_max() {
            return Err(ProtocolError::TooLong);
        }
        Ok(Some((start, length)))
    }

    fn take_number(
        &mut self,
        mark: u8,
        wrong: ProtocolError,
    ) -> Result<Option<i64>, ProtocolError> {
        debug_assert_eq!(self.buffer.first(), Some(&mark));
        let parsed = parse_number(&self.buffer, wrong)?;
        Ok(parsed.map(|(number, next)| {
            self.buffer.advance(next);
            number
        }))
    }

    fn take_inline(&mut self) -> Result<Option<Request>, ProtocolError> {
        let Some(end) = line_end(&self.buffer)? else { return Ok(None) };
        let line = self.buffer.split_to(end + 1).freeze();
        let line = line.slice(..end - usize::from(end > 0 && line[end - 1] == b'\r'));
        words(&line).map(Some)
    }
}

/// A web page may make its reader's browser send a request to any port of the reader's own machine, with a body of lines
/// that would be commands. Every such request has one of these words at the beginning of a line before its body.
fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"POST") || word.eq_ignore_ascii_case(b"Host:")
}

/// The number in the line that begins with a mark, and where the next line begins.
fn parse_number(bytes: &[u8], wrong: ProtocolError) -> Result<Option<(i64, usize)>, ProtocolError> {
    // A length has at most 20 digits; whoever sends more before the line ends sends no length.
    let window = &bytes[..bytes.len().min(24)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if window.len() < 24 { Ok(None) } else { Err(wrong) };
    };
    let digits = window[1..end].strip_suffix(b"\r").ok_or(wrong)?;
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    Ok(Some((number.ok_or(wrong)?, end + 1)))
}

fn line_end(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    match window.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(end)),
        None if bytes.len() >= LINE_BYTES_MAX => Err(ProtocolError::LongLine),
        None => Ok(None),
    }
}

/// The words of an inline command, which may be quoted as in a shell. Escapes are not taken apart: a client that needs
/// them sends an array.
fn words(line: &Bytes) -> Result<Request, ProtocolError> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            byte if byte.is_ascii_whitespace() => at += 1,
            quote @ (b'"' | b'\'') => {
                let rest = &line[at + 1..];
                let length = rest.iter().position(|byte| *byte == quote);
                let length = length.ok_or(ProtocolError::Quotes)?;
                words.push(line.slice(at + 1..at + 1 + length));
                at += length + 2;
            }
            _ => {
                let rest = &line[at..];
                let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                words.push(line.slice(at..at + length));
                at += length;
            }
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(requests: &mut Requests) -> Result<Vec<Request>, ProtocolError> {
        let mut out = Vec::new();
        while let Some(request) = requests.next()? {
            out.push(request);
        }
        Ok(out)
    }

    fn parse(bytes: &[u8]) -> Result<Vec<Request>, ProtocolError> {
        let mut requests = Requests::default();
        requests.buffer().extend_from_slice(bytes);
        all(&mut requests)
    }

    #[test]
    fn arrays_and_lines_become_words() {
        let parsed =
            parse(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\nset a \"b c\"\r\n*0\r\n").unwrap();
        let words: Vec<Vec<&[u8]>> =
            parsed.iter().map(|request| request.iter().map(|word| &word[..]).collect()).collect();
        assert_eq!(words, [vec![&b"GET"[..], b"k"], vec![b"PING"], vec![b"set", b"a", b"b c"]]);
    }

    #[test]
    fn what_is_announced_is_checked_before_it_is_awaited() {
        assert_eq!(parse(b"*99999999999\r\n"), Err(ProtocolError::Count));
        assert_eq!(parse(b"*1\r\n$99999999999\r\n"), Err(ProtocolError::Length));
        assert_eq!(parse(b"*1\r\n$-1\r\n"), Err(ProtocolError::Length));
        assert_eq!(parse(b"*x\r\n"), Err(ProtocolError::Count));
        assert_eq!(parse(b"*1\r\n*1\r\n"), Err(ProtocolError::NoBulk));
        assert_eq!(parse(b"*1\r\n$1\r\nabc"), Err(ProtocolError::NoEnd));
        let quarter = vec![7; REQUEST_BYTES_MAX / 4];
        let mut whole = encode(&vec![quarter; 4]);
        whole[1] = b'5';
        assert_eq!(parse(&[&whole[..], b"$0\r\n"].concat()), Ok(Vec::new()));
        assert_eq!(parse(&[&whole[..], b"$1\r\n"].concat()), Err(ProtocolError::TooLong));
        assert_eq!(parse(&[b'a'; LINE_BYTES_MAX]), Err(ProtocolError::LongLine));
        assert_eq!(parse(b"get \"a\r\n"), Err(ProtocolError::Quotes));
    }

    #[test]
    fn little_is_taken_of_a_stranger() {
        let parse = |bytes: &[u8]| {
            let mut requests = Requests::default();
            requests.set_stranger(true);
            requests.buffer().extend_from_slice(bytes);
            all(&mut requests)
        };
        assert_eq!(parse(b"*11\r\n"), Err(ProtocolError::Count));
        assert_eq!(parse(b"*1\r\n$16385\r\n"), Err(ProtocolError::Length));
        assert_eq!(parse(b"*3\r\n$4\r\nAUTH\r\n$1\r\na\r\n$1\r\nb\r\n").unwrap().len(), 1);
    }

    /// Each piece of a long word that came had the buffer ask for room for the rest, and doubled it: a client that announced
    /// much and sent a byte was worth 128 KiB of memory.
    #[test]
    fn what_is_announced_costs_no_more_room_than_is_made_at_a_time() {
        let mut requests = Requests::default();
        requests.buffer().extend_from_slice(b"*1\r\n$327700\r\n");
        for byte in 0..=255 {
            assert_eq!(requests.next(), Ok(None));
            assert!(requests.buffer().capacity() <= ROOM_BYTES + 1024);
            requests.buffer().extend_from_slice(&[byte]);
        }
    }

    #[test]
    fn a_browser_is_hung_up_on_before_the_body_of_its_request() {
        for head in ["POST / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\nhost: 127.0.0.1:6379\r\n"] {
            let mut requests = Requests::default();
            requests.buffer().extend_from_slice(format!("{head}\r\nset k v\r\n").as_bytes());
            let error = loop {
                match requests.next() {
                    Ok(Some(request)) => assert_ne!(request[0], "set", "{head}"),
                    Ok(None) => panic!("{head}"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error, ProtocolError::Http);
        }
        assert!(parse(b"*1\r\n$4\r\nPOST\r\n").is_ok(), "an array comes from no browser");
    }

    fn encode(request: &[Vec<u8>]) -> Vec<u8> {
        let mut out = format!("*{}\r\n", request.len()).into_bytes();
        for word in request {
            out.extend(format!("${}\r\n", word.len()).into_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_requests(
            requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 0..6),
            cuts in prop::collection::vec(1..9usize, 1..40),
        ) {
            let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
            let mut parser = Requests::default();
            let (mut out, mut at, mut cuts) = (Vec::new(), 0, cuts.into_iter().cycle());
            while at < bytes.len() {
                let end = bytes.len().min(at + cuts.next().unwrap());
                parser.buffer().extend_from_slice(&bytes[at..end]);
                out.extend(all(&mut parser).unwrap());
                at = end;
            }
            let out: Vec<Vec<Vec<u8>>> =
                out.iter().map(|request| request.iter().map(|word| word.to_vec()).collect()).collect();
            prop_assert_eq!(out, requests);
        }

        #[test]
        fn any_bytes_are_refused_or_understood(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
