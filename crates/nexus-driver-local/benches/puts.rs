//! Durable puts and warm reads beside what the file system does by itself, in turns.
//!
//! `cargo bench -p nexus-driver-local [-- FOLDER]`; the folder decides which disk is measured.
#![expect(clippy::print_stdout, reason = "a benchmark reports to a person")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nexus_driver_local::{LocalConfig, LocalObjectStore};
use nexus_kernel::{Durability, ObjectKey, ObjectStore, PutOptions};
use nexus_service_api::SystemClock;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SECONDS: u64 = 3;
const ROUNDS: usize = 3;

/// What one measurement came to.
struct Measured {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    // One folder for all, removed at the end: a file system that discards what is removed is busy
    // with that for a while.
    let folder = TempDir::new_in(folder).expect("the folder can be written");
    let folder = folder.path();
    let runtime = Runtime::new().expect("a runtime starts");
    for (bytes, writers) in [(64 << 10, 1), (64 << 10, 16), (4 << 10, 16), (1 << 20, 4)] {
        println!("durable puts of {} KiB, {writers} writers", bytes >> 10);
        let (mut theirs, mut bursts, mut long) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(report("file system", &file_system(folder, bytes, writers)));
            let [burst, sustained] = store_puts(&runtime, folder, bytes, writers);
            bursts.push(report("burst", &burst));
            long.push(report("sustained", &sustained));
        }
        let theirs = median(theirs);
        let (burst, long) = (median(bursts) / theirs, median(long) / theirs);
        println!("  ratio of medians: burst {burst:.2}, sustained {long:.2}\n");
    }
    for bytes in [4 << 10, 64 << 10] {
        println!("warm reads of {} KiB", bytes >> 10);
        store_reads(&runtime, folder, bytes);
    }
    println!("relaxed puts of 512 KiB, 4 writers, 1 GiB in all, then sync");
    bulk(&runtime, folder);
}

fn report(what: &str, measured: &Measured) -> f64 {
    let Measured {
        per_second,
        p50,
        p99,
    } = measured;
    println!("  {what:12} {per_second:9.0}/s   p50 {p50:9.1?}   p99 {p99:9.1?}");
    *per_second
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn measured(mut times: Vec<Duration>, elapsed: Duration) -> Measured {
    times.sort();
    Measured {
        per_second: times.len() as f64 / elapsed.as_secs_f64(),
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
    }
}

/// Create, write, fsync, rename, fsync of the directory: what a careful program does.
fn file_system(folder: &Path, bytes: usize, writers: u64) -> Measured {
    let dir = fresh(folder);
    let content = vec![7; bytes];
    let begin = Instant::now();
    let times = thread::scope(|scope| {
        let writer = |writer| {
            let (dir, content) = (dir.as_path(), &content);
            scope.spawn(move || {
                let numbers = (0..).map(|number| number * writers + writer);
                timed(begin, numbers, |number| careful_write(dir, number, content))
            })
        };
        let all: Vec<_> = (0..writers).map(writer).collect();
        all.into_iter()
            .flat_map(|one| one.join().expect("a writer ends"))
            .collect()
    });
    measured(times, begin.elapsed())
}

fn timed(begin: Instant, numbers: impl Iterator<Item = u64>, work: impl Fn(u64)) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in numbers {
        let start = Instant::now();
        if start - begin > Duration::from_secs(SECONDS) {
            break;
        }
        work(number);
        times.push(start.elapsed());
    }
    times
}

fn careful_write(dir: &Path, number: u64, content: &[u8]) {
    let half = dir.join(format!("{number}.half"));
    let mut file = File::create(&half).expect("a file is made");
    file.write_all(content).expect("it is written");
    file.sync_all().expect("it is flushed");
    fs::rename(half, dir.join(number.to_string())).expect("it is renamed");
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .expect("its name is flushed");
}

fn fresh(folder: &Path) -> PathBuf {
    TempDir::new_in(folder)
        .expect("the folder can be written")
        .keep()
}

fn open(folder: &Path) -> Arc<LocalObjectStore> {
    let store = LocalObjectStore::open(LocalConfig::new(fresh(folder)), Arc::new(SystemClock));
    Arc::new(store.expect("the store opens"))
}

