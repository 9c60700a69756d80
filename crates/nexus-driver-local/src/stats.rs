//! Figures for the curious.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the store did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalStats {
    /// Bytes appended to the journal.
    pub journal_bytes: u64,
    /// Records appended to the journal.
    pub journal_records: u64,
    /// Flushes of the journal. `journal_records` by this is how many changes shared one.
    pub journal_flushes: u64,
    /// Segments of the journal that became files.
    pub checkpoints: u64,
    /// Full segments that wait to become files.
    pub segments_behind: u64,
    /// Relaxed blobs in files that no flush has covered.
    pub unflushed_blobs: u64,
    /// Their bytes.
    pub unflushed_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) journal_bytes: Counter,
    pub(crate) journal_records: Counter,
    pub(crate) journal_flushes: Counter,
    pub(crate) checkpoints: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
