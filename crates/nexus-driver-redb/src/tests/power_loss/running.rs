//! The store while the simulated machine runs: the committer without its thread.

use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Commit, Entry, KeyRange, Limits, Page, Revision, Scan, Txn};
use nexus_testkit::metastore::TestBarrier;
use nexus_testkit::power_loss::SimulatedDisk;
use parking_lot::RwLock;
use redb::{ReadableDatabase, ReadableTable};
use tokio::sync::oneshot;

use super::now;
use crate::barrier::Barrier;
use crate::committer::{Committer, Parts, Place};
use crate::config::RedbConfig;
use crate::flush::Flush;
use crate::layers::{Shared, View};
use crate::layout::{FACTS, REVISION_FACT};
use crate::open;
use crate::queue::{Closed, Queue, Request};

pub(crate) struct Running {
    committer: Committer,
    queue: Arc<Queue>,
    view: Shared,
    barrier: Arc<Barrier>,
    /// Begun and not written yet.
    flush: Option<Flush>,
    /// What the file holds.
    pub(crate) survived: Revision,
    /// Where the store goes on.
    pub(crate) revision: Revision,
}

impl Running {
    pub(crate) fn open(disk: &SimulatedDisk, config: &RedbConfig) -> nexus_kernel::Result<Self> {
        let opened = open::backend(config, disk.clone())?;
        let progress = open::progress(&opened)?;
        let revision = progress.revision;
        let survived = read_revision(&opened.db);
        let view = View::new(opened, revision, None).map_err(crate::error::storage)?;
        let view = Arc::new(RwLock::new(Some(view)));
        let queue = Arc::new(Queue::new(config));
        let barrier = Arc::<Barrier>::default();
        let parts = Parts {
            view: view.clone(),
            queue: queue.clone(),
            barrier: barrier.clone(),
            counters: Arc::default(),
        };
        Ok(Self {
            committer: Committer::new(parts, progress, None, config),
            queue,
            view,
            barrier,
            flush: None,
            survived,
            revision,
        })
    }

    pub(crate) fn set_barrier(&self) -> Arc<TestBarrier> {
        let barrier = Arc::<TestBarrier>::default();
        self.barrier.set(barrier.clone());
        barrier
    }

    /// Commits and answers those who wait.
    pub(crate) fn serve(&mut self) {
        self.committer.serve_waiting(Place::Thread);
        if self.queue.len() > 0 {
            // What is left waits for the flush that is under way.
            self.end_flush();
            self.committer.serve_waiting(Place::Thread);
        }
    }

    /// Begins what the thread would begin now.
    pub(crate) fn begin_flush(&mut self) {
        self.flush = self.flush.take().or_else(|| self.committer.begin_flush());
    }

    pub(crate) fn end_flush(&mut self) {
        if let Some(flush) = self.flush.take() {
            self.committer.end_flush(flush.run());
        }
    }

    /// Closes the store in order, as far as the disk lets it.
    pub(crate) fn close(mut self) {
        self.queue.close(Closed::Gracefully);
        self.end_flush();
        self.committer.finish();
    }

    pub(crate) fn push(&self, txn: &Txn) -> oneshot::Receiver<nexus_kernel::Result<Commit>> {
        let (answer, answered) = oneshot::channel();
        let bytes = Limits::STANDARD.check_txn(txn).unwrap();
        // A store that failed refuses it; then the answer is an error too.
        let _ = now(self.queue.push(Request::Commit(txn.clone(), answer), bytes));
        answered
    }

    pub(crate) fn push_sync(&self) -> oneshot::Receiver<nexus_kernel::Result<Revision>> {
        let (answer, answered) = oneshot::channel();
        let _ = now(self.queue.push(Request::Sync(answer), 1));
        answered
    }

    pub(crate) fn scan(&self, scan: &Scan) -> Page {
        let part = self.view.read().as_ref().unwrap().part(scan);
        part.page(scan).unwrap()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<nexus_kernel::Value> {
        let found = self.view.read().as_ref().unwrap().find(key);
        found.resolve(key).unwrap()
    }

    pub(crate) fn rows(&self) -> Vec<Entry> {
        let all = KeyRange {
            start: Bytes::new(),
            end: "z".into(),
        };
        self.scan(&Scan::forward(all, 10_000)).entries
    }
}

fn read_revision(db: &redb::Database) -> Revision {
    let snapshot = db.begin_read().unwrap();
    let facts = snapshot.open_table(FACTS).unwrap();
    let revision = ReadableTable::get(&facts, REVISION_FACT).unwrap();
    Revision(revision.map_or(0, |revision| revision.value()))
}
