//! What happens while an undo or a restore looks at history.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{
    At, BatchStep, NewSnapshot, RestoreOptions, RetentionLimits, Stores, UndoOptions, UndoWhat,
    VALUE_BYTES_MAX, WriteOptions,
};
use nexus_kernel::{
    Commit, Durability, FlushBarrier, Freshness, KeyRange, Kind, Limits, Metastore,
    MetastoreSnapshot, Op, Page, RestoreStep, Restoring, Result, Revision, Scan, Timestamp, Txn,
    Value,
};
use nexus_service_api::{Clock, SystemClock};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::common::{World, everything, operation, refused, remove, rename};
use crate::support::{memory_stores, put, text};

/// What is asked of a store.
enum Call<'c> {
    Scan(&'c Scan),
    Commit(&'c Txn),
}

impl Call<'_> {
    fn scans(&self, prefix: &[u8]) -> bool {
        matches!(self, Self::Scan(scan) if scan.range.start.starts_with(prefix))
    }
}

/// Whether it clears something of a deleted tree away, for the first time.
fn begins_clearing(call: &Call<'_>) -> bool {
    let begun = |op: &Op| matches!(op, Op::Put(key, value) if key[0] == b'q' && value == "begun");
    matches!(call, Call::Commit(txn) if txn.ops.iter().any(begun))
}

/// A call that is kept back: before it reaches the store, or with its answer.
struct Stop {
    is_it: Box<dyn Fn(&Call<'_>) -> bool + Send + Sync>,
    with_answer: bool,
    reached: Semaphore,
    released: Semaphore,
    over: Semaphore,
}

impl Stop {
    async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    fn release(&self) {
        self.released.add_permits(1);
    }

