//! What becomes durable waits for the barrier, whatever makes it durable.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use nexus_kernel::{Commit, Durability, FlushBarrier, Kind, Metastore, Result, Revision, Txn};
use nexus_testkit::metastore::TestBarrier;
use nexus_testkit::metastore::support::{Store, add, applied, counter, put, txn, write};
use nexus_testkit::power_loss::SimulatedDisk;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, oneshot};

use super::power_loss::Running;
use crate::{RedbConfig, RedbMetastore};

/// The power goes at any moment, and no commit is there whose content is not. The barrier
/// fails now and then.
#[test]
fn nothing_becomes_durable_before_its_barrier() {
    let survived = (0..300).map(live_until_the_power_goes).sum::<u64>();
    assert!(survived > 1000, "only {survived} commits survived");
}

/// Returns how many commits survived.
fn live_until_the_power_goes(seed: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let config = RedbConfig {
        memtable_bytes_max: [300, 3000, 1 << 20][random.random_range(0..3)],
        relaxed_commits_max: 20,
        ..lazy()
    };
    let disk = SimulatedDisk::new(seed);
    let mut running = Running::open(&disk, &config).unwrap();
    let barrier = running.set_barrier();
    disk.lose_power_after(random.random_range(0..200));
    let mut contents = Vec::new();
    for _ in 0..60 {
        barrier.fail(random.random_ratio(1, 8));
        contents.extend(commit_a_few(&mut running, &barrier, &mut random));
        match random.random_range(0..3) {
            0 => running.begin_flush(),
            1 => running.end_flush(),
            _ => {}
        }
    }
    drop(running);
    let found = Running::open(&disk.restart(), &config).unwrap().survived;
    for (revision, content) in contents {
        let is_there = content <= barrier.durable();
        assert!(is_there || revision > found, "seed {seed}: {revision}");
    }
    found.0
}

/// Returns revisions, and the content that each refers to.
fn commit_a_few(
    running: &mut Running,
    barrier: &TestBarrier,
    random: &mut StdRng,
) -> Vec<(Revision, u64)> {
    let mut waiting = Vec::new();
    for _ in 0..random.random_range(1..5) {
        let durability = [Durability::Relaxed, Durability::Sync];
        let bump = Txn {
            durability: durability[usize::from(random.random_ratio(1, 8))],
            ..relaxed()
        };
        waiting.push((barrier.put(), running.push(&bump)));
    }
    running.serve();
    let answer = |(content, mut answer): (u64, oneshot::Receiver<_>)| match answer.try_recv() {
        Ok(Ok(Commit::Applied(revision))) => Some((revision, content)),
        _ => None,
    };
    waiting.into_iter().filter_map(answer).collect()
}

#[tokio::test]
async fn what_waits_for_a_failing_barrier_is_tried_again() {
    let disk = SimulatedDisk::new(1);
    let config = RedbConfig {
        relaxed_delay_max: Duration::from_millis(1),
        ..RedbConfig::new("")
    };
    let store = RedbMetastore::with_backend(&config, disk.clone()).unwrap();
    let shared: Store = store.clone();
    write(&shared, [add("n", 1)]).await;
    applied(&shared, relaxed()).await;
    let barrier = TestBarrier::set_on(&*store);
    barrier.put();
    barrier.fail(true);
    applied(&shared, relaxed()).await;
    until(|| barrier.failures() >= 3).await;
    applied(&shared, relaxed()).await;
    let syncing = tokio::time::timeout(Duration::from_secs(60), store.sync());
    let refused = syncing.await.expect("an answer").unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    let committed = counter(&shared, "n").await;
    barrier.fail(false);
    until(|| barrier.is_clean()).await;
    store.close().await.unwrap();
    let store: Store = RedbMetastore::with_backend(&config, disk.restart()).unwrap();
    assert_eq!(counter(&store, "n").await, committed);
}

#[tokio::test]
async fn a_close_behind_a_failing_barrier_says_that_not_everything_is_durable() {
    let store = RedbMetastore::with_backend(&lazy(), SimulatedDisk::new(1)).unwrap();
    for _ in 0..2 {
        applied(&(store.clone() as Store), relaxed()).await;
    }
    let barrier = TestBarrier::set_on(&*store);
    barrier.put();
    barrier.fail(true);
    assert_eq!(store.close().await.unwrap_err().kind(), Kind::Unavailable);
}

/// Notes which threads wait for it.
#[derive(Default)]
struct Threads(Mutex<BTreeSet<String>>);

#[async_trait]
impl FlushBarrier for Threads {
    fn is_clean(&self) -> bool {
        false
    }

    async fn flush(&self) -> Result<()> {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.0.lock().insert(name);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_worker_of_a_runtime_waits_for_the_barrier() {
    let store = RedbMetastore::with_backend(&lazy(), SimulatedDisk::new(1)).unwrap();
    let threads = Arc::<Threads>::default();
    store.set_barrier(threads.clone());
    let writer = tokio::spawn(async move {
        let store: Store = store;
        for _ in 0..20 {
            write(&store, [add("n", 1)]).await;
            applied(&store, relaxed()).await;
        }
    });
    writer.await.unwrap();
    let seen: Vec<_> = threads.0.lock().iter().cloned().collect();
    assert_eq!(seen, ["redb-committer"]);
}

/// Lets nothing pass until it is released.
#[derive(Default)]
pub(super) struct Stuck {
    pub(super) holds: AtomicBool,
    pub(super) reached: Notify,
    pub(super) released: Notify,
}

#[async_trait]
impl FlushBarrier for Stuck {
    fn is_clean(&self) -> bool {
        !self.holds.load(Relaxed)
    }

    async fn flush(&self) -> Result<()> {
        self.reached.notify_one();
        self.released.notified().await;
        self.holds.store(false, Relaxed);
        Ok(())
    }
}

#[tokio::test]
async fn relaxed_commits_go_on_beside_a_flush_until_they_fill_the_memory() {
    let config = RedbConfig {
        relaxed_delay_max: Duration::from_millis(1),
        memtable_bytes_max: 10_000,
        ..RedbConfig::new("")
    };
    let store = RedbMetastore::with_backend(&config, SimulatedDisk::new(1)).unwrap();
    let shared: Store = store.clone();
    applied(&shared, relaxed()).await;
    let barrier = Arc::<Stuck>::default();
    barrier.holds.store(true, Relaxed);
    store.set_barrier(barrier.clone());
    applied(&shared, relaxed()).await;
    barrier.reached.notified().await;

    let commit = |n: i64| {
        let put = Txn {
            ops: vec![put(n.to_string(), vec![0; 100]), add("n", 1)],
            ..relaxed()
        };
        store.commit(put)
    };
    let mut done = 0;
    let waits = loop {
        let mut next = commit(done);
        if futures::poll!(&mut next).is_pending() {
            break next;
        }
        done += 1;
    };
    assert!((10..100).contains(&done), "{done} beside the flush");
    assert_eq!(counter(&shared, "n").await, done + 2);
    barrier.released.notify_one();
    assert!(matches!(waits.await, Ok(Commit::Applied(_))));
    assert_eq!(counter(&shared, "n").await, done + 3);
}

async fn until(reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    in_time.expect("it is reached in time");
}

fn lazy() -> RedbConfig {
    RedbConfig {
        relaxed_delay_max: Duration::from_secs(3600),
        ..RedbConfig::new("")
    }
}

fn relaxed() -> Txn {
    Txn {
        durability: Durability::Relaxed,
        ..txn([], [add("n", 1)])
    }
}
