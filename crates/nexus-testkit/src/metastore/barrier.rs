//! A flush barrier that says what it saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use nexus_kernel::{Error, FlushBarrier, Metastore, Result};

/// Contents by number: those that were put, and those of them that a flush has made durable.
#[derive(Default)]
pub struct TestBarrier {
    put: AtomicU64,
    durable: AtomicU64,
    fails: AtomicBool,
    failures: AtomicU64,
}

impl TestBarrier {
    /// A new one, set on `store`.
    #[must_use]
    pub fn set_on(store: &dyn Metastore) -> Arc<Self> {
        let barrier = Arc::<Self>::default();
        store.set_barrier(barrier.clone());
        barrier
    }

    /// Puts a content, and returns its number; the first is 1.
    pub fn put(&self) -> u64 {
        self.put.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The newest content that is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    /// Whether flushes fail from now on.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// How many flushes have failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl FlushBarrier for TestBarrier {
    fn is_clean(&self) -> bool {
        self.durable() == self.put.load(Ordering::SeqCst)
    }

    async fn flush(&self) -> Result<()> {
        let put = self.put.load(Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Err(Error::unavailable("the barrier fails on purpose; heal it"));
        }
        self.durable.fetch_max(put, Ordering::SeqCst);
        Ok(())
    }
}
