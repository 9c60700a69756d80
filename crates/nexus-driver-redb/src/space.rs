//! Keeps the disk from running full in the middle of a flush, after which the store would
//! have to be opened again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nexus_kernel::{Op, Result, Txn};

use crate::config::RedbConfig;
use crate::error;

/// How long an answer of the operating system is good for.
const RECHECK: Duration = Duration::from_millis(100);

/// The free space on the disk that the file is on.
pub(crate) struct Space {
    folder: PathBuf,
    reserve: u64,
    free: u64,
    checked: Option<Instant>,
}

impl Space {
    pub(crate) fn new(config: &RedbConfig) -> Self {
        Self {
            folder: config.folder(),
            reserve: config.free_bytes_min,
            free: u64::MAX,
            checked: None,
        }
    }

    /// Looks again, when the last look was long enough ago; and always while there is little room,
    /// so that whoever makes some is not refused once more.
    pub(crate) fn refresh(&mut self, now: Instant) {
        let is_recent = self.checked.is_some_and(|then| now < then + RECHECK);
        if is_recent && !self.is_short() {
            return;
        }
        self.checked = Some(now);
        // Where the space cannot be told, the disk itself says when it is full.
        let disk = rustix::fs::statvfs(&self.folder);
        self.free = disk.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    }

    /// How much may be written beyond what is kept free.
    pub(crate) fn spare(&self) -> u64 {
        self.free.saturating_sub(self.reserve)
    }

    /// Refuses a transaction that only adds while there is little room.
    pub(crate) fn admit(&self, txn: &Txn) -> Result<()> {
        let deletes = |op: &Op| matches!(op, Op::Delete(_) | Op::DeleteRange(_));
        if txn.ops.iter().any(deletes) {
            return Ok(());
        }
        self.check()
    }

    /// Refuses anything while there is little room.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_short() {
            return Err(error::nearly_full(self.reserve));
        }
        Ok(())
    }

    fn is_short(&self) -> bool {
        self.free < self.reserve
    }
}
