//! Retention: what goes of history, what stays, and what who reads there is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use nexus_fs::{
    At, ChangeKind, CompactReport, GrepQuery, ListOptions, LogQuery, NewSnapshot, RemoveOptions,
    RetentionLimits, Session, SetAttributes, SnapshotUpdate, Stores, VersionAt, WriteOptions, Zone,
    ZoneConfig,
};
use nexus_kernel::{Durability, Error, Freshness, KeyRange, Kind, Revision, Scan, Timestamp};
use nexus_service_api::{Clock, Context};

use crate::rights::confined;
use crate::support::{memory_stores, open_with, put, text, text_at};

mod contents;
mod forks;
mod lineage;
mod passes;
mod together;

const HOUR: Duration = Duration::from_secs(3600);

/// A clock that is set by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct Kept {
    stores: Stores,
    clock: Arc<Hand>,
    zone: Zone,
    files: Session,
}

impl Kept {
    async fn new() -> Self {
        Self::on(memory_stores()).await
    }

    async fn on(stores: Stores) -> Self {
        Self::with(stores, ZoneConfig::default()).await
    }

    /// Nothing lies inline, so that every content is counted.
    async fn with(stores: Stores, config: ZoneConfig) -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(1_000_000_000)));
        Self::by(clock, stores, config).await
    }

    async fn by(clock: Arc<Hand>, stores: Stores, config: ZoneConfig) -> Self {
        let config = ZoneConfig {
            clock: clock.clone(),
            inline_bytes_max: 0,
            content_cache_bytes: 0,
            ..config
        };
        let zone = open_with(&stores, config).await;
        Self {
            files: zone.session(Context::system()),
            stores,
            clock,
            zone,
        }
    }

    /// The zone, opened anew.
    async fn reopened(self) -> Self {
        let Self { stores, clock, .. } = self;
        Self::by(clock, stores, ZoneConfig::default()).await
    }

    /// How many rows there are of a kind.
    async fn rows(&self, prefix: &'static str) -> usize {
        let scan = Scan::forward(KeyRange::prefix(prefix), 1_000);
        let rows = self.stores.metastore.scan(scan, Freshness::Linearizable);
        rows.await.unwrap().entries.len()
    }

    /// What was a pin or a past state goes that nothing needs.
    async fn let_go(&self) {
        // The pins of a fork lapse one after the other.
        for _ in 0..4 {
            self.write("/later", "x").await;
            self.pass(HOUR * 2);
            self.write("/later", "y").await;
            self.compact().await;
        }
    }

    fn pass(&self, time: Duration) {
        let nanos = i64::try_from(time.as_nanos()).unwrap();
        self.clock.0.fetch_add(nanos, Ordering::SeqCst);
    }

    async fn keep(&self, pattern: &str, age: Option<Duration>, versions: Option<u64>) {
        let limits = RetentionLimits {
            max_age: age,
            max_versions: versions,
        };
        self.files.set_retention(pattern, limits).await.unwrap();
    }

    async fn compact(&self) -> CompactReport {
        self.files.compact(self.clock.now(), false).await.unwrap()
    }

    /// Writes, a minute later than what was before; answers the revision.
    async fn write(&self, path: &str, content: &str) -> Revision {
        self.pass(Duration::from_secs(60));
        put(&self.files, path, content).await;
        self.files.revision().await.unwrap()
    }

    /// Waits until every tree that was deleted has been cleared away.
    async fn cleared(&self) {
        let queue = || Scan::forward(KeyRange::prefix("q"), 1);
        let metastore = &self.stores.metastore;
        let queued = async || metastore.scan(queue(), Freshness::Linearizable).await;
        while !queued().await.unwrap().entries.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    async fn problems(&self) -> Vec<String> {
        let found = self.files.verify();
        let found = found.filter_map(|item| async { item.unwrap().problem });
        found.collect().await
    }
}

/// The oldest readable revision that a refusal names.
fn oldest(error: &Error) -> u64 {
    assert_eq!(error.kind(), Kind::NotFound, "{error:?}");
    error.fact("oldest_readable").unwrap().parse().unwrap()
}

