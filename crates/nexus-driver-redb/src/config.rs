use std::path::PathBuf;
use std::time::Duration;

/// Where the file is and how much memory and delay it may cost.
#[derive(Clone, Debug)]
pub struct RedbConfig {
    /// The database file. Its folder must exist.
    pub path: PathBuf,
    /// Most memory for cached pages.
    pub cache_bytes: usize,
    /// Most transactions in one group.
    pub group_txns_max: usize,
    /// Most bytes of transactions in one group; a larger transaction goes alone.
    pub group_bytes_max: usize,
    /// Most bytes of transactions waiting; beyond it, callers wait for room.
    pub queue_bytes_max: usize,
    /// Disk space to keep free: below it only transactions that delete something are
    /// taken, so that the disk does not run full in the middle of a commit.
    pub free_bytes_min: u64,
    /// Most bytes of relaxed commits that are gathered in memory before they are written to the
    /// file. As many again may gather while those are written.
    pub memtable_bytes_max: usize,
    /// How long a relaxed commit may stay without being durable.
    pub relaxed_delay_max: Duration,
    /// How many commits there may be between two flushes. The first start after a crash leaves
    /// out as many revisions, so that none that was seen comes again.
    pub relaxed_commits_max: u64,
}

impl RedbConfig {
    /// A store at `path` with the usual limits.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 64 << 20,
            group_txns_max: 1024,
            group_bytes_max: 16 << 20,
            queue_bytes_max: 128 << 20,
            free_bytes_min: 64 << 20,
            memtable_bytes_max: 8 << 20,
            relaxed_delay_max: Duration::from_secs(1),
            relaxed_commits_max: 1 << 16,
        }
    }

    /// The folder that the file is in.
    pub(crate) fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
            _ => ".".into(),
        }
    }
}
