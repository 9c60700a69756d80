//! Files that outgrow memory while they are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use nexus_fs::{
    At, ChunkSizes, Handle, Ino, NewInode, NewKind, OpenMode, Session, Stores, WriteOptions, Zone,
    ZoneConfig,
};
use nexus_kernel::{
    Blob, ByteStream, Durability, ObjectKey, ObjectStore, PutOptions, PutOutcome, Result,
};
use nexus_service_api::Context;
use nexus_testkit::object_store::{Layer, Layered};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::support::{memory_stores, open_with};

/// Everything a thousand times smaller than it is.
fn small() -> ZoneConfig {
    ZoneConfig {
        inline_bytes_max: 200,
        chunks: ChunkSizes {
            whole_bytes_max: 500,
            bytes_min: 64,
            bytes_average: 256,
            bytes_max: 1024,
        },
        draft_bytes_max: 30_000,
        ..ZoneConfig::default()
    }
}

/// Counts the bytes that are put and read, and the flushes that somebody waits for.
struct Counting {
    inner: Arc<dyn ObjectStore>,
    put: AtomicU64,
    read: AtomicU64,
    flushes: AtomicU64,
}

#[async_trait]
impl Layer for Counting {
    fn below(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    async fn put(&self, key: &ObjectKey, body: ByteStream, how: PutOptions) -> Result<PutOutcome> {
        let pieces: Vec<_> = body.collect().await;
        let bytes: usize = pieces.iter().flatten().map(Bytes::len).sum();
        self.put.fetch_add(bytes as u64, Ordering::Relaxed);
        let waits = how.durability == Durability::Sync;
        self.flushes.fetch_add(u64::from(waits), Ordering::Relaxed);
        let body = Box::pin(futures::stream::iter(pieces));
        self.inner.put(key, body, how).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<std::ops::Range<u64>>) -> Result<Blob> {
        let blob = self.inner.get(key, range).await?;
        self.read.fetch_add(blob.meta.size, Ordering::Relaxed);
        Ok(blob)
    }

    async fn sync(&self) -> Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.inner.sync().await
    }
}

async fn counting(config: ZoneConfig) -> (Arc<Layered<Counting>>, Zone, Session) {
    let memory = memory_stores();
    let objects = Arc::new(Layered(Counting {
        inner: memory.objects,
        put: AtomicU64::new(0),
        read: AtomicU64::new(0),
        flushes: AtomicU64::new(0),
    }));
    let stores = Stores {
        metastore: memory.metastore,
        objects: objects.clone(),
    };
    let zone = open_with(&stores, config).await;
    let files = zone.session(Context::system());
    (objects, zone, files)
}

impl Counting {
    /// Bytes that were put and read since the last call.
    fn take(&self) -> (u64, u64) {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        (take(&self.put), take(&self.read))
    }
}

async fn make(files: &Session) -> Ino {
    let new = NewInode {
        kind: NewKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
    };
    let made = files.make_at(Ino::ROOT, "f", new, Durability::Relaxed);
    made.await.unwrap().ino
}

async fn opened(files: &Session, mode: OpenMode) -> (Ino, Handle) {
    let ino = make(files).await;
    (ino, files.open_handle(ino, mode).await.unwrap())
}

fn noise(random: &mut StdRng, size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    random.fill_bytes(&mut bytes);
    bytes.into()
}

async fn stored(files: &Session) -> Bytes {
    files.read("/f", At::Latest).await.unwrap().bytes
}

async fn versions(files: &Session) -> usize {
    files.versions("/f", 1000, None).await.unwrap().len()
}

/// A file that is written from beginning to end is one version, whatever its size, and each of
/// its bytes is stored once and read never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_that_is_written_in_order_is_stored_in_one_pass() {
    for mode in [OpenMode::ReadWrite, OpenMode::Append] {
        let (objects, _zone, files) = counting(small()).await;
        let (ino, handle) = opened(&files, mode).await;
        let content = noise(&mut StdRng::seed_from_u64(1), 500_000);
        for at in (0..content.len()).step_by(1_000) {
            let piece = content.slice(at..at + 1_000);
            handle.write(at as u64, piece).await.unwrap();
            assert_eq!(files.getattr(ino).await.unwrap().size, at as u64 + 1_000);
        }
        assert_eq!(stored(&files).await.len(), 0);
        handle.flush().await.unwrap();
        let (put, read) = objects.take();
        assert!(put < 500_000 + 5_000, "{put} bytes for 500000");
        assert_eq!(read, 0);
        assert!(stored(&files).await == content);
        assert_eq!(versions(&files).await, 2);
        handle.close().await.unwrap();
    }
}

