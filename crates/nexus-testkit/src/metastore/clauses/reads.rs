//! What a read answers, and when.

use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{Freshness, Revision, Scan};
use tokio::time::timeout;

use crate::metastore::support::*;

pub async fn an_absent_key_has_no_value(store: Store) {
    write(&store, [put("ab", "")]).await;
    assert_eq!(get(&store, "a").await, None);
    assert_eq!(get(&store, "abc").await, None);
    assert_eq!(get(&store, "").await, None);
}

pub async fn a_value_carries_the_revision_that_wrote_it(store: Store) {
    let first = write(&store, [put("a", "1")]).await;
    write(&store, [put("b", "2")]).await;
    assert_eq!(get(&store, "a").await.unwrap().revision, first);
    let third = write(&store, [put("a", "1")]).await;
    assert_eq!(get(&store, "a").await.unwrap().revision, third);
}

pub async fn get_many_answers_in_the_order_asked(store: Store) {
    write(&store, [put("a", "1"), put("c", "3")]).await;
    let asked = ["c", "b", "a", "c"].map(Bytes::from);
    let values = store
        .get_many(&asked, Freshness::Linearizable)
        .await
        .unwrap();
    let texts: Vec<_> = values.into_iter().map(|v| v.map(|v| v.bytes)).collect();
    assert_eq!(
        texts,
        [Some("3".into()), None, Some("1".into()), Some("3".into())]
    );
    assert!(
        store
            .get_many(&[], Freshness::Linearizable)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn get_many_reads_one_state(store: Store) {
    const ROUNDS: i64 = 200;
    let asked: Vec<Bytes> = (0..20).map(|n| format!("k/{n}").into()).collect();
    let writer = tokio::spawn({
        let (store, asked) = (store.clone(), asked.clone());
        async move {
            for _ in 0..ROUNDS {
                let ops: Vec<_> = asked.iter().map(|key| add(key.clone(), 1)).collect();
                write(&store, ops).await;
            }
        }
    });
    while !writer.is_finished() {
        let values = store.get_many(&asked, Freshness::Local).await.unwrap();
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

pub async fn an_acknowledged_commit_is_visible_at_every_freshness(store: Store) {
    for n in 0..50_u8 {
        let revision = write(&store, [put("a", vec![n])]).await;
        for freshness in [
            Freshness::Linearizable,
            Freshness::AtLeast(revision),
            Freshness::Local,
        ] {
            let value = store.get(b"a", freshness).await.unwrap().unwrap();
            assert_eq!(
                (value.bytes[0], value.revision),
                (n, revision),
                "{freshness:?}"
            );
        }
    }
}

pub async fn at_least_waits_for_its_revision(store: Store) {
    write(&store, [put("a", "old")]).await;
    let second = Freshness::AtLeast(Revision(2));
    let reads = tokio::spawn({
        let store = store.clone();
        async move {
            let keys = [Bytes::from("a")];
            let scan = Scan::forward(everything(), 10);
            let (get, many, page) = futures::join!(
                store.get(b"a", second),
                store.get_many(&keys, second),
                store.scan(scan, second),
            );
            let many = many.unwrap().remove(0);
            [
                get.unwrap(),
                many,
                page.unwrap().entries.pop().map(|entry| entry.value),
            ]
        }
    });
    let early = timeout(Duration::from_millis(20), store.get(b"a", second)).await;
    assert!(
        early.is_err(),
        "a read of revision 2 was answered at revision 1"
    );
    write(&store, [put("a", "new")]).await;
    for value in reads.await.unwrap() {
        assert_eq!(value.unwrap().bytes, "new");
    }
}
