//! The barrier that what becomes durable waits for.

use std::sync::Arc;

use nexus_kernel::{FlushBarrier, Result};
use parking_lot::RwLock;
use tokio::runtime::Handle;

/// The [`FlushBarrier`] that somebody registered, if somebody did.
#[derive(Default)]
pub(crate) struct Barrier(RwLock<Option<Registered>>);

#[derive(Clone)]
struct Registered {
    barrier: Arc<dyn FlushBarrier>,
    /// Where its futures find their runtime.
    runtime: Option<Handle>,
}

impl Barrier {
    pub(crate) fn set(&self, barrier: Arc<dyn FlushBarrier>) {
        let runtime = Handle::try_current().ok();
        *self.0.write() = Some(Registered { barrier, runtime });
    }

    /// Whether [`flush`](Self::flush) would do nothing.
    pub(crate) fn is_clean(&self) -> bool {
        let registered = self.0.read();
        let registered = registered.as_ref();
        registered.is_none_or(|registered| registered.barrier.is_clean())
    }

    /// Waits for the barrier. Blocks the thread, which must not belong to a runtime unless
    /// the barrier is clean.
    pub(crate) fn flush(&self) -> Result<()> {
        let Some(registered) = self.0.read().clone() else {
            return Ok(());
        };
        if registered.barrier.is_clean() {
            return Ok(());
        }
        let _runtime = registered.runtime.as_ref().map(Handle::enter);
        futures::executor::block_on(registered.barrier.flush())
    }
}
