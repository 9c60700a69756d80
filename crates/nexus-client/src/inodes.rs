//! Files by inode numbers, as a mount needs them.

use bytes::Bytes;
use nexus_kernel::{Durability, Result, Revision};
use nexus_proto::v1::inodes_client::InodesClient;
use nexus_proto::v1::{self, write_piece::What};

use crate::connection::{Authenticated, Client};
use crate::convert;
use crate::error::{from_status, from_status_of_change, misunderstood};
use crate::types::changes::Replace;
use crate::types::files::{At, FileKind, Stat};
use crate::types::history::Version;
use crate::types::inodes::{
    DirectoryEntry, Finish, InodeAttributes, KeyPresence, NewInode, Opened, Piece, Written,
};

/// Most bytes that one [`Inodes::read`] answers.
pub const READ_AT_BYTES_MAX: usize = 2 << 20;
/// Most entries that one [`Inodes::read_directory`] answers.
pub const DIRECTORY_PAGE_MAX: usize = 512;

/// The files of a zone by inode numbers. Names are single components of a path.
///
/// Open files are numbers that only the same key may use. They end with the node, or when
/// nothing was heard of them for a minute; then calls fail with `NotFound` and the fact `handle`.
#[derive(Clone, Debug)]
pub struct Inodes {
    client: Client,
    /// Of changes.
    durability: i32,
}

/// Asks, and converts the answer.
macro_rules! ask {
    ($self:ident.$method:ident, $request:expr) => {
        $self
            .wire()
            .$method($request)
            .await
            .map_err(from_status)
            .map(tonic::Response::into_inner)
    };
}

/// As `ask`, for what changes something.
macro_rules! change {
    ($self:ident.$method:ident, $request:expr) => {
        $self
            .wire()
            .$method($request)
            .await
            .map_err(from_status_of_change)
            .map(tonic::Response::into_inner)
    };
}

impl Client {
    /// The files by inode numbers, with changes that are acknowledged as `durability` says.
    #[must_use]
    pub fn inodes(&self, durability: Durability) -> Inodes {
        Inodes {
            client: self.clone(),
            durability: convert::durability(durability),
        }
    }
}

impl Inodes {
    fn wire(&self) -> InodesClient<Authenticated> {
        self.client.wire_inodes()
    }

