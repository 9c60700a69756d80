//! An empty store on its way to the state of another.

use bytes::Bytes;
use nexus_kernel::{
    Entry, Freshness, Kind, Outcome, RESTORE_NOTE_BYTES_MAX, RestoreStep, Restoring, Revision,
    Scan, Value,
};

use crate::metastore::support::*;

fn row(key: &'static str, value: &'static str, revision: u64) -> Entry {
    Entry {
        key: key.into(),
        value: Value {
            bytes: value.into(),
            revision: Revision(revision),
        },
    }
}

fn begin(revision: u64) -> RestoreStep {
    RestoreStep::Begin {
        revision: Revision(revision),
        note: "begun".into(),
    }
}

fn some(rows: impl Into<Vec<Entry>>) -> RestoreStep {
    RestoreStep::Rows {
        rows: rows.into(),
        note: "rows".into(),
    }
}

async fn take(store: &Store, step: RestoreStep) {
    store.restore(step).await.expect("the step is taken");
}

async fn refusal(store: &Store, step: RestoreStep) -> Kind {
    let refused = store.restore(step).await.expect_err("the step is refused");
    assert_eq!(refused.outcome(), Outcome::NotApplied);
    refused.kind()
}

async fn where_it_is(store: &Store) -> Option<Restoring> {
    store.restoring().await.expect("a store tells")
}

pub async fn a_restored_store_answers_as_the_original(store: Store) {
    let first = vec![row("a", "1", 7), row("b", "", 2)];
    let second = vec![row("b\0", "3", 100), row("c", "4", 1)];
    take(&store, begin(100)).await;
    take(&store, some(first.clone())).await;
    take(&store, some([])).await;
    take(&store, some(second.clone())).await;
    take(&store, RestoreStep::Finish).await;
    assert_eq!(rows(&store, everything()).await, [first, second].concat());
    assert_eq!(get(&store, "a").await.unwrap().revision, Revision(7));
    assert_eq!(revision(&store).await, Revision(100));
    assert_eq!(where_it_is(&store).await, None);
    assert_eq!(store.sync().await.unwrap(), Revision(100));
}

pub async fn a_restored_store_goes_on_after_its_revision(store: Store) {
    take(&store, begin(41)).await;
    take(&store, some([row("n", "\0\0\0\0\0\0\0\x05", 3)])).await;
    take(&store, RestoreStep::Finish).await;
    assert_eq!(store.changed(Revision(40)).await.unwrap(), Revision(41));
    let stale = nexus_kernel::Guard::RevisionIs("n".into(), Revision(2));
    assert_eq!(conflict(&store, txn([stale], [put("x", "")])).await, 0);
    let guard = nexus_kernel::Guard::RevisionIs("n".into(), Revision(3));
    let next = applied(&store, txn([guard], [add("n", 1)])).await;
    assert_eq!(next, Revision(42));
    assert_eq!(counter(&store, "n").await, 6);
}

pub async fn a_restore_serves_nothing_else_until_it_ends(store: Store) {
    take(&store, begin(5)).await;
    take(&store, some([row("a", "1", 5)])).await;
    let get = store.get(b"a", Freshness::Local).await.map(drop);
    let keys = [Bytes::from("a")];
    let many = store.get_many(&keys, Freshness::Local).await.map(drop);
    let scan = Scan::forward(everything(), 1);
    let scan = store.scan(scan, Freshness::Local).await.map(drop);
    let commit = store.commit(txn([], [put("b", "")])).await.map(drop);
    let relaxed = nexus_kernel::Txn {
        durability: nexus_kernel::Durability::Relaxed,
        ..txn([], [put("b", "")])
    };
    let relaxed = store.commit(relaxed).await.map(drop);
    let changed = store.changed(Revision::ZERO).await.map(drop);
    let sync = store.sync().await.map(drop);
    let snapshot = store.snapshot().await.map(drop);
    for refused in [get, many, scan, commit, relaxed, changed, sync, snapshot] {
        let refused = refused.expect_err("half a state is not shown");
        assert_eq!(refused.kind(), Kind::Conflict);
        assert_eq!(refused.outcome(), Outcome::NotApplied);
    }
    take(&store, RestoreStep::Finish).await;
    assert_eq!(bytes(&store, "a").await.unwrap(), "1");
    assert_eq!(bytes(&store, "b").await, None);
}

