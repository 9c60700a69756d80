//! Random changes and reads beside the reference store, through the public interface: with
//! the committer's thread, so that memtables are sealed and written at any moment.

use std::time::Duration;

use bytes::Bytes;
use nexus_driver_memory::MemoryMetastore;
use nexus_kernel::{Durability, Freshness, KeyRange, Metastore, Op, Scan, ScanDirection, Txn};
use nexus_testkit::metastore::support::{absent, present, range};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::{folder, in_folder};
use crate::{RedbConfig, RedbMetastore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_answers_what_the_reference_does() {
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let model = MemoryMetastore::new();
        let folder = folder();
        for _ in 0..4 {
            let config = config(&folder, &mut random);
            let store = RedbMetastore::open(&config).unwrap();
            for step in 0..200 {
                let step = format!("seed {seed}, step {step}");
                change_both(&store, &model, &mut random, &step).await;
                read_both(&store, &model, &mut random, &step).await;
            }
        }
    }
}

fn config(folder: &TempDir, random: &mut StdRng) -> RedbConfig {
    let millis = *[0, 1, 1000].choose(random).unwrap();
    RedbConfig {
        memtable_bytes_max: *[0, 300, 3000, 8 << 20].choose(random).unwrap(),
        relaxed_commits_max: *[1, 10, 1000].choose(random).unwrap(),
        relaxed_delay_max: Duration::from_millis(millis),
        ..in_folder(folder)
    }
}

async fn change_both(
    store: &RedbMetastore,
    model: &MemoryMetastore,
    random: &mut StdRng,
    step: &str,
) {
    if random.random_ratio(1, 20) {
        let synced = (store.sync().await.unwrap(), model.sync().await.unwrap());
        assert_eq!(synced.0, synced.1, "{step}");
        return;
    }
    let txn = random_txn(random);
    let have = store.commit(txn.clone()).await.map_err(|e| e.kind());
    let want = model.commit(txn.clone()).await.map_err(|e| e.kind());
    assert_eq!(have, want, "{step}: {txn:?}");
}

async fn read_both(
    store: &RedbMetastore,
    model: &MemoryMetastore,
    random: &mut StdRng,
    step: &str,
) {
    let keys: Vec<_> = (0..3).map(|_| random_key(random)).collect();
    let have = store.get_many(&keys, Freshness::Linearizable).await;
    let want = model.get_many(&keys, Freshness::Linearizable).await;
    assert_eq!(have.unwrap(), want.unwrap(), "{step}: {keys:?}");

    let scan = Scan {
        range: random_range(random),
        limit: random.random_range(1..30),
        bytes_max: random.random_range(1..1_000),
        direction: *[ScanDirection::Forward, ScanDirection::Backward]
            .choose(random)
            .unwrap(),
    };
    let have = store.scan(scan.clone(), Freshness::Local).await.unwrap();
    let want = model.scan(scan.clone(), Freshness::Local).await.unwrap();
    assert_eq!(have, want, "{step}: {scan:?}");
}

fn random_txn(random: &mut StdRng) -> Txn {
    let guards = match random.random_range(0..8) {
        0 => vec![absent(random_key(random))],
        1 => vec![present(random_key(random))],
        2 => vec![nexus_kernel::Guard::RangeEmpty(random_range(random))],
        _ => Vec::new(),
    };
    let ops = (0..random.random_range(1..6)).map(|_| random_op(random));
    let ops = ops.collect();
    let is_sync = random.random_ratio(1, 10);
    Txn {
        guards,
        ops,
        durability: [Durability::Relaxed, Durability::Sync][usize::from(is_sync)],
        ..Txn::default()
    }
}

fn random_op(random: &mut StdRng) -> Op {
    let key = random_key(random);
    match random.random_range(0..12) {
        0..=4 => Op::Put(key, random_value(random)),
        5 | 6 => Op::Delete(key),
        7 => Op::DeleteRange(random_range(random)),
        8 => Op::Add("n".into(), 1),
        9 => Op::Add(key, i64::MAX / 2),
        10 => Op::Max(key, random_value(random)),
        _ => Op::PutStamped("k/".into(), random_value(random)),
    }
}

fn random_key(random: &mut StdRng) -> Bytes {
    format!("k/{:03}", random.random_range(0..60)).into()
}

fn random_range(random: &mut StdRng) -> KeyRange {
    let start = random.random_range(0..60);
    let end = start + *[0, 1, 3, 60].choose(random).unwrap();
    range(format!("k/{start:03}"), format!("k/{end:03}~"))
}

fn random_value(random: &mut StdRng) -> Bytes {
    let length = *[0, 8, 8, 50, 500].choose(random).unwrap();
    vec![random.random(); length].into()
}
