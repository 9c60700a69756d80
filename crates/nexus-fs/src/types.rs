//! What the filesystem speaks: the nouns of its interface.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{ByteStream, Durability, Error, Result, Revision, Timestamp};

use crate::etag::Etag;

/// An inode number: names a file, directory or link for as long as it exists, whatever it
/// is called. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(pub u64);

impl Ino {
    /// The zone's root directory.
    pub const ROOT: Self = Self(1);
}

impl fmt::Display for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
        }
    }
}

/// Which state of the zone a read sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// Everything acknowledged before the call.
    #[default]
    Latest,
    /// The same, and at least this revision (read your writes on another node).
    AtLeast(Revision),
    /// Exactly as of this revision.
    Revision(Revision),
    /// Exactly as of the last revision at or before this time.
    Time(Timestamp),
    /// Exactly as of so long ago.
    Ago(Duration),
    /// Exactly as this operation left it: there must be one with this revision.
    Operation(Revision),
    /// Exactly as the snapshot of this name has it.
    Snapshot(Arc<str>),
}

impl At {
    /// Longest name of a snapshot, in bytes.
    pub const SNAPSHOT_NAME_BYTES_MAX: usize = 128;

    /// Whether this can be the name of a snapshot: it begins with a letter, names no other point,
    /// and can stand in `path@{name}`.
    #[must_use]
    pub fn is_snapshot_name(text: &str) -> bool {
        let begins = text.chars().next().is_some_and(char::is_alphabetic);
        let plain = |c: char| !c.is_control() && !matches!(c, '/' | '{' | '}' | ':' | '^');
        begins
            && text.len() <= Self::SNAPSHOT_NAME_BYTES_MAX
            && text.trim_end() == text
            && text.chars().all(plain)
            && !names_another_point(text)
    }
}

/// `latest`, a revision or the version of a file.
fn names_another_point(text: &str) -> bool {
    let number = text.strip_prefix(['r', 'v']);
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    text == "latest" || number.is_some_and(digits)
}

/// The attributes of an inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub ino: Ino,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of content; of a link, of its target; 0 for a directory.
    pub size: u64,
    /// Hash of the content; none for directories.
    pub etag: Option<Etag>,
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
    /// The access time that was last set; reading does not change it.
    pub accessed: Timestamp,
    /// When its content, or a directory's entries, last changed.
    pub modified: Timestamp,
    /// When its attributes last changed.
    pub changed: Timestamp,
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

/// What a mutation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The commit.
    pub revision: Revision,
    /// The attributes after it, of the file that was written, made, moved or changed; none
    /// after a removal.
    pub stat: Option<Stat>,
}

impl Changed {
    /// The attributes after a change that leaves the file in place.
    ///
    /// # Panics
    ///
    /// After a removal.
    #[must_use]
    pub fn into_stat(self) -> Stat {
        self.stat.expect("the operation leaves a file in place")
    }
}

/// What must hold of the target for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: create or replace.
    #[default]
    None,
    /// The file exists with this etag (`If-Match`).
    Etag(Etag),
    /// The file exists (`If-Match: *`).
    Exists,
    /// There is no such file (`If-None-Match: *`, `O_EXCL`).
    Absent,
}

/// How a write is done.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// What must hold.
    pub precondition: Precondition,
    /// When it is acknowledged.
    pub durability: Durability,
    /// Make missing parent directories.
    pub parents: bool,
    /// Permission bits of a file this creates; `0o644` if not given.
    pub mode: Option<u32>,
    /// Custom metadata to set in the same commit.
    pub metadata: Vec<(String, Bytes)>,
    /// Where outside of the zone the content comes from, such as `file:///home/me/notes.txt`;
    /// at most [`SOURCE_BYTES_MAX`](crate::SOURCE_BYTES_MAX) bytes. It is told by
    /// [`Session::lineage`](crate::Session::lineage).
    pub source: Option<String>,
}

/// How directories are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct MkdirOptions {
    /// Make missing parents too.
    pub parents: bool,
    /// An existing directory is no error.
    pub exist_ok: bool,
    /// Permission bits; `0o755` if not given.
    pub mode: Option<u32>,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// How something is removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// A directory with all below it; without, a directory must be empty.
    pub recursive: bool,
    /// The etag the file must have; a directory has none.
    pub if_match: Option<Etag>,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// What a rename or copy does when the destination exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// POSIX: a file replaces a file, a directory an empty directory.
    #[default]
    Allow,
    /// It is an error (`RENAME_NOREPLACE`).
    Refuse,
    /// The two change places (`RENAME_EXCHANGE`); for rename only.
    Exchange,
}

