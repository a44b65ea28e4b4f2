//! The same bytes give the same frames and the same end, in whatever pieces they come, and cost no more memory than
//! twice what has arrived.

use crate::kit::Input;
use rep_net::frame::{self, FRAME_HEADER_BYTES, FrameDecoder};
use rep_net::{Bytes, FrameError};

const FRAME_BYTES_MAX: usize = 3000;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let block_bytes = usize::from(input.byte()) * 16;
    let lengths = input.short();
    let wire = if input.is() { input.rest().to_vec() } else { framed(&mut input) };
    let whole = frames([&wire[..]], 4096);
    assert_eq!(frames(Input::new(&wire).pieces(lengths), block_bytes), whole);
    assert_eq!(frames(wire.chunks(1), block_bytes), whole);
}

/// Everything that comes out of these pieces, and the error that ended them, if one did.
fn frames<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    block_bytes: usize,
) -> (Vec<Bytes>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX, block_bytes);
    let mut frames = Vec::new();
    let mut arrived = 0;
    for piece in pieces {
        decoder.extend(piece);
        arrived += piece.len();
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        let bound = block_bytes.max(FRAME_HEADER_BYTES).max(2 * arrived);
        assert!(decoder.memory_bytes() <= bound, "more memory than bytes");
    }
    (frames, None)
}

/// Frames of what is left, some of them spoiled behind their sums.
fn framed(input: &mut Input<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    while !input.is_empty() {
        let spoiled = input.byte() == 255;
        let payload = Bytes::copy_from_slice(input.long());
        wire.extend_from_slice(&frame::header(std::slice::from_ref(&payload)));
        wire.extend_from_slice(&payload);
        if spoiled && let Some(last) = wire.last_mut() {
            *last ^= 1;
        }
    }
    wire
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let payloads = [&[0, 5, 0][..], b"hello", &[0, 0, 0, 0, 0, 2], &[9; 512], &[255, 1, 0, 7]];
    let framed = [&[4, 3, 0, 7, 250, 0][..], &payloads.concat()].concat();
    let payload = Bytes::from_static(b"as it came over the wire");
    let header = frame::header(std::slice::from_ref(&payload));
    let raw = [&[1, 2, 1, 4, 1][..], &header, &payload, &header, &payload].concat();
    vec![framed, raw]
}