    async fn over(&self) {
        self.over.acquire().await.unwrap().forget();
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.released.acquire().await.unwrap().forget();
    }
}

#[derive(Default)]
struct Stopping {
    inner: MemoryMetastore,
    /// The most bytes that a read has answered.
    largest: AtomicUsize,
    stops: Mutex<Vec<Arc<Stop>>>,
}

impl Stopping {
    fn count(&self, bytes: usize) {
        self.largest.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Stops the next call of this kind.
    fn stop(
        &self,
        with_answer: bool,
        is_it: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static,
    ) -> Arc<Stop> {
        let stop = Arc::new(Stop {
            is_it: Box::new(is_it),
            with_answer,
            reached: Semaphore::new(0),
            released: Semaphore::new(0),
            over: Semaphore::new(0),
        });
        self.stops.lock().push(stop.clone());
        stop
    }

    async fn call<T>(&self, call: Call<'_>, answer: impl Future<Output = T>) -> T {
        let stop = {
            let mut stops = self.stops.lock();
            let at = stops.iter().position(|stop| (stop.is_it)(&call));
            at.map(|at| stops.remove(at))
        };
        let Some(stop) = stop else {
            return answer.await;
        };
        if !stop.with_answer {
            stop.pass().await;
        }
        let answer = answer.await;
        if stop.with_answer {
            stop.pass().await;
        }
        stop.over.add_permits(1);
        answer
    }
}

#[async_trait]
impl Metastore for Stopping {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Value>> {
        self.inner.get(key, freshness).await
    }

    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>> {
        let answer = self.inner.get_many(keys, freshness).await?;
        self.count(answer.iter().flatten().map(|value| value.bytes.len()).sum());
        Ok(answer)
    }

    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page> {
        let answer = self.inner.scan(scan.clone(), freshness);
        let page = self.call(Call::Scan(&scan), answer).await?;
        let bytes = page.entries.iter().map(|entry| entry.value.bytes.len());
        self.count(bytes.sum());
        Ok(page)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit> {
        let answer = self.inner.commit(txn.clone());
        self.call(Call::Commit(&txn), answer).await
    }

    async fn changed(&self, after: Revision) -> Result<Revision> {
        self.inner.changed(after).await
    }

    async fn sync(&self) -> Result<Revision> {
        self.inner.sync().await
    }

    fn set_barrier(&self, barrier: Arc<dyn FlushBarrier>) {
        self.inner.set_barrier(barrier);
    }

    async fn snapshot(&self) -> Result<Arc<dyn MetastoreSnapshot>> {
        self.inner.snapshot().await
    }

    async fn restore(&self, step: RestoreStep) -> Result<()> {
        self.inner.restore(step).await
    }

    async fn restoring(&self) -> Result<Option<Restoring>> {
        self.inner.restoring().await
    }
}

async fn stopping() -> (Arc<Stopping>, World) {
    let store = Arc::new(Stopping::default());
    let stores = Stores {
        metastore: store.clone(),
        ..memory_stores()
    };
    (store, World::on(stores).await)
}

/// History that is collected while an undo reads it is not taken for a file that never was.
#[tokio::test]
async fn an_undo_is_refused_when_what_it_reads_is_collected_meanwhile() {
    let (store, world) = stopping().await;
    put(&world.others, "/f", "1").await;
    let by = rename(&world.ours, "/f", "/g").await;
    let limits = RetentionLimits {
        max_age: Some(Duration::from_secs(3600)),
        max_versions: None,
    };
    world.others.set_retention("/**", limits).await.unwrap();
    let reads = store.stop(false, |call| call.scans(b"e"));
    let files = world.ours.clone();
    let undo = tokio::spawn(async move { files.undo(operation(by)).await });
    reads.reached().await;
    let later = Timestamp(SystemClock.now().0 + 7_200_000_000_000);
    world.others.compact(later, false).await.unwrap();
    reads.release();
    let error = refused(undo.await.unwrap(), Kind::NotFound);
    assert!(error.fact("oldest_readable").is_some(), "{error}");
    assert_eq!(text(&world.others, "/g").await, "1");
    world.assert_sound().await;
}

/// What says that an operation is undone goes, though the operation went while its undo was being
/// committed.
#[tokio::test]
async fn a_mark_of_what_was_collected_meanwhile_goes() {
    let (store, world) = stopping().await;
    put(&world.others, "/f", "1").await;
    // Holds what the undo goes back to.
    let held = world.others.create_snapshot("/", NewSnapshot::default());
    held.await.unwrap();
    put(&world.ours, "/f", "2").await;
    let by = world.ours.revision().await.unwrap();
    let limits = RetentionLimits {
        max_age: Some(Duration::from_secs(3600)),
        max_versions: None,
    };
    world.others.set_retention("/**", limits).await.unwrap();
    let mark = |op: &Op| matches!(op, Op::Put(key, _) if key[0] == b'u');
    let marks = store.stop(
        false,
        move |call| matches!(call, Call::Commit(txn) if txn.ops.iter().any(mark)),
    );
    let files = world.ours.clone();
    let undo = tokio::spawn(async move { files.undo(operation(by)).await });
    marks.reached().await;
    let later = Timestamp(SystemClock.now().0 + 7_200_000_000_000);
    world.others.compact(later, false).await.unwrap();
    marks.release();
    undo.await.unwrap().unwrap();
    assert_eq!(text(&world.others, "/f").await, "1");
    let left = async || {
        let marks = Scan::forward(KeyRange::prefix("u"), 10);
        let marks = store.inner.scan(marks, Freshness::Linearizable).await;
        marks.unwrap().entries.len()
    };
    assert_eq!(left().await, 1);
    world.others.compact(later, false).await.unwrap();
    assert_eq!(left().await, 0);
    world.assert_sound().await;
}

/// What goes while an undo of its deletion begins comes back all the same.
#[tokio::test]
async fn an_undo_of_a_delete_brings_all_back_while_that_is_cleared_away() {
    let (store, world) = stopping().await;
    for file in ["/d/a", "/d/b", "/d/e/c"] {
        put(&world.others, file, file).await;
    }
    let was = everything(&world.others).await;
    let clears = store.stop(false, begins_clearing);
    let by = remove(&world.ours, "/d").await;
    clears.reached().await;
    let looks = store.stop(true, |call| call.scans(b"q"));
    let files = world.ours.clone();
    let undo = tokio::spawn(async move { files.undo(operation(by)).await });
    looks.reached().await;
    clears.release();
    clears.over().await;
    looks.release();
    undo.await.unwrap().unwrap();
    assert_eq!(everything(&world.others).await, was);
    world.assert_sound().await;
}

/// So does what goes while a restore compares: some of it, or all.
#[tokio::test]
async fn a_restore_brings_all_back_while_that_is_cleared_away() {
    for all in [false, true] {
        let (store, world) = stopping().await;
        for file in ["/w/d/a", "/w/d/b", "/w/d/e/c", "/w/kept"] {
            put(&world.others, file, file).await;
        }
        let was = everything(&world.others).await;
        let point = world.others.revision().await.unwrap();
        let top = world.others.stat("/w/d", At::Latest).await.unwrap().ino.0;
        let clears = store.stop(false, begins_clearing);
        remove(&world.ours, "/w/d").await;
        clears.reached().await;
        let names = [&b"d"[..], &top.to_be_bytes()].concat();
        let seen = AtomicUsize::new(0);
        // As it was, and then as it is.
        let looks = store.stop(true, move |call| {
            call.scans(&names) && seen.fetch_add(1, Ordering::Relaxed) == 1
        });
        let files = world.ours.clone();
        let restore = tokio::spawn(async move {
            let at = At::Revision(point);
            files.restore("/w", at, RestoreOptions::default()).await
        });
        looks.reached().await;
        clears.release();
        clears.over().await;
        if all {
            world.cleared().await;
        }
        looks.release();
        restore.await.unwrap().unwrap();
        assert_eq!(everything(&world.others).await, was, "all: {all}");
        world.assert_sound().await;
    }
}

/// However much operations changed, it is read a few megabytes at a time.
#[tokio::test]
async fn an_undo_reads_a_few_megabytes_at_a_time() {
    const READ_BYTES_MAX: usize = 2 << 20;
    let (store, world) = stopping().await;
    let step = |batch: usize, n: usize| BatchStep::Write {
        path: format!("/{batch}/{n:0>200}"),
        content: Bytes::new(),
        options: WriteOptions {
            parents: true,
            ..WriteOptions::default()
        },
    };
    for batch in 0..16 {
        let steps = (0..1_000).map(|n| step(batch, n)).collect();
        world.ours.batch(steps, Durability::Relaxed).await.unwrap();
    }
    put(&world.ours, "/f", "1").await;
    for n in 0..40 {
        let value = Bytes::from(vec![n; VALUE_BYTES_MAX]);
        let set = vec![("key".to_owned(), Some(value))];
        let set = world.ours.set_metadata("/f", set, Durability::Relaxed);
        set.await.unwrap();
    }
    let of_actor = UndoWhat::OfActor {
        actor: "system:system".to_owned(),
        since: None,
        until: None,
    };
    for what in [of_actor, UndoWhat::OfSession("ours".to_owned())] {
        store.largest.store(0, Ordering::Relaxed);
        let dry_run = UndoOptions {
            dry_run: true,
            path_prefix: Some("/f".to_owned()),
            ..UndoOptions::new(what.clone())
        };
        let told = world.others.undo(dry_run).await.unwrap();
        assert_eq!(told.operations.len(), 41);
        let largest = store.largest.load(Ordering::Relaxed);
        assert!(largest < READ_BYTES_MAX, "{largest} bytes of {what:?}");
    }
}