fn at(revision: Revision) -> At {
    At::Revision(revision)
}

/// Unless a policy says otherwise, everything is kept.
#[tokio::test]
async fn without_policies_nothing_goes() {
    let kept = Kept::new().await;
    let first = kept.write("/f", "one").await;
    kept.write("/f", "two").await;
    kept.pass(1000 * HOUR);
    let report = kept.compact().await;
    assert_eq!((report.rows, report.oldest_readable), (0, Revision::ZERO));
    assert_eq!(text_at(&kept.files, "/f", at(first)).await, "one");
}

/// Setting and removing a policy is in the log, with its pattern, for those who may read the whole
/// tree: a pattern may name what others must not hear of.
#[tokio::test]
async fn policies_are_logged_for_those_who_see_all() {
    let (_zone, system, user) = confined().await;
    let limits = RetentionLimits::default();
    let pattern = "/team/**";
    system.set_retention(pattern, limits).await.unwrap();
    system.remove_retention(pattern).await.unwrap();
    let query = LogQuery {
        kinds: vec![ChangeKind::RetentionSet, ChangeKind::RetentionRemove],
        ..LogQuery::default()
    };
    let records = system.log(query.clone()).await.unwrap().records;
    let told = records.iter().map(|record| {
        let change = &record.changes[0];
        (change.kind, &change.path[..], change.subject.as_deref())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (ChangeKind::RetentionSet, "/", Some(pattern)),
            (ChangeKind::RetentionRemove, "/", Some(pattern)),
        ]
    );
    assert!(user.log(query).await.unwrap().records.is_empty());
}

/// With an age for the whole zone the oldest readable revision moves: what is older is refused by
/// every kind of read, and what is not reads as before.
#[tokio::test]
async fn history_older_than_its_age_is_refused_everywhere() {
    let kept = Kept::new().await;
    let first = kept.write("/d/f", "one").await;
    kept.write("/d/f", "two").await;
    let last = kept.write("/d/g", "three").await;
    kept.pass(2 * HOUR);
    let young = kept.write("/d/f", "four").await;
    kept.keep("/**", Some(HOUR), None).await;
    let report = kept.compact().await;
    assert_eq!(report.oldest_readable, last);
    assert_eq!(report.versions, 1);

    let files = &kept.files;
    let old = || at(first);
    let list = ListOptions {
        at: old(),
        ..ListOptions::default()
    };
    let grep = GrepQuery {
        pattern: "one".into(),
        path: "/".into(),
        at: old(),
        ..GrepQuery::default()
    };
    for refused in [
        files.stat("/", old()).await.unwrap_err(),
        files.read("/d/f", old()).await.unwrap_err(),
        files.list("/d", list).await.unwrap_err(),
        files.metadata("/d/f", old()).await.unwrap_err(),
        files.usage("/", old()).await.unwrap_err(),
        files.as_of(old()).await.err().unwrap(),
        files.grep(grep).next().await.unwrap().unwrap_err(),
        files.read_version("/d/f", 1).await.unwrap_err(),
        files.stat("/", At::Time(Timestamp(1))).await.unwrap_err(),
        files
            .diff("/d/f", VersionAt::At(old()), VersionAt::At(At::Latest))
            .await
            .unwrap_err(),
    ] {
        assert!(oldest(&refused) >= last.0, "{refused:?}");
    }
    assert_eq!(text_at(files, "/d/f", at(last)).await, "two");
    assert_eq!(text_at(files, "/d/f", at(young)).await, "four");
    assert_eq!(text_at(files, "/d/f", At::Ago(HOUR)).await, "two");
    let versions = files.versions("/d/f", 10, None).await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [3, 2]);
    let log = files.log(LogQuery::default()).await.unwrap().records;
    assert_eq!(log[0].revision, last);
    assert!(kept.problems().await.is_empty());
}

