//! Undo of as much as one commit holds.

use std::time::Duration;

use bytes::Bytes;
use nexus_fs::{At, FeedQuery, LogQuery, Record, Session, WriteOptions};
use nexus_kernel::{Durability, Kind, Revision};

use crate::common::{World, undo};

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
