//! Callers who go away: what they had begun is seen through and then taken back.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use nexus_kernel::{Durability, Guard, Op, Txn};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::zone::Shared;

/// Work that goes on in the background when nobody waits for it any more; what it answers is
/// then dropped.
pub(super) struct SeenThrough<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> SeenThrough<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(work.boxed()))
    }
}

impl<T: Send + 'static> Future for SeenThrough<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let work = self.0.as_mut().expect("not polled after its end");
        let done = work.poll_unpin(cx);
        if done.is_ready() {
            self.0 = None;
        }
        done
    }
}

impl<T: Send + 'static> Drop for SeenThrough<T> {
    fn drop(&mut self) {
        // Without a runtime the process is about to end.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(work.await) });
        }
    }
}

/// A row of a lock that somebody present stands for: a lease on its way to its holder, or a
/// place in the queue. Dropped, the row goes; if that fails, its time ends it.
pub(super) struct Tenure {
    zone: Arc<Shared>,
    lock: Bytes,
    key: Bytes,
    kept: bool,
}

impl Tenure {
    pub(super) fn new(zone: &Arc<Shared>, lock: &Bytes, key: Bytes) -> Self {
        Self {
            zone: Arc::clone(zone),
            lock: lock.clone(),
            key,
            kept: false,
        }
    }

    /// The row stays, or is gone already.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (zone, lock, key) = (Arc::clone(&self.zone), self.lock.clone(), self.key.clone());
        runtime.spawn(async move {
            let txn = Txn {
                id: None,
                guards: vec![Guard::Present(key.clone())],
                ops: vec![Op::Delete(key)],
                durability: Durability::Relaxed,
            };
            if let Err(error) = zone.metastore.commit(txn).await {
                tracing::warn!(?error, "a row of a lock stays until its time ends");
            }
            zone.waiting.ring(&lock);
        });
    }
}

/// Those who wait in this process: by lock, in the order of their places. Only the first of
/// them has to hear of what happens to the lock. As with the caches, commits tell: one process
/// serves a metastore.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<Bytes, BTreeMap<u64, Arc<Notify>>>>);

impl Waiting {
    /// Wakes the first who waits for a lock.
    pub(super) fn ring(&self, lock: &Bytes) {
        if let Some(first) = self.0.lock().get(lock).and_then(BTreeMap::first_key_value) {
            first.1.notify_one();
        }
    }

    fn is_first(&self, lock: &Bytes, place: u64) -> bool {
        let rooms = self.0.lock();
        let first = rooms.get(lock).and_then(BTreeMap::first_key_value);
        first.is_none_or(|(first, _)| *first >= place)
    }

    fn join(&self, lock: &Bytes, place: u64) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        let mut rooms = self.0.lock();
        let room = rooms.entry(lock.clone()).or_default();
        room.insert(place, Arc::clone(&bell));
        bell
    }

    fn leave(&self, lock: &Bytes, place: u64) {
        let mut rooms = self.0.lock();
        let Some(room) = rooms.get_mut(lock) else {
            return;
        };
        room.remove(&place);
        if room.is_empty() {
            rooms.remove(lock);
        }
    }
}

/// A place in the queue whose holder is here. Dropped, it is given up.
pub(super) struct Place {
    /// The revision of the commit that joined the queue: the order.
    pub number: u64,
    bell: Arc<Notify>,
    row: Option<Tenure>,
}

impl Place {
    pub(super) fn new(row: Tenure, number: u64) -> Self {
        Self {
            number,
            bell: row.zone.waiting.join(&row.lock, number),
            row: Some(row),
        }
    }

    fn row(&self) -> &Tenure {
        self.row.as_ref().expect("there until the end")
    }

    pub(super) fn key(&self) -> &Bytes {
        &self.row().key
    }

    /// Whether nobody here has an earlier one.
    pub(super) fn is_first(&self) -> bool {
        let row = self.row();
        row.zone.waiting.is_first(&row.lock, self.number)
    }

    /// Waits until something may have changed for the first in the queue.
    pub(super) async fn called(&self) {
        self.bell.notified().await;
    }

    /// The row is gone: it became a lease. Now the next one is the first.
    pub(super) fn end(mut self) {
        let row = self.row.take().expect("there until the end");
        row.zone.waiting.leave(&row.lock, self.number);
        row.zone.waiting.ring(&row.lock);
        row.keep();
    }
}

impl Drop for Place {
    /// Leaves first and removes the row then, so that whose bell is rung is the next one.
    fn drop(&mut self) {
        if let Some(row) = self.row.take() {
            row.zone.waiting.leave(&row.lock, self.number);
        }
    }
}
