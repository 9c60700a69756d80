use std::sync::Arc;

use futures::FutureExt;
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{FeedQuery, MkdirOptions, Session, Stores, Zone, ZoneConfig};
use nexus_service_api::{Context, SystemClock};
use nexus_services::authorizer::KeyAuthorizer;
use tokio::time::Instant;

use super::*;

async fn zone() -> (Zone, Session) {
    let stores = Stores {
        metastore: Arc::new(MemoryMetastore::default()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    };
    let authorizer = Arc::new(KeyAuthorizer::new("root"));
    let zone = Zone::open(stores, authorizer, ZoneConfig::default());
    let zone = zone.await.unwrap();
    let files = zone.session(Context::system());
    (zone, files)
}

#[tokio::test(start_paused = true)]
async fn a_silence_is_filled_and_says_where_the_reader_is() {
    let (_zone, files) = zone().await;
    let query = FeedQuery {
        patterns: vec!["/asked-for".into()],
        ..FeedQuery::default()
    };
    let feed = files.feed(query).await.unwrap();
    let begin = feed.position();
    let mut events = Box::pin(pieces(feed, "root".into(), ServerSent));
    let opening = events.next().await.unwrap();
    assert_eq!(opening, format!("retry: 1000\nid: {begin}\n\n"));
    assert!(events.next().now_or_never().is_none());
    let made = files
        .mkdir("/other", MkdirOptions::default())
        .await
        .unwrap();
    let start = Instant::now();
    let pulse = events.next().await.unwrap();
    assert_eq!(pulse, format!(":\nid: {}\n\n", made.revision));
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn silent_lines_are_empty() {
    let (_zone, files) = zone().await;
    let feed = files.feed(FeedQuery::default()).await.unwrap();
    let mut lines = Box::pin(pieces(feed, "root".into(), Lines));
    assert_eq!(lines.next().await.unwrap(), "\n");
    files.mkdir("/d", MkdirOptions::default()).await.unwrap();
    let line = lines.next().await.unwrap();
    assert!(
        line.starts_with(b"{\"type\":\"dir_create\",\"path\":\"/d\"") && line.ends_with(b"}\n")
    );
}
