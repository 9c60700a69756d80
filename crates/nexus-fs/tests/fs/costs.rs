//! What operations cost the store, however much there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{
    At, BatchStep, ForkOptions, KEYS_MAX, ListOptions, LogQuery, MoveOptions, RemoveOptions,
    Session, Stores, UndoOptions, UndoWhat, WriteOptions, Zone, ZoneConfig,
};
use nexus_kernel::{Durability, Entry, Kind, Limits};
use nexus_service_api::Context;
use nexus_testkit::metastore::{Call, WatchedMetastore, Watcher};

use crate::support::{memory_stores, open, open_with, put, text};

/// Counts the calls of a store, the rows that its scans answer, the bytes of the largest page, and
/// how often it is asked to flush; the store has limits of its own.
pub(crate) struct Counter {
    limits: Limits,
    called: AtomicUsize,
    scanned: AtomicUsize,
    largest: AtomicUsize,
    synced: AtomicUsize,
}

#[async_trait]
impl Watcher for Counter {
    fn limits(&self, _inner: Limits) -> Limits {
        self.limits
    }

    async fn after(&self, call: Call<'_>, rows: &[Entry]) {
        self.called.fetch_add(1, Ordering::Relaxed);
        if matches!(call, Call::Sync) {
            self.synced.fetch_add(1, Ordering::Relaxed);
        }
        self.scanned.fetch_add(rows.len(), Ordering::Relaxed);
        let bytes = rows.iter().map(Entry::bytes).sum();
        self.largest.fetch_max(bytes, Ordering::Relaxed);
    }
}

pub(crate) type Counting = WatchedMetastore<Counter>;

async fn counting() -> (Arc<Counting>, Zone, Session) {
    limited(Limits::STANDARD).await
}

/// A store with other limits.
pub(crate) fn limited_store(limits: Limits) -> Arc<Counting> {
    let counter = Counter {
        limits,
        scanned: AtomicUsize::new(0),
        called: AtomicUsize::new(0),
        largest: AtomicUsize::new(0),
        synced: AtomicUsize::new(0),
    };
    Arc::new(Counting::new(Arc::new(MemoryMetastore::new()), counter))
}

pub(crate) async fn limited(limits: Limits) -> (Arc<Counting>, Zone, Session) {
    let store = limited_store(limits);
    let stores = Stores {
        metastore: store.clone(),
        ..memory_stores()
    };
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    (store, zone, files)
}

impl Counter {
    /// How often it was asked to flush since the last call.
    pub(crate) fn take_synced(&self) -> usize {
        self.synced.swap(0, Ordering::Relaxed)
    }

    /// Bytes of the largest page since the last call.
    pub(crate) fn take_largest(&self) -> usize {
        self.largest.swap(0, Ordering::Relaxed)
    }

    /// How many rows scans answered since the last call.
    fn take(&self) -> usize {
        self.scanned.swap(0, Ordering::Relaxed)
    }

    /// How many calls there were since the last time this was asked.
    fn take_calls(&self) -> usize {
        self.called.swap(0, Ordering::Relaxed)
    }
}

fn write(path: String) -> BatchStep {
    BatchStep::Write {
        path,
        content: Bytes::from_static(b"x"),
        options: WriteOptions::default(),
    }
}

fn remove(path: String) -> BatchStep {
    BatchStep::Remove {
        path,
        recursive: false,
        if_match: None,
    }
}

/// The names of a directory, a page of `limit` after the other.
async fn names(files: &Session, at: At, limit: usize) -> Vec<String> {
    let mut options = ListOptions {
        at,
        limit,
        ..ListOptions::default()
    };
    let mut names = Vec::new();
    loop {
        let page = files.list("/", options.clone()).await.unwrap();
        names.extend(page.entries.iter().map(|entry| entry.name().to_owned()));
        match page.next {
            Some(next) => options.cursor = Some(next),
            None => return names,
        }
    }
}

