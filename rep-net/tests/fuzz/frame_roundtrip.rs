//! What is framed comes out as it was, and there is one spelling of it: a frame that is decoded and framed again is the
//! same bytes.

use crate::kit::Input;
use rep_net::Bytes;
use rep_net::frame::{self, FrameDecoder};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let block_bytes = usize::from(input.word());
    let mut payloads = Vec::new();
    let mut wire = Vec::new();
    while !input.is_empty() {
        let payload = Bytes::copy_from_slice(input.long());
        wire.extend_from_slice(&framed(&payload, usize::from(input.byte())));
        payloads.push(payload);
    }
    let mut decoder = FrameDecoder::new(usize::from(u16::MAX), block_bytes);
    decoder.extend(&wire);
    let mut again = Vec::new();
    for payload in &payloads {
        let frame = decoder.next_frame().expect("it is a frame").expect("it is whole");
        assert_eq!(frame, payload);
        again.extend_from_slice(&framed(&frame, 0));
    }
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(!decoder.is_mid_frame());
    assert_eq!(again, wire);
}

/// A frame whose header was computed of two parts, cut at `at`.
fn framed(payload: &Bytes, at: usize) -> Vec<u8> {
    let at = at.min(payload.len());
    let header = frame::header(&[payload.slice(..at), payload.slice(at..)]);
    [&header[..], &payload[..]].concat()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let one = [&[64, 0, 5, 0][..], b"hello", &[2, 0, 0, 9]].concat();
    let long = [&[0, 16, 0, 4][..], &[3; 1024], &[200, 3, 0], b"end", &[1]].concat();
    vec![one, long]
}
