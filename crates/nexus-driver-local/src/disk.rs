//! The few file operations this driver stands on, so that its crash tests can stand in for the
//! machine. Paths are relative to the store's root.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;

use nexus_kernel::Timestamp;

mod real;
#[cfg(any(test, feature = "simulated-disk"))]
pub(crate) mod sim;

pub(crate) use real::RealDisk;

/// A folder on a disk. Changes to a directory are durable after `sync_dir` of it, `rename` in
/// itself is atomic. Paths follow no symbolic links and never leave the folder.
pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// A new, empty file, open for writing.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    fn facts(&self, path: &str) -> io::Result<Facts>;

    /// Does nothing if the directory exists.
    fn create_dir(&self, path: &str) -> io::Result<()>;

    /// Replaces what is at `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, path: &str) -> io::Result<()>;

    /// The files and directories in a directory, in no order.
    fn list(&self, dir: &str) -> io::Result<Vec<Item>>;

    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes everything durable that was written to this disk before.
    fn sync_all(&self) -> io::Result<()>;
}

/// An open file. Its contents are durable after `sync`.
pub(crate) trait DiskFile: Debug + Send + Sync + 'static {
    /// Writes all pieces, one after the other, from byte `at`.
    fn write_at(&self, pieces: &mut [IoSlice<'_>], at: u64) -> io::Result<()>;

    /// Reads `length` bytes from byte `at`, fewer at the end of the file.
    fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>>;

    /// As `read_at`, but only if that needs no waiting for the disk.
    fn read_at_once(&self, at: u64, length: usize) -> Option<Vec<u8>>;

    /// Makes sure that the first `length` bytes exist and have space.
    fn reserve(&self, length: u64) -> io::Result<()>;

    /// Makes contents and length durable.
    fn sync(&self) -> io::Result<()>;

    fn facts(&self) -> io::Result<Facts>;

    /// The same as a file of this machine, if it is one.
    fn local(&self) -> io::Result<Option<File>>;

    /// Sets the time of the last modification.
    fn date(&self, modified: Timestamp) -> io::Result<()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
}

/// The directory a path is in; the root is the empty path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
