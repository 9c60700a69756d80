//! A past state of a zone elsewhere.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nexus_client::Inodes;
use nexus_fs::{
    At, DirEntry, Ino, KeyPresence, NewInode, OpenMode, Record, Replace, SetAttributes, Stat,
    Version,
};
use nexus_fuse::{Caller, Name, Volume, VolumeFile, read_only};
use nexus_kernel::{Result, Revision, Timestamp};

use crate::convert;
use crate::patience::patiently;
use crate::volume::{Shared, page};

/// A past state of a zone elsewhere.
#[derive(Clone)]
pub(crate) struct PastVolume {
    inodes: Inodes,
    shared: Arc<Shared>,
    revision: Revision,
    at: nexus_client::At,
}

impl PastVolume {
    pub(crate) async fn new(inodes: &Inodes, shared: Arc<Shared>, at: At) -> Result<Self> {
        let revision = patiently(shared.patience, |_| revision(inodes, at)).await?;
        Ok(Self {
            inodes: inodes.clone(),
            shared,
            revision,
            at: nexus_client::At::revision(revision),
        })
    }

    async fn ask<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        patiently(self.shared.patience, |_| call()).await
    }
}

async fn revision(inodes: &Inodes, at: At) -> Result<Revision> {
    use nexus_client::At as Point;
    match at {
        At::Latest => inodes.as_of(&Point::latest()).await,
        At::AtLeast(revision) => inodes.as_of(&Point::at_least(revision)).await,
        At::Revision(revision) => inodes.as_of(&Point::revision(revision)).await,
        At::Time(time) => inodes.as_of_time(time).await,
        At::Ago(age) => {
            let age = format!("{}s", age.as_secs());
            inodes.as_of(&Point::from(age.as_str())).await
        }
    }
}

#[async_trait]
impl Volume for PastVolume {
    /// Nothing of it gets on record.
    fn acting_for(&self, _: &Caller) -> Arc<dyn Volume> {
        Arc::new(self.clone())
    }

    async fn as_of(&self, at: At) -> Result<Arc<dyn Volume>> {
        let past = Self::new(&self.inodes, Arc::clone(&self.shared), at);
        Ok(Arc::new(past.await?))
    }

    fn is_past(&self) -> bool {
        true
    }

    async fn revision(&self) -> Result<Revision> {
        Ok(self.revision)
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    async fn lookup(&self, (parent, name): Name<'_>) -> Result<Stat> {
        let found = self.ask(|| self.inodes.lookup(parent.0, name, &self.at));
        convert::stat(found.await?)
    }

    async fn getattr(&self, ino: Ino) -> Result<Stat> {
        let found = self.ask(|| self.inodes.attributes(ino.0, &self.at));
        convert::stat(found.await?)
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
        let page = || {
            self.inodes
                .read_directory(directory.0, after, limit, details, &self.at)
        };
        let entries = self.ask(page).await?;
        entries.into_iter().map(convert::entry).collect()
    }

    async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        let parent = self.ask(|| self.inodes.parent_of(ino.0, &self.at));
        parent.await.map(Ino)
    }

    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        self.ask(|| self.inodes.metadata_value(ino.0, key, &self.at))
            .await
    }

    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        self.ask(|| self.inodes.metadata_keys(ino.0, &self.at))
            .await
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
        let limit = page(limit);
        let versions = self.ask(|| self.inodes.versions(ino.0, limit, &self.at));
        let versions = versions.await?.into_iter().map(convert::version);
        versions.collect()
    }

    async fn open(&self, ino: Ino, mode: OpenMode, truncate: bool) -> Result<Arc<dyn VolumeFile>> {
        if mode != OpenMode::Read || truncate {
            return Err(read_only());
        }
        // Whether it may be read, and is a file.
        self.ask(|| self.inodes.read_past(ino.0, 0, 0, &self.at))
            .await?;
        Ok(Arc::new(PastFile {
            version: self.getattr(ino).await?.version,
            volume: self.clone(),
            ino,
        }))
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

/// A file as it was.
struct PastFile {
    volume: PastVolume,
    ino: Ino,
    version: u64,
}

#[async_trait]
impl VolumeFile for PastFile {
    fn ino(&self) -> Ino {
        self.ino
    }

    fn version(&self) -> u64 {
        self.version
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let mut read = BytesMut::new();
        while read.len() < length {
            let (offset, rest) = (offset + read.len() as u64, length - read.len());
            let PastVolume { inodes, at, .. } = &self.volume;
            let piece = || inodes.read_past(self.ino.0, offset, rest, at);
            let piece = self.volume.ask(piece).await?;
            if piece.is_empty() {
                break;
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    }

    async fn backing(&self) -> Result<Option<File>> {
        Ok(None)
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
