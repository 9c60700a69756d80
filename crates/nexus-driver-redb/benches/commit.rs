//! Commits and reads, beside what redb alone costs.
//!
//! `cargo bench -p nexus-driver-redb`. A commit writes four small rows, as creating a
//! file does: inode, dentry, the parent's time, a stamped record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::Bencher;
use divan::counter::ItemsCount;
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_kernel::{Durability, Freshness, Guard, KeyRange, Metastore, Op, Scan, Txn};
use redb::{Database, TableDefinition};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Commits of each writer in one round.
const ROUND: usize = 50;

fn main() {
    divan::main();
}

struct Bench {
    runtime: Runtime,
    store: Arc<RedbMetastore>,
    next: Arc<AtomicU64>,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new_in(".").expect("the working folder is writable");
        let config = RedbConfig::new(folder.path().join("metastore.redb"));
        Self {
            runtime: Runtime::new().expect("tokio starts"),
            store: RedbMetastore::open(&config).expect("the store opens"),
            next: Arc::default(),
            _folder: folder,
        }
    }

    fn commit_once(&self, durability: Durability) {
        let txn = create(self.next.fetch_add(1, Ordering::Relaxed), durability);
        let _ = self
            .runtime
            .block_on(self.store.commit(txn))
            .expect("it commits");
    }

    fn commit_round(&self, writers: usize, durability: Durability) {
        let tasks = (0..writers).map(|_| {
            let (store, next) = (self.store.clone(), self.next.clone());
            self.runtime.spawn(async move {
                for _ in 0..ROUND {
                    let txn = create(next.fetch_add(1, Ordering::Relaxed), durability);
                    let _ = store.commit(txn).await.expect("it commits");
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        self.runtime.block_on(async {
            for task in tasks {
                task.await.expect("the writer ends");
            }
        });
    }
}

fn create(n: u64, durability: Durability) -> Txn {
    create_with(n, 200, durability)
}

fn create_with(n: u64, inode_bytes: usize, durability: Durability) -> Txn {
    let name = format!("d/00000001/file-{n:08}");
    Txn {
        id: None,
        guards: vec![Guard::Absent(name.clone().into())],
        ops: vec![
            Op::Put(format!("i/{n:016x}").into(), vec![7; inode_bytes].into()),
            Op::Put(name.into(), vec![7; 12].into()),
            Op::Max("i/parent".into(), n.to_be_bytes().to_vec().into()),
            Op::PutStamped("l/".into(), vec![7; 100].into()),
        ],
        durability,
    }
}

mod one_writer {
    use super::*;

    const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

    #[divan::bench(sample_count = 500)]
    fn redb_alone_one_row(bencher: Bencher<'_, '_>) {
        let folder = TempDir::new_in(".").expect("the working folder is writable");
        let db = Database::create(folder.path().join("redb")).expect("redb opens");
        let next = AtomicU64::new(0);
        bencher.bench(|| {
            let key = next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let txn = db.begin_write().expect("redb begins");
            let mut rows = txn.open_table(ROWS).expect("redb opens a table");
            rows.insert(&key[..], &[7; 200][..]).expect("redb inserts");
            drop(rows);
            txn.commit().expect("redb commits");
        });
    }

    #[divan::bench(sample_count = 500)]
    fn sync(bencher: Bencher<'_, '_>) {
        let bench = Bench::new();
        bencher.bench(|| bench.commit_once(Durability::Sync));
    }

    #[divan::bench(sample_count = 500)]
    fn relaxed(bencher: Bencher<'_, '_>) {
        let bench = Bench::new();
        bencher.bench(|| bench.commit_once(Durability::Relaxed));
    }
}

#[divan::bench(args = [1, 16, 64, 256], sample_count = 30)]
fn sync_writers(bencher: Bencher<'_, '_>, writers: usize) {
    let bench = Bench::new();
    let bencher = bencher.counter(ItemsCount::new(writers * ROUND));
    bencher.bench(|| bench.commit_round(writers, Durability::Sync));
}

#[divan::bench(args = [1, 16, 64], sample_count = 30)]
fn relaxed_writers(bencher: Bencher<'_, '_>, writers: usize) {
    let bench = Bench::new();
    let bencher = bencher.counter(ItemsCount::new(writers * ROUND));
    bencher.bench(|| bench.commit_round(writers, Durability::Relaxed));
}

/// As fast as it goes, so that memtables fill while others are written.
#[divan::bench(sample_count = 10)]
fn relaxed_stream_of_4_kib(bencher: Bencher<'_, '_>) {
    const COMMITS: usize = 10_000;
    let bench = Bench::new();
    bencher.counter(ItemsCount::new(COMMITS)).bench(|| {
        bench.runtime.block_on(async {
            for _ in 0..COMMITS {
                let n = bench.next.fetch_add(1, Ordering::Relaxed);
                let txn = create_with(n, 4096 + 200, Durability::Relaxed);
                let _ = bench.store.commit(txn).await.expect("it commits");
            }
        });
    });
}

#[divan::bench]
fn get_from_the_file(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.commit_round(64, Durability::Sync);
    bencher.bench(|| {
        let value = bench.store.get(b"i/0000000000000042", Freshness::Local);
        bench.runtime.block_on(value).expect("it reads")
    });
}

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.commit_round(64, Durability::Relaxed);
    bencher.bench(|| {
        let value = bench.store.get(b"i/0000000000000042", Freshness::Local);
        bench.runtime.block_on(value).expect("it reads")
    });
}

#[divan::bench]
fn scan_of_1000(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.commit_round(64, Durability::Relaxed);
    bencher.bench(|| {
        let scan = Scan::forward(KeyRange::prefix("d/"), 1000);
        let page = bench.store.scan(scan, Freshness::Local);
        bench.runtime.block_on(page).expect("it reads")
    });
}
