//! Many callers at once.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::future::{Either, ready, select};
use nexus_kernel::{Commit, Freshness, Revision, Scan};
use tokio::task::JoinSet;

use crate::metastore::support::*;

const WRITERS: usize = 16;
const EACH: usize = 25;

pub async fn concurrent_additions_all_count(store: Store) {
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..EACH {
                write(&store, [add("n", 1)]).await;
            }
        });
    }
    writers.join_all().await;
    assert_eq!(counter(&store, "n").await, (WRITERS * EACH) as i64);
}

pub async fn one_of_many_creators_wins(store: Store) {
    for round in 0..EACH {
        let mut creators = JoinSet::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            let key = format!("k/{round}");
            let create = txn([absent(key.clone())], [put(key, writer.to_string())]);
            creators.spawn(async move { (writer, store.commit(create).await.unwrap()) });
        }
        let answers = creators.join_all().await;
        let winner = |(_, commit): &&(usize, Commit)| matches!(commit, Commit::Applied(_));
        let winners: Vec<_> = answers.iter().filter(winner).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let stored = bytes(&store, format!("k/{round}")).await.unwrap();
        assert_eq!(stored, winners[0].0.to_string());
    }
}

pub async fn disjoint_writers_never_conflict(store: Store) {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..EACH {
                let key = format!("k/{n}/{writer}");
                applied(&store, txn([absent(key.clone())], [put(key, "")])).await;
            }
        });
    }
    writers.join_all().await;
    assert_eq!(rows(&store, everything()).await.len(), WRITERS * EACH);
}

pub async fn revisions_of_concurrent_commits_are_distinct_and_dense(store: Store) {
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..EACH {
                taken.push(write(&store, [add("n", 1)]).await);
            }
            assert!(taken.is_sorted(), "a later commit has a later revision");
            taken
        });
    }
    let taken: BTreeSet<_> = writers.join_all().await.into_iter().flatten().collect();
    let all = (1..=(WRITERS * EACH) as u64).map(Revision);
    assert!(taken.into_iter().eq(all));
}

/// Money moves between accounts; no reader ever sees some of it missing.
pub async fn readers_see_whole_transactions(store: Store) {
    const ACCOUNTS: usize = 8;
    const TOTAL: i64 = 800;
    let account = |n: usize| format!("account/{}", n % ACCOUNTS);
    write(
        &store,
        (0..ACCOUNTS)
            .map(|n| add(account(n), 100))
            .collect::<Vec<_>>(),
    )
    .await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..EACH {
                let (from, to) = (account(writer + n), account(writer * n + 1));
                write(&store, [add(from, -7), add(to, 7)]).await;
            }
        });
    }
    while !writers.is_empty() {
        let asked = Scan::forward(everything(), 100);
        let page = store.scan(asked, Freshness::Linearizable).await.unwrap();
        let balance = |entry: &nexus_kernel::Entry| {
            i64::from_be_bytes((*entry.value.bytes).try_into().expect("a counter"))
        };
        assert_eq!(page.entries.iter().map(balance).sum::<i64>(), TOTAL);
        tokio::task::yield_now().await;
        while let Some(done) = writers.try_join_next() {
            done.expect("a writer succeeds");
        }
    }
}

pub async fn a_dropped_commit_applies_whole_or_not_at_all(store: Store) {
    for n in 0..100 {
        let ops = [
            put(format!("a/{n}"), ""),
            put(format!("b/{n}"), ""),
            add("n", 1),
        ];
        let commit = pin!(store.commit(txn([], ops)));
        if let Either::Left((answer, _)) = select(commit, ready(())).await {
            let _ = answer.expect("a commit that is answered succeeds");
        }
    }
    // Everything that was queued is behind us once a later commit is.
    write(&store, [put("last", "")]).await;
    let halves = |half: &str| half.replace('b', "a");
    let a = keys(&rows(&store, range("a/", "a0")).await);
    let b = keys(&rows(&store, range("b/", "b0")).await);
    assert_eq!(a, b.iter().map(|key| halves(key)).collect::<Vec<_>>());
    assert_eq!(counter(&store, "n").await, a.len() as i64);
}
