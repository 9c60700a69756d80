//! The flush barrier.

use nexus_kernel::{Commit, Durability, Kind, Revision, Txn};

use crate::metastore::TestBarrier;
use crate::metastore::support::*;

pub async fn a_sync_commit_waits_for_the_barrier(store: Store) {
    let barrier = TestBarrier::set_on(&*store);
    for n in 1..=5 {
        barrier.put();
        write(&store, [add("n", 1)]).await;
        assert_eq!(barrier.durable(), n);
    }
}

pub async fn a_sync_waits_for_the_barrier_of_relaxed_commits(store: Store) {
    let barrier = TestBarrier::set_on(&*store);
    for n in 1..=5 {
        barrier.put();
        let revision = applied(&store, relaxed("n")).await;
        assert!(store.sync().await.unwrap() >= revision);
        assert_eq!(barrier.durable(), n);
    }
}

pub async fn a_clean_barrier_is_not_flushed(store: Store) {
    let barrier = TestBarrier::set_on(&*store);
    barrier.fail(true);
    write(&store, [add("n", 1)]).await;
    applied(&store, relaxed("n")).await;
    assert_eq!(store.sync().await.unwrap(), Revision(2));
}

pub async fn a_failing_barrier_fails_a_sync_and_loses_nothing(store: Store) {
    let barrier = TestBarrier::set_on(&*store);
    applied(&store, relaxed("n")).await;
    let before = applied(&store, relaxed("n")).await;
    barrier.put();
    barrier.fail(true);
    let refusal = refused(&store, txn([], [put("a", "1")])).await;
    assert_eq!(refusal, Kind::Unavailable);
    let kind = store.sync().await.unwrap_err().kind();
    assert_eq!(kind, Kind::Unavailable);
    assert_eq!(revision(&store).await, before);
    assert_eq!(
        (get(&store, "a").await, counter(&store, "n").await),
        (None, 2)
    );

    barrier.fail(false);
    assert_eq!(store.sync().await.unwrap(), before);
    assert_eq!(write(&store, [put("a", "2")]).await, before.next());
    assert_eq!(bytes(&store, "a").await.unwrap(), "2");
    assert_eq!(counter(&store, "n").await, 2);
}

pub async fn an_id_that_met_a_failing_barrier_is_not_remembered(store: Store) {
    let barrier = TestBarrier::set_on(&*store);
    barrier.put();
    barrier.fail(true);
    let bump = Txn {
        id: Some(nexus_kernel::TxnId(7)),
        ..txn([], [add("n", 1)])
    };
    assert_eq!(refused(&store, bump.clone()).await, Kind::Unavailable);
    barrier.fail(false);
    let first = applied(&store, bump.clone()).await;
    assert_eq!(applied(&store, bump).await, first);
    assert_eq!(counter(&store, "n").await, 1);
}

/// While one is stuck in it, others wait and nothing is lost.
pub async fn many_writers_share_a_barrier(store: Store) {
    let barrier = TestBarrier::set_on(&*store);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let (store, barrier) = (store.clone(), barrier.clone());
        writers.spawn(async move {
            for n in 0..20 {
                let content = barrier.put();
                let durability = [Durability::Sync, Durability::Relaxed][(writer + n) % 2];
                let bump = Txn {
                    durability,
                    ..txn([], [add("n", 1)])
                };
                let commit = store.commit(bump).await;
                assert!(matches!(commit, Ok(Commit::Applied(_))), "{commit:?}");
                if durability == Durability::Sync {
                    assert!(barrier.durable() >= content);
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(counter(&store, "n").await, 16 * 20);
}

fn relaxed(key: &'static str) -> Txn {
    Txn {
        durability: Durability::Relaxed,
        ..txn([], [add(key, 1)])
    }
}
