//! What concurrent callers see of each other.

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use futures::poll;
use nexus_kernel::{Durability, PutOptions, PutOutcome};

use super::{IF_ABSENT, OVERWRITE, Store, body, body_in_pieces, collect, key, pattern, put, read};

const LARGE: usize = 3 << 20;

pub async fn one_of_many_concurrent_creators_wins(store: Store) {
    for round in 0..8 {
        one_creator_wins(&store, &format!("round/{round}"), 1000).await;
    }
}

pub async fn one_of_many_concurrent_large_creators_wins(store: Store) {
    one_creator_wins(&store, "large", LARGE).await;
}

async fn one_creator_wins(store: &Store, name: &str, length: usize) {
    let creators = (0..16_u8).map(|seed| {
        let (store, key) = (store.clone(), key(name));
        tokio::spawn(async move {
            let body = body_in_pieces(pattern(seed, length), &[100, 700_000]);
            let outcome = store.put(&key, body, IF_ABSENT).await.unwrap();
            (outcome != PutOutcome::AlreadyExists).then_some(seed)
        })
    });
    let ended = try_join_all(creators).await.unwrap();
    let winners: Vec<u8> = ended.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "winners of {name}: {winners:?}");
    assert!(read(store, name).await.unwrap() == pattern(winners[0], length));
}

pub async fn readers_see_a_replaced_blob_whole(store: Store) {
    replace_under_readers(&store, [1000, 2000], 100).await;
}

pub async fn readers_see_a_replaced_large_blob_whole(store: Store) {
    replace_under_readers(&store, [LARGE, 10], 6).await;
}

/// Lets two blobs take turns under one key while others read it.
async fn replace_under_readers(store: &Store, lengths: [usize; 2], rounds: usize) {
    let turns = lengths.map(|length| pattern(length as u8, length));
    put(store, "k", turns[0].clone()).await;
    let writer = replace(store.clone(), turns.clone(), rounds);
    let writer = tokio::spawn(writer);
    while !writer.is_finished() {
        let reads = join_all((0..4).map(|_| read(store, "k"))).await;
        for bytes in reads {
            let bytes = bytes.expect("there is a blob at all times");
            assert!(
                turns.contains(&bytes),
                "a reader saw {} mixed bytes",
                bytes.len()
            );
        }
    }
    writer.await.unwrap();
}

async fn replace(store: Store, turns: [Bytes; 2], rounds: usize) {
    for bytes in turns.iter().cycle().take(rounds) {
        let outcome = store.put(&key("k"), body(bytes.clone()), OVERWRITE).await;
        outcome.unwrap();
    }
}

pub async fn an_open_blob_outlives_its_deletion(store: Store) {
    for length in [1000, LARGE] {
        put(&store, "k", pattern(1, length)).await;
        let open = store.get(&key("k"), None).await.unwrap();
        assert!(store.delete(&key("k")).await.unwrap());
        assert!(collect(open.body).await.unwrap() == pattern(1, length));
    }
}

/// The delete may or may not have happened, but not after the put has answered.
pub async fn a_put_outlives_a_delete_that_was_given_up(store: Store) {
    let options = PutOptions {
        durability: Durability::Relaxed,
        ..IF_ABSENT
    };
    let (key, bytes) = (key("k"), pattern(1, 1000));
    let put = || store.put(&key, body(bytes.clone()), options);
    for round in 0..300 {
        put().await.unwrap();
        let mut delete = store.delete(&key);
        for _ in 0..=round % 4 {
            if poll!(&mut delete).is_ready() {
                break;
            }
        }
        drop(delete);
        put().await.unwrap();
        assert_eq!(read(&store, "k").await.unwrap(), bytes, "round {round}");
    }
}

pub async fn concurrent_puts_of_different_keys_all_arrive(store: Store) {
    let puts = (0..64_u8).map(|seed| {
        let store = store.clone();
        tokio::spawn(async move { put(&store, &format!("c/{seed}"), pattern(seed, 5000)).await })
    });
    try_join_all(puts).await.unwrap();
    for seed in 0..64 {
        let bytes = read(&store, &format!("c/{seed}")).await.unwrap();
        assert!(bytes == pattern(seed, 5000), "blob {seed} differs");
    }
}
