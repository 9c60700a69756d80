//! The store as callers see it.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use futures::TryStreamExt;
use nexus_kernel::{
    Blob, ByteStream, Capabilities, Durability, Error, ObjectKey, ObjectMeta, ObjectPage,
    ObjectStore, PutMode, PutOptions, PutOutcome, Result,
};
use nexus_service_api::Clock;

use crate::body::{self, blocking};
use crate::config::LocalConfig;
use crate::core::Core;
use crate::disk::{Disk, RealDisk};
use crate::error::Failure;
use crate::queue::{Change, Content, Done, Queue};
use crate::staging::{StagedFile, Stager};
use crate::stats::LocalStats;
use crate::{checkpoint, listing, recovery};

#[cfg(test)]
mod tests;

/// Blobs in a folder of the local disk.
///
/// A put may still happen when its future is dropped after its body has ended, and so may a delete;
/// but not after a later put of the same key has answered.
pub struct LocalObjectStore {
    core: Arc<Core>,
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    journal: Option<JoinHandle<()>>,
    checkpoint: Option<JoinHandle<()>>,
}

impl LocalObjectStore {
    /// Opens the store, which is made if it does not exist, for this process alone. Blobs are
    /// dated by `clock`. Blocks; after an unclean stop for as long as reading the journal takes.
    ///
    /// # Errors
    ///
    /// `Unavailable` when another process has the store, `InvalidArgument` for settings that
    /// contradict each other, `Corrupt` or `Unsupported` for a journal that cannot be read.
    pub fn open(config: LocalConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.check()?;
        let disk = RealDisk::open(&config.root)?;
        Self::open_on(Arc::new(disk), config, clock)
    }

    /// Opens the store on a disk that forgets; `config.root` is not used.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    #[cfg(feature = "simulated-disk")]
    pub fn open_simulated(
        disk: crate::SimDisk,
        config: LocalConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        config.check()?;
        Self::open_on(Arc::new(disk), config, clock)
    }

    fn open_on(disk: Arc<dyn Disk>, config: LocalConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let queue = Arc::new(Queue::new(config.queue_bytes_max));
        let (core, journal) = recovery::open(config, disk)?;
        let (from, checkpoints) = (Arc::clone(&queue), Arc::clone(&core));
        Ok(Self {
            journal: Some(start("nexus-journal", move || journal.run(&from))?),
            checkpoint: Some(start("nexus-checkpoint", move || {
                checkpoint::run(&checkpoints);
            })?),
            core,
            queue,
            clock,
        })
    }

    /// The folder of the store.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.core.config.root
    }

    /// Makes everything durable and moves every blob from the journal into a file of its own.
    /// Happens by itself when the store is idle and when it is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`ObjectStore::sync`]. Nothing is lost; the journal stays in use.
    pub async fn checkpoint(&self) -> Result<()> {
        self.sync().await?;
        self.queue.submit(Change::Rotate, false).await?;
        let core = Arc::clone(&self.core);
        Ok(blocking(move || core.backlog.wait_until_empty()).await?)
    }

    /// What the store did so far.
    #[must_use]
    pub fn stats(&self) -> LocalStats {
        let counters = &self.core.counters;
        let (unflushed_blobs, unflushed_bytes) = self.core.overlay.read().unlogged_size();
        LocalStats {
            journal_bytes: counters.journal_bytes.get(),
            journal_records: counters.journal_records.get(),
            journal_flushes: counters.journal_flushes.get(),
            checkpoints: counters.checkpoints.get(),
            segments_behind: self.core.backlog.len() as u64,
            unflushed_blobs: unflushed_blobs as u64,
            unflushed_bytes,
        }
    }

    async fn flush(&self) -> Result<(), Failure> {
        if self.core.is_durable() {
            return Ok(());
        }
        let core = Arc::clone(&self.core);
        let staged = blocking(move || core.flush_staged()).await?;
        self.queue.submit(Change::Log { staged }, true).await?;
        Ok(())
    }

    /// The answer to a put that found its key taken.
    async fn taken(&self, options: PutOptions) -> Result<PutOutcome> {
        if options.durability == Durability::Sync {
            self.flush().await?;
        }
        Ok(PutOutcome::AlreadyExists)
    }

    async fn put_journaled(
        &self,
        key: &ObjectKey,
        content: Content,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let size = content.size as u64;
        let change = Change::Put {
            key: key.clone(),
            content,
            modified: self.clock.now(),
            mode: options.mode,
        };
        self.submit_put(change, size, options).await
    }

    async fn put_staged(
        &self,
        key: &ObjectKey,
        start: Content,
        rest: ByteStream,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let durable = options.durability == Durability::Sync;
        let file = self.stage(start, rest, durable).await?;
        let size = file.size;
        let change = Change::Place {
            key: key.clone(),
            file,
            mode: options.mode,
        };
        let outcome = self.submit_put(change, size, options).await?;
        let (blobs, bytes) = self.core.overlay.read().unlogged_size();
        let config = &self.core.config;
        if !durable && (blobs > config.relaxed_blobs_max || bytes > config.relaxed_bytes_max) {
            self.flush().await?;
        }
        Ok(outcome)
    }

    /// Writes a body to a file that is not a blob yet.
    async fn stage(
        &self,
        mut content: Content,
        mut rest: ByteStream,
        durable: bool,
    ) -> Result<StagedFile> {
        const WRITE_BYTES_MIN: usize = 1 << 20;
        let modified = self.clock.now();
        let mut stager: Option<Stager> = None;
        loop {
            while content.size < WRITE_BYTES_MIN
                && let Some(piece) = rest.try_next().await?
            {
                content.push(piece);
            }
            let last = content.size < WRITE_BYTES_MIN;
            let written = std::mem::take(&mut content);
            let core = Arc::clone(&self.core);
            let (now, done) = blocking(move || {
                let mut stager = stager.map_or_else(|| Stager::create(core, modified), Ok)?;
                stager.write(&written)?;
                if last {
                    return Ok((None, Some(stager.finish(durable)?)));
                }
                Ok((Some(stager), None))
            })
            .await?;
            stager = now;
            if let Some(file) = done {
                return Ok(file);
            }
        }
    }

    async fn submit_put(
        &self,
        change: Change,
        size: u64,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let durable = options.durability == Durability::Sync;
        match self.queue.submit(change, durable).await? {
            Done::Taken { unlogged: true } => self.taken(options).await,
            Done::Taken { unlogged: false } => Ok(PutOutcome::AlreadyExists),
            _ => Ok(PutOutcome::Stored { size }),
        }
    }
}

