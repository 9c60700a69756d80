//! An object store that fails on purpose.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use nexus_kernel::{
    Blob, ByteStream, Capabilities, Error, ObjectKey, ObjectMeta, ObjectPage, ObjectStore,
    PutOptions, PutOutcome, Result,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How often which fault happens, in thousandths of the calls it applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A call fails before it had any effect.
    pub before_per_mille: u32,
    /// A mutation takes effect and its answer is lost.
    pub after_per_mille: u32,
    /// The body of an opened blob breaks off half-way with an error.
    pub short_body_per_mille: u32,
    /// Every put and copy reports a full disk.
    pub disk_full: bool,
}

impl Faults {
    /// No faults.
    pub const OFF: Self = Self {
        before_per_mille: 0,
        after_per_mille: 0,
        short_body_per_mille: 0,
        disk_full: false,
    };
}

/// A store around another that injects [`Faults`] in an order that its seed decides. Without
/// faults it is the store inside.
pub struct FaultyObjectStore {
    inner: Arc<dyn ObjectStore>,
    state: Mutex<State>,
    injected: AtomicU64,
}

struct State {
    faults: Faults,
    random: StdRng,
}

impl FaultyObjectStore {
    /// Wraps `inner`. Print the seed when a test fails.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, seed: u64, faults: Faults) -> Self {
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

    fn before_storing(&self) -> Result<()> {
        self.before()?;
        if self.strikes(|faults| if faults.disk_full { 1000 } else { 0 }) {
            return Err(Error::limit(
                "the disk is full; free some space and try again",
            ));
        }
        Ok(())
    }

    fn after<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.is_ok() && self.strikes(|faults| faults.after_per_mille) {
            let lost =
                Error::unavailable("a fault was injected after the call; read before a retry");
            return Err(lost.outcome_unknown());
        }
        answer
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FaultyObjectStore {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn put(
        &self,
        key: &ObjectKey,
        body: ByteStream,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        self.before_storing()?;
        self.after(self.inner.put(key, body, options).await)
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.before()?;
        let mut blob = self.inner.get(key, range).await?;
        if self.strikes(|faults| faults.short_body_per_mille) {
            blob.body = cut_short(blob.body, (blob.range.end - blob.range.start) / 2);
        }
        Ok(blob)
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta> {
        self.before()?;
        self.inner.head(key).await
    }

    async fn local_file(&self, key: &ObjectKey) -> Result<Option<File>> {
        self.before()?;
        self.inner.local_file(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        self.before()?;
        self.after(self.inner.delete(key).await)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<ObjectPage> {
        self.before()?;
        self.inner.list(prefix, after, limit).await
    }

    async fn copy(
        &self,
        from: &ObjectKey,
        to: &ObjectKey,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        self.before_storing()?;
        self.after(self.inner.copy(from, to, options).await)
    }

    async fn sync(&self) -> Result<()> {
        self.before()?;
        self.after(self.inner.sync().await)
    }
}

/// The first `length` bytes of a body, and then an error.
fn cut_short(body: ByteStream, length: u64) -> ByteStream {
    let kept = body.scan(length, |left, piece| {
        let piece = piece.map(|bytes| take(left, bytes));
        std::future::ready((*left > 0 || matches!(&piece, Ok(b) if !b.is_empty())).then_some(piece))
    });
    let broken = Error::unavailable("an injected fault cut the body short; read it again");
    kept.chain(stream::iter([Err(broken)])).boxed()
}

fn take(left: &mut u64, mut bytes: Bytes) -> Bytes {
    let taken = bytes
        .len()
        .min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= taken as u64;
    bytes.truncate(taken);
    bytes
}
