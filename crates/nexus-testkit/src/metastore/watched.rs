//! A metastore whose calls a test sees, holds back or refuses.

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{
    Commit, Entry, FlushBarrier, Freshness, Limits, Metastore, MetastoreSnapshot, Page,
    RestoreStep, Restoring, Result, Revision, Scan, Txn, Value,
};

/// What is asked of a store.
#[derive(Clone, Copy, Debug)]
pub enum Call<'c> {
    /// For one row.
    Get(&'c [u8]),
    /// For many.
    GetMany(&'c [Bytes]),
    /// For a range of them.
    Scan(&'c Scan),
    /// To commit.
    Commit(&'c Txn),
    /// To make everything durable.
    Sync,
}

/// Looks on while a store is used.
#[async_trait]
pub trait Watcher: Send + Sync + 'static {
    /// The limits of the store, by those of the one inside.
    fn limits(&self, inner: Limits) -> Limits {
        inner
    }

    /// Whether a barrier that is set reaches the store.
    fn takes_barrier(&self) -> bool {
        true
    }

    /// Before a call reaches the store: an error is the answer in its place.
    async fn before(&self, call: Call<'_>) -> Result<()> {
        let _ = call;
        Ok(())
    }

    /// Before the answer of the store goes back; of a scan with its rows.
    async fn after(&self, call: Call<'_>, rows: &[Entry]) {
        let _ = (call, rows);
    }
}

/// A store around another, and who looks on: what the watcher has, this has.
pub struct WatchedMetastore<W> {
    inner: Arc<dyn Metastore>,
    watcher: W,
}

impl<W: Watcher> WatchedMetastore<W> {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Metastore>, watcher: W) -> Self {
        Self { inner, watcher }
    }

    /// The store inside, which nobody watches.
    #[must_use]
    pub fn inner(&self) -> &dyn Metastore {
        &*self.inner
    }
}

impl<W> Deref for WatchedMetastore<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.watcher
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<W: Watcher> Metastore for WatchedMetastore<W> {
    fn limits(&self) -> Limits {
        self.watcher.limits(self.inner.limits())
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Value>> {
        self.watcher.before(Call::Get(key)).await?;
        let found = self.inner.get(key, freshness).await?;
        self.watcher.after(Call::Get(key), &[]).await;
        Ok(found)
    }

    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>> {
        self.watcher.before(Call::GetMany(keys)).await?;
        let found = self.inner.get_many(keys, freshness).await?;
        self.watcher.after(Call::GetMany(keys), &[]).await;
        Ok(found)
    }

    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page> {
        self.watcher.before(Call::Scan(&scan)).await?;
        let page = self.inner.scan(scan.clone(), freshness).await?;
        self.watcher.after(Call::Scan(&scan), &page.entries).await;
        Ok(page)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit> {
        self.limits().check_txn(&txn)?;
        self.watcher.before(Call::Commit(&txn)).await?;
        let answer = self.inner.commit(txn.clone()).await?;
        self.watcher.after(Call::Commit(&txn), &[]).await;
        Ok(answer)
    }

    async fn changed(&self, after: Revision) -> Result<Revision> {
        self.inner.changed(after).await
    }

    async fn sync(&self) -> Result<Revision> {
        self.watcher.before(Call::Sync).await?;
        let durable = self.inner.sync().await?;
        self.watcher.after(Call::Sync, &[]).await;
        Ok(durable)
    }

    fn set_barrier(&self, barrier: Arc<dyn FlushBarrier>) {
        if self.watcher.takes_barrier() {
            self.inner.set_barrier(barrier);
        }
    }

    async fn snapshot(&self) -> Result<Arc<dyn MetastoreSnapshot>> {
        self.inner.snapshot().await
    }

    async fn restore(&self, step: RestoreStep) -> Result<()> {
        self.inner.restore(step).await
    }

    async fn restoring(&self) -> Result<Option<Restoring>> {
        self.inner.restoring().await
    }
}
