//! What is stored under the keys, as Protocol Buffers: fields may be added, numbers are
//! never used for something else.

use bytes::Bytes;
use nexus_kernel::{Error, Result, Revision, Timestamp};
use prost::Message;

use crate::etag::{Etag, HashAlgorithm};
use crate::retention::collected;
use crate::types::{FileKind, Ino, Stat};

/// An inode.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InodeRecord {
    /// 0 file, 1 directory, 2 symbolic link.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// [`Etag::to_bytes`]; empty for a directory.
    #[prost(bytes = "bytes", tag = "3")]
    pub etag: Bytes,
    #[prost(uint64, tag = "4")]
    pub version: u64,
    /// Where the content lies: 0 in `inline`, 1 in a blob named by the etag, 2 in the chunks
    /// that the manifest of the etag lists.
    #[prost(uint32, tag = "5")]
    pub place: u32,
    /// The content itself, or a symbolic link's target.
    #[prost(bytes = "bytes", tag = "6")]
    pub inline: Bytes,
    #[prost(uint32, tag = "7")]
    pub mode: u32,
    #[prost(uint32, tag = "8")]
    pub uid: u32,
    #[prost(uint32, tag = "9")]
    pub gid: u32,
    #[prost(string, tag = "10")]
    pub owner: String,
    #[prost(uint32, tag = "11")]
    pub links: u32,
    #[prost(sfixed64, tag = "12")]
    pub created: i64,
    #[prost(sfixed64, tag = "13")]
    pub modified: i64,
    #[prost(sfixed64, tag = "14")]
    pub changed: i64,
    /// The directory of the first name, and that name.
    #[prost(uint64, tag = "15")]
    pub parent: u64,
    #[prost(string, tag = "16")]
    pub name: String,
    /// Who made the present content, as `kind:id`, where that is not the owner.
    #[prost(string, tag = "17")]
    pub author: String,
    /// 0 where none was set: then that of creation.
    #[prost(sfixed64, tag = "18")]
    pub accessed: i64,
}

/// What a name points to.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct DentryRecord {
    #[prost(uint64, tag = "1")]
    pub ino: u64,
    #[prost(uint32, tag = "2")]
    pub kind: u32,
}

/// A state that ended, and the revision it began with; or, in place of states that were collected,
/// a marker of the span in which they held.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ended {
    #[prost(uint64, tag = "1")]
    pub since: u64,
    #[prost(bytes = "bytes", tag = "2")]
    record: Bytes,
    /// Of a marker: the version of the newest state it covers.
    #[prost(uint64, optional, tag = "3")]
    covered: Option<u64>,
}

impl Ended {
    pub(crate) fn new(since: Revision, record: Bytes) -> Self {
        Self {
            since: since.0,
            record,
            covered: None,
        }
    }

    /// Covers states from `since` on, the newest of which had this version, and this much of it
    /// is still known.
    pub(crate) fn marker(since: Revision, version: u64, known: Bytes) -> Self {
        Self {
            since: since.0,
            record: known,
            covered: Some(version),
        }
    }

    /// Of a marker, the version of the newest state it covers.
    pub(crate) fn collected(&self) -> Option<u64> {
        self.covered
    }

    /// What is known of the state, which a marker knows only in part.
    pub(crate) fn into_known(self) -> Bytes {
        self.record
    }

    /// The state that ended at `end`.
    ///
    /// # Errors
    ///
    /// `NotFound` with the oldest readable revision when it was collected.
    pub(crate) fn into_state(self, end: Revision) -> Result<Bytes> {
        match self.covered {
            Some(_) => Err(collected(end)),
            None => Ok(self.record),
        }
    }
}

/// A run of the chunks of a large content.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ManifestPage {
    #[prost(message, repeated, tag = "1")]
    pub chunks: Vec<ChunkRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChunkRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub etag: Bytes,
    #[prost(uint32, tag = "2")]
    pub size: u32,
}

/// One commit in the operation log, or a part of it: see [`split`](crate::log::split).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LogRecord {
    #[prost(sfixed64, tag = "1")]
    pub time: i64,
    #[prost(string, tag = "2")]
    pub actor: String,
    #[prost(string, optional, tag = "3")]
    pub on_behalf_of: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub key_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub session: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub request_id: Option<String>,
    #[prost(message, repeated, tag = "7")]
    pub changes: Vec<ChangeRecord>,
    #[prost(string, optional, tag = "8")]
    pub program: Option<String>,
    /// What it was as a whole, where that is more than its changes.
    #[prost(string, optional, tag = "9")]
    pub operation: Option<String>,
    /// The revisions that this is about.
    #[prost(uint64, repeated, tag = "10")]
    pub about: Vec<u64>,
    /// Of an undo: it left some of that as it was.
    #[prost(bool, tag = "11")]
    pub partly: bool,
    /// How many rows follow with more of the lists.
    #[prost(uint32, tag = "12")]
    pub more_rows: u32,
}

