use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Entry, Error, Freshness, Limits, Metastore, Page, Result, Revision, Scan,
    ScanDirection, Txn, Value,
};
use parking_lot::{Mutex, RwLock};
use redb::{
    AccessGuard, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    StorageError,
};
use tokio::sync::{oneshot, watch};

use crate::apply::bounds;
use crate::committer::{Committer, Shared};
use crate::config::RedbConfig;
use crate::error;
use crate::layout::{self, FACTS, REVISION_FACT, ROWS};
use crate::open::{self, Opened};
use crate::queue::{Closed, Queue, Request};
use crate::seat::Seat;
use crate::space::Space;
use crate::stats::{Counters, RedbStats};

/// Memory that a guard or operation costs while it waits, besides its bytes.
const ITEM_BYTES: usize = 64;

/// A [`Metastore`] in one redb file.
///
/// Dropping the store closes it as [`close`](Self::close) does, and waits for that.
pub struct RedbMetastore {
    opened: Shared,
    /// Where this process goes on. What the file says may be before it until the next commit.
    began_at: Revision,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    newest: watch::Receiver<Revision>,
    seat: Arc<Seat>,
    thread: Mutex<Option<JoinHandle<()>>>,
    path: Option<PathBuf>,
}

impl RedbMetastore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    ///
    /// `Unavailable` when another node has it open or it cannot be read, `Unsupported` when
    /// a newer version wrote it, `Corrupt` when it is damaged.
    pub fn open(config: &RedbConfig) -> Result<Arc<Self>> {
        let path = Some(config.path.clone());
        Self::start(config, open::file(config)?, path)
    }

    /// Opens a database on `backend`, or creates it there; `config.path` is not used.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn with_backend(config: &RedbConfig, backend: impl StorageBackend) -> Result<Arc<Self>> {
        Self::start(config, open::backend(config, backend)?, None)
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> RedbStats {
        let length = |path: &PathBuf| path.metadata().ok().map(|meta| meta.len());
        let file_bytes = self.path.as_ref().and_then(length).unwrap_or(0);
        self.counters.read(self.queue.len(), file_bytes)
    }

    /// Refuses new commits, serves those that wait, makes everything durable and closes
    /// the file. Reads fail from then on.
    ///
    /// # Errors
    ///
    /// `Unavailable` when a write had failed, so that not everything may be durable.
    pub async fn close(&self) -> Result<()> {
        self.queue.close(Closed::Gracefully);
        let mut newest = self.newest.clone();
        while newest.changed().await.is_ok() {}
        self.queue.check_closed_gracefully()
    }

    fn start(config: &RedbConfig, opened: Opened, path: Option<PathBuf>) -> Result<Arc<Self>> {
        let progress = open::progress(&opened)?;
        let began_at = progress.revision;
        let opened = Arc::new(RwLock::new(Some(opened)));
        let queue = Arc::new(Queue::new(config));
        let counters = Arc::new(Counters::default());
        let committer = Committer::new(
            opened.clone(),
            queue.clone(),
            counters.clone(),
            progress,
            path.is_some().then(|| Space::new(config)),
            config,
        );
        let newest = committer.newest();
        let seat = Arc::new(Seat::new(committer, queue.clone()));
        let thread = thread::Builder::new().name("redb-committer".into());
        let thread = thread.spawn({
            let seat = seat.clone();
            move || seat.serve()
        });
        Ok(Arc::new(Self {
            opened,
            began_at,
            queue,
            counters,
            newest,
            seat,
            thread: Mutex::new(Some(thread.map_err(|error| error::io(&error))?)),
            path,
        }))
    }

    async fn wait_until(&self, reached: impl Fn(Revision) -> bool) -> Result<Revision> {
        let mut newest = self.newest.clone();
        let seen = newest.wait_for(|revision| reached(*revision)).await;
        Ok(*seen.map_err(|_| self.queue.why_closed())?)
    }

    async fn snapshot(&self, freshness: Freshness) -> Result<Snapshot> {
        if let Freshness::AtLeast(revision) = freshness {
            self.wait_until(|newest| newest >= revision).await?;
        }
        let opened = self.opened.read();
        let opened = opened.as_ref().ok_or_else(|| self.queue.why_closed())?;
        Snapshot::of(opened, self.began_at).map_err(error::storage)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T>>) -> Request,
        bytes: usize,
        durability: Durability,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(request(answer), bytes).await?;
        let wakes_the_thread = WakesTheThread(&self.queue);
        if self.queue.is_quiet() && may_commit_here(durability) {
            if durability == Durability::Sync {
                // Whoever else is about to ask does so first, and shares the flush.
                tokio::task::yield_now().await;
            }
            self.seat.serve_once_if_free();
        }
        drop(wakes_the_thread);
        let lost = |_| self.queue.why_closed().outcome_unknown();
        answered.await.map_err(lost)?
    }
}

