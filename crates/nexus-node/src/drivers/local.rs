//! Objects in a local folder.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nexus_driver_local::{LocalConfig, LocalObjectStore};
use nexus_kernel::{Error, Result};
use nexus_server::Sample;

use super::Opening;
use super::part::Value::{Now, Total};
use super::part::{Part, samples};

/// How long a close waits for those that still hold the store.
const LET_GO_TRIES: u32 = 1_000;
const LET_GO_PAUSE: Duration = Duration::from_millis(1);

pub(super) fn open(from: &Opening<'_>) -> Result<Arc<LocalObjectStore>> {
    let uri = &from.config.stores.objects;
    let config = LocalConfig::new(uri.path_or(&from.folder.join("objects")));
    LocalObjectStore::open(config, Arc::clone(from.clock)).map(Arc::new)
}

#[async_trait]
impl Part for LocalObjectStore {
    fn sample(&self) -> Vec<Sample> {
        let s = self.stats();
        samples([
            (
                "objects_journal_bytes",
                "Bytes appended to the journal",
                Total(s.journal_bytes),
            ),
            (
                "objects_journal_records",
                "Changes appended to it",
                Total(s.journal_records),
            ),
            (
                "objects_journal_flushes",
                "Flushes of it",
                Total(s.journal_flushes),
            ),
            (
                "objects_checkpoints",
                "Journal segments that became files",
                Total(s.checkpoints),
            ),
            (
                "objects_segments_behind",
                "Those that wait for that",
                Now(s.segments_behind),
            ),
            (
                "objects_unflushed_bytes",
                "Relaxed bytes not yet flushed",
                Now(s.unflushed_bytes),
            ),
        ])
    }

    async fn close(self: Arc<Self>) -> Result<()> {
        self.checkpoint().await?;
        // Dropping it lets go of the folder, and waits for its threads.
        let store = last_one(self).await;
        let closed = tokio::task::spawn_blocking(move || drop(store)).await;
        closed.map_err(|error| {
            Error::unavailable("the object store did not close; the next start recovers")
                .because(error)
        })
    }
}

/// The store once nobody else holds it. Tasks that were cut off let go of theirs when they
/// are scheduled next; whoever still has it after a while keeps it open.
async fn last_one<T>(mut store: Arc<T>) -> Result<T, Arc<T>> {
    for _ in 0..LET_GO_TRIES {
        match Arc::try_unwrap(store) {
            Ok(store) => return Ok(store),
            Err(shared) => store = shared,
        }
        tokio::time::sleep(LET_GO_PAUSE).await;
    }
    tracing::warn!("the object store is still in use and stays open until that ends");
    Err(store)
}
