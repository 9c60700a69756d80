//! Transactions that turn out to be impossible while they are applied.

use nexus_kernel::{Kind, Op, Revision};

use crate::metastore::support::*;

pub async fn adding_to_another_length_is_invalid(store: Store) {
    for value in ["", "1234567", "123456789"] {
        write(&store, [put("n", value)]).await;
        assert_eq!(
            refused(&store, txn([], [add("n", 1)])).await,
            Kind::InvalidArgument
        );
        assert_eq!(bytes(&store, "n").await.unwrap(), value);
    }
}

pub async fn an_overflow_is_a_reached_limit(store: Store) {
    write(&store, [add("up", i64::MAX), add("down", i64::MIN)]).await;
    assert_eq!(
        refused(&store, txn([], [add("up", 1)])).await,
        Kind::LimitExceeded
    );
    assert_eq!(
        refused(&store, txn([], [add("down", -1)])).await,
        Kind::LimitExceeded
    );
    assert_eq!(counter(&store, "up").await, i64::MAX);
    assert_eq!(counter(&store, "down").await, i64::MIN);
}

pub async fn a_refused_transaction_leaves_nothing(store: Store) {
    write(&store, [put("text", "no counter")]).await;
    let stamped = Op::PutStamped("s".into(), "".into());
    let ops = [
        put("a", ""),
        add("b", 1),
        max("c", "1"),
        stamped,
        add("text", 1),
    ];
    refused(&store, txn([], ops)).await;
    assert_eq!(keys(&rows(&store, everything()).await), ["text"]);
    assert_eq!(revision(&store).await, Revision(1));
    assert_eq!(write(&store, [put("a", "")]).await, Revision(2));
}

pub async fn a_refused_transaction_restores_what_it_overwrote(store: Store) {
    let rows_before = [
        put("a", "1"),
        put("b", "2"),
        put("r/1", "3"),
        put("r/2", "4"),
        add("n", 5),
    ];
    write(&store, rows_before).await;
    write(
        &store,
        [put("b", "2, written later"), put("text", "no counter")],
    )
    .await;
    let before = rows(&store, everything()).await;
    let ops = [
        put("a", "9"),
        put("a", "10"),
        delete("b"),
        put("b", "11"),
        Op::DeleteRange(range("r/", "r0")),
        put("r/1", "12"),
        add("n", 1),
        add("n", 1),
        max("r/2", "0"),
        delete("never there"),
        add("text", 1),
    ];
    refused(&store, txn([], ops)).await;
    assert_eq!(rows(&store, everything()).await, before);
}

pub async fn a_refusal_spares_those_committed_with_it(store: Store) {
    write(&store, [put("text", "no counter")]).await;
    let tasks = (0..64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let bad = n % 3 == 0;
            let last = if bad { add("text", 1) } else { add("good", 1) };
            let ops = [put(format!("k/{n:02}"), "x"), add("all", 1), last];
            assert_eq!(store.commit(txn([], ops)).await.is_err(), bad);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await
            .expect("every commit is answered as it should be");
    }
    assert_eq!(counter(&store, "good").await, 42);
    assert_eq!(counter(&store, "all").await, 42);
    assert_eq!(rows(&store, range("k/", "k0")).await.len(), 42);
    assert_eq!(revision(&store).await, Revision(43));
}
