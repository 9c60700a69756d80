//! The oldest readable revision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nexus_kernel::{Error, Freshness, Metastore, Result, Revision};

use crate::keys;

/// The oldest readable revision, as this process knows it: it rises before anything below it is
/// removed. So whoever has read rows, and then finds the floor still below what was read, has seen
/// all that there was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floor(Arc<AtomicU64>);

impl Floor {
    pub(crate) async fn load(metastore: &dyn Metastore) -> Result<Self> {
        let row = metastore
            .get(keys::COMPACTED, Freshness::Linearizable)
            .await?;
        let floor = row.map_or(0, |row| keys::last_number(&row.bytes));
        Ok(Self(Arc::new(AtomicU64::new(floor))))
    }

    pub(crate) fn get(&self) -> Revision {
        Revision(self.0.load(Ordering::SeqCst))
    }

    /// Refuses a content with this count whose last use was collected while it was being read.
    pub(crate) async fn check_in_use(&self, metastore: &dyn Metastore, count: &[u8]) -> Result<()> {
        let count = metastore.get(count, Freshness::Linearizable).await?;
        match count.is_some_and(|count| count.bytes.iter().any(|byte| *byte != 0)) {
            true => Ok(()),
            false => Err(collected(self.get())),
        }
    }

    pub(super) fn raise(&self, floor: Revision) {
        self.0.fetch_max(floor.0, Ordering::SeqCst);
    }
}

/// The answer to who reads what has been collected; `oldest` is the oldest that can be read there.
pub(crate) fn collected(oldest: Revision) -> Error {
    Error::not_found(
        "this has been collected from history by retention; name a later point, or a snapshot",
    )
    .with("oldest_readable", oldest)
}
