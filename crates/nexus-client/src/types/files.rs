//! Files, directories and their attributes.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use nexus_kernel::{ByteStream, Revision, Timestamp};

/// Which state of the zone a read sees. Made from a text as a person would write it:
/// `latest`, a revision (`42` or `r42`), `>=42`, a time (`2026-01-31T12:00:00Z`), or how long
/// ago (`2h`); the node checks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At(String);

impl At {
    /// Everything acknowledged before the call.
    #[must_use]
    pub fn latest() -> Self {
        Self::default()
    }

    /// Exactly as of this revision.
    #[must_use]
    pub fn revision(revision: Revision) -> Self {
        Self(revision.to_string())
    }

    /// At least this revision: reads your own writes on any node.
    #[must_use]
    pub fn at_least(revision: Revision) -> Self {
        Self(format!(">={revision}"))
    }

    pub(crate) fn into_wire(self) -> String {
        self.0
    }
}

impl From<&str> for At {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "latest" } else { &self.0 })
    }
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl FileKind {
    /// The name as people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
        }
    }
}

/// The attributes of an inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its number: the same for as long as it exists, whatever it is called.
    pub ino: u64,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of content; of a link, of its target; 0 for a directory.
    pub size: u64,
    /// Hash of the content; none for directories.
    pub etag: Option<String>,
    /// Counts the contents this file has had, from 1; 0 for directories.
    pub version: u64,
    /// The commit that last changed the inode.
    pub revision: Revision,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// POSIX owner.
    pub uid: u32,
    /// POSIX group.
    pub gid: u32,
    /// The principal that created it, as `kind:id`.
    pub owner: String,
    /// How many names it has.
    pub links: u32,
    /// When it was created.
    pub created: Timestamp,
    /// When its content, or a directory's entries, last changed.
    pub modified: Timestamp,
    /// When its attributes last changed.
    pub changed: Timestamp,
    /// The access time that was last set; reading does not change it.
    pub accessed: Timestamp,
    /// Where a symbolic link points.
    pub target: Option<String>,
}

impl Stat {
    /// Whether this is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// A name in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The absolute path.
    pub path: String,
    /// The inode it names.
    pub ino: u64,
    /// What that is.
    pub kind: FileKind,
    /// Its attributes, if details were asked for.
    pub stat: Option<Stat>,
}

impl DirEntry {
    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// A part of a longer answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// The cursor of the next part; none after the last.
    pub next: Option<String>,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Which state.
    pub at: At,
    /// All below, parents before children, else just the directory's own entries.
    pub recursive: bool,
    /// With attributes.
    pub details: bool,
    /// Most entries in a page, 10,000 at most; 0 for the node's default.
    pub limit: u32,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<String>,
}

/// What to read of a file.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Which state.
    pub at: At,
    /// The first byte.
    pub offset: u64,
    /// How many bytes; up to the end if not given.
    pub length: Option<u64>,
    /// This version instead of what is there at `at`.
    pub version: Option<u64>,
}

/// An open file: its attributes, and the bytes asked for.
pub struct Content {
    /// The attributes the bytes belong to.
    pub stat: Stat,
    /// Which bytes `body` carries.
    pub range: Range<u64>,
    /// The bytes.
    pub body: ByteStream,
}

/// A file read whole, or a range of it.
#[derive(Clone, Debug)]
pub struct FileBytes {
    /// The attributes the bytes belong to.
    pub stat: Stat,
    /// The bytes.
    pub bytes: Bytes,
}

/// What a subtree holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Regular files, each hard link once per name.
    pub files: u64,
    /// Directories, the top one included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Sum of the sizes of the files.
    pub bytes: u64,
}

/// Files with the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicates {
    /// Hash of the content.
    pub etag: String,
    /// Bytes of each.
    pub size: u64,
    /// Where it is.
    pub paths: Vec<String>,
}
