//! Frames: where one message ends and the next begins, on a wire that knows only bytes. Pure.
//!
//! # Layout
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length of the payload, little-endian |
//! | 4 | 4 | CRC32C over the four length bytes and then the payload, little-endian |
//! | 8 | length | payload |
//!
//! The sum covers the length too, so that a run of zeros is not an endless row of valid empty frames. TCP's own checksum is
//! sixteen bits wide and is dropped and remade by every box on the way; this one is end to end.
//!
//! The decoder takes bytes as they come, in pieces of any size, and keeps a frame of which it has only a part. It never
//! believes a length: memory grows with the bytes that arrived, at most twofold.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::error::FrameError;

/// Length of the header before each payload.
pub const FRAME_HEADER_BYTES: usize = 8;

/// The header of a frame whose payload is `parts`, joined.
///
/// # Panics
/// If the parts have 4 GiB or more between them; channels bound frames far below that.
pub fn header(parts: &[Bytes]) -> [u8; FRAME_HEADER_BYTES] {
    let bytes: usize = parts.iter().map(Bytes::len).sum();
    let length = u32::try_from(bytes).expect("a frame is shorter than 4 GiB").to_le_bytes();
    let sum =
        parts.iter().fold(crc32c::crc32c(&length), |sum, part| crc32c::crc32c_append(sum, part));
    let mut header = [0; FRAME_HEADER_BYTES];
    header[..4].copy_from_slice(&length);
    header[4..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Turns bytes that arrive in pieces back into frames.
///
/// Use: read into [`space`](FrameDecoder::space), say how much came with [`filled`](FrameDecoder::filled), then call
/// [`next_frame`](FrameDecoder::next_frame) until it gives `None`.
///
/// A payload is given out as a slice of the read buffer, not as a copy; the buffer lives until its last slice is dropped.
pub struct FrameDecoder {
    /// Bytes `..filled` have arrived and not been given out, the rest is room to read into.
    buffer: BytesMut,
    filled: usize,
    frame_bytes_max: usize,
    block_bytes: usize,
    /// The error that ended this stream of frames.
    broken: Option<FrameError>,
}

impl FrameDecoder {
    /// A decoder that takes frames of up to `frame_bytes_max` bytes and reads in blocks of `block_bytes`.
    pub fn new(frame_bytes_max: usize, block_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            filled: 0,
            frame_bytes_max,
            block_bytes: block_bytes.max(FRAME_HEADER_BYTES),
            broken: None,
        }
    }

    /// Changes the bounds for what comes next; what has arrived is kept. So a connection may start narrow and be widened
    /// when its Hello has been accepted.
    pub fn set_bounds(&mut self, frame_bytes_max: usize, block_bytes: usize) {
        self.frame_bytes_max = frame_bytes_max;
        self.block_bytes = block_bytes.max(FRAME_HEADER_BYTES);
    }

    /// Room for the next read; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            self.grow();
        }
        &mut self.buffer[self.filled..]
    }

    /// Says that the first `bytes` of the last [`space`](FrameDecoder::space) have been written.
    ///
    /// # Panics
    /// If there was not so much space.
    pub fn filled(&mut self, bytes: usize) {
        assert!(
            bytes <= self.buffer.len() - self.filled,
            "more bytes were read than there was space for"
        );
        self.filled += bytes;
    }

    /// Copies `bytes` in, as if they had been read.
    pub fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            self.filled(n);
            bytes = &bytes[n..];
        }
    }

    /// The payload of the next whole frame; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] if what arrived is no frame; the same one for ever.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let frame = self.cut_frame();
        self.broken = frame.as_ref().err().copied();
        frame
    }

    /// Whether a frame has begun to arrive and is not complete; the end of the stream is then no orderly end.
    pub fn is_mid_frame(&self) -> bool {
        self.filled > 0
    }

    /// What has arrived and was not given out.
    pub(crate) fn begun(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Bytes of memory that this decoder holds for bytes to come and bytes not yet given out.
    pub fn memory_bytes(&self) -> usize {
        self.buffer.len()
    }

    fn cut_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((payload_bytes, sum)) = self.next_header()? else { return Ok(None) };
        let frame_bytes = FRAME_HEADER_BYTES + payload_bytes;
        if self.filled < frame_bytes {
            return Ok(None);
        }
        self.filled -= frame_bytes;
        let mut frame = self.buffer.split_to(frame_bytes).freeze();
        let length = frame.split_to(FRAME_HEADER_BYTES).slice(..4);
        let computed = crc32c::crc32c_append(crc32c::crc32c(&length), &frame);
        if computed != sum {
            return Err(FrameError::Checksum { found: sum, computed });
        }
        Ok(Some(frame))
    }

    /// Length and sum, once they have arrived and if the length is allowed.
    fn next_header(&self) -> Result<Option<(usize, u32)>, FrameError> {
        if self.filled < FRAME_HEADER_BYTES {
            return Ok(None);
        }
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| self.buffer[at + i]));
        let bytes = word(0) as usize;
        if bytes > self.frame_bytes_max {
            return Err(FrameError::TooLarge { bytes, bytes_max: self.frame_bytes_max });
        }
        Ok(Some((bytes, word(4))))
    }

    /// A new buffer, with what is left of the old one at its start. Twice what has arrived, but not more than the frame
    /// in progress needs, and at least a block.
    fn grow(&mut self) {
        let needed = match self.next_header() {
            Ok(Some((payload_bytes, _))) => FRAME_HEADER_BYTES + payload_bytes,
            // A header not yet complete, or a bad one that `next_frame` is about to report.
            Ok(None) | Err(_) => 0,
        };
        let twice = self.filled * 2;
        // A frame that is whole, and waits to be given out, says nothing of what comes behind it.
        let bytes = if self.filled < needed { needed.min(twice) } else { twice };
        let bytes = bytes.max(self.block_bytes).max(self.filled + 1);
        let mut buffer = BytesMut::zeroed(bytes);
        buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
        self.buffer = buffer;
    }
}

