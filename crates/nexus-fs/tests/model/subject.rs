//! The filesystem under test, on stores that stay while it is closed and opened again.

use std::sync::Arc;

use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{Changed, Session, Stores, Zone, ZoneConfig};
use nexus_kernel::{Durability, Result};
use nexus_service_api::Context;

use crate::ops::Op;
use crate::zone::{ManualClock, change, open, purged, stores, tight_config};

pub(crate) struct Subject {
    pub stores: Stores,
    pub clock: Arc<ManualClock>,
    config: ZoneConfig,
    /// Kept open.
    zone: Zone,
    pub session: Session,
}

pub(crate) fn memory_stores() -> Stores {
    stores(Arc::new(MemoryMetastore::new()))
}

impl Subject {
    pub(crate) async fn new(stores: Stores, cache_bytes: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let config = ZoneConfig {
            metadata_cache_bytes: cache_bytes,
            ..tight_config(clock.clone())
        };
        let zone = open(&stores, &config).await.unwrap();
        let session = zone.session(Context::system());
        Self {
            stores,
            clock,
            config,
            zone,
            session,
        }
    }

    /// Does an operation and waits for what it leaves to be done in the background.
    pub(crate) async fn apply(&mut self, op: &Op) -> Result<Option<Changed>> {
        let changed = match op {
            Op::Reopen { inline_bytes_max } => {
                self.config.inline_bytes_max = *inline_bytes_max;
                self.reopen().await;
                None
            }
            Op::Gc => {
                self.session.gc(false).await?;
                None
            }
            op => Some(change(&self.session, op, Durability::Sync).await?),
        };
        purged(&self.stores).await;
        Ok(changed)
    }

    pub(crate) async fn reopen(&mut self) {
        self.zone.close().await.unwrap();
        self.zone = open(&self.stores, &self.config).await.unwrap();
        self.session = self.zone.session(Context::system());
    }
}
