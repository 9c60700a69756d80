//! Past states: what never changes refuses to be changed, wherever the zone is.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nexus_fs::{
    At, DirEntry, Ino, KeyPresence, NewInode, OpenMode, Record, Replace, SetAttributes, Stat,
    Version,
};
use nexus_kernel::{Result, Revision, Timestamp};

use super::{Caller, Name, Volume, VolumeFile, read_only};

/// What a past state can be asked; [`PastVolume`] makes a volume of it. Each call answers as
/// that of [`Volume`] by the same name.
#[async_trait]
pub trait PastState: Clone + Send + Sync + 'static {
    /// Its files.
    type File: PastContent;

    /// The zone at another point.
    async fn as_of(&self, at: At) -> Result<Self>;

    /// The revision of the state.
    fn revision(&self) -> Revision;

    /// The present time.
    fn now(&self) -> Timestamp;

    /// The entry of that name.
    async fn lookup(&self, name: Name<'_>) -> Result<Stat>;

    /// The attributes of an inode.
    async fn getattr(&self, ino: Ino) -> Result<Stat>;

    /// A page of a directory.
    async fn readdir(
        &self,
        directory: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>>;

    /// The directory that holds an inode's first name.
    async fn parent_of(&self, ino: Ino) -> Result<Ino>;

    /// A custom metadata value.
    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes>;

    /// The custom metadata keys.
    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>>;

    /// The versions of a file.
    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>>;

    /// Opens a file to be read.
    async fn open(&self, ino: Ino) -> Result<Self::File>;
}

/// A file of a past state. Each call answers as that of [`VolumeFile`] by the same name.
#[async_trait]
pub trait PastContent: Send + Sync + 'static {
    /// The inode.
    fn ino(&self) -> Ino;

    /// The version that it has.
    fn version(&self) -> u64;

    /// Up to `length` bytes from `offset`.
    async fn read(&self, offset: u64, length: usize) -> Result<Bytes>;

    /// The file that the kernel may read instead.
    async fn backing(&self) -> Result<Option<File>>;
}

/// A past state as a volume.
#[derive(Clone)]
pub struct PastVolume<S>(pub S);

#[async_trait]
impl<S: PastState> Volume for PastVolume<S> {
    /// Nothing of it gets on record.
    fn acting_for(&self, _: &Caller) -> Arc<dyn Volume> {
        Arc::new(self.clone())
    }

    async fn as_of(&self, at: At) -> Result<Arc<dyn Volume>> {
        Ok(Arc::new(Self(self.0.as_of(at).await?)))
    }

    fn is_past(&self) -> bool {
        true
    }

    async fn revision(&self) -> Result<Revision> {
        Ok(self.0.revision())
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn lookup(&self, name: Name<'_>) -> Result<Stat> {
        self.0.lookup(name).await
    }

    async fn getattr(&self, ino: Ino) -> Result<Stat> {
        self.0.getattr(ino).await
    }

    async fn setattr(&self, _: Ino, _: SetAttributes) -> Result<Stat> {
        Err(read_only())
    }

    async fn make(&self, _: Name<'_>, _: NewInode) -> Result<Stat> {
        Err(read_only())
    }

    async fn unlink(&self, _: Name<'_>) -> Result<()> {
        Err(read_only())
    }

    async fn rmdir(&self, _: Name<'_>) -> Result<()> {
        Err(read_only())
    }

    async fn rename(&self, _: Name<'_>, _: Name<'_>, _: Replace) -> Result<()> {
        Err(read_only())
    }

    async fn link(&self, _: Ino, _: Name<'_>) -> Result<Stat> {
        Err(read_only())
    }

    async fn readdir(
        &self,
        directory: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>> {
        self.0.readdir(directory, after, limit, details).await
    }

    async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        self.0.parent_of(ino).await
    }

    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        self.0.metadata_value(ino, key).await
    }

    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        self.0.metadata_keys(ino).await
    }

    async fn set_metadata_value(
        &self,
        _: Ino,
        _: &str,
        _: Option<Bytes>,
        _: KeyPresence,
    ) -> Result<()> {
        Err(read_only())
    }

    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        self.0.versions(ino, limit).await
    }

    async fn open(&self, ino: Ino, mode: OpenMode, truncate: bool) -> Result<Arc<dyn VolumeFile>> {
        if mode != OpenMode::Read || truncate {
            return Err(read_only());
        }
        Ok(Arc::new(Past(self.0.open(ino).await?)))
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn changes(&self, _: Revision) -> BoxStream<'static, Result<Record>> {
        stream::pending().boxed()
    }

    fn is_own(&self, _: &Record) -> bool {
        false
    }
}

/// A file of a past state, as one of a volume.
struct Past<F>(F);

#[async_trait]
impl<F: PastContent> VolumeFile for Past<F> {
    fn ino(&self) -> Ino {
        self.0.ino()
    }

    fn version(&self) -> u64 {
        self.0.version()
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.0.read(offset, length).await
    }

    async fn backing(&self) -> Result<Option<File>> {
        self.0.backing().await
    }

    async fn write(&self, _: Option<u64>, _: Bytes) -> Result<()> {
        Err(read_only())
    }

    async fn truncate(&self, _: u64) -> Result<()> {
        Err(read_only())
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn fsync(&self) -> Result<()> {
        Ok(())
    }

    async fn close(self: Arc<Self>) -> Result<()> {
        Ok(())
    }
}