impl fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How much has arrived, never what: it is whatever people say to each other.
        f.debug_struct("FrameDecoder")
            .field("filled", &self.filled)
            .field("memory_bytes", &self.memory_bytes())
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(payload: &[u8]) -> Vec<u8> {
        let mut bytes = header(&[Bytes::copy_from_slice(payload)]).to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn the_layout_is_pinned() {
        // The sums were computed by hand, bit by bit, from the polynomial.
        let rep = [3, 0, 0, 0, 0xdf, 0xc3, 0xfb, 0xb6, b'r', b'e', b'p'];
        assert_eq!(encoded(b"rep"), rep);
        assert_eq!(encoded(b""), [0, 0, 0, 0, 0xc7, 0x4b, 0x67, 0x48]);
    }

    #[test]
    fn parts_sum_up_as_if_joined() {
        let joined = header(&[Bytes::from_static(b"one two")]);
        let parts = header(&[b"one".as_slice(), b"", b" ", b"two"].map(Bytes::from_static));
        assert_eq!(joined, parts);
    }

    #[test]
    fn a_frame_split_at_every_byte_comes_out_whole() {
        let bytes = [encoded(b"first"), encoded(b""), encoded(b"third frame")].concat();
        for split in 0..=bytes.len() {
            let mut decoder = FrameDecoder::new(64, 16);
            let mut frames = Vec::new();
            for part in [&bytes[..split], &bytes[split..]] {
                decoder.extend(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [b"first".as_slice(), b"", b"third frame"], "split at {split}");
            assert!(!decoder.is_mid_frame());
        }
    }

    #[test]
    fn an_announced_length_costs_no_memory() {
        let mut decoder = FrameDecoder::new(16 << 20, 4096);
        decoder.extend(&(16_u32 << 20).to_le_bytes());
        decoder.extend(&[0; 4]);
        assert_eq!(decoder.next_frame(), Ok(None));
        for arrived in [10_000_usize, 100_000, 1_000_000] {
            decoder.extend(&vec![7; arrived]);
            assert_eq!(decoder.next_frame(), Ok(None));
            assert!(decoder.memory_bytes() <= 2 * (arrived * 2), "{}", decoder.memory_bytes());
        }
    }

    #[test]
    fn many_frames_that_come_before_the_first_is_taken_cost_no_copy_each() {
        // Once the buffer grew by a byte at a time when a whole frame lay at its start: a megabyte was copied a million times.
        let mut decoder = FrameDecoder::new(1000, 64);
        let (frame, mut buffers) = (encoded(&[7; 1000]), 0);
        for _ in 0..1000 {
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let before = decoder.memory_bytes();
                let space = decoder.space();
                let bytes = space.len().min(rest.len());
                space[..bytes].copy_from_slice(&rest[..bytes]);
                decoder.filled(bytes);
                buffers += usize::from(decoder.memory_bytes() != before);
                rest = &rest[bytes..];
            }
        }
        assert!(buffers < 30, "{buffers} buffers");
        for _ in 0..1000 {
            assert_eq!(decoder.next_frame().unwrap().unwrap(), [7; 1000][..]);
        }
        assert_eq!(decoder.next_frame(), Ok(None));
    }

    #[test]
    fn a_length_over_the_bound_and_a_wrong_sum_are_told_apart() {
        let mut decoder = FrameDecoder::new(10, 64);
        decoder.extend(&encoded(b"eleven byte"));
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge { bytes: 11, bytes_max: 10 }));

        let mut decoder = FrameDecoder::new(10, 64);
        let mut bytes = encoded(b"ten bytes!");
        bytes[12] ^= 1;
        decoder.extend(&bytes);
        assert!(matches!(decoder.next_frame(), Err(FrameError::Checksum { .. })));
    }

    #[test]
    fn zeros_are_no_frames() {
        let mut decoder = FrameDecoder::new(10, 64);
        decoder.extend(&[0; 64]);
        assert!(matches!(decoder.next_frame(), Err(FrameError::Checksum { .. })));
    }
}
