//! A past state of the zone by inode number, for who shows one as a directory.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Error, Result, Revision};
use nexus_service_api::Action;
use parking_lot::Mutex;

use super::{gone, listed};
use crate::cache::CachedInode;
use crate::list::{add_details, visible};
use crate::path;
use crate::read::stat_of;
use crate::records::InodeRecord;
use crate::resolve::not_found;
use crate::session::{Asked, Session};
use crate::steps::{is_a_directory, no_such_key, not_a_directory};
use crate::types::{At, DirEntry, Ino, Stat, Version};
use crate::view::View;

/// Directories whose place is kept in mind: in a past state it never changes.
const DIRECTORIES_MAX: usize = 256;

/// Where an inode was: its path, and the inodes on it.
type Located = (String, Vec<u64>);

/// The zone as it was at a revision, by its inodes. It never changes. Cheap to clone.
///
/// Who may see what is decided as for reads by path: by the path that an inode had then. A file
/// of several names whose first one lay, just then, in a deleted tree that was still being
/// cleared away has a path only if another of its names is still one today.
#[derive(Clone)]
pub struct PastZone {
    session: Session,
    revision: Revision,
    directories: Arc<Mutex<HashMap<u64, Arc<Located>>>>,
}

/// A file as it was. Like a [`Handle`](super::Handle), it is authorized when it is opened.
pub struct PastFile {
    session: Session,
    ino: Ino,
    inode: Arc<CachedInode>,
}

impl Session {
    /// The zone as it was at a point; as it is now, where that names no other.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a revision that is still to come, `NotFound` for a point before
    /// there was anything.
    pub async fn as_of(&self, at: At) -> Result<PastZone> {
        self.permit(Action::Stat, "/", &[Ino::ROOT.0]).await?;
        let revision = self.point(&at).await?;
        let snapshot = PastZone {
            session: self.clone(),
            revision,
            directories: Arc::default(),
        };
        if snapshot.view().inode(Ino::ROOT.0).await?.is_none() {
            return Err(
                Error::not_found("there was no zone yet; name a later point")
                    .with("revision", revision),
            );
        }
        Ok(snapshot)
    }
}

impl PastZone {
    /// Which revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The entry of that name in a directory.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn lookup(&self, parent: Ino, name: &str) -> Result<Stat> {
        path::check_name(name)?;
        let view = self.view();
        let place = self.place_of(parent).await?;
        let (directory, mut chain) = (&place.0, place.1.clone());
        let path = path::join(directory, name);
        let found = view.dentry(parent.0, name).await?;
        chain.extend(found.map(|(dentry, _)| dentry.ino));
        let asked = Asked::child(parent.0, name);
        self.session
            .permit_asked(Action::Stat, asked, (&path, &chain))
            .await?;
        let (dentry, _) = found.ok_or_else(|| not_found(&path))?;
        self.stat(Ino(dentry.ino)).await
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn getattr(&self, ino: Ino) -> Result<Stat> {
        self.permit(Action::Stat, ino).await?;
        self.stat(ino).await
    }

    /// Up to `limit` entries of a directory after the name `after`, in byte order, with
    /// attributes if `details`; none only at the end.
    ///
    /// # Errors
    ///
    /// As [`Session::readdir`].
    pub async fn readdir(
        &self,
        dir: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>> {
        if limit == 0 {
            return Err(Error::limit("a page has at least one entry"));
        }
        let place = self.permit(Action::Stat, dir).await?;
        let (directory, chain) = &*place;
        let view = self.view();
        if !self.inode(dir).await?.record.is_dir() {
            return Err(not_a_directory(directory));
        }
        let mut after = after.map(str::to_owned);
        loop {
            let (children, last) = view.children(dir.0, after.as_deref(), limit).await?;
            let entries = children.into_iter().map(|child| listed(directory, child));
            let entries = entries.collect::<Result<_>>()?;
            let mut entries = visible(&self.session, chain, entries).await?;
            if details {
                add_details(&view, &mut entries).await?;
            }
            if !entries.is_empty() || last.is_none() {
                return Ok(entries);
            }
            self.session.check_goes_on()?;
            after = last;
        }
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// `NotFound`, `WrongType` for a directory, `PermissionDenied`.
    pub async fn open(&self, ino: Ino) -> Result<PastFile> {
        let place = self.permit(Action::Read, ino).await?;
        let inode = self.inode(ino).await?;
        if inode.record.is_dir() {
            return Err(is_a_directory(&place.0));
        }
        let session = self.session.clone();
        Ok(PastFile {
            session,
            ino,
            inode,
        })
    }

    /// A custom metadata value.
    ///
    /// # Errors
    ///
    /// `NotFound` for a key without a value, `PermissionDenied`.
    pub async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        self.permit(Action::Read, ino).await?;
        let found = self.view().metadata_value(ino.0, key).await?;
        found.ok_or_else(|| no_such_key(key))
    }

    /// The custom metadata keys, tags included.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        self.permit(Action::Read, ino).await?;
        let all = self.view().metadata_of(ino.0).await?;
        Ok(all.into_keys().collect())
    }

