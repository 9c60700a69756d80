use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What the committer has done since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedbStats {
    /// Transactions applied.
    pub commits: u64,
    /// Transactions that met a conflict or were refused while being applied.
    pub rejections: u64,
    /// Groups committed, in memory or to the file, each of one or more transactions.
    pub groups: u64,
    /// Flushes to the disk.
    pub syncs: u64,
    /// Transactions in the largest group.
    pub group_max: u64,
    /// How long the last flush took, in microseconds.
    pub last_sync_micros: u64,
    /// Transactions waiting now.
    pub waiting: u64,
    /// Memory that commits take which are not in the file yet.
    pub memtable_bytes: u64,
    /// Size of the database file; 0 when the store does not stand on a file.
    pub file_bytes: u64,
}

/// The committer's side of [`RedbStats`].
#[derive(Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    rejections: AtomicU64,
    groups: AtomicU64,
    syncs: AtomicU64,
    group_max: AtomicU64,
    last_sync_micros: AtomicU64,
}

impl Counters {
    pub(crate) fn evaluated(&self, applied: usize, rejected: usize) {
        self.commits.fetch_add(applied as u64, Relaxed);
        self.rejections.fetch_add(rejected as u64, Relaxed);
        self.groups.fetch_add(u64::from(applied > 0), Relaxed);
        self.group_max.fetch_max(applied as u64, Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration) {
        self.syncs.fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_sync_micros.store(micros, Relaxed);
    }

    pub(crate) fn read(&self, waiting: usize, memtable_bytes: usize, file_bytes: u64) -> RedbStats {
        RedbStats {
            commits: self.commits.load(Relaxed),
            rejections: self.rejections.load(Relaxed),
            groups: self.groups.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            group_max: self.group_max.load(Relaxed),
            last_sync_micros: self.last_sync_micros.load(Relaxed),
            waiting: waiting as u64,
            memtable_bytes: memtable_bytes as u64,
            file_bytes,
        }
    }
}
