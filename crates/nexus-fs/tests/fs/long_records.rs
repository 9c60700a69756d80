//! Commits whose record takes several rows of the store, and whoever reads them.

use std::time::Duration;

use futures::TryStreamExt;
use nexus_fs::{
    At, BatchStep, Change, DiffTreeOptions, FeedPosition, FeedQuery, FeedStart, LogQuery, Record,
    RetentionLimits, Session, Stores, UndoOptions, UndoWhat, WriteOptions, Zone,
};
use nexus_kernel::{Durability, Freshness, KeyRange, Limits, Metastore, Revision, Scan, Timestamp};
use nexus_service_api::Context;

use crate::costs::limited;
use crate::support::{memory_stores, open, put};

const FILES: usize = 200;

/// A zone whose values are so short that a record of [`FILES`] changes takes many.
struct World {
    stores: Stores,
    _zone: Zone,
    files: Session,
    /// Before the commit of many changes.
    before: Revision,
    /// That commit.
    long: Revision,
}

impl World {
    async fn new() -> Self {
        let (metastore, zone, _) = limited(Limits {
            value_bytes_max: 4 << 10,
            ..Limits::STANDARD
        })
        .await;
        let files = zone.session(Context {
            session: Some("run".into()),
            ..Context::system()
        });
        put(&files, "/d/first", "1").await;
        let before = files.revision().await.unwrap();
        let steps = (0..FILES).map(|n| BatchStep::Write {
            path: path(n),
            content: "x".into(),
            options: WriteOptions::default(),
        });
        let done = files.batch(steps.collect(), Durability::Sync).await;
        let long = done.unwrap()[0].revision;
        put(&files, "/d/last", "2").await;
        let stores = Stores {
            metastore,
            ..memory_stores()
        };
        let world = Self {
            stores,
            _zone: zone,
            files,
            before,
            long,
        };
        assert!(world.further_rows().await > 5);
        world
    }

    async fn further_rows(&self) -> usize {
        further_rows(&*self.stores.metastore).await
    }

    async fn log(&self, query: LogQuery) -> Vec<Record> {
        self.files.log(query).await.unwrap().records
    }

    async fn undo(&self, revision: Revision) -> Revision {
        let undo = UndoOptions::new(UndoWhat::Operation(revision));
        self.files.undo(undo).await.unwrap().revisions[0]
    }

    async fn count(&self) -> u64 {
        self.files.usage("/d", At::Latest).await.unwrap().files
    }
}

fn path(n: usize) -> String {
    format!("/d/{n:0100}")
}

async fn further_rows(metastore: &dyn Metastore) -> usize {
    let scan = Scan::forward(KeyRange::prefix("L"), 1_000);
    let page = metastore.scan(scan, Freshness::Linearizable).await;
    page.unwrap().entries.len()
}

/// All changes are there, in order, each with its place.
fn assert_whole(record: &Record) {
    let sequence = |change: &Change| change.sequence as usize;
    let places: Vec<usize> = record.changes.iter().map(sequence).collect();
    assert_eq!(places, (0..FILES).collect::<Vec<_>>());
    let paths = record.changes.iter().map(|change| change.path.clone());
    assert!(paths.eq((0..FILES).map(path)));
}

#[tokio::test]
async fn the_log_tells_all_of_it() {
    let world = World::new().await;
    for newest_first in [false, true] {
        for session in [None, Some("run".to_owned())] {
            let query = LogQuery {
                path_prefix: Some(path(FILES - 1)),
                session,
                newest_first,
                ..LogQuery::default()
            };
            let records = world.log(query).await;
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].revision, world.long);
            assert_whole(&records[0]);
        }
    }
    assert_eq!(world.log(LogQuery::default()).await.len(), 3);
}

#[tokio::test]
async fn a_feed_tells_all_of_it_and_goes_on_within() {
    let world = World::new().await;
    let told = async |position: FeedPosition| {
        let query = FeedQuery {
            start: FeedStart::After(position),
            ..FeedQuery::default()
        };
        let mut feed = world.files.feed(query).await.unwrap();
        let mut records = Vec::new();
        while let Some(batch) = feed.next_within(Duration::ZERO).await.unwrap() {
            records.extend(batch.records().to_vec());
        }
        records
    };
    let records = told(world.before.into()).await;
    assert_eq!(records.len(), 2);
    assert_whole(&records[0]);
    let late = u32::try_from(FILES).unwrap() - 3;
    let rest = told(FeedPosition::within(world.long, late)).await;
    let paths = rest[0].changes.iter().map(|change| change.path.clone());
    assert!(paths.eq([path(FILES - 2), path(FILES - 1)]));
    assert_eq!(rest.len(), 2);
}

#[tokio::test]
async fn trees_differ_by_all_of_it() {
    let world = World::new().await;
    let between = (At::Revision(world.before), At::Revision(world.long));
    let options = DiffTreeOptions::default();
    let diff = world.files.diff_tree("/", between.0, between.1, options);
    let diff = diff.await.unwrap();
    assert_eq!(diff.changes.len(), FILES);
}

#[tokio::test]
async fn all_of_it_is_undone_and_done_again() {
    let world = World::new().await;
    let undo = world.undo(world.long).await;
    assert_eq!(world.count().await, 2);
    let redo = world.undo(undo).await;
    assert_eq!(world.count().await, FILES as u64 + 2);
    world.undo(redo).await;
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn nothing_is_left_of_it_when_history_is_compacted() {
    let world = World::new().await;
    let limits = RetentionLimits {
        max_age: Some(Duration::from_secs(1)),
        ..RetentionLimits::default()
    };
    world.files.set_retention("/**", limits).await.unwrap();
    let later = Timestamp(world.files.now().0 + 60_000_000_000);
    world.files.compact(later, false).await.unwrap();
    assert!(world.log(LogQuery::default()).await.len() < 3);
    assert_eq!(world.further_rows().await, 0);
    assert_eq!(world.count().await, FILES as u64 + 2);
}

#[tokio::test]
async fn an_archive_has_all_of_it() {
    let world = World::new().await;
    let archive = world.files.export_zone(Default::default()).await.unwrap();
    let archive: Vec<bytes::Bytes> = archive.try_collect().await.unwrap();
    let stores = memory_stores();
    Zone::import(&stores, &archive.concat()[..], |_, _| {})
        .await
        .unwrap();
    assert_eq!(
        further_rows(&*stores.metastore).await,
        world.further_rows().await
    );
    let copy = open(&stores).await.session(Context::system());
    let records = copy.log(LogQuery::default()).await.unwrap().records;
    assert_eq!(records, world.log(LogQuery::default()).await);
}
