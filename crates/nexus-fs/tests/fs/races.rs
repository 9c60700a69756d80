//! What others see while a commit is on its way back, and when its answer is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{
    At, ForkOptions, Ino, MkdirOptions, MoveOptions, NewWorkspace, OpenMode, RemoveOptions,
    Session, SetAttributes, Stores, WriteOptions, Zone,
};
use nexus_kernel::{
    Commit, Durability, Entry, Error, Freshness, Kind, Metastore, Op, Outcome, Result, Txn, Value,
};
use nexus_service_api::Context;
use nexus_testkit::metastore::{Call, Faults, FaultyMetastore, WatchedMetastore, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{memory_stores, open, put, text, text_at, tree};

/// Can keep the next commit of a store back, or the answer to it.
#[derive(Default)]
struct Holds {
    holds_commit: AtomicBool,
    holds: AtomicBool,
    /// How the key begins of which the next read is kept back, once it has been read.
    holds_read: Mutex<Option<&'static str>>,
    applied: Notify,
    released: Notify,
}

#[async_trait]
impl Watcher for Holds {
    async fn before(&self, call: Call<'_>) -> Result<()> {
        if matches!(call, Call::Commit(_)) && self.holds_commit.swap(false, Ordering::Relaxed) {
            self.hold().await;
        }
        Ok(())
    }

    async fn after(&self, call: Call<'_>, _rows: &[Entry]) {
        let holds = match call {
            Call::Commit(_) => self.holds.swap(false, Ordering::Relaxed),
            Call::Get(key) => {
                let is_it = |prefix: &mut &str| key.starts_with(prefix.as_bytes());
                { self.holds_read.lock() }.take_if(is_it).is_some()
            }
            _ => false,
        };
        if holds {
            self.hold().await;
        }
    }
}

type SlowAnswers = WatchedMetastore<Holds>;

async fn slow() -> (Arc<SlowAnswers>, Zone, Session) {
    let inner = Arc::new(MemoryMetastore::new());
    let store = Arc::new(SlowAnswers::new(inner, Holds::default()));
    let stores = Stores {
        metastore: store.clone(),
        ..memory_stores()
    };
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    (store, zone, files)
}

impl Holds {
    async fn hold(&self) {
        self.applied.notify_one();
        self.released.notified().await;
    }

    /// Begins something that commits, and comes back when the commit has applied and its
    /// answer is on the way.
    async fn begin<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.holds.store(true, Ordering::Relaxed);
        let task = tokio::spawn(change);
        self.applied.notified().await;
        task
    }

    /// Begins something that reads a row, and comes back when it has been read.
    async fn begin_read<T: Send + 'static>(
        &self,
        prefix: &'static str,
        change: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        *self.holds_read.lock() = Some(prefix);
        let task = tokio::spawn(change);
        self.applied.notified().await;
        task
    }

    /// Begins something that commits, and comes back before the commit has applied.
    async fn begin_late<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.holds_commit.store(true, Ordering::Relaxed);
        let task = tokio::spawn(change);
        self.applied.notified().await;
        task
    }
}

async fn remove(files: Session, path: &'static str) -> Result<()> {
    let removed = files.remove(path, RemoveOptions::default()).await;
    removed.map(drop)
}

async fn write(files: Session, path: &'static str, content: &'static str) -> Result<()> {
    let content = Bytes::from(content);
    let written = files.write(path, content, WriteOptions::default()).await;
    written.map(drop)
}

/// A read that names a revision sees it, though its writer has not heard of it yet.
#[tokio::test]
async fn a_read_sees_the_revision_it_names() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "1").await;
    assert_eq!(text(&files, "/f").await, "1");
    assert!(!files.exists("/new", At::Latest).await.unwrap());
    let writer = store.begin(write(files.clone(), "/f", "2")).await;
    let revision = files.revision().await.unwrap();
    assert_eq!(text_at(&files, "/f", At::AtLeast(revision)).await, "2");
    store.released.notify_one();
    writer.await.unwrap().unwrap();
    let writer = store.begin(write(files.clone(), "/new", "3")).await;
    assert!(files.exists("/new", At::Latest).await.unwrap());
    store.released.notify_one();
    writer.await.unwrap().unwrap();
    assert_eq!(text(&files, "/new").await, "3");
}

