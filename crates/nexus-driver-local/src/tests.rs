//! The contract suite, and what only this store promises.

use std::sync::Arc;

use nexus_service_api::SystemClock;
use nexus_testkit::object_store_contract;
use tempfile::TempDir;

use crate::{LocalConfig, LocalObjectStore};

mod power_loss;
mod reopening;

fn small(dir: &TempDir) -> LocalConfig {
    LocalConfig {
        segment_bytes: 4 << 20,
        ..LocalConfig::new(dir.path())
    }
}

fn open(config: LocalConfig) -> LocalObjectStore {
    LocalObjectStore::open(config, Arc::new(SystemClock)).unwrap()
}

fn fresh(adjust: impl FnOnce(&mut LocalConfig)) -> (Arc<LocalObjectStore>, TempDir) {
    let dir = TempDir::new().unwrap();
    let mut config = small(&dir);
    adjust(&mut config);
    (Arc::new(open(config)), dir)
}

object_store_contract!(fresh(|_| {}));

mod while_every_blob_is_staged {
    use super::*;

    object_store_contract!(fresh(|config| {
        config.journal_blob_bytes_max = 0;
        config.relaxed_journal_blob_bytes_max = 0;
    }));
}

mod while_segments_are_tiny {
    use super::*;

    object_store_contract!(fresh(|config| {
        config.journal_blob_bytes_max = 2000;
        config.relaxed_journal_blob_bytes_max = 2000;
        config.segment_bytes = 8000;
        config.segments_resting_max = 0;
        config.segments_behind_max = 1;
        config.relaxed_blobs_max = 2;
        config.idle_ms = 1;
    }));
}