/// A listing of the past reads what it shows a few times over, not all that ended for each page.
#[tokio::test]
async fn a_past_listing_reads_what_it_shows() {
    const FILES: usize = 3_000;
    let (store, _zone, files) = counting().await;
    let all: Vec<String> = (0..FILES).map(|n| format!("{n:05}")).collect();
    let steps = all.iter().map(|name| write(format!("/{name}"))).collect();
    files.batch(steps, Durability::Sync).await.unwrap();
    let full = At::Revision(files.revision().await.unwrap());
    let steps = all.iter().map(|name| remove(format!("/{name}"))).collect();
    files.batch(steps, Durability::Sync).await.unwrap();
    store.take();
    assert_eq!(names(&files, full, 100).await, all);
    let rows = store.take();
    assert!(rows < 4 * FILES, "{rows} rows for {FILES} names");
}

/// A name that was made anew time and again is in every listing of the past that it belongs in,
/// and the names around it too.
#[tokio::test]
async fn a_past_listing_finds_names_among_those_that_ended_often() {
    let (_store, _zone, files) = counting().await;
    let mut states = Vec::new();
    for round in 0..150 {
        put(&files, "/b", "again").await;
        if round % 50 == 0 {
            put(&files, &format!("/a{round:03}"), "before").await;
            put(&files, &format!("/c{round:03}"), "after").await;
            states.push((files.revision().await.unwrap(), round));
        }
        files.remove("/b", Default::default()).await.unwrap();
    }
    for name in ["/a000", "/a050", "/a100", "/c000", "/c050", "/c100"] {
        files.remove(name, Default::default()).await.unwrap();
    }
    for (revision, round) in states {
        let rounds = || (0..=round).step_by(50);
        let mut expected: Vec<String> = rounds().map(|round| format!("a{round:03}")).collect();
        expected.push("b".to_owned());
        expected.extend(rounds().map(|round| format!("c{round:03}")));
        for limit in [1, 2, 3, 1_000] {
            let at = At::Revision(revision);
            assert_eq!(names(&files, at, limit).await, expected, "limit {limit}");
        }
    }
}

/// Copying a directory is one change in the log, however much is below it.
#[tokio::test]
async fn a_large_tree_is_copied_as_one_change() {
    const FILES: usize = 8_000;
    let (_store, _zone, files) = counting().await;
    files.mkdir("/from", Default::default()).await.unwrap();
    let all: Vec<_> = (0..FILES)
        .map(|n| write(format!("/from/{n:0100}")))
        .collect();
    for steps in all.chunks(FILES / 2) {
        files.batch(steps.to_vec(), Durability::Sync).await.unwrap();
    }
    let copied = files.copy("/from", "/to", Default::default());
    let revision = copied.await.unwrap().revision;
    assert_eq!(files.usage("/to", At::Latest).await.unwrap().files, 8_000);
    let newest = LogQuery {
        newest_first: true,
        limit: 1,
        ..LogQuery::default()
    };
    let record = files.log(newest).await.unwrap().records.remove(0);
    assert_eq!(record.revision, revision);
    let [change] = &record.changes[..] else {
        panic!("{} changes", record.changes.len());
    };
    assert_eq!(change.kind.as_str(), "dir_copy");
    assert_eq!(change.path, "/to");
    assert_eq!(change.old_path.as_deref(), Some("/from"));
}

/// A tree of as many entries as the limit says is copied; a larger one is refused with the limit.
#[tokio::test]
async fn a_tree_is_copied_up_to_the_limit() {
    let (_store, _zone, files) = limited(Limits {
        txn_items_max: 800,
        ..Limits::STANDARD
    })
    .await;
    files.mkdir("/t", Default::default()).await.unwrap();
    for n in 0..87 {
        let content = Bytes::from(vec![n; 10_000]);
        let path = format!("/t/{n}");
        files
            .write(&path, content, Default::default())
            .await
            .unwrap();
    }
    files
        .copy("/t", "/whole", Default::default())
        .await
        .unwrap();
    put(&files, "/t/more", "more").await;
    let refused = files.copy("/t", "/larger", Default::default()).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
    assert_eq!(error.fact("entries_max"), Some("88"));
}