/// Why a revision stays readable.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Pin {
    /// It may go when history before this revision does; 0: as long as its holder is there.
    #[prost(uint64, tag = "1")]
    pub until: u64,
}

/// One change within a commit, with what its undoing needs beyond the history rows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChangeRecord {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(string, tag = "2")]
    pub path: String,
    #[prost(string, optional, tag = "3")]
    pub old_path: Option<String>,
    #[prost(uint64, tag = "4")]
    pub ino: u64,
    #[prost(uint32, tag = "5")]
    pub file_kind: u32,
    #[prost(uint64, tag = "6")]
    pub version: u64,
    #[prost(bytes = "bytes", tag = "7")]
    pub etag: Bytes,
    #[prost(uint64, tag = "8")]
    pub size: u64,
    #[prost(uint64, tag = "9")]
    pub parent: u64,
    #[prost(uint64, tag = "10")]
    pub old_parent: u64,
    #[prost(message, optional, tag = "15")]
    pub lease: Option<EndedLeaseRecord>,
    /// What it is about besides the path: the name of a snapshot or workspace, the pattern of a
    /// policy.
    #[prost(string, optional, tag = "16")]
    pub subject: Option<String>,
}

/// A lease that was taken from its holder.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EndedLeaseRecord {
    #[prost(uint64, tag = "1")]
    pub token: u64,
    #[prost(string, tag = "2")]
    pub holder: String,
}

pub(crate) mod place {
    pub(crate) const INLINE: u32 = 0;
    pub(crate) const BLOB: u32 = 1;
    pub(crate) const CHUNKS: u32 = 2;
}

pub(crate) const fn kind_code(kind: FileKind) -> u32 {
    match kind {
        FileKind::File => 0,
        FileKind::Directory => 1,
        FileKind::Symlink => 2,
    }
}

pub(crate) fn kind_of(code: u32) -> Result<FileKind> {
    match code {
        0 => Ok(FileKind::File),
        1 => Ok(FileKind::Directory),
        2 => Ok(FileKind::Symlink),
        _ => Err(unreadable("file kind").with("code", code)),
    }
}

/// Reads a record.
pub(crate) fn decode<M: Message + Default>(bytes: Bytes) -> Result<M> {
    M::decode(bytes).map_err(|why| unreadable("record").because(why))
}

pub(crate) fn encode(record: &impl Message) -> Bytes {
    record.encode_to_vec().into()
}

pub(crate) fn unreadable(what: &'static str) -> Error {
    Error::corrupt("stored metadata cannot be read; run `nexus verify` and restore from a backup")
        .with("what", what)
}

impl Etag {
    pub(crate) fn to_bytes(self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes[0] = match self.algorithm {
            HashAlgorithm::Blake3 => 1,
            HashAlgorithm::Sha256 => 2,
        };
        bytes[1..].copy_from_slice(&self.hash);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (tag, hash) = bytes.split_first().ok_or_else(|| unreadable("etag"))?;
        let algorithm = match tag {
            1 => HashAlgorithm::Blake3,
            2 => HashAlgorithm::Sha256,
            _ => return Err(unreadable("etag")),
        };
        let hash = hash.try_into().map_err(|_| unreadable("etag"))?;
        Ok(Self { algorithm, hash })
    }
}

impl InodeRecord {
    pub(crate) fn file_kind(&self) -> FileKind {
        kind_of(self.kind).unwrap_or(FileKind::File)
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.file_kind() == FileKind::Directory
    }

    pub(crate) fn content_etag(&self) -> Result<Option<Etag>> {
        if self.etag.is_empty() {
            return Ok(None);
        }
        Etag::from_bytes(&self.etag).map(Some)
    }

    /// The blob or manifest the content needs, if it is not inline.
    pub(crate) fn stored_content(&self) -> Result<Option<Etag>> {
        if self.place == place::INLINE {
            Ok(None)
        } else {
            self.content_etag()
        }
    }

    pub(crate) fn stat(&self, ino: Ino, revision: Revision) -> Result<Stat> {
        let kind = kind_of(self.kind)?;
        let target =
            (kind == FileKind::Symlink).then(|| String::from_utf8_lossy(&self.inline).into_owned());
        Ok(Stat {
            ino,
            kind,
            size: self.size,
            etag: self.content_etag()?,
            version: self.version,
            revision,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            owner: self.owner.clone(),
            links: self.links,
            created: Timestamp(self.created),
            accessed: Timestamp(match self.accessed {
                0 => self.created,
                set => set,
            }),
            modified: Timestamp(self.modified),
            changed: Timestamp(self.changed),
            target,
        })
    }
}
