//! What a delete leaves.

use nexus_kernel::PutOutcome;

use super::{IF_ABSENT, Store, assert_missing, body, key, names, pattern, put, read};

const LARGE: usize = 3 << 20;

pub async fn delete_says_whether_there_was_a_blob(store: Store) {
    for length in [0, 1000, LARGE] {
        put(&store, "k", pattern(1, length)).await;
        assert!(store.delete(&key("k")).await.unwrap());
        assert!(!store.delete(&key("k")).await.unwrap());
    }
    assert!(!store.delete(&key("never/was")).await.unwrap());
}

pub async fn a_deleted_blob_is_gone_everywhere(store: Store) {
    for length in [1000, LARGE] {
        put(&store, "k", pattern(1, length)).await;
        store.delete(&key("k")).await.unwrap();
        assert_missing(&store, "k").await;
        store.sync().await.unwrap();
        assert_missing(&store, "k").await;
    }
}

pub async fn a_deleted_key_can_be_created_again(store: Store) {
    for seed in 0..3 {
        let bytes = pattern(seed, 1000);
        let outcome = store.put(&key("k"), body(bytes.clone()), IF_ABSENT).await;
        assert_eq!(outcome.unwrap(), PutOutcome::Stored { size: 1000 });
        assert_eq!(read(&store, "k").await.unwrap(), bytes);
        assert!(store.delete(&key("k")).await.unwrap());
    }
}

pub async fn deleting_one_blob_leaves_its_neighbours(store: Store) {
    for name in ["d/a", "d/a/b", "d/ab", "d/b"] {
        put(&store, name, name.to_owned()).await;
    }
    store.delete(&key("d/a")).await.unwrap();
    assert_eq!(names(&store, "").await, ["d/a/b", "d/ab", "d/b"]);
    assert_eq!(read(&store, "d/a/b").await.unwrap(), "d/a/b");
}
