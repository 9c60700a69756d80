//! A past state of a zone elsewhere.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use nexus_client::Inodes;
use nexus_fs::{At, DirEntry, Ino, Stat, Version};
use nexus_fuse::{Name, PastContent, PastState};
use nexus_kernel::{Result, Revision, Timestamp};

use crate::convert;
use crate::patience::patiently;
use crate::volume::{Shared, page};

/// A past state of a zone elsewhere.
#[derive(Clone)]
pub(crate) struct RemotePast {
    inodes: Inodes,
    shared: Arc<Shared>,
    revision: Revision,
    at: nexus_client::At,
}

impl RemotePast {
    pub(crate) async fn new(inodes: &Inodes, shared: Arc<Shared>, at: At) -> Result<Self> {
        let revision = patiently(shared.patience, |_| revision(inodes, &at)).await?;
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

async fn revision(inodes: &Inodes, at: &At) -> Result<Revision> {
    let at = nexus_client::At::from(at.to_string().as_str());
    inodes.as_of(&at).await
}

#[async_trait]
impl PastState for RemotePast {
    type File = PastFile;

    async fn as_of(&self, at: At) -> Result<Self> {
        Self::new(&self.inodes, Arc::clone(&self.shared), at).await
    }

    fn revision(&self) -> Revision {
        self.revision
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

    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        let limit = page(limit);
        let versions = self.ask(|| self.inodes.versions(ino.0, limit, &self.at));
        let versions = versions.await?.into_iter().map(convert::version);
        versions.collect()
    }

    async fn open(&self, ino: Ino) -> Result<PastFile> {
        // Whether it may be read, and is a file.
        self.ask(|| self.inodes.read_past(ino.0, 0, 0, &self.at))
            .await?;
        Ok(PastFile {
            version: self.getattr(ino).await?.version,
            state: self.clone(),
            ino,
        })
    }
}

/// A file as it was.
pub(crate) struct PastFile {
    state: RemotePast,
    ino: Ino,
    version: u64,
}

#[async_trait]
impl PastContent for PastFile {
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
            let RemotePast { inodes, at, .. } = &self.state;
            let piece = || inodes.read_past(self.ino.0, offset, rest, at);
            let piece = self.state.ask(piece).await?;
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
}
