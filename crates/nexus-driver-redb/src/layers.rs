//! What readers see: memtables over a state of the file.

use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{KeyRange, Restoring, Revision, ScanDirection, Value};
use parking_lot::RwLock;
use redb::{AccessGuard, Database, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageError};

use crate::layout::{self, ROWS, bounds};
use crate::memtable::Memtable;
use crate::merge::{Merge, Row, RowInFile, Source};
use crate::open::Opened;
use crate::recent::Ids;
use crate::snapshots::Snapshots;

type Result<T, E = StorageError> = std::result::Result<T, E>;

/// The state that readers see, until the store is closed. Only the committer changes it.
pub(crate) type Shared = Arc<RwLock<Option<View>>>;

/// One state of the store.
pub(crate) struct View {
    pub(crate) opened: Arc<Opened>,
    /// Takes new commits.
    pub(crate) active: Memtable,
    pub(crate) below: Arc<Below>,
    pub(crate) revision: Revision,
    pub(crate) snapshots: Snapshots,
    /// While one has begun and not ended, nothing else is served.
    pub(crate) restoring: Option<Restoring>,
}

/// What does not change under a reader: it may be read without a lock.
pub(crate) struct Below {
    /// On its way into the file.
    pub(crate) sealed: Option<Sealed>,
    pub(crate) base: Arc<Base>,
}

/// A memtable that takes nothing more.
pub(crate) struct Sealed {
    pub(crate) changes: Memtable,
    pub(crate) ids: Option<Ids>,
    pub(crate) newest: Revision,
}

/// The rows of the file after some durable commit.
pub(crate) struct Base(ReadOnlyTable<&'static [u8], &'static [u8]>);

/// Memtables, the newest first, over the rows of the file.
#[derive(Clone, Copy)]
pub(crate) struct Layers<'a> {
    pub(crate) memtables: &'a [&'a Memtable],
    pub(crate) base: &'a Base,
}

impl View {
    pub(crate) fn new(
        opened: Opened,
        revision: Revision,
        restoring: Option<Restoring>,
    ) -> Result<Self, redb::Error> {
        let base = Base::newest(&opened.db)?;
        Ok(Self {
            opened: Arc::new(opened),
            active: Memtable::default(),
            below: Arc::new(Below::from(base)),
            revision,
            snapshots: Snapshots::default(),
            restoring,
        })
    }

    pub(crate) fn sealed(&self) -> Option<&Sealed> {
        self.below.sealed.as_ref()
    }

    /// The memtables, the newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Memtable> {
        std::iter::once(&self.active).chain(self.below.memtable())
    }
}

impl From<Base> for Below {
    fn from(base: Base) -> Self {
        let base = Arc::new(base);
        Self { sealed: None, base }
    }
}

impl Below {
    pub(crate) fn memtable(&self) -> Option<&Memtable> {
        self.sealed.as_ref().map(|sealed| &sealed.changes)
    }
}

impl Base {
    /// The state after the last commit of redb.
    pub(crate) fn newest(db: &Database) -> Result<Self, redb::Error> {
        Ok(Self(db.begin_read()?.open_table(ROWS)?))
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.look(key, |row| row.map(layout::decode).transpose())?
    }

    fn look<T>(&self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> Result<T> {
        let row = ReadableTable::get(&self.0, key)?;
        Ok(see(row.as_ref().map(AccessGuard::value)))
    }
}

impl<'a> Layers<'a> {
    /// Shows the revision and the bytes of `key`'s value to `see`.
    pub(crate) fn look<T>(
        &self,
        key: &[u8],
        see: impl FnOnce(Option<(Revision, &[u8])>) -> T,
    ) -> Result<T> {
        let mut memtables = self.memtables.iter();
        match memtables.find_map(|memtable| memtable.get(key)) {
            Some(value) => Ok(see(value.map(|value| (value.revision, &value.bytes[..])))),
            None => self
                .base
                .look(key, |row| row.map(layout::split).transpose().map(see))?,
        }
    }

    /// The rows of a range that have a value.
    pub(crate) fn rows(&self, range: &KeyRange, direction: ScanDirection) -> Result<Merge<'a>> {
        let mut sources = Vec::with_capacity(self.memtables.len() + 1);
        for memtable in self.memtables.iter().filter(|layer| !layer.is_empty()) {
            let rows = memtable.range(range).map(in_memory);
            let rows = in_order(rows, direction);
            sources.push(Source::new(rows, Some(memtable.removed()))?);
        }
        let rows = ReadableTable::range(&self.base.0, bounds(range))?;
        let rows = in_order(rows.map(in_file), direction);
        sources.push(Source::new(rows, None)?);
        Ok(Merge::new(sources, direction))
    }
}

fn in_order<'a, T>(
    rows: impl DoubleEndedIterator<Item = T> + 'a,
    direction: ScanDirection,
) -> Box<dyn Iterator<Item = T> + 'a> {
    match direction {
        ScanDirection::Forward => Box::new(rows),
        ScanDirection::Backward => Box::new(rows.rev()),
    }
}

fn in_file(row: Result<RowInFile<'_>>) -> Result<Row<'_>> {
    row.map(|(key, row)| Row::InFile(key, row))
}

fn in_memory<'a>((key, value): (&'a Bytes, &'a Option<Value>)) -> Result<Row<'a>> {
    Ok(Row::InMemory(key, value.as_ref()))
}