pub async fn a_restore_tells_how_far_it_has_come(store: Store) {
    assert_eq!(where_it_is(&store).await, None);
    take(&store, begin(9)).await;
    let begun = where_it_is(&store).await.unwrap();
    assert_eq!((begun.revision, begun.last_key), (Revision(9), None));
    assert_eq!(begun.note, "begun");
    take(&store, some([row("a", "1", 1), row("b", "2", 9)])).await;
    let further = where_it_is(&store).await.unwrap();
    assert_eq!(further.last_key.unwrap(), "b");
    assert_eq!(further.note, "rows");
}

pub async fn a_used_store_is_not_restored_into(store: Store) {
    write(&store, [put("a", "1")]).await;
    write(&store, [delete("a")]).await;
    assert_eq!(refusal(&store, begin(5)).await, Kind::Conflict);
    assert_eq!(write(&store, [put("a", "2")]).await, Revision(3));
}

pub async fn only_one_restore_begins(store: Store) {
    take(&store, begin(5)).await;
    assert_eq!(refusal(&store, begin(6)).await, Kind::Conflict);
    assert_eq!(where_it_is(&store).await.unwrap().revision, Revision(5));
}

pub async fn steps_without_a_beginning_are_refused(store: Store) {
    let steps = [some([]), RestoreStep::Finish, RestoreStep::Abandon];
    for step in steps.clone() {
        assert_eq!(refusal(&store, step).await, Kind::Conflict);
    }
    take(&store, begin(5)).await;
    take(&store, RestoreStep::Finish).await;
    for step in steps {
        assert_eq!(refusal(&store, step).await, Kind::Conflict);
    }
}

pub async fn rows_out_of_order_are_invalid_and_change_nothing(store: Store) {
    take(&store, begin(5)).await;
    take(&store, some([row("b", "1", 1)])).await;
    let bad = [
        vec![row("a", "", 1)],
        vec![row("b", "", 1)],
        vec![row("d", "", 1), row("c", "", 1)],
        vec![row("c", "", 1), row("c", "", 1)],
    ];
    for rows in bad {
        assert_eq!(refusal(&store, some(rows)).await, Kind::InvalidArgument);
    }
    take(&store, RestoreStep::Finish).await;
    assert_eq!(rows(&store, everything()).await, [row("b", "1", 1)]);
}

pub async fn rows_of_revisions_beyond_the_end_are_invalid(store: Store) {
    take(&store, begin(5)).await;
    for revision in [0, 6] {
        let step = some([row("a", "", revision)]);
        assert_eq!(refusal(&store, step).await, Kind::InvalidArgument);
    }
    take(&store, some([row("a", "", 5)])).await;
}

pub async fn an_abandoned_restore_leaves_an_empty_store(store: Store) {
    take(&store, begin(5)).await;
    take(&store, some([row("a", "1", 1)])).await;
    take(&store, RestoreStep::Abandon).await;
    assert_eq!(where_it_is(&store).await, None);
    assert!(rows(&store, everything()).await.is_empty());
    take(&store, begin(7)).await;
    take(&store, some([row("a", "2", 2)])).await;
    take(&store, RestoreStep::Finish).await;
    assert_eq!(rows(&store, everything()).await, [row("a", "2", 2)]);
}

pub async fn a_restore_ends_after_its_beginning(store: Store) {
    assert_eq!(refusal(&store, begin(0)).await, Kind::InvalidArgument);
    take(&store, begin(1)).await;
    take(&store, RestoreStep::Finish).await;
    assert_eq!(revision(&store).await, Revision(1));
    assert_eq!(write(&store, [put("a", "1")]).await, Revision(2));
}

pub async fn a_note_has_a_limit(store: Store) {
    let note = |len: usize| RestoreStep::Begin {
        revision: Revision(1),
        note: vec![0; len].into(),
    };
    let refused = refusal(&store, note(RESTORE_NOTE_BYTES_MAX + 1)).await;
    assert_eq!(refused, Kind::LimitExceeded);
    take(&store, note(RESTORE_NOTE_BYTES_MAX)).await;
}
