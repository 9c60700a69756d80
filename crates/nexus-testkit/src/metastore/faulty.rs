//! A metastore that fails on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{
    Commit, Error, FlushBarrier, Freshness, Limits, Metastore, MetastoreSnapshot, Page,
    RestoreStep, Restoring, Result, Revision, Scan, Txn, Value,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How often which fault happens, in thousandths of the calls it applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A call fails before it had any effect.
    pub before_per_mille: u32,
    /// A commit, or a step of a restore, takes effect and its answer is lost.
    pub after_per_mille: u32,
    /// A commit's answer is lost first, and the commit is tried later, at a moment of the
    /// scheduler's choice.
    pub late_per_mille: u32,
}

impl Faults {
    /// No faults.
    pub const OFF: Self = Self {
        before_per_mille: 0,
        after_per_mille: 0,
        late_per_mille: 0,
    };
}

/// A store around another that injects [`Faults`] in an order that its seed decides.
/// Without faults it is the store inside.
pub struct FaultyMetastore {
    inner: Arc<dyn Metastore>,
    state: Mutex<State>,
    injected: AtomicU64,
}

struct State {
    faults: Faults,
    random: StdRng,
}

impl FaultyMetastore {
    /// Wraps `inner`. Print the seed when a test fails.
    #[must_use]
    pub fn new(inner: Arc<dyn Metastore>, seed: u64, faults: Faults) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self {
            inner,
            state: Mutex::new(State { faults, random }),
            injected: AtomicU64::new(0),
        }
    }

    /// Changes what happens from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.set_faults(Faults::OFF);
    }

    /// How many faults were injected so far.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    fn strikes(&self, per_mille: impl Fn(&Faults) -> u32) -> bool {
        let mut state = self.state.lock();
        let chance = per_mille(&state.faults);
        let strikes = state.random.random_ratio(chance.min(1000), 1000);
        self.injected.fetch_add(strikes.into(), Ordering::Relaxed);
        strikes
    }

    fn before(&self) -> Result<()> {
        if self.strikes(|faults| faults.before_per_mille) {
            return Err(Error::unavailable(
                "a fault was injected before the call; try again",
            ));
        }
        Ok(())
    }
}

fn lost() -> Error {
    let lost = Error::unavailable("the answer was lost; read before a retry, or retry by id");
    lost.outcome_unknown()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Metastore for FaultyMetastore {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Value>> {
        self.before()?;
        self.inner.get(key, freshness).await
    }

    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>> {
        self.before()?;
        self.inner.get_many(keys, freshness).await
    }

    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page> {
        self.before()?;
        self.inner.scan(scan, freshness).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit> {
        self.before()?;
        if self.strikes(|faults| faults.late_per_mille) {
            let inner = self.inner.clone();
            tokio::spawn(async move { inner.commit(txn).await });
            return Err(lost());
        }
        let answer = self.inner.commit(txn).await?;
        if self.strikes(|faults| faults.after_per_mille) {
            return Err(lost());
        }
        Ok(answer)
    }

    async fn changed(&self, after: Revision) -> Result<Revision> {
        self.before()?;
        self.inner.changed(after).await
    }

    async fn sync(&self) -> Result<Revision> {
        self.before()?;
        self.inner.sync().await
    }

    fn set_barrier(&self, barrier: Arc<dyn FlushBarrier>) {
        self.inner.set_barrier(barrier);
    }

    async fn snapshot(&self) -> Result<Arc<dyn MetastoreSnapshot>> {
        self.before()?;
        self.inner.snapshot().await
    }

    async fn restore(&self, step: RestoreStep) -> Result<()> {
        self.before()?;
        self.inner.restore(step).await?;
        if self.strikes(|faults| faults.after_per_mille) {
            return Err(lost());
        }
        Ok(())
    }

    async fn restoring(&self) -> Result<Option<Restoring>> {
        self.before()?;
        self.inner.restoring().await
    }
}
