//! Byte strings by where they lie; they do not overlap. They are in memory, or in a chunk that
//! is in the store already.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::etag::Etag;

/// What a piece takes beside its bytes.
const PIECE_OVERHEAD_BYTES: usize = 128;
/// Pieces that lie side by side are joined up to this size.
const JOINED_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    by_offset: BTreeMap<u64, Piece>,
    /// What those in memory take.
    memory: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Memory(Bytes),
    Spilled(Spilled),
}

/// A part of a chunk that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spilled {
    pub chunk: Etag,
    pub range: Range<usize>,
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Spilled(spilled) => spilled.range.len(),
        }
    }

    /// That of a spilled one is nothing beside what it stands for.
    fn memory(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len() + PIECE_OVERHEAD_BYTES,
            Self::Spilled(_) => 0,
        }
    }

    fn slice(&self, part: Range<usize>) -> Self {
        match self {
            Self::Memory(bytes) => Self::Memory(bytes.slice(part)),
            Self::Spilled(Spilled { chunk, range }) => Self::Spilled(Spilled {
                chunk: *chunk,
                range: range.start + part.start..range.start + part.end,
            }),
        }
    }
}

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }

    /// Where the last one ends.
    pub(super) fn end(&self) -> u64 {
        let last = self.by_offset.last_key_value();
        last.map_or(0, |(offset, piece)| end_of(*offset, piece))
    }

    /// Bytes held in memory, with what each piece takes beside its own.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn write(&mut self, offset: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.clear(offset..offset + bytes.len() as u64);
        match self.take_before(offset, bytes.len()) {
            Some((start, before)) => self.insert(start, Piece::Memory(joined(before, &bytes))),
            None => self.insert(offset, Piece::Memory(bytes)),
        }
    }

    /// Moves a piece in from elsewhere.
    pub(super) fn put(&mut self, offset: u64, piece: Piece) {
        match piece {
            Piece::Memory(bytes) => self.write(offset, bytes),
            Piece::Spilled(_) => {
                self.clear(offset..offset + piece.len() as u64);
                self.insert(offset, piece);
            }
        }
    }

    /// Drops from memory what lies in a range, for it is in the store now, in `chunk` from
    /// `start` on.
    pub(super) fn spill(&mut self, range: Range<u64>, chunk: Etag, start: usize) {
        let in_memory: Vec<Range<u64>> = self
            .touching(range.start, range.end)
            .filter(|(_, piece)| matches!(piece, Piece::Memory(_)))
            .map(|(offset, piece)| offset.max(range.start)..end_of(offset, piece).min(range.end))
            .collect();
        for part in in_memory {
            self.clear(part.clone());
            let start = start + index(part.start - range.start);
            let range = start..start + index(part.end - part.start);
            let (offset, range) = self.take_spilled_before(part.start, chunk, range);
            self.insert(offset, Piece::Spilled(Spilled { chunk, range }));
        }
    }

    /// Takes out the piece that ends at `offset`, if it comes right before `range` in the same
    /// chunk; answers where both together lie.
    fn take_spilled_before(
        &mut self,
        offset: u64,
        chunk: Etag,
        range: Range<usize>,
    ) -> (u64, Range<usize>) {
        let before = self.by_offset.range(..offset).next_back();
        let Some((at, Piece::Spilled(before))) = before else {
            return (offset, range);
        };
        let (at, from) = (*at, before.range.start);
        let touches = at + before.range.len() as u64 == offset;
        if !touches || before.chunk != chunk || before.range.end != range.start {
            return (offset, range);
        }
        self.remove(at);
        (at, from..range.end)
    }

    /// Takes out the piece that ends at `offset`, if `more` bytes can be joined to it.
    fn take_before(&mut self, offset: u64, more: usize) -> Option<(u64, Bytes)> {
        let (start, piece) = self.by_offset.range(..offset).next_back()?;
        let (start, length) = (*start, piece.len());
        let joins = start + length as u64 == offset && length + more <= JOINED_BYTES_MAX;
        if !joins || matches!(piece, Piece::Spilled(_)) {
            return None;
        }
        match self.remove(start) {
            Piece::Memory(piece) => Some((start, piece)),
            Piece::Spilled(_) => None,
        }
    }

    fn insert(&mut self, offset: u64, piece: Piece) {
        self.memory += piece.memory();
        self.by_offset.insert(offset, piece);
    }

    /// Takes out a piece that is there.
    fn remove(&mut self, offset: u64) -> Piece {
        let piece = self.by_offset.remove(&offset).expect("just found");
        self.memory -= piece.memory();
        piece
    }

    /// Cuts pieces out of a range.
    pub(super) fn clear(&mut self, range: Range<u64>) {
        let touched: Vec<u64> = self
            .touching(range.start, range.end)
            .map(|(offset, _)| offset)
            .collect();
        for offset in touched {
            let piece = self.remove(offset);
            let end = end_of(offset, &piece);
            if offset < range.start {
                self.insert(offset, rest(offset, &piece, offset..range.start));
            }
            if end > range.end {
                self.insert(range.end, rest(offset, &piece, range.end..end));
            }
        }
    }

    /// The pieces within a range, cut at its ends, in order, with their offsets.
    pub(super) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (u64, Piece)> {
        self.touching(range.start, range.end)
            .map(move |(offset, piece)| {
                let end = end_of(offset, piece);
                let (from, to) = (offset.max(range.start), end.min(range.end));
                (from, part(offset, piece, from..to))
            })
    }

    fn touching(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Piece)> {
        let before = self.by_offset.range(..start).next_back();
        let reaches = |offset: u64, piece: &Piece| end_of(offset, piece) > start;
        let before = before.filter(|(offset, piece)| start < end && reaches(**offset, piece));
        let rest = self.by_offset.range(start..end.max(start));
        let all = before.into_iter().chain(rest);
        all.map(|(offset, piece)| (*offset, piece))
    }
}

fn end_of(offset: u64, piece: &Piece) -> u64 {
    offset + piece.len() as u64
}

fn index(within: u64) -> usize {
    usize::try_from(within).expect("within a piece in memory, or a chunk")
}

fn part(offset: u64, piece: &Piece, part: Range<u64>) -> Piece {
    piece.slice(index(part.start - offset)..index(part.end - offset))
}

/// A part that stays of a piece; copied if it would keep a much larger buffer in memory.
fn rest(offset: u64, piece: &Piece, range: Range<u64>) -> Piece {
    match part(offset, piece, range) {
        Piece::Memory(rest) if rest.len() < piece.len() / 2 => {
            Piece::Memory(Bytes::copy_from_slice(&rest))
        }
        rest => rest,
    }
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
