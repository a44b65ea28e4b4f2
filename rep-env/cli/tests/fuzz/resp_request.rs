//! Bytes of a Redis client, cut into commands: the same ones whatever pieces they come in, none of which keeps more memory
//! than bytes have come, and which read the same when they are sent again.

use crate::kit::Input;
use crate::resp::request::{ProtocolError, REQUEST_BYTES_MAX, Request, Requests};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let stranger = input.is();
    let lengths = input.short();
    let bytes = input.rest();
    let whole = requests([bytes], stranger);
    assert_eq!(requests(Input::new(bytes).pieces(lengths), stranger), whole);
    assert_eq!(requests(bytes.chunks(1), stranger), whole);
    let (taken, _) = whole;
    let again: Vec<u8> = taken.iter().flat_map(array).collect();
    assert_eq!(requests([&again[..]], false), (taken, None), "as arrays, too");
}

fn requests<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    stranger: bool,
) -> (Vec<Request>, Option<ProtocolError>) {
    let mut parser = Requests::default();
    parser.set_stranger(stranger);
    let (mut taken, mut fed) = (Vec::new(), 0);
    for piece in pieces {
        parser.buffer().extend_from_slice(piece);
        fed += piece.len();
        loop {
            match parser.next() {
                Ok(Some(request)) => {
                    assert!(!request.is_empty(), "a command has a name");
                    let bytes: usize = request.iter().map(|word| word.len()).sum();
                    assert!(bytes <= REQUEST_BYTES_MAX.min(fed));
                    taken.push(request);
                }
                Ok(None) => break,
                Err(error) => return (taken, Some(error)),
            }
        }
        let buffer = parser.buffer();
        assert!(buffer.len() <= fed && buffer.capacity() <= (64 << 10) + 4 * fed);
        // A word of an array takes at least five bytes on the wire, and its place here four words.
        assert!(parser.bytes() <= 16 * fed + 1024, "{} bytes of {fed}", parser.bytes());
    }
    (taken, None)
}

fn array(request: &Request) -> Vec<u8> {
    let mut out = format!("*{}\r\n", request.len()).into_bytes();
    for word in request {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let wires: [&[u8]; 11] = [
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\nset a \"b c\"\r\n*0\r\n*-1\r\n\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\n\r\n",
        b"*1\r\n$0\r\n\r\n*1\r\n$-1\r\n",
        b"*11\r\n$1\r\na\r\n",
        b"*99999999999\r\n",
        b"*1\r\n$16385\r\n",
        b"*1\r\n$1\r\nabc",
        b"*1\r\n$327700\r\nabc",
        b"get 'a\r\nget \"a b\" 'c'\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\n",
        b"*+1\r\n$01\r\na\r\n*1\n",
    ];
    let mut seeds = Vec::new();
    for wire in wires {
        seeds.push([&[0, 2, 0, 3][..], wire].concat());
        seeds.push([&[1, 1, 2][..], wire].concat());
    }
    seeds
}
