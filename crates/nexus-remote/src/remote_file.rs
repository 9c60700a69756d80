//! A file as the kernel has it open.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_fs::Ino;
use nexus_fuse::VolumeFile;
use nexus_kernel::{Error, Result};

use crate::file::{OpenFile, Write};

/// A file as the kernel has it open. Dropped without being closed, it closes itself.
pub(crate) struct RemoteFile {
    file: Arc<OpenFile>,
    /// The file's when it was opened.
    version: u64,
    closed: AtomicBool,
}

impl RemoteFile {
    pub(crate) fn new(file: Arc<OpenFile>, version: u64) -> Self {
        Self {
            file,
            version,
            closed: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl VolumeFile for RemoteFile {
    fn ino(&self) -> Ino {
        Ino(self.file.ino())
    }

    fn version(&self) -> u64 {
        self.version
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.file.read(offset, length).await
    }

    async fn backing(&self) -> Result<Option<File>> {
        Ok(None)
    }

    async fn write(&self, offset: Option<u64>, bytes: Bytes) -> Result<()> {
        let write = match offset {
            Some(offset) => Write::Put(offset, bytes),
            None => Write::Append(bytes),
        };
        self.file.write(write).await
    }

    async fn truncate(&self, size: u64) -> Result<()> {
        self.file.resize(size).await
    }

    async fn flush(&self) -> Result<()> {
        self.file.flush().await
    }

    async fn fsync(&self) -> Result<()> {
        self.file.fsync().await
    }

    /// # Cancel safety
    ///
    /// Dropped, it goes on in the background.
    async fn close(self: Arc<Self>) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let file = Arc::clone(&self.file);
        let closed = tokio::spawn(async move { file.close().await });
        closed.await.unwrap_or_else(|stopped| {
            let error = Error::unavailable("the file was not closed to the end; look into the log");
            Err(error.because(stopped))
        })
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (false, Ok(runtime)) = (*self.closed.get_mut(), runtime) {
            let file = Arc::clone(&self.file);
            runtime.spawn(async move {
                if let Err(error) = file.close().await {
                    let ino = file.ino();
                    tracing::error!(ino, ?error, "what was written could not be kept");
                }
            });
        }
    }
}