/// How a rename or copy is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct MoveOptions {
    /// What to do when the destination exists.
    pub replace: Replace,
    /// Make missing parents of the destination.
    pub parents: bool,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// How a fork is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForkOptions {
    /// Make missing parents of the fork.
    pub parents: bool,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// Which attributes to change; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// POSIX owner.
    pub uid: Option<u32>,
    /// POSIX group.
    pub gid: Option<u32>,
    /// Access time.
    pub accessed: Option<Timestamp>,
    /// Modification time.
    pub modified: Option<Timestamp>,
    /// Truncates, or extends with zeros.
    pub size: Option<u64>,
}

/// What a new inode is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewKind {
    /// An empty regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that points there.
    Symlink(String),
}

/// How a new inode is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInode {
    /// What it is.
    pub kind: NewKind,
    /// Permission bits.
    pub mode: u32,
    /// POSIX owner.
    pub uid: u32,
    /// POSIX group.
    pub gid: u32,
}

/// What must hold of a metadata key for it to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyPresence {
    /// Nothing.
    #[default]
    Any,
    /// It has no value yet (`XATTR_CREATE`).
    Absent,
    /// It has one (`XATTR_REPLACE`, removal).
    Present,
}

/// A name in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The absolute path.
    pub path: String,
    /// The inode it names.
    pub ino: Ino,
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

/// What to list.
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// Which state.
    pub at: At,
    /// All below, parents before children, else just the directory's own entries.
    pub recursive: bool,
    /// With attributes.
    pub details: bool,
    /// Most entries in the page, 1 to [`ListOptions::LIMIT_MAX`].
    pub limit: usize,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<String>,
}

impl ListOptions {
    /// Largest page.
    pub const LIMIT_MAX: usize = 10_000;
}

impl Default for ListOptions {
    fn default() -> Self {
        Self {
            at: At::Latest,
            recursive: false,
            details: false,
            limit: 1_000,
            cursor: None,
        }
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The entries: by name in byte order, depth first if recursive.
    pub entries: Vec<DirEntry>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
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

/// A past or present content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1.
    pub version: u64,
    /// Hash of the content.
    pub etag: Etag,
    /// Bytes of content.
    pub size: u64,
    /// The commit that made it.
    pub revision: Revision,
    /// When.
    pub created: Timestamp,
    /// Who, as `kind:id`.
    pub author: String,
    /// Whether it is today's.
    pub current: bool,
}

impl fmt::Display for At {
    /// As [`FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::AtLeast(revision) => write!(f, ">={revision}"),
            Self::Revision(revision) => write!(f, "r{revision}"),
            Self::Time(time) => f.write_str(&crate::time::format_rfc3339(*time)),
            Self::Ago(age) => write!(f, "{}s", age.as_secs()),
            Self::Operation(revision) => write!(f, "op:{revision}"),
            Self::Snapshot(name) => f.write_str(name),
        }
    }
}

impl FromStr for At {
    type Err = Error;

    /// `latest`, a revision (`42`, `r42`), `>=42`, the state just before one (`r42^`), an RFC 3339
    /// time (`2026-01-31T12:00:00Z`, with or without fractions), how long ago (`30s`, `90m`, `2h`,
    /// `3d`, `1w`), an operation (`op:42`, and `op:42^` just before it), or the name of a snapshot.
    fn from_str(text: &str) -> Result<Self> {
        parse_point(text).ok_or_else(|| {
            Error::invalid(
                "name a point as latest, a revision like r42, r42^ just before it, >=42, op:42, a \
                 time like 2026-01-31T12:00:00Z, how long ago, like 90m, 2h or 3d, or a snapshot",
            )
            .with("at", text.escape_debug())
        })
    }
}

fn parse_point(text: &str) -> Option<At> {
    if text == "latest" {
        return Some(At::Latest);
    }
    if let Some(digits) = text.strip_prefix(">=") {
        return revision(digits).map(At::AtLeast);
    }
    if let Some(operation) = text.strip_prefix("op:") {
        return before(operation).or_else(|| revision(operation).map(At::Operation));
    }
    let number = text.strip_prefix('r').unwrap_or(text);
    before(number)
        .or_else(|| revision(number).map(At::Revision))
        .or_else(|| parse_age(text).map(At::Ago))
        .or_else(|| crate::time::parse_rfc3339(text).map(At::Time))
        .or_else(|| At::is_snapshot_name(text).then(|| At::Snapshot(text.into())))
}

fn revision(digits: &str) -> Option<Revision> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain).map(Revision)
}

/// `42^`: the state that revision 42 found.
fn before(text: &str) -> Option<At> {
    let Revision(number) = revision(text.strip_suffix('^')?)?;
    number
        .checked_sub(1)
        .map(|number| At::Revision(Revision(number)))
}

fn parse_age(text: &str) -> Option<Duration> {
    let unit_at = text.len().checked_sub(1)?;
    let (count, unit) = text.split_at_checked(unit_at)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let count: u64 = count.parse().ok()?;
    count.checked_mul(seconds).map(Duration::from_secs)
}
