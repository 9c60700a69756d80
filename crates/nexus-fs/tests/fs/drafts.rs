//! What is written to open files and waits in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_fs::{At, Handle, Ino, OpenMode, Session, Stores, ZoneConfig};
use nexus_kernel::{ByteStream, ObjectKey, ObjectStore, PutOptions, PutOutcome, Result, Timestamp};
use nexus_service_api::{Clock, Context, Principal, PrincipalKind};
use nexus_testkit::object_store::{Layer, Layered};
use tokio::sync::Semaphore;

use crate::support::{memory_stores, open, open_with, put, text};

/// Stores only as often as it is told to.
struct SlowPuts {
    inner: Arc<dyn ObjectStore>,
    /// One permit for each put that was asked for.
    asked: Semaphore,
    /// One permit for each put that may happen.
    allowed: Semaphore,
}

#[async_trait]
impl Layer for SlowPuts {
    fn below(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    async fn put(&self, key: &ObjectKey, body: ByteStream, how: PutOptions) -> Result<PutOutcome> {
        self.asked.add_permits(1);
        self.allowed.acquire().await.unwrap().forget();
        self.inner.put(key, body, how).await
    }
}

/// Stands until it is set.
#[derive(Default)]
struct HandSetClock(AtomicI64);

impl Clock for HandSetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

async fn opened(files: &Session, path: &str) -> (Ino, Handle) {
    put(files, path, "").await;
    let ino = files.stat(path, At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await;
    (ino, handle.unwrap())
}

/// While a flush stores the content, the file can be read.
#[tokio::test]
async fn a_file_can_be_read_while_it_is_flushed() {
    let memory = memory_stores();
    let objects = Arc::new(Layered(SlowPuts {
        inner: memory.objects,
        asked: Semaphore::new(0),
        allowed: Semaphore::new(0),
    }));
    let stores = Stores {
        metastore: memory.metastore,
        objects: objects.clone(),
    };
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    let (ino, handle) = opened(&files, "/f").await;
    let handle = Arc::new(handle);
    handle
        .write(0, Bytes::from(vec![7; 100_000]))
        .await
        .unwrap();
    let flushed = Arc::clone(&handle);
    let flush = tokio::spawn(async move { flushed.flush().await });
    objects.asked.acquire().await.unwrap().forget();
    tokio::select! {
        biased;
        size = async {
            let read = handle.read(0, 10).await.unwrap();
            assert_eq!(read, vec![7; 10]);
            files.getattr(ino).await.unwrap().size
        } => assert_eq!(size, 100_000),
        () = async { for _ in 0..100 { tokio::task::yield_now().await } } => panic!("readers wait"),
    }
    objects.allowed.add_permits(1);
    flush.await.unwrap().unwrap();
    assert_eq!(files.getattr(ino).await.unwrap().size, 100_000);
}

/// When too much waits in memory, the file with the most is written back early.
#[tokio::test]
async fn the_fullest_file_is_written_back_when_memory_is_short() {
    let config = ZoneConfig {
        draft_bytes_max: 10_000,
        ..ZoneConfig::default()
    };
    let zone = open_with(&memory_stores(), config).await;
    let files = zone.session(Context::system());
    let (_, large) = opened(&files, "/large").await;
    let (_, small) = opened(&files, "/small").await;
    large
        .write(0, Bytes::from("l".repeat(6_000)))
        .await
        .unwrap();
    small
        .write(0, Bytes::from("s".repeat(2_000)))
        .await
        .unwrap();
    assert_eq!(text(&files, "/large").await, "");
    small
        .write(2_000, Bytes::from("s".repeat(2_000)))
        .await
        .unwrap();
    assert_eq!(text(&files, "/large").await.len(), 6_000);
    assert_eq!(text(&files, "/small").await, "");
    // Closed files make room again.
    small.close().await.unwrap();
    large
        .write(6_000, Bytes::from("l".repeat(9_000)))
        .await
        .unwrap();
    assert_eq!(text(&files, "/large").await.len(), 6_000);
    large.close().await.unwrap();
    assert_eq!(text(&files, "/large").await.len(), 15_000);
}

/// What is written to a file that stays open becomes a version by itself when it is old enough.
#[tokio::test(start_paused = true)]
async fn what_is_written_becomes_a_version_when_it_is_old_enough() {
    const SECOND: i64 = 1_000_000_000;
    let clock = Arc::new(HandSetClock::default());
    let config = ZoneConfig {
        clock: clock.clone(),
        draft_age_max: Duration::from_secs(30),
        ..ZoneConfig::default()
    };
    let zone = open_with(&memory_stores(), config).await;
    let files = zone.session(Context::system());
    let (_, handle) = opened(&files, "/f").await;
    let (_, other) = opened(&files, "/other").await;
    // Time enough to look; how old something is the zone's clock says.
    let looked_at = async |second: i64| {
        clock.0.store(second * SECOND, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        [text(&files, "/f").await, text(&files, "/other").await]
    };
    handle.write(0, Bytes::from("old")).await.unwrap();
    assert_eq!(looked_at(20).await, ["", ""]);
    handle.write(3, Bytes::from("er")).await.unwrap();
    other.write(0, Bytes::from("young")).await.unwrap();
    assert_eq!(looked_at(29).await, ["", ""]);
    assert_eq!(looked_at(31).await, ["older", ""]);
    assert_eq!(looked_at(51).await, ["older", "young"]);
    handle.close().await.unwrap();
    assert_eq!(files.versions("/f", 10, None).await.unwrap().len(), 2);
}

/// A version is by whoever wrote it, not by who happened to flush it.
#[tokio::test]
async fn a_version_is_by_whoever_wrote_it() {
    let zone = open(&memory_stores()).await;
    let files = zone.session(Context::system());
    let (ino, handle) = opened(&files, "/f").await;
    let reader = Principal {
        kind: PrincipalKind::User,
        id: "ada".into(),
        ..Principal::system()
    };
    let reader = zone.session(Context::new(Arc::new(reader)));
    let reader = reader.open_handle(ino, OpenMode::Read).await.unwrap();
    handle.write(0, Bytes::from("x")).await.unwrap();
    reader.close().await.unwrap();
    let versions = files.versions("/f", 10, None).await.unwrap();
    let authors: Vec<_> = versions
        .iter()
        .map(|version| version.author.as_str())
        .collect();
    assert_eq!(authors, ["system:system", "system:system"]);
}
