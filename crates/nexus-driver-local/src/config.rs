//! Settings.

use std::path::PathBuf;

use nexus_kernel::{Error, Result};

/// Where the blobs are and how the journal in front of them works. [`LocalConfig::new`] has the
/// measured defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalConfig {
    /// The folder of the store; created if it does not exist.
    pub root: PathBuf,
    /// Durable blobs up to this size go through the journal and share its flushes; larger ones are
    /// written once, to their own file.
    pub journal_blob_bytes_max: usize,
    /// Relaxed blobs up to this size go through the journal. Larger ones would gain nothing there:
    /// nobody waits for them, so they are spared being written twice.
    pub relaxed_journal_blob_bytes_max: usize,
    /// Size of a journal segment. Its blobs become files when it is full.
    pub segment_bytes: u64,
    /// How many full segments rest until the store is idle. Beyond, they become files while it is
    /// busy, which costs the writers a part of the disk and of the processor.
    pub segments_resting_max: usize,
    /// How many full segments may wait to become files before puts wait too.
    pub segments_behind_max: usize,
    /// Most bytes of puts that wait for the journal; more puts wait for those.
    pub queue_bytes_max: usize,
    /// Most bytes of relaxed blobs that no flush has covered; the put that exceeds it flushes.
    pub relaxed_bytes_max: u64,
    /// Most relaxed blobs that no flush has covered.
    pub relaxed_blobs_max: usize,
    /// After so long without writes the journal is emptied into files.
    pub idle_ms: u64,
}

impl LocalConfig {
    /// The defaults, in `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            journal_blob_bytes_max: (1 << 20) + (64 << 10),
            relaxed_journal_blob_bytes_max: 32 << 10,
            segment_bytes: 32 << 20,
            segments_resting_max: 6,
            segments_behind_max: 12,
            queue_bytes_max: 64 << 20,
            relaxed_bytes_max: 256 << 20,
            relaxed_blobs_max: 4096,
            idle_ms: 2000,
        }
    }

    /// # Errors
    ///
    /// `InvalidArgument` when the sizes contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        let journaled = self
            .journal_blob_bytes_max
            .max(self.relaxed_journal_blob_bytes_max) as u64;
        if self.segment_bytes < 2 * (journaled + 1024) {
            return Err(Error::invalid(
                "make segment_bytes more than twice the largest journaled blob",
            )
            .with("segment_bytes", self.segment_bytes));
        }
        if self.segment_bytes > u64::from(u32::MAX) {
            return Err(Error::invalid("make segment_bytes less than 4 GiB")
                .with("segment_bytes", self.segment_bytes));
        }
        if self.segments_behind_max < self.segments_resting_max {
            return Err(
                Error::invalid("make segments_behind_max at least segments_resting_max")
                    .with("segments_behind_max", self.segments_behind_max),
            );
        }
        if (self.queue_bytes_max as u64) < journaled {
            return Err(
                Error::invalid("make queue_bytes_max at least the largest journaled blob")
                    .with("queue_bytes_max", self.queue_bytes_max),
            );
        }
        Ok(())
    }
}
