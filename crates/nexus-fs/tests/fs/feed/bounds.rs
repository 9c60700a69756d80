//! What readers of the feed may take of a node.

use std::sync::Arc;
use std::time::Duration;

use nexus_fs::{At, CursorName, DiffTreeOptions, FeedQuery, LogQuery, Session, Zone, ZoneConfig};
use nexus_kernel::{Durability, Kind, Limits, Revision};
use nexus_service_api::{Context, Principal, PrincipalKind};

use super::{batch, from, rest};
use crate::costs::limited;
use crate::support::{memory_stores, open_with};

fn keyed(zone: &Zone, key: &str) -> Session {
    zone.session(Context::new(Arc::new(Principal {
        kind: PrincipalKind::Agent,
        key_id: Some(key.into()),
        ..Principal::system()
    })))
}

/// However many feeds one key opens, others find room; what it closes it may open again.
#[tokio::test]
async fn one_key_leaves_room_for_the_feeds_of_others() {
    let config = ZoneConfig {
        feeds_max: 8,
        ..ZoneConfig::default()
    };
    let zone = open_with(&memory_stores(), config).await;
    let (one, other) = (keyed(&zone, "one"), keyed(&zone, "other"));
    let mut feeds = Vec::new();
    for _ in 0..2 {
        feeds.push(one.feed(FeedQuery::default()).await.unwrap());
    }
    let refused = one.feed(FeedQuery::default()).await.err().unwrap();
    assert_eq!(
        (refused.kind(), refused.fact("limit")),
        (Kind::LimitExceeded, Some("2"))
    );
    let _others = other.feed(FeedQuery::default()).await.unwrap();
    feeds.pop();
    feeds.push(one.feed(FeedQuery::default()).await.unwrap());
    assert_eq!(zone.stats().feeds, 3);
    let system = zone.session(Context::system());
    for _ in 3..8 {
        feeds.push(system.feed(FeedQuery::default()).await.unwrap());
    }
    let refused = other.feed(FeedQuery::default()).await.err().unwrap();
    assert_eq!(refused.fact("feeds_max"), Some("8"));
}

/// Who reads the feed, the log or what differs between two points has about a megabyte of the log
/// in memory at a time, however large the commits are.
#[tokio::test]
async fn large_commits_are_read_a_megabyte_at_a_time() {
    let (store, _zone, files) = limited(Limits::STANDARD).await;
    let directory = format!("/{}", "d".repeat(250)).repeat(15);
    let paths = |n: usize| (0..30).map(move |i| format!("{n}-{i}"));
    for n in 0..40 {
        let paths: Vec<_> = paths(n).map(|name| format!("{directory}/{name}")).collect();
        batch(&files, &paths).await;
    }
    store.take_largest();
    let mut feed = files.feed(from(Revision(0))).await.unwrap();
    let batch = feed.next_within(Duration::ZERO).await.unwrap().unwrap();
    assert!(
        (5..20).contains(&batch.records().len()),
        "{}",
        batch.records().len()
    );
    let told = rest(&mut feed).await;
    assert!(told.len() > 800);
    let of_the_feed = store.take_largest();
    let page = files.log(LogQuery::default()).await.unwrap();
    assert!(page.records.len() > 30);
    let of_the_log = store.take_largest();
    let whole = DiffTreeOptions::default();
    let found = files
        .diff_tree("/", At::Revision(Revision(2)), At::Latest, whole)
        .await
        .unwrap();
    assert!(!found.changes.is_empty());
    let of_the_difference = store.take_largest();
    for bytes in [of_the_feed, of_the_log, of_the_difference] {
        assert!((500_000..1_300_000).contains(&bytes), "{bytes}");
    }
}

/// A durable feed flushes for what it tells, and for nothing else that is committed.
#[tokio::test]
async fn a_durable_feed_flushes_for_what_it_tells() {
    let (store, _zone, files) = limited(Limits::STANDARD).await;
    let cursor: CursorName = "c".parse().unwrap();
    let position = files.create_cursor(&cursor, None).await.unwrap().position;
    let mut feed = files
        .feed(FeedQuery {
            patterns: vec!["/told/**".into()],
            durable: true,
            ..FeedQuery::default()
        })
        .await
        .unwrap();
    store.take_synced();
    for _ in 0..3 {
        let relaxed = files.acknowledge(&cursor, position, Durability::Relaxed);
        relaxed.await.unwrap();
        batch(&files, &["/other".into()]).await;
        assert!(feed.next_within(Duration::ZERO).await.unwrap().is_none());
    }
    assert_eq!(store.take_synced(), 0);
    batch(&files, &["/told/a".into()]).await;
    assert!(feed.next_within(Duration::ZERO).await.unwrap().is_some());
    assert_eq!(store.take_synced(), 1);
}

/// The more readers there are, the less of the log each of those who are behind has at a time; and
/// they meet all of it.
#[tokio::test]
async fn many_readers_have_little_each() {
    let config = ZoneConfig {
        feeds_max: 4_096,
        ..ZoneConfig::default()
    };
    let zone = open_with(&memory_stores(), config).await;
    let files = zone.session(Context::system());
    let begin = batch(&files, &["/first".into()]).await;
    for n in 0..100 {
        let paths: Vec<_> = (0..10)
            .map(|i| format!("/{}/{n}-{i}", "d".repeat(200)))
            .collect();
        batch(&files, &paths).await;
    }
    // What was read for all is let go of with the last reader.
    let mut first = files.feed(from(begin)).await.unwrap();
    first.next().await.unwrap();
    drop(first);
    let mut alone = files.feed(from(begin)).await.unwrap();
    let of_one = alone.next().await.unwrap().records().len();
    let mut others = Vec::new();
    for _ in 1..4_096 {
        others.push(files.feed(FeedQuery::default()).await.unwrap());
    }
    drop(alone);
    let mut behind = files.feed(from(begin)).await.unwrap();
    let of_many = behind.next().await.unwrap().records().len();
    assert!(
        of_one == 100 && (10..50).contains(&of_many),
        "{of_one} {of_many}"
    );
    assert_eq!(rest(&mut behind).await.len(), 10 * (100 - of_many));
}
