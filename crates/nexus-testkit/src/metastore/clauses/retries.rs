//! Transactions sent again because their answer was lost.

use nexus_kernel::{Guard, Op, Revision, Txn, TxnId};

use crate::metastore::support::*;

fn with_id(id: u128, guards: impl Into<Vec<Guard>>, ops: impl Into<Vec<Op>>) -> Txn {
    Txn {
        id: Some(TxnId(id)),
        ..txn(guards, ops)
    }
}

pub async fn a_retry_by_id_answers_the_first_revision(store: Store) {
    let bump = || with_id(7, [], [add("n", 1)]);
    let first = applied(&store, bump()).await;
    write(&store, [put("other", "")]).await;
    assert_eq!(applied(&store, bump()).await, first);
    assert_eq!(applied(&store, bump()).await, first);
    assert_eq!(counter(&store, "n").await, 1);
    assert_eq!(revision(&store).await, Revision(2));
}

pub async fn a_retry_ignores_guards_that_no_longer_hold(store: Store) {
    let create = || with_id(7, [absent("a")], [put("a", "1")]);
    let first = applied(&store, create()).await;
    assert_eq!(applied(&store, create()).await, first);
}

pub async fn a_conflict_is_not_remembered(store: Store) {
    let update = || with_id(7, [present("a")], [put("b", "1")]);
    assert_eq!(conflict(&store, update()).await, 0);
    write(&store, [put("a", "")]).await;
    applied(&store, update()).await;
    assert_eq!(bytes(&store, "b").await.unwrap(), "1");
}

pub async fn a_refusal_is_not_remembered(store: Store) {
    write(&store, [put("n", "no counter")]).await;
    let bump = || with_id(7, [], [add("n", 1)]);
    refused(&store, bump()).await;
    write(&store, [delete("n")]).await;
    applied(&store, bump()).await;
    assert_eq!(counter(&store, "n").await, 1);
}

pub async fn without_an_id_every_commit_applies(store: Store) {
    for n in 1..=3 {
        assert_eq!(write(&store, [add("n", 1)]).await, Revision(n));
    }
    assert_eq!(counter(&store, "n").await, 3);
}

pub async fn the_last_4096_ids_are_remembered(store: Store) {
    const KEPT: u64 = 4096;
    let bump = |id: u64| Txn {
        durability: nexus_kernel::Durability::Relaxed,
        ..with_id(u128::from(id) << 64, [], [add("n", 1)])
    };
    for id in 1..=KEPT + 10 {
        assert_eq!(applied(&store, bump(id)).await, Revision(id));
    }
    for id in (11..=KEPT + 10).step_by(97).chain([KEPT + 10]) {
        assert_eq!(applied(&store, bump(id)).await, Revision(id));
    }
    assert_eq!(counter(&store, "n").await, (KEPT + 10).cast_signed());
}
