//! Collecting garbage while others write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use nexus_fs::{At, Session, Stores, WriteOptions};
use nexus_kernel::{Error, ObjectKey, ObjectStore, Result};
use nexus_service_api::Context;
use nexus_testkit::object_store::{Layer, Layered};
use tokio::sync::Semaphore;

use crate::support::{memory_stores, open};

/// Removes only when told to, and then even if nobody waits for it any more.
struct LateRemoval {
    inner: Arc<dyn ObjectStore>,
    /// One permit for each removal that was asked for.
    asked: Semaphore,
    /// One permit for each removal that may happen.
    allowed: Arc<Semaphore>,
}

#[async_trait]
impl Layer for LateRemoval {
    fn below(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        self.asked.add_permits(1);
        let (inner, allowed, key) = (self.inner.clone(), self.allowed.clone(), key.clone());
        let removal = tokio::spawn(async move {
            allowed.acquire().await.unwrap().forget();
            inner.delete(&key).await
        });
        removal.await.unwrap()
    }
}

/// Larger than one chunk.
fn content() -> Bytes {
    Bytes::from(vec![7; 12 << 20])
}

/// Leaves content behind in the object store that no file has.
async fn leave_garbage(files: &Session) {
    let body = stream::iter([
        Ok(content()),
        Err(Error::unavailable("the client went away")),
    ]);
    let broken = files.write_stream("/f", Box::pin(body), WriteOptions::default());
    broken.await.unwrap_err();
    assert!(files.gc(true).await.unwrap().blobs > 0);
}

/// A collection that is given up half-way, and whose last removal lands late, takes nothing that
/// has come into use again since.
#[tokio::test(start_paused = true)]
async fn a_collection_that_was_given_up_takes_nothing_in_use() {
    let memory = memory_stores();
    let allowed = Arc::new(Semaphore::new(0));
    let objects = Arc::new(Layered(LateRemoval {
        inner: memory.objects,
        asked: Semaphore::new(0),
        allowed: Arc::clone(&allowed),
    }));
    let zone = open(&Stores {
        metastore: memory.metastore,
        objects: objects.clone(),
    })
    .await;
    let files = zone.session(Context::system());
    leave_garbage(&files).await;
    tokio::select! {
        _ = files.gc(false) => panic!("no removal was allowed yet"),
        asked = objects.asked.acquire() => drop(asked),
    }
    let again = files.clone();
    let mut writer =
        tokio::spawn(async move { again.write("/f", content(), WriteOptions::default()).await });
    // It may end before the removal lands, or wait for that.
    let early = tokio::time::timeout(Duration::from_secs(1), &mut writer).await;
    allowed.add_permits(1000);
    match early {
        Ok(written) => written.unwrap().unwrap(),
        Err(_) => writer.await.unwrap().unwrap(),
    };
    // Whatever was still to be removed has been, once it can be collected no more.
    files.gc(false).await.unwrap();
    let read = files.read("/f", At::Latest).await.unwrap();
    assert_eq!(read.bytes, content());
}