/// A policy of a path lets its versions go where the zone keeps others; who reads such a state is
/// told so, and never that there is no such file.
#[tokio::test]
async fn a_policy_of_a_path_makes_a_hole_that_is_told() {
    let kept = Kept::new().await;
    let mut revisions = Vec::new();
    for i in 1..=5 {
        revisions.push(kept.write("/logs/f", &format!("{i}")).await);
        kept.write("/job/f", &format!("{i}")).await;
    }
    kept.keep("/logs/**", None, Some(2)).await;
    let report = kept.compact().await;
    assert_eq!(
        (report.versions, report.oldest_readable),
        (3, Revision::ZERO)
    );
    let files = &kept.files;
    for (i, revision) in revisions.iter().enumerate() {
        if i < 3 {
            let refused = files.read("/logs/f", at(*revision)).await.unwrap_err();
            assert_eq!(oldest(&refused), revisions[3].0);
            let refused = files
                .read_version("/logs/f", i as u64 + 1)
                .await
                .unwrap_err();
            assert_eq!(oldest(&refused), revisions[3].0);
            let names = ListOptions {
                at: at(*revision),
                ..ListOptions::default()
            };
            assert_eq!(files.list("/logs", names).await.unwrap().entries.len(), 1);
        } else {
            let content = format!("{}", i + 1);
            assert_eq!(text_at(files, "/logs/f", at(*revision)).await, content);
        }
        let other = at(revision.next());
        assert_eq!(text_at(files, "/job/f", other).await, format!("{}", i + 1));
    }
    let before = at(Revision(revisions[0].0 - 1));
    let refused = files.stat("/logs/f", before).await.unwrap_err();
    assert!(refused.fact("oldest_readable").is_none(), "{refused:?}");
    assert!(kept.problems().await.is_empty());
}

/// The most specific policy holds, and the zone's history reaches back as far as any policy wants.
#[tokio::test]
async fn the_most_specific_policy_holds() {
    let kept = Kept::new().await;
    let paths = ["/a/f", "/a/keep/f", "/a/keep/one", "/b/f"];
    let mut first = Revision::ZERO;
    for path in paths {
        first = kept.write(path, "old").await;
    }
    for path in paths {
        kept.write(path, "new").await;
    }
    kept.pass(10 * HOUR);
    kept.write("/last", "x").await;
    kept.keep("/**", Some(HOUR), None).await;
    kept.keep("/a/**", Some(Duration::from_secs(1)), None).await;
    kept.keep("/a/keep/**", None, None).await;
    kept.keep("/a/keep/one", None, Some(1)).await;
    assert_eq!(kept.compact().await.oldest_readable, Revision::ZERO);
    assert_eq!(text_at(&kept.files, "/a/keep/f", at(first)).await, "old");
    for path in ["/a/f", "/a/keep/one", "/b/f"] {
        oldest(&kept.files.read(path, at(first)).await.unwrap_err());
    }
    kept.files.remove_retention("/a/keep/**").await.unwrap();
    kept.files.remove_retention("/a/keep/one").await.unwrap();
    assert!(kept.compact().await.oldest_readable > first);
    oldest(&kept.files.stat("/", at(first)).await.unwrap_err());
}

/// What a snapshot holds stays, and goes when the snapshot goes; the revisions beside it do not
/// stay.
#[tokio::test]
async fn what_a_snapshot_needs_stays() {
    let kept = Kept::new().await;
    let first = kept.write("/d/f", "one").await;
    let new = NewSnapshot {
        name: Some("s".into()),
        ..NewSnapshot::default()
    };
    kept.files.create_snapshot("/d", new).await.unwrap();
    kept.write("/d/f", "two").await;
    kept.write("/d/f", "three").await;
    kept.files
        .remove("/d/f", RemoveOptions::default())
        .await
        .unwrap();
    kept.pass(2 * HOUR);
    kept.write("/x", "x").await;
    kept.pass(2 * HOUR);
    kept.keep("/**", Some(HOUR), Some(1)).await;
    kept.compact().await;
    let point = At::Snapshot("s".into());
    assert_eq!(text_at(&kept.files, "/d/f", point.clone()).await, "one");
    oldest(&kept.files.read("/d/f", at(first)).await.unwrap_err());
    assert!(kept.files.gc(false).await.unwrap().blobs <= 2);
    assert_eq!(text_at(&kept.files, "/d/f", point).await, "one");
    assert!(kept.problems().await.is_empty());

    kept.files.delete_snapshot("s").await.unwrap();
    assert!(kept.files.gc(false).await.unwrap().blobs == 1);
    let blobs = kept.stores.objects.list("b/", None, 100).await.unwrap();
    assert_eq!(blobs.objects.len(), 1);
    assert!(kept.problems().await.is_empty());
}

