//! Inodes and names in memory.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, INodeNo, Request};
use nexus_service_api::{Clock, SystemClock};

pub(super) type Answer<T> = Result<T, Errno>;

pub(super) struct Tree {
    inodes: HashMap<u64, Inode>,
    last: u64,
    listings: HashMap<u64, Arc<Listing>>,
    next_listing: u64,
}

pub(super) struct Inode {
    pub attributes: FileAttr,
    pub body: Body,
    /// Handles that are open: a file without a name lives as long as they do.
    opened: u32,
}

pub(super) enum Body {
    File(Vec<u8>),
    Directory(BTreeMap<OsString, u64>),
    Symlink(PathBuf),
}

/// What a directory held when it was opened.
pub(super) type Listing = Vec<(OsString, u64)>;

impl Tree {
    pub(super) fn new() -> Self {
        let root = attributes(INodeNo::ROOT, FileType::Directory, 0o755, (0, 0));
        Self {
            inodes: HashMap::from([(1, Inode::new(root, Body::Directory(BTreeMap::new())))]),
            last: 1,
            listings: HashMap::new(),
            next_listing: 0,
        }
    }

    pub(super) fn inode(&self, ino: INodeNo) -> Answer<&Inode> {
        self.inodes.get(&ino.0).ok_or(Errno::ENOENT)
    }

    pub(super) fn inode_mut(&mut self, ino: INodeNo) -> Answer<&mut Inode> {
        self.inodes.get_mut(&ino.0).ok_or(Errno::ENOENT)
    }

    pub(super) fn find(&self, parent: INodeNo, name: &OsStr) -> Answer<Option<FileAttr>> {
        let found = self.inode(parent)?.names()?.get(name);
        let inode = found.and_then(|ino| self.inodes.get(ino));
        Ok(inode.map(|inode| inode.attributes))
    }

    pub(super) fn make(
        &mut self,
        request: &Request,
        at: (INodeNo, &OsStr),
        mode: u32,
        body: Body,
    ) -> Answer<FileAttr> {
        let ino = self.last + 1;
        self.name(at, ino)?;
        self.last = ino;
        let owner = (request.uid(), request.gid());
        let made = attributes(INodeNo(ino), body.kind(), mode as u16, owner);
        self.inodes.insert(ino, Inode::new(made, body));
        Ok(made)
    }

    pub(super) fn link(&mut self, ino: INodeNo, at: (INodeNo, &OsStr)) -> Answer<FileAttr> {
        self.name(at, ino.0)?;
        let inode = self.inode_mut(ino)?;
        inode.attributes.nlink += 1;
        Ok(inode.attributes)
    }

    pub(super) fn remove(&mut self, at: (INodeNo, &OsStr)) -> Answer<()> {
        let attributes = self.find(at.0, at.1)?.ok_or(Errno::ENOENT)?;
        let inode = self.inode(attributes.ino)?;
        if let Body::Directory(names) = &inode.body
            && !names.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.inode_mut(at.0)?.names_mut()?.remove(at.1);
        self.let_go(attributes.ino);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        replace: bool,
    ) -> Answer<()> {
        let moved = self.find(from.0, from.1)?.ok_or(Errno::ENOENT)?;
        let replaced = self.find(to.0, to.1)?;
        if replaced.is_some_and(|replaced| replaced.ino == moved.ino) {
            return Ok(());
        }
        if replaced.is_some() {
            if !replace {
                return Err(Errno::EEXIST);
            }
            self.remove(to)?;
        }
        self.inode_mut(from.0)?.names_mut()?.remove(from.1);
        self.name(to, moved.ino.0)
    }

    fn name(&mut self, at: (INodeNo, &OsStr), ino: u64) -> Answer<()> {
        let directory = self.inode_mut(at.0)?;
        let Entry::Vacant(free) = directory.names_mut()?.entry(at.1.to_owned()) else {
            return Err(Errno::EEXIST);
        };
        free.insert(ino);
        directory.touch();
        Ok(())
    }

