//! States that stay.

use std::sync::Arc;

use nexus_kernel::{Entry, Kind, MetastoreSnapshot, Revision, Scan};

use crate::metastore::support::*;

async fn snapshot(store: &Store) -> Arc<dyn MetastoreSnapshot> {
    store.snapshot().await.expect("a snapshot is taken")
}

async fn all(snapshot: &dyn MetastoreSnapshot) -> Vec<Entry> {
    let page = snapshot.scan(Scan::forward(everything(), 1000)).await;
    let page = page.expect("a scan succeeds");
    assert!(!page.more);
    assert_eq!(page.revision, snapshot.revision());
    page.entries
}

pub async fn a_snapshot_has_every_row_with_its_revision(store: Store) {
    write(&store, [put("a", "1"), put("b", "2"), add("n", 3)]).await;
    write(&store, [put("b", "3"), delete("a")]).await;
    let taken = snapshot(&store).await;
    assert_eq!(taken.revision(), Revision(2));
    assert_eq!(all(&*taken).await, rows(&store, everything()).await);
    assert_eq!(all(&*taken).await.len(), 2);
}

pub async fn a_snapshot_stays_as_it_was(store: Store) {
    write(&store, [put("a", "1"), put("b", "2"), put("c", "3")]).await;
    let before = rows(&store, everything()).await;
    let taken = snapshot(&store).await;
    write(&store, [put("a", "9"), delete("b"), put("d", "4")]).await;
    let delete_all = nexus_kernel::Op::DeleteRange(everything());
    write(&store, [delete_all]).await;
    store.sync().await.unwrap();
    assert_eq!(all(&*taken).await, before);
    assert!(all(&*snapshot(&store).await).await.is_empty());
}

pub async fn a_snapshot_of_an_empty_store_is_empty(store: Store) {
    let taken = snapshot(&store).await;
    assert_eq!(taken.revision(), Revision::ZERO);
    write(&store, [put("a", "1")]).await;
    assert!(all(&*taken).await.is_empty());
}

pub async fn snapshots_of_different_states_are_apart(store: Store) {
    let mut taken = Vec::new();
    for n in 0..5 {
        write(&store, [put("n", format!("{n}"))]).await;
        taken.push(snapshot(&store).await);
    }
    for (n, taken) in taken.iter().enumerate() {
        let rows = all(&**taken).await;
        assert_eq!(rows[0].value.bytes, format!("{n}"));
        assert_eq!(rows[0].value.revision, taken.revision());
    }
}

pub async fn pages_of_a_snapshot_join_to_the_whole(store: Store) {
    let ops: Vec<_> = (0..300).map(|n| put(format!("k/{n:03}"), "v")).collect();
    write(&store, ops).await;
    let whole = rows(&store, everything()).await;
    let taken = snapshot(&store).await;
    let mut range = everything();
    let mut joined = Vec::new();
    loop {
        let page = taken.scan(Scan::forward(range.clone(), 64)).await.unwrap();
        joined.extend(page.entries);
        // Whatever changes between two pages is not in the next.
        write(&store, [put("k/zzz", "new"), delete("k/299")]).await;
        if !page.more {
            break;
        }
        range.start = after(&joined.last().unwrap().key);
    }
    assert_eq!(joined, whole);
    let backward = taken.scan(Scan::backward(everything(), 1)).await.unwrap();
    assert_eq!(backward.entries, whole[299..]);
}

pub async fn a_scan_of_a_snapshot_has_the_limits_of_a_scan(store: Store) {
    let taken = snapshot(&store).await;
    let most = store.limits().scan_entries_max;
    let too_many = taken.scan(Scan::forward(everything(), most + 1)).await;
    assert_eq!(too_many.unwrap_err().kind(), Kind::LimitExceeded);
    let nothing = taken.scan(Scan::forward(everything(), 0)).await;
    assert_eq!(nothing.unwrap_err().kind(), Kind::InvalidArgument);
}

pub async fn a_snapshot_during_writes_is_one_state(store: Store) {
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..100 {
                let ops = (0..20).map(|n| add(format!("k/{n}"), 1));
                write(&store, ops.collect::<Vec<_>>()).await;
            }
        }
    });
    while !writer.is_finished() {
        let taken = snapshot(&store).await;
        tokio::task::yield_now().await;
        let rows = all(&*taken).await;
        let written = |row: &Entry| row.value.revision == taken.revision();
        assert!(rows.iter().all(written), "{rows:?}");
    }
    writer.await.unwrap();
}

pub async fn only_so_many_snapshots_are_held_and_dropped_ones_make_room(store: Store) {
    let mut held = Vec::new();
    for _ in 0..store.limits().snapshots_max {
        held.push(snapshot(&store).await);
    }
    let refused = store.snapshot().await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), Kind::LimitExceeded);
    held.remove(0);
    held.push(snapshot(&store).await);
    assert!(store.snapshot().await.is_err());
}
