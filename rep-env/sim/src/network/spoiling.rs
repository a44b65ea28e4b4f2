//! Bytes that change on the way: what a wire carries of a frame, spoilt, and what the shipped decoder makes of it.
//!
//! A bad cable, or a box that makes its own checksums, changes bits, loses bytes, or puts some of one packet into another. Nobody may ever be
//! given such a frame: a message that says what nobody said is worse than none.

use super::{Frame, Network};
use crate::oracle::{Checked, Invariant, ensure};
use crate::rng::Rng;
use bytes::{BufMut, Bytes, BytesMut};
use rep_net::frame::{FrameDecoder, header};

/// Longer than any frame of the workload, as a length that is not true may be too.
const FRAME_BYTES_MAX: usize = 1 << 20;
const BLOCK_BYTES: usize = 4 << 10;

impl Network {
    /// The frame as it is on the wire, and something wrong with it. What, hangs on its name alone, so that a frame of a list is spoilt as it was.
    pub(super) fn spoil(frame: Frame, payload: &Bytes) -> Bytes {
        let mut wire = BytesMut::with_capacity(payload.len() + 8);
        wire.put_slice(&header(std::slice::from_ref(payload)));
        wire.put_slice(payload);
        let ends = u64::from(frame.from.get()) << 32 | u64::from(frame.to.get());
        let rng = &mut Rng::split(frame.number ^ ends.rotate_left(20), "spoil");
        let len = wire.len();
        let at = rng.below(len as u64) as usize;
        match rng.below(5) {
            0 => wire.truncate(at),
            1 => wire[at..].iter_mut().for_each(|byte| *byte = !*byte),
            2 => wire.rotate_left(at.max(1)),
            3 => wire[at] = wire[at].wrapping_add(1 + rng.below(255) as u8),
            _ => wire[at] ^= 1 << rng.below(8),
        }
        wire.freeze()
    }
}

/// N-1: the decoder gives such a frame to nobody.
pub(crate) fn is_refused(wire: &[u8]) -> Checked {
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX, BLOCK_BYTES);
    decoder.extend(wire);
    let given = decoder.next_frame().ok().flatten();
    ensure(given.is_none(), Invariant::FrameIntegrity, || {
        format!("a frame that has changed on the way is taken for one: {given:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use rep_node::Service;

    #[test]
    fn whatever_is_done_to_a_frame_is_noticed() {
        let payload = Bytes::from_static(b"a message that somebody has sent");
        let (from, to) = (Machine::new(1), Machine::new(2));
        for number in 0..5_000 {
            let wire = Network::spoil(Frame { from, to, service: Service::Peer, number }, &payload);
            assert!(is_refused(&wire).is_ok(), "{wire:?}");
        }
    }
}
