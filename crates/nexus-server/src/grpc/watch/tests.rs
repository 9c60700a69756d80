use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{FeedQuery, FeedStart, MkdirOptions, Stores, Zone, ZoneConfig};
use nexus_kernel::Revision;
use nexus_proto::v1;
use nexus_service_api::{Context, SystemClock};
use nexus_services::authorizer::KeyAuthorizer;

use super::*;

/// Who is told the same gets the same bytes, which are the message that generated code would send;
/// who is told a part gets a message of that part.
#[tokio::test]
async fn a_commit_is_encoded_once_for_all_who_are_told_the_same() {
    let stores = Stores {
        metastore: Arc::new(MemoryMetastore::default()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    };
    let authorizer = Arc::new(KeyAuthorizer::new("root"));
    let zone = Zone::open(stores, authorizer, ZoneConfig::default());
    let zone = zone.await.unwrap();
    let files = zone.session(Context::system());
    for path in ["/a", "/b"] {
        files.mkdir(path, MkdirOptions::default()).await.unwrap();
    }
    let begin = FeedStart::from(Revision(0));
    let query = FeedQuery {
        start: begin.clone(),
        ..FeedQuery::default()
    };
    let batch = files.feed(query).await.unwrap().next().await.unwrap();
    let (one, other) = (encoded(&batch), encoded(&batch.clone()));
    assert!(Arc::ptr_eq(&one, &other));
    let wanted = batch.records().iter().cloned().map(convert::record);
    let got = one.0.iter().map(|bytes| v1::Record::decode(&bytes[..]));
    assert_eq!(
        got.collect::<Result<Vec<_>, _>>().unwrap(),
        wanted.collect::<Vec<_>>()
    );
    let of_b = FeedQuery {
        patterns: vec!["/b".into()],
        start: begin,
        ..FeedQuery::default()
    };
    let part = files.feed(of_b).await.unwrap().next().await.unwrap();
    assert_eq!(encoded(&part).0[..], one.0[one.0.len() - 1..]);
}
