//! A flush beside the seat: relaxed commits go on meanwhile.

use std::sync::Arc;
use std::time::Instant;

use nexus_kernel::Revision;

use crate::barrier::Barrier;
use crate::batch::{Batch, Failure, Reserved};
use crate::layers::{Base, Below, Sealed};
use crate::open::Opened;

/// A sealed memtable on its way into the file.
pub(crate) struct Flush {
    pub(crate) opened: Arc<Opened>,
    pub(crate) below: Arc<Below>,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) relaxed_commits_max: u64,
    pub(crate) started: Instant,
}

/// What became of it.
pub(crate) struct Flushed {
    pub(crate) base: Result<Base, Failure>,
    pub(crate) newest: Revision,
    pub(crate) reserved: Revision,
    pub(crate) started: Instant,
}

impl Flush {
    /// Waits for the barrier, then writes.
    pub(crate) fn run(self) -> Flushed {
        let sealed = self.below.sealed.as_ref();
        let sealed = sealed.expect("a flush begins with something sealed");
        let reserved = Revision(sealed.newest.0 + self.relaxed_commits_max);
        Flushed {
            base: self.write(sealed, reserved),
            newest: sealed.newest,
            reserved,
            started: self.started,
        }
    }

    fn write(&self, sealed: &Sealed, reserved: Revision) -> Result<Base, Failure> {
        self.barrier.flush().map_err(Failure::Barrier)?;
        let ids: Vec<_> = sealed.ids.iter().collect();
        let batch = Batch {
            layers: &[&sealed.changes],
            ids: &ids,
            newest: sealed.newest,
            reserved: &Reserved::UpTo(reserved),
        };
        batch.write(&self.opened.db)
    }
}
