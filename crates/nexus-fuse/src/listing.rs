//! Open directories.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuser::{Errno, FileHandle, FopenFlags, INodeNo};
use nexus_fs::{DirEntry, FileKind, Ino, Stat};
use nexus_kernel::Kind;
use parking_lot::Mutex;

use crate::bridge::Answer;
use crate::filesystem::Core;

pub(crate) use positions::Positions;

mod positions;

/// Names read at a time; a reply of the usual size takes about as many.
const PAGE: usize = 128;
/// With attributes, which take more room.
const PAGE_PLUS: usize = 96;

/// What the kernel reads, by the number it was given.
#[derive(Default)]
pub(crate) struct Directories {
    open: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<Positions>>>>,
    next: AtomicU64,
}

/// An entry to be told, and where to go on after it.
pub(crate) struct Listed {
    pub name: String,
    pub ino: Ino,
    pub kind: FileKind,
    pub stat: Option<Stat>,
    pub offset: u64,
}

/// Takes entries until it has no room, which it says with `true`.
pub(crate) trait Sink: Send {
    fn add(&mut self, entry: &Listed) -> bool;
}

impl Core {
    pub(crate) async fn opendir(&self, ino: INodeNo) -> Answer<(FileHandle, FopenFlags)> {
        if !self.volume.getattr(Ino(ino.0)).await?.is_dir() {
            return Err(Errno::ENOTDIR.into());
        }
        let number = self.directories.next.fetch_add(1, Ordering::Relaxed);
        let mut open = self.directories.open.lock();
        open.insert(number, Arc::default());
        // The kernel reads a directory anew when its time has changed.
        Ok((
            FileHandle(number),
            FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE,
        ))
    }

    pub(crate) fn releasedir(&self, directory: FileHandle) {
        self.directories.open.lock().remove(&directory.0);
    }

    /// Fills `sink` with what comes after `offset`, in the order of names: who is at a name
    /// goes on behind it, whatever comes and goes meanwhile.
    pub(crate) async fn list(
        &self,
        ino: INodeNo,
        directory: FileHandle,
        offset: u64,
        details: bool,
        sink: &mut impl Sink,
    ) -> Answer<()> {
        let found = self.directories.open.lock().get(&directory.0).cloned();
        let positions = found.ok_or(Errno::EBADF)?;
        let mut positions = positions.lock().await;
        let ino = Ino(ino.0);
        for at in offset..positions::DOTS {
            let entry = self.dot(ino, at).await?;
            if sink.add(&entry) {
                return Ok(());
            }
        }
        let limit = if details { PAGE_PLUS } else { PAGE };
        let mut after = self.seek(ino, &mut positions, offset).await?;
        loop {
            let page = self.page(ino, after.as_deref(), limit, details).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.name().to_owned());
            for entry in page {
                if details && entry.stat.is_none() {
                    continue;
                }
                let entry = listed(entry, positions.next_offset());
                if sink.add(&entry) {
                    return Ok(());
                }
                positions.push(entry.name);
            }
        }
    }

    async fn page(
        &self,
        ino: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Answer<Vec<DirEntry>> {
        Ok(self.volume.readdir(ino, after, limit, details).await?)
    }

    /// The name to go on after. A position whose name is forgotten is found by counting from
    /// one that is not.
    async fn seek(
        &self,
        ino: Ino,
        positions: &mut Positions,
        offset: u64,
    ) -> Answer<Option<String>> {
        let (mut after, mut missing) = positions.go_to(offset);
        while missing > 0 {
            let limit = missing.min(PAGE as u64) as usize;
            let page = self.page(ino, after.as_deref(), limit, false).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name().to_owned());
            missing -= page.len() as u64;
            page.iter()
                .for_each(|entry| positions.push(entry.name().to_owned()));
        }
        Ok(after)
    }

    async fn dot(&self, ino: Ino, at: u64) -> Answer<Listed> {
        let (name, ino) = match at {
            0 => (".", ino),
            _ => ("..", self.parent(ino).await?),
        };
        Ok(Listed {
            name: name.to_owned(),
            ino,
            kind: FileKind::Directory,
            stat: Some(self.volume.getattr(ino).await?),
            offset: at + 1,
        })
    }

    /// The directory above; for one that is gone by now, itself.
    async fn parent(&self, ino: Ino) -> Answer<Ino> {
        match self.volume.parent_of(ino).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(ino),
            found => Ok(found?),
        }
    }
}

fn listed(entry: DirEntry, offset: u64) -> Listed {
    Listed {
        name: entry.name().to_owned(),
        ino: entry.ino,
        kind: entry.kind,
        stat: entry.stat,
        offset,
    }
}
