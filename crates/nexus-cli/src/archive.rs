//! An exported tree as one stream that proves it is whole.
//!
//! The stream is a POSIX tar, so that any tar can list and unpack it, with what a tar
//! lacks carried in PAX records:
//!
//! 1. A global header with `NEXUS.archive=1`.
//! 2. Every entry, a directory before what is in it and names in byte order, each once. An
//!    extended header comes first: `path`, `mtime`, `linkpath`, `NEXUS.content` (the etag of
//!    a file's content), `NEXUS.tags` (one a line), `SCHILY.xattr.user.<key>` (custom
//!    metadata). The top directory is `.`.
//! 3. A global header with `NEXUS.entries`, `NEXUS.bytes` and `NEXUS.total`, the BLAKE3 hash
//!    of every byte before it.
//! 4. Two blocks of zeros.
//!
//! A reader hands out an entry only after its path passed the rules, the last bytes of a
//! content only if they hash to its etag, and the end only if the total is right. Whoever
//! must not act on a damaged archive calls [`verify`] first. The order of entries lets both
//! sides detect a repeated name, or an entry outside its directory, without remembering
//! names; nothing here grows with the archive.

use nexus_client::{Error, Timestamp};

mod header;
mod order;
mod pax;
mod reader;
mod writer;

pub(crate) use order::check_path;
pub use reader::{Reader, verify};
pub use writer::Writer;

/// One name in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the top of the tree, `/`-separated; the top directory itself is `.`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// POSIX owner.
    pub uid: u32,
    /// POSIX group.
    pub gid: u32,
    /// When its content last changed.
    pub modified: Timestamp,
    /// Custom metadata, in the order it was written.
    pub metadata: Vec<(String, Vec<u8>)>,
    /// Tags.
    pub tags: Vec<String>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file, whose content follows.
    File {
        /// Bytes of content.
        size: u64,
        /// The content's hash.
        etag: String,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to, as it was written.
        target: String,
    },
    /// Another name of an earlier file.
    HardLink {
        /// That file's path in the archive.
        target: String,
    },
}

/// What a whole archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Entries of all kinds.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// BLAKE3 of the archive up to its trailer, in hex.
    pub hash: String,
}

/// Bytes in a tar block.
const BLOCK: usize = 512;
/// Most bytes of PAX records before one entry: bounds what a reader holds in memory.
const RECORDS_BYTES_MAX: usize = 4 << 20;
/// The only version of the format so far.
const VERSION: &str = "1";

const RECORD_VERSION: &str = "NEXUS.archive";
const RECORD_CONTENT: &str = "NEXUS.content";
const RECORD_TAGS: &str = "NEXUS.tags";
const RECORD_ENTRIES: &str = "NEXUS.entries";
const RECORD_BYTES: &str = "NEXUS.bytes";
const RECORD_TOTAL: &str = "NEXUS.total";
const RECORD_METADATA: &str = "SCHILY.xattr.user.";

/// How many zero bytes fill the last block of `size` bytes.
fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).expect("less than a block");
    (BLOCK - rest) % BLOCK
}

fn damaged(why: &'static str) -> Error {
    Error::corrupt(why)
}

#[cfg(test)]
mod tests;
