//! A past state of a zone in this process.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nexus_fs::{
    At, DirEntry, Ino, KeyPresence, NewInode, OpenMode, PastFile, Record, Replace, Session,
    SetAttributes, Snapshot, Stat, Version,
};
use nexus_kernel::{Result, Revision, Timestamp};

use super::{Caller, Name, Volume, VolumeFile, read_only};

/// Below, to have the kernel read a file by itself costs more than it saves.
const BACKED_BYTES_MIN: u64 = 64 << 10;

/// A past state of a zone in this process, as its session sees it.
#[derive(Clone)]
pub(super) struct PastVolume {
    session: Session,
    snapshot: Snapshot,
}

impl PastVolume {
    pub(super) async fn new(session: &Session, at: At) -> Result<Self> {
        Ok(Self {
            session: session.clone(),
            snapshot: session.as_of(at).await?,
        })
    }
}

#[async_trait]
impl Volume for PastVolume {
    /// Nothing of it gets on record.
    fn acting_for(&self, _: &Caller) -> Arc<dyn Volume> {
        Arc::new(self.clone())
    }

    async fn as_of(&self, at: At) -> Result<Arc<dyn Volume>> {
        Ok(Arc::new(Self::new(&self.session, at).await?))
    }

    fn is_past(&self) -> bool {
        true
    }

    async fn revision(&self) -> Result<Revision> {
        Ok(self.snapshot.revision())
    }

    fn now(&self) -> Timestamp {
        self.session.now()
    }

    async fn lookup(&self, (parent, name): Name<'_>) -> Result<Stat> {
        self.snapshot.lookup(parent, name).await
    }

    async fn getattr(&self, ino: Ino) -> Result<Stat> {
        self.snapshot.getattr(ino).await
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
        let page = self.snapshot.readdir(directory, after, limit, details);
        page.await
    }

    async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        self.snapshot.parent_of(ino).await
    }

    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        self.snapshot.metadata_value(ino, key).await
    }

    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        self.snapshot.metadata_keys(ino).await
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
        self.snapshot.versions(ino, limit).await
    }

    async fn open(&self, ino: Ino, mode: OpenMode, truncate: bool) -> Result<Arc<dyn VolumeFile>> {
        if mode != OpenMode::Read || truncate {
            return Err(read_only());
        }
        Ok(Arc::new(self.snapshot.open(ino).await?))
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

#[async_trait]
impl VolumeFile for PastFile {
    fn ino(&self) -> Ino {
        PastFile::ino(self)
    }

    fn version(&self) -> u64 {
        PastFile::version(self)
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        PastFile::read(self, offset, length).await
    }

    async fn backing(&self) -> Result<Option<File>> {
        if self.size() < BACKED_BYTES_MIN {
            return Ok(None);
        }
        let file = self.local_file().await?;
        // What was cut short is for the store to report.
        let is_whole = |file: &File| file.metadata().is_ok_and(|meta| meta.len() == self.size());
        Ok(file.filter(is_whole))
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
