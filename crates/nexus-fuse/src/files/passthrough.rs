//! Files that the kernel reads by itself, past the mount.
//!
//! Of what never changes, the kernel can be given the file in which it lies on a disk. It wants
//! all who have an inode open at a time to read it the same way, and then from the same file: the
//! first decides for those who come after.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuser::{BackingId, ReplyOpen};
use nexus_fs::Ino;
use parking_lot::Mutex;

use crate::filesystem::Core;
use crate::history;
use crate::volume::VolumeFile;

/// Which files the kernel reads by itself.
#[derive(Default)]
pub(crate) struct Passthrough {
    /// Whether it can, and this process may have it do so.
    possible: AtomicBool,
    inodes: Mutex<HashMap<Ino, Users>>,
}

/// Those who have an inode open, from before the kernel knows of it until it has told of the end.
struct Users {
    count: usize,
    backing: Option<Arc<BackingId>>,
}

/// A file that never changes, being opened.
pub(super) struct Past {
    ino: Ino,
    backing: Option<File>,
}

impl Passthrough {
    /// The kernel can.
    pub(crate) fn allow(&self) {
        self.possible.store(true, Ordering::Relaxed);
    }

    /// Counts one more who has a file open, and says what the kernel is to read it from.
    pub(super) fn opened(&self, past: Past, reply: &ReplyOpen) -> Option<Arc<BackingId>> {
        let mut inodes = self.inodes.lock();
        let users = inodes.entry(past.ino).or_insert_with(|| Users {
            count: 0,
            backing: past.backing.and_then(|file| self.back(&file, reply)),
        });
        users.count += 1;
        users.backing.clone()
    }

    /// One who had a file open is done.
    pub(super) fn closed(&self, ino: Ino) {
        let mut inodes = self.inodes.lock();
        let Some(users) = inodes.get_mut(&ino) else {
            return;
        };
        users.count -= 1;
        if users.count == 0 {
            inodes.remove(&ino);
        }
    }

    fn back(&self, file: &File, reply: &ReplyOpen) -> Option<Arc<BackingId>> {
        match reply.open_backing(file) {
            Ok(backing) => Some(Arc::new(backing)),
            Err(error) => {
                // It takes the right to administrate the machine, and a disk that is none of several
                // layers: neither comes while it is mounted.
                self.possible.store(false, Ordering::Relaxed);
                tracing::debug!(%error, "the kernel reads no files by itself; the mount does");
                None
            }
        }
    }
}

impl Core {
    /// Whether a file is the same as long as it is known: who has another one open must see what
    /// others write to it.
    pub(super) fn never_changes(&self, ino: Ino) -> bool {
        self.volume.is_past() || history::is_past(ino)
    }

    pub(super) async fn past(&self, file: &dyn VolumeFile) -> Option<Past> {
        let ino = file.ino();
        if !self.never_changes(ino) {
            return None;
        }
        let possible = self.files.passthrough.possible.load(Ordering::Relaxed);
        let backing = if possible {
            file.backing().await
        } else {
            Ok(None)
        };
        let backing = backing.unwrap_or_else(|error| {
            tracing::debug!(%ino, ?error, "whether a file is on this machine could not be found out");
            None
        });
        Some(Past { ino, backing })
    }
}
