//! Long values in two pieces, so that their pages are full.
//!
//! The engine puts a pair that is longer than a page alone on 2, 4, 8 or more of them: 4 KiB and a little take 8 KiB of the disk
//! and of the cache. So a value that reaches a little beyond so many pages is cut. Its *head* fills them to the last byte, and its
//! *tail* lies in a table of tails, many to a page. Only a value that fills its pages to the last byte may go on elsewhere, so
//! that nobody else looks there.

/// A page of the engine. Were it another one, space would be wasted and nothing be wrong.
const PAGE_BYTES: usize = 4 << 10;
/// What a page says beside its only pair.
const HEADER_BYTES: usize = 12;
/// Values with longer keys are not cut: the key lies beside the tail once more.
const KEY_BYTES_MAX: usize = 1 << 10;
/// A tail is cut off if it is no longer than this part of what its head fills. Longer ones would fill pages of tails no better.
const TAIL_PART: usize = 4;

/// Head and tail of a value, if it is to be cut.
pub(super) fn cut<'a>(key: &[u8], value: &'a [u8]) -> (&'a [u8], Option<&'a [u8]>) {
    let bytes = HEADER_BYTES + key.len() + value.len();
    if bytes <= PAGE_BYTES || key.len() > KEY_BYTES_MAX {
        return (value, None);
    }
    let filled = 1 << bytes.ilog2();
    let tail_bytes = bytes - filled;
    if tail_bytes == 0 || tail_bytes > filled / TAIL_PART {
        return (value, None);
    }
    let (head, tail) = value.split_at(value.len() - tail_bytes);
    (head, Some(tail))
}

/// Whether a value that is stored under the key may have a tail.
pub(super) fn may_go_on(key: &[u8], stored: &[u8]) -> bool {
    let bytes = HEADER_BYTES + key.len() + stored.len();
    bytes >= PAGE_BYTES && bytes.is_power_of_two() && key.len() <= KEY_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_cut_goes_on_and_is_whole_again() {
        let value: Vec<u8> = (0..70_000_u32).map(|at| at as u8).collect();
        for key in [0, 1, 8, 500, KEY_BYTES_MAX, KEY_BYTES_MAX + 1, 5_000] {
            let key = vec![7; key];
            let mut cuts = 0;
            for length in 0..value.len() {
                let value = &value[..length];
                let (head, tail) = cut(&key, value);
                let Some(tail) = tail else {
                    assert_eq!(head, value);
                    continue;
                };
                assert!(!tail.is_empty() && may_go_on(&key, head), "{} of {length}", head.len());
                assert_eq!([head, tail].concat(), value);
                cuts += 1;
            }
            assert_eq!(cuts > 0, key.len() <= KEY_BYTES_MAX, "keys of {} bytes", key.len());
        }
    }

    #[test]
    fn a_value_is_cut_where_its_pages_are_full() {
        let lengths = |value: usize| {
            let value = vec![7; value];
            let (head, tail) = cut(b"key-0001", &value);
            (head.len(), tail.map_or(0, <[u8]>::len))
        };
        assert_eq!(lengths(4_000), (4_000, 0));
        assert_eq!(lengths(4_076), (4_076, 0), "it fills its page, and no more");
        assert_eq!(lengths(4_096), (4_076, 20));
        assert_eq!(lengths(5_100), (4_076, 1_024));
        assert_eq!(lengths(5_101), (5_101, 0), "three of four pages are full enough");
        assert_eq!(lengths(8_192), (8_172, 20));
    }
}
