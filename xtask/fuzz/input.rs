//! Bytes read as choices and numbers.

/// What is left of some bytes. Whatever they are they say something: where they end, zeros follow.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn is(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of so many choices.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// A number: mostly a small one, now and then any.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::from_le_bytes(self.array()),
            254 => u64::MAX - u64::from(self.byte()),
            small => u64::from(small),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// The next bytes, as many as are there.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Bytes behind their length, a byte.
    pub(crate) fn short(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.take(usize::from(count))
    }

    /// Bytes behind their length, two bytes.
    pub(crate) fn long(&mut self) -> &'a [u8] {
        let count = self.word();
        self.take(usize::from(count))
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// All that is left, in pieces whose lengths come from `lengths`, over and over.
    pub(crate) fn pieces(&mut self, lengths: &[u8]) -> Vec<&'a [u8]> {
        let mut lengths = lengths.iter().copied().cycle();
        let mut pieces = Vec::new();
        while !self.is_empty() {
            // Above 200 a piece is long: most reads bring much, and the bounds of buffers want to be crossed.
            let length = match lengths.next().unwrap_or(u8::MAX) {
                small @ 0..=200 => usize::from(small) + 1,
                large => (usize::from(large) - 200) * 131,
            };
            pieces.push(self.take(length));
        }
        pieces
    }
}
