//! Undo of as much as one commit holds.

use std::time::Duration;

use bytes::Bytes;
use nexus_fs::{At, FeedQuery, LogQuery, Record, Session, VALUE_BYTES_MAX, WriteOptions};
use nexus_kernel::{Durability, Kind, Revision};

use crate::common::{World, remove, undo};
use crate::support::put;

const OPERATIONS: usize = 10_000;
const DIRECTORIES: usize = 20;

/// Deep, and 200 bytes long.
fn path(n: usize) -> String {
    let directory = format!("{:030}/b/c/d/{:060}", n % DIRECTORIES, n % DIRECTORIES);
    let path = format!("/{directory}/{n:0>width$}", width = 198 - directory.len());
    assert_eq!(path.len(), 200);
    path
}

async fn write(files: &Session, n: usize, content: &'static str) {
    let options = WriteOptions {
        parents: true,
        durability: Durability::Relaxed,
        ..WriteOptions::default()
    };
    let content = Bytes::from_static(content.as_bytes());
    files.write(&path(n), content, options).await.unwrap();
}

/// The number and the content of each file that is there.
async fn contents(files: &Session) -> Vec<Option<(u64, Bytes)>> {
    let mut found = Vec::with_capacity(OPERATIONS);
    for n in 0..OPERATIONS {
        found.push(match files.read(&path(n), At::Latest).await {
            Ok(read) => Some((read.stat.ino.0, read.bytes)),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => panic!("{error}"),
        });
    }
    found
}

async fn newest(files: &Session) -> Record {
    let query = LogQuery {
        newest_first: true,
        limit: 1,
        ..LogQuery::default()
    };
    files.log(query).await.unwrap().records.remove(0)
}

async fn told_after(files: &Session, after: Revision) -> Vec<Record> {
    let query = FeedQuery {
        start: after.into(),
        ..FeedQuery::default()
    };
    let mut feed = files.feed(query).await.unwrap();
    let batch = feed.next_within(Duration::ZERO).await.unwrap();
    batch.unwrap().records().to_vec()
}

/// What one commit does not hold of a deleted tree is cleared away, and comes back, in several.
#[tokio::test]
async fn a_directory_of_files_with_large_metadata_is_cleared_away_and_comes_back() {
    const FILES: usize = 256;
    const VALUES: usize = 5;
    let world = World::new().await;
    let value = Bytes::from(vec![b'v'; VALUE_BYTES_MAX]);
    for file in 0..FILES {
        let path = format!("/d/{file}");
        put(&world.others, &path, "text").await;
        let set = (0..VALUES).map(|key| (format!("key-{key}"), Some(value.clone())));
        let set = world
            .others
            .set_metadata(&path, set.collect(), Durability::Relaxed);
        set.await.unwrap();
    }
    let deleted = remove(&world.ours, "/d").await;
    let all_cleared = tokio::time::timeout(Duration::from_secs(60), world.cleared());
    all_cleared.await.expect("it is cleared away");
    undo(&world.others, deleted).await;
    for file in [0, FILES / 2, FILES - 1] {
        let path = format!("/d/{file}");
        let metadata = world.others.metadata(&path, At::Latest).await.unwrap();
        assert_eq!(metadata.len(), VALUES);
        assert!(metadata.iter().all(|(_, found)| *found == value));
    }
    let all = nexus_fs::ListOptions {
        limit: 1_000,
        ..nexus_fs::ListOptions::default()
    };
    let listed = world.others.list("/d", all).await.unwrap();
    assert_eq!(listed.entries.len(), FILES);
    world.assert_sound().await;
}

/// One commit, however long the paths are; the log and the feed tell all of it, and it is undone as
/// it was done.
#[tokio::test]
async fn ten_thousand_operations_on_long_paths_are_undone_and_done_again() {
    let world = World::new().await;
    for n in (0..OPERATIONS).step_by(3) {
        write(&world.others, n, "theirs").await;
    }
    let before = contents(&world.others).await;
    for n in 0..OPERATIONS {
        write(&world.ours, n, "ours").await;
    }
    let done = contents(&world.others).await;
    let last = world.others.revision().await.unwrap();

    let report = world.undo().await;
    assert_eq!(report.operations.len(), OPERATIONS);
    assert_eq!(report.revisions.len(), 1);
    assert!(contents(&world.others).await == before);
    let record = newest(&world.others).await;
    assert_eq!(record.revision, report.revisions[0]);
    assert_eq!(record.about, report.operations);
    assert_eq!(record.changes.len(), report.effects.len());
    assert_eq!(told_after(&world.others, last).await, [record]);

    undo(&world.others, report.revisions[0]).await;
    assert!(contents(&world.others).await == done);
    world.assert_sound().await;
}
