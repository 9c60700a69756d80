//! Who waits to be committed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nexus_kernel::{Commit, Durability, Error, Result, Revision, Txn};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::RedbConfig;
use crate::error;

/// Bytes that one permit of [`Queue::room`] stands for.
const PERMIT_BYTES: usize = 4096;

/// What a caller wants of the committer, and where the answer goes.
pub(crate) enum Request {
    Commit(Txn, oneshot::Sender<Result<Commit>>),
    Sync(oneshot::Sender<Result<Revision>>),
}

/// Requests in order, bounded in bytes, for one consumer at a time.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Wakes the committer's thread.
    work: Condvar,
    /// Whether the last group was one request only.
    quiet: AtomicBool,
    room: Arc<Semaphore>,
    permits_max: usize,
    group_txns_max: usize,
    group_bytes_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// When there is work even if nobody waits.
    flush_at: Option<Instant>,
    closed: Option<Closed>,
}

/// A request with its room in the queue.
pub(crate) struct Waiting {
    pub(crate) request: Request,
    pub(crate) bytes: usize,
    _room: OwnedSemaphorePermit,
}

/// Why nothing more is taken.
#[derive(Clone, Copy)]
pub(crate) enum Closed {
    /// Somebody closed the store.
    Gracefully,
    /// A write failed: what the file holds is known only after it is opened again.
    AfterFailure,
}

impl Closed {
    fn error(self) -> Error {
        match self {
            Self::Gracefully => error::closed(),
            Self::AfterFailure => Error::unavailable(
                "the metastore stopped after a failed write; check the disk, then restart the node",
            ),
        }
    }
}

impl Queue {
    pub(crate) fn new(config: &RedbConfig) -> Self {
        let permits_max = (config.queue_bytes_max / PERMIT_BYTES).max(1);
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            quiet: AtomicBool::new(true),
            room: Arc::new(Semaphore::new(permits_max)),
            permits_max,
            group_txns_max: config.group_txns_max.max(1),
            group_bytes_max: config.group_bytes_max,
        }
    }

    /// Adds a request of `bytes`, once there is room for it. Somebody has to
    /// [`wake`](Self::wake) the committer or to be it.
    pub(crate) async fn push(&self, request: Request, bytes: usize) -> Result<()> {
        let room = self.room.clone();
        let Ok(room) = room.acquire_many_owned(self.permits(bytes)).await else {
            return Err(self.why_closed());
        };
        let mut state = self.state.lock();
        if let Some(closed) = state.closed {
            return Err(closed.error());
        }
        state.waiting.push_back(Waiting {
            request,
            bytes,
            _room: room,
        });
        Ok(())
    }

    /// Wakes the committer's thread if there is something for it.
    pub(crate) fn wake(&self) {
        if !self.state.lock().waiting.is_empty() {
            self.work.notify_one();
        }
    }

    /// Sets when there is work even if nobody waits.
    pub(crate) fn set_flush_at(&self, flush_at: Option<Instant>) {
        let before = std::mem::replace(&mut self.state.lock().flush_at, flush_at);
        if flush_at.is_some_and(|at| before.is_none_or(|before| at < before)) {
            self.work.notify_one();
        }
    }

    /// Waits until there is work; false once the queue is closed and drained.
    pub(crate) fn wait_for_work(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            match (state.closed, state.flush_at) {
                _ if !state.waiting.is_empty() => return true,
                (Some(_), _) => return false,
                (None, None) => self.work.wait(&mut state),
                (None, Some(at)) => {
                    if self.work.wait_until(&mut state, at).timed_out() {
                        return true;
                    }
                }
            }
        }
    }

    /// Takes the first request unless it is a commit that must be durable before it is seen.
    pub(crate) fn take_unhurried(&self) -> Option<Waiting> {
        let mut state = self.state.lock();
        let must_flush = |txn: &Txn| txn.durability == Durability::Sync;
        let unhurried = |next: &mut Waiting| !next.request.txn().is_some_and(must_flush);
        state.waiting.pop_front_if(unhurried)
    }

    /// Takes as many of the requests that wait as make a group.
    pub(crate) fn take_group(&self) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let mut group = Vec::with_capacity(state.waiting.len().min(self.group_txns_max));
        let mut bytes = 0;
        while group.len() < self.group_txns_max {
            let fits =
                |next: &mut Waiting| bytes == 0 || bytes + next.bytes <= self.group_bytes_max;
            let Some(next) = state.waiting.pop_front_if(fits) else {
                break;
            };
            bytes += next.bytes;
            group.push(next);
        }
        self.quiet.store(group.len() <= 1, Ordering::Relaxed);
        group
    }

    /// Makes what was taken last the first again.
    pub(crate) fn put_back(&self, group: Vec<Waiting>) {
        let mut state = self.state.lock();
        for waiting in group.into_iter().rev() {
            state.waiting.push_front(waiting);
        }
    }

    /// Whether nobody waits and the queue is open.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty() && state.closed.is_none()
    }

    /// Whether callers come one at a time.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Refuses new requests. After a failure those that wait are refused too; otherwise
    /// they are still served. A failure stays the reason, whatever else there was.
    pub(crate) fn close(&self, reason: Closed) {
        let mut state = self.state.lock();
        let reason = match state.closed {
            Some(Closed::AfterFailure) => Closed::AfterFailure,
            _ => reason,
        };
        state.closed = Some(reason);
        let dropped = match reason {
            Closed::Gracefully => VecDeque::new(),
            Closed::AfterFailure => std::mem::take(&mut state.waiting),
        };
        drop(state);
        self.room.close();
        self.work.notify_all();
        for waiting in dropped {
            waiting.request.refuse(reason.error());
        }
    }

    /// The error for callers that come too late.
    pub(crate) fn why_closed(&self) -> Error {
        let closed = self.state.lock().closed;
        closed.unwrap_or(Closed::Gracefully).error()
    }

    /// An error when a failure closed the queue.
    pub(crate) fn check_closed_gracefully(&self) -> Result<()> {
        match self.state.lock().closed {
            Some(failed @ Closed::AfterFailure) => Err(failed.error()),
            _ => Ok(()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    fn permits(&self, bytes: usize) -> u32 {
        let permits = (1 + bytes / PERMIT_BYTES).min(self.permits_max);
        u32::try_from(permits).expect("a transaction is far below 16 TiB")
    }
}

impl Request {
    pub(crate) fn txn(&self) -> Option<&Txn> {
        match self {
            Self::Commit(txn, _) => Some(txn),
            Self::Sync(_) => None,
        }
    }

    /// Answers a commit. Who no longer waits does not mind.
    pub(crate) fn answer(self, verdict: Result<Commit>) {
        if let Self::Commit(_, answer) = self {
            drop(answer.send(verdict));
        }
    }

    /// Answers with an error. Who no longer waits does not mind.
    pub(crate) fn refuse(self, error: Error) {
        match self {
            Self::Commit(_, answer) => drop(answer.send(Err(error))),
            Self::Sync(answer) => drop(answer.send(Err(error))),
        }
    }
}