    /// The entry of a name in a directory.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn lookup(&self, parent: u64, name: &str, at: &At) -> Result<Stat> {
        let request = v1::LookupRequest {
            parent,
            name: name.to_owned(),
            at: at.clone().into_wire(),
        };
        convert::stat(ask!(self.lookup, request)?)
    }

    /// The attributes of an inode, with what is written to it and not flushed.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub async fn attributes(&self, ino: u64, at: &At) -> Result<Stat> {
        let at = at.clone().into_wire();
        let request = v1::GetAttributesRequest { ino, at };
        convert::stat(ask!(self.get_attributes, request)?)
    }

    /// Changes attributes.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub async fn set_attributes(&self, ino: u64, set: InodeAttributes) -> Result<Stat> {
        let request = v1::SetInodeAttributesRequest {
            ino,
            mode: set.mode,
            uid: set.uid,
            gid: set.gid,
            accessed_ns: set.accessed.map(|time| time.0),
            modified_ns: set.modified.map(|time| time.0),
            size: set.size,
            durability: self.durability,
        };
        convert::stat(change!(self.set_attributes, request)?)
    }

    /// Makes a file, a directory or a link under a name that is free; opens a file to read and
    /// write too if `open`.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; as [`lookup`](Self::lookup).
    pub async fn make(&self, parent: u64, name: &str, new: NewInode, open: bool) -> Result<Opened> {
        let kind = match new.kind {
            FileKind::File => v1::FileKind::File,
            FileKind::Directory => v1::FileKind::Directory,
            FileKind::Symlink => v1::FileKind::Symlink,
        };
        let request = v1::MakeRequest {
            parent,
            name: name.to_owned(),
            kind: kind.into(),
            mode: new.mode,
            uid: new.uid,
            gid: new.gid,
            target: new.target,
            open,
            durability: self.durability,
        };
        opened(change!(self.make, request)?)
    }

    /// Removes the name of a file or link; of an empty directory if `directory`.
    ///
    /// # Errors
    ///
    /// `NotEmpty`, `WrongType`; as [`lookup`](Self::lookup).
    pub async fn remove(&self, parent: u64, name: &str, directory: bool) -> Result<()> {
        let request = v1::RemoveNameRequest {
            parent,
            name: name.to_owned(),
            directory,
            durability: self.durability,
        };
        change!(self.remove, request).map(drop)
    }

    /// Moves a name.
    ///
    /// # Errors
    ///
    /// As for paths; as [`lookup`](Self::lookup).
    pub async fn rename(&self, from: (u64, &str), to: (u64, &str), replace: Replace) -> Result<()> {
        let request = v1::RenameNameRequest {
            from_parent: from.0,
            from_name: from.1.to_owned(),
            to_parent: to.0,
            to_name: to.1.to_owned(),
            replace: convert::replace(replace).into(),
            durability: self.durability,
        };
        change!(self.rename, request).map(drop)
    }

    /// Gives a file or link another name.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; as [`lookup`](Self::lookup).
    pub async fn link(&self, ino: u64, parent: u64, name: &str) -> Result<Stat> {
        let request = v1::LinkNameRequest {
            ino,
            parent,
            name: name.to_owned(),
            durability: self.durability,
        };
        convert::stat(change!(self.link, request)?)
    }

    /// Up to `limit` entries of a directory after a name, and no more than
    /// [`DIRECTORY_PAGE_MAX`], in byte order; none only at the end.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub async fn read_directory(
        &self,
        ino: u64,
        after: Option<&str>,
        limit: usize,
        details: bool,
        at: &At,
    ) -> Result<Vec<DirectoryEntry>> {
        let request = v1::ReadDirectoryRequest {
            ino,
            after: after.unwrap_or_default().to_owned(),
            limit: limit.min(DIRECTORY_PAGE_MAX) as u32,
            details,
            at: at.clone().into_wire(),
        };
        let page = ask!(self.read_directory, request)?;
        page.entries.into_iter().map(entry).collect()
    }

    /// The directory that holds an inode's first name; the root's is itself.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub async fn parent_of(&self, ino: u64, at: &At) -> Result<u64> {
        let at = at.clone().into_wire();
        let answer = ask!(self.parent_of, v1::ParentOfRequest { ino, at })?;
        Ok(answer.ino)
    }

    /// A custom metadata value.
    ///
    /// # Errors
    ///
    /// `NotFound`, with the fact `key` if it is the value that is missing.
    pub async fn metadata_value(&self, ino: u64, key: &str, at: &At) -> Result<Bytes> {
        let request = v1::GetMetadataValueRequest {
            ino,
            key: key.to_owned(),
            at: at.clone().into_wire(),
        };
        Ok(ask!(self.get_metadata_value, request)?.value)
    }

    /// The custom metadata keys, tags included.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub async fn metadata_keys(&self, ino: u64, at: &At) -> Result<Vec<String>> {
        let at = at.clone().into_wire();
        let request = v1::ListMetadataKeysRequest { ino, at };
        Ok(ask!(self.list_metadata_keys, request)?.keys)
    }

    /// Sets a custom metadata value, or removes it.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `NotFound` where `must` does not hold; as [`lookup`](Self::lookup).
    pub async fn set_metadata_value(
        &self,
        ino: u64,
        key: &str,
        value: Option<Bytes>,
        must: KeyPresence,
    ) -> Result<()> {
        let must = match must {
            KeyPresence::Any => v1::KeyPresence::Unspecified,
            KeyPresence::Absent => v1::KeyPresence::Absent,
            KeyPresence::Present => v1::KeyPresence::Present,
        };
        let request = v1::SetMetadataValueRequest {
            ino,
            key: key.to_owned(),
            value,
            must: must.into(),
            durability: self.durability,
        };
        change!(self.set_metadata_value, request).map(drop)
    }

    /// The versions of a file, of a past state those up to then, newest first.
    ///
    /// # Errors
    ///
    /// `WrongType` for a directory; as [`lookup`](Self::lookup).
    pub async fn versions(&self, ino: u64, limit: u32, at: &At) -> Result<Vec<Version>> {
        let at = at.clone().into_wire();
        let request = v1::InodeVersionsRequest { ino, limit, at };
        let versions = ask!(self.versions, request)?.versions;
        Ok(versions.into_iter().map(convert::version).collect())
    }

    /// The revision that a point names.
    ///
    /// # Errors
    ///
    /// `NotFound` for a point before there was anything, `InvalidArgument` for one to come.
    pub async fn as_of(&self, at: &At) -> Result<Revision> {
        let at = at.clone().into_wire();
        let request = v1::AsOfRequest { at };
        Ok(Revision(ask!(self.as_of, request)?.revision))
    }

    /// As [`read`](Self::read), of a file as it was.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub async fn read_past(&self, ino: u64, offset: u64, length: usize, at: &At) -> Result<Bytes> {
        let request = v1::ReadPastRequest {
            ino,
            at: at.clone().into_wire(),
            offset,
            length: length.min(READ_AT_BYTES_MAX) as u32,
        };
        Ok(ask!(self.read_past, request)?.data)
    }

    /// Opens a file, to read or to read and write; answers its first bytes too, as many as `head`
    /// asks for, and no more than 64 KiB.
    ///
    /// # Errors
    ///
    /// `WrongType` for a directory; as [`lookup`](Self::lookup).
    pub async fn open(&self, ino: u64, write: bool, head: u32) -> Result<Opened> {
        opened(ask!(self.open, v1::OpenRequest { ino, write, head })?)
    }

    /// Up to `length` bytes of an open file, and no more than [`READ_AT_BYTES_MAX`]; fewer at its
    /// end, none beyond it.
    ///
    /// # Errors
    ///
    /// `NotFound` with the fact `handle`.
    pub async fn read(&self, handle: u64, offset: u64, length: usize) -> Result<Bytes> {
        let request = v1::ReadHandleRequest {
            handle,
            offset,
            length: length.min(READ_AT_BYTES_MAX) as u32,
        };
        Ok(ask!(self.read, request)?.data)
    }

    /// Writes to an open file, in order, up to 1,024 pieces and 2 MiB in all. The
    /// calls of a handle are numbered from 1, and one with the same number again does what the
    /// first one left undone.
    ///
    /// # Errors
    ///
    /// `NotFound` with the fact `handle`; whatever keeps the pieces from being written.
    pub async fn write(
        &self,
        handle: u64,
        sequence: u64,
        pieces: Vec<Piece>,
        finish: Finish,
    ) -> Result<Written> {
        let finish = match finish {
            Finish::Nothing => v1::Finish::Unspecified,
            Finish::Flush => v1::Finish::Flush,
            Finish::Fsync => v1::Finish::Fsync,
        };
        let request = v1::WriteHandleRequest {
            handle,
            sequence,
            pieces: pieces.into_iter().map(piece).collect(),
            finish: finish.into(),
        };
        let v1::WriteHandleResponse { ends, version } = change!(self.write, request)?;
        Ok(Written { ends, version })
    }

    /// Closes open files, which were flushed before.
    ///
    /// # Errors
    ///
    /// Whatever keeps what others wrote from being flushed with the last handle.
    pub async fn close(&self, handles: Vec<u64>) -> Result<()> {
        change!(self.close, v1::CloseRequest { handles }).map(drop)
    }

    /// Says that open files are in use; answers those that there are not.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for more than 16,384.
    pub async fn keep_alive(&self, handles: Vec<u64>) -> Result<Vec<u64>> {
        Ok(ask!(self.keep_alive, v1::KeepAliveRequest { handles })?.unknown)
    }
}

fn opened(wire: v1::Opened) -> Result<Opened> {
    let stat = wire
        .stat
        .ok_or_else(|| misunderstood("an open file without attributes"))?;
    Ok(Opened {
        stat: convert::stat(stat)?,
        handle: wire.handle,
        head: wire.head,
    })
}

fn entry(wire: v1::DirectoryEntry) -> Result<DirectoryEntry> {
    Ok(DirectoryEntry {
        kind: convert::file_kind(wire.kind())?,
        name: wire.name,
        ino: wire.ino,
        stat: wire.stat.map(convert::stat).transpose()?,
    })
}

fn piece(piece: Piece) -> v1::WritePiece {
    let what = match piece {
        Piece::Put(offset, data) => What::Put(v1::WriteAt { offset, data }),
        Piece::Append(data) => What::Append(data),
        Piece::Truncate(size) => What::Truncate(size),
    };
    v1::WritePiece { what: Some(what) }
}