/// History is collected now and then, without being asked for.
#[tokio::test(start_paused = true)]
async fn history_is_collected_now_and_then() {
    let kept = Kept::new().await;
    let first = kept.write("/f", "one").await;
    kept.write("/f", "two").await;
    kept.keep("/**", None, Some(1)).await;
    let collected = async {
        while kept.zone.stats().collected == 0 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    };
    tokio::time::timeout(HOUR, collected).await.unwrap();
    oldest(&kept.files.read("/f", at(first)).await.unwrap_err());
}

/// A snapshot that has expired goes with the next collection, unless it is pinned.
#[tokio::test]
async fn a_snapshot_expires() {
    let kept = Kept::new().await;
    for (name, pinned) in [("held", true), ("brief", false)] {
        let new = NewSnapshot {
            name: Some(name.into()),
            pinned,
            expires: Some(Timestamp(kept.clock.now().0 + 1_000_000_000)),
            ..NewSnapshot::default()
        };
        kept.files.create_snapshot("/", new).await.unwrap();
    }
    assert_eq!(kept.compact().await.snapshots, 0);
    kept.pass(HOUR);
    let would = kept.files.compact(kept.clock.now(), true).await.unwrap();
    assert_eq!(would.snapshots, 1);
    assert_eq!(kept.compact().await.snapshots, 1);
    assert!(kept.files.snapshot("brief").await.is_err());
    let unpin = SnapshotUpdate {
        pinned: Some(false),
        ..SnapshotUpdate::default()
    };
    kept.files.update_snapshot("held", unpin).await.unwrap();
    assert_eq!(kept.compact().await.snapshots, 1);
}

/// A dry run tells what would go, and nothing goes.
#[tokio::test]
async fn a_dry_run_tells_what_would_go() {
    let kept = Kept::new().await;
    let shared = "the same content";
    let first = kept.write("/f", "one").await;
    kept.write("/f", shared).await;
    kept.write("/g", shared).await;
    kept.write("/f", "three").await;
    let mode = SetAttributes {
        mode: Some(0o600),
        ..SetAttributes::default()
    };
    kept.files
        .set_attributes("/f", mode, Durability::Sync)
        .await
        .unwrap();
    kept.keep("/**", None, Some(1)).await;
    let would = kept.files.gc(true).await.unwrap();
    assert_eq!((would.versions, would.blobs, would.bytes), (2, 1, 3));
    assert_eq!(text_at(&kept.files, "/f", at(first)).await, "one");
    let did = kept.files.gc(false).await.unwrap();
    assert_eq!((did.versions, did.rows), (would.versions, would.rows));
    assert_eq!((did.blobs, did.bytes), (would.blobs, would.bytes));
    assert_eq!(text(&kept.files, "/g").await, shared);
    assert_eq!(kept.compact().await.rows, 0);
}

/// The chunks of a large content go with its last version, in the same commit.
#[tokio::test]
async fn the_chunks_of_a_large_content_go_with_it() {
    let kept = Kept::new().await;
    let large = Bytes::from(
        (0..3_000_000_u32)
            .flat_map(u32::to_be_bytes)
            .collect::<Vec<_>>(),
    );
    let options = WriteOptions::default;
    kept.files.write("/f", large, options()).await.unwrap();
    kept.write("/f", "small").await;
    kept.keep("/**", None, Some(1)).await;
    let would = kept.files.gc(true).await.unwrap();
    assert_eq!((would.versions, would.bytes), (1, 12_000_000));
    kept.compact().await;
    let left = kept.files.gc(true).await.unwrap();
    assert_eq!(left.bytes, 12_000_000);
    kept.files.gc(false).await.unwrap();
    let blobs = kept.stores.objects.list("b/", None, 100).await.unwrap();
    assert_eq!(blobs.objects.len(), 1);
    assert!(kept.problems().await.is_empty());
}

