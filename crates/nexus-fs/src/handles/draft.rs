//! What has been written to an open file and is not in the store yet.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::pieces::{Piece, Pieces, Spilled};
use crate::etag::Etag;

/// A layer over a stored content, which others may change meanwhile: so it says only what
/// was written, cut off and appended, and everything about the whole takes the length that
/// is stored. Bytes that neither gives are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// Stored bytes from here on no longer count: the least size it was truncated to.
    keep: Option<u64>,
    /// The content is at least this long before what is appended; as long if truncated.
    end: u64,
    written: Pieces,
    /// What comes at the end, wherever that will be. Offsets count from there.
    appended: Pieces,
}

/// Where a part of the content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Written(Bytes),
    /// Written, and moved from memory into the store.
    Spilled(Spilled),
    Stored(Range<u64>),
    Zeros(u64),
}

impl From<Piece> for Part {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Memory(bytes) => Self::Written(bytes),
            Piece::Spilled(spilled) => Self::Spilled(spilled),
        }
    }
}

impl Draft {
    /// How long the content is, over a stored one of `stored` bytes.
    pub(super) fn size(&self, stored: u64) -> u64 {
        self.append_at(stored) + self.appended.end()
    }

    /// Where what is appended begins.
    fn append_at(&self, stored: u64) -> u64 {
        match self.keep {
            Some(_) => self.end,
            None => self.end.max(stored),
        }
    }

    /// Bytes held in memory; never 0.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.written.memory() + self.appended.memory()
    }

    pub(super) fn write(&mut self, offset: u64, bytes: Bytes, stored: u64) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        if end > self.append_at(stored) {
            self.pin(stored);
        }
        self.written.write(offset, bytes);
        self.end = self.end.max(end);
    }

    pub(super) fn append(&mut self, bytes: Bytes) {
        self.appended.write(self.appended.end(), bytes);
    }

    pub(super) fn truncate(&mut self, size: u64, stored: u64) {
        self.pin(stored);
        self.written.clear(size..u64::MAX);
        self.keep = Some(self.keep.map_or(size, |keep| keep.min(size)));
        self.end = size;
    }

    /// Gives what was appended the place that it has over a content of `stored` bytes, for
    /// good.
    pub(super) fn pin(&mut self, stored: u64) {
        let at = self.append_at(stored);
        let appended = std::mem::take(&mut self.appended);
        if appended.is_empty() {
            return;
        }
        self.end = at + appended.end();
        for (offset, piece) in appended.within(0..u64::MAX) {
            self.written.put(at + offset, piece);
        }
    }

    /// Drops what was written from memory where the content from `start` on is in the store
    /// now, as a chunk of `length` bytes.
    pub(super) fn spill(&mut self, start: u64, chunk: Etag, length: u64, stored: u64) {
        let border = self.append_at(stored);
        let end = start + length;
        if start < border {
            self.written.spill(start..end.min(border), chunk, 0);
        }
        if end > border {
            let from = start.max(border);
            let skipped = usize::try_from(from - start).expect("within a chunk");
            let range = from - border..end - border;
            self.appended.spill(range, chunk, skipped);
        }
    }

    /// What makes up a range of the content, which is cut at the end, over a stored content
    /// of `stored` bytes.
    pub(super) fn parts(&self, range: Range<u64>, stored: u64) -> Vec<Part> {
        let border = self.append_at(stored);
        let keep = self.keep.map_or(stored, |keep| keep.min(stored));
        let end = range.end.min(border);
        let mut parts = Vec::new();
        let mut at = range.start;
        for (offset, piece) in self.written.within(range.start..end) {
            below(&mut parts, at..offset, keep);
            at = offset + piece.len() as u64;
            parts.push(piece.into());
        }
        below(&mut parts, at..end, keep);
        let after = range.start.saturating_sub(border)..range.end.saturating_sub(border);
        let appended = self.appended.within(after);
        parts.extend(appended.map(|(_, piece)| piece.into()));
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