/// A batch that the log cannot record, or that is too much for one commit, is refused with the
/// limit it reaches. Of the log that is sixteen rows.
#[tokio::test]
async fn a_batch_too_large_for_the_store_is_refused_with_its_limit() {
    let steps = |count: usize| (0..count).map(|n| write(format!("/{n:0100}"))).collect();
    for (limits, (name, limit)) in [
        (
            Limits {
                value_bytes_max: 4 << 10,
                ..Limits::STANDARD
            },
            ("record_bytes_max", "65536"),
        ),
        (
            Limits {
                txn_bytes_max: 256 << 10,
                ..Limits::STANDARD
            },
            ("commit_bytes_max", "262144"),
        ),
        (
            Limits {
                txn_items_max: 2_000,
                ..Limits::STANDARD
            },
            ("rows_max", "2000"),
        ),
    ] {
        let (_store, _zone, files) = limited(limits).await;
        files.batch(steps(300), Durability::Sync).await.unwrap();
        let refused = files.batch(steps(500), Durability::Sync).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), Kind::LimitExceeded);
        assert_eq!(error.fact(name), Some(limit), "{error}");
    }
}

/// What is more to undo than one commit holds is refused by a limit that says how to go on, and
/// nothing happens; who goes on so has all of it undone.
#[tokio::test]
async fn an_undo_too_large_for_the_store_says_how_to_go_on() {
    let (_store, _zone, files) = limited(Limits {
        txn_items_max: 2_000,
        ..Limits::STANDARD
    })
    .await;
    let mut revisions = Vec::new();
    for part in 0..5 {
        let steps = (0..90).map(|n| write(format!("/{part}-{n}"))).collect();
        let done = files.batch(steps, Durability::Sync).await.unwrap();
        revisions.push(done[0].revision);
    }
    let undo = |from: usize, to: usize| {
        let (from, to) = (revisions[from], revisions[to]);
        files.undo(UndoOptions::new(UndoWhat::Range { from, to }))
    };
    let error = undo(0, 4).await.unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
    assert_eq!(error.fact("rows_max"), Some("2000"));
    assert!(error.message().contains("undo ranges"), "{error}");
    assert_eq!(files.revision().await.unwrap(), revisions[4]);
    undo(3, 4).await.unwrap();
    undo(0, 2).await.unwrap();
    assert_eq!(files.usage("/", At::Latest).await.unwrap().files, 0);
}

/// As many operations on a few files are undone as a commit has rows: each takes one.
#[tokio::test]
async fn each_operation_that_is_undone_takes_one_row() {
    const OPERATIONS: usize = 950;
    let (_store, _zone, files) = limited(Limits {
        txn_items_max: 1_000,
        ..Limits::STANDARD
    })
    .await;
    let first = files.revision().await.unwrap().next();
    for n in 0..OPERATIONS {
        put(&files, "/a", &n.to_string()).await;
    }
    let last = files.revision().await.unwrap();
    let what = |from, to| UndoOptions::new(UndoWhat::Range { from, to });
    let undo = files.undo(what(first, last)).await.unwrap();
    assert_eq!(undo.operations.len(), OPERATIONS);
    assert!(!files.exists("/a", At::Latest).await.unwrap());
    let again = files.undo(what(last, last)).await.unwrap_err();
    assert_eq!(again.kind(), Kind::NotFound);
    let by = undo.revisions[0];
    files.undo(what(by, by)).await.unwrap();
    assert_eq!(text(&files, "/a").await, (OPERATIONS - 1).to_string());
}

