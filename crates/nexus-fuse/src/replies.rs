//! Replies that take more than a value.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{Errno, FileAttr, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyXattr};

use crate::attributes::{attributes, file_type};
use crate::bridge::{Fill, Refuse};
use crate::history::States;
use crate::listing::{Listed, Sink};

/// Inode numbers are never used twice.
pub(crate) const GENERATION: Generation = Generation(0);

/// Inode number 0 stands for a name that is not there; the rest is not looked at.
pub(crate) const NO_ENTRY: FileAttr = FileAttr {
    ino: INodeNo(0),
    size: 0,
    blocks: 0,
    atime: SystemTime::UNIX_EPOCH,
    mtime: SystemTime::UNIX_EPOCH,
    ctime: SystemTime::UNIX_EPOCH,
    crtime: SystemTime::UNIX_EPOCH,
    kind: fuser::FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 0,
    flags: 0,
};

/// Asked with size 0, only the length is wanted.
pub(crate) fn sized(reply: ReplyXattr, value: &[u8], size: u32) {
    let length = value.len() as u32;
    match size {
        0 => reply.size(length),
        room if room < length => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}

impl Sink for ReplyDirectory {
    fn add(&mut self, entry: &Listed) -> bool {
        let (ino, kind) = (INodeNo(entry.ino.0), file_type(entry.kind));
        ReplyDirectory::add(self, ino, entry.offset, kind, &entry.name)
    }
}

impl Fill for ReplyDirectory {
    fn filled(self) {
        self.ok();
    }
}

/// A reply that takes attributes, for the kernel to keep so long.
pub(crate) struct Plus {
    pub(crate) reply: ReplyDirectoryPlus,
    pub(crate) cache_for: Duration,
    pub(crate) states: Arc<States>,
}

impl Refuse for Plus {
    fn refuse(self, errno: Errno) {
        self.reply.error(errno);
    }
}

impl Fill for Plus {
    fn filled(self) {
        self.reply.ok();
    }
}

impl Sink for Plus {
    fn add(&mut self, entry: &Listed) -> bool {
        // Without attributes the kernel asks for them itself.
        let attributes = entry.stat.as_ref().map_or(NO_ENTRY, attributes);
        let (ino, name) = (INodeNo(entry.ino.0), &entry.name);
        let full = self.reply.add(
            ino,
            entry.offset,
            name,
            &self.cache_for,
            &attributes,
            GENERATION,
        );
        // The kernel does not count the directory itself and the one above as looked up.
        if !full && entry.stat.is_some() && !matches!(name.as_str(), "." | "..") {
            self.states.told(entry.ino);
        }
        full
    }
}
