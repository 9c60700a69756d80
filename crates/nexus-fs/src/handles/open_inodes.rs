//! Which inodes are open in this process, and which are about to go.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::open_file::OpenFile;
use crate::zone::Shared;

/// The open inodes of a process.
#[derive(Default)]
pub(crate) struct OpenInodes {
    inodes: Mutex<Inodes>,
    /// Tells those who wait to open an inode that a removal is over.
    removal_over: Notify,
    /// Bytes that the drafts of all open files take.
    drafts: AtomicUsize,
}

#[derive(Default)]
struct Inodes {
    /// The open ones, each with how many handles it has.
    open: HashMap<u64, (Arc<OpenFile>, usize)>,
    /// Those that commits in the making remove, each with how many do.
    going: HashMap<u64, usize>,
}

/// What became of a handle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    OneOfMany,
    Last,
    /// It is the last one, and somebody else has left something to be written back.
    NotYet,
}

impl OpenInodes {
    pub(crate) fn is_open(&self, ino: u64) -> bool {
        self.inodes.lock().open.contains_key(&ino)
    }

    pub(super) fn get(&self, ino: u64) -> Option<Arc<OpenFile>> {
        let inodes = self.inodes.lock();
        inodes.open.get(&ino).map(|(file, _)| Arc::clone(file))
    }

    /// Adds a handle; if the inode is about to go, answers what to wait for before it is
    /// looked up again.
    pub(super) fn open(&self, ino: u64, path: String) -> Result<Arc<OpenFile>, Notified<'_>> {
        let mut inodes = self.inodes.lock();
        if inodes.going.contains_key(&ino) {
            return Err(self.removal_over.notified());
        }
        let new = || (Arc::new(OpenFile::new(ino, path)), 0);
        let (file, count) = inodes.open.entry(ino).or_insert_with(new);
        *count += 1;
        Ok(Arc::clone(file))
    }

    /// Takes a handle away; the last one only if nothing is left to be written back, or with
    /// `all_the_same`.
    pub(super) fn close(&self, file: &OpenFile, all_the_same: bool) -> Closed {
        let mut inodes = self.inodes.lock();
        let Some((_, count)) = inodes.open.get_mut(&file.ino()) else {
            return Closed::OneOfMany;
        };
        if *count > 1 {
            *count -= 1;
            return Closed::OneOfMany;
        }
        if file.memory() > 0 && !all_the_same {
            return Closed::NotYet;
        }
        self.count_draft(file.set_memory(0), 0);
        inodes.open.remove(&file.ino());
        Closed::Last
    }

    /// Bytes that the drafts of all open files take.
    pub(super) fn memory(&self) -> usize {
        self.drafts.load(Ordering::Relaxed)
    }

    pub(super) fn count_draft(&self, before: usize, now: usize) {
        self.drafts.fetch_add(now, Ordering::Relaxed);
        self.drafts.fetch_sub(before, Ordering::Relaxed);
    }

    /// As [`count_draft`](Self::count_draft), by one who may come after the last close.
    pub(super) fn count_if_open(&self, file: &OpenFile, now: usize) {
        let inodes = self.inodes.lock();
        let open = inodes.open.get(&file.ino());
        if open.is_some_and(|(open, _)| std::ptr::eq(&raw const **open, file)) {
            self.count_draft(file.set_memory(now), now);
        }
    }

    /// Those with a draft.
    pub(super) fn drafted(&self) -> Vec<Arc<OpenFile>> {
        let inodes = self.inodes.lock();
        let files = inodes.open.values().map(|(file, _)| file);
        files
            .filter(|file| file.memory() > 0)
            .map(Arc::clone)
            .collect()
    }

    /// The file with the largest draft, but for these inodes.
    pub(super) fn fullest_but(&self, passed: &[u64]) -> Option<Arc<OpenFile>> {
        let inodes = self.inodes.lock();
        let drafts = inodes.open.values().map(|(file, _)| (file.memory(), file));
        let (_, fullest) = drafts
            .filter(|(memory, file)| *memory > 0 && !passed.contains(&file.ino()))
            .max_by_key(|(memory, _)| *memory)?;
        Some(Arc::clone(fullest))
    }

    /// Takes a handle away if it is not the last; says whether it did.
    pub(super) fn leave(&self, file: &OpenFile) -> bool {
        let mut inodes = self.inodes.lock();
        let open = inodes.open.get_mut(&file.ino());
        let Some((_, count)) = open.filter(|(_, count)| *count > 1) else {
            return false;
        };
        *count -= 1;
        true
    }
}

/// An inode that a commit in the making removes. It cannot be opened until this is dropped.
pub(crate) struct Removal {
    zone: Arc<Shared>,
    ino: u64,
}

impl Removal {
    /// None if the inode is open.
    pub(crate) fn begin(zone: &Arc<Shared>, ino: u64) -> Option<Self> {
        let mut inodes = zone.handles.inodes.lock();
        if inodes.open.contains_key(&ino) {
            return None;
        }
        *inodes.going.entry(ino).or_default() += 1;
        let zone = Arc::clone(zone);
        Some(Self { zone, ino })
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let OpenInodes {
            inodes,
            removal_over,
            ..
        } = &self.zone.handles;
        let going = &mut inodes.lock().going;
        if let Some(count) = going.get_mut(&self.ino) {
            *count -= 1;
            if *count == 0 {
                going.remove(&self.ino);
            }
        }
        removal_over.notify_waiters();
    }
}
