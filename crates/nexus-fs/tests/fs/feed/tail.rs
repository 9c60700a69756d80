//! The newest end of the log, which all who follow it share.

use std::time::Duration;

use nexus_fs::{FeedQuery, RetentionLimits, Session, Zone};
use nexus_service_api::Context;
use tokio::time::Instant;

use crate::support::{memory_stores, open, put};

/// Lets go of all history but what the present state needs.
async fn forget(zone: &Zone, files: &Session) {
    let an_hour = RetentionLimits {
        max_age: Some(Duration::from_secs(3600)),
        ..RetentionLimits::default()
    };
    files.set_retention("/**", an_hour).await.unwrap();
    let later = files.now().plus_nanos(7_200_000_000_000);
    files.compact(later, false).await.unwrap();
    assert!(zone.stats().oldest_readable.0 > 0);
}

/// Who is the first to follow after a start hears of a change at once, also where history went.
#[tokio::test(start_paused = true)]
async fn the_first_feed_after_a_start_is_told_at_once() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    put(&files, "/a", "x").await;
    put(&files, "/a", "y").await;
    forget(&zone, &files).await;
    drop((zone, files));
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    let mut feed = files.feed(FeedQuery::default()).await.unwrap();
    let begun = Instant::now();
    let (told, ()) = tokio::join!(feed.next(), put(&files, "/new", "x"));
    assert_eq!(told.unwrap().records()[0].changes[0].path, "/new");
    let passed = begun.elapsed();
    assert!(passed < Duration::from_millis(100), "{passed:?}");
}
