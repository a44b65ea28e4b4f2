//! The driver's own frame: the first one on a PEER channel, from each side, says what the sender announces about itself.
//!
//! Version byte 1, then postcard of the names and values. At most 4 KiB, of which 1 KiB may be names and values.

use crate::member::{ATTRIBUTES_BYTES_MAX, Attributes, attributes_bytes};
use bytes::Bytes;

const VERSION: u8 = 1;
const FRAME_BYTES_MAX: usize = 4096;

pub(crate) fn encode(attributes: &Attributes) -> Bytes {
    let mut frame = vec![VERSION];
    frame.extend(postcard::to_stdvec(attributes).expect("plain data is encodable"));
    frame.into()
}

/// Reads what a peer sent; `None` if it cannot be that.
pub(crate) fn decode(frame: &[u8]) -> Option<Attributes> {
    let (version, body) = frame.split_first()?;
    if *version != VERSION || frame.len() > FRAME_BYTES_MAX {
        return None;
    }
    let (attributes, rest): (Attributes, _) = postcard::take_from_bytes(body).ok()?;
    (rest.is_empty() && attributes_bytes(&attributes) <= ATTRIBUTES_BYTES_MAX).then_some(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_is_read_and_anything_else_is_refused() {
        let attributes = Attributes::from([("resp".to_owned(), "127.0.0.1:6379".to_owned())]);
        let frame = encode(&attributes);
        assert_eq!(decode(&frame), Some(attributes));
        assert_eq!(
            (decode(b""), decode(&frame[1..]), decode(&frame[..frame.len() - 1])),
            (None, None, None)
        );
        assert_eq!(decode(&[&frame[..], b"x"].concat()), None);
        let too_long = Attributes::from([("a".to_owned(), "x".repeat(ATTRIBUTES_BYTES_MAX))]);
        assert_eq!(decode(&encode(&too_long)), None);
        assert_eq!(decode(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
    }
}
