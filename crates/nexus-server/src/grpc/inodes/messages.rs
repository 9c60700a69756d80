//! Between the filesystem's types and the messages of `Inodes`.

use nexus_fs::{NewInode, NewKind, SetAttributes};
use nexus_kernel::{Error, Result, Timestamp};
use nexus_proto::v1::{
    DirectoryEntry, FileKind, Finish, KeyPresence, MakeRequest, SetInodeAttributesRequest,
};

use crate::grpc::convert::{self, unknown};

pub(super) fn attributes(ask: &SetInodeAttributesRequest) -> SetAttributes {
    SetAttributes {
        mode: ask.mode,
        uid: ask.uid,
        gid: ask.gid,
        accessed: ask.accessed_ns.map(Timestamp),
        modified: ask.modified_ns.map(Timestamp),
        size: ask.size,
    }
}

/// What is to be made, and its name.
pub(super) fn new_inode(ask: MakeRequest) -> Result<(String, NewInode)> {
    let kind = match ask.kind() {
        FileKind::File => NewKind::File,
        FileKind::Directory => NewKind::Directory,
        FileKind::Symlink => NewKind::Symlink(ask.target),
        FileKind::Unspecified => {
            return Err(Error::invalid(
                "say what is to be made: a file, a directory or a link",
            ));
        }
    };
    let new = NewInode {
        kind,
        mode: ask.mode,
        uid: ask.uid,
        gid: ask.gid,
    };
    Ok((ask.name, new))
}

pub(super) fn entry(entry: nexus_fs::DirEntry) -> DirectoryEntry {
    DirectoryEntry {
        name: entry.name().to_owned(),
        ino: entry.ino.0,
        kind: convert::file_kind(entry.kind),
        stat: entry.stat.map(convert::stat),
    }
}

pub(super) fn presence(value: i32) -> Result<nexus_fs::KeyPresence> {
    match KeyPresence::try_from(value) {
        Ok(KeyPresence::Unspecified) => Ok(nexus_fs::KeyPresence::Any),
        Ok(KeyPresence::Absent) => Ok(nexus_fs::KeyPresence::Absent),
        Ok(KeyPresence::Present) => Ok(nexus_fs::KeyPresence::Present),
        Err(_) => Err(unknown("must", value)),
    }
}

pub(super) fn finish(value: i32) -> Result<Finish> {
    Finish::try_from(value).map_err(|_| unknown("finish", value))
}