    /// The versions that a file had by then, newest first; at most `limit` of them.
    ///
    /// # Errors
    ///
    /// `NotFound`, `WrongType` for a directory, `PermissionDenied`, `LimitExceeded` for more than
    /// [`VERSIONS_LIMIT_MAX`](crate::VERSIONS_LIMIT_MAX).
    pub async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        let place = self.permit(Action::Read, ino).await?;
        let inode = self.inode(ino).await?;
        self.session
            .versions_down_from(ino, &inode, &place.0, limit)
            .await
    }

    /// The directory that held an inode's first name; the root's is itself.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        let place = self.permit(Action::Stat, ino).await?;
        let chain = &place.1;
        let above = chain.len().saturating_sub(2);
        Ok(Ino(chain[above]))
    }

    /// The path that an inode had: the first of its names.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn path_of(&self, ino: Ino) -> Result<String> {
        Ok(self.permit(Action::Stat, ino).await?.0.clone())
    }

    fn view(&self) -> View<'_> {
        View {
            zone: &self.session.zone,
            at: Some(self.revision),
            fresh: false,
            regrown: None,
        }
    }

    /// Where an inode was, if that may be done there.
    async fn permit(&self, action: Action, ino: Ino) -> Result<Arc<Located>> {
        let place = self.place_of(ino).await?;
        let asked = Asked::inode(ino.0);
        self.session
            .permit_asked(action, asked, (&place.0, &place.1))
            .await?;
        Ok(place)
    }

    async fn place_of(&self, ino: Ino) -> Result<Arc<Located>> {
        let place = self.locate(ino).await?;
        place.ok_or_else(|| self.was_not(ino))
    }

    async fn locate(&self, ino: Ino) -> Result<Option<Arc<Located>>> {
        if let Some(place) = self.known(ino) {
            return Ok(Some(place));
        }
        let inode = self.inode(ino).await?;
        if inode.record.is_dir() {
            return self.locate_directory(ino).await;
        }
        let InodeRecord { parent, name, .. } = &inode.record;
        let found = self.view().dentry(*parent, name).await?;
        if found.is_some_and(|(dentry, _)| dentry.ino == ino.0)
            && let Some(directory) = self.locate_directory(Ino(*parent)).await?
        {
            let (path, mut chain) = (path::join(&directory.0, name), directory.1.clone());
            chain.push(ino.0);
            return Ok(Some(Arc::new((path, chain))));
        }
        // By another of its names, perhaps.
        Ok(self.view().path_of(ino.0).await?.map(Arc::new))
    }

    async fn locate_directory(&self, ino: Ino) -> Result<Option<Arc<Located>>> {
        if let Some(place) = self.known(ino) {
            return Ok(Some(place));
        }
        let Some(place) = self.view().path_of(ino.0).await?.map(Arc::new) else {
            return Ok(None);
        };
        let mut directories = self.directories.lock();
        if directories.len() >= DIRECTORIES_MAX {
            directories.clear();
        }
        directories.insert(ino.0, Arc::clone(&place));
        Ok(Some(place))
    }

    fn known(&self, directory: Ino) -> Option<Arc<Located>> {
        self.directories.lock().get(&directory.0).cloned()
    }

    async fn inode(&self, ino: Ino) -> Result<Arc<CachedInode>> {
        let inode = self.view().inode(ino.0).await?;
        inode.ok_or_else(|| self.was_not(ino))
    }

    async fn stat(&self, ino: Ino) -> Result<Stat> {
        let inode = self.inode(ino).await?;
        stat_of(&self.view(), ino.0, &inode).await
    }

    fn was_not(&self, ino: Ino) -> Error {
        gone(ino.0).with("revision", self.revision)
    }
}

impl PastFile {
    /// The inode.
    #[must_use]
    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// The version that it is.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inode.record.version
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.inode.record.size
    }

    /// Up to `length` bytes from `offset`; fewer at the end of the file, none beyond it.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` above [`READ_WHOLE_BYTES_MAX`](crate::READ_WHOLE_BYTES_MAX), `Corrupt`
    /// when stored content is damaged, `Unauthenticated`.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        super::check_length(length)?;
        self.session.check_goes_on()?;
        let record = &self.inode.record;
        let end = offset.saturating_add(length as u64).min(record.size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let zone = &self.session.zone;
        zone.content_bytes(record, offset..end).await
    }

    /// A file of this machine that has these bytes and is never written, if there is one by now.
    /// Who reads it has no hash checked.
    ///
    /// # Errors
    ///
    /// Those of the object store, `Unauthenticated`.
    pub async fn local_file(&self) -> Result<Option<File>> {
        self.session.check_goes_on()?;
        self.session
            .zone
            .content
            .local_file(&self.inode.record)
            .await
    }
}
