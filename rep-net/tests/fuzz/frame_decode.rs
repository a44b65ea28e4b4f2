//! Bytes from anybody: the decoder says what a plain reading of the layout says, and gives the frames and the error that
//! end it in that order.

use crate::kit::Input;
use rep_net::frame::{self, FRAME_HEADER_BYTES, FrameDecoder};
use rep_net::{Bytes, FrameError};

/// Bounds worth having: nothing, a few bytes, a Hello, more than an input has.
const BOUNDS: [usize; 4] = [0, 10, 4096, 16 << 20];

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let frame_bytes_max = BOUNDS[input.below(BOUNDS.len())];
    let mut bytes = input.clone().rest().to_vec();
    // Half of the inputs get right sums: no mutation finds one by chance, and what is behind them is to be reached too.
    if input.is() {
        bytes = input.rest().to_vec();
        seal(&mut bytes);
    }
    let mut decoder = FrameDecoder::new(frame_bytes_max, 64);
    decoder.extend(&bytes);
    let mut rest = &bytes[..];
    loop {
        let expected = read(&mut rest, frame_bytes_max);
        let found = decoder.next_frame();
        assert_eq!(found, expected);
        match found {
            Ok(Some(_)) => {}
            Ok(None) => return assert_eq!(decoder.is_mid_frame(), !rest.is_empty()),
            Err(error) => return assert_eq!(decoder.next_frame(), Err(error), "for ever"),
        }
    }
}

/// The layout, read in the plainest way.
fn read(rest: &mut &[u8], frame_bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some((length, sum)) = header(rest) else { return Ok(None) };
    if length > frame_bytes_max {
        return Err(FrameError::TooLarge { bytes: length, bytes_max: frame_bytes_max });
    }
    let Some(payload) = rest[FRAME_HEADER_BYTES..].get(..length) else { return Ok(None) };
    let payload = Bytes::copy_from_slice(payload);
    let right = frame::header(std::slice::from_ref(&payload));
    let computed = u32::from_le_bytes([right[4], right[5], right[6], right[7]]);
    if computed != sum {
        return Err(FrameError::Checksum { found: sum, computed });
    }
    *rest = &rest[FRAME_HEADER_BYTES + length..];
    Ok(Some(payload))
}

fn header(bytes: &[u8]) -> Option<(usize, u32)> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    Some((word(0)? as usize, word(4)?))
}

/// Makes the sums right of all frames that are whole.
fn seal(bytes: &mut [u8]) {
    let mut rest = bytes;
    while let Some((length, _)) = header(rest)
        && let Some(payload) = rest[FRAME_HEADER_BYTES..].get(..length)
    {
        let sum = frame::header(&[Bytes::copy_from_slice(payload)]);
        rest[4..FRAME_HEADER_BYTES].copy_from_slice(&sum[4..]);
        rest = &mut rest[FRAME_HEADER_BYTES + length..];
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let framed = |payload: &[u8]| {
        let payload = Bytes::copy_from_slice(payload);
        [&frame::header(std::slice::from_ref(&payload))[..], &payload[..]].concat()
    };
    // Each with its bound: what is just allowed, and what is just not.
    let wires: [(u8, &[&[u8]]); 5] = [
        (0, &[b"", b"x"]),
        (1, &[b"", b"ten bytes!"]),
        (1, &[b"eleven byte"]),
        (2, &[&[0; 4096], &[7; 4097]]),
        (3, &[b"one", b"", &[7; 300]]),
    ];
    let mut seeds = Vec::new();
    for (bound, payloads) in wires {
        let wire: Vec<u8> = payloads.iter().flat_map(|payload| framed(payload)).collect();
        for sealed in [0, 1] {
            seeds.push([&[bound, sealed], &wire[..]].concat());
        }
    }
    seeds
}
