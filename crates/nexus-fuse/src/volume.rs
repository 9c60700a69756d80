//! What a mount shows: a zone by its inodes.
//!
//! The mount speaks to a [`Volume`] and does not know whether the zone is in this process
//! ([`LocalVolume`]) or on a node elsewhere. The contract is that of the inode-level interface
//! of `nexus-fs`, whose errors a volume passes on: what is changed is visible to everybody when
//! the call returns, and durable after [`Volume::sync`] or [`VolumeFile::fsync`].

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use nexus_fs::{
    At, DirEntry, Ino, KeyPresence, NewInode, OpenMode, Record, Replace, SetAttributes, Stat,
    Version,
};
use nexus_kernel::{Error, Result, Revision, Timestamp};

mod local;
mod local_past;
mod past;

pub use local::LocalVolume;
pub use past::{PastContent, PastState, PastVolume};

/// A name in a directory.
pub type Name<'a> = (Ino, &'a str);

/// A zone, or a past state of one, by its inodes.
///
/// # Cancel safety
///
/// Every call may be dropped; a change that was asked for may then have been made or not.
#[async_trait]
pub trait Volume: Send + Sync + 'static {
    /// The same, with changes on record as those of `caller`.
    fn acting_for(&self, caller: &Caller) -> Arc<dyn Volume>;

    /// The zone as it was at a point: a [`PastVolume`], which refuses to be changed.
    async fn as_of(&self, at: At) -> Result<Arc<dyn Volume>>;

    /// Whether it is a past state, which never changes.
    fn is_past(&self) -> bool;

    /// The newest revision of the zone; of a past state, that of the state.
    async fn revision(&self) -> Result<Revision>;

    /// The time that a change made now gets.
    fn now(&self) -> Timestamp;

    /// The entry of that name.
    async fn lookup(&self, name: Name<'_>) -> Result<Stat>;

    /// The attributes of an inode, with what is written to it and not flushed.
    async fn getattr(&self, ino: Ino) -> Result<Stat>;

    /// Changes attributes.
    async fn setattr(&self, ino: Ino, set: SetAttributes) -> Result<Stat>;

    /// Makes a file, a directory or a link under a name that is free.
    async fn make(&self, name: Name<'_>, new: NewInode) -> Result<Stat>;

    /// Removes the name of a file or link.
    async fn unlink(&self, name: Name<'_>) -> Result<()>;

    /// Removes an empty directory.
    async fn rmdir(&self, name: Name<'_>) -> Result<()>;

    /// Moves a name.
    async fn rename(&self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<()>;

    /// Gives a file or link another name.
    async fn link(&self, ino: Ino, to: Name<'_>) -> Result<Stat>;

    /// Up to `limit` entries of a directory after the name `after`, in byte order, with
    /// attributes if `details`; none only at the end.
    async fn readdir(
        &self,
        directory: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>>;

    /// The directory that holds an inode's first name; the root's is itself.
    async fn parent_of(&self, ino: Ino) -> Result<Ino>;

    /// A custom metadata value.
    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes>;

    /// The custom metadata keys, tags included.
    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>>;

    /// Sets a custom metadata value, or removes it.
    async fn set_metadata_value(
        &self,
        ino: Ino,
        key: &str,
        value: Option<Bytes>,
        must: KeyPresence,
    ) -> Result<()>;

    /// The versions of a file, of a past state those up to then, newest first; at most `limit`.
    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>>;

    /// Opens a file; for writing cut to nothing if `truncate`, in one version with what is
    /// then written.
    async fn open(&self, ino: Ino, mode: OpenMode, truncate: bool) -> Result<Arc<dyn VolumeFile>>;

    /// Makes everything durable that was done before.
    async fn sync(&self) -> Result<()>;

    /// Every commit after a revision, in order; waits for more at the end.
    fn changes(&self, after: Revision) -> BoxStream<'static, Result<Record>>;

    /// Whether a commit was this mount's own, so that its kernel knows of it.
    fn is_own(&self, record: &Record) -> bool;
}

/// What whoever would change a past state is told.
pub(crate) fn read_only() -> Error {
    Error::unsupported("a past state cannot be changed; copy what you need out of it")
        .with("read_only", true)
}

/// An open file. Those of one inode see each other's writes.
#[async_trait]
pub trait VolumeFile: Send + Sync {
    /// The inode.
    fn ino(&self) -> Ino;

    /// The version that the file had when it was opened.
    fn version(&self) -> u64;

    /// Up to `length` bytes from `offset`; fewer at the end of the file, none beyond it.
    async fn read(&self, offset: u64, length: usize) -> Result<Bytes>;

    /// A file of this machine that has exactly these bytes and is never written, for the kernel to
    /// read by itself; none where there is none, or where it is not worth while. Asked only of
    /// the files of a past state.
    async fn backing(&self) -> Result<Option<File>>;

    /// Writes at `offset`, or at the end, wherever it is.
    async fn write(&self, offset: Option<u64>, bytes: Bytes) -> Result<()>;

    /// Cuts the file, or extends it with zeros.
    async fn truncate(&self, size: u64) -> Result<()>;

    /// Makes what was written through this file a version.
    async fn flush(&self) -> Result<()>;

    /// As [`flush`](Self::flush), and makes it and all before it durable.
    async fn fsync(&self) -> Result<()>;

    /// Flushes what was written through this file and closes it. One that is dropped instead
    /// does so in the background.
    async fn close(self: Arc<Self>) -> Result<()>;
}

/// Which program asks, for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Names the run of an agent whose operations belong together.
    pub session: Option<Arc<str>>,
    /// The name of the program.
    pub program: Option<Arc<str>>,
}
