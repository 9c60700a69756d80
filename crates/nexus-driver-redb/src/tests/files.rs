//! The file: who may open it, what it may hold, how it is closed.

use std::fs;
use std::sync::Arc;

use nexus_kernel::{Error, Kind, Metastore, Revision, Txn, TxnId};
use nexus_testkit::metastore::support::{Store, add, applied, bytes, counter, put, txn, write};

use super::{folder, in_folder};
use crate::layout::{FACTS, FORMAT, FORMAT_FACT};
use crate::{RedbConfig, RedbMetastore};

fn open(config: &RedbConfig) -> Store {
    RedbMetastore::open(config).unwrap()
}

fn refusal(config: &RedbConfig) -> Error {
    RedbMetastore::open(config)
        .err()
        .expect("the store does not open")
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let folder = folder();
    let config = in_folder(&folder);
    for n in 1..=3 {
        let store = open(&config);
        assert_eq!(write(&store, [add("n", 1)]).await, Revision(n));
    }
    assert_eq!(counter(&open(&config), "n").await, 3);
}

#[tokio::test]
async fn a_relaxed_commit_is_durable_once_the_store_is_dropped() {
    let folder = folder();
    let config = in_folder(&folder);
    let relaxed = Txn {
        durability: nexus_kernel::Durability::Relaxed,
        ..txn([], [put("a", "1")])
    };
    for n in 1..4 {
        assert_eq!(
            applied(&open(&config), relaxed.clone()).await,
            Revision(n),
            "a store that was closed leaves no revision out"
        );
        assert_eq!(bytes(&open(&config), "a").await.unwrap(), "1");
    }
}

#[tokio::test]
async fn a_retry_is_recognised_after_reopening() {
    let folder = folder();
    let config = in_folder(&folder);
    let bump = |id| Txn {
        id: Some(TxnId(id)),
        ..txn([], [add("n", 1)])
    };
    let store = open(&config);
    let first = applied(&store, bump(1)).await;
    let second = applied(&store, bump(u128::MAX)).await;
    drop(store);
    let store = open(&config);
    assert_eq!(applied(&store, bump(u128::MAX)).await, second);
    assert_eq!(applied(&store, bump(1)).await, first);
    assert_eq!(counter(&store, "n").await, 2);
}

#[tokio::test]
async fn a_closed_store_refuses_everything_and_can_be_opened_again() {
    let folder = folder();
    let config = in_folder(&folder);
    let store = RedbMetastore::open(&config).unwrap();
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.changed(Revision(1)).await }
    });
    write(&(store.clone() as Store), [put("a", "1")]).await;
    store.close().await.unwrap();
    store.close().await.unwrap();

    let refused = [
        waiter.await.unwrap().unwrap_err(),
        store.commit(txn([], [put("b", "")])).await.unwrap_err(),
        store
            .get(b"a", nexus_kernel::Freshness::Local)
            .await
            .unwrap_err(),
        store.changed(Revision(7)).await.unwrap_err(),
        store.sync().await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    }
    let again = open(&config);
    assert_eq!(bytes(&again, "a").await.unwrap(), "1");
}

#[tokio::test]
async fn closing_serves_those_who_wait() {
    let folder = folder();
    let store = RedbMetastore::open(&in_folder(&folder)).unwrap();
    let commits = (0..100).map(|_| {
        let store = store.clone();
        async move { store.commit(txn([], [add("n", 1)])).await }
    });
    let (answers, closed) = futures::join!(futures::future::join_all(commits), store.close());
    closed.unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[test]
fn a_file_in_use_is_refused() {
    let folder = folder();
    let config = in_folder(&folder);
    let first = RedbMetastore::open(&config).unwrap();
    let refused = refusal(&config);
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(
        refused.message().contains("in use by another node"),
        "{refused}"
    );
    drop(first);
    assert!(RedbMetastore::open(&config).is_ok());
}

#[test]
fn a_file_of_a_newer_format_is_refused_and_left_alone() {
    let folder = folder();
    let config = in_folder(&folder);
    drop(RedbMetastore::open(&config).unwrap());
    let set_format = |format: u64| {
        let db = redb::Database::open(&config.path).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(FACTS)
            .unwrap()
            .insert(FORMAT_FACT, format)
            .unwrap();
        txn.commit().unwrap();
    };
    set_format(FORMAT + 1);
    let refused = refusal(&config);
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert_eq!(refused.fact("format"), Some("2"));
    set_format(FORMAT);
    assert!(RedbMetastore::open(&config).is_ok());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = folder();
    let config = in_folder(&folder);
    for content in [&b""[..], b"not a database", &[0; 1 << 20]] {
        fs::write(&config.path, content).unwrap();
        let refused = refusal(&config);
        assert_eq!(refused.kind(), Kind::Corrupt, "{refused:?}");
        assert_eq!(fs::read(&config.path).unwrap(), content);
    }
}

#[test]
fn another_program_s_database_is_refused() {
    let folder = folder();
    let config = in_folder(&folder);
    drop(redb::Database::create(&config.path).unwrap());
    assert_eq!(refusal(&config).kind(), Kind::Corrupt);
}

#[tokio::test]
async fn what_a_crash_left_of_the_first_creation_is_replaced() {
    let folder = folder();
    let config = in_folder(&folder);
    let unfinished = folder.path().join("metastore.redb.new");
    fs::write(&unfinished, b"half a database").unwrap();
    let store = open(&config);
    write(&store, [put("a", "1")]).await;
    assert!(!unfinished.exists());
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file() {
    let folder = folder();
    let config = RedbConfig::new(folder.path().join("missing/metastore.redb"));
    let refused = refusal(&config);
    assert!(
        refused.fact("file").unwrap().contains("missing"),
        "{refused}"
    );
}

#[test]
fn a_store_may_be_dropped_while_others_wait_for_changes() {
    let folder = folder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = RedbMetastore::open(&in_folder(&folder)).unwrap();
        let weak = Arc::downgrade(&store);
        drop(store);
        assert!(weak.upgrade().is_none());
    });
}
