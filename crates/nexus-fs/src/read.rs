//! Reading files and attributes.

use std::ops::Range;
use std::sync::Arc;

use nexus_kernel::{Error, Kind, Result, Timestamp};
use nexus_service_api::Action;

use crate::cache::CachedInode;
use crate::records::unreadable;
use crate::resolve::{Place, resolve};
use crate::session::Session;
use crate::steps::is_a_directory;
use crate::types::{At, Content, FileBytes, FileKind, Ino, Stat};
use crate::view::View;

/// The largest content that is handed out as one piece of memory.
pub const READ_WHOLE_BYTES_MAX: u64 = 64 << 20;

impl Session {
    /// The attributes of what a path names, links followed.
    ///
    /// # Errors
    ///
    /// `NotFound`, `WrongType` when a component on the way is a file, `PermissionDenied`,
    /// `InvalidArgument` for a malformed path or a revision still to come.
    pub async fn stat(&self, path: &str, at: At) -> Result<Stat> {
        self.stat_place(path, at, true).await
    }

    /// As [`stat`](Self::stat), but of a symbolic link itself.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat).
    pub async fn lstat(&self, path: &str, at: At) -> Result<Stat> {
        self.stat_place(path, at, false).await
    }

    async fn stat_place(&self, path: &str, at: At, follow: bool) -> Result<Stat> {
        let view = self.view(at).await?;
        let place = resolve(&view, path, follow).await?;
        self.permit_at(Action::Stat, &place).await?;
        let ino = place.found()?.ino;
        let inode = existing(&view, ino, &place).await?;
        stat_of(&view, ino, &inode).await
    }

    /// Whether a path names something, links followed.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat), without `NotFound` and `WrongType`.
    pub async fn exists(&self, path: &str, at: At) -> Result<bool> {
        match self.stat(path, at).await {
            Ok(_) => Ok(true),
            // A point that there is none of is about no path.
            Err(error) if error.fact("path").is_none() => Err(error),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::WrongType) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where a symbolic link points.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when it is not a link; as [`stat`](Self::stat).
    pub async fn readlink(&self, path: &str, at: At) -> Result<String> {
        let stat = self.lstat(path, at).await?;
        stat.target
            .ok_or_else(|| Error::invalid("this is not a symbolic link").with("path", path))
    }

    /// Opens a file, whole or a range of it, to be read as it arrives. A range is cut at the
    /// end of the file.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat); `WrongType` for a directory; `InvalidArgument` for a range
    /// that begins beyond the end; `Corrupt`, also from the stream, when stored content is
    /// damaged.
    pub async fn open(&self, path: &str, at: At, range: Option<Range<u64>>) -> Result<Content> {
        let (stat, inode) = self.file(path, at).await?;
        let range = cut(range, stat.size, path)?;
        let body = self
            .zone
            .content_stream(&inode.record, range.clone())
            .await?;
        let body = self.while_in_force(body);
        Ok(Content { stat, range, body })
    }

    /// Reads a whole file of up to [`READ_WHOLE_BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); `LimitExceeded` for a larger file.
    pub async fn read(&self, path: &str, at: At) -> Result<FileBytes> {
        self.read_bytes(path, at, None).await
    }

    /// Reads a range of a file, cut at its end.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_range(&self, path: &str, at: At, range: Range<u64>) -> Result<FileBytes> {
        self.read_bytes(path, at, Some(range)).await
    }

    async fn read_bytes(&self, path: &str, at: At, range: Option<Range<u64>>) -> Result<FileBytes> {
        let (stat, inode) = self.file(path, at).await?;
        let range = cut(range, stat.size, path)?;
        if range.end - range.start > READ_WHOLE_BYTES_MAX {
            return Err(Error::limit(
                "more than 64 MiB cannot be read in one piece; stream it or read ranges",
            )
            .with("path", path)
            .with("size", stat.size));
        }
        let bytes = self.zone.content_bytes(&inode.record, range).await?;
        Ok(FileBytes { stat, bytes })
    }

    /// A regular file that the caller may read.
    pub(crate) async fn file(&self, path: &str, at: At) -> Result<(Stat, Arc<CachedInode>)> {
        let view = self.view(at).await?;
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Read, &place).await?;
        let ino = place.found()?.ino;
        if place.kind() == Some(FileKind::Directory) {
            return Err(is_a_directory(&place.path));
        }
        let inode = existing(&view, ino, &place).await?;
        Ok((inode.record.stat(Ino(ino), inode.revision)?, inode))
    }
}

/// The inode of a place that was found. It can have gone since: then so has the name. Of the
/// past, only the root can be missing: it has no name, and once there was no zone.
pub(crate) async fn existing(
    view: &View<'_>,
    ino: u64,
    place: &Place<'_>,
) -> Result<Arc<CachedInode>> {
    match view.inode(ino).await? {
        Some(inode) => Ok(inode),
        None if view.at.is_none() || ino == Ino::ROOT.0 => {
            Err(crate::resolve::not_found(&place.path))
        }
        None => Err(unreadable("inode of a name").with("path", &place.path)),
    }
}

pub(crate) async fn stat_of(view: &View<'_>, ino: u64, inode: &CachedInode) -> Result<Stat> {
    let mut stat = inode.record.stat(Ino(ino), inode.revision)?;
    if stat.is_dir() {
        let names_changed = Timestamp(view.directory_time(ino).await?);
        stat.modified = stat.modified.max(names_changed);
        stat.changed = stat.changed.max(names_changed);
    }
    Ok(stat)
}

/// A wanted range within a file of `size`.
pub(crate) fn cut(range: Option<Range<u64>>, size: u64, path: &str) -> Result<Range<u64>> {
    let Some(range) = range else {
        return Ok(0..size);
    };
    if range.start > range.end {
        return Err(Error::invalid("a range ends before it begins").with("path", path));
    }
    if range.start > size {
        return Err(
            Error::invalid("the range begins beyond the end of the file")
                .with("path", path)
                .with("start", range.start)
                .with("size", size),
        );
    }
    Ok(range.start..range.end.min(size))
}
