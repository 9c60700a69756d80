//! What a mount asks for: files opened, read and written by inode.
//!
//! `cargo bench -p nexus-fs`. In memory it is the filesystem's own cost; in a folder, with that
//! of the stores. Everything is relaxed, as it is in a mount.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use nexus_driver_local::{LocalConfig, LocalObjectStore};
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{Handle, Ino, NewInode, NewKind, OpenMode, Session, Stores, Zone, ZoneConfig};
use nexus_kernel::Durability;
use nexus_service_api::{Context, SystemClock};
use nexus_testkit::authorizer::Open;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;
/// What the kernel asks for at a time.
const REQUEST: usize = MIB;
const LARGE: u64 = 256 << 20;

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Memory,
    Folder,
}

const KINDS: [Kind; 2] = [Kind::Memory, Kind::Folder];

struct Bench {
    runtime: Runtime,
    files: Session,
    next: AtomicU64,
    _zone: Zone,
    _folder: TempDir,
}

impl Bench {
    fn new(kind: Kind) -> Self {
        let folder = TempDir::new_in(".").expect("the working folder is writable");
        let runtime = Runtime::new().expect("tokio starts");
        let zone = runtime.block_on(async {
            let stores = match kind {
                Kind::Memory => in_memory(),
                Kind::Folder => in_folder(&folder),
            };
            Zone::open(stores, Arc::new(Open), ZoneConfig::default()).await
        });
        let zone = zone.expect("the zone opens");
        Self {
            runtime,
            files: zone.session(Context::system()),
            next: AtomicU64::new(0),
            _zone: zone,
            _folder: folder,
        }
    }

    async fn make(&self) -> Ino {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let new = NewInode {
            kind: NewKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        let made = self
            .files
            .make_at(Ino::ROOT, &name, new, Durability::Relaxed);
        made.await.expect("it is made").ino
    }

    async fn open(&self, ino: Ino, mode: OpenMode) -> Handle {
        let opened = self.files.open_handle(ino, mode).await;
        opened.expect("it opens")
    }

    /// As a program does that creates a file: the kernel flushes at the close of the
    /// descriptor and releases after the last.
    async fn create(&self, content: &Bytes) -> Ino {
        let ino = self.make().await;
        let handle = self.open(ino, OpenMode::ReadWrite).await;
        let _ = handle
            .write(0, content.clone())
            .await
            .expect("it is written");
        handle.flush().await.expect("it is flushed");
        handle.release().await.expect("it is released");
        ino
    }

    async fn write_large(&self, content: &Bytes) -> Ino {
        let ino = self.make().await;
        let handle = self.open(ino, OpenMode::ReadWrite).await;
        for at in (0..content.len()).step_by(REQUEST) {
            let piece = content.slice(at..at + REQUEST);
            let _ = handle.write(at as u64, piece).await.expect("it is written");
        }
        handle.flush().await.expect("it is flushed");
        handle.release().await.expect("it is released");
        ino
    }
}

fn in_memory() -> Stores {
    Stores {
        metastore: Arc::new(MemoryMetastore::new()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    }
}

fn in_folder(folder: &TempDir) -> Stores {
    let config = RedbConfig::new(folder.path().join("metastore.redb"));
    let objects = LocalConfig::new(folder.path().join("objects"));
    let objects = LocalObjectStore::open(objects, Arc::new(SystemClock));
    Stores {
        metastore: RedbMetastore::open(&config).expect("the store opens"),
        objects: Arc::new(objects.expect("the store opens")),
    }
}

/// Bytes without a pattern, others for each seed.
fn noise(seed: u8, size: u64) -> Bytes {
    let mut bytes = vec![0; usize::try_from(size).expect("it fits in memory")];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes.into()
}

#[divan::bench(args = KINDS)]
fn create_write_4_kib_and_close(bencher: Bencher<'_, '_>, kind: Kind) {
    let bench = Bench::new(kind);
    let content = noise(0, 4096);
    bencher.bench_local(|| bench.runtime.block_on(bench.create(&content)));
}

#[divan::bench(args = KINDS)]
fn make(bencher: Bencher<'_, '_>, kind: Kind) {
    let bench = Bench::new(kind);
    bencher.bench_local(|| bench.runtime.block_on(bench.make()));
}

#[divan::bench(args = KINDS)]
fn open_read_4_kib_and_close(bencher: Bencher<'_, '_>, kind: Kind) {
    let bench = Bench::new(kind);
    let ino = bench.runtime.block_on(bench.create(&noise(0, 4096)));
    bencher.bench_local(|| {
        bench.runtime.block_on(async {
            let handle = bench.open(ino, OpenMode::Read).await;
            let read = handle.read(0, 4096).await.expect("it is read");
            handle.release().await.expect("it is released");
            read
        })
    });
}

#[divan::bench(args = KINDS)]
fn look_a_file_up(bencher: Bencher<'_, '_>, kind: Kind) {
    let bench = Bench::new(kind);
    let _ = bench.runtime.block_on(bench.create(&noise(0, 4096)));
    bencher.bench_local(|| {
        let found = bench.runtime.block_on(bench.files.lookup(Ino::ROOT, "0"));
        found.expect("it is there")
    });
}

#[divan::bench(args = KINDS, sample_count = 3, sample_size = 1)]
fn write_a_large_file(bencher: Bencher<'_, '_>, kind: Kind) {
    let bench = Bench::new(kind);
    let mut seed = 0;
    bencher
        .counter(BytesCount::new(LARGE))
        .with_inputs(|| {
            // What is stored already would cost nothing.
            seed += 1;
            noise(seed, LARGE)
        })
        .bench_local_refs(|content| bench.runtime.block_on(bench.write_large(content)));
}

#[divan::bench(args = KINDS, sample_count = 5, sample_size = 1)]
fn read_a_large_file(bencher: Bencher<'_, '_>, kind: Kind) {
    let bench = Bench::new(kind);
    let ino = bench.runtime.block_on(bench.write_large(&noise(0, LARGE)));
    bencher.counter(BytesCount::new(LARGE)).bench_local(|| {
        bench.runtime.block_on(async {
            let handle = bench.open(ino, OpenMode::Read).await;
            for at in (0..LARGE).step_by(REQUEST) {
                let read = handle.read(at, REQUEST).await.expect("it is read");
                assert_eq!(read.len(), REQUEST);
            }
            handle.release().await.expect("it is released");
        });
    });
}
