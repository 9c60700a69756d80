//! Attributes of inodes, and of the whole.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileHandle, FileType, INodeNo, TimeOrNow};
use nexus_fs::{FileKind, Ino, SetAttributes, Stat};
use nexus_kernel::Timestamp;

use crate::bridge::Answer;
use crate::filesystem::Core;

const BLOCK_BYTES: u32 = 4096;
/// What `stat` counts blocks in, whatever the block size.
const STAT_BLOCK_BYTES: u64 = 512;
/// What `df` shows where there is no disk to ask: contents in memory.
const BLOCKS_UNKNOWN: u64 = 1 << 28;

/// As `setattr` brings them.
pub(crate) struct Changes {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    /// Through which the size is changed, if through one.
    pub file: Option<FileHandle>,
    pub accessed: Option<TimeOrNow>,
    pub modified: Option<TimeOrNow>,
}

/// As `statfs` answers it, in blocks of [`BLOCK_BYTES`].
pub(crate) struct Space {
    pub blocks: u64,
    pub free: u64,
    pub available: u64,
    pub block_bytes: u32,
    pub name_bytes_max: u32,
}

impl Core {
    pub(crate) async fn getattr(&self, ino: INodeNo) -> Answer<Stat> {
        Ok(self.volume.getattr(Ino(ino.0)).await?)
    }

    pub(crate) async fn setattr(&self, ino: INodeNo, changes: Changes) -> Answer<Stat> {
        self.check_writable()?;
        let mut size = changes.size;
        if let (Some(file), Some(to)) = (changes.file, size) {
            self.resize(file, to).await?;
            size = None;
        }
        let time = |time: TimeOrNow| match time {
            TimeOrNow::SpecificTime(time) => timestamp(time),
            TimeOrNow::Now => self.volume.now(),
        };
        let set = SetAttributes {
            mode: changes.mode.map(|mode| mode & 0o7777),
            uid: changes.uid,
            gid: changes.gid,
            accessed: changes.accessed.map(time),
            modified: changes.modified.map(time),
            size,
        };
        Ok(self.volume.setattr(Ino(ino.0), set).await?)
    }

    pub(crate) fn space(&self) -> Answer<Space> {
        let name_bytes_max = nexus_fs::NAME_BYTES_MAX as u32;
        let Some(folder) = &self.options.space_of else {
            return Ok(Space {
                blocks: BLOCKS_UNKNOWN,
                free: BLOCKS_UNKNOWN,
                available: BLOCKS_UNKNOWN,
                block_bytes: BLOCK_BYTES,
                name_bytes_max,
            });
        };
        let disk = rustix::fs::statvfs(folder)
            .map_err(|error| fuser::Errno::from_i32(error.raw_os_error()))?;
        let scaled = |blocks: u64| blocks.saturating_mul(disk.f_frsize) / u64::from(BLOCK_BYTES);
        Ok(Space {
            blocks: scaled(disk.f_blocks),
            free: scaled(disk.f_bfree),
            available: scaled(disk.f_bavail),
            block_bytes: BLOCK_BYTES,
            name_bytes_max,
        })
    }
}

/// As the kernel wants them.
pub(crate) fn attributes(stat: &Stat) -> FileAttr {
    FileAttr {
        ino: INodeNo(stat.ino.0),
        size: stat.size,
        blocks: stat.size.div_ceil(STAT_BLOCK_BYTES),
        atime: system_time(stat.accessed),
        mtime: system_time(stat.modified),
        ctime: system_time(stat.changed),
        crtime: system_time(stat.created),
        kind: file_type(stat.kind),
        perm: (stat.mode & 0o7777) as u16,
        nlink: stat.links,
        uid: stat.uid,
        gid: stat.gid,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

pub(crate) fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    let distance = Duration::from_nanos(time.0.unsigned_abs());
    if time.0 < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}

/// A time beyond what a timestamp reaches becomes the last that it does, as on other
/// filesystems.
fn timestamp(time: SystemTime) -> Timestamp {
    let nanoseconds = |distance: Duration| i64::try_from(distance.as_nanos()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp(nanoseconds(after)),
        Err(before) => Timestamp(-nanoseconds(before.duration())),
    }
}

#[cfg(test)]
mod tests;
