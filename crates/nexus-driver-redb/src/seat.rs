//! Who drives the committer: its own thread, or for a moment a caller.
//!
//! Handing a request to a thread and getting the answer back costs two thread switches,
//! about as much as a flush. So a caller commits in memory for itself, and while callers
//! come one at a time it takes the seat for a flush too, also for those who came meanwhile.
//! Under load the thread does it, and callers are free to go on. What gathered in memory
//! the thread flushes, without the seat: in time, or at once for those who wait in `sync`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nexus_kernel::{RestoreStep, Result, Txn};
use parking_lot::Mutex;

use crate::committer::{Committer, Place};
use crate::evaluate::Verdict;
use crate::queue::{Closed, Queue};

/// How long a caller waits for the seat: longer than a commit in memory takes, and shorter
/// than handing it to the thread.
const PATIENCE: Duration = Duration::from_micros(20);

/// The one place from which anything is committed.
pub(crate) struct Seat {
    committer: Mutex<Option<Committer>>,
    queue: Arc<Queue>,
}

impl Seat {
    pub(crate) fn new(committer: Committer, queue: Arc<Queue>) -> Self {
        Self {
            committer: Mutex::new(Some(committer)),
            queue,
        }
    }

    /// The body of the committer's thread: ends once the queue is closed and drained, or
    /// a write has failed.
    pub(crate) fn serve(&self) {
        let _panics = EndsTheCommitterInAPanic(self);
        while self.queue.wait_for_work() {
            let flush = self.with_committer(|committer| {
                committer.serve_waiting(Place::Thread);
                committer.begin_flush()
            });
            if let Some(flush) = flush.flatten() {
                self.serve_those_who_came();
                let flushed = flush.run();
                self.with_committer(|committer| committer.end_flush(flushed));
            }
        }
        if let Some(committer) = self.committer.lock().take() {
            committer.finish();
        }
    }

    /// Commits in the caller's thread what needs no flush. `None` when it does, when others
    /// wait already, or when somebody else is at it for long.
    pub(crate) fn commit_in_memory(&self, txn: &Txn, bytes: usize) -> Option<Verdict> {
        let mut committer = self.committer.try_lock_for(PATIENCE)?;
        if !self.queue.is_idle() {
            return None;
        }
        let verdict = committer.as_mut()?.commit_in_memory(txn, bytes);
        drop(committer);
        self.serve_those_who_came();
        verdict
    }

    /// Commits one group in the caller's thread, unless somebody else is at it or it takes
    /// long. Timed flushes are left to the committer's own thread.
    pub(crate) fn serve_once_if_free(&self) {
        if let Some(mut committer) = self.committer.try_lock()
            && let Some(committer) = committer.as_mut()
        {
            committer.serve_waiting(Place::Caller);
        }
    }

    /// Takes a step of a restore; `None` when the store is closed. Blocks until it is durable.
    pub(crate) fn restore(&self, step: &RestoreStep) -> Option<Result<()>> {
        self.with_committer(|committer| committer.restore(step))
    }

    /// For whoever found the seat taken until now: the thread may be busy with a flush.
    fn serve_those_who_came(&self) {
        if self.queue.len() > 0
            && let Some(mut committer) = self.committer.try_lock()
            && let Some(committer) = committer.as_mut()
        {
            committer.serve_in_memory();
        }
        // What was put back by then has nobody else to call the thread.
        self.queue.wake();
    }

    fn end(&self) {
        self.queue.close(Closed::AfterFailure);
        self.committer.lock().take();
    }

    fn with_committer<T>(&self, act: impl FnOnce(&mut Committer) -> T) -> Option<T> {
        self.committer.lock().as_mut().map(act)
    }
}

/// So that those who wait for the committer itself hear of its end.
struct EndsTheCommitterInAPanic<'a>(&'a Seat);

impl Drop for EndsTheCommitterInAPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}
