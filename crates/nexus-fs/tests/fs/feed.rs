//! The change feed: all of it, once, in order, to everybody.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{
    BatchStep, ChangeKind, Feed, FeedPosition, FeedQuery, FeedStart, LogQuery, Record,
    RetentionLimits, Session, Stores, WriteOptions, ZoneConfig,
};
use nexus_kernel::{Durability, Kind, Revision};
use nexus_service_api::{Context, Principal, PrincipalKind, Revocation};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::support::{fresh, memory_stores, open, open_with, put};

mod bounds;
mod tail;

type Told = (FeedPosition, ChangeKind, String);

fn told(records: &[Record]) -> Vec<Told> {
    let changes = records.iter().flat_map(|record| {
        let at = |sequence| FeedPosition::within(record.revision, sequence);
        let told = move |change: &nexus_fs::Change| {
            (at(change.sequence), change.kind, change.path.clone())
        };
        record.changes.iter().map(told)
    });
    changes.collect()
}

fn from(start: impl Into<FeedStart>) -> FeedQuery {
    FeedQuery {
        start: start.into(),
        ..FeedQuery::default()
    }
}

fn after(position: FeedPosition) -> FeedQuery {
    from(FeedStart::After(position))
}

/// All that is left to tell.
async fn rest(feed: &mut Feed) -> Vec<Told> {
    let mut all = Vec::new();
    while let Some(batch) = feed.next_within(Duration::ZERO).await.unwrap() {
        all.extend(told(batch.records()));
    }
    all
}

async fn whole_log(files: &Session) -> Vec<Told> {
    let records = files.log_stream(LogQuery::default()).map(Result::unwrap);
    told(&records.collect::<Vec<_>>().await)
}

/// One commit that writes these files.
async fn batch(files: &Session, paths: &[String]) -> Revision {
    let steps = paths.iter().map(|path| BatchStep::Write {
        path: path.clone(),
        content: "x".into(),
        options: WriteOptions {
            parents: true,
            ..WriteOptions::default()
        },
    });
    let done = files.batch(steps.collect(), Durability::Relaxed).await;
    done.unwrap()[0].revision
}

/// A feed goes on in the middle of a commit, after the change that it saw last.
#[tokio::test]
async fn a_feed_goes_on_in_the_middle_of_a_commit() {
    let (_zone, files) = fresh().await;
    let paths: Vec<_> = (0..4).map(|i| format!("/{i}")).collect();
    let revision = batch(&files, &paths).await;
    for seen in 0..4 {
        let position = FeedPosition::within(revision, seen);
        let mut feed = files.feed(after(position)).await.unwrap();
        let left: Vec<_> = rest(&mut feed)
            .await
            .into_iter()
            .map(|told| told.2)
            .collect();
        assert_eq!(left, paths[seen as usize + 1..], "after {position}");
        assert_eq!(feed.position(), revision.into());
    }
}

/// Positions are written as a revision, or with the number of a change, and read back.
#[test]
fn positions_are_written_and_read_back() {
    let revision = |number| FeedPosition::from(Revision(number));
    for (text, position) in [
        ("0", revision(0)),
        ("42", revision(42)),
        ("42.0", FeedPosition::within(Revision(42), 0)),
        (
            "18446744073709551615.7",
            FeedPosition::within(Revision(u64::MAX), 7),
        ),
    ] {
        assert_eq!(text.parse::<FeedPosition>().unwrap(), position);
        assert_eq!(position.to_string(), text);
    }
    for text in [
        "",
        ".",
        "1.",
        ".1",
        "1.1.1",
        "+1",
        "1.-1",
        " 1",
        "1.4294967296",
        "x",
    ] {
        let error = text.parse::<FeedPosition>().unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{text:?}");
    }
    let order = ["41", "42.0", "42.1", "42", "43.0"];
    let order = order.map(|text| text.parse::<FeedPosition>().unwrap());
    assert!(order.is_sorted());
}

