//! What a put stores, and what it leaves when it fails.

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use nexus_kernel::{ByteStream, Kind, PutOutcome};
use tokio::sync::mpsc;

use super::{
    IF_ABSENT, OVERWRITE, Store, assert_missing, body, body_in_pieces, failing_body, key, pattern,
    put, read,
};

const LARGE: usize = 5 << 20;

pub async fn a_blob_comes_back_as_it_was_put(store: Store) {
    put(&store, "b/ab/abcdef", "hello").await;
    assert_eq!(read(&store, "b/ab/abcdef").await.unwrap(), "hello");
}

pub async fn a_body_may_arrive_in_pieces_of_any_size(store: Store) {
    let bytes = pattern(1, 100_000);
    let pieces = body_in_pieces(bytes.clone(), &[0, 1, 0, 7, 4096, 65_537]);
    store.put(&key("k"), pieces, OVERWRITE).await.unwrap();
    assert_eq!(read(&store, "k").await.unwrap(), bytes);
}

pub async fn an_empty_body_makes_an_empty_blob(store: Store) {
    put(&store, "one-empty-piece", "").await;
    let nothing = stream::empty().boxed();
    store
        .put(&key("no-piece"), nothing, OVERWRITE)
        .await
        .unwrap();
    for name in ["one-empty-piece", "no-piece"] {
        assert_eq!(read(&store, name).await.unwrap(), "");
        assert_eq!(store.head(&key(name)).await.unwrap().size, 0);
    }
}

pub async fn a_put_answers_the_size_it_stored(store: Store) {
    assert_eq!(
        put(&store, "k", "hello").await,
        PutOutcome::Stored { size: 5 }
    );
    let large = put(&store, "large", pattern(1, LARGE)).await;
    assert_eq!(large, PutOutcome::Stored { size: LARGE as u64 });
}

pub async fn a_put_replaces_what_was_there(store: Store) {
    let contents = [
        pattern(1, 10),
        pattern(2, LARGE),
        pattern(3, 0),
        pattern(4, LARGE),
    ];
    for bytes in contents {
        put(&store, "k", bytes.clone()).await;
        assert_eq!(read(&store, "k").await.unwrap(), bytes);
    }
}

pub async fn a_put_if_absent_creates_what_is_not_there(store: Store) {
    let outcome = store.put(&key("k"), body("one"), IF_ABSENT).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored { size: 3 });
    assert_eq!(read(&store, "k").await.unwrap(), "one");
}

pub async fn a_put_if_absent_leaves_what_is_there(store: Store) {
    put(&store, "k", "one").await;
    for second in [body("two"), body(pattern(2, LARGE))] {
        let outcome = store.put(&key("k"), second, IF_ABSENT).await.unwrap();
        assert_eq!(outcome, PutOutcome::AlreadyExists);
        assert_eq!(read(&store, "k").await.unwrap(), "one");
    }
}

pub async fn a_failed_body_leaves_nothing(store: Store) {
    let failed = store
        .put(&key("k"), failing_body("half".into()), OVERWRITE)
        .await;
    assert_eq!(failed.unwrap_err().kind(), Kind::Unavailable);
    assert_missing(&store, "k").await;
}

pub async fn a_failed_body_leaves_what_was_there(store: Store) {
    put(&store, "k", "old").await;
    let failed = store
        .put(&key("k"), failing_body("half".into()), OVERWRITE)
        .await;
    assert_eq!(failed.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(read(&store, "k").await.unwrap(), "old");
}

pub async fn a_failed_large_body_leaves_what_was_there(store: Store) {
    put(&store, "k", "old").await;
    let failed = store
        .put(&key("k"), failing_body(pattern(1, LARGE)), OVERWRITE)
        .await;
    assert_eq!(failed.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(read(&store, "k").await.unwrap(), "old");
    let failed = store
        .put(&key("new"), failing_body(pattern(1, LARGE)), IF_ABSENT)
        .await;
    assert_eq!(failed.unwrap_err().kind(), Kind::Unavailable);
    assert_missing(&store, "new").await;
}

pub async fn a_dropped_put_leaves_nothing(store: Store) {
    for length in [10, LARGE] {
        drop_a_put_after(&store, "k", pattern(1, length)).await;
        store.sync().await.unwrap();
        assert_missing(&store, "k").await;
    }
    put(&store, "k", "whole").await;
    assert_eq!(read(&store, "k").await.unwrap(), "whole");
}

pub async fn a_dropped_put_leaves_what_was_there(store: Store) {
    put(&store, "k", "old").await;
    for length in [10, LARGE] {
        drop_a_put_after(&store, "k", pattern(1, length)).await;
        store.sync().await.unwrap();
        assert_eq!(read(&store, "k").await.unwrap(), "old");
    }
}

pub async fn a_large_blob_streams_in_and_out(store: Store) {
    let bytes = pattern(9, 20 << 20);
    let pieces = body_in_pieces(bytes.clone(), &[1, 65_536, 300_007, 13, 1 << 20]);
    let outcome = store.put(&key("large"), pieces, OVERWRITE).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored { size: 20 << 20 });
    let mut blob = store.get(&key("large"), None).await.unwrap();
    let mut at = 0;
    while let Some(piece) = blob.body.next().await {
        let piece = piece.unwrap();
        assert!(
            piece.len() <= 4 << 20,
            "a large blob is delivered in pieces, not whole"
        );
        assert!(
            bytes[at..].starts_with(&piece),
            "the piece at byte {at} differs"
        );
        at += piece.len();
    }
    assert_eq!(at, bytes.len());
}

pub async fn blobs_of_many_sizes_come_back(store: Store) {
    let around = |size: usize| [size - 1, size, size + 1];
    let sizes = [1, 4096, 65_536, 256 << 10, 1 << 20, 2 << 20]
        .map(around)
        .concat();
    for size in &sizes {
        put(&store, &format!("size/{size}"), pattern(*size as u8, *size)).await;
    }
    for size in sizes {
        let bytes = read(&store, &format!("size/{size}")).await.unwrap();
        assert!(
            bytes == pattern(size as u8, size),
            "the blob of {size} bytes differs"
        );
    }
}

/// Begins a put, waits until its first piece was taken, and drops it.
async fn drop_a_put_after(store: &Store, name: &str, piece: Bytes) {
    let (taken, mut was_taken) = mpsc::channel(1);
    let key = key(name);
    let unending = stream::iter([Ok(piece)]).chain(endless(taken)).boxed();
    tokio::select! {
        biased;
        _ = was_taken.recv() => {}
        ended = store.put(&key, unending, OVERWRITE) => {
            panic!("a put ended before its body did: {ended:?}");
        }
    }
}

/// Never yields; tells once it is asked to.
fn endless(taken: mpsc::Sender<()>) -> ByteStream {
    let tell = async move {
        taken.send(()).await.expect("the test waits for this");
        std::future::pending().await
    };
    tell.into_stream().boxed()
}
