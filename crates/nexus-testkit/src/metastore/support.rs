//! Short words for tests that speak to a metastore.
//!
//! Everything here panics on a surprise: it is for tests only.

use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{
    Commit, Entry, Freshness, Guard, KeyRange, Kind, Metastore, Op, Outcome, Revision, Scan, Txn,
    Value,
};

/// A store as clauses take it: shared, so that tasks can hold it too.
pub type Store = Arc<dyn Metastore>;

/// Sets `key` to `value`.
pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Op {
    Op::Put(key.into(), value.into())
}

/// Removes `key`.
pub fn delete(key: impl Into<Bytes>) -> Op {
    Op::Delete(key.into())
}

/// Adds `amount` to the counter at `key`.
pub fn add(key: impl Into<Bytes>, amount: i64) -> Op {
    Op::Add(key.into(), amount)
}

/// Raises `key` to `value`.
pub fn max(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Op {
    Op::Max(key.into(), value.into())
}

/// `key` must have no value.
pub fn absent(key: impl Into<Bytes>) -> Guard {
    Guard::Absent(key.into())
}

/// `key` must have a value.
pub fn present(key: impl Into<Bytes>) -> Guard {
    Guard::Present(key.into())
}

/// The keys from `start` up to `end`.
pub fn range(start: impl Into<Bytes>, end: impl Into<Bytes>) -> KeyRange {
    KeyRange {
        start: start.into(),
        end: end.into(),
    }
}

/// Every key that tests use.
pub fn everything() -> KeyRange {
    range("", [0xFF; 16].to_vec())
}

/// A durable transaction without an id.
pub fn txn(guards: impl Into<Vec<Guard>>, ops: impl Into<Vec<Op>>) -> Txn {
    Txn {
        guards: guards.into(),
        ops: ops.into(),
        ..Txn::default()
    }
}

/// Commits, and expects that it applies.
pub async fn applied(store: &Store, txn: Txn) -> Revision {
    match store.commit(txn).await {
        Ok(Commit::Applied(revision)) => revision,
        other => panic!("expected the transaction to apply, got {other:?}"),
    }
}

/// Commits operations without guards, and expects that they apply.
pub async fn write(store: &Store, ops: impl Into<Vec<Op>>) -> Revision {
    applied(store, txn([], ops)).await
}

/// Commits, expects a conflict, and returns which guard failed.
pub async fn conflict(store: &Store, txn: Txn) -> usize {
    match store.commit(txn).await {
        Ok(Commit::Conflict { guard }) => guard,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Commits, expects a refusal that changed nothing, and returns its kind.
pub async fn refused(store: &Store, txn: Txn) -> Kind {
    match store.commit(txn).await {
        Err(error) => {
            assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
            error.kind()
        }
        Ok(commit) => panic!("expected a refusal, got {commit:?}"),
    }
}

/// Reads one key.
pub async fn get(store: &Store, key: impl AsRef<[u8]>) -> Option<Value> {
    let read = store.get(key.as_ref(), Freshness::Linearizable).await;
    read.expect("a get succeeds")
}

/// Reads the bytes of one key.
pub async fn bytes(store: &Store, key: impl AsRef<[u8]>) -> Option<Bytes> {
    get(store, key).await.map(|value| value.bytes)
}

/// Reads a counter; an absent one is 0.
pub async fn counter(store: &Store, key: impl AsRef<[u8]>) -> i64 {
    let counter = |bytes: Bytes| i64::from_be_bytes((*bytes).try_into().expect("a counter"));
    bytes(store, key).await.map_or(0, counter)
}

/// Reads a range whole, in pages.
pub async fn rows(store: &Store, mut range: KeyRange) -> Vec<Entry> {
    let mut rows: Vec<Entry> = Vec::new();
    loop {
        let scan = Scan::forward(range.clone(), store.limits().scan_entries_max);
        let page = store.scan(scan, Freshness::Linearizable).await;
        let page = page.expect("a scan succeeds");
        rows.extend(page.entries);
        match rows.last() {
            Some(last) if page.more => range.start = after(&last.key),
            _ => return rows,
        }
    }
}

/// The keys of `rows`, as text.
pub fn keys(rows: &[Entry]) -> Vec<String> {
    let text = |row: &Entry| String::from_utf8_lossy(&row.key).into_owned();
    rows.iter().map(text).collect()
}

/// The newest revision of the store.
pub async fn revision(store: &Store) -> Revision {
    let scan = Scan::forward(everything(), 1);
    let page = store.scan(scan, Freshness::Linearizable).await;
    page.expect("a scan succeeds").revision
}

/// The first key after `key`.
pub fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}
