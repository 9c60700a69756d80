//! Byte strings in memory by where they lie; they do not overlap.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// What a piece takes beside its bytes.
const PIECE_OVERHEAD_BYTES: usize = 128;
/// Pieces that lie side by side are joined up to this size.
const JOINED_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    by_offset: BTreeMap<u64, Bytes>,
    bytes: usize,
}

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }

    /// Where the last one ends.
    pub(super) fn end(&self) -> u64 {
        let last = self.by_offset.last_key_value();
        last.map_or(0, |(offset, piece)| offset + piece.len() as u64)
    }

    /// Bytes held in memory, with what each piece takes beside its own.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.by_offset.len() * PIECE_OVERHEAD_BYTES
    }

    pub(super) fn write(&mut self, offset: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.clear(offset..offset + bytes.len() as u64);
        match self.take_before(offset, bytes.len()) {
            Some((start, before)) => self.insert(start, joined(before, &bytes)),
            None => self.insert(offset, bytes),
        }
    }

    /// Takes out the piece that ends at `offset`, if `more` bytes can be joined to it.
    fn take_before(&mut self, offset: u64, more: usize) -> Option<(u64, Bytes)> {
        let (start, piece) = self.by_offset.range(..offset).next_back()?;
        let (start, length) = (*start, piece.len());
        if start + length as u64 != offset || length + more > JOINED_BYTES_MAX {
            return None;
        }
        let piece = self.by_offset.remove(&start).expect("just found");
        self.bytes -= length;
        Some((start, piece))
    }

    fn insert(&mut self, offset: u64, piece: Bytes) {
        self.bytes += piece.len();
        self.by_offset.insert(offset, piece);
    }

    /// Cuts pieces out of a range.
    pub(super) fn clear(&mut self, range: Range<u64>) {
        let touched: Vec<u64> = self
            .touching(range.start, range.end)
            .map(|(offset, _)| offset)
            .collect();
        for offset in touched {
            let piece = self.by_offset.remove(&offset).expect("just listed");
            self.bytes -= piece.len();
            let end = offset + piece.len() as u64;
            if offset < range.start {
                self.insert(offset, rest(offset, &piece, offset..range.start));
            }
            if end > range.end {
                self.insert(range.end, rest(offset, &piece, range.end..end));
            }
        }
    }

    /// The pieces within a range, cut at its ends, in order, with their offsets.
    pub(super) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (u64, Bytes)> {
        self.touching(range.start, range.end)
            .map(move |(offset, piece)| {
                let end = offset + piece.len() as u64;
                let (from, to) = (offset.max(range.start), end.min(range.end));
                (from, part(offset, piece, from..to))
            })
    }

    fn touching(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let before = self.by_offset.range(..start).next_back();
        let reaches = |offset: u64, piece: &Bytes| offset + piece.len() as u64 > start;
        let before = before.filter(|(offset, piece)| start < end && reaches(**offset, piece));
        let rest = self.by_offset.range(start..end.max(start));
        let all = before.into_iter().chain(rest);
        all.map(|(offset, piece)| (*offset, piece))
    }
}

fn part(offset: u64, piece: &Bytes, part: Range<u64>) -> Bytes {
    let index = |at: u64| usize::try_from(at - offset).expect("within a piece in memory");
    piece.slice(index(part.start)..index(part.end))
}

/// A part that stays of a piece; copied if it would keep a much larger buffer in memory.
fn rest(offset: u64, piece: &Bytes, range: Range<u64>) -> Bytes {
    let rest = part(offset, piece, range);
    if rest.len() < piece.len() / 2 {
        return Bytes::copy_from_slice(&rest);
    }
    rest
}

/// Appends in place, unless somebody reads the piece just now.
fn joined(piece: Bytes, more: &[u8]) -> Bytes {
    let mut whole = piece.try_into_mut().unwrap_or_else(|shared| {
        let mut copy = BytesMut::with_capacity(shared.len() + more.len());
        copy.extend_from_slice(&shared);
        copy
    });
    whole.extend_from_slice(more);
    whole.freeze()
}
