//! A past state of a zone in this process.

use std::fs::File;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_fs::{At, DirEntry, Ino, PastFile, PastZone, Session, Stat, Version};
use nexus_kernel::{Result, Revision, Timestamp};

use super::Name;
use super::past::{PastContent, PastState};

/// Below, to have the kernel read a file by itself costs more than it saves.
const BACKED_BYTES_MIN: u64 = 64 << 10;

/// A past state of a zone in this process, as its session sees it.
#[derive(Clone)]
pub(super) struct LocalPast {
    session: Session,
    snapshot: PastZone,
}

impl LocalPast {
    pub(super) async fn new(session: &Session, at: At) -> Result<Self> {
        Ok(Self {
            session: session.clone(),
            snapshot: session.as_of(at).await?,
        })
    }
}

#[async_trait]
impl PastState for LocalPast {
    type File = PastFile;

    async fn as_of(&self, at: At) -> Result<Self> {
        Self::new(&self.session, at).await
    }

    fn revision(&self) -> Revision {
        self.snapshot.revision()
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

    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        self.snapshot.versions(ino, limit).await
    }

    async fn open(&self, ino: Ino) -> Result<PastFile> {
        self.snapshot.open(ino).await
    }
}

#[async_trait]
impl PastContent for PastFile {
    fn ino(&self) -> Ino {
        Self::ino(self)
    }

    fn version(&self) -> u64 {
        Self::version(self)
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        Self::read(self, offset, length).await
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
}
