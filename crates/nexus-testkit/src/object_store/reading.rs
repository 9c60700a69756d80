//! What `get` and `head` answer.

use std::fs::File;
use std::io::Read;
use std::ops::Range;

use nexus_kernel::{Blob, Kind, Result};

use super::{Store, assert_missing, collect, key, pattern, put};

const LARGE: usize = 5 << 20;

async fn get(store: &Store, range: Range<u64>) -> Result<Blob> {
    store.get(&key("k"), Some(range)).await
}

pub async fn a_range_selects_bytes(store: Store) {
    put(&store, "k", "0123456789").await;
    let blob = get(&store, 2..5).await.unwrap();
    assert_eq!((blob.range, blob.meta.size), (2..5, 10));
    assert_eq!(collect(blob.body).await.unwrap(), "234");
}

pub async fn a_range_is_cut_at_the_end(store: Store) {
    put(&store, "k", "0123456789").await;
    for end in [11, 1 << 20, u64::MAX] {
        let blob = get(&store, 8..end).await.unwrap();
        assert_eq!(blob.range, 8..10);
        assert_eq!(collect(blob.body).await.unwrap(), "89");
    }
}

pub async fn a_range_at_the_end_is_empty(store: Store) {
    put(&store, "k", "0123456789").await;
    for range in [10..20, 10..10, 3..3] {
        let blob = get(&store, range).await.unwrap();
        assert!(blob.range.is_empty());
        assert_eq!(collect(blob.body).await.unwrap(), "");
    }
}

pub async fn a_range_beyond_the_end_is_refused(store: Store) {
    put(&store, "k", "0123456789").await;
    for start in [11, u64::MAX - 1] {
        let refused = get(&store, start..u64::MAX).await.err().unwrap();
        assert_eq!(refused.kind(), Kind::InvalidArgument);
    }
}

pub async fn a_backward_range_is_refused(store: Store) {
    put(&store, "k", "0123456789").await;
    let backward = Range { start: 5, end: 3 };
    let refused = get(&store, backward).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
}

pub async fn a_range_of_a_large_blob_selects_bytes(store: Store) {
    let bytes = pattern(3, LARGE);
    put(&store, "k", bytes.clone()).await;
    let last = LARGE as u64 - 1;
    for (start, end) in [
        (0, 1),
        (1_000_000, 4_000_001),
        (262_143, 262_145),
        (last, last + 9),
    ] {
        let blob = get(&store, start..end).await.unwrap();
        let expected = bytes.slice(start as usize..LARGE.min(end as usize));
        assert_eq!(blob.range, start..start + expected.len() as u64);
        assert!(
            collect(blob.body).await.unwrap() == expected,
            "{start}..{end} differs"
        );
    }
}

pub async fn head_tells_size_and_time(store: Store) {
    put(&store, "first", "12345").await;
    put(&store, "second", pattern(1, LARGE)).await;
    let first = store.head(&key("first")).await.unwrap();
    let second = store.head(&key("second")).await.unwrap();
    assert_eq!((first.size, second.size), (5, LARGE as u64));
    assert!(
        first.modified <= second.modified,
        "{first:?} was put before {second:?}"
    );
}

pub async fn head_and_get_agree(store: Store) {
    for length in [10, LARGE] {
        put(&store, "k", pattern(1, length)).await;
        let head = store.head(&key("k")).await.unwrap();
        let blob = store.get(&key("k"), None).await.unwrap();
        assert_eq!(blob.meta, head);
        assert_eq!(blob.range, 0..length as u64);
    }
}

pub async fn a_missing_blob_is_not_found(store: Store) {
    put(&store, "there/too", "x").await;
    for name in ["k", "there", "there/to", "there/too/far", "a/b/c/d"] {
        assert_missing(&store, name).await;
    }
}

async fn local_file(store: &Store) -> Option<File> {
    store.local_file(&key("k")).await.unwrap()
}

fn whole(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

pub async fn a_local_file_has_the_bytes_of_the_blob(store: Store) {
    for length in [0, 10, 100_000, LARGE] {
        for seed in [1, 2] {
            put(&store, "k", pattern(seed, length)).await;
            if let Some(file) = local_file(&store).await {
                assert!(whole(file) == pattern(seed, length));
            }
        }
    }
}

pub async fn an_open_local_file_never_changes(store: Store) {
    for length in [100_000, LARGE] {
        put(&store, "k", pattern(1, length)).await;
        let file = local_file(&store).await;
        put(&store, "k", pattern(2, length)).await;
        store.delete(&key("k")).await.unwrap();
        put(&store, "k", pattern(3, length)).await;
        if let Some(file) = file {
            assert!(whole(file) == pattern(1, length));
        }
    }
}

pub async fn a_missing_blob_has_no_local_file(store: Store) {
    put(&store, "there/too", "x").await;
    store.delete(&key("there/too")).await.unwrap();
    for name in ["k", "there", "there/too", "there/too/far"] {
        let file = store.local_file(&key(name)).await.unwrap();
        assert!(file.is_none(), "{name}");
    }
}
