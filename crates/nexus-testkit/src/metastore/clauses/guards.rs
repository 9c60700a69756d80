//! Conditions on the state before a transaction.

use nexus_kernel::{Guard, Revision};

use crate::metastore::support::*;

pub async fn absent_holds_only_without_a_value(store: Store) {
    applied(&store, txn([absent("a")], [put("a", "1")])).await;
    assert_eq!(
        conflict(&store, txn([absent("a")], [put("a", "2")])).await,
        0
    );
    write(&store, [delete("a")]).await;
    applied(&store, txn([absent("a")], [put("a", "3")])).await;
    assert_eq!(bytes(&store, "a").await.unwrap(), "3");
}

pub async fn present_holds_only_with_a_value(store: Store) {
    assert_eq!(
        conflict(&store, txn([present("a")], [put("b", "1")])).await,
        0
    );
    write(&store, [put("a", "")]).await;
    applied(&store, txn([present("a")], [put("b", "1")])).await;
}

pub async fn revision_is_holds_only_for_the_last_writer(store: Store) {
    let is = |revision| [Guard::RevisionIs("a".into(), revision)];
    assert_eq!(
        conflict(&store, txn(is(Revision::ZERO), [put("b", "")])).await,
        0
    );
    let first = write(&store, [put("a", "1")]).await;
    let second = applied(&store, txn(is(first), [put("a", "2")])).await;
    assert_eq!(conflict(&store, txn(is(first), [put("a", "3")])).await, 0);
    write(&store, [put("other", "")]).await;
    applied(&store, txn(is(second), [put("a", "4")])).await;
    assert_eq!(bytes(&store, "a").await.unwrap(), "4");
}

pub async fn range_empty_holds_only_without_a_key_in_the_range(store: Store) {
    let empty = || [Guard::RangeEmpty(range("b", "d"))];
    write(&store, [put("a", ""), put("d", "")]).await;
    applied(&store, txn(empty(), [put("b", "")])).await;
    assert_eq!(conflict(&store, txn(empty(), [put("x", "")])).await, 0);
    write(&store, [delete("b"), put("c\u{0}", "")]).await;
    assert_eq!(conflict(&store, txn(empty(), [put("x", "")])).await, 0);
    write(&store, [delete("c\u{0}")]).await;
    applied(&store, txn(empty(), [put("x", "")])).await;
}

pub async fn guards_see_the_state_before_the_transaction(store: Store) {
    applied(&store, txn([absent("a")], [put("a", "1"), delete("a")])).await;
    applied(&store, txn([absent("a")], [put("a", "1")])).await;
    applied(&store, txn([present("a")], [delete("a")])).await;
    assert_eq!(bytes(&store, "a").await, None);
}

pub async fn a_conflict_names_the_first_guard_that_fails(store: Store) {
    write(&store, [put("a", "")]).await;
    let guards = [present("a"), absent("b"), present("c"), absent("a")];
    assert_eq!(conflict(&store, txn(guards, [put("x", "")])).await, 2);
}

pub async fn a_conflict_changes_nothing_and_takes_no_revision(store: Store) {
    write(&store, [put("a", "1"), put("b", "2")]).await;
    let before = rows(&store, everything()).await;
    let ops = [put("a", "9"), delete("b"), put("c", "3"), add("n", 1)];
    conflict(&store, txn([present("a"), absent("b")], ops)).await;
    assert_eq!(rows(&store, everything()).await, before);
    assert_eq!(revision(&store).await, Revision(1));
    assert_eq!(write(&store, [put("c", "")]).await, Revision(2));
}
