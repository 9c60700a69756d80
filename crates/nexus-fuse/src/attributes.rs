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

/// Whose writes leave the set-id bits.
pub(crate) const ROOT: u32 = 0;
const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o010;

/// As `setattr` brings them.
pub(crate) struct Changes {
    /// Who asks.
    pub by: u32,
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
        if changes.takes_set_ids() {
            self.drop_set_ids(ino).await?;
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

    /// Takes the set-id bits from a file, as Linux does when it gets another owner, or when
    /// anybody but root changes its content. The kernel leaves that to us, and need not ask for
    /// the attribute `security.capability` before each write.
    pub(crate) async fn drop_set_ids(&self, ino: INodeNo) -> Answer<()> {
        let ino = Ino(ino.0);
        let stat = self.volume.getattr(ino).await?;
        let mode = without_set_ids(stat.mode);
        if stat.kind == FileKind::File && mode != stat.mode {
            let set = SetAttributes {
                mode: Some(mode),
                ..SetAttributes::default()
            };
            self.volume.setattr(ino, set).await?;
        }
        Ok(())
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

impl Changes {
    fn takes_set_ids(&self) -> bool {
        let changes_owner = self.uid.is_some() || self.gid.is_some();
        let cuts = self.size.is_some() && self.by != ROOT;
        self.mode.is_none() && (changes_owner || cuts)
    }
}

/// Without group execution, the bit of the group means something else.
fn without_set_ids(mode: u32) -> u32 {
    let group = if mode & GROUP_EXECUTE == 0 {
        0
    } else {
        SET_GROUP_ID
    };
    mode & !(SET_USER_ID | group)
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
