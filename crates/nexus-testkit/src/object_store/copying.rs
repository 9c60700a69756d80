//! What a copy makes.

use nexus_kernel::{Kind, PutOutcome};

use super::{IF_ABSENT, OVERWRITE, Store, assert_missing, key, names, pattern, put, read};

const LARGE: usize = 3 << 20;

async fn copy(store: &Store, from: &str, to: &str) -> PutOutcome {
    let copied = store.copy(&key(from), &key(to), OVERWRITE).await;
    copied.expect("a copy succeeds")
}

pub async fn a_copy_has_the_same_bytes(store: Store) {
    put(&store, "from", "hello").await;
    assert_eq!(
        copy(&store, "from", "deep/er/to").await,
        PutOutcome::Stored { size: 5 }
    );
    assert_eq!(read(&store, "deep/er/to").await.unwrap(), "hello");
    put(&store, "taken", "other").await;
    copy(&store, "from", "taken").await;
    assert_eq!(read(&store, "taken").await.unwrap(), "hello");
}

pub async fn a_copy_of_a_large_blob_has_the_same_bytes(store: Store) {
    put(&store, "from", pattern(1, LARGE)).await;
    copy(&store, "from", "to").await;
    assert!(read(&store, "to").await.unwrap() == pattern(1, LARGE));
}

pub async fn a_copy_outlives_its_origin(store: Store) {
    for length in [1000, LARGE] {
        put(&store, "from", pattern(1, length)).await;
        copy(&store, "from", "to").await;
        put(&store, "from", "replaced").await;
        assert!(read(&store, "to").await.unwrap() == pattern(1, length));
        store.delete(&key("from")).await.unwrap();
        assert!(read(&store, "to").await.unwrap() == pattern(1, length));
    }
}

pub async fn a_copy_obeys_if_absent(store: Store) {
    put(&store, "from", "hello").await;
    put(&store, "taken", "other").await;
    let (from, taken) = (key("from"), key("taken"));
    let refused = store.copy(&from, &taken, IF_ABSENT).await.unwrap();
    assert_eq!(refused, PutOutcome::AlreadyExists);
    assert_eq!(read(&store, "taken").await.unwrap(), "other");
    let made = store.copy(&from, &key("free"), IF_ABSENT).await.unwrap();
    assert_eq!(made, PutOutcome::Stored { size: 5 });
}

pub async fn a_copy_onto_itself_changes_nothing(store: Store) {
    for length in [1000, LARGE] {
        put(&store, "k", pattern(1, length)).await;
        copy(&store, "k", "k").await;
        assert!(read(&store, "k").await.unwrap() == pattern(1, length));
    }
}

pub async fn a_copy_of_a_missing_blob_is_not_found(store: Store) {
    put(&store, "to", "old").await;
    let missing = store.copy(&key("from"), &key("to"), OVERWRITE).await;
    assert_eq!(missing.unwrap_err().kind(), Kind::NotFound);
    assert_missing(&store, "from").await;
    assert_eq!(read(&store, "to").await.unwrap(), "old");
    assert_eq!(names(&store, "").await, ["to"]);
}