/// A write never lands in a directory that its path no longer leads to.
#[tokio::test]
async fn a_write_never_follows_a_directory_that_has_moved() {
    let (store, _zone, files) = slow().await;
    put(&files, "/a/x", "1").await;
    let mover = files.clone();
    let rename = async move { mover.rename("/a", "/b", MoveOptions::default()).await };
    let rename = store.begin(rename).await;
    // The first finds out that something moved, the second starts out knowing.
    for path in ["/a/y", "/a/z"] {
        let error = write(files.clone(), path, "lost").await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{path}");
    }
    store.released.notify_one();
    rename.await.unwrap().unwrap();
    let paths: Vec<_> = tree(&files, At::Latest).await;
    assert_eq!(
        paths,
        [("/b".into(), None), ("/b/x".into(), Some("1".into()))]
    );
}

/// A deleted tree is cleared away, however late its commit is answered.
#[tokio::test]
async fn a_deleted_tree_is_always_cleared_away() {
    let (store, _zone, files) = slow().await;
    put(&files, "/d/x", "1").await;
    files
        .hard_link("/d/x", "/y", nexus_kernel::Durability::Sync)
        .await
        .unwrap();
    let remover = files.clone();
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    let removal = async move { remover.remove("/d", recursive).await };
    let removal = store.begin(removal).await;
    store.released.notify_one();
    removal.await.unwrap().unwrap();
    while files.stat("/y", At::Latest).await.unwrap().links > 1 {
        tokio::task::yield_now().await;
    }
}

/// A write whose caller went away is seen once it has applied.
#[tokio::test]
async fn a_write_that_nobody_waits_for_is_seen() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "1").await;
    let writer = store.begin(write(files.clone(), "/f", "2")).await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    assert_eq!(text(&files, "/f").await, "2");
    store.released.notify_one();
    assert_eq!(text(&files, "/f").await, "2");
}

/// A close that nobody waits for closes all the same, and what it leaves without a name goes.
#[tokio::test]
async fn a_close_that_nobody_waits_for_closes_all_the_same() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "1").await;
    let ino = files.stat("/f", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    let removed = files.remove("/f", RemoveOptions::default()).await;
    removed.unwrap();
    handle.write(0, Bytes::from("2")).await.unwrap();
    let closing = store.begin(handle.close()).await;
    closing.abort();
    assert!(closing.await.unwrap_err().is_cancelled());
    store.released.notify_one();
    for _ in 0..1000 {
        if files.getattr(ino).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the file is still open");
}

/// What was appended is there once, also when nobody waited for the flush.
#[tokio::test]
async fn what_was_appended_is_there_once_after_a_flush_that_was_given_up() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "1").await;
    let ino = files.stat("/f", At::Latest).await.unwrap().ino;
    let handle = Arc::new(files.open_handle(ino, OpenMode::Append).await.unwrap());
    handle.write(0, Bytes::from("2")).await.unwrap();
    let flushed = Arc::clone(&handle);
    let flush = store.begin(async move { flushed.flush().await }).await;
    flush.abort();
    assert!(flush.await.unwrap_err().is_cancelled());
    store.released.notify_one();
    handle.flush().await.unwrap();
    assert_eq!(text(&files, "/f").await, "12");
}