/// What is added to a large file that stays open costs what is added and a chunk or two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adding_to_a_large_file_that_stays_open_costs_what_is_added() {
    let (objects, _zone, files) = counting(small()).await;
    let (_, handle) = opened(&files, OpenMode::Append).await;
    let random = &mut StdRng::seed_from_u64(2);
    let mut content = noise(random, 100_000).to_vec();
    handle.write(0, content.clone().into()).await.unwrap();
    handle.fsync().await.unwrap();
    objects.take();
    for _ in 0..200 {
        let line = noise(random, 100);
        content.extend_from_slice(&line);
        handle.write(0, line).await.unwrap();
        handle.fsync().await.unwrap();
    }
    let (put, read) = objects.take();
    assert!(put < 200 * 1_500, "{put} bytes for 200 lines");
    assert_eq!(read, 0);
    assert!(stored(&files).await == content);
    handle.close().await.unwrap();
    assert_eq!(files.gc(false).await.unwrap().blobs, 0);
    assert!(stored(&files).await == content);
}

/// Who reads a large file from beginning to end has each of its chunks fetched once, whatever
/// the size of the reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_chunk_is_fetched_once_for_who_reads_on() {
    const SIZE: usize = 500_000;
    let config = ZoneConfig {
        content_cache_bytes: 50_000,
        ..small()
    };
    let (objects, _zone, files) = counting(config).await;
    let random = &mut StdRng::seed_from_u64(5);
    let content = noise(random, SIZE);
    let options = WriteOptions::default();
    files.write("/f", content.clone(), options).await.unwrap();
    let ino = files.stat("/f", At::Latest).await.unwrap().ino;
    for step in [100, 1_000, 7_777] {
        let handle = files.open_handle(ino, OpenMode::Read).await.unwrap();
        objects.take();
        for at in (0..SIZE).step_by(step) {
            let read = handle.read(at as u64, step).await.unwrap();
            assert!(read == content[at..SIZE.min(at + step)], "{step} at {at}");
        }
        let (_, read) = objects.take();
        // Not those that are in memory from before; a few that were asked for too late.
        let all = SIZE as u64 / 10 * 11;
        assert!(read < all, "{read} bytes in steps of {step}");
        handle.close().await.unwrap();
    }
}

/// A relaxed write waits for no flush, whatever its size and way; a durable one of something
/// else makes it durable too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relaxed_write_waits_for_no_flush() {
    let (objects, _zone, files) = counting(small()).await;
    let random = &mut StdRng::seed_from_u64(4);
    let flushes = || objects.flushes.swap(0, Ordering::Relaxed);
    let (_, handle) = opened(&files, OpenMode::ReadWrite).await;
    let options = |durability| WriteOptions {
        durability,
        ..WriteOptions::default()
    };
    for size in [400, 5_000] {
        let content = noise(random, size);
        handle.write(0, content.clone()).await.unwrap();
        handle.flush().await.unwrap();
        let written = files.write("/path", content, options(Durability::Relaxed));
        written.await.unwrap();
        let body = Box::pin(futures::stream::iter([Ok(noise(random, size))]));
        let written = files.write_stream("/stream", body, options(Durability::Relaxed));
        written.await.unwrap();
    }
    handle.close().await.unwrap();
    assert_eq!(flushes(), 0);
    let written = files.write("/small", Bytes::from("x"), options(Durability::Sync));
    written.await.unwrap();
    assert_eq!(flushes(), 1);
    let written = files.write("/small", Bytes::from("y"), options(Durability::Sync));
    written.await.unwrap();
    assert_eq!(flushes(), 0);
}

/// What others write meanwhile stays, where a large draft wrote nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_draft_keeps_what_others_wrote_meanwhile() {
    let (_objects, _zone, files) = counting(small()).await;
    let (ino, handle) = opened(&files, OpenMode::ReadWrite).await;
    let random = &mut StdRng::seed_from_u64(3);
    let old = noise(random, 20_000);
    let put = |content: Bytes| files.write("/f", content, WriteOptions::default());
    put(old.clone()).await.unwrap();
    let content = noise(random, 40_000);
    for at in (0..content.len()).step_by(500) {
        let piece = content.slice(at..at + 500);
        handle.write(20_000 + at as u64, piece).await.unwrap();
    }
    let new = noise(random, 30_000);
    put(new.clone()).await.unwrap();
    let expected = [&new[..20_000], &content[..]].concat();
    let appender = files.open_handle(ino, OpenMode::Append).await.unwrap();
    assert!(appender.read(0, 100_000).await.unwrap() == expected);
    handle.flush().await.unwrap();
    assert!(stored(&files).await == expected);
    handle.close().await.unwrap();
    for at in (0..content.len()).step_by(500) {
        let piece = content.slice(at..at + 500);
        appender.write(0, piece).await.unwrap();
    }
    put(Bytes::from("other")).await.unwrap();
    let expected = [b"other", &content[..]].concat();
    assert!(appender.read(0, 100_000).await.unwrap() == expected);
    appender.close().await.unwrap();
    assert!(stored(&files).await == expected);
}

