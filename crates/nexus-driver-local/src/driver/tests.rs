//! What happens between a call and the journal, which is driven here without its thread.

use std::time::Duration;

use futures::poll;
use nexus_service_api::SystemClock;
use nexus_testkit::object_store::{IF_ABSENT, body, key, read};

use super::*;
use crate::disk::sim::SimDisk;
use crate::journal::Journal;
use crate::queue::Taken;

fn without_threads() -> (Arc<LocalObjectStore>, Journal) {
    let config = LocalConfig::new("");
    let queue = Arc::new(Queue::new(config.queue_bytes_max));
    let (core, journal) = recovery::open(config, Arc::new(SimDisk::new())).unwrap();
    let store = LocalObjectStore {
        core,
        queue,
        clock: Arc::new(SystemClock),
        journal: None,
        checkpoint: None,
    };
    (Arc::new(store), journal)
}

fn commit_what_waits(store: &LocalObjectStore, journal: &mut Journal) {
    match store.queue.take(Some(Duration::ZERO)) {
        Taken::Group(group) => journal.commit(group),
        nothing => panic!("nothing waits for the journal: {nothing:?}"),
    }
}

#[tokio::test]
async fn a_put_after_a_delete_that_is_not_done_yet_comes_after_it() {
    let (local, mut journal) = without_threads();
    let store: Arc<dyn ObjectStore> = local.clone();
    let key = key("k");
    let mut first = store.put(&key, body("old"), IF_ABSENT);
    assert!(poll!(&mut first).is_pending());
    commit_what_waits(&local, &mut journal);
    first.await.unwrap();

    let mut delete = store.delete(&key);
    assert!(poll!(&mut delete).is_pending());
    let mut put = store.put(&key, body("new"), IF_ABSENT);
    assert!(poll!(&mut put).is_pending(), "the old blob is about to go");
    commit_what_waits(&local, &mut journal);
    assert!(delete.await.unwrap());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored { size: 3 });
    assert_eq!(read(&store, "k").await.unwrap(), "new");

    let again = store.put(&key, body("newer"), IF_ABSENT).await;
    assert_eq!(again.unwrap(), PutOutcome::AlreadyExists, "nothing waits");
}
