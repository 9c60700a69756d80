//! Files by inode numbers, and open ones.

use bytes::Bytes;
use nexus_kernel::Timestamp;

use super::files::{FileKind, Stat};

/// What a new inode is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInode {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// POSIX owner.
    pub uid: u32,
    /// POSIX group.
    pub gid: u32,
    /// Where a symbolic link points.
    pub target: String,
}

/// Which attributes of an inode to change; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InodeAttributes {
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

/// What must hold of a metadata key for it to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyPresence {
    /// Nothing.
    #[default]
    Any,
    /// It has no value yet.
    Absent,
    /// It has one.
    Present,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: String,
    /// The inode it names.
    pub ino: u64,
    /// What that is.
    pub kind: FileKind,
    /// Its attributes, if they were asked for and it is not gone meanwhile.
    pub stat: Option<Stat>,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where each piece ended; of a truncation, the size.
    pub ends: Vec<u64>,
    /// The file's version before the pieces were done.
    pub version: u64,
}

/// What was made or opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its attributes.
    pub stat: Stat,
    /// The number of the open file, if one was asked for.
    pub handle: Option<u64>,
    /// As many of its first bytes as were asked for, and there are.
    pub head: Bytes,
}

/// Something done to an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes at an offset.
    Put(u64, Bytes),
    /// Bytes at the end, wherever it is.
    Append(Bytes),
    /// Cut, or extended with zeros.
    Truncate(u64),
}

/// What follows a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// The node keeps it in memory.
    #[default]
    Nothing,
    /// It becomes a version, which everybody sees.
    Flush,
    /// The same, and it is durable with all before it.
    Fsync,
}