    /// One name less.
    fn let_go(&mut self, ino: INodeNo) {
        if let Some(inode) = self.inodes.get_mut(&ino.0) {
            let links = &mut inode.attributes.nlink;
            *links = match inode.body {
                Body::Directory(_) => 0,
                _ => links.saturating_sub(1),
            };
        }
        self.forget_nameless(ino);
    }

    fn forget_nameless(&mut self, ino: INodeNo) {
        let over = |inode: &Inode| inode.attributes.nlink == 0 && inode.opened == 0;
        if self.inodes.get(&ino.0).is_some_and(over) {
            self.inodes.remove(&ino.0);
        }
    }

    pub(super) fn open(&mut self, ino: INodeNo) -> Answer<&mut Inode> {
        let inode = self.inode_mut(ino)?;
        inode.opened += 1;
        Ok(inode)
    }

    pub(super) fn close(&mut self, ino: INodeNo) -> Answer<()> {
        self.inode_mut(ino)?.opened -= 1;
        self.forget_nameless(ino);
        Ok(())
    }

    pub(super) fn open_listing(&mut self, ino: INodeNo) -> Answer<u64> {
        let names = self.inode(ino)?.names()?.iter();
        let dots = [".", ".."].map(|dot| (OsString::from(dot), ino.0));
        let entries = names.map(|(name, ino)| (name.clone(), *ino));
        let listing = dots.into_iter().chain(entries).collect();
        self.next_listing += 1;
        self.listings.insert(self.next_listing, Arc::new(listing));
        Ok(self.next_listing)
    }

    pub(super) fn listing(&self, number: u64) -> Answer<Arc<Listing>> {
        self.listings.get(&number).cloned().ok_or(Errno::EBADF)
    }

    pub(super) fn close_listing(&mut self, number: u64) {
        self.listings.remove(&number);
    }
}

impl Inode {
    fn new(attributes: FileAttr, body: Body) -> Self {
        Self {
            attributes,
            body,
            opened: 0,
        }
    }

    fn names(&self) -> Answer<&BTreeMap<OsString, u64>> {
        match &self.body {
            Body::Directory(names) => Ok(names),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn names_mut(&mut self) -> Answer<&mut BTreeMap<OsString, u64>> {
        match &mut self.body {
            Body::Directory(names) => Ok(names),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn bytes(&self) -> Answer<&Vec<u8>> {
        match &self.body {
            Body::File(bytes) => Ok(bytes),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn target(&self) -> Answer<&Path> {
        match &self.body {
            Body::Symlink(target) => Ok(target),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) -> Answer<()> {
        let end = offset + data.len();
        if self.bytes()?.len() < end {
            self.resize(end)?;
        }
        let Body::File(bytes) = &mut self.body else {
            return Err(Errno::EINVAL);
        };
        bytes[offset..end].copy_from_slice(data);
        self.touch();
        Ok(())
    }

    pub(super) fn resize(&mut self, size: usize) -> Answer<()> {
        let Body::File(bytes) = &mut self.body else {
            return Err(Errno::EINVAL);
        };
        bytes.resize(size, 0);
        self.attributes.size = size as u64;
        self.attributes.blocks = self.attributes.size.div_ceil(512);
        self.touch();
        Ok(())
    }

    fn touch(&mut self) {
        let now = now();
        (self.attributes.mtime, self.attributes.ctime) = (now, now);
    }
}

impl Body {
    fn kind(&self) -> FileType {
        match self {
            Self::File(_) => FileType::RegularFile,
            Self::Directory(_) => FileType::Directory,
            Self::Symlink(_) => FileType::Symlink,
        }
    }
}

pub(super) fn attributes(
    ino: INodeNo,
    kind: FileType,
    perm: u16,
    (uid, gid): (u32, u32),
) -> FileAttr {
    let now = now();
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: now,
        mtime: now,
        ctime: now,
        crtime: now,
        kind,
        perm: perm & 0o7777,
        nlink: 1,
        uid,
        gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(SystemClock.now().0.unsigned_abs())
}
