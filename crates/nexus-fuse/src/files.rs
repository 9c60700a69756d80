//! Open files.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fuser::{
    Errno, FileHandle, FopenFlags, INodeNo, OpenAccMode, OpenFlags, ReplyOpen, WriteFlags,
};
use nexus_fs::{Ino, NewKind, OpenMode, Stat};
use nexus_kernel::Kind;
use parking_lot::Mutex;
use rustix::fs::OFlags;

use crate::attributes::ROOT;
use crate::bridge::{Answer, Refusal};
use crate::filesystem::Core;
use crate::names::{Maker, text};
use crate::volume::VolumeFile;

mod passthrough;

use passthrough::{Passthrough, Past};

/// What the kernel has open, by the number it was given.
#[derive(Default)]
pub(crate) struct Files {
    open: Mutex<HashMap<u64, Arc<dyn VolumeFile>>>,
    next: AtomicU64,
    pages: Pages,
    pub(crate) passthrough: Passthrough,
}

/// A file that was opened, for the kernel.
pub(crate) struct Opened {
    pub(crate) file: FileHandle,
    pub(crate) hints: FopenFlags,
    /// Of a file that never changes.
    past: Option<Past>,
}

/// Which version of a file the kernel has pages of.
#[derive(Default)]
struct Pages(Mutex<HashMap<Ino, u64>>);

/// Files whose pages are kept track of. Beyond, the kernel reads them again.
const PAGES_FILES_MAX: usize = 1 << 16;

impl Pages {
    /// Notes that the kernel reads this version from now on; says whether what it has is of that
    /// version already.
    fn read(&self, file: &dyn VolumeFile) -> bool {
        let mut versions = self.0.lock();
        if versions.len() >= PAGES_FILES_MAX {
            versions.clear();
        }
        versions.insert(file.ino(), file.version()) == Some(file.version())
    }
}

impl Files {
    fn insert(&self, file: Arc<dyn VolumeFile>) -> FileHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().insert(number, file);
        FileHandle(number)
    }

    pub(crate) fn get(&self, number: FileHandle) -> Result<Arc<dyn VolumeFile>, Errno> {
        let open = self.open.lock();
        open.get(&number.0).map(Arc::clone).ok_or(Errno::EBADF)
    }
}

impl Opened {
    pub(crate) fn answer(self, reply: ReplyOpen, files: &Files) {
        let Self { file, hints, past } = self;
        match past.and_then(|past| files.passthrough.opened(past, &reply)) {
            // There are no pages to keep.
            Some(backing) => {
                reply.opened_passthrough(file, hints - FopenFlags::FOPEN_KEEP_CACHE, &backing);
            }
            None => reply.opened(file, hints),
        }
    }
}

impl Core {
    pub(crate) async fn open(&self, ino: INodeNo, flags: OpenFlags, by: u32) -> Answer<Opened> {
        let (truncate, writable) = (has(flags, OFlags::TRUNC), writes(flags));
        if writable {
            self.check_writable()?;
        }
        let mode = if writable {
            OpenMode::ReadWrite
        } else {
            OpenMode::Read
        };
        let file = self.volume.open(Ino(ino.0), mode, truncate).await?;
        if truncate && by != ROOT {
            self.drop_set_ids(ino).await?;
        }
        let mut hints = FopenFlags::empty();
        hints.set(FopenFlags::FOPEN_KEEP_CACHE, self.files.pages.read(&*file));
        hints.set(FopenFlags::FOPEN_NOFLUSH, !writable);
        let past = self.past(&*file).await;
        Ok(Opened {
            file: self.files.insert(file),
            hints,
            past,
        })
    }

    /// Opens what another has made meanwhile, unless asked not to.
    pub(crate) async fn create(
        &self,
        parent: INodeNo,
        name: &OsStr,
        flags: OpenFlags,
        by: Maker,
    ) -> Answer<(Stat, Opened)> {
        let made = self.make(parent, name, NewKind::File, by).await;
        let (stat, flags) = match made {
            Err(Refusal::Error(error))
                if error.kind() == Kind::AlreadyExists && !has(flags, OFlags::EXCL) =>
            {
                let found = self.volume.lookup((Ino(parent.0), text(name)?));
                (found.await?, flags)
            }
            // There is nothing to cut: that would be a version of its own.
            made => (made?, without(flags, OFlags::TRUNC)),
        };
        let handle = self.open(INodeNo(stat.ino.0), flags, by.uid).await?;
        Ok((stat, handle))
    }

    pub(crate) async fn read(&self, file: FileHandle, offset: u64, size: u32) -> Answer<Bytes> {
        let file = self.files.get(file)?;
        Ok(file.read(offset, size as usize).await?)
    }

    pub(crate) async fn write(
        &self,
        file: FileHandle,
        offset: u64,
        data: Bytes,
        flags: OpenFlags,
        from: WriteFlags,
    ) -> Answer<u32> {
        let file = self.files.get(file)?;
        if from.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
            self.drop_set_ids(INodeNo(file.ino().0)).await?;
        }
        let written = data.len() as u32;
        // Pages of a mapping go where they belong, whatever the file was opened for.
        let appends = has(flags, OFlags::APPEND) && !from.contains(WriteFlags::FUSE_WRITE_CACHE);
        file.write((!appends).then_some(offset), data).await?;
        Ok(written)
    }

    /// At each close of a descriptor: its errors are the last that a program hears of.
    pub(crate) async fn flush(&self, file: FileHandle) -> Answer<()> {
        Ok(self.files.get(file)?.flush().await?)
    }

    /// Cuts or extends through an open descriptor: one version with what is written besides.
    pub(crate) async fn resize(&self, file: FileHandle, size: u64) -> Answer<()> {
        Ok(self.files.get(file)?.truncate(size).await?)
    }

    pub(crate) async fn fsync(&self, file: FileHandle) -> Answer<()> {
        Ok(self.files.get(file)?.fsync().await?)
    }

    /// After the last close.
    pub(crate) async fn release(&self, file: FileHandle) -> Answer<()> {
        let file = self.files.open.lock().remove(&file.0);
        let Some(file) = file else {
            return Ok(());
        };
        if self.never_changes(file.ino()) {
            self.files.passthrough.closed(file.ino());
        }
        Ok(file.close().await?)
    }

    /// Closes what the kernel will not close any more.
    pub(crate) async fn close_all(&self) {
        let open = std::mem::take(&mut *self.files.open.lock());
        for file in open.into_values() {
            let ino = file.ino();
            if let Err(error) = file.close().await {
                tracing::error!(%ino, ?error, "what was written to a file could not be kept");
            }
        }
    }
}

/// Whether a file is opened to be changed.
pub(crate) fn writes(flags: OpenFlags) -> bool {
    flags.acc_mode() != OpenAccMode::O_RDONLY || has(flags, OFlags::TRUNC)
}

fn without(flags: OpenFlags, flag: OFlags) -> OpenFlags {
    OpenFlags(flags.0 & !flag.bits().cast_signed())
}

fn has(flags: OpenFlags, flag: OFlags) -> bool {
    OFlags::from_bits_retain(flags.0.cast_unsigned()).contains(flag)
}
