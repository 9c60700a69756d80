//! Choices and contents that follow from a seed.

use std::io::{self, Read};

use bytes::Bytes;

/// `SplitMix64`: the same seed gives the same choices, on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The choices that follow from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        usize::try_from(self.number() % end).expect("it is below a usize")
    }

    /// So many bytes, none like the other.
    #[must_use]
    pub fn content(&mut self, length: usize) -> Bytes {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes.into()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.number().to_le_bytes()[..piece.len()]);
        }
    }
}

/// Bytes without end, made as they are read. What comes does not depend on how it is read.
impl Read for Random {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let whole = buffer.len() / 8 * 8;
        self.fill(&mut buffer[..whole]);
        Ok(whole)
    }
}
