//! An ordered, revisioned key space with conditional atomic batches.
//!
//! The shape is that of FoundationDB (transactions as guards and operations over ordered
//! keys, atomic operations, stamped keys) and of etcd (one revision counter, conditional
//! batches, waiting past a revision). It is small so that an embedded database, a Raft
//! group and a SQL server can all implement it, and so that filesystem code exists once.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{MetastoreSnapshot, RestoreStep, Restoring, Result, Revision};

/// How many bytes [`Op::PutStamped`] appends to its key: the revision, big-endian.
pub const STAMP_LEN: usize = 8;

/// A durable, ordered map from byte keys to byte values.
///
/// # Contract
///
/// * **Atomic.** A transaction applies whole or not at all, also across a crash.
/// * **Ordered.** Transactions apply one after another; each that applies takes the next
///   [`Revision`], and every value remembers the revision that last wrote it. All commits
///   in this process that were acknowledged are visible to a [`Freshness::Linearizable`] read.
/// * **Unmistakable.** A revision that anybody could see names one commit for ever. When a crash
///   takes commits back, the store goes on after all revisions they may have had, and those
///   count as reached: whoever waits past one goes on with the next commit there is.
/// * **Durable.** [`Durability::Sync`] commits survive power loss once acknowledged.
///   [`Durability::Relaxed`] ones are visible at once and survive a crash of the process's
///   machine only after the next `Sync` commit or [`sync`](Self::sync); a crash keeps a prefix of the commit order.
/// * **Whole.** While a [restore](Self::restore) has begun and not ended, all other calls but
///   [`limits`](Self::limits), [`set_barrier`](Self::set_barrier) and
///   [`restoring`](Self::restoring) are refused with `Conflict`, also after a crash: nobody takes
///   half a state for a whole one.
/// * **Explicit.** A transaction beyond [`Limits`] is refused with `LimitExceeded`, a
///   malformed one with `InvalidArgument`; nothing is truncated.
///
/// # Errors
///
/// I/O trouble is `Unavailable`, unreadable data `Corrupt`. A failed commit says through
/// [`Outcome`](crate::Outcome) whether it may have been applied.
///
/// # Cancel safety
///
/// Dropping a `commit` future does not withdraw the transaction: it may still apply. All
/// other calls only read and may be dropped at will.
#[async_trait]
pub trait Metastore: Send + Sync + 'static {
    /// What this store accepts.
    fn limits(&self) -> Limits;

    /// The value of `key`, or `None`.
    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Value>>;

    /// The values of `keys`, in their order, all from one state of the store.
    async fn get_many(&self, keys: &[Bytes], freshness: Freshness) -> Result<Vec<Option<Value>>>;

    /// One page of a range in key order, from one state of the store.
    async fn scan(&self, scan: Scan, freshness: Freshness) -> Result<Page>;

    /// Checks all guards against the current state and, if they hold, applies all
    /// operations in order.
    async fn commit(&self, txn: Txn) -> Result<Commit>;

    /// Waits until the store is past `after`; returns the newest revision it has.
    async fn changed(&self, after: Revision) -> Result<Revision>;

    /// Waits until everything visible at the time of the call is durable; returns the
    /// newest revision that is.
    async fn sync(&self) -> Result<Revision>;

    /// Sets what the store has to wait for before it makes anything durable from now on,
    /// in place of what was set before. See [`FlushBarrier`].
    fn set_barrier(&self, barrier: Arc<dyn FlushBarrier>);

    /// The newest state, to be read at leisure. `LimitExceeded` while
    /// [`Limits::snapshots_max`] others are held.
    async fn snapshot(&self) -> Result<Arc<dyn MetastoreSnapshot>>;

    /// Takes one step of a restore; durable when it is answered. `Conflict` for a step that does
    /// not fit where the restore is: see [`RestoreStep`]. A refused step changes nothing.
    async fn restore(&self, step: RestoreStep) -> Result<()>;

    /// How far a restore has come that has begun and not ended.
    async fn restoring(&self) -> Result<Option<Restoring>>;
}

/// Makes durable what commits refer to and the store does not hold, as a filesystem with
/// ordered data writes the blocks of a file before the journal that names them.
///
/// # Contract
///
/// * **Before.** The store decides what becomes durable, then waits for [`flush`](Self::flush)
///   unless [`is_clean`](Self::is_clean), and only then makes it durable. So whoever puts a
///   content without waiting for the disk, makes the barrier unclean by that, and then submits
///   a commit that names the content, never finds the commit without the content after a
///   crash. That holds for both durabilities.
/// * **Whatever the reason.** A `Sync` commit, [`Metastore::sync`], the store's own time or limits
///   for `Relaxed` commits, its end. A store that has nothing to make durable does not ask.
/// * **Failure.** When `flush` fails, nothing of what waited for it becomes durable. `Sync`
///   commits, `sync`, and `Relaxed` commits for which there is no room without a flush answer
///   `Unavailable` and are not applied. What was acknowledged stays visible and is tried again, and
///   the store goes on; only a store that ends cannot try again, and says so.
/// * **Where.** The store may wait for `flush` in a thread of its own, inside the runtime in
///   which [`Metastore::set_barrier`] was called. It may not wait in a worker of a runtime without
///   giving it back.
#[async_trait]
pub trait FlushBarrier: Send + Sync + 'static {
    /// Whether everything that was put before this call is durable: then the store need not
    /// call [`flush`](Self::flush). Asked often; must neither block nor cost much.
    fn is_clean(&self) -> bool;

    /// Makes durable everything that was put before this call.
    async fn flush(&self) -> Result<()>;
}

