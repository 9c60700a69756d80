//! Forks: what is held for them, and for how long.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{
    At, MergeOptions, MoveOptions, NewSnapshot, OpenMode, RemoveOptions, Session, Stores,
};
use nexus_kernel::{Durability, Error, Kind, Op, Result, Txn};
use nexus_testkit::metastore::{Call, WatchedMetastore, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{HOUR, Kept};
use crate::forks::fork;
use crate::support::{memory_stores, put, text, text_at};

const RECURSIVE: RemoveOptions = RemoveOptions {
    recursive: true,
    if_match: None,
    durability: Durability::Sync,
};

async fn tag(files: &Session, path: &str) {
    let tag = ["kept".to_owned()];
    let set = files.set_tags(path, &tag, &[], Durability::Sync);
    set.await.unwrap();
}

/// What a fork is made from stays for as long as the fork does.
#[tokio::test]
async fn what_a_fork_needs_stays() {
    let kept = Kept::new().await;
    kept.write("/d/f", "one").await;
    fork(&kept.files, "/d", "/fork").await;
    kept.write("/d/f", "two").await;
    kept.files.remove("/d", RECURSIVE).await.unwrap();
    kept.cleared().await;
    kept.keep("/**", Some(HOUR), Some(1)).await;
    for path in ["/x", "/y"] {
        kept.pass(2 * HOUR);
        kept.write(path, path).await;
    }
    kept.files.gc(false).await.unwrap();
    assert_eq!(text(&kept.files, "/fork/f").await, "one");
    assert!(kept.problems().await.is_empty());

    kept.files.remove("/fork", RECURSIVE).await.unwrap();
    kept.cleared().await;
    for path in ["/x", "/y"] {
        kept.pass(2 * HOUR);
        kept.write(path, path).await;
    }
    kept.files.gc(false).await.unwrap();
    assert_eq!(kept.rows("P").await, 0);
    let blobs = kept.stores.objects.list("b/", None, 100).await.unwrap();
    assert_eq!(blobs.objects.len(), 2);
    assert!(kept.problems().await.is_empty());
}

/// What left a fork outlives it, and what the fork was made from, with all that it shows.
#[tokio::test]
async fn a_file_that_left_a_fork_is_whole_when_that_has_gone() {
    for by_parts in [false, true] {
        let kept = Kept::new().await;
        kept.write("/a/x", "x").await;
        tag(&kept.files, "/a/x").await;
        fork(&kept.files, "/a", "/b").await;
        kept.write("/b/new", "new").await;
        for name in ["x", "new"] {
            let (from, to) = (format!("/b/{name}"), format!("/{name}"));
            let moved = kept.files.rename(&from, &to, MoveOptions::default());
            moved.await.unwrap();
        }
        let recursive = RemoveOptions {
            recursive: !by_parts,
            ..RemoveOptions::default()
        };
        kept.files.remove("/b", recursive).await.unwrap();
        kept.files
            .remove("/a/x", RemoveOptions::default())
            .await
            .unwrap();
        kept.keep("/**", Some(HOUR), None).await;
        kept.let_go().await;
        assert_eq!(kept.files.tags("/x", At::Latest).await.unwrap(), ["kept"]);
        assert_eq!(text(&kept.files, "/new").await, "new");
        for path in ["/x", "/new"] {
            let removed = kept.files.remove(path, RemoveOptions::default()).await;
            removed.unwrap();
        }
        assert_eq!(kept.problems().await, [""; 0]);
    }
}

/// So is one that is open when it loses its name.
#[tokio::test]
async fn an_open_file_outlives_the_fork_it_was_deleted_with() {
    let kept = Kept::new().await;
    kept.write("/a/x", "x").await;
    tag(&kept.files, "/a/x").await;
    fork(&kept.files, "/a", "/b").await;
    let ino = kept.files.stat("/b/x", At::Latest).await.unwrap().ino;
    let handle = kept.files.open_handle(ino, OpenMode::Read).await.unwrap();
    kept.files.remove("/b", RECURSIVE).await.unwrap();
    kept.cleared().await;
    kept.keep("/**", Some(HOUR), None).await;
    kept.let_go().await;
    assert_eq!(handle.read(0, 9).await.unwrap(), "x");
    handle.close().await.unwrap();
    let gone = kept.files.getattr(ino).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
    assert_eq!(kept.rows("o").await, 0);
    assert_eq!(kept.problems().await, [""; 0]);
}

/// Whether a commit clears something of a deleted tree away, or lets go of what that needed.
fn clears(txn: &Txn) -> bool {
    txn.ops.iter().any(|op| match op {
        Op::Put(key, value) => matches!(key[0], b'q' | b'P') && !value.is_empty(),
        Op::Delete(key) => key[0] == b'q',
        _ => false,
    })
}

/// Says which commits are refused by their number, from 0, and what they do.
type Which = dyn Fn(usize, &Txn) -> bool + Send + Sync;

/// Refuses commits that clear deleted trees away.
#[derive(Default)]
struct Refusal {
    of: Mutex<Option<Box<Which>>>,
    seen: Mutex<usize>,
    refused: Notify,
}

impl Refusal {
    fn begin(&self, of: impl Fn(usize, &Txn) -> bool + Send + Sync + 'static) {
        *self.seen.lock() = 0;
        *self.of.lock() = Some(Box::new(of));
    }

    fn end(&self) {
        *self.of.lock() = None;
    }
}

#[async_trait]
impl Watcher for Refusal {
    async fn before(&self, call: Call<'_>) -> Result<()> {
        let Call::Commit(txn) = call else {
            return Ok(());
        };
        let of = self.of.lock();
        let Some(of) = of.as_ref().filter(|_| clears(txn)) else {
            return Ok(());
        };
        let mut seen = self.seen.lock();
        *seen += 1;
        if !of(*seen - 1, txn) {
            return Ok(());
        }
        self.refused.notify_one();
        Err(Error::unavailable(
            "clearing away is refused on purpose; end that",
        ))
    }
}

async fn refusing() -> (Arc<WatchedMetastore<Refusal>>, Kept) {
    let inner = Arc::new(MemoryMetastore::new());
    let store = Arc::new(WatchedMetastore::new(inner, Refusal::default()));
    let stores = Stores {
        metastore: store.clone(),
        ..memory_stores()
    };
    (store, Kept::on(stores).await)
}

/// Everything is cleared away in the end, and nothing is held for it any more.
async fn assert_all_goes(kept: &Kept, story: &str) {
    let cleared = timeout(Duration::from_secs(20), kept.cleared()).await;
    assert!(cleared.is_ok(), "{story}: a deleted tree stays queued");
    kept.let_go().await;
    assert_eq!(kept.rows("P").await, 0, "{story}");
    assert_eq!(kept.problems().await, [""; 0], "{story}");
}

/// However far clearing a deleted fork away has come when it stops, what is left of it stays
/// readable until it goes on.
#[tokio::test]
async fn what_clearing_away_still_needs_is_not_collected() {
    for top in ["/v", "/d", "/d/v/a"] {
        for stops_after in 0.. {
            let story = format!("{top}, stopped after {stops_after}");
            let (store, kept) = refusing().await;
            kept.write("/w/a/e/x", "x").await;
            kept.write("/w/a/y", "y").await;
            fork(&kept.files, "/w/a", "/w/b").await;
            put(&kept.files, "/d/file", "1").await;
            let to = if top == "/v" { "/v" } else { "/d/v" };
            // A fork with a fork in it, and something of its own in each directory.
            fork(&kept.files, "/w", to).await;
            for file in ["a/e/own", "a/y", "b/e/own", "b/y"] {
                kept.write(&format!("{to}/{file}"), "own").await;
            }
            store.begin(move |number, _| number >= stops_after);
            kept.files.remove(top, RECURSIVE).await.unwrap();
            kept.files.remove("/w", RECURSIVE).await.unwrap();
            let stops = tokio::select! {
                () = store.refused.notified() => true,
                () = kept.cleared() => false,
            };
            kept.keep("/**", Some(HOUR), None).await;
            kept.let_go().await;
            store.end();
            let kept = kept.reopened().await;
            if top == "/d/v/a" {
                assert_eq!(text(&kept.files, "/d/v/b/y").await, "own");
                assert_eq!(text(&kept.files, "/d/v/b/e/x").await, "x");
                kept.files.remove("/d", RECURSIVE).await.unwrap();
            }
            assert_all_goes(&kept, &story).await;
            if !stops {
                break;
            }
        }
    }
}

/// Of two deleted trees of one fork, the one that is cleared away first leaves the other what it
/// needs.
#[tokio::test]
async fn a_fork_is_held_until_the_last_tree_of_it_has_been_cleared_away() {
    let (store, kept) = refusing().await;
    kept.write("/a/d/e/x", "x").await;
    fork(&kept.files, "/a", "/b").await;
    kept.write("/b/d/e/own", "own").await;
    let top = kept.files.stat("/b/d", At::Latest).await.unwrap().ino.0;
    let entry = [&b"q"[..], &top.to_be_bytes()].concat();
    let is_of = move |op: &Op| match op {
        Op::Put(key, _) | Op::Delete(key) => key.starts_with(&entry),
        _ => false,
    };
    store.begin(move |_, txn| txn.ops.iter().any(&is_of));
    for path in ["/b/d", "/b", "/a"] {
        kept.files.remove(path, RECURSIVE).await.unwrap();
    }
    while kept.rows("q").await > 1 {
        tokio::task::yield_now().await;
    }
    kept.keep("/**", Some(HOUR), None).await;
    kept.let_go().await;
    store.end();
    let kept = kept.reopened().await;
    assert_all_goes(&kept, "two trees").await;
}

async fn link(kept: &Kept, name: &str, other: &str) {
    let linked = kept.files.hard_link(name, other, Durability::Sync);
    linked.await.unwrap();
}

async fn unlink(kept: &Kept, name: &str) {
    let options = RemoveOptions::default();
    kept.files.remove(name, options).await.unwrap();
}

/// A file that had many names leaves nothing of them behind for ever.
#[tokio::test]
async fn names_that_a_file_had_go_with_history() {
    let kept = Kept::new().await;
    kept.write("/new/x", "x").await;
    for i in 0..300 {
        let name = format!("/new/{i}");
        link(&kept, "/new/x", &name).await;
        unlink(&kept, &name).await;
    }
    // Of the two that stay, the second becomes the first.
    kept.write("/new/y", "y").await;
    link(&kept, "/new/y", "/new/z").await;
    unlink(&kept, "/new/y").await;
    kept.keep("/**", Some(HOUR), None).await;
    assert_eq!(kept.rows("wr").await, 301);
    kept.let_go().await;
    assert_eq!(kept.rows("wr").await, 1, "that of a name that is there");
    unlink(&kept, "/new/z").await;
    kept.let_go().await;
    assert_eq!(kept.rows("wr").await, 0);
}

/// As long as a fork shows a file with several names, it is known which these were.
#[tokio::test]
async fn names_that_a_file_had_stay_as_long_as_a_fork_shows_them() {
    for unlinked in [["/a/x", "/a/d/y"], ["/a/d/y", "/a/x"]] {
        let kept = Kept::new().await;
        kept.write("/a/x", "x").await;
        kept.write("/a/d/file", "1").await;
        link(&kept, "/a/x", "/a/d/y").await;
        link(&kept, "/a/x", "/a/d/z").await;
        fork(&kept.files, "/a", "/b").await;
        for name in unlinked {
            unlink(&kept, name).await;
        }
        kept.keep("/**", Some(HOUR), None).await;
        kept.let_go().await;
        let kept = kept.reopened().await;
        let shown = kept.files.stat("/b/x", At::Latest).await.unwrap();
        assert_eq!(shown.links, 3);
        unlink(&kept, "/b/x").await;
        unlink(&kept, "/b/d/z").await;
        assert_eq!(kept.files.path_of(shown.ino).await.unwrap(), "/b/d/y");
        for top in ["/a", "/b"] {
            kept.files.remove(top, RECURSIVE).await.unwrap();
        }
        kept.cleared().await;
        kept.let_go().await;
        assert_eq!(kept.rows("wr").await, 0, "{unlinked:?}");
        assert_eq!(kept.problems().await, [""; 0]);
    }
}

/// What is known of forks goes with the last that needs it: the fork itself, one that is made from
/// it, a file that left it, a snapshot of its time.
#[tokio::test]
async fn what_is_known_of_a_fork_goes_with_the_last_that_needs_it() {
    let kept = Kept::new().await;
    kept.keep("/**", Some(HOUR), None).await;
    kept.write("/a/x", "x").await;
    kept.write("/a/y", "y").await;
    fork(&kept.files, "/a", "/b").await;
    let options = MergeOptions::default();
    kept.write("/b/new", "1").await;
    kept.files.merge("/b", options).await.unwrap();
    fork(&kept.files, "/b", "/c").await;
    let new = NewSnapshot {
        name: Some("then".to_owned()),
        ..NewSnapshot::default()
    };
    kept.files.create_snapshot("/", new).await.unwrap();
    let moved = kept.files.rename("/c/y", "/y", MoveOptions::default());
    moved.await.unwrap();
    let gone = async |top: &str| {
        kept.files.remove(top, RECURSIVE).await.unwrap();
        kept.cleared().await;
        kept.let_go().await;
        kept.let_go().await;
        kept.rows("wp").await
    };
    assert_eq!(gone("/b").await, 2, "the other is made from it");
    assert_eq!(text(&kept.files, "/c/x").await, "x");
    assert_eq!(gone("/c").await, 2, "a snapshot shows both");
    let then = || At::Snapshot("then".into());
    for path in ["/b/x", "/c/x"] {
        assert_eq!(text_at(&kept.files, path, then()).await, "x");
    }
    kept.files.delete_snapshot("then").await.unwrap();
    assert_eq!(gone("/a").await, 2, "a file of it is there");
    assert_eq!(text(&kept.files, "/y").await, "y");
    assert_eq!(gone("/y").await, 0);
    assert_eq!(kept.rows("wm").await, 0);
    assert_eq!(kept.rows("P").await, 0);
    assert_eq!(kept.problems().await, [""; 0]);
    // Its number is not given to another.
    kept.write("/a/x", "again").await;
    fork(&kept.files, "/a", "/b").await;
    assert_eq!(kept.rows("wp\0\0\0\0\0\0\0\x03").await, 1);
}
