//! Who waits to be committed.

use std::collections::VecDeque;
use std::time::Instant;

use nexus_kernel::{Commit, Error, Result, Revision, Txn};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use crate::config::RedbConfig;
use crate::error;

/// Bytes that one permit of [`Queue::room`] stands for.
const PERMIT_BYTES: usize = 4096;

/// What a caller wants of the committer, and where the answer goes.
pub(crate) enum Request {
    Commit(Txn, oneshot::Sender<Result<Commit>>),
    Sync(oneshot::Sender<Result<Revision>>),
}

/// Requests in order, bounded in bytes, for one consumer.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    room: Semaphore,
    permits_max: usize,
    group_txns_max: usize,
    group_bytes_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closed: Option<Closed>,
}

struct Waiting {
    request: Request,
    bytes: usize,
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
            arrived: Condvar::new(),
            room: Semaphore::new(permits_max),
            permits_max,
            group_txns_max: config.group_txns_max.max(1),
            group_bytes_max: config.group_bytes_max,
        }
    }

    /// Adds a request of `bytes`, once there is room for it.
    pub(crate) async fn push(&self, request: Request, bytes: usize) -> Result<()> {
        let room = self.room.acquire_many(self.permits(bytes)).await;
        let Ok(room) = room else {
            return Err(self.why_closed());
        };
        let mut state = self.state.lock();
        if let Some(closed) = state.closed {
            return Err(closed.error());
        }
        room.forget();
        state.waiting.push_back(Waiting { request, bytes });
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for requests and takes as many as make a group. Empty at `deadline`; `None`
    /// once the queue is closed and drained.
    pub(crate) fn take_group(&self, deadline: Option<Instant>) -> Option<Vec<Request>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && state.closed.is_none() {
            match deadline {
                None => self.arrived.wait(&mut state),
                Some(at) if self.arrived.wait_until(&mut state, at).timed_out() => break,
                Some(_) => {}
            }
        }
        if state.waiting.is_empty() && state.closed.is_some() {
            return None;
        }
        Some(self.drain_group(&mut state))
    }

    fn drain_group(&self, state: &mut State) -> Vec<Request> {
        let mut group = Vec::with_capacity(state.waiting.len().min(self.group_txns_max));
        let mut permits = 0;
        let mut bytes = 0;
        while group.len() < self.group_txns_max {
            let fits =
                |next: &mut Waiting| bytes == 0 || bytes + next.bytes <= self.group_bytes_max;
            let Some(next) = state.waiting.pop_front_if(fits) else {
                break;
            };
            bytes += next.bytes;
            permits += self.permits(next.bytes) as usize;
            group.push(next.request);
        }
        self.room.add_permits(permits);
        group
    }

    /// Refuses new requests. After a failure those that wait are refused too; otherwise
    /// they are still served. The first reason stays.
    pub(crate) fn close(&self, reason: Closed) {
        let mut state = self.state.lock();
        let reason = *state.closed.get_or_insert(reason);
        let dropped = match reason {
            Closed::Gracefully => VecDeque::new(),
            Closed::AfterFailure => std::mem::take(&mut state.waiting),
        };
        drop(state);
        self.room.close();
        self.arrived.notify_all();
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
    /// Answers with an error. Who no longer waits does not mind.
    pub(crate) fn refuse(self, error: Error) {
        match self {
            Self::Commit(_, answer) => drop(answer.send(Err(error))),
            Self::Sync(answer) => drop(answer.send(Err(error))),
        }
    }
}
