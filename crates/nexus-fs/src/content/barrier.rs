//! Blobs that are not durable yet, and the commits that must not be before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use nexus_kernel::{FlushBarrier, ObjectStore, Result};

/// Counts relaxed puts, so that the metastore can ask whether commits refer to blobs that are
/// not durable, and have them made durable first.
pub(crate) struct RelaxedPuts {
    objects: Arc<dyn ObjectStore>,
    answered: AtomicU64,
    /// So many of those answered are durable.
    durable: AtomicU64,
}

impl RelaxedPuts {
    pub(super) fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            objects,
            answered: AtomicU64::new(0),
            durable: AtomicU64::new(0),
        }
    }

    /// Notes a put, after its answer: what is flushed while it is under way may not cover it.
    pub(super) fn note(&self) {
        self.answered.fetch_add(1, Ordering::AcqRel);
    }
}

#[async_trait]
impl FlushBarrier for RelaxedPuts {
    fn is_clean(&self) -> bool {
        self.durable.load(Ordering::Acquire) >= self.answered.load(Ordering::Acquire)
    }

    async fn flush(&self) -> Result<()> {
        let answered = self.answered.load(Ordering::Acquire);
        self.objects.sync().await?;
        self.durable.fetch_max(answered, Ordering::AcqRel);
        Ok(())
    }
}
