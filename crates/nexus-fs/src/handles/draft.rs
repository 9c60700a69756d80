//! What has been written to an open file and is not in the store yet.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// A layer over a stored content: which beginning of it still counts, what was written over
/// it, and how long the whole is. Bytes that neither gives are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// Stored bytes from here on no longer count.
    keep: u64,
    size: u64,
    /// Written pieces by offset; they do not overlap.
    pieces: BTreeMap<u64, Bytes>,
    bytes: usize,
}

/// Where a part of the content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Written(Bytes),
    Stored(Range<u64>),
    Zeros(u64),
}

impl Draft {
    /// Nothing written over a content of `size`.
    pub(super) fn over(size: u64) -> Self {
        Self {
            keep: size,
            size,
            ..Self::default()
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes held in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn write(&mut self, offset: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        self.clear(offset..end);
        self.bytes += bytes.len();
        self.pieces.insert(offset, bytes);
        self.size = self.size.max(end);
    }

    pub(super) fn truncate(&mut self, size: u64) {
        if size < self.size {
            self.clear(size..u64::MAX);
            self.keep = self.keep.min(size);
        }
        self.size = size;
    }

    /// Cuts written pieces out of a range.
    fn clear(&mut self, range: Range<u64>) {
        let before = self.pieces.range(..range.start).next_back();
        let first = before.map_or(range.start, |(offset, _)| *offset);
        let touched: Vec<u64> = self
            .pieces
            .range(first..range.end)
            .map(|(offset, _)| *offset)
            .collect();
        for offset in touched {
            let piece = self.pieces.remove(&offset).expect("just listed");
            self.bytes -= piece.len();
            let end = offset + piece.len() as u64;
            if offset < range.start {
                self.keep_part(offset, &piece, offset..range.start.min(end));
            }
            if end > range.end {
                self.keep_part(offset, &piece, range.end..end);
            }
        }
    }

    fn keep_part(&mut self, offset: u64, piece: &Bytes, part: Range<u64>) {
        let index = |at: u64| usize::try_from(at - offset).expect("within a piece in memory");
        let kept = piece.slice(index(part.start)..index(part.end));
        self.bytes += kept.len();
        self.pieces.insert(part.start, kept);
    }

    /// What makes up a range of the content, which is cut at the end, over a stored content
    /// of `stored` bytes.
    pub(super) fn parts(&self, range: Range<u64>, stored: u64) -> Vec<Part> {
        let end = range.end.min(self.size);
        let keep = self.keep.min(stored);
        let mut parts = Vec::new();
        let mut at = range.start;
        let before = self
            .pieces
            .range(..=at)
            .next_back()
            .map_or(at, |(offset, _)| *offset);
        for (offset, piece) in self.pieces.range(before..) {
            let piece_end = offset + piece.len() as u64;
            if piece_end <= at {
                continue;
            }
            if *offset >= end {
                break;
            }
            below(&mut parts, at..*offset, keep);
            let index = |at: u64| usize::try_from(at - offset).expect("within a piece in memory");
            let from = at.max(*offset);
            parts.push(Part::Written(
                piece.slice(index(from)..index(piece_end.min(end))),
            ));
            at = piece_end;
        }
        below(&mut parts, at..end, keep);
        parts
    }
}

/// The part of a range that lies under no written piece.
fn below(parts: &mut Vec<Part>, range: Range<u64>, keep: u64) {
    if range.is_empty() {
        return;
    }
    let border = keep.clamp(range.start, range.end);
    if border > range.start {
        parts.push(Part::Stored(range.start..border));
    }
    if range.end > border {
        parts.push(Part::Zeros(range.end - border));
    }
}

/// `count` zeros.
pub(super) fn zeros(count: u64) -> Bytes {
    BytesMut::zeroed(usize::try_from(count).expect("a part of a read or piece")).freeze()
}

#[cfg(test)]
mod tests;