fn key(number: u64) -> ObjectKey {
    let name = format!("b/{:02x}/{number:032x}", number % 256);
    ObjectKey::new(name).expect("the key is legal")
}

async fn put(store: &LocalObjectStore, number: u64, content: Bytes, durability: Durability) {
    let options = PutOptions {
        durability,
        ..PutOptions::default()
    };
    let body = stream::iter([Ok(content)]).boxed();
    store
        .put(&key(number), body, options)
        .await
        .expect("a put succeeds");
}

/// A burst that the journal takes in whole, and then as much as there is time for.
fn store_puts(runtime: &Runtime, folder: &Path, bytes: usize, writers: u64) -> [Measured; 2] {
    const BURST_BYTES: usize = 192 << 20;
    let store = open(folder);
    let next = Arc::new(AtomicU64::new(0));
    let run = |seconds, puts_max| {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(seconds);
        let last = next.load(Ordering::Relaxed) + puts_max;
        let writes = write_until(&store, &next, bytes, writers, end, last);
        let times = runtime.block_on(writes);
        measured(times, begin.elapsed())
    };
    // In a running store the segments have been written before.
    run(1, u64::MAX >> 1);
    runtime
        .block_on(store.checkpoint())
        .expect("a checkpoint succeeds");
    let burst = run(60, (BURST_BYTES / bytes) as u64);
    [burst, run(SECONDS, u64::MAX >> 1)]
}

async fn write_until(
    store: &Arc<LocalObjectStore>,
    next: &Arc<AtomicU64>,
    bytes: usize,
    writers: u64,
    end: Instant,
    last: u64,
) -> Vec<Duration> {
    let content = Bytes::from(vec![7; bytes]);
    let writer = |_| {
        let (store, next, content) = (store.clone(), next.clone(), content.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            loop {
                let start = Instant::now();
                let number = next.fetch_add(1, Ordering::Relaxed);
                if start > end || number >= last {
                    return times;
                }
                put(&store, number, content.clone(), Durability::Sync).await;
                times.push(start.elapsed());
            }
        })
    };
    let all = futures::future::join_all((0..writers).map(writer)).await;
    let times = all.into_iter().flat_map(|one| one.expect("a writer ends"));
    times.collect()
}

fn store_reads(runtime: &Runtime, folder: &Path, bytes: usize) {
    const BLOBS: u64 = 1000;
    let store = open(folder);
    runtime.block_on(async {
        for number in 0..BLOBS {
            put(&store, number, vec![7; bytes].into(), Durability::Relaxed).await;
        }
        report("journal", &read_each(&store, BLOBS).await);
        store.checkpoint().await.expect("a checkpoint succeeds");
        report("file", &read_each(&store, BLOBS).await);
    });
}

async fn read_each(store: &LocalObjectStore, blobs: u64) -> Measured {
    let begin = Instant::now();
    let mut times = Vec::new();
    for number in (0..20 * blobs).map(|number| number % blobs) {
        let start = Instant::now();
        let blob = store.get(&key(number), None).await.expect("it opens");
        let pieces: Vec<Bytes> = blob.body.try_collect().await.expect("it is read");
        std::hint::black_box(pieces);
        times.push(start.elapsed());
    }
    measured(times, begin.elapsed())
}

fn bulk(runtime: &Runtime, folder: &Path) {
    const BLOBS: u64 = 2048;
    let store = open(folder);
    let content = Bytes::from(vec![7; 512 << 10]);
    let begin = Instant::now();
    runtime.block_on(async {
        let puts = (0..BLOBS).map(|number| {
            let (store, content) = (store.clone(), content.clone());
            async move { put(&store, number, content, Durability::Relaxed).await }
        });
        stream::iter(puts)
            .buffer_unordered(4)
            .collect::<Vec<()>>()
            .await;
        store.sync().await.expect("a sync succeeds");
    });
    let mebibytes = (BLOBS / 2) as f64;
    println!("  {:.0} MiB/s", mebibytes / begin.elapsed().as_secs_f64());
    println!("  {:?}", store.stats());
}
