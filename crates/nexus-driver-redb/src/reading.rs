//! What callers read. The lock on the view is held only for what the active memtable has;
//! the rest does not change, and is read without it.

use std::sync::Arc;

use nexus_kernel::{Page, Revision, Scan, Value};
use redb::StorageError;

use crate::layers::{Below, Layers, View};
use crate::memtable::Memtable;

/// Where the value of a key is.
pub(crate) enum Found {
    Here(Option<Value>),
    Below(Arc<Below>),
}

/// What a scan may need of one state of the store.
pub(crate) struct Part {
    active: Memtable,
    below: Arc<Below>,
    revision: Revision,
}

impl View {
    pub(crate) fn find(&self, key: &[u8]) -> Found {
        match self.active.get(key) {
            Some(value) => Found::Here(value.cloned()),
            None => Found::Below(self.below.clone()),
        }
    }

    /// What a scan has to look through.
    pub(crate) fn part(&self, scan: &Scan) -> Part {
        // One more than the page has tells whether the range goes on.
        let values = scan.limit + 1;
        Part {
            active: self.active.part(&scan.range, scan.direction, values),
            below: self.below.clone(),
            revision: self.revision,
        }
    }

    /// What any scan has to look through.
    pub(crate) fn whole(&self) -> Part {
        Part {
            active: self.active.clone(),
            below: self.below.clone(),
            revision: self.revision,
        }
    }
}

impl Found {
    pub(crate) fn resolve(self, key: &[u8]) -> Result<Option<Value>, StorageError> {
        match self {
            Self::Here(value) => Ok(value),
            Self::Below(below) => below.get(key),
        }
    }
}

impl Below {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StorageError> {
        match self.memtable().and_then(|memtable| memtable.get(key)) {
            Some(value) => Ok(value.cloned()),
            None => self.base.get(key),
        }
    }
}

impl Part {
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn page(&self, scan: &Scan) -> Result<Page, StorageError> {
        let memtables: Vec<_> = [&self.active]
            .into_iter()
            .chain(self.below.memtable())
            .collect();
        let layers = Layers {
            memtables: &memtables,
            base: &self.below.base,
        };
        let mut rows = layers.rows(&scan.range, scan.direction)?;
        let mut page = Page {
            entries: Vec::new(),
            more: false,
            revision: self.revision,
        };
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            if !scan.takes_more(page.entries.len(), bytes) {
                page.more = true;
                break;
            }
            let entry = row.into_entry()?;
            bytes += entry.bytes();
            page.entries.push(entry);
        }
        Ok(page)
    }
}
