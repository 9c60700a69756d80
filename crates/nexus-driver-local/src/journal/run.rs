//! Changes on their way into the journal together.

use std::collections::HashSet;
use std::sync::Arc;

use nexus_kernel::{ObjectKey, Timestamp};
use tokio::sync::oneshot;

use crate::error::Result;
use crate::overlay::Entry;
use crate::queue::{Change, Content, Done};
use crate::record::{Header, Kind, encode_pair};
use crate::segments::Segment;
use crate::staging::StagedFile;

pub(super) type Reply = oneshot::Sender<Result<Done>>;

/// Changes that will be appended in one write.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) records: Vec<Record>,
    pub(super) bytes: u64,
    pub(super) keys: HashSet<ObjectKey>,
    /// Whether a staged file has to have a durable name first.
    pub(super) places: bool,
    /// Staged files that become blobs without a record.
    pub(super) unlogged: Vec<(ObjectKey, StagedFile)>,
    pub(super) answers: Vec<(Reply, bool, Done)>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: ObjectKey,
    pub(super) header: Header,
    pub(super) content: Content,
    pub(super) place: Option<Place>,
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: u64,
    pub(super) size: u64,
    /// Absent if an earlier change owns the file.
    pub(super) file: Option<StagedFile>,
}

impl Run {
    /// Whether a change depends on what this run has not made visible yet.
    pub(super) fn meets(&self, change: &Change) -> bool {
        match change {
            Change::Put { key, .. } | Change::Place { key, .. } | Change::Delete { key, .. } => {
                self.keys.contains(key)
            }
            Change::Log { .. } | Change::Rotate => !self.keys.is_empty(),
        }
    }

    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.header.record_bytes();
        self.places |= record.place.is_some();
        self.keys.insert(record.key.clone());
        self.records.push(record);
    }
}

impl Record {
    pub(super) fn new(kind: Kind, key: ObjectKey, content: Content, modified: Timestamp) -> Self {
        let mut crc = crc32fast::Hasher::new();
        crc.update(key.as_str().as_bytes());
        for piece in &content.pieces {
            crc.update(piece);
        }
        let header = Header {
            kind,
            modified,
            key_bytes: u16::try_from(key.as_str().len()).expect("a key has at most 512 bytes"),
            data_bytes: u32::try_from(content.size).expect("a journaled blob fits a segment"),
            crc: crc.finalize(),
        };
        Self {
            key,
            header,
            content,
            place: None,
        }
    }

    pub(super) fn put(key: ObjectKey, content: Content, modified: Timestamp) -> Self {
        Self::new(Kind::Put, key, content, modified)
    }

    pub(super) fn delete(key: ObjectKey, modified: Timestamp) -> Self {
        Self::new(Kind::Delete, key, Content::default(), modified)
    }

    pub(super) fn place(key: ObjectKey, file: StagedFile) -> Self {
        let (id, size, modified) = (file.id, file.size, file.modified);
        let file = Some(file);
        Self::names(key, Place { id, size, file }, modified)
    }

    /// The record that a staged blob still lacks.
    pub(super) fn log(key: &ObjectKey, entry: &Entry) -> Option<Self> {
        let &Entry::Staged {
            id, size, modified, ..
        } = entry
        else {
            return None;
        };
        let file = None;
        Some(Self::names(key.clone(), Place { id, size, file }, modified))
    }

    pub(super) fn names(key: ObjectKey, place: Place, modified: Timestamp) -> Self {
        let mut content = Content::default();
        content.push(encode_pair(place.id, place.size).to_vec().into());
        Self {
            place: Some(place),
            ..Self::new(Kind::Place, key, content, modified)
        }
    }

    pub(super) fn keep_file(self) {
        let file = self.place.and_then(|place| place.file);
        file.into_iter().for_each(StagedFile::keep);
    }

    /// What the record says, when its data begins at byte `at` of `segment`.
    pub(super) fn entry(self, segment: &Arc<Segment>, at: u64) -> (ObjectKey, Entry) {
        let modified = self.header.modified;
        let entry = match (self.header.kind, self.place) {
            (_, Some(place)) => {
                let (id, size) = (place.id, place.size);
                place.file.into_iter().for_each(StagedFile::keep);
                Entry::Staged {
                    id,
                    size,
                    modified,
                    segment: Some(segment.number),
                }
            }
            (Kind::Delete, None) => Entry::Deleted {
                segment: segment.number,
            },
            (_, None) => Entry::Journaled {
                segment: Arc::clone(segment),
                at,
                size: self.header.data_bytes,
                modified,
            },
        };
        (self.key, entry)
    }
}
