use std::sync::Arc;

use nexus_kernel::{Commit, Metastore, Outcome, Txn, TxnId};
use nexus_testkit::metastore::support::{Store, add, counter, rows, txn};
use nexus_testkit::metastore::{Faults, FaultyMetastore, support};
use nexus_testkit::metastore_contract;
use tokio::task::JoinSet;

use super::MemoryMetastore;

metastore_contract!(Arc::new(MemoryMetastore::new()));

mod behind_a_fault_injector_without_faults {
    use super::*;

    metastore_contract!(Arc::new(faulty(1, Faults::OFF).0));
}

const OFTEN: Faults = Faults {
    before_per_mille: 200,
    after_per_mille: 200,
    late_per_mille: 200,
};

fn faulty(seed: u64, faults: Faults) -> (FaultyMetastore, Store) {
    let inner: Store = Arc::new(MemoryMetastore::new());
    (FaultyMetastore::new(inner.clone(), seed, faults), inner)
}

/// Commits until there is an answer, always under the same id.
async fn commit_with_retries(store: &FaultyMetastore, txn: Txn) -> Commit {
    loop {
        if let Ok(commit) = store.commit(txn.clone()).await {
            return commit;
        }
    }
}

#[tokio::test]
async fn retries_by_id_apply_exactly_once_under_faults() {
    for seed in 0..20 {
        let (store, inner) = faulty(seed, OFTEN);
        let store = Arc::new(store);
        let mut writers = JoinSet::new();
        for writer in 0..8_u128 {
            let store = store.clone();
            writers.spawn(async move {
                for n in 0..25_u128 {
                    let bump = Txn {
                        id: Some(TxnId(writer << 64 | n)),
                        ..txn([], [add("n", 1)])
                    };
                    let commit = commit_with_retries(&store, bump).await;
                    assert!(matches!(commit, Commit::Applied(_)));
                }
            });
        }
        writers.join_all().await;
        assert_eq!(counter(&inner, "n").await, 200, "seed {seed}");
        assert!(store.injected() > 100, "seed {seed}");
    }
}

#[tokio::test]
async fn a_fault_tells_the_truth_about_its_outcome() {
    for seed in 0..200 {
        let before_or_after = Faults {
            late_per_mille: 0,
            ..OFTEN
        };
        let (store, inner) = faulty(seed, before_or_after);
        let answer = store.commit(txn([], [add("n", 1)])).await;
        let applied = counter(&inner, "n").await == 1;
        match answer.map_err(|error| error.outcome()) {
            Ok(_) | Err(Outcome::Unknown) => assert!(applied, "seed {seed}"),
            Err(Outcome::NotApplied) => assert!(!applied, "seed {seed}"),
        }
    }
}

#[tokio::test]
async fn a_healed_store_serves_again() {
    let always = Faults {
        before_per_mille: 1000,
        ..Faults::OFF
    };
    let (store, inner) = faulty(1, always);
    assert!(store.commit(txn([], [add("n", 1)])).await.is_err());
    assert!(store.sync().await.is_err());
    store.heal();
    assert!(store.commit(txn([], [add("n", 1)])).await.is_ok());
    assert_eq!(rows(&inner, support::everything()).await.len(), 1);
}
