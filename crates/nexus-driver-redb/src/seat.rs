//! Who drives the committer: its own thread, or for a moment a caller.
//!
//! Handing a request to a thread and getting the answer back costs two thread switches,
//! about as much as a flush. So while callers come one at a time, a caller takes the seat
//! and commits for itself, and for those who came meanwhile. Under load the thread does
//! it, and callers are free to go on.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::committer::Committer;
use crate::queue::Queue;

/// The one place from which groups are committed.
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
        while self.queue.wait_for_work() {
            if let Some(committer) = self.committer.lock().as_mut() {
                committer.serve_waiting_and_due();
            }
        }
        if let Some(committer) = self.committer.lock().take() {
            committer.finish();
        }
    }

    /// Commits one group in the caller's thread, unless somebody else is at it. Timed
    /// flushes are left to the committer's own thread.
    pub(crate) fn serve_once_if_free(&self) {
        if let Some(mut committer) = self.committer.try_lock()
            && let Some(committer) = committer.as_mut()
        {
            committer.serve_waiting();
        }
    }
}
