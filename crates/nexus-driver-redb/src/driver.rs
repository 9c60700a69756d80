use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, FlushBarrier, Freshness, Limits, Metastore, MetastoreSnapshot, Page,
    RestoreStep, Restoring, Result, Revision, Scan, Txn, Value,
};
use parking_lot::{Mutex, RwLock};
use redb::StorageBackend;
use tokio::sync::{oneshot, watch};

use crate::barrier::Barrier;
use crate::committer::{Committer, Parts};
use crate::config::RedbConfig;
use crate::error;
use crate::layers::{Shared, View};
use crate::memtable::Memtable;
use crate::open::{self, Opened};
use crate::queue::{Closed, Queue, Request};
use crate::seat::Seat;
use crate::snapshots::RedbSnapshot;
use crate::space::Space;
use crate::stats::{Counters, RedbStats};

/// Memory that a guard or operation costs while it waits, besides its bytes.
const ITEM_BYTES: usize = 64;

/// A [`Metastore`] in one redb file.
///
/// Dropping the store closes it as [`close`](Self::close) does, and waits for that.
pub struct RedbMetastore {
    view: Shared,
    barrier: Arc<Barrier>,
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
        let bytes = |view: &View| view.memtables().map(Memtable::bytes).sum();
        let memtable_bytes = self.view.read().as_ref().map_or(0, bytes);
        self.counters
            .read(self.queue.len(), memtable_bytes, file_bytes)
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
        let view = View::new(opened, progress.revision, progress.restoring.clone());
        let view = view.map_err(error::storage)?;
        let view = Arc::new(RwLock::new(Some(view)));
        let queue = Arc::new(Queue::new(config));
        let (barrier, counters) = (Arc::<Barrier>::default(), Arc::<Counters>::default());
        let parts = Parts {
            view: view.clone(),
            queue: queue.clone(),
            barrier: barrier.clone(),
            counters: counters.clone(),
        };
        let space = path.is_some().then(|| Space::new(config));
        let committer = Committer::new(parts, progress, space, config);
        let newest = committer.newest();
        let seat = Arc::new(Seat::new(committer, queue.clone()));
        let thread = thread::Builder::new().name("redb-committer".into());
        let thread = thread.spawn({
            let seat = seat.clone();
            move || seat.serve()
        });
        Ok(Arc::new(Self {
            view,
            barrier,
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

    async fn wait_for(&self, freshness: Freshness) -> Result<()> {
        self.check_whole()?;
        if let Freshness::AtLeast(revision) = freshness
            && *self.newest.borrow() < revision
        {
            self.wait_until(|newest| newest >= revision).await?;
        }
        Ok(())
    }

    /// Looks at one state of the store.
    fn look<T>(&self, see: impl FnOnce(&View) -> T) -> Result<T> {
        let view = self.view.read();
        let view = view.as_ref().ok_or_else(|| self.queue.why_closed())?;
        match view.restoring {
            Some(_) => Err(Restoring::refusal()),
            None => Ok(see(view)),
        }
    }

    fn check_whole(&self) -> Result<()> {
        self.look(|_| ())
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
        if self.queue.is_quiet() && may_flush_here() {
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

/// Whether a flush may take place in the caller's task: it holds up a worker of the runtime,
/// so there must be others.
fn may_flush_here() -> bool {
    let runtime = tokio::runtime::Handle::try_current();
    runtime.is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
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
        self.wait_for(freshness).await?;
        let found = self.look(|view| view.find(key))?;
        found.resolve(key).map_err(error::storage)
    }

    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>> {
        self.limits().check_keys(keys)?;
        self.wait_for(freshness).await?;
        let found: Vec<_> = self.look(|view| keys.iter().map(|key| view.find(key)).collect())?;
        let found = keys.iter().zip(found);
        let values = found.map(|(key, found)| found.resolve(key).map_err(error::storage));
        values.collect()
    }

    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page> {
        self.limits().check_scan(&scan)?;
        self.wait_for(freshness).await?;
        let part = self.look(|view| view.part(&scan))?;
        part.page(&scan).map_err(error::storage)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit> {
        let bytes = self.limits().check_txn(&txn)?;
        let items = txn.guards.len() + txn.ops.len();
        let (bytes, durability) = (bytes + items * ITEM_BYTES, txn.durability);
        if durability == Durability::Relaxed
            && let Some(verdict) = self.seat.commit_in_memory(&txn, bytes)
        {
            return verdict;
        }
        self.ask(|answer| Request::Commit(txn, answer), bytes, durability)
            .await
    }

    async fn changed(&self, after: Revision) -> Result<Revision> {
        self.check_whole()?;
        self.wait_until(|newest| newest > after).await
    }

    async fn sync(&self) -> Result<Revision> {
        self.check_whole()?;
        self.ask(Request::Sync, 0, Durability::Sync).await
    }

    fn set_barrier(&self, barrier: Arc<dyn FlushBarrier>) {
        self.barrier.set(barrier);
    }

    async fn snapshot(&self) -> Result<Arc<dyn MetastoreSnapshot>> {
        // What is in the file costs a snapshot nothing; what is in memory it copies.
        self.sync().await?;
        let most = self.limits().snapshots_max;
        let (place, revision) = self.look(|view| view.snapshots.add(view.whole(), most))??;
        let store = (self.view.clone(), self.queue.clone());
        Ok(Arc::new(RedbSnapshot::new(store, place, revision)))
    }

    async fn restore(&self, step: RestoreStep) -> Result<()> {
        let seat = self.seat.clone();
        let taken = tokio::task::spawn_blocking(move || seat.restore(&step)).await;
        let lost = || self.queue.why_closed().outcome_unknown();
        taken
            .map_err(|_| lost())?
            .ok_or_else(|| self.queue.why_closed())?
    }

    async fn restoring(&self) -> Result<Option<Restoring>> {
        let view = self.view.read();
        let view = view.as_ref().ok_or_else(|| self.queue.why_closed())?;
        Ok(view.restoring.clone())
    }
}
