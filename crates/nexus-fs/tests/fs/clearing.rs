//! Clearing deleted trees away when not all goes well.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{At, RemoveOptions, Session, Stores};
use nexus_kernel::{Commit, Durability, Op, Txn};
use nexus_service_api::Context;
use nexus_testkit::metastore::{Faults, FaultyMetastore};
use tokio::time::timeout;

use crate::support::{memory_stores, open, put};

/// A directory with one file, which another name outside keeps.
async fn tree(files: &Session, dir: &str, kept: &str) {
    let file = format!("{dir}/x");
    put(files, &file, "1").await;
    let linked = files.hard_link(&file, kept, Durability::Sync);
    linked.await.unwrap();
}

async fn remove(files: &Session, dir: &str) {
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove(dir, recursive).await.unwrap();
}

/// Waits until the tree that held the other name of `kept` has been cleared away.
async fn cleared(files: &Session, kept: &str) {
    let cleared = async {
        while files.stat(kept, At::Latest).await.unwrap().links > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), cleared).await.unwrap();
}

/// A deleted tree that cannot be cleared away does not keep the others.
#[tokio::test]
async fn a_damaged_tree_does_not_keep_others_from_being_cleared_away() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    put(&files, "/a/damaged", "1").await;
    tree(&files, "/b", "/kept").await;
    let ino = files.stat("/a/damaged", At::Latest).await.unwrap().ino.0;
    let inode = [&b"i"[..], &ino.to_be_bytes()].concat();
    let damage = Txn {
        ops: vec![Op::Put(inode.into(), Bytes::from_static(b"\xff"))],
        ..Txn::default()
    };
    let damaged = stores.metastore.commit(damage).await.unwrap();
    assert!(matches!(damaged, Commit::Applied(_)));
    remove(&files, "/a").await;
    remove(&files, "/b").await;
    cleared(&files, "/kept").await;
}

/// A deleted tree that could not be cleared away is tried again by itself.
#[tokio::test]
async fn a_tree_that_could_not_be_cleared_away_is_tried_again() {
    let inner = Arc::new(MemoryMetastore::new());
    let store = Arc::new(FaultyMetastore::new(inner, 1, Faults::OFF));
    let stores = Stores {
        metastore: store.clone(),
        ..memory_stores()
    };
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    tree(&files, "/d", "/kept").await;
    remove(&files, "/d").await;
    store.set_faults(Faults {
        before_per_mille: 1_000,
        ..Faults::OFF
    });
    while store.injected() == 0 {
        tokio::task::yield_now().await;
    }
    store.heal();
    cleared(&files, "/kept").await;
}
