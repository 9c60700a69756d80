use std::sync::Arc;

use async_trait::async_trait;
use nexus_kernel::{Limits, MetastoreSnapshot, Page, Result, Revision, Scan};
use tokio::sync::OwnedSemaphorePermit;

use super::state::{Rows, page};

/// The rows as they were. The first change after it was taken copies them, values aside.
pub(super) struct MemorySnapshot {
    rows: Arc<Rows>,
    revision: Revision,
    _place: OwnedSemaphorePermit,
}

impl MemorySnapshot {
    pub(super) fn new(rows: Arc<Rows>, revision: Revision, place: OwnedSemaphorePermit) -> Self {
        Self {
            rows,
            revision,
            _place: place,
        }
    }
}

#[async_trait]
impl MetastoreSnapshot for MemorySnapshot {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        Limits::STANDARD.check_scan(&scan)?;
        Ok(page(&self.rows, self.revision, &scan))
    }
}
