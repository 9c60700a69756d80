//! Names: finding, making, moving and removing them.

use std::ffi::OsStr;
use std::path::Path;

use fuser::{Errno, INodeNo, RenameFlags};
use nexus_fs::{FileKind, Ino, NewInode, NewKind, Replace, Stat};
use nexus_kernel::Kind;
use rustix::fs::FileType;

use crate::bridge::Answer;
use crate::filesystem::Core;

const SET_GROUP_ID: u32 = 0o2000;

/// Who makes something, and with which mode, the umask taken off.
#[derive(Clone, Copy)]
pub(crate) struct Maker {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

impl Core {
    /// None where there is no such name, for the kernel to remember.
    pub(crate) async fn lookup(&self, parent: INodeNo, name: &OsStr) -> Answer<Option<Stat>> {
        match self.volume.lookup((Ino(parent.0), text(name)?)).await {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn mkdir(&self, parent: INodeNo, name: &OsStr, by: Maker) -> Answer<Stat> {
        self.make(parent, name, NewKind::Directory, by).await
    }

    /// Only regular files: what is a pipe or a device to one machine is nothing to another.
    pub(crate) async fn mknod(&self, parent: INodeNo, name: &OsStr, by: Maker) -> Answer<Stat> {
        match FileType::from_raw_mode(by.mode) {
            FileType::RegularFile => self.make(parent, name, NewKind::File, by).await,
            _ => Err(Errno::EPERM.into()),
        }
    }

    pub(crate) async fn symlink(
        &self,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        by: Maker,
    ) -> Answer<Stat> {
        let target = text(target.as_os_str())?.to_owned();
        self.make(parent, name, NewKind::Symlink(target), by).await
    }

    pub(crate) async fn make(
        &self,
        parent: INodeNo,
        name: &OsStr,
        kind: NewKind,
        by: Maker,
    ) -> Answer<Stat> {
        self.check_writable()?;
        let (name, parent) = (text(name)?, Ino(parent.0));
        let directory = self.volume.getattr(parent).await?;
        let inherits = directory.mode & SET_GROUP_ID != 0;
        let passes_on = inherits && kind == NewKind::Directory;
        let new = NewInode {
            mode: (by.mode & 0o7777) | if passes_on { SET_GROUP_ID } else { 0 },
            uid: by.uid,
            gid: if inherits { directory.gid } else { by.gid },
            kind,
        };
        Ok(self.volume.make((parent, name), new).await?)
    }

    pub(crate) async fn unlink(&self, parent: INodeNo, name: &OsStr) -> Answer<()> {
        self.check_writable()?;
        Ok(self.volume.unlink((Ino(parent.0), text(name)?)).await?)
    }

    pub(crate) async fn rmdir(&self, parent: INodeNo, name: &OsStr) -> Answer<()> {
        self.check_writable()?;
        Ok(self.volume.rmdir((Ino(parent.0), text(name)?)).await?)
    }

    pub(crate) async fn rename(
        &self,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Answer<()> {
        self.check_writable()?;
        let replace = match flags {
            RenameFlags::RENAME_NOREPLACE => Replace::Refuse,
            RenameFlags::RENAME_EXCHANGE => Replace::Exchange,
            none if none.is_empty() => Replace::Allow,
            _ => return Err(Errno::EINVAL.into()),
        };
        let from = (Ino(from.0.0), text(from.1)?);
        let to = (Ino(to.0.0), text(to.1)?);
        Ok(self.volume.rename(from, to, replace).await?)
    }

    pub(crate) async fn link(&self, ino: INodeNo, to: INodeNo, name: &OsStr) -> Answer<Stat> {
        self.check_writable()?;
        Ok(self
            .volume
            .link(Ino(ino.0), (Ino(to.0), text(name)?))
            .await?)
    }

    pub(crate) async fn readlink(&self, ino: INodeNo) -> Answer<String> {
        let stat = self.volume.getattr(Ino(ino.0)).await?;
        debug_assert_eq!(stat.kind, FileKind::Symlink);
        Ok(stat.target.ok_or(Errno::EINVAL)?)
    }
}

/// Names are text in a zone.
pub(crate) fn text(name: &OsStr) -> Answer<&str> {
    Ok(name.to_str().ok_or_else(|| {
        tracing::warn!(
            ?name,
            "a name that is not UTF-8 is refused; rename it at its source"
        );
        Errno::EILSEQ
    })?)
}
