//! What is in a block, as Protocol Buffers: fields may be added, numbers are never reused.

use bytes::Bytes;
use nexus_kernel::{Entry, Revision, Timestamp, Value};
use prost::Message;

/// The hash that names the contents of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum HashAlgorithm {
    /// BLAKE3, 256 bits.
    Blake3 = 1,
    /// SHA-256.
    Sha256 = 2,
}

/// The first block: what the archive is of.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Header {
    /// The zone it was made of. A name for people: it may be imported under any other.
    #[prost(string, tag = "1")]
    pub zone: String,
    /// The revision of the zone that it has.
    #[prost(uint64, tag = "2")]
    pub revision_number: u64,
    /// The hash that names contents.
    #[prost(enumeration = "HashAlgorithm", tag = "3")]
    pub hash: i32,
    /// When it was begun.
    #[prost(sfixed64, tag = "4")]
    pub created_ns: i64,
    /// Whether it has the settings of the zone, with the hashes of keys.
    #[prost(bool, tag = "5")]
    pub secrets: bool,
    /// What wrote it.
    #[prost(string, tag = "6")]
    pub program: String,
}

impl Header {
    /// The revision of the zone that it has.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision_number)
    }

    /// When it was begun.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        Timestamp(self.created_ns)
    }
}

/// After the rows: what there was of them, and what will come.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Rows {
    /// How many there were.
    #[prost(uint64, tag = "1")]
    pub rows: u64,
    /// How many blobs they name: so many follow.
    #[prost(uint64, tag = "2")]
    pub blobs: u64,
}

/// The last block.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Trailer {
    /// How many rows there were.
    #[prost(uint64, tag = "1")]
    pub rows: u64,
    /// How many blobs there were.
    #[prost(uint64, tag = "2")]
    pub blobs: u64,
    /// Their bytes.
    #[prost(uint64, tag = "3")]
    pub blob_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RowsBlock {
    #[prost(message, repeated, tag = "1")]
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Row {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(uint64, tag = "2")]
    pub(crate) revision: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlobsBlock {
    #[prost(message, repeated, tag = "1")]
    pub(crate) blobs: Vec<Blob>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Blob {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) bytes: Bytes,
}

impl From<Entry> for Row {
    fn from(entry: Entry) -> Self {
        Self {
            key: entry.key,
            revision: entry.value.revision.0,
            value: entry.value.bytes,
        }
    }
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self {
            key: row.key,
            value: Value {
                bytes: row.value,
                revision: Revision(row.revision),
            },
        }
    }
}
