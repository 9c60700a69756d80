//! What the journal and the staged files hold that the blobs' own files do not show yet.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use nexus_kernel::{ObjectKey, ObjectMeta, Timestamp};

use crate::segments::Segment;

/// Newer than the file of the same key.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A blob in the journal.
    Journaled {
        segment: Arc<Segment>,
        at: u64,
        size: u32,
        modified: Timestamp,
    },
    /// A blob in a staged file. `segment` is where the journal says so; without, the blob is
    /// visible and will be lost when the machine stops.
    Staged {
        id: u64,
        size: u64,
        modified: Timestamp,
        segment: Option<u64>,
    },
    /// The journal says that there is no such blob.
    Deleted { segment: u64 },
}

impl Entry {
    pub(crate) fn meta(&self, key: &ObjectKey) -> Option<ObjectMeta> {
        let (size, modified) = match *self {
            Self::Journaled { size, modified, .. } => (u64::from(size), modified),
            Self::Staged { size, modified, .. } => (size, modified),
            Self::Deleted { .. } => return None,
        };
        Some(ObjectMeta {
            key: key.clone(),
            size,
            modified,
        })
    }

    pub(crate) fn is_blob(&self) -> bool {
        !matches!(self, Self::Deleted { .. })
    }

    fn segment(&self) -> Option<u64> {
        match self {
            Self::Journaled { segment, .. } => Some(segment.number),
            Self::Staged { segment, .. } => *segment,
            Self::Deleted { segment } => Some(*segment),
        }
    }

    /// The id and size of a blob that no record names yet.
    fn unlogged(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Staged {
                id,
                size,
                segment: None,
                ..
            } => Some((id, size)),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entries: BTreeMap<ObjectKey, Entry>,
    /// The entries that no record names yet, by the id of their staged file.
    unlogged: BTreeMap<u64, ObjectKey>,
    unlogged_bytes: u64,
}

impl Overlay {
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Sets the newest state of a key. Returns the id of a staged file that nothing names any more.
    pub(crate) fn set(&mut self, key: ObjectKey, entry: Entry) -> Option<u64> {
        let now = entry.unlogged();
        if let Some((id, size)) = now {
            self.unlogged.insert(id, key.clone());
            self.unlogged_bytes += size;
        }
        let staged = match entry {
            Entry::Staged { id, .. } => Some(id),
            _ => None,
        };
        let (id, size) = self.entries.insert(key, entry)?.unlogged()?;
        self.unlogged_bytes -= size;
        if now.is_none_or(|(new, _)| new != id) {
            self.unlogged.remove(&id);
        }
        (staged != Some(id)).then_some(id)
    }

    /// Forgets a key whose file says all there is.
    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        if let Some((id, size)) = self.entries.remove(key).and_then(|entry| entry.unlogged()) {
            self.unlogged_bytes -= size;
            self.unlogged.remove(&id);
        }
    }

    /// Forgets what segment `number` says of a key: its file says it now.
    pub(crate) fn forget(&mut self, key: &ObjectKey, number: u64) {
        if self.entries.get(key).and_then(Entry::segment) == Some(number) {
            self.entries.remove(key);
        }
    }

    /// The staged files that no record names yet, with their keys.
    pub(crate) fn unlogged(&self) -> Vec<(u64, ObjectKey)> {
        let all = self.unlogged.iter();
        all.map(|(id, key)| (*id, key.clone())).collect()
    }

    /// The entry of staged file `id`, if no record names it yet.
    pub(crate) fn unlogged_entry(&self, id: u64) -> Option<(&ObjectKey, &Entry)> {
        let key = self.unlogged.get(&id)?;
        self.entries.get_key_value(key)
    }

    /// How many blobs and bytes no record names yet.
    pub(crate) fn unlogged_size(&self) -> (usize, u64) {
        (self.unlogged.len(), self.unlogged_bytes)
    }

    /// What is known of keys with a prefix after a key, in order, as far as it takes to fill a page
    /// of `limit` blobs. `None` stands for a key that has no blob.
    pub(crate) fn page(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Vec<(ObjectKey, Option<ObjectMeta>)> {
        let start = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let mut blobs = 0;
        self.entries
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, entry)| (key.clone(), entry.meta(key)))
            .take_while(|(_, meta)| {
                blobs += usize::from(meta.is_some());
                blobs <= limit
            })
            .collect()
    }
}
