//! What relaxed puts and `sync` promise while the store stays open. What survives power loss is for
//! each durable driver's own crash tests.

use nexus_kernel::PutOutcome;

use super::{IF_ABSENT, RELAXED, Store, body, key, names, pattern, put, read};

const LARGE: usize = 3 << 20;

async fn put_relaxed(store: &Store, name: &str, seed: u8, length: usize) {
    let bytes = body(pattern(seed, length));
    store.put(&key(name), bytes, RELAXED).await.unwrap();
}

async fn assert_holds(store: &Store, name: &str, seed: u8, length: usize) {
    let bytes = read(store, name).await.unwrap();
    assert!(bytes == pattern(seed, length), "{name} differs");
    let meta = store.head(&key(name)).await.unwrap();
    assert_eq!(meta.size, length as u64);
}

pub async fn a_relaxed_blob_is_visible_at_once(store: Store) {
    put_relaxed(&store, "k", 1, 1000).await;
    assert_holds(&store, "k", 1, 1000).await;
    put_relaxed(&store, "k", 2, 2000).await;
    assert_holds(&store, "k", 2, 2000).await;
}

pub async fn a_relaxed_large_blob_is_visible_at_once(store: Store) {
    put_relaxed(&store, "k", 1, LARGE).await;
    assert_holds(&store, "k", 1, LARGE).await;
    assert_eq!(names(&store, "").await, ["k"]);
    put_relaxed(&store, "k", 2, LARGE + 1).await;
    assert_holds(&store, "k", 2, LARGE + 1).await;
    put(&store, "k", pattern(3, 10)).await;
    assert_holds(&store, "k", 3, 10).await;
}

pub async fn sync_succeeds_with_and_without_work(store: Store) {
    store.sync().await.unwrap();
    put_relaxed(&store, "small", 1, 10).await;
    put_relaxed(&store, "large", 1, LARGE).await;
    store.sync().await.unwrap();
    store.sync().await.unwrap();
    store.delete(&key("small")).await.unwrap();
    store.sync().await.unwrap();
    assert_eq!(names(&store, "").await, ["large"]);
}

pub async fn relaxed_blobs_survive_a_sync_in_place(store: Store) {
    for seed in 0..20 {
        put_relaxed(&store, &format!("s/{seed}"), seed, 1000).await;
        put_relaxed(&store, &format!("l/{seed}"), seed, LARGE / 10).await;
    }
    put_relaxed(&store, "large", 7, LARGE).await;
    store.sync().await.unwrap();
    for seed in 0..20 {
        assert_holds(&store, &format!("s/{seed}"), seed, 1000).await;
        assert_holds(&store, &format!("l/{seed}"), seed, LARGE / 10).await;
    }
    assert_holds(&store, "large", 7, LARGE).await;
}

pub async fn a_durable_create_meets_a_relaxed_blob(store: Store) {
    for length in [1000, LARGE] {
        let name = format!("k/{length}");
        put_relaxed(&store, &name, 1, length).await;
        let second = store.put(&key(&name), body("second"), IF_ABSENT).await;
        assert_eq!(second.unwrap(), PutOutcome::AlreadyExists);
        assert_holds(&store, &name, 1, length).await;
    }
}
