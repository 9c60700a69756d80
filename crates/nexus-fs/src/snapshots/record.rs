//! What is stored of a snapshot.

use nexus_kernel::{Result, Revision, Timestamp, Value};
use prost::Message;

use super::Snapshot;
use crate::records;
use crate::types::Ino;

/// A named revision of a directory.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotRecord {
    /// 0 for that of the commit that wrote this row.
    #[prost(uint64, tag = "1")]
    pub(super) revision: u64,
    #[prost(uint64, tag = "2")]
    pub directory: u64,
    #[prost(string, tag = "3")]
    pub path: String,
    #[prost(uint64, tag = "4")]
    pub number: u64,
    #[prost(string, tag = "5")]
    pub description: String,
    #[prost(string, repeated, tag = "6")]
    pub tags: Vec<String>,
    #[prost(string, tag = "7")]
    pub actor: String,
    #[prost(sfixed64, tag = "8")]
    pub time: i64,
    #[prost(bool, tag = "9")]
    pub pinned: bool,
    #[prost(sfixed64, optional, tag = "10")]
    pub expires: Option<i64>,
}

impl SnapshotRecord {
    /// Reads a row; the revision is known then.
    pub(crate) fn decode_row(row: Value) -> Result<Self> {
        let mut record: Self = records::decode(row.bytes)?;
        record.made_by(row.revision);
        Ok(record)
    }

    /// The state that it names, once it was read or committed.
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        !self.pinned && self.expires.is_some_and(|time| time <= now.0)
    }

    /// Tells a record that was just written the commit that did.
    pub(super) fn made_by(&mut self, commit: Revision) {
        if self.revision == 0 {
            self.revision = commit.0;
        }
    }

    pub(super) fn into_snapshot(self, name: &str) -> Snapshot {
        Snapshot {
            name: name.to_owned(),
            number: self.number,
            directory: Ino(self.directory),
            revision: self.revision(),
            path: self.path,
            description: self.description,
            tags: self.tags,
            actor: self.actor,
            time: Timestamp(self.time),
            pinned: self.pinned,
            expires: self.expires.map(Timestamp),
        }
    }
}
