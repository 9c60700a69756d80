//! After any crash the feed, the log and the state agree.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use nexus_client::{
    Change, ChangeKind, Client, Durability, FileKind, Kind, ListOptions, LogQuery, MoveOptions,
    Record, RemoveOptions, Result, Revision, WatchQuery, WatchStart, WriteOptions,
};
use nexus_tests::{Home, Node, Random};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

const ROUNDS: u64 = 6;
const WRITERS: u64 = 4;
const CURSOR: &str = "mirror";

/// What the feed says that there is: the etag of each file, none for a directory.
#[derive(Default)]
struct Mirror {
    tree: BTreeMap<String, Option<String>>,
    /// Everything up to here is in it. A cursor may lag behind, by what was not acknowledged.
    until: Revision,
}

impl Mirror {
    fn apply(&mut self, record: &Record) {
        if record.revision > self.until {
            self.until = record.revision;
            record.changes.iter().for_each(|change| self.change(change));
        }
    }

    fn change(&mut self, change: &Change) {
        let path = change.path.clone();
        match change.kind {
            ChangeKind::FileWrite => drop(self.tree.insert(path, change.etag.clone())),
            ChangeKind::DirCreate => drop(self.tree.insert(path, None)),
            ChangeKind::FileDelete | ChangeKind::DirDelete => drop(self.take(&path)),
            ChangeKind::FileRename | ChangeKind::DirRename => {
                let old = change
                    .old_path
                    .as_ref()
                    .expect("a move has come from somewhere");
                let moved = self.take(old);
                self.take(&path);
                let renamed = moved
                    .into_iter()
                    .map(|(at, what)| (at.replacen(old, &path, 1), what));
                self.tree.extend(renamed.collect::<Vec<_>>());
            }
            other => panic!("nobody does {other:?}"),
        }
    }

    /// Removes what is at or below a path.
    fn take(&mut self, path: &str) -> Vec<(String, Option<String>)> {
        let below = format!("{path}/");
        let is_there = |at: &str| at == path || at.starts_with(&below);
        let found = self.tree.iter().filter(|(at, _)| is_there(at));
        let found: Vec<_> = found.map(|(at, what)| (at.clone(), what.clone())).collect();
        self.tree.retain(|at, _| !is_there(at));
        found
    }
}

/// Follows from where the cursor is until the node is gone, or everything up to `last` was told.
async fn follow(client: &Client, mirror: &mut Mirror, last: Option<Revision>) -> Result<()> {
    let query = WatchQuery {
        start: WatchStart::Cursor(CURSOR.into()),
        durable: true,
        ..WatchQuery::default()
    };
    let mut records = client.watch(query).await?;
    while last.is_none_or(|last| mirror.until < last) {
        let Some(record) = records.next().await.transpose()? else {
            break;
        };
        mirror.apply(&record);
        // Some are left unacknowledged, and so come again.
        if record.revision.0 % 3 == 0 {
            let until = record.revision.into();
            client
                .acknowledge(CURSOR, until, Durability::Relaxed)
                .await?;
        }
    }
    Ok(())
}

/// Changes files until the node is gone, some durably and some not.
async fn write(client: Client, number: u64, seed: u64, told: UnboundedSender<()>) {
    let mut random = Random::new(seed);
    let durability = if number.is_multiple_of(2) {
        Durability::Sync
    } else {
        Durability::Relaxed
    };
    let remove = |recursive| RemoveOptions {
        durability,
        recursive,
        ..RemoveOptions::default()
    };
    let move_to = MoveOptions {
        durability,
        ..MoveOptions::default()
    };
    let make = WriteOptions {
        parents: true,
        durability,
        ..WriteOptions::default()
    };
    loop {
        let folder = format!("/w{number}/{}", random.below(4));
        let file = format!("{folder}/{}", random.below(6));
        let (moved, away) = (format!("{folder}/moved"), format!("/w{number}/9"));
        let done = match random.below(10) {
            0 => client.remove(&file, remove(false)).await,
            1 => client.remove(&folder, remove(true)).await,
            2 => client.rename(&file, &moved, move_to).await,
            3 => client.rename(&folder, &away, move_to).await,
            _ => client.write(&file, random.content(300), make.clone()).await,
        };
        match done {
            Ok(_) => drop(told.send(())),
            Err(error) if error.kind() == Kind::Unavailable => return,
            // It is not there, or something else is.
            Err(_) => {}
        }
    }
}

async fn state(client: &Client) -> BTreeMap<String, Option<String>> {
    let options = ListOptions {
        recursive: true,
        details: true,
        ..ListOptions::default()
    };
    let entries = client.list_all("/", options);
    let entries = entries.map_ok(|entry| {
        let stat = entry.stat.expect("details were asked for");
        let etag = stat.etag.filter(|_| entry.kind == FileKind::File);
        (entry.path, etag)
    });
    entries.try_collect().await.expect("it can be listed")
}

async fn newest_record(client: &Client) -> Revision {
    let query = LogQuery {
        newest_first: true,
        limit: 1,
        ..LogQuery::default()
    };
    let page = client.log(query).await.expect("there is a log");
    page.records
        .first()
        .map_or(Revision(0), |record| record.revision)
}

/// Brings the mirror up to the present, and compares.
async fn check(node: &Node<'_>, mirror: &mut Mirror, round: u64) {
    let client = node.client().await;
    let last = newest_record(&client).await;
    follow(&client, mirror, Some(last))
        .await
        .expect("the node stays");
    assert_eq!(
        mirror.until, last,
        "round {round}: something was told that the log has not"
    );
    assert_eq!(mirror.tree, state(&client).await, "round {round}");
}

/// A consumer of durable changes with a cursor mirrors the tree, however often the node is killed
/// under it: what was told is in the log, and what is in the log is what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consumer_makes_of_the_feed_is_the_tree_after_every_kill() {
    let home = Home::new();
    let mut random = Random::new(5);
    let mut mirror = Mirror::default();
    let node = home.start();
    let begin = Some(Revision(0).into());
    node.client()
        .await
        .create_cursor(CURSOR, begin)
        .await
        .expect("there is none yet");
    assert!(node.stop().success());
    for round in 0..ROUNDS {
        let node = home.start();
        check(&node, &mut mirror, round).await;
        let (told, mut done) = unbounded_channel();
        let mut writers = JoinSet::new();
        for number in 0..WRITERS {
            let seed = round * WRITERS + number;
            writers.spawn(write(node.client().await, number, seed, told.clone()));
        }
        let client = node.client().await;
        let follower = tokio::spawn(async move {
            let lost = follow(&client, &mut mirror, None).await;
            assert!(lost.is_err_and(|error| error.kind() == Kind::Unavailable));
            mirror
        });
        for _ in 0..40 + random.below(80) {
            done.recv().await.expect("no writer ends before the node");
        }
        node.kill();
        writers.join_all().await;
        mirror = follower.await.expect("it lives");
    }
    let node = home.start();
    check(&node, &mut mirror, ROUNDS).await;
    assert!(!mirror.tree.is_empty());
}