#[async_trait]
impl ObjectStore for LocalObjectStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_side_copy: false,
            blob_bytes_max: i64::MAX as u64,
            durable: true,
        }
    }

    async fn put(
        &self,
        key: &ObjectKey,
        mut body: ByteStream,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        // Asked in this order: a delete that is done by the first question shows in the second.
        if options.mode == PutMode::IfAbsent
            && !self.queue.is_deleting(key)
            && self.core.exists(key)?
        {
            return self.taken(options).await;
        }
        let journaled_bytes_max = match options.durability {
            Durability::Sync => self.core.config.journal_blob_bytes_max,
            Durability::Relaxed => self.core.config.relaxed_journal_blob_bytes_max,
        };
        let mut content = Content::default();
        while let Some(piece) = body.try_next().await? {
            content.push(piece);
            if content.size > journaled_bytes_max {
                return self.put_staged(key, content, body, options).await;
            }
        }
        self.put_journaled(key, content, options).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Blob> {
        let opened = self.core.open(key).map_err(|failure| about(key, failure))?;
        body::read(opened, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta> {
        self.core.head(key).map_err(|failure| about(key, failure))
    }

    async fn local_file(&self, key: &ObjectKey) -> Result<Option<File>> {
        let found = self.core.local_file(key);
        found.map_err(|failure| about(key, failure))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        let change = Change::Delete {
            key: key.clone(),
            modified: self.clock.now(),
        };
        let done = self.queue.submit(change, false).await;
        let done = done.map_err(|failure| about(key, failure))?;
        Ok(done == Done::Deleted { existed: true })
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<ObjectPage> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        let core = Arc::clone(&self.core);
        Ok(blocking(move || listing::list(&core, &prefix, after.as_ref(), limit)).await?)
    }

    async fn copy(
        &self,
        from: &ObjectKey,
        to: &ObjectKey,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let blob = self.get(from, None).await?;
        self.put(to, blob.body, options).await
    }

    async fn sync(&self) -> Result<()> {
        Ok(self.flush().await?)
    }
}

impl Drop for LocalObjectStore {
    /// Ends cleanly: what was accepted is done, and the journal becomes files.
    fn drop(&mut self) {
        self.queue.close();
        join(self.journal.take());
        self.core.backlog.close();
        join(self.checkpoint.take());
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|cause| {
        Error::limit("no thread for the object store; raise the limit of threads").because(cause)
    })
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(Err(_panic)) = thread.map(JoinHandle::join) {
        tracing::error!("a thread of the object store panicked; the next start recovers");
    }
}

fn about(key: &ObjectKey, failure: Failure) -> Error {
    Error::from(failure).with("key", key)
}