/// What a metastore accepts in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest key in bytes, stamp included.
    pub key_bytes_max: usize,
    /// Longest value in bytes.
    pub value_bytes_max: usize,
    /// Most guards and operations together in one transaction, and most keys in one
    /// `get_many`.
    pub txn_items_max: usize,
    /// Most bytes of keys and values in one transaction.
    pub txn_bytes_max: usize,
    /// Largest page a scan returns; a larger request is refused.
    pub scan_entries_max: usize,
    /// Most snapshots that may be held at a time.
    pub snapshots_max: usize,
}

impl Limits {
    /// What every driver accepts at least, and the bundled ones exactly.
    pub const STANDARD: Self = Self {
        key_bytes_max: 1024,
        value_bytes_max: 1 << 20,
        txn_items_max: 200_000,
        txn_bytes_max: 64 << 20,
        scan_entries_max: 10_000,
        snapshots_max: 16,
    };
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Reflects every commit acknowledged anywhere before the call began.
    Linearizable,
    /// Reflects at least this revision; waits for it if it is still on the way.
    AtLeast(Revision),
    /// Whatever this replica has; never waits.
    Local,
}

/// A value and the revision that last wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The bytes.
    pub bytes: Bytes,
    /// The commit that wrote them.
    pub revision: Revision,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value and its revision.
    pub value: Value,
}

impl Entry {
    /// Bytes of its key and value.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.key.len() + self.value.bytes.len()
    }
}

/// Keys from `start` (included) to `end` (excluded), in byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// First key of the range.
    pub start: Bytes,
    /// First key after it.
    pub end: Bytes,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    ///
    /// # Panics
    ///
    /// If `prefix` is empty or all `0xFF`: such a range has no end.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let last = start.iter().rposition(|b| *b != 0xFF);
        let last = last.expect("a prefix has a byte below 0xFF");
        let mut end = start[..=last].to_vec();
        end[last] += 1;
        Self {
            start,
            end: end.into(),
        }
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && *key < *self.end
    }
}

/// Which end of a range a scan begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScanDirection {
    /// From the first key up.
    #[default]
    Forward,
    /// From the last key down.
    Backward,
}

/// A request for one page of a range.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The keys wanted.
    pub range: KeyRange,
    /// Most entries to return; 1 up to [`Limits::scan_entries_max`].
    pub limit: usize,
    /// No entry is added once those before it have so many bytes of keys and values; 1 at least.
    /// So a page has fewer than this and one entry more, and it has an entry if there is one.
    pub bytes_max: usize,
    /// The order.
    pub direction: ScanDirection,
}

impl Scan {
    /// The first `limit` entries of `range`.
    #[must_use]
    pub const fn forward(range: KeyRange, limit: usize) -> Self {
        Self {
            range,
            limit,
            bytes_max: usize::MAX,
            direction: ScanDirection::Forward,
        }
    }

    /// The last `limit` entries of `range`, last first.
    #[must_use]
    pub const fn backward(range: KeyRange, limit: usize) -> Self {
        Self {
            range,
            limit,
            bytes_max: usize::MAX,
            direction: ScanDirection::Backward,
        }
    }

    /// The same, with pages that end once they have so many bytes.
    #[must_use]
    pub fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Whether a page with so many entries, of so many bytes, takes another one.
    #[must_use]
    pub const fn takes_more(&self, entries: usize, bytes: usize) -> bool {
        entries < self.limit && bytes < self.bytes_max
    }
}

/// One page of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries, in the scan's order.
    pub entries: Vec<Entry>,
    /// Whether the range holds more beyond the last entry.
    pub more: bool,
    /// The revision of the state that was read.
    pub revision: Revision,
}

/// Makes a retry of an applied transaction recognisable. Chosen at random by the proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TxnId(pub u128);

/// When a commit may be acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After it is durable.
    #[default]
    Sync,
    /// Once it is visible; durable with the next `Sync` commit.
    Relaxed,
}

/// A condition on the state before a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The key has no value.
    Absent(Bytes),
    /// The key has a value.
    Present(Bytes),
    /// The key has a value that this revision wrote.
    RevisionIs(Bytes, Revision),
    /// No key of the range has a value.
    RangeEmpty(KeyRange),
}

/// A change to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put(Bytes, Bytes),
    /// Removes a key; removing an absent key is no error.
    Delete(Bytes),
    /// Removes every key of a range.
    DeleteRange(KeyRange),
    /// Adds to a signed 64-bit big-endian counter; an absent one counts as 0. A value of
    /// another length refuses the transaction as `InvalidArgument`, an overflow as
    /// `LimitExceeded`. A counter that reaches 0 stays, with the value 0.
    Add(Bytes, i64),
    /// Sets a key to the larger of its value and this one, in byte order; an absent key is
    /// smaller than anything. A key that has the larger value already is not written, and
    /// keeps its revision.
    Max(Bytes, Bytes),
    /// Sets the key made of this prefix and the commit's own revision ([`STAMP_LEN`] bytes).
    PutStamped(Bytes, Bytes),
}

/// Guards and operations that apply together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// When given, a store that keeps ids ([`Metastore::commit`]) answers a retry of an
    /// applied transaction with its first revision instead of applying it again. Stores
    /// remember a bounded number of recent ids; the bundled drivers keep 4,096.
    pub id: Option<TxnId>,
    /// All must hold, else nothing happens.
    pub guards: Vec<Guard>,
    /// Applied in order; later ones see earlier ones. At least one.
    pub ops: Vec<Op>,
    /// When the commit may be acknowledged.
    pub durability: Durability,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a transaction with guards may not have been applied"]
pub enum Commit {
    /// It applied, as this revision.
    Applied(Revision),
    /// A guard did not hold, and nothing happened.
    Conflict {
        /// The position in [`Txn::guards`] of the first guard that failed.
        guard: usize,
    },
}
