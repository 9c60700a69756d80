//! Those who want everything durable hold up nobody but themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use nexus_kernel::{Durability, Metastore, Revision, Txn};
use nexus_testkit::metastore::support::{Store, add, applied, counter, txn};
use nexus_testkit::power_loss::SimulatedDisk;

use super::barrier::Stuck;
use crate::{RedbConfig, RedbMetastore};

fn relaxed() -> Txn {
    Txn {
        durability: Durability::Relaxed,
        ..txn([], [add("n", 1)])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relaxed_commits_go_on_while_others_wait_for_a_flush() {
    let disk = SimulatedDisk::new(1);
    let config = RedbConfig::new("");
    let store = RedbMetastore::with_backend(&config, disk.clone()).unwrap();
    let shared: Store = store.clone();
    for _ in 0..2 {
        applied(&shared, relaxed()).await;
    }
    let stuck = Arc::<Stuck>::default();
    store.set_barrier(stuck.clone());
    stuck.holds.store(true, Relaxed);
    let sync = || {
        tokio::spawn({
            let store = store.clone();
            async move { store.sync().await }
        })
    };
    let first = sync();
    stuck.reached.notified().await;
    for n in 3..=10 {
        assert_eq!(applied(&shared, relaxed()).await, Revision(n));
    }
    let second = sync();
    assert_eq!(counter(&shared, "n").await, 10);
    assert!(!first.is_finished() && !second.is_finished());
    stuck.released.notify_one();
    let durable = first.await.unwrap().unwrap();
    assert!(durable >= Revision(2));
    assert_eq!(second.await.unwrap().unwrap(), Revision(10));
    let restarted = disk.restart();
    drop((store, shared));
    let store: Store = RedbMetastore::with_backend(&config, restarted).unwrap();
    assert_eq!(counter(&store, "n").await, 10);
}