/// A feed tells only what is asked for: by path, kind, actor and run, and all of that together.
#[tokio::test]
async fn a_feed_is_narrowed() {
    let (zone, files) = fresh().await;
    let agent = Principal {
        kind: PrincipalKind::Agent,
        id: "crawler".into(),
        ..Principal::system()
    };
    let mut context = Context::new(Arc::new(agent));
    context.session = Some("run-1".into());
    let crawler = zone.session(context);
    put(&files, "/a/1", "x").await;
    put(&crawler, "/a/2", "x").await;
    put(&crawler, "/b/3", "x").await;
    files
        .remove(
            "/a",
            nexus_fs::RemoveOptions {
                recursive: true,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    let beginning = || from(Revision(0));
    let cases = [
        (
            FeedQuery {
                patterns: vec!["/a/*".into()],
                kinds: vec![ChangeKind::FileWrite],
                ..beginning()
            },
            vec!["/a/1", "/a/2"],
        ),
        (
            FeedQuery {
                patterns: vec!["/a/1".into(), "/b/*".into()],
                ..beginning()
            },
            vec!["/a/1", "/b/3", "/a"],
        ),
        (
            FeedQuery {
                actor: Some("agent:crawler".into()),
                kinds: vec![ChangeKind::FileWrite],
                ..beginning()
            },
            vec!["/a/2", "/b/3"],
        ),
        (
            FeedQuery {
                session: Some("run-1".into()),
                kinds: vec![ChangeKind::DirCreate],
                ..beginning()
            },
            vec!["/b"],
        ),
        (
            FeedQuery {
                kinds: vec![ChangeKind::DirDelete, ChangeKind::FileDelete],
                ..beginning()
            },
            vec!["/a"],
        ),
        (
            FeedQuery {
                session: Some("run-2".into()),
                ..beginning()
            },
            vec![],
        ),
    ];
    for (query, expected) in cases {
        let shown = format!("{query:?}");
        let mut feed = files.feed(query).await.unwrap();
        let paths: Vec<_> = rest(&mut feed)
            .await
            .into_iter()
            .map(|told| told.2)
            .collect();
        assert_eq!(paths, expected, "{shown}");
        assert_eq!(
            feed.position(),
            files.revision().await.unwrap().into(),
            "{shown}"
        );
    }
}

/// A feed of another zone than the caller's is refused, as are too many patterns.
#[tokio::test]
async fn a_feed_of_another_zone_is_refused() {
    let (_zone, files) = fresh().await;
    let query = |zone: &str| FeedQuery {
        zone: Some(zone.into()),
        ..FeedQuery::default()
    };
    assert!(files.feed(query("root")).await.is_ok());
    let error = files.feed(query("other")).await.err().unwrap();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    let many = FeedQuery {
        patterns: vec!["/*".into(); nexus_fs::FEED_PATTERNS_MAX + 1],
        ..FeedQuery::default()
    };
    assert_eq!(
        files.feed(many).await.err().unwrap().kind(),
        Kind::LimitExceeded
    );
}

/// As many feeds are open at a time as may be, and one that is closed makes room.
#[tokio::test]
async fn feeds_have_a_limit() {
    let config = ZoneConfig {
        feeds_max: 2,
        ..ZoneConfig::default()
    };
    let zone = open_with(&memory_stores(), config).await;
    let files = zone.session(Context::system());
    let first = files.feed(FeedQuery::default()).await.unwrap();
    let _second = files.feed(FeedQuery::default()).await.unwrap();
    let error = files.feed(FeedQuery::default()).await.err().unwrap();
    assert_eq!(
        (error.kind(), error.fact("feeds_max")),
        (Kind::LimitExceeded, Some("2"))
    );
    assert_eq!(zone.stats().feeds, 2);
    drop(first);
    assert!(files.feed(FeedQuery::default()).await.is_ok());
}

/// What a door makes of commits is made once for all who are told the same.
#[tokio::test]
async fn what_is_made_of_a_batch_is_made_once() {
    let (_zone, files) = fresh().await;
    let query = || from(FeedStart::Now);
    let mut feeds = Vec::new();
    for _ in 0..3 {
        feeds.push(files.feed(query()).await.unwrap());
    }
    let narrowed = FeedQuery {
        patterns: vec!["/**".into()],
        ..query()
    };
    let mut narrowed = files.feed(narrowed).await.unwrap();
    // Whoever asks has something read for all.
    let (first, ()) = tokio::join!(feeds[0].next(), put(&files, "/a", "x"));
    let made = first.unwrap().derived(<[Record]>::len);
    for feed in &mut feeds[1..] {
        let again = feed
            .next()
            .await
            .unwrap()
            .derived(|_| panic!("it was made"));
        let again: Arc<usize> = again;
        assert!(Arc::ptr_eq(&made, &again));
    }
    let own = narrowed.next().await.unwrap().derived(<[Record]>::len);
    assert!(
        !Arc::ptr_eq(&made, &own),
        "another part may be another value"
    );
}

/// A feed that waits hears of the next change at once, and of nothing else.
#[tokio::test(start_paused = true)]
async fn a_feed_that_waits_hears_of_the_next_change() {
    let (_zone, files) = fresh().await;
    let mut feed = files.feed(FeedQuery::default()).await.unwrap();
    let nothing = feed.next_within(Duration::from_secs(30)).await.unwrap();
    assert!(nothing.is_none());
    let (batch, ()) = tokio::join!(feed.next(), put(&files, "/a", "x"));
    assert_eq!(told(batch.unwrap().records())[0].2, "/a");
}

/// A feed that waits ends with its credential.
#[tokio::test(start_paused = true)]
async fn a_feed_that_waits_ends_with_its_credential() {
    let (zone, _) = fresh().await;
    let revocation = Revocation::default();
    let principal = Principal {
        revocation: revocation.clone(),
        ..Principal::system()
    };
    let user = zone.session(Context::new(Arc::new(principal)));
    let mut feed = user.feed(FeedQuery::default()).await.unwrap();
    assert!(
        feed.next_within(Duration::from_secs(5))
            .await
            .unwrap()
            .is_none()
    );
    revocation.revoke();
    assert_eq!(feed.next().await.unwrap_err().kind(), Kind::Unauthenticated);
}

/// How a reader of the property test behaves.
#[derive(Clone, Debug)]
struct Habits {
    /// Of 100 batches, after how many it pauses.
    pauses: u8,
    /// Of 100 batches, after how many it comes anew at where it was, and after how many at an
    /// event in the middle of the batch, as if the rest had been lost on the way.
    reconnects: u8,
    loses: u8,
    durable: bool,
}

fn habits() -> impl Strategy<Value = Habits> {
    let share = || prop_oneof![Just(0_u8), 0..40_u8];
    (share(), share(), share(), any::<bool>()).prop_map(|(pauses, reconnects, loses, durable)| {
        Habits {
            pauses,
            reconnects,
            loses,
            durable,
        }
    })
}

/// Reads until it has seen the last change, once that is known.
async fn read(
    files: Session,
    start: FeedPosition,
    last: watch::Receiver<Option<FeedPosition>>,
    habits: Habits,
    seed: u64,
) -> Vec<Told> {
    let mut random = StdRng::seed_from_u64(seed);
    let query = |position| FeedQuery {
        durable: habits.durable,
        ..after(position)
    };
    let mut feed = files.feed(query(start)).await.unwrap();
    let mut seen: Vec<Told> = Vec::new();
    let is_done = |seen: &[Told]| {
        let at = seen.last().map_or(start, |(at, _, _)| *at);
        last.borrow().is_some_and(|last| last <= at)
    };
    loop {
        let batch = feed.next_within(Duration::from_millis(5)).await.unwrap();
        seen.extend(batch.iter().flat_map(|batch| told(batch.records())));
        if is_done(&seen) {
            return seen;
        }
        if random.random_range(0..100) < habits.pauses {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..5))).await;
        }
        if random.random_range(0..100) < habits.reconnects {
            feed = files.feed(query(feed.position())).await.unwrap();
        }
        if random.random_range(0..100) < habits.loses {
            seen.truncate(seen.len().saturating_sub(random.random_range(0..20)));
            let position = seen.last().map_or(start, |(at, _, _)| *at);
            feed = files.feed(query(position)).await.unwrap();
        }
    }
}

