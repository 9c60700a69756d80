//! From a request to an answer.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::{
    Errno, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr,
};
use futures::FutureExt;
use nexus_kernel::Error;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::errno::errno;
use crate::lookout::Lookout;

/// Why a request gets no answer: in words for the log, or just the number where that is all
/// there is to say.
pub(crate) enum Refusal {
    Error(Error),
    Errno(Errno),
}

pub(crate) type Answer<T> = Result<T, Refusal>;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Runs requests, so many at a time and each for so long.
pub(crate) struct Bridge {
    runtime: Handle,
    slots: Arc<Semaphore>,
    slots_max: u32,
    deadline: Duration,
    lookout: Lookout,
}

impl Bridge {
    pub(crate) fn new(runtime: Handle, slots_max: u32, deadline: Duration) -> Self {
        Self {
            runtime,
            slots: Arc::new(Semaphore::new(slots_max as usize)),
            slots_max,
            deadline,
            lookout: Lookout::default(),
        }
    }

    /// Stays awake for requests that come to this device in quick succession.
    pub(crate) fn look_out(&self, device: OwnedFd) {
        self.lookout.on(device);
    }

    /// Does `work` and answers with what it yields: at once if nothing has to be waited for,
    /// else from a task. Waits for a free slot where too many are under way already.
    pub(crate) fn serve<R, T>(
        &self,
        operation: &'static str,
        reply: R,
        work: impl Future<Output = Answer<T>> + Send + 'static,
        answer: impl FnOnce(R, T) + Send + 'static,
    ) where
        R: Refuse,
        T: Send,
    {
        let deadline = self.deadline;
        let task = async move {
            match within(deadline, operation, work).await {
                Some(Ok(done)) => answer(reply, done),
                Some(Err(refusal)) => reply.refuse(refusal.number(operation)),
                None => reply.refuse(Errno::EIO),
            }
        };
        self.start(task);
    }

    /// As [`serve`](Self::serve), for a reply that `work` itself fills.
    pub(crate) fn fill<R: Fill>(
        &self,
        operation: &'static str,
        work: impl Future<Output = (R, Answer<()>)> + Send + 'static,
    ) {
        let deadline = self.deadline;
        self.start(async move {
            // A reply that is dropped says EIO.
            match within(deadline, operation, work).await {
                Some((reply, Ok(()))) => reply.filled(),
                Some((reply, Err(refusal))) => reply.refuse(refusal.number(operation)),
                None => {}
            }
        });
    }

    fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let arrived = Instant::now();
        // A panic must not take the kernel's thread along; the reply, dropped, says EIO.
        let mut task = Box::pin(AssertUnwindSafe(task).catch_unwind());
        let entered = self.runtime.enter();
        let done = (&mut task).now_or_never();
        drop(entered);
        if done.is_none() {
            self.spawn(task.map(drop));
        }
        self.lookout.wait(arrived);
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let slots = Arc::clone(&self.slots);
        // It goes on at once, for it may hold what others wait for; the next one waits.
        self.runtime.spawn(async move {
            work.await;
            slots.add_permits(1);
        });
        let slot = match self.slots.try_acquire() {
            Ok(slot) => Ok(slot),
            Err(_) => self.runtime.block_on(self.slots.acquire()),
        };
        slot.expect("the slots are never closed").forget();
    }

    /// Waits until no request is under way.
    pub(crate) async fn idle(&self) {
        let all = self.slots.acquire_many(self.slots_max).await;
        drop(all);
    }

    /// Waits for `work`, but not for ever, on a thread that is none of the runtime's.
    pub(crate) fn finish(&self, deadline: Duration, work: impl Future<Output = ()>) {
        let work = async { tokio::time::timeout(deadline, work).await };
        if self.runtime.block_on(work).is_err() {
            tracing::error!(
                ?deadline,
                "what was written last could not be stored in time"
            );
        }
    }
}

/// None when time is up.
async fn within<T>(
    deadline: Duration,
    operation: &'static str,
    work: impl Future<Output = T>,
) -> Option<T> {
    let done = tokio::time::timeout(deadline, work).await;
    if done.is_err() {
        tracing::error!(
            operation,
            ?deadline,
            "no answer in time, the caller gets EIO"
        );
    }
    done.ok()
}

impl Refusal {
    /// The number to answer with; what is an error of the store goes to the log.
    pub(crate) fn number(self, operation: &'static str) -> Errno {
        match self {
            Self::Errno(number) => number,
            Self::Error(error) => {
                let number = errno(&error);
                if number.code() == Errno::EIO.code() {
                    tracing::error!(operation, ?error, "failed");
                } else {
                    tracing::debug!(operation, ?error, "refused");
                }
                number
            }
        }
    }
}

/// A reply that can be an error.
pub(crate) trait Refuse: Send + 'static {
    fn refuse(self, errno: Errno);
}

/// A reply that is filled piece by piece.
pub(crate) trait Fill: Refuse {
    fn filled(self);
}

macro_rules! refuse {
    ($($reply:ident),+) => {
        $(impl Refuse for $reply {
            fn refuse(self, errno: Errno) {
                self.error(errno);
            }
        })+
    };
}

refuse!(
    ReplyAttr,
    ReplyCreate,
    ReplyData,
    ReplyDirectory,
    ReplyEmpty,
    ReplyEntry,
    ReplyOpen,
    ReplyStatfs,
    ReplyWrite,
    ReplyXattr
);