/// A size that is set while the last handle closes is not lost.
#[tokio::test]
async fn a_size_that_is_set_while_the_file_closes_counts() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "123").await;
    let ino = files.stat("/f", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    handle.write(0, Bytes::from("4")).await.unwrap();
    let closing = store.begin(handle.close()).await;
    let resizer = files.clone();
    let resize = async move {
        let set = SetAttributes {
            size: Some(1),
            ..SetAttributes::default()
        };
        resizer.setattr(ino, set, Durability::Sync).await
    };
    let resized = tokio::spawn(resize);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    store.released.notify_one();
    closing.await.unwrap().unwrap();
    assert_eq!(resized.await.unwrap().unwrap().size, 1);
    assert_eq!(text(&files, "/f").await, "4");
}

/// A file that is being removed is not opened any more.
#[tokio::test]
async fn a_file_that_is_being_removed_is_not_opened() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "1").await;
    let ino = files.stat("/f", At::Latest).await.unwrap().ino;
    let removal = store.begin_late(remove(files.clone(), "/f")).await;
    let opener = files.clone();
    let opened = tokio::spawn(async move { opener.open_handle(ino, OpenMode::Read).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    store.released.notify_one();
    removal.await.unwrap().unwrap();
    let refused = opened.await.unwrap().err();
    assert_eq!(refused.map(|error| error.kind()), Some(Kind::NotFound));
}

/// A file that is closed while it loses its last name goes, too.
#[tokio::test]
async fn a_file_that_closes_while_it_is_removed_goes() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "1").await;
    let ino = files.stat("/f", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::Read).await.unwrap();
    let removal = store.begin_late(remove(files.clone(), "/f")).await;
    handle.close().await.unwrap();
    store.released.notify_one();
    removal.await.unwrap().unwrap();
    for _ in 0..1000 {
        if raw(&store, b'i', ino).await.is_none() {
            assert_eq!(raw(&store, b'o', ino).await, None);
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the inode is left over");
}

/// Who flushes a file that went all the same is told so.
#[tokio::test]
async fn a_flush_of_a_file_that_is_gone_says_so() {
    let (store, _zone, files) = slow().await;
    put(&files, "/f", "1").await;
    let ino = files.stat("/f", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    handle.write(0, Bytes::from("2")).await.unwrap();
    let txn = Txn {
        ops: vec![Op::Delete(row(b'i', ino))],
        ..Txn::default()
    };
    let deleted = store.inner().commit(txn).await.unwrap();
    assert!(matches!(deleted, Commit::Applied(_)));
    assert_eq!(handle.flush().await.unwrap_err().kind(), Kind::NotFound);
}

fn row(tag: u8, ino: Ino) -> Bytes {
    [&[tag][..], &ino.0.to_be_bytes()].concat().into()
}

async fn raw(store: &SlowAnswers, tag: u8, ino: Ino) -> Option<Value> {
    let found = store.get(&row(tag, ino), Freshness::Linearizable).await;
    found.unwrap()
}

fn faulty() -> (Arc<FaultyMetastore>, Stores) {
    let inner = Arc::new(MemoryMetastore::new());
    let store = Arc::new(FaultyMetastore::new(inner, 1, Faults::OFF));
    let stores = Stores {
        metastore: store.clone(),
        ..memory_stores()
    };
    (store, stores)
}

fn unknown(error: &Error) -> bool {
    error.outcome() == Outcome::Unknown
}

/// When the answer to a write is lost, reads show what became of it.
#[tokio::test]
async fn reads_show_what_became_of_a_write_whose_answer_was_lost() {
    let lost = Faults {
        after_per_mille: 1000,
        ..Faults::OFF
    };
    let late = Faults {
        late_per_mille: 1000,
        ..Faults::OFF
    };
    for faults in [lost, late] {
        let (store, stores) = faulty();
        let zone = open(&stores).await;
        let files = zone.session(Context::system());
        put(&files, "/f", "1").await;
        let before = files.revision().await.unwrap();
        store.set_faults(faults);
        let error = write(files.clone(), "/f", "2").await.unwrap_err();
        store.heal();
        assert!(unknown(&error), "{error}");
        while files.revision().await.unwrap() == before {
            assert_eq!(text(&files, "/f").await, "1");
            tokio::task::yield_now().await;
        }
        assert_eq!(text(&files, "/f").await, "2");
        put(&files, "/f", "3").await;
        assert_eq!(text(&files, "/f").await, "3");
        assert_eq!(files.stat("/f", At::Latest).await.unwrap().version, 3);
    }
}

/// Of two who register a directory as a workspace one does.
#[tokio::test]
async fn a_directory_is_registered_once() {
    let (store, _zone, files) = slow().await;
    let made = files.mkdir("/d", MkdirOptions::default());
    made.await.unwrap();
    let late = files.clone();
    let late = async move { late.register_workspace("/d", NewWorkspace::default()).await };
    let late = store.begin_read("wn", late).await;
    let new = NewWorkspace {
        name: Some("early".to_owned()),
        ..NewWorkspace::default()
    };
    files.register_workspace("/d", new).await.unwrap();
    store.released.notify_one();
    let refused = late.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), Kind::AlreadyExists);
    let standing = files.workspace("/d").await.unwrap();
    assert_eq!(standing.name.as_deref(), Some("early"));
    // Nor does one end a registration that it has not seen.
    let late = files.clone();
    let late = async move { late.unregister_workspace("/d").await };
    let late = store.begin_read("wn", late).await;
    files.unregister_workspace("/d").await.unwrap();
    let new = NewWorkspace {
        name: Some("again".to_owned()),
        ..NewWorkspace::default()
    };
    files.register_workspace("/d", new).await.unwrap();
    store.released.notify_one();
    let ended = late.await.unwrap().unwrap();
    assert_eq!(ended.name.as_deref(), Some("again"));
}