/// Commits of one to five changes; where the last one is.
async fn write(files: Session, name: u64, commits: u64) -> FeedPosition {
    let mut last = FeedPosition::from(Revision(0));
    for i in 0..commits {
        let count = 1 + (name + i) % 5;
        let paths: Vec<_> = (0..count).map(|j| format!("/{name}-{i}-{j}")).collect();
        let revision = batch(&files, &paths).await;
        last = FeedPosition::within(revision, count as u32 - 1);
        if i % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    last
}

/// Each life of the zone begins with what the one before it wrote.
async fn everybody_sees_everything_once(stores: Stores, readers: Vec<Habits>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for life in 0..3 {
        let zone = open(&stores).await;
        let files = zone.session(Context::system());
        let before = whole_log(&files).await;
        let (tell, last) = watch::channel(None);
        let mut reading = Vec::new();
        for habits in readers.clone() {
            let known = random.random_range(0..=before.len());
            let position = before[..known].last().map(|(at, _, _)| *at);
            let start = position.unwrap_or(Revision(0).into());
            let reader = read(files.clone(), start, last.clone(), habits, random.random());
            reading.push((known, tokio::spawn(reader)));
        }
        let writers = (0..3).map(|writer| write(files.clone(), life * 10 + writer, 60));
        let ends = futures::future::join_all(writers.map(tokio::spawn)).await;
        tell.send(
            ends.into_iter()
                .map(|end| Some(end.unwrap()))
                .max()
                .unwrap(),
        )
        .unwrap();
        let log = whole_log(&files).await;
        for (known, reader) in reading {
            assert_eq!(reader.await.unwrap(), log[known..], "life {life}");
        }
        zone.close().await.unwrap();
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// However fast or slow readers are, whenever they begin, break off and come again, and
    /// whenever the zone is opened anew: each sees every change once, in order.
    #[test]
    fn everybody_sees_every_change_once_in_order(
        readers in proptest::collection::vec(habits(), 1..6),
        seed in any::<u64>(),
    ) {
        run(everybody_sees_everything_once(memory_stores(), readers, seed));
    }

    /// The same on redb.
    #[test]
    fn everybody_sees_every_change_once_in_order_on_redb(
        readers in proptest::collection::vec(habits(), 1..4),
        seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("metastore.redb"));
        let stores = Stores {
            metastore: RedbMetastore::open(&config).unwrap(),
            ..memory_stores()
        };
        run(everybody_sees_everything_once(stores, readers, seed));
    }
}

/// A reader that takes nothing holds no writer up, and finds all when it comes back.
#[tokio::test]
async fn a_reader_that_takes_nothing_holds_nobody_up() {
    let (_zone, files) = fresh().await;
    let mut slow = files.feed(FeedQuery::default()).await.unwrap();
    let mut fast = files.watch(FeedQuery::default());
    let big: Vec<_> = (0..100)
        .map(|i| format!("/{}/{i}", "d".repeat(200)))
        .collect();
    for _ in 0..100 {
        let (record, _) = tokio::join!(fast.next(), batch(&files, &big));
        record.unwrap().unwrap();
    }
    let seen = rest(&mut slow).await;
    assert!(seen == whole_log(&files).await);
}

/// A feed from a position whose changes are kept no longer is refused, and one that falls behind
/// what is kept is told so; each with the oldest readable revision, from which it can go on.
#[tokio::test]
async fn a_feed_that_fell_behind_compaction_is_told_so() {
    let (zone, files) = fresh().await;
    for i in 0..1_000 {
        put(&files, &format!("/{i}"), "x").await;
    }
    let mut behind = files.feed(from(Revision(0))).await.unwrap();
    let mut seen = told(behind.next().await.unwrap().records());
    let an_hour = RetentionLimits {
        max_age: Some(Duration::from_secs(3600)),
        ..RetentionLimits::default()
    };
    files.set_retention("/**", an_hour).await.unwrap();
    let later = files.now().plus_nanos(7_200_000_000_000);
    files.compact(later, false).await.unwrap();
    let floor = zone.stats().oldest_readable;
    put(&files, "/last", "x").await;
    let error = loop {
        match behind.next().await {
            Ok(batch) => seen.extend(told(batch.records())),
            Err(error) => break error,
        }
    };
    assert!(seen.len() < 1_000 && seen.is_sorted_by_key(|(at, _, _)| *at));
    let refused = files.feed(from(Revision(5))).await.err().unwrap();
    for error in [error, refused] {
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(
            error.fact("oldest_readable"),
            Some(floor.to_string().as_str())
        );
    }
    let mut again = files.feed(from(floor)).await.unwrap();
    let left = rest(&mut again).await;
    assert_eq!(left.last().unwrap().2, "/last");
    assert_eq!(
        left,
        whole_log(&files).await[1..],
        "the record of the floor is kept"
    );
}