/// Whether a commit may take place in the caller's task. One without a flush takes
/// microseconds; one with a flush holds up a worker of the runtime, so there must be
/// others.
fn may_commit_here(durability: Durability) -> bool {
    let has_other_workers = || {
        let runtime = tokio::runtime::Handle::try_current();
        runtime.is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
    };
    durability == Durability::Relaxed || has_other_workers()
}

/// Leaves to the thread what still waits, also when the caller gives up.
struct WakesTheThread<'a>(&'a Queue);

impl Drop for WakesTheThread<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl Drop for RedbMetastore {
    fn drop(&mut self) {
        self.queue.close(Closed::Gracefully);
        if let Some(thread) = self.thread.lock().take() {
            // If it panicked, everyone who waited was told.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Metastore for RedbMetastore {
    fn limits(&self) -> Limits {
        Limits::STANDARD
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Value>> {
        self.limits().check_key(key)?;
        self.snapshot(freshness).await?.get(key)
    }

    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>> {
        self.limits().check_keys(keys)?;
        let snapshot = self.snapshot(freshness).await?;
        keys.iter().map(|key| snapshot.get(key)).collect()
    }

    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page> {
        self.limits().check_scan(&scan)?;
        self.snapshot(freshness).await?.scan(&scan)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit> {
        let bytes = self.limits().check_txn(&txn)?;
        let items = txn.guards.len() + txn.ops.len();
        let (bytes, durability) = (bytes + items * ITEM_BYTES, txn.durability);
        self.ask(|answer| Request::Commit(txn, answer), bytes, durability)
            .await
    }

    async fn changed(&self, after: Revision) -> Result<Revision> {
        self.wait_until(|newest| newest > after).await
    }

    async fn sync(&self) -> Result<Revision> {
        self.ask(Request::Sync, 0, Durability::Sync).await
    }
}

/// One state of the store.
struct Snapshot {
    txn: ReadTransaction,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    began_at: Revision,
}

impl Snapshot {
    fn of(opened: &Opened, began_at: Revision) -> Result<Self, redb::Error> {
        let txn = opened.db.begin_read()?;
        let rows = txn.open_table(ROWS)?;
        Ok(Self {
            txn,
            rows,
            began_at,
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let row = ReadableTable::get(&self.rows, key).map_err(error::storage)?;
        row.map(|row| value(&row)).transpose()
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        let rows = ReadableTable::range(&self.rows, bounds(&scan.range)).map_err(error::storage)?;
        let (entries, more) = match scan.direction {
            ScanDirection::Forward => take(rows, scan.limit)?,
            ScanDirection::Backward => take(rows.rev(), scan.limit)?,
        };
        Ok(Page {
            entries,
            more,
            revision: self.revision().map_err(error::storage)?,
        })
    }

    fn revision(&self) -> Result<Revision, redb::Error> {
        let facts = self.txn.open_table(FACTS)?;
        let newest = ReadableTable::get(&facts, REVISION_FACT)?;
        let newest = Revision(newest.map_or(0, |newest| newest.value()));
        Ok(newest.max(self.began_at))
    }
}

type Bytestring<'a> = AccessGuard<'a, &'static [u8]>;

fn take<'a>(
    mut rows: impl Iterator<Item = Result<(Bytestring<'a>, Bytestring<'a>), StorageError>>,
    limit: usize,
) -> Result<(Vec<Entry>, bool)> {
    let mut entries = Vec::new();
    for row in rows.by_ref().take(limit) {
        let (key, row) = row.map_err(error::storage)?;
        entries.push(Entry {
            key: Bytes::copy_from_slice(key.value()),
            value: value(&row)?,
        });
    }
    let more = rows.next().transpose().map_err(error::storage)?;
    Ok((entries, more.is_some()))
}

fn value(row: &Bytestring<'_>) -> Result<Value, Error> {
    layout::decode(row.value()).ok_or_else(error::corrupt)
}