/// A directory of a fork into which something comes while it is looked through stays.
#[tokio::test]
async fn a_directory_of_a_fork_is_not_removed_with_what_comes_meanwhile() {
    for came_before in [false, true] {
        let (store, _zone, files) = slow().await;
        put(&files, "/a/d/x", "1").await;
        let made = files.fork("/a", "/b", ForkOptions::default());
        made.await.unwrap();
        if came_before {
            put(&files, "/b/d/y", "1").await;
            remove(files.clone(), "/b/d/y").await.unwrap();
        }
        remove(files.clone(), "/b/d/x").await.unwrap();
        let late = files.clone();
        let late = async move { late.rmdir("/b/d", RemoveOptions::default()).await };
        let late = store.begin_read("wt", late).await;
        put(&files, "/b/d/x", "2").await;
        remove(files.clone(), "/b/d/x").await.unwrap();
        put(&files, "/b/d/y", "2").await;
        store.released.notify_one();
        let refused = late.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), Kind::NotEmpty);
        assert_eq!(text(&files, "/b/d/y").await, "2");
    }
}

/// A file that comes from another fork while one is made is in it, or comes later; whoever is busy
/// with another path hears nothing of it.
#[tokio::test]
async fn a_fork_has_the_files_that_came_while_it_was_made() {
    let (store, zone, files) = slow().await;
    put(&files, "/a/x", "1").await;
    put(&files, "/from/y", "1").await;
    let made = files.fork("/from", "/b", ForkOptions::default());
    made.await.unwrap();
    put(&files, "/b/new", "2").await;
    let late = files.clone();
    let late = async move { late.fork("/a", "/c", ForkOptions::default()).await };
    let late = store.begin_late(late).await;
    let moved = files.rename("/b/new", "/a/new", MoveOptions::default());
    moved.await.unwrap();
    store.released.notify_one();
    late.await.unwrap().unwrap();
    assert_eq!(text(&files, "/c/new").await, "2");

    let retries = zone.stats().retries;
    let late = store.begin_late(write(files.clone(), "/a/x", "2")).await;
    let moved = files.rename("/b/y", "/y", MoveOptions::default());
    moved.await.unwrap();
    store.released.notify_one();
    late.await.unwrap().unwrap();
    assert_eq!(zone.stats().retries, retries);
}
