//! What all parts of the store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nexus_kernel::{ObjectKey, ObjectMeta};
use parking_lot::{Mutex, RwLock};

use crate::backlog::Backlog;
use crate::config::LocalConfig;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Failure, Result};
use crate::layout;
use crate::overlay::{Entry, Overlay};
use crate::segments::{Segment, Segments};
use crate::stats::Counters;

/// How often a read starts over because the blob moved under it. Each time means that a
/// checkpoint or an overwrite went by in between.
const MOVES_MAX: usize = 1000;

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

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) meta: ObjectMeta,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// In the journal, from byte `at`. Holding the segment keeps it from being written again.
    Journal { segment: Arc<Segment>, at: u64 },
    /// In a file of its own.
    File(Arc<dyn DiskFile>),
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

    pub(crate) fn open(&self, key: &ObjectKey) -> Result<Opened> {
        for _ in 0..MOVES_MAX {
            let newest = self.overlay.read().get(key).cloned();
            let Some(newest) = newest else {
                return self.open_file(key);
            };
            let meta = newest.meta(key).ok_or_else(missing)?;
            let source = match newest {
                Entry::Journaled { segment, at, .. } => Source::Journal { segment, at },
                Entry::Deleted { .. } => return Err(missing()),
                Entry::Staged { id, .. } => match self.open_staged(id) {
                    Ok(source) => source,
                    Err(failure) if !failure.is_not_found() => return Err(failure),
                    // A checkpoint has moved it.
                    Err(_) if self.is_newest(key, id) => match self.open_file(key) {
                        Err(failure) if failure.is_not_found() => continue,
                        opened => return opened,
                    },
                    // Another put has replaced it.
                    Err(_) => continue,
                },
            };
            return Ok(Opened { meta, source });
        }
        Err(missing())
    }

    /// Whether staged file `id` still is what the overlay says of `key`.
    fn is_newest(&self, key: &ObjectKey, id: u64) -> bool {
        let overlay = self.overlay.read();
        matches!(overlay.get(key), Some(Entry::Staged { id: newest, .. }) if *newest == id)
    }

    fn open_staged(&self, id: u64) -> Result<Source> {
        let file = self.disk.open(&layout::staged(id), Access::Read)?;
        Ok(Source::File(file))
    }

    fn open_file(&self, key: &ObjectKey) -> Result<Opened> {
        let file = self.disk.open(&layout::blob(key), Access::Read)?;
        let facts = file.facts()?;
        let meta = ObjectMeta {
            key: key.clone(),
            size: facts.size,
            modified: facts.modified,
        };
        Ok(Opened {
            meta,
            source: Source::File(file),
        })
    }

    pub(crate) fn head(&self, key: &ObjectKey) -> Result<ObjectMeta> {
        if let Some(entry) = self.overlay.read().get(key) {
            return entry.meta(key).ok_or_else(missing);
        }
        let facts = self.disk.facts(&layout::blob(key))?;
        Ok(ObjectMeta {
            key: key.clone(),
            size: facts.size,
            modified: facts.modified,
        })
    }

    pub(crate) fn exists(&self, key: &ObjectKey) -> Result<bool> {
        match self.head(key) {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_not_found() => Ok(false),
            Err(failure) => Err(failure),
        }
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

fn missing() -> Failure {
    Failure::from(std::io::Error::from(rustix::io::Errno::NOENT))
}
