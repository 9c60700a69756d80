//! What waits for the journal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{ObjectKey, PutMode, Timestamp};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::deletes::{Deletes, Deleting};
use crate::error::{Failure, Result};
use crate::staging::StagedFile;

/// A change on its way to the journal.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) change: Change,
    /// Whether to answer only after a flush.
    pub(crate) durable: bool,
    pub(crate) reply: oneshot::Sender<Result<Done>>,
    /// Given back when the change is done.
    pub(crate) held: Held,
}

/// What a request holds while it waits and while it is carried out.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Space in the queue.
    _space: Option<OwnedSemaphorePermit>,
    _delete: Option<Deleting>,
}

#[derive(Debug)]
pub(crate) enum Change {
    /// Store a blob in the journal.
    Put {
        key: ObjectKey,
        content: Content,
        modified: Timestamp,
        mode: PutMode,
    },
    /// Make a staged file the blob.
    Place {
        key: ObjectKey,
        file: StagedFile,
        mode: PutMode,
    },
    Delete {
        key: ObjectKey,
        modified: Timestamp,
    },
    /// Record these staged files, whose contents are durable by now.
    Log {
        staged: Vec<u64>,
    },
    /// End the segment, so that its blobs become files.
    Rotate,
}

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Stored,
    /// The key was taken; by a staged file that no record names, if `unlogged`.
    Taken {
        unlogged: bool,
    },
    Deleted {
        existed: bool,
    },
    Nothing,
}

/// The bytes of a small blob.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) size: usize,
}

impl Content {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.size += piece.len();
        self.pieces.push(piece);
    }
}

/// A bounded queue with many asynchronous senders and one thread that takes everything at once.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    space: Arc<Semaphore>,
    bytes_max: usize,
    deletes: Deletes,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    closed: bool,
}

/// What the thread finds.
#[derive(Debug)]
pub(crate) enum Taken {
    Group(Vec<Request>),
    /// Nothing came for a while.
    Idle,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    /// What a request takes at least, so that small ones are bounded in number.
    const REQUEST_BYTES_MIN: usize = 1024;

    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            space: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
            deletes: Deletes::default(),
        }
    }

    /// Queues a change when there is space for it and waits until it is done.
    pub(crate) async fn submit(&self, change: Change, durable: bool) -> Result<Done> {
        let bytes = change
            .bytes()
            .clamp(Self::REQUEST_BYTES_MIN, self.bytes_max);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let space = self.space.clone().acquire_many_owned(bytes).await;
        let space = space.map_err(|_closed| Failure::stopped().not_applied())?;
        let (reply, done) = oneshot::channel();
        let held = Held {
            _space: Some(space),
            _delete: change.deleted_key().map(|key| self.deletes.begin(key)),
        };
        self.push(Request {
            change,
            durable,
            reply,
            held,
        })?;
        done.await
            .unwrap_or_else(|_dropped| Err(Failure::stopped()))
    }

    /// Whether a blob is about to go: then what there is now is no answer to a later caller. It
    /// says no only when all earlier deletes are visible, also those whose callers gave up.
    pub(crate) fn is_deleting(&self, key: &ObjectKey) -> bool {
        self.deletes.has(key)
    }

    fn push(&self, request: Request) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Failure::stopped().not_applied());
        }
        state.waiting.push_back(request);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes all that waits; waits for something, if `patience` is given at most so long.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            match patience {
                None => self.filled.wait(&mut state),
                Some(patience) => {
                    if self.filled.wait_for(&mut state, patience).timed_out() {
                        return Taken::Idle;
                    }
                }
            }
        }
        Taken::Group(state.waiting.drain(..).collect())
    }

    /// Refuses what comes from now on; what waits will be done.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.space.close();
        self.filled.notify_one();
    }
}

impl Change {
    fn deleted_key(&self) -> Option<&ObjectKey> {
        match self {
            Self::Delete { key, .. } => Some(key),
            _ => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { content, .. } => content.size,
            Self::Log { staged } => staged.len() * Queue::REQUEST_BYTES_MIN,
            _ => 0,
        }
    }
}
