//! What each operation does.

use nexus_kernel::{Op, Revision, STAMP_LEN};

use crate::metastore::support::*;

pub async fn put_sets_and_replaces(store: Store) {
    write(&store, [put("a", "1")]).await;
    assert_eq!(bytes(&store, "a").await.unwrap(), "1");
    write(&store, [put("a", "longer than before")]).await;
    assert_eq!(bytes(&store, "a").await.unwrap(), "longer than before");
}

pub async fn an_empty_value_is_a_value(store: Store) {
    write(&store, [put("a", "")]).await;
    assert_eq!(bytes(&store, "a").await.unwrap(), "");
    assert_eq!(rows(&store, everything()).await.len(), 1);
}

pub async fn delete_removes_and_absent_keys_are_no_error(store: Store) {
    write(&store, [put("a", "1")]).await;
    write(&store, [delete("a"), delete("never there")]).await;
    assert_eq!(bytes(&store, "a").await, None);
    assert!(rows(&store, everything()).await.is_empty());
}

pub async fn delete_range_removes_exactly_the_range(store: Store) {
    let all = ["a", "b", "b\u{0}", "bb", "c", "d"];
    write(&store, all.map(|key| put(key, key))).await;
    write(&store, [Op::DeleteRange(range("b", "c"))]).await;
    assert_eq!(keys(&rows(&store, everything()).await), ["a", "c", "d"]);
    write(&store, [Op::DeleteRange(range("x", "y"))]).await;
    write(&store, [Op::DeleteRange(range("a", "a"))]).await;
    assert_eq!(keys(&rows(&store, everything()).await), ["a", "c", "d"]);
}

pub async fn later_operations_see_earlier_ones(store: Store) {
    let counter_at_40 = 40_i64.to_be_bytes().to_vec();
    let ops = [
        put("n", counter_at_40),
        add("n", 1),
        add("n", 1),
        put("gone", "1"),
        delete("gone"),
        put("r/1", ""),
        put("r/2", ""),
        Op::DeleteRange(range("r/", "r0")),
        put("r/3", ""),
        max("m", "b"),
        max("m", "a"),
        max("m", "c"),
        put("last", "1"),
        put("last", "2"),
    ];
    write(&store, ops).await;
    assert_eq!(counter(&store, "n").await, 42);
    assert_eq!(bytes(&store, "m").await.unwrap(), "c");
    assert_eq!(bytes(&store, "last").await.unwrap(), "2");
    assert_eq!(
        keys(&rows(&store, everything()).await),
        ["last", "m", "n", "r/3"]
    );
}

pub async fn one_transaction_writes_all_its_keys_at_one_revision(store: Store) {
    write(&store, [put("other", "")]).await;
    let stamped = Op::PutStamped("s".into(), "".into());
    let revision = write(&store, [put("a", ""), add("b", 1), max("c", ""), stamped]).await;
    let rows = rows(&store, range("a", "t")).await;
    let written = rows.iter().filter(|row| row.value.revision == revision);
    assert_eq!((revision, written.count()), (Revision(2), 4));
}

pub async fn add_counts_from_zero_and_keeps_a_counter_at_zero(store: Store) {
    write(&store, [add("n", 5)]).await;
    write(&store, [add("n", -7)]).await;
    assert_eq!(counter(&store, "n").await, -2);
    let last = write(&store, [add("n", 2)]).await;
    let value = get(&store, "n").await.expect("a counter at 0 stays");
    assert_eq!((&*value.bytes, value.revision), (&[0; 8][..], last));
}

pub async fn max_keeps_the_larger_value_and_its_revision(store: Store) {
    let first = write(&store, [max("m", "b")]).await;
    for smaller_or_equal in ["a", "b", "", "azzz"] {
        write(&store, [max("m", smaller_or_equal)]).await;
        let value = get(&store, "m").await.unwrap();
        assert_eq!((value.bytes.as_ref(), value.revision), (&b"b"[..], first));
    }
    for larger in ["b\u{0}", "c"] {
        let revision = write(&store, [max("m", larger)]).await;
        let value = get(&store, "m").await.unwrap();
        assert_eq!(
            (value.bytes.as_ref(), value.revision),
            (larger.as_bytes(), revision)
        );
    }
    write(&store, [max("empty", "")]).await;
    assert_eq!(bytes(&store, "empty").await.unwrap(), "");
}

pub async fn put_stamped_appends_the_revision(store: Store) {
    write(&store, [put("other", "")]).await;
    let revision = write(&store, [Op::PutStamped("l/".into(), "record".into())]).await;
    let key = [b"l/".as_slice(), &revision.0.to_be_bytes()].concat();
    assert_eq!(key.len(), 2 + STAMP_LEN);
    let value = get(&store, key).await.expect("the stamped key is there");
    assert_eq!(
        (value.bytes.as_ref(), value.revision),
        (&b"record"[..], revision)
    );
    assert_eq!(bytes(&store, "l/").await, None);
}

pub async fn stamped_keys_sort_in_commit_order(store: Store) {
    for n in 0..300_u32 {
        write(
            &store,
            [Op::PutStamped("l/".into(), n.to_be_bytes().to_vec().into())],
        )
        .await;
    }
    let rows = rows(&store, range("l/", "l0")).await;
    let order = rows
        .iter()
        .map(|row| u32::from_be_bytes((*row.value.bytes).try_into().unwrap()));
    assert!(order.eq(0..300));
}