/// A file in the hands of a few programs, beside the array that it stands for.
struct Subject {
    files: Session,
    ino: Ino,
    handles: Vec<Handle>,
    model: Vec<u8>,
    random: StdRng,
    seed: u64,
}

impl Subject {
    async fn new(files: &Session, seed: u64) -> Self {
        Self {
            ino: make(files).await,
            files: files.clone(),
            handles: Vec::new(),
            model: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            seed,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end.max(1))
    }

    async fn handle(&mut self) -> usize {
        if self.handles.len() < 3 && (self.handles.is_empty() || self.below(10) == 0) {
            let opened = self.files.open_handle(self.ino, OpenMode::ReadWrite).await;
            self.handles.push(opened.unwrap());
        }
        self.below(self.handles.len())
    }

    async fn write(&mut self, at: usize) {
        let length = self.below(3_000);
        let bytes = noise(&mut self.random, length);
        let handle = self.handle().await;
        let written = self.handles[handle].write(at as u64, bytes.clone()).await;
        assert_eq!(written.unwrap(), (at + length) as u64);
        if length > 0 {
            self.model.resize(self.model.len().max(at + length), 0);
            self.model[at..at + length].copy_from_slice(&bytes);
        }
    }

    async fn append(&mut self) {
        let length = self.below(3_000);
        let bytes = noise(&mut self.random, length);
        let handle = self.handle().await;
        self.model.extend_from_slice(&bytes);
        let written = self.handles[handle].append(bytes).await.unwrap();
        assert_eq!(written, self.model.len() as u64);
    }

    async fn truncate(&mut self) {
        let size = self.below(self.model.len() + 2_000);
        let handle = self.handle().await;
        self.handles[handle].truncate(size as u64).await.unwrap();
        self.model.resize(size, 0);
    }

    async fn flush(&mut self, durably: bool) {
        let handle = self.handle().await;
        let handle = &self.handles[handle];
        let flushed = match durably {
            true => handle.fsync().await,
            false => handle.flush().await,
        };
        flushed.unwrap();
        assert!(
            stored(&self.files).await == self.model,
            "seed {}",
            self.seed
        );
    }

    /// Somebody else makes a version.
    async fn write_elsewhere(&mut self) {
        self.flush(false).await;
        let bytes = noise(&mut self.random, 700);
        self.model.extend_from_slice(&bytes);
        let appended = self.files.append("/f", bytes, WriteOptions::default());
        appended.await.unwrap();
    }

    async fn close(&mut self) {
        if !self.handles.is_empty() {
            let handle = self.below(self.handles.len());
            self.handles.swap_remove(handle).close().await.unwrap();
        }
    }

    async fn step(&mut self) {
        match self.below(40) {
            0..15 => self.write(self.model.len()).await,
            15..22 => self.append().await,
            22..25 => {
                let at = self.below(self.model.len() + 1_000);
                self.write(at).await;
            }
            25..27 => {
                // Close to the end, as writes do that come out of order.
                let at = self.model.len() - self.below(self.model.len().min(2_000));
                self.write(at).await;
            }
            27 => self.truncate().await,
            28..31 => self.flush(false).await,
            31..33 => self.flush(true).await,
            33 => self.write_elsewhere().await,
            34 => self.close().await,
            35 => _ = self.files.gc(false).await.unwrap(),
            _ => {}
        }
        self.check().await;
    }

    async fn check(&mut self) {
        let handle = self.handle().await;
        let (from, length) = (self.below(self.model.len() + 100), self.below(20_000));
        let read = self.handles[handle].read(from as u64, length).await;
        let clamp = |at: usize| at.min(self.model.len());
        let expected = &self.model[clamp(from)..clamp(from + length)];
        let seed = self.seed;
        assert!(
            read.unwrap() == expected,
            "seed {seed}, from {from}, {length} bytes"
        );
        let size = self.files.getattr(self.ino).await.unwrap().size;
        assert_eq!(size, self.model.len() as u64);
    }
}

/// Whatever is written where, and whoever flushes in between, a file reads like the array it
/// stands for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_reads_like_the_array_it_stands_for() {
    for seed in 0..25 {
        let zone = open_with(&memory_stores(), small()).await;
        let files = zone.session(Context::system());
        let mut subject = Subject::new(&files, seed).await;
        for _ in 0..120 {
            subject.step().await;
        }
        for handle in subject.handles.drain(..) {
            handle.close().await.unwrap();
        }
        assert!(stored(&files).await == subject.model, "seed {seed}");
        files.gc(false).await.unwrap();
        assert!(stored(&files).await == subject.model, "seed {seed}");
    }
}
