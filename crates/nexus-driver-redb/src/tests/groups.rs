//! Group commit: who is committed together, when it is flushed, what is counted.

use std::sync::Arc;
use std::time::Duration;

use nexus_kernel::{Commit, Durability, Metastore, Revision, Txn};
use nexus_testkit::metastore::support::{Store, add, applied, counter, put, txn};
use nexus_testkit::power_loss::SimulatedDisk;
use tokio::task::JoinSet;

use super::{folder, in_folder};
use crate::{RedbConfig, RedbMetastore};

fn relaxed(txn: Txn) -> Txn {
    Txn {
        durability: Durability::Relaxed,
        ..txn
    }
}

async fn commit_at_once(store: &Arc<RedbMetastore>, count: u64) {
    let mut writers = JoinSet::new();
    for n in 0..count {
        let store: Store = store.clone();
        writers.spawn(async move { applied(&store, txn([], [put(n.to_string(), "")])).await });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn waiting_writers_share_a_flush() {
    let folder = folder();
    let store = RedbMetastore::open(&in_folder(&folder)).unwrap();
    commit_at_once(&store, 200).await;
    let stats = store.stats();
    assert_eq!(stats.commits, 200);
    assert!(stats.syncs < 100, "{stats:?}");
    assert!(stats.group_max > 2, "{stats:?}");
    assert_eq!((stats.groups, stats.waiting), (stats.syncs, 0));
    assert!(
        stats.last_sync_micros > 0 && stats.file_bytes > 0,
        "{stats:?}"
    );
}

#[tokio::test]
async fn a_group_holds_no_more_than_its_limits() {
    let folder = folder();
    let small = RedbConfig {
        group_txns_max: 4,
        ..in_folder(&folder)
    };
    let store = RedbMetastore::open(&small).unwrap();
    commit_at_once(&store, 50).await;
    assert!(store.stats().group_max <= 4);
    drop(store);

    let narrow = RedbConfig {
        group_bytes_max: 1,
        ..in_folder(&folder)
    };
    let store = RedbMetastore::open(&narrow).unwrap();
    commit_at_once(&store, 50).await;
    assert_eq!(store.stats().group_max, 1);
}

#[tokio::test]
async fn writers_wait_for_room_in_a_full_queue() {
    let folder = folder();
    let config = RedbConfig {
        queue_bytes_max: 1,
        ..in_folder(&folder)
    };
    let store = RedbMetastore::open(&config).unwrap();
    commit_at_once(&store, 50).await;
    assert_eq!(store.stats().commits, 50);
}

#[tokio::test]
async fn conflicts_and_refusals_cost_no_flush() {
    let folder = folder();
    let store = RedbMetastore::open(&in_folder(&folder)).unwrap();
    let guard = nexus_kernel::Guard::Present("missing".into());
    let conflict = store.commit(txn([guard], [put("a", "")])).await;
    assert_eq!(conflict.unwrap(), Commit::Conflict { guard: 0 });
    let stats = store.stats();
    assert_eq!((stats.groups, stats.syncs, stats.rejections), (0, 0, 1));
}

#[tokio::test]
async fn relaxed_commits_flush_only_when_asked() {
    let folder = folder();
    let lazy = RedbConfig {
        relaxed_delay_max: Duration::from_secs(3600),
        ..in_folder(&folder)
    };
    let store = RedbMetastore::open(&lazy).unwrap();
    for _ in 0..10 {
        applied(&(store.clone() as Store), relaxed(txn([], [add("n", 1)]))).await;
    }
    assert_eq!(store.stats().syncs, 1, "for the first, which reserves");
    let synced = futures::future::join_all((0..20).map(|_| store.sync())).await;
    assert!(
        synced
            .into_iter()
            .all(|revision| revision.unwrap() == Revision(10))
    );
    assert_eq!(store.stats().syncs, 2);
}

#[tokio::test]
async fn so_many_relaxed_commits_may_be_lost_and_no_more() {
    for commits in 1..=40 {
        let disk = SimulatedDisk::new(commits);
        let config = RedbConfig {
            relaxed_delay_max: Duration::from_secs(3600),
            relaxed_commits_max: 10,
            ..RedbConfig::new("")
        };
        let store: Store = RedbMetastore::with_backend(&config, disk.clone()).unwrap();
        for _ in 0..commits {
            applied(&store, relaxed(txn([], [add("n", 1)]))).await;
        }
        let after_power_loss = disk.restart();
        let store: Store = RedbMetastore::with_backend(&config, after_power_loss).unwrap();
        let survived = counter(&store, "n").await;
        assert!(survived + 10 >= commits as i64, "{survived} of {commits}");
        let next = applied(&store, txn([], [add("n", 1)])).await;
        assert!(next > Revision(commits), "{next} after {commits}");
    }
}

/// Nobody asks for a flush here: the store does it by itself, and the disk shows it.
#[tokio::test]
async fn a_relaxed_commit_becomes_durable_by_itself() {
    let disk = SimulatedDisk::new(1);
    let config = RedbConfig {
        relaxed_delay_max: Duration::from_millis(5),
        ..RedbConfig::new("")
    };
    let store = RedbMetastore::with_backend(&config, disk.clone()).unwrap();
    for _ in 0..2 {
        applied(&(store.clone() as Store), relaxed(txn([], [add("n", 1)]))).await;
    }
    while store.stats().syncs < 2 {
        tokio::task::yield_now().await;
    }
    let after_power_loss = disk.restart();
    drop(store);
    let store: Store = RedbMetastore::with_backend(&config, after_power_loss).unwrap();
    assert_eq!(counter(&store, "n").await, 2);
}

#[tokio::test]
async fn a_steady_stream_of_relaxed_commits_is_flushed_too() {
    let folder = folder();
    let config = RedbConfig {
        relaxed_delay_max: Duration::from_millis(5),
        ..in_folder(&folder)
    };
    let store = RedbMetastore::open(&config).unwrap();
    while store.stats().syncs < 3 {
        applied(&(store.clone() as Store), relaxed(txn([], [add("n", 1)]))).await;
    }
}
