//! What all parts of the store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::backlog::Backlog;
use crate::config::LocalConfig;
use crate::disk::{Access, Disk};
use crate::error::Result;
use crate::layout;
use crate::overlay::Overlay;
use crate::segments::Segments;
use crate::stats::Counters;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: LocalConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) overlay: RwLock<Overlay>,
    pub(crate) segments: Mutex<Segments>,
    pub(crate) backlog: Backlog,
    pub(crate) counters: Counters,
    /// Whether the journal has records that no flush has covered.
    pub(crate) unflushed: AtomicBool,
    next_id: AtomicU64,
}

impl Core {
    /// `first_id` is above every id that a record may name.
    pub(crate) fn new(
        config: LocalConfig,
        disk: Arc<dyn Disk>,
        overlay: Overlay,
        segments: Segments,
        backlog: Backlog,
        first_id: u64,
    ) -> Self {
        Self {
            config,
            disk,
            overlay: RwLock::new(overlay),
            segments: Mutex::new(segments),
            backlog,
            counters: Counters::default(),
            unflushed: AtomicBool::new(false),
            next_id: AtomicU64::new(first_id),
        }
    }

    /// A number that names one staged file for ever.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether every change so far is durable.
    pub(crate) fn is_durable(&self) -> bool {
        !self.unflushed.load(Ordering::Acquire) && self.overlay.read().unlogged_size().0 == 0
    }

    /// Makes the contents of all staged files durable that no record names yet; returns their ids,
    /// for [`Change::Log`](crate::queue::Change::Log).
    pub(crate) fn flush_staged(&self) -> Result<Vec<u64>> {
        /// From so many files on, one flush of the whole disk is cheaper.
        const SINGLE_FLUSHES_MAX: usize = 4;
        let staged = self.overlay.read().unlogged();
        let ids: Vec<u64> = staged.into_iter().map(|(id, _)| id).collect();
        if ids.len() > SINGLE_FLUSHES_MAX {
            self.disk.sync_all()?;
            return Ok(ids);
        }
        for id in &ids {
            match self.disk.open(&layout::staged(*id), Access::Read) {
                // Replaced in the meantime.
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                file => file?.sync()?,
            }
        }
        Ok(ids)
    }
}
