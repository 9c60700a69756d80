//! What is there after the store was closed, or just stopped.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use nexus_kernel::{Kind, ObjectStore};
use nexus_testkit::object_store::{
    OVERWRITE, RELAXED, Store, assert_missing, body, key, names, pattern, put, read,
};
use tempfile::TempDir;

use super::{open, small};
use crate::{LocalObjectStore, layout};

const LARGE: usize = 3 << 20;

fn reopen(dir: &TempDir) -> Arc<LocalObjectStore> {
    Arc::new(open(small(dir)))
}

/// Leaves `from` as it is, as if the machine had stopped, and opens a copy of it.
fn copy_of(from: &TempDir) -> TempDir {
    let to = TempDir::new().unwrap();
    copy_dir(from.path(), to.path());
    to
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn everything_is_there_after_a_clean_stop_and_no_journal() {
    let dir = TempDir::new().unwrap();
    let store: Store = reopen(&dir);
    for length in [0, 10, 100_000, LARGE] {
        put(&store, &format!("sync/{length}"), pattern(1, length)).await;
        let relaxed = key(&format!("relaxed/{length}"));
        store
            .put(&relaxed, body(pattern(2, length)), RELAXED)
            .await
            .unwrap();
    }
    let before = store.list("", None, 100).await.unwrap();
    drop(store);
    let store = reopen(&dir);
    assert!(store.local_file(&key("sync/10")).await.unwrap().is_some());
    let store: Store = store;
    assert_eq!(store.list("", None, 100).await.unwrap(), before);
    for length in [0, 10, 100_000, LARGE] {
        assert!(read(&store, &format!("sync/{length}")).await.unwrap() == pattern(1, length));
        assert!(read(&store, &format!("relaxed/{length}")).await.unwrap() == pattern(2, length));
    }
}

#[tokio::test]
async fn acknowledged_blobs_are_there_after_a_sudden_stop() {
    let dir = TempDir::new().unwrap();
    let store: Store = reopen(&dir);
    put(&store, "small", "old").await;
    put(&store, "small", "new").await;
    put(&store, "deleted", "x").await;
    put(&store, "large", pattern(1, LARGE)).await;
    store.delete(&key("deleted")).await.unwrap();
    store.sync().await.unwrap();
    let before = store.list("", None, 100).await.unwrap();
    let copy = copy_of(&dir);
    for _ in 0..3 {
        let again: Store = reopen(&copy);
        assert_eq!(again.list("", None, 100).await.unwrap(), before);
        assert_eq!(read(&again, "small").await.unwrap(), "new");
        assert!(read(&again, "large").await.unwrap() == pattern(1, LARGE));
        assert_missing(&again, "deleted").await;
    }
}

#[tokio::test]
async fn a_torn_end_of_the_journal_loses_only_what_was_not_acknowledged() {
    let dir = TempDir::new().unwrap();
    let store: Store = reopen(&dir);
    put(&store, "first", pattern(1, 5000)).await;
    put(&store, "last", pattern(2, 5000)).await;
    let copy = copy_of(&dir);
    let log = copy.path().join(layout::log(1));
    let mut bytes = fs::read(&log).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last] ^= 1;
    fs::write(&log, bytes).unwrap();
    let store: Store = reopen(&copy);
    assert!(read(&store, "first").await.unwrap() == pattern(1, 5000));
    assert_missing(&store, "last").await;
}

#[tokio::test]
async fn a_checkpoint_leaves_one_file_per_blob_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let local = reopen(&dir);
    let store: Store = local.clone();
    let lengths = [0, 10, 100_000, LARGE];
    for length in lengths {
        put(&store, &format!("b/{length}"), pattern(1, length)).await;
    }
    put(&store, "b/deleted", "x").await;
    store.delete(&key("b/deleted")).await.unwrap();
    let before = store.list("", None, 100).await.unwrap();
    local.checkpoint().await.unwrap();
    for length in lengths {
        let file = local.local_file(&key(&format!("b/{length}"))).await;
        let mut bytes = Vec::new();
        file.unwrap().unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == pattern(1, length));
    }
    let deleted = local.local_file(&key("b/deleted")).await;
    assert!(deleted.unwrap().is_none());
    assert_eq!(
        fs::read_dir(dir.path().join("blobs/b")).unwrap().count(),
        lengths.len()
    );
    assert_eq!(fs::read_dir(dir.path().join("staged")).unwrap().count(), 0);
    assert_eq!(store.list("", None, 100).await.unwrap(), before);
}

#[tokio::test]
async fn a_store_in_use_is_refused() {
    let dir = TempDir::new().unwrap();
    let open = reopen(&dir);
    let config = small(&dir);
    let clock = Arc::new(nexus_service_api::SystemClock);
    let refused = LocalObjectStore::open(config.clone(), clock.clone());
    let refused = refused.err().unwrap();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.message().contains("in use by another process"));
    drop(open);
    LocalObjectStore::open(config, clock).unwrap();
}

#[tokio::test]
async fn a_journal_of_another_version_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(reopen(&dir));
    let journal = fs::read_dir(dir.path().join("journal")).unwrap();
    for entry in journal.map(Result::unwrap) {
        let mut bytes = fs::read(entry.path()).unwrap();
        bytes[3] = 99;
        fs::write(entry.path(), bytes).unwrap();
    }
    let clock = Arc::new(nexus_service_api::SystemClock);
    let refused = LocalObjectStore::open(small(&dir), clock).err().unwrap();
    assert_eq!(refused.kind(), Kind::Unsupported);
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let dir = TempDir::new().unwrap();
    let mut config = small(&dir);
    config.segment_bytes = 1000;
    let clock = Arc::new(nexus_service_api::SystemClock);
    let refused = LocalObjectStore::open(config, clock).err().unwrap();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
}

#[tokio::test]
async fn symbolic_links_are_not_followed() {
    let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("secret,"), "secret").unwrap();
    let store: Store = reopen(&dir);
    let blobs = dir.path().join("blobs");
    std::os::unix::fs::symlink(outside.path(), blobs.join("linked")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret,"), blobs.join("file,")).unwrap();
    for name in ["linked/secret", "file"] {
        let refused = store.get(&key(name), None).await.err().unwrap();
        assert_eq!(refused.kind(), Kind::Corrupt, "{refused:?}");
        assert_eq!(
            store.head(&key(name)).await.unwrap_err().kind(),
            Kind::Corrupt
        );
    }
}

#[tokio::test]
async fn blobs_are_read_from_segments_that_were_written_again() {
    let dir = TempDir::new().unwrap();
    let mut config = small(&dir);
    config.segment_bytes = 20_000;
    config.journal_blob_bytes_max = 6000;
    config.relaxed_journal_blob_bytes_max = 6000;
    let store: Store = Arc::new(open(config));
    for round in 0..50 {
        let bytes = pattern(round, 5000);
        store
            .put(&key(&format!("r/{round}")), body(bytes), OVERWRITE)
            .await
            .unwrap();
    }
    for round in 0..50 {
        let bytes = read(&store, &format!("r/{round}")).await.unwrap();
        assert!(bytes == pattern(round, 5000), "blob {round} differs");
    }
    assert_eq!(names(&store, "r/").await.len(), 50);
}
