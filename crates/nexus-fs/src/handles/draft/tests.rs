use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::prelude::*;

use super::{Draft, Part, zeros};
use crate::etag::{Etag, HashAlgorithm};
use crate::handles::pieces::Spilled;

#[derive(Clone, Debug)]
enum Change {
    Write(u8, Vec<u8>),
    Append(Vec<u8>),
    Truncate(u8),
    /// Somebody else makes the stored content longer.
    Grow(Vec<u8>),
    /// Somebody else cuts the stored content.
    Cut(u8),
    Pin,
    /// So many bytes from there on are stored as a chunk.
    Spill(u8, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let some = || prop::collection::vec(1..=u8::MAX, 0..40);
    prop_oneof![
        3 => (any::<u8>(), some()).prop_map(|(at, bytes)| Change::Write(at, bytes)),
        2 => some().prop_map(Change::Append),
        1 => any::<u8>().prop_map(Change::Truncate),
        1 => some().prop_map(Change::Grow),
        1 => any::<u8>().prop_map(Change::Cut),
        1 => Just(Change::Pin),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(at, length)| Change::Spill(at, length)),
    ]
}

/// The same, byte by byte.
#[derive(Default)]
struct Model {
    stored: Vec<u8>,
    own: BTreeMap<usize, u8>,
    keep: Option<usize>,
    end: usize,
    tail: Vec<u8>,
}

impl Model {
    fn head_size(&self) -> usize {
        match self.keep {
            Some(_) => self.end,
            None => self.end.max(self.stored.len()),
        }
    }

    fn content(&self) -> Vec<u8> {
        let keep = self.keep.unwrap_or(usize::MAX);
        let stored = |at| self.stored.get(at).copied().filter(|_| at < keep);
        let byte = |at: usize| self.own.get(&at).copied().or_else(|| stored(at));
        let head = (0..self.head_size()).map(|at| byte(at).unwrap_or(0));
        head.chain(self.tail.iter().copied()).collect()
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let own = bytes.iter().enumerate().map(|(i, byte)| (at + i, *byte));
        self.own.extend(own);
        self.end = self.end.max(at + bytes.len());
    }

    fn pin(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.write(self.head_size(), &tail);
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write(_, bytes) if bytes.is_empty() => {}
            Change::Write(at, bytes) => {
                let at = usize::from(*at);
                if at + bytes.len() > self.head_size() {
                    self.pin();
                }
                self.write(at, bytes);
            }
            Change::Append(bytes) => self.tail.extend(bytes),
            Change::Truncate(size) => {
                self.pin();
                let size = usize::from(*size);
                self.own.retain(|at, _| *at < size);
                self.keep = Some(self.keep.unwrap_or(size).min(size));
                self.end = size;
            }
            Change::Grow(bytes) => self.stored.extend(bytes),
            Change::Cut(size) => self.stored.truncate(usize::from(*size)),
            Change::Pin => self.pin(),
            Change::Spill(..) => {}
        }
    }
}

/// Chunks by their etags.
type Chunks = HashMap<Etag, Vec<u8>>;

fn apply(draft: &mut Draft, change: &Change, stored: &[u8], chunks: &mut Chunks) {
    let size = stored.len() as u64;
    match change {
        Change::Write(at, bytes) => {
            draft.write(u64::from(*at), Bytes::copy_from_slice(bytes), size);
        }
        Change::Append(bytes) => draft.append(Bytes::copy_from_slice(bytes)),
        Change::Truncate(at) => draft.truncate(u64::from(*at), size),
        Change::Pin => draft.pin(size),
        Change::Spill(at, length) => {
            let (from, length) = (u64::from(*at), u64::from(*length));
            let chunk = read(draft, from, from + length, stored, chunks);
            let etag = Etag::of(HashAlgorithm::Blake3, &chunk);
            draft.spill(from, etag, chunk.len() as u64, size);
            chunks.insert(etag, chunk);
        }
        Change::Grow(_) | Change::Cut(_) => {}
    }
}

fn read(draft: &Draft, from: u64, to: u64, stored: &[u8], chunks: &Chunks) -> Vec<u8> {
    let parts = draft.parts(from..to, stored.len() as u64);
    let bytes = parts.into_iter().flat_map(|part| match part {
        Part::Written(bytes) => bytes,
        Part::Stored(range) => {
            Bytes::copy_from_slice(&stored[range.start as usize..range.end as usize])
        }
        Part::Zeros(count) => zeros(count),
        Part::Spilled(Spilled { chunk, range }) => Bytes::copy_from_slice(&chunks[&chunk][range]),
    });
    bytes.collect()
}

proptest! {
    #[test]
    fn a_draft_reads_like_the_array_it_stands_for(
        stored in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec(change(), 0..20),
        from in 0..300_u64,
        length in 0..100_u64,
    ) {
        let mut model = Model { stored, ..Model::default() };
        let (mut draft, mut chunks) = (Draft::default(), Chunks::new());
        for change in &changes {
            apply(&mut draft, change, &model.stored, &mut chunks);
            model.apply(change);
            let bytes = model.own.len() + model.tail.len();
            let least = if chunks.is_empty() { bytes } else { 0 };
            prop_assert!((least..=bytes * 130 + 200).contains(&draft.memory()));
        }
        let (stored, expected) = (&model.stored, model.content());
        prop_assert_eq!(draft.size(stored.len() as u64), expected.len() as u64);
        prop_assert_eq!(&read(&draft, 0, u64::MAX, stored, &chunks), &expected);
        let part = read(&draft, from, from + length, stored, &chunks);
        let clamp = |at: u64| (at as usize).min(expected.len());
        prop_assert_eq!(&part[..], &expected[clamp(from)..clamp(from + length)]);
    }
}

#[test]
fn many_small_writes_in_a_row_take_little_more_than_their_bytes() {
    let (mut draft, count) = (Draft::default(), 300_000);
    for at in 0..count {
        draft.write(at, Bytes::from_static(b"w"), 0);
    }
    for _ in 0..count {
        draft.append(Bytes::from_static(b"a"));
    }
    assert!(draft.memory() < 700_000, "{}", draft.memory());
    assert_eq!(draft.size(0), 2 * count);
}

#[test]
fn what_is_spilled_takes_no_memory_to_speak_of() {
    let (mut draft, chunk) = (Draft::default(), Etag::of(HashAlgorithm::Blake3, b""));
    for at in 0..100 {
        draft.write(at * 1_000, Bytes::from(vec![7; 1_000]), 0);
    }
    draft.spill(500, chunk, 99_000, 0);
    assert!(draft.memory() < 3_000, "{}", draft.memory());
    let parts = draft.parts(0..100_000, 0);
    let spilled = Spilled {
        chunk,
        range: 0..99_000,
    };
    assert_eq!(parts[1], Part::Spilled(spilled));
    assert_eq!(parts.len(), 3);
}
