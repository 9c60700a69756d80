//! The power goes off at any operation of either disk while a fork is made, worked in, merged and
//! removed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nexus_fs::{
    At, FeedPosition, FeedQuery, FeedStart, FileKind, ForkOptions, ListOptions, LogQuery,
    MergeOptions, MoveOptions, NewSnapshot, RemoveOptions, Session, Stores, WriteOptions, Zone,
};
use nexus_kernel::{Result, Revision};
use nexus_service_api::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::disks::{Disks, Lie};
use crate::inspect::Inspection;
use crate::machine::runtime;
use crate::ops::noise;
use crate::rows;
use crate::zone::{ManualClock, open, problems, purged, tight_config};

/// One commit each, durable when it is answered.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many bytes, different for each number.
    Write(&'static str, u64, usize),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    Snapshot(&'static str, &'static str),
    DeleteSnapshot(&'static str),
    Fork(&'static str, &'static str),
    Merge(&'static str),
}

use Step::{DeleteSnapshot, Fork, Merge, Remove, Rename, Snapshot, Write};

const STORY: [Step; 17] = [
    Write("/a/inline", 1, 10),
    Write("/a/d/blob", 2, 40),
    Write("/a/d/e/blob", 3, 50),
    Snapshot("/a", "before"),
    Fork("/a", "/f"),
    Write("/f/d/blob", 4, 45),
    Rename("/f/d/e", "/f/moved"),
    Remove("/f/inline"),
    Write("/f/new/blob", 5, 60),
    Write("/a/ours", 6, 12),
    Snapshot("/f", "tried"),
    Fork("/f", "/g"),
    Merge("/f"),
    Remove("/f"),
    Write("/g/moved/blob", 7, 35),
    DeleteSnapshot("tried"),
    Remove("/g"),
];

impl Step {
    async fn perform(self, files: &Session) -> Result<()> {
        match self {
            Write(path, seed, bytes) => {
                let options = WriteOptions {
                    parents: true,
                    ..WriteOptions::default()
                };
                let content = noise(seed, bytes).into();
                files.write(path, content, options).await.map(drop)
            }
            Rename(from, to) => {
                let renamed = files.rename(from, to, MoveOptions::default());
                renamed.await.map(drop)
            }
            Remove(path) => {
                let options = RemoveOptions {
                    recursive: true,
                    ..RemoveOptions::default()
                };
                files.remove(path, options).await.map(drop)
            }
            Snapshot(path, name) => {
                let new = NewSnapshot {
                    name: Some(name.into()),
                    ..NewSnapshot::default()
                };
                files.create_snapshot(path, new).await.map(drop)
            }
            DeleteSnapshot(name) => files.delete_snapshot(name).await.map(drop),
            Fork(from, to) => {
                let made = files.fork(from, to, ForkOptions::default());
                made.await.map(drop)
            }
            Merge(fork) => {
                let merged = files.merge(fork, MergeOptions::default()).await?;
                assert!(merged.applied, "{merged:?}");
                Ok(())
            }
        }
    }
}

/// All that a caller sees.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    tree: BTreeMap<String, Option<Vec<u8>>>,
    snapshots: Vec<String>,
    /// What each commit was, and what it changed.
    log: Vec<(Option<String>, Vec<String>)>,
}

/// Wherever the story is cut off, the step under way has happened as a whole or not at all, the
/// feed tells what the log holds, and the story goes on from there to the same end.
#[test]
fn a_fork_that_is_cut_off_anywhere_is_whole_or_not_there() {
    let states = whole_story();
    for operations in 0.. {
        if !is_cut_off(operations, &states) {
            assert!(operations > 60, "it took {operations} operations");
            return;
        }
    }
}

/// The states before the first step and after each.
fn whole_story() -> Vec<State> {
    let mut random = StdRng::seed_from_u64(0);
    let disks = Disks::new(&mut random, Lie::None);
    runtime().block_on(async {
        let (stores, _zone, session) = start(&disks).await;
        let mut states = vec![state(&session, &stores).await];
        for step in STORY {
            step.perform(&session).await.unwrap();
            states.push(state(&session, &stores).await);
        }
        states
    })
}

/// Whether the power went off before the story had ended.
fn is_cut_off(operations: u64, states: &[State]) -> bool {
    let mut random = StdRng::seed_from_u64(operations);
    let mut disks = Disks::new(&mut random, Lie::None);
    disks.create_database(&mut random);
    let done = runtime().block_on(async {
        let (_stores, _zone, session) = start(&disks).await;
        disks.power.off_after(operations);
        perform_all(&session, &disks, &STORY).await
    });
    let cut = disks.power.is_off();
    disks = disks.after_power_loss(&mut random);
    runtime().block_on(async {
        let (stores, _zone, session) = start(&disks).await;
        let found = state(&session, &stores).await;
        let under_way = (done + usize::from(done < STORY.len())).min(STORY.len());
        let at = (done..=under_way).find(|at| states[*at] == found);
        let at =
            at.unwrap_or_else(|| panic!("cut at {operations}, after {done} steps: {found:#?}"));
        check_sound(&session, &stores, &mut random).await;
        assert_eq!(
            perform_all(&session, &disks, &STORY[at..]).await,
            STORY.len() - at
        );
        let end = state(&session, &stores).await;
        assert_eq!(end, states[STORY.len()], "cut at {operations}");
        check_sound(&session, &stores, &mut random).await;
    });
    cut
}

/// How many steps were acknowledged before the power went off.
async fn perform_all(files: &Session, disks: &Disks, steps: &[Step]) -> usize {
    for (done, step) in steps.iter().enumerate() {
        if let Err(error) = step.perform(files).await {
            assert!(disks.power.is_off(), "{step:?}: {error:?}");
            return done;
        }
    }
    steps.len()
}

pub(crate) async fn start(disks: &Disks) -> (Stores, Zone, Session) {
    let clock = Arc::<ManualClock>::default();
    let stores = disks.stores(clock.clone()).unwrap();
    let zone = open(&stores, &tight_config(clock)).await.unwrap();
    let session = zone.session(Context::system());
    (stores, zone, session)
}

pub(crate) async fn check_sound(session: &Session, stores: &Stores, random: &mut StdRng) {
    purged(stores).await;
    assert_eq!(problems(session).await, Vec::<String>::new());
    let unsound = rows::problems(&*stores.metastore).await;
    assert_eq!(unsound, Vec::<String>::new());
    let mut inspection = Inspection {
        session,
        stores,
        random,
    };
    inspection.garbage().await.unwrap();
}

pub(crate) async fn state(session: &Session, stores: &Stores) -> State {
    purged(stores).await;
    let options = ListOptions {
        recursive: true,
        limit: ListOptions::LIMIT_MAX,
        ..ListOptions::default()
    };
    let mut tree = BTreeMap::new();
    for entry in session.list("/", options).await.unwrap().entries {
        let content = match entry.kind {
            FileKind::File => {
                let read = session.read(&entry.path, At::Latest).await.unwrap();
                Some(read.bytes.to_vec())
            }
            _ => None,
        };
        tree.insert(entry.path, content);
    }
    let snapshots = session.snapshots(Default::default()).await.unwrap();
    State {
        tree,
        snapshots: snapshots
            .snapshots
            .into_iter()
            .map(|one| one.name)
            .collect(),
        log: log_that_the_feed_tells(session).await,
    }
}

/// The whole log, oldest first, which the feed has to tell word for word.
async fn log_that_the_feed_tells(session: &Session) -> Vec<(Option<String>, Vec<String>)> {
    let query = LogQuery {
        limit: 1_000,
        ..LogQuery::default()
    };
    let log = session.log(query).await.unwrap().records;
    let start = FeedStart::After(FeedPosition::from(Revision::ZERO));
    let query = FeedQuery {
        start,
        ..FeedQuery::default()
    };
    let mut feed = session.feed(query).await.unwrap();
    let mut told = Vec::new();
    while let Some(batch) = feed.next_within(Duration::ZERO).await.unwrap() {
        told.extend_from_slice(batch.records());
    }
    assert_eq!(told, log, "the feed and the log");
    let line = |record: nexus_fs::Record| {
        let change = |change: &nexus_fs::Change| {
            format!(
                "{} {} {:?}",
                change.kind.as_str(),
                change.path,
                change.old_path
            )
        };
        (
            record.operation,
            record.changes.iter().map(change).collect(),
        )
    };
    log.into_iter().map(line).collect()
}
