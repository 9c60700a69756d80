//! Layers as one ordered sequence of rows.

use bytes::Bytes;
use nexus_kernel::{Entry, ScanDirection, Value};
use redb::{AccessGuard, StorageError};

use crate::layout;
use crate::ranges::Ranges;

/// A row of the file: its key, and its value as [`layout`] writes it.
pub(crate) type RowInFile<'a> = (Bytestring<'a>, Bytestring<'a>);

type Bytestring<'a> = AccessGuard<'a, &'static [u8]>;

type Result<T> = std::result::Result<T, StorageError>;

/// A row of one layer.
pub(crate) enum Row<'a> {
    InMemory(&'a Bytes, Option<&'a Value>),
    InFile(Bytestring<'a>, Bytestring<'a>),
}

/// The rows of one layer in the order of the scan, the next one ready.
pub(crate) struct Source<'a> {
    next: Option<Row<'a>>,
    rest: Box<dyn Iterator<Item = Result<Row<'a>>> + 'a>,
    /// What the layer takes away from those below.
    removed: Option<&'a Ranges>,
}

/// The rows that sources show together. The newest source comes first.
pub(crate) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    direction: ScanDirection,
}

impl<'a> Source<'a> {
    pub(crate) fn new(
        rest: Box<dyn Iterator<Item = Result<Row<'a>>> + 'a>,
        removed: Option<&'a Ranges>,
    ) -> Result<Self> {
        let mut source = Self {
            next: None,
            rest,
            removed,
        };
        source.take()?;
        Ok(source)
    }

    fn take(&mut self) -> Result<Option<Row<'a>>> {
        let next = self.rest.next().transpose()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn key(&self) -> Option<&[u8]> {
        self.next.as_ref().map(Row::key)
    }

    fn removes(&self, key: &[u8]) -> bool {
        self.removed.is_some_and(|removed| removed.contains(key))
    }
}

impl<'a> Merge<'a> {
    pub(crate) fn new(sources: Vec<Source<'a>>, direction: ScanDirection) -> Self {
        Self { sources, direction }
    }

    /// The next row that has a value.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'a>>> {
        while let Some(newest) = self.source_of_the_next_key() {
            let row = self.sources[newest].take()?;
            let row = row.expect("the source had a key");
            let (newer, older) = self.sources.split_at_mut(newest);
            for source in &mut older[1..] {
                if source.key() == Some(row.key()) {
                    source.take()?;
                }
            }
            let is_removed = newer.iter().any(|source| source.removes(row.key()));
            if row.has_value() && !is_removed {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Of the sources that have the next key, the newest.
    fn source_of_the_next_key(&self) -> Option<usize> {
        let mut next: Option<(usize, &[u8])> = None;
        for (source, key) in self.sources.iter().map(Source::key).enumerate() {
            let Some(key) = key else { continue };
            let is_before = |other: &[u8]| match self.direction {
                ScanDirection::Forward => key < other,
                ScanDirection::Backward => key > other,
            };
            if next.is_none_or(|(_, first)| is_before(first)) {
                next = Some((source, key));
            }
        }
        next.map(|(source, _)| source)
    }
}

impl Row<'_> {
    fn key(&self) -> &[u8] {
        match self {
            Self::InMemory(key, _) => key,
            Self::InFile(key, _) => key.value(),
        }
    }

    fn has_value(&self) -> bool {
        !matches!(self, Self::InMemory(_, None))
    }

    /// The row for a caller; it has a value.
    pub(crate) fn into_entry(self) -> Result<Entry> {
        match self {
            Self::InMemory(key, value) => Ok(Entry {
                key: key.clone(),
                value: value.expect("a merge shows no tombstones").clone(),
            }),
            Self::InFile(key, row) => Ok(Entry {
                key: Bytes::copy_from_slice(key.value()),
                value: layout::decode(row.value())?,
            }),
        }
    }
}