/// Setting metadata reads the keys that a file has once, not for each key that is set.
#[tokio::test]
async fn setting_metadata_reads_the_keys_of_a_file_once() {
    let (store, _zone, files) = counting().await;
    put(&files, "/f", "").await;
    let all = |value: &'static str| {
        let keys = (0..KEYS_MAX).map(move |n| (format!("{n}"), Some(Bytes::from(value))));
        keys.collect::<Vec<_>>()
    };
    let sync = Durability::Sync;
    files.set_metadata("/f", all("1"), sync).await.unwrap();
    store.take();
    files.set_metadata("/f", all("2"), sync).await.unwrap();
    let rows = store.take();
    assert!(rows <= 2 * KEYS_MAX, "{rows} rows");
    let one_more = vec![("more".to_owned(), Some(Bytes::new()))];
    let refused = files.set_metadata("/f", one_more.clone(), sync).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::LimitExceeded);
    let exchange = [vec![("0".to_owned(), None)], one_more].concat();
    files.set_metadata("/f", exchange, sync).await.unwrap();
}

/// A directory of a fork from which very much was deleted is removed as any.
#[tokio::test]
async fn a_directory_of_a_fork_is_removed_after_much_was_deleted() {
    const FILES: usize = 1_500;
    let limits = Limits {
        txn_items_max: FILES,
        ..Limits::STANDARD
    };
    let all: Vec<String> = (0..FILES).map(|n| format!("{n:05}")).collect();
    for recursive in [false, true] {
        let (store, _zone, files) = limited(limits).await;
        files.mkdir("/a", Default::default()).await.unwrap();
        for names in all.chunks(100) {
            let steps = names.iter().map(|name| write(format!("/a/{name}")));
            let done = files.batch(steps.collect(), Durability::Sync).await;
            done.unwrap();
        }
        let made = files.fork("/a", "/b", ForkOptions::default());
        made.await.unwrap();
        for names in all.chunks(100) {
            let steps = names.iter().map(|name| remove(format!("/b/{name}")));
            let done = files.batch(steps.collect(), Durability::Sync).await;
            done.unwrap();
        }
        store.take();
        let options = RemoveOptions {
            recursive,
            ..RemoveOptions::default()
        };
        let removed = files.remove("/b", options).await;
        removed.unwrap();
        let rows = store.take();
        assert!(rows < 10 * FILES, "{rows} rows for {FILES} names");
        assert!(!files.exists("/b", At::Latest).await.unwrap());
    }
}

/// A fork is made as fast where very many files have left forks, to the directory or elsewhere.
#[tokio::test]
async fn a_fork_looks_no_further_than_it_has_to() {
    const FILES: usize = 600;
    for place in ["/a/d/e", "/c/d/e"] {
        let store = limited_store(Limits::STANDARD);
        let stores = Stores {
            metastore: store.clone(),
            ..memory_stores()
        };
        let config = ZoneConfig {
            metadata_cache_bytes: 0,
            ..ZoneConfig::default()
        };
        let zone = open_with(&stores, config).await;
        let files = zone.session(Context::system());
        put(&files, &format!("{place}/file"), "1").await;
        put(&files, "/a/file", "1").await;
        let made = files.fork("/a", "/b", ForkOptions::default());
        made.await.unwrap();
        let all: Vec<usize> = (0..FILES).collect();
        for some in all.chunks(100) {
            let steps = some.iter().flat_map(|n| {
                let moves = BatchStep::Rename {
                    from: format!("/b/{n}"),
                    to: format!("{place}/{n}"),
                    options: MoveOptions::default(),
                };
                [write(format!("/b/{n}")), moves]
            });
            let done = files.batch(steps.collect(), Durability::Sync).await;
            done.unwrap();
        }
        store.take();
        store.take_calls();
        let made = files.fork("/a", "/f", ForkOptions::default());
        made.await.unwrap();
        let (rows, calls) = (store.take(), store.take_calls());
        assert!(calls < 100, "{place}: {calls} calls");
        let is_below = place.starts_with("/a/");
        assert!(rows < FILES || !is_below, "{place}: {rows} rows");
        let shown = files.exists("/f/d/e/7", At::Latest).await.unwrap();
        assert_eq!(shown, is_below);
    }
}
