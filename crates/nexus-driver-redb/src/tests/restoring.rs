//! Restores and snapshots of a file: across closing, and across the loss of power.

use bytes::Bytes;
use nexus_kernel::{Entry, Freshness, Kind, Metastore, RestoreStep, Result, Revision, Scan, Value};
use nexus_testkit::metastore::support::{
    Store, add, applied, everything, put, range, revision, rows, txn, write,
};
use nexus_testkit::power_loss::SimulatedDisk;

use super::{folder, in_folder};
use crate::{RedbConfig, RedbMetastore};

const END: Revision = Revision(1000);
const BATCHES: u64 = 6;

fn open(config: &RedbConfig) -> Store {
    RedbMetastore::open(config).unwrap()
}

fn batch(n: u64) -> Vec<Entry> {
    let row = |i: u64| Entry {
        key: format!("k/{n}/{i:02}").into(),
        value: Value {
            bytes: vec![u8::try_from(i).unwrap(); 300].into(),
            revision: Revision(1 + i),
        },
    };
    (0..20).map(row).collect()
}

fn rows_of(n: u64) -> RestoreStep {
    RestoreStep::Rows {
        rows: batch(n),
        note: note(n + 1),
    }
}

/// How many batches are stored.
fn note(stored: u64) -> Bytes {
    Bytes::copy_from_slice(&stored.to_be_bytes())
}

fn begin() -> RestoreStep {
    RestoreStep::Begin {
        revision: END,
        note: note(0),
    }
}

#[tokio::test]
async fn a_restore_goes_on_after_reopening() {
    let folder = folder();
    let config = in_folder(&folder);
    open(&config).restore(begin()).await.unwrap();
    open(&config).restore(rows_of(0)).await.unwrap();
    let store = open(&config);
    let begun = store.restoring().await.unwrap().unwrap();
    assert_eq!((begun.revision, &begun.note), (END, &note(1)));
    assert_eq!(begun.last_key.unwrap(), "k/0/19");
    let read = store.get(b"k/0/00", Freshness::Local).await;
    assert_eq!(read.unwrap_err().kind(), Kind::Conflict);
    store.restore(RestoreStep::Finish).await.unwrap();
    drop(store);
    let store = open(&config);
    assert_eq!(store.restoring().await.unwrap(), None);
    assert_eq!(rows(&store, everything()).await, batch(0));
    assert_eq!(revision(&store).await, END);
    assert_eq!(write(&store, [put("a", "")]).await, END.next());
}

#[tokio::test]
async fn an_abandoned_restore_is_gone_after_reopening() {
    let folder = folder();
    let config = in_folder(&folder);
    let store = open(&config);
    for step in [begin(), rows_of(0), RestoreStep::Abandon] {
        store.restore(step).await.unwrap();
    }
    drop(store);
    let store = open(&config);
    assert_eq!(store.restoring().await.unwrap(), None);
    assert!(rows(&store, everything()).await.is_empty());
    assert_eq!(write(&store, [put("a", "")]).await, Revision(1));
}

#[tokio::test]
async fn a_snapshot_ends_with_its_store() {
    let folder = folder();
    let config = in_folder(&folder);
    let store = RedbMetastore::open(&config).unwrap();
    write(&(store.clone() as Store), [put("a", "1")]).await;
    let snapshot = store.snapshot().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    // The file is free though the snapshot is still held.
    let again = open(&config);
    let late = snapshot.scan(Scan::forward(everything(), 1)).await;
    assert_eq!(late.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(rows(&again, everything()).await.len(), 1);
}

/// Writers do not wait for what a snapshot holds: many flushes pass over it.
#[tokio::test]
async fn a_snapshot_is_the_same_after_many_flushes() {
    let folder = folder();
    let store = open(&in_folder(&folder));
    for n in 0..100 {
        write(&store, [put(format!("k/{n:03}"), vec![1; 500])]).await;
    }
    let before = rows(&store, everything()).await;
    let snapshot = store.snapshot().await.unwrap();
    for round in 0..20 {
        let ops = (0..100).map(|n| put(format!("k/{n:03}"), vec![round; 500]));
        write(&store, ops.collect::<Vec<_>>()).await;
    }
    let bump = txn([], [add("n", 1)]);
    applied(&store, bump).await;
    let page = snapshot.scan(Scan::forward(range("", "z"), 1000)).await;
    assert_eq!(page.unwrap().entries, before);
}

#[tokio::test]
async fn a_restore_goes_on_after_power_losses_wherever_they_strike() {
    for seed in 0..60 {
        let mut disk = SimulatedDisk::new(seed);
        drop(RedbMetastore::with_backend(&on_disk(), disk.clone()).unwrap());
        let mut promised = None;
        let mut losses = 0;
        loop {
            disk.lose_power_after(seed % 11 + losses * 3);
            if restore_on(&disk, &mut promised).await.is_ok() {
                break;
            }
            disk = disk.restart();
            losses += 1;
        }
        assert!(losses > 0, "seed {seed}: the power never went");
        disk.lose_power();
        let store: Store = RedbMetastore::with_backend(&on_disk(), disk.restart()).unwrap();
        let all: Vec<_> = (0..BATCHES).flat_map(batch).collect();
        assert_eq!(rows(&store, everything()).await, all, "seed {seed}");
        assert_eq!(revision(&store).await, END, "seed {seed}");
    }
}

fn on_disk() -> RedbConfig {
    RedbConfig::new("")
}

/// Restores from where it stopped until it is done or the power goes. `promised` is how many
/// batches were acknowledged, if the beginning was.
async fn restore_on(disk: &SimulatedDisk, promised: &mut Option<u64>) -> Result<()> {
    let store = RedbMetastore::with_backend(&on_disk(), disk.clone())?;
    let Some(begun) = store.restoring().await? else {
        if *promised == Some(BATCHES) {
            // Its end was durable, and only the answer was lost.
            assert_eq!(revision(&(store as Store)).await, END);
            return Ok(());
        }
        assert_eq!(*promised, None, "an acknowledged step is gone");
        store.restore(begin()).await?;
        *promised = Some(0);
        return go_on(&store, 0, promised).await;
    };
    let stored = u64::from_be_bytes((*begun.note).try_into().unwrap());
    let at_least = promised.unwrap_or(0);
    assert!(stored == at_least || stored == at_least + 1);
    go_on(&store, stored, promised).await
}

async fn go_on(store: &RedbMetastore, stored: u64, promised: &mut Option<u64>) -> Result<()> {
    *promised = Some(stored);
    for n in stored..BATCHES {
        store.restore(rows_of(n)).await?;
        *promised = Some(n + 1);
    }
    store.restore(RestoreStep::Finish).await
}
