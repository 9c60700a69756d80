//! The commit counter, waiting for it, and making it durable.

use nexus_kernel::{Durability, Revision, Txn};

use crate::metastore::support::*;

pub async fn a_fresh_store_is_at_zero(store: Store) {
    assert_eq!(revision(&store).await, Revision::ZERO);
    assert_eq!(store.sync().await.unwrap(), Revision::ZERO);
    assert!(rows(&store, everything()).await.is_empty());
}

pub async fn each_applied_commit_takes_the_next_revision(store: Store) {
    for n in 1..=20 {
        assert_eq!(write(&store, [put("a", "same value")]).await, Revision(n));
        conflict(&store, txn([absent("a")], [put("a", "")])).await;
        refused(&store, txn([], [])).await;
    }
}

pub async fn changed_returns_at_once_when_the_store_is_past(store: Store) {
    for _ in 0..3 {
        write(&store, [add("n", 1)]).await;
    }
    for after in 0..3 {
        assert_eq!(store.changed(Revision(after)).await.unwrap(), Revision(3));
    }
}

pub async fn changed_wakes_on_a_commit(store: Store) {
    for n in 0..20 {
        let waiter = tokio::spawn({
            let store = store.clone();
            async move { store.changed(Revision(n)).await.unwrap() }
        });
        write(&store, [add("n", 1)]).await;
        assert_eq!(waiter.await.unwrap(), Revision(n + 1));
    }
}

pub async fn changed_wakes_every_waiter(store: Store) {
    let waiters = (0..32_u64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { (n, store.changed(Revision(n % 4)).await.unwrap()) })
    });
    let waiters: Vec<_> = waiters.collect();
    for _ in 0..4 {
        write(&store, [add("n", 1)]).await;
    }
    for waiter in waiters {
        let (n, seen) = waiter.await.unwrap();
        assert!(seen > Revision(n % 4));
    }
}

pub async fn sync_answers_what_is_durable(store: Store) {
    let first = write(&store, [add("n", 1)]).await;
    assert!(store.sync().await.unwrap() >= first);
    let relaxed = applied(&store, relaxed_add()).await;
    assert_eq!(store.sync().await.unwrap(), relaxed);
    assert_eq!(store.sync().await.unwrap(), relaxed);
}

pub async fn relaxed_commits_are_visible_at_once(store: Store) {
    for n in 1..=20 {
        let revision = applied(&store, relaxed_add()).await;
        assert_eq!(counter(&store, "n").await, n);
        assert_eq!(
            store.changed(Revision(revision.0 - 1)).await.unwrap(),
            revision
        );
    }
}

fn relaxed_add() -> Txn {
    Txn {
        durability: Durability::Relaxed,
        ..txn([], [add("n", 1)])
    }
}
