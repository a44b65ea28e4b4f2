//! A key that lies in the node itself when it is short.
//!
//! A search compares a handful of keys in each node. Were each on the heap, every comparison would
//! be a cache miss; and copying a node would touch the count of every key in it.

use bytes::Bytes;
use std::ops::Deref;

/// The longest key that lies in the node: what makes a [`Key`] as large as a [`Bytes`].
const INLINE_BYTES: usize = 23;

const _: () = assert!(size_of::<Key>() == size_of::<Bytes>());

#[derive(Clone)]
pub(crate) enum Key {
    Inline { length: u8, bytes: [u8; INLINE_BYTES] },
    Heap(Bytes),
}

impl Key {
    pub(crate) fn copy_of(key: &[u8]) -> Self {
        if key.len() > INLINE_BYTES {
            return Key::Heap(Bytes::copy_from_slice(key));
        }
        let mut bytes = [0; INLINE_BYTES];
        bytes[..key.len()].copy_from_slice(key);
        Key::Inline { length: key.len() as u8, bytes }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Key::Inline { .. } => Bytes::copy_from_slice(self),
            Key::Heap(bytes) => bytes.clone(),
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Key::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Key::Heap(bytes) => bytes,
        }
    }
}
