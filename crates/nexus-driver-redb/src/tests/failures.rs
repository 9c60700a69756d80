//! A disk that stops answering.

use nexus_kernel::{Durability, Freshness, Kind, Metastore, Outcome, Revision, Txn};
use nexus_testkit::metastore::support::{
    Store, add, applied, bytes, counter, delete, put, refused, revision, txn, write,
};
use nexus_testkit::power_loss::SimulatedDisk;
use tokio::task::JoinSet;

use super::{folder, in_folder};
use crate::{RedbConfig, RedbMetastore};

fn config() -> RedbConfig {
    RedbConfig::new("")
}

#[tokio::test]
async fn after_a_failed_write_the_outcome_is_unknown_and_the_store_stops() {
    let disk = SimulatedDisk::new(1);
    let store = RedbMetastore::with_backend(&config(), disk.clone()).unwrap();
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.changed(Revision(7)).await }
    });
    disk.lose_power();
    let failed = store.commit(txn([], [add("n", 1)])).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (Kind::Unavailable, Outcome::Unknown)
    );

    let later = store.commit(txn([], [add("n", 1)])).await.unwrap_err();
    assert_eq!(
        (later.kind(), later.outcome()),
        (Kind::Unavailable, Outcome::NotApplied)
    );
    assert!(later.message().contains("restart the node"), "{later}");
    assert_eq!(store.sync().await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(waiter.await.unwrap().unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(store.close().await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_failed_flush_is_told_to_everyone_in_the_group() {
    for operations in 0..30 {
        let disk = SimulatedDisk::new(operations);
        let store = RedbMetastore::with_backend(&config(), disk.clone()).unwrap();
        disk.lose_power_after(operations);
        let mut writers = JoinSet::new();
        for _ in 0..20 {
            let store = store.clone();
            writers.spawn(async move { store.commit(txn([], [add("n", 1)])).await.is_ok() });
        }
        let acknowledged = writers
            .join_all()
            .await
            .into_iter()
            .filter(|ok| *ok)
            .count();
        drop(store);
        let store = RedbMetastore::with_backend(&config(), disk.restart()).unwrap();
        let survived = counter(&(store as Store), "n").await;
        assert!(
            survived >= acknowledged as i64,
            "{survived} of {acknowledged}"
        );
    }
}

/// Who saw a relaxed commit that a power loss took back can tell it from those that come after:
/// also when the power goes again and again before the next commit.
#[tokio::test]
async fn a_revision_that_was_seen_is_never_given_to_another_commit() {
    let mut disk = SimulatedDisk::new(5);
    let mut seen = Revision::ZERO;
    for crash in 0..20 {
        let store = RedbMetastore::with_backend(&config(), disk.clone()).unwrap();
        for n in 0..crash % 4 {
            let durability = [Durability::Sync, Durability::Relaxed][usize::from(n > 0)];
            let bump = Txn {
                durability,
                ..txn([], [add("n", 1)])
            };
            let revision = applied(&(store.clone() as Store), bump).await;
            assert!(revision > seen, "crash {crash}: {revision} after {seen}");
            seen = revision;
        }
        disk = disk.restart();
    }
}

/// A cursor or a token that names a revision of before goes on with what there is now.
#[tokio::test]
async fn a_revision_that_a_power_loss_took_back_counts_as_reached() {
    let disk = SimulatedDisk::new(1);
    let store: Store = RedbMetastore::with_backend(&config(), disk.clone()).unwrap();
    let kept = write(&store, [put("a", "1")]).await;
    let relaxed = |value: &'static str| Txn {
        durability: Durability::Relaxed,
        ..txn([], [put("a", value)])
    };
    applied(&store, relaxed("2")).await;
    let lost = applied(&store, relaxed("3")).await;
    disk.lose_power();
    let store: Store = RedbMetastore::with_backend(&config(), disk.restart()).unwrap();
    let value = store.get(b"a", Freshness::AtLeast(lost)).await.unwrap();
    assert!(value.unwrap().revision < lost);
    let now = store.changed(Revision::ZERO).await.unwrap();
    assert!(kept < lost && lost <= now);
    assert_eq!(revision(&store).await, now, "a page says the same");
    assert_eq!(store.sync().await.unwrap(), now);
    let next = write(&store, [put("a", "4")]).await;
    assert_eq!(store.changed(lost).await.unwrap(), next);
}

#[tokio::test]
async fn a_close_that_cannot_make_everything_durable_says_so() {
    let disk = SimulatedDisk::new(1);
    let store = RedbMetastore::with_backend(&config(), disk.clone()).unwrap();
    let relaxed = Txn {
        durability: Durability::Relaxed,
        ..txn([], [put("a", "1")])
    };
    for _ in 0..2 {
        applied(&(store.clone() as Store), relaxed.clone()).await;
    }
    disk.lose_power();
    assert_eq!(store.close().await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn on_a_nearly_full_disk_only_deleting_is_left() {
    let folder = folder();
    let full = RedbConfig {
        free_bytes_min: u64::MAX,
        ..in_folder(&folder)
    };
    let store: Store = RedbMetastore::open(&in_folder(&folder)).unwrap();
    write(&store, [put("a", "1"), put("b", "2")]).await;
    drop(store);
    let store: Store = RedbMetastore::open(&full).unwrap();
    assert_eq!(
        refused(&store, txn([], [put("c", "3")])).await,
        Kind::LimitExceeded
    );
    write(&store, [delete("a"), put("log", "a is gone")]).await;
    assert_eq!(bytes(&store, "b").await.unwrap(), "2");
}

#[tokio::test]
async fn on_a_nearly_full_disk_nothing_gathers_in_memory() {
    let folder = folder();
    let full = RedbConfig {
        free_bytes_min: u64::MAX,
        ..in_folder(&folder)
    };
    let store = RedbMetastore::open(&full).unwrap();
    let shared: Store = store.clone();
    for n in 0..5 {
        let relaxed = Txn {
            durability: Durability::Relaxed,
            ..txn([], [delete("a"), put("log", n.to_string())])
        };
        applied(&shared, relaxed).await;
        assert_eq!(store.stats().memtable_bytes, 0);
    }
    assert_eq!(bytes(&shared, "log").await.unwrap(), "4");
}

/// Through the threads and the public interface what `power_loss` shows without them: each
/// writer's acknowledged `Sync` commits survive, and no transaction is there by half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_lose_nothing_acknowledged_to_a_power_loss() {
    const WRITERS: usize = 6;
    let mut disk = SimulatedDisk::new(7);
    let mut promised = [0; WRITERS];
    drop(RedbMetastore::with_backend(&config(), disk.clone()).unwrap());
    for crash in 0..60 {
        let store = RedbMetastore::with_backend(&config(), disk.clone()).unwrap();
        let shared: Store = store.clone();
        let mut sum = 0;
        for (writer, promised) in promised.iter_mut().enumerate() {
            let survived = counter(&shared, format!("w/{writer}")).await;
            assert!(
                survived >= *promised,
                "crash {crash}: {survived} of {promised}"
            );
            *promised = survived;
            sum += survived;
        }
        assert_eq!(counter(&shared, "all").await, sum, "crash {crash}");

        disk.lose_power_after(20 + crash * 3);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            writers.spawn(async move { (writer, write_until_it_fails(&store, writer).await) });
        }
        for (writer, acknowledged) in writers.join_all().await {
            promised[writer] += acknowledged;
        }
        drop((store, shared));
        disk = disk.restart();
    }
}

/// Every third commit is `Relaxed`; returns how many an acknowledged `Sync` one covers.
async fn write_until_it_fails(store: &RedbMetastore, writer: usize) -> i64 {
    let mut covered = 0;
    for n in 1.. {
        let durability = match n % 3 {
            0 => Durability::Relaxed,
            _ => Durability::Sync,
        };
        let bump = Txn {
            durability,
            ..txn([], [add(format!("w/{writer}"), 1), add("all", 1)])
        };
        if store.commit(bump).await.is_err() {
            break;
        }
        if durability == Durability::Sync {
            covered = n;
        }
    }
    covered
}
