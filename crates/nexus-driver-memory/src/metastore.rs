//! [`Metastore`] in a `BTreeMap`.

mod recent;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Error, FlushBarrier, Freshness, Limits, Metastore, MetastoreSnapshot, Page,
    RestoreStep, Restoring, Result, Revision, Scan, Txn, Value,
};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

use self::snapshot::MemorySnapshot;
use self::state::State;

/// The reference [`Metastore`]: everything in one ordered map behind one lock.
///
/// Nothing survives the process, so both durabilities are the same, but that `Sync` commits and
/// [`sync`](Metastore::sync) wait for the [`FlushBarrier`] and fail with it, as they do where
/// there is a disk. `Relaxed` commits never meet it.
pub struct MemoryMetastore {
    state: RwLock<State>,
    newest: watch::Sender<Revision>,
    barrier: RwLock<Option<Arc<dyn FlushBarrier>>>,
    /// A place for each snapshot that may be held.
    snapshots: Arc<Semaphore>,
}

impl MemoryMetastore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: RwLock::new(State::default()),
            newest: watch::Sender::new(Revision::ZERO),
            barrier: RwLock::default(),
            snapshots: Arc::new(Semaphore::new(Limits::STANDARD.snapshots_max)),
        }
    }

    async fn wait_until(&self, reached: impl Fn(Revision) -> bool) -> Revision {
        let mut newest = self.newest.subscribe();
        let seen = newest.wait_for(|revision| reached(*revision)).await;
        *seen.expect("the sender lives as long as the store")
    }

    async fn wait_for(&self, freshness: Freshness) {
        if let Freshness::AtLeast(revision) = freshness {
            self.wait_until(|newest| newest >= revision).await;
        }
    }
}

impl MemoryMetastore {
    async fn pass_barrier(&self) -> Result<()> {
        let barrier = self.barrier.read().clone();
        match barrier.filter(|barrier| !barrier.is_clean()) {
            Some(barrier) => barrier.flush().await.map_err(|cause| {
                Error::unavailable(
                    "what the change refers to cannot be made durable; try again later",
                )
                .because(cause)
            }),
            None => Ok(()),
        }
    }
}

impl Default for MemoryMetastore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Metastore for MemoryMetastore {
    fn limits(&self) -> Limits {
        Limits::STANDARD
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Value>> {
        self.limits().check_key(key)?;
        self.state.read().check_whole()?;
        self.wait_for(freshness).await;
        Ok(self.state.read().get(key))
    }

    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>> {
        self.limits().check_keys(keys)?;
        self.state.read().check_whole()?;
        self.wait_for(freshness).await;
        let state = self.state.read();
        Ok(keys.iter().map(|key| state.get(key)).collect())
    }

    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page> {
        self.limits().check_scan(&scan)?;
        self.state.read().check_whole()?;
        self.wait_for(freshness).await;
        Ok(self.state.read().scan(&scan))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit> {
        self.limits().check_txn(&txn)?;
        if txn.durability == Durability::Sync {
            self.pass_barrier().await?;
        }
        let mut state = self.state.write();
        state.check_whole()?;
        let commit = state.commit(&txn)?;
        self.newest.send_replace(state.revision());
        Ok(commit)
    }

    async fn changed(&self, after: Revision) -> Result<Revision> {
        self.state.read().check_whole()?;
        Ok(self.wait_until(|newest| newest > after).await)
    }

    async fn sync(&self) -> Result<Revision> {
        self.state.read().check_whole()?;
        self.pass_barrier().await?;
        Ok(self.state.read().revision())
    }

    fn set_barrier(&self, barrier: Arc<dyn FlushBarrier>) {
        *self.barrier.write() = Some(barrier);
    }

    async fn snapshot(&self) -> Result<Arc<dyn MetastoreSnapshot>> {
        let state = self.state.read();
        state.check_whole()?;
        let place = self.snapshots.clone().try_acquire_owned().map_err(|_| {
            Error::limit("too many snapshots are held; end another export or backup first")
                .with("most", self.limits().snapshots_max)
        })?;
        Ok(Arc::new(MemorySnapshot::new(
            state.rows(),
            state.revision(),
            place,
        )))
    }

    async fn restore(&self, step: RestoreStep) -> Result<()> {
        let mut state = self.state.write();
        let begun = state.restoring();
        self.limits()
            .check_restore(&step, state.revision(), begun.as_ref())?;
        state.restore(step);
        self.newest.send_replace(state.revision());
        Ok(())
    }

    async fn restoring(&self) -> Result<Option<Restoring>> {
        Ok(self.state.read().restoring())
    }
}
