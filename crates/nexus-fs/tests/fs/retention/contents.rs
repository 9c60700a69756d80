//! Contents whose last version goes.

use std::sync::Arc;

use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{
    ChunkSizes, ForkOptions, RemoveOptions, RetentionLimits, Session, SetAttributes, Stores,
    WriteOptions, Zone, ZoneConfig,
};
use nexus_kernel::{Durability, Kind, Limits, Metastore};
use nexus_service_api::{Action, Context};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::{HOUR, Kept};
use crate::costs::limited_store;
use crate::interleaved::Gate;
use crate::support::memory_stores;

/// A zone whose contents are cut into small chunks, one version of each file kept.
async fn chunked(metastore: Arc<dyn Metastore>, gate: Arc<Gate>) -> (Zone, Session) {
    let stores = Stores {
        metastore,
        ..memory_stores()
    };
    let config = ZoneConfig {
        chunks: ChunkSizes {
            whole_bytes_max: 1024,
            bytes_min: 64,
            bytes_average: 256,
            bytes_max: 1024,
        },
        inline_bytes_max: 0,
        ..ZoneConfig::default()
    };
    let zone = Zone::open(stores, gate, config).await.unwrap();
    let files = zone.session(Context::system());
    let one = RetentionLimits {
        max_age: None,
        max_versions: Some(1),
    };
    files.set_retention("/**", one).await.unwrap();
    (zone, files)
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    StdRng::seed_from_u64(seed).fill_bytes(&mut noise);
    noise
}

async fn write(files: &Session, seed: u64, bytes: usize) {
    let content = noise(seed, bytes).into();
    let written = files.write("/f", content, WriteOptions::default()).await;
    written.unwrap();
}

/// What a deleted fork has left is collected, though nobody knows any more where it was.
#[tokio::test]
async fn what_a_deleted_fork_has_left_is_collected() {
    let kept = Kept::new().await;
    kept.write("/d/sub/f", "one").await;
    let forked = kept.files.fork("/d", "/k", ForkOptions::default());
    forked.await.unwrap();
    kept.write("/k/sub/f", "two").await;
    let options = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    kept.files.remove("/k", options).await.unwrap();
    kept.cleared().await;
    let mode = SetAttributes {
        mode: Some(0o700),
        ..SetAttributes::default()
    };
    let changed = kept.files.set_attributes("/d/sub", mode, Durability::Sync);
    changed.await.unwrap();
    kept.keep("/**", Some(HOUR), None).await;
    // Nothing is known from before.
    let kept = Kept::on(kept.stores.clone()).await;
    for _ in 0..5 {
        kept.pass(2 * HOUR);
        kept.write("/other", "text").await;
        kept.compact().await;
    }
    kept.pass(2 * HOUR);
    assert_eq!(kept.compact().await.versions, 1, "only that of /other");
}

/// More chunks lose their last use in one step than a transaction has room for.
#[tokio::test]
async fn versions_of_large_files_are_collected_whatever_they_hold() {
    let limits = Limits {
        txn_items_max: 1_000,
        ..Limits::STANDARD
    };
    let (_zone, files) = chunked(limited_store(limits), Arc::default()).await;
    for seed in 0..30 {
        write(&files, seed, 20_000).await;
    }
    let collected = files.gc(false).await.unwrap();
    assert_eq!(collected.versions, 29);
    let again = files.gc(false).await.unwrap();
    assert_eq!((again.versions, again.blobs), (0, 0), "all went at once");
    let left = files.read("/f", nexus_fs::At::Latest).await.unwrap();
    assert_eq!(left.bytes, noise(29, 20_000));
    assert!(collected.blobs > 1_000, "{collected:?}");
}

/// A version that is collected while it is being brought back is gone, and the file as it was.
#[tokio::test]
async fn a_version_that_goes_while_it_is_rolled_back_to_is_refused() {
    for bytes in [500, 20_000] {
        let gate = Arc::new(Gate::of(Action::Write));
        let (_zone, files) = chunked(Arc::new(MemoryMetastore::new()), gate.clone()).await;
        write(&files, 1, bytes).await;
        write(&files, 2, bytes).await;
        let late = files.clone();
        let rollback = async move { late.rollback("/f", 1, Durability::Sync).await };
        let late = gate.begin(rollback).await;
        assert_eq!(files.gc(false).await.unwrap().versions, 1);
        let refused = gate.end(late).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound, "{refused}");
        let left = files.read("/f", nexus_fs::At::Latest).await.unwrap();
        assert_eq!(left.bytes, noise(2, bytes));
    }
}