/// Who reads a past state while retention passes it is told so, and never gets something else.
#[tokio::test]
async fn a_reader_that_retention_passes_is_told() {
    let kept = Kept::new().await;
    let large = Bytes::from(
        (0..3_000_000_u32)
            .flat_map(u32::to_be_bytes)
            .collect::<Vec<_>>(),
    );
    let options = WriteOptions::default;
    let first = kept.files.write(
        "/d/f",
        large,
        WriteOptions {
            parents: true,
            ..options()
        },
    );
    let first = first.await.unwrap().revision;
    kept.write("/d/f", "two").await;
    let past = kept.files.as_of(at(first)).await.unwrap();
    let ino = past.lookup(nexus_fs::Ino::ROOT, "d").await.unwrap().ino;
    let file = past.lookup(ino, "f").await.unwrap().ino;
    let open = past.open(file).await.unwrap();
    let mut stream = kept.files.open("/d/f", at(first), None).await.unwrap().body;

    kept.pass(2 * HOUR);
    kept.write("/x", "x").await;
    kept.pass(2 * HOUR);
    kept.keep("/**", Some(HOUR), None).await;
    kept.files.gc(false).await.unwrap();
    oldest(&past.lookup(ino, "f").await.unwrap_err());
    oldest(&past.readdir(ino, None, 10, false).await.unwrap_err());
    oldest(&past.getattr(file).await.unwrap_err());
    oldest(&open.read(0, 100).await.unwrap_err());
    let mut end = Ok(Bytes::new());
    while let Some(piece) = stream.next().await {
        end = piece;
    }
    oldest(&end.unwrap_err());
}

/// A policy that is none is refused, and only administrators set policies or collect.
#[tokio::test]
async fn bad_policies_are_refused() {
    let kept = Kept::new().await;
    let files = &kept.files;
    let limits = |age: Option<Duration>, versions| RetentionLimits {
        max_age: age,
        max_versions: versions,
    };
    let long = format!("/{}", "x".repeat(600));
    for (pattern, limits) in [
        ("logs/**", limits(Some(HOUR), None)),
        ("/[", limits(Some(HOUR), None)),
        ("", limits(Some(HOUR), None)),
        (&long, limits(Some(HOUR), None)),
        ("/**", limits(Some(Duration::ZERO), None)),
        ("/**", limits(Some(HOUR * 24 * 365 * 101), None)),
        ("/**", limits(None, Some(0))),
    ] {
        let refused = files.set_retention(pattern, limits).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument, "{pattern}");
    }
    let refused = files.remove_retention("/none/**").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
    assert!(files.retention().await.unwrap().is_empty());

    let (_zone, _, user) = confined().await;
    for refused in [
        user.set_retention("/team/**", limits(None, None))
            .await
            .err(),
        user.retention().await.err(),
        user.remove_retention("/**").await.err(),
        user.compact(Timestamp(0), false).await.err(),
    ] {
        assert_eq!(refused.unwrap().kind(), Kind::PermissionDenied);
    }
}

/// The oldest readable revision is known again when a zone is opened.
#[tokio::test]
async fn the_floor_outlives_a_zone() {
    let kept = Kept::new().await;
    let first = kept.write("/f", "one").await;
    kept.write("/f", "two").await;
    kept.pass(2 * HOUR);
    kept.keep("/**", Some(HOUR), None).await;
    let floor = kept.compact().await.oldest_readable;
    let again = Kept::on(kept.stores.clone()).await;
    assert_eq!(again.zone.stats().oldest_readable, floor);
    oldest(&again.files.stat("/", at(first)).await.unwrap_err());
}
