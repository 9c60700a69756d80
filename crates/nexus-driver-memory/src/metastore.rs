//! [`Metastore`] in a `BTreeMap`.

mod recent;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Error, FlushBarrier, Freshness, Limits, Metastore, Page, Result, Revision,
    Scan, Txn, Value,
};
use parking_lot::RwLock;
use tokio::sync::watch;

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
}

impl MemoryMetastore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: RwLock::new(State::default()),
            newest: watch::Sender::new(Revision::ZERO),
            barrier: RwLock::default(),
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
        self.wait_for(freshness).await;
        Ok(self.state.read().get(key))
    }

    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>> {
        self.limits().check_keys(keys)?;
        self.wait_for(freshness).await;
        let state = self.state.read();
        Ok(keys.iter().map(|key| state.get(key)).collect())
    }

    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page> {
        self.limits().check_scan(&scan)?;
        self.wait_for(freshness).await;
        Ok(self.state.read().scan(&scan))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit> {
        self.limits().check_txn(&txn)?;
        if txn.durability == Durability::Sync {
            self.pass_barrier().await?;
        }
        let mut state = self.state.write();
        let commit = state.commit(&txn)?;
        self.newest.send_replace(state.revision());
        Ok(commit)
    }

    async fn changed(&self, after: Revision) -> Result<Revision> {
        Ok(self.wait_until(|newest| newest > after).await)
    }

    async fn sync(&self) -> Result<Revision> {
        self.pass_barrier().await?;
        Ok(self.state.read().revision())
    }

    fn set_barrier(&self, barrier: Arc<dyn FlushBarrier>) {
        *self.barrier.write() = Some(barrier);
    }
}
