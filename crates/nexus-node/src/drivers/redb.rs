//! The metastore in a local file.

use std::sync::Arc;

use async_trait::async_trait;
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_kernel::Result;
use nexus_server::Sample;

use super::Opening;
use super::part::Value::{Now, Total};
use super::part::{Part, samples};

pub(super) fn open(from: &Opening<'_>) -> Result<Arc<RedbMetastore>> {
    let uri = &from.config.stores.metastore;
    let mut config = RedbConfig::new(uri.path_or(&from.folder.join("metastore.redb")));
    let cache_bytes = usize::try_from(from.config.memory.metastore_bytes);
    config.cache_bytes = cache_bytes.unwrap_or(usize::MAX);
    RedbMetastore::open(&config)
}

#[async_trait]
impl Part for RedbMetastore {
    fn sample(&self) -> Vec<Sample> {
        let s = self.stats();
        samples([
            (
                "metastore_transactions",
                "Transactions applied",
                Total(s.commits),
            ),
            (
                "metastore_rejections",
                "Transactions refused or in conflict",
                Total(s.rejections),
            ),
            (
                "metastore_groups",
                "Commits, each of one or more transactions",
                Total(s.groups),
            ),
            ("metastore_flushes", "Flushes to the disk", Total(s.syncs)),
            (
                "metastore_group_max",
                "Transactions in the largest group",
                Now(s.group_max),
            ),
            (
                "metastore_flush_microseconds",
                "The last flush",
                Now(s.last_sync_micros),
            ),
            ("metastore_waiting", "Transactions waiting", Now(s.waiting)),
            (
                "metastore_memtable_bytes",
                "Commits that are not in the file yet",
                Now(s.memtable_bytes),
            ),
            ("metastore_bytes", "Size of the file", Now(s.file_bytes)),
        ])
    }

    async fn close(self: Arc<Self>) -> Result<()> {
        Self::close(&self).await
    }
}
