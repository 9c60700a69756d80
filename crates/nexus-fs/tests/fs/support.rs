//! Zones to test on.

use std::sync::Arc;

use bytes::Bytes;
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{At, Session, Stores, WriteOptions, Zone, ZoneConfig};
use nexus_kernel::Timestamp;
use nexus_service_api::{Clock, Context, SystemClock};
use nexus_testkit::authorizer::Open;

pub(crate) fn memory_stores() -> Stores {
    Stores {
        metastore: Arc::new(MemoryMetastore::new()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    }
}

pub(crate) async fn open(stores: &Stores) -> Zone {
    open_with(stores, ZoneConfig::default()).await
}

pub(crate) async fn open_with(stores: &Stores, config: ZoneConfig) -> Zone {
    Zone::open(stores.clone(), Arc::new(Open), config)
        .await
        .unwrap()
}

/// A clock that stands still.
pub(crate) struct FixedClock(pub i64);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0)
    }
}

/// A session of the system on an empty zone in memory. The zone comes along to stay open.
pub(crate) async fn fresh() -> (Zone, Session) {
    let zone = open(&memory_stores()).await;
    let session = zone.session(Context::system());
    (zone, session)
}

pub(crate) async fn put(files: &Session, path: &str, content: &str) {
    let options = WriteOptions {
        parents: true,
        ..WriteOptions::default()
    };
    files
        .write(path, Bytes::copy_from_slice(content.as_bytes()), options)
        .await
        .unwrap();
}

pub(crate) async fn text(files: &Session, path: &str) -> String {
    text_at(files, path, At::Latest).await
}

pub(crate) async fn text_at(files: &Session, path: &str, at: At) -> String {
    String::from_utf8(files.read(path, at).await.unwrap().bytes.into()).unwrap()
}

/// Names and contents of everything below the root, sorted.
pub(crate) async fn tree(files: &Session, at: At) -> Vec<(String, Option<String>)> {
    let options = nexus_fs::ListOptions {
        at: at.clone(),
        recursive: true,
        limit: 10_000,
        ..Default::default()
    };
    let mut all = Vec::new();
    for entry in files.list("/", options).await.unwrap().entries {
        let content = match entry.kind {
            nexus_fs::FileKind::File => Some(text_at(files, &entry.path, at.clone()).await),
            _ => None,
        };
        all.push((entry.path, content));
    }
    all
}
