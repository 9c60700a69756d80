//! The inode-level interface that a mount stands on.
//!
//! A file's writes gather in memory, shared by all handles of the inode, and become one
//! version at [`Handle::flush`], [`Handle::fsync`] or [`Handle::close`]. An inode that loses
//! its last name while it is open lives until its last handle closes.
//!
//! Names are changed by the inode of their directory (`names`). Who may do what is decided by
//! the path that an inode has; the commit insists that it still has it.

mod aging;
mod draft;
mod names;
mod open_file;
mod open_inodes;
mod past;
mod pieces;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Kind, Op, Result};
use nexus_service_api::{Action, Context};

use crate::keys;
use crate::path;
use crate::read::stat_of;
use crate::records::kind_of;
use crate::resolve::not_found;
use crate::session::{Asked, Session};
use crate::steps::{ByInode, Step, TORN_MAX, clear_metadata};
use crate::tx::Tx;
use crate::types::{At, DirEntry, Ino, SetAttributes, Stat};
use crate::view::{Child, View, next_key};
use crate::zone::Shared;

pub(crate) use aging::run as write_back_by_age;
use open_file::{OpenFile, in_background};
use open_inodes::Closed;
pub(crate) use open_inodes::{OpenInodes, Removal};
pub use past::{PastFile, PastZone};

/// What a handle may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenMode {
    /// Read.
    #[default]
    Read,
    /// Read and write.
    ReadWrite,
    /// Read, and write at the end wherever it is.
    Append,
}

/// An open file. Handles of one inode see each other's writes at once.
///
/// Dropped without [`close`](Self::close), it still writes back and releases the inode, in
/// the background.
pub struct Handle {
    session: Session,
    file: Arc<OpenFile>,
    mode: OpenMode,
    /// The file's when it was opened.
    version: u64,
    closed: bool,
}

impl Session {
    /// Opens a file by its inode.
    ///
    /// # Errors
    ///
    /// `NotFound` when the inode is gone, `WrongType` for a directory, `PermissionDenied`.
    pub async fn open_handle(&self, ino: Ino, mode: OpenMode) -> Result<Handle> {
        let actions: &[Action] = match mode {
            OpenMode::Read => &[Action::Read],
            OpenMode::ReadWrite | OpenMode::Append => &[Action::Read, Action::Write],
        };
        self.open_for(ino, mode, actions).await
    }

    async fn open_for(&self, ino: Ino, mode: OpenMode, actions: &[Action]) -> Result<Handle> {
        let mut handle = Handle {
            session: self.clone(),
            file: self.open_inode(ino, actions).await?,
            mode,
            version: 0,
            closed: false,
        };
        // Registered first and looked at second, so that an unlink in between leaves it.
        let inode = handle.file.refresh(&self.zone).await?;
        handle.version = inode.record.version;
        Ok(handle)
    }

    async fn open_inode(&self, ino: Ino, actions: &[Action]) -> Result<Arc<OpenFile>> {
        loop {
            let (path, chain) = self.place_of(ino).await?;
            for action in actions {
                let asked = Asked::inode(ino.0);
                self.permit_asked(*action, asked, (&path, &chain)).await?;
            }
            match self.zone.handles.open(ino.0, path) {
                Ok(file) => return Ok(file),
                Err(removal_over) => removal_over.await,
            }
        }
    }

    /// The entry of that name in a directory.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn lookup(&self, parent: Ino, name: &str) -> Result<Stat> {
        path::check_name(name)?;
        let (directory, mut chain) = self.place_of(parent).await?;
        let path = path::join(&directory, name);
        let view = self.zone.view(At::Latest).await?;
        let found = view.dentry(parent.0, name).await?;
        chain.extend(found.map(|(dentry, _)| dentry.ino));
        let asked = Asked::child(parent.0, name);
        self.permit_asked(Action::Stat, asked, (&path, &chain))
            .await?;
        let (dentry, _) = found.ok_or_else(|| not_found(&path))?;
        self.attributes_of(dentry.ino, &path).await
    }

    /// The attributes of an inode; of an open file with what is not written back yet.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn getattr(&self, ino: Ino) -> Result<Stat> {
        let (path, _) = self.permit_inode(Action::Stat, ino).await?;
        self.attributes_of(ino.0, &path).await
    }

    async fn attributes_of(&self, ino: u64, path: &str) -> Result<Stat> {
        if let Some(file) = self.zone.handles.get(ino) {
            return file.stat(&self.zone).await;
        }
        let view = self.zone.view(At::Latest).await?;
        let inode = view.inode(ino).await?.ok_or_else(|| not_found(path))?;
        stat_of(&view, ino, &inode).await
    }

    /// Changes the attributes of an inode. The size of an open file changes in its handles.
    ///
    /// # Errors
    ///
    /// As [`set_attributes`](Self::set_attributes).
    pub async fn setattr(
        &self,
        ino: Ino,
        mut set: SetAttributes,
        durability: Durability,
    ) -> Result<Stat> {
        if let Some(size) = set.size.take() {
            self.resize(ino, size, durability).await?;
        }
        if set.modified.is_some()
            && let Some(file) = self.zone.handles.get(ino.0)
        {
            // Written back later, what was written before would change the time again.
            file.write_back(self).await?;
        }
        if set != SetAttributes::default() {
            let step = Step::ByInode(ByInode::SetAttributes { ino: ino.0, set });
            self.run(step, durability).await?;
        }
        self.getattr(ino).await
    }

    /// Truncates or extends: an open file in its handles, any other in the store.
    async fn resize(&self, ino: Ino, size: u64, durability: Durability) -> Result<()> {
        let handle = self.open_for(ino, OpenMode::ReadWrite, &[Action::Write]);
        let handle = handle.await?;
        handle.truncate(size).await?;
        handle.leave(durability).await
    }

    /// Up to `limit` entries of a directory after the name `after`, in byte order; none only
    /// at the end.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`, `LimitExceeded` for a limit of 0.
    pub async fn readdir(
        &self,
        dir: Ino,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DirEntry>> {
        if limit == 0 {
            return Err(Error::limit("a page has at least one entry"));
        }
        let (directory, chain) = self.permit_inode(Action::Stat, dir).await?;
        let view = self.zone.view(At::Latest).await?;
        let inode = view.inode(dir.0).await?.ok_or_else(|| gone(dir.0))?;
        if !inode.record.is_dir() {
            return Err(crate::steps::not_a_directory(&directory));
        }
        let mut after = after.map(str::to_owned);
        loop {
            let (children, last) = view.children(dir.0, after.as_deref(), limit).await?;
            let entries = children.into_iter().map(|child| listed(&directory, child));
            let entries = entries.collect::<Result<_>>()?;
            let visible = crate::list::visible(self, &chain, entries).await?;
            // Empty only at the end, whatever is hidden from this caller.
            if !visible.is_empty() || last.is_none() {
                return Ok(visible);
            }
            self.check_goes_on()?;
            after = last;
        }
    }

    /// The present path of an inode: the first of its names.
    ///
    /// # Errors
    ///
    /// `NotFound` when it has none.
    pub async fn path_of(&self, ino: Ino) -> Result<String> {
        let (path, _) = self.permit_inode(Action::Stat, ino).await?;
        Ok(path)
    }

    /// The path of an inode and the inodes on it; of an open file without a name, the path
    /// it was opened by.
    pub(crate) async fn place_of(&self, ino: Ino) -> Result<(String, Vec<u64>)> {
        let mut view = self.zone.view(At::Latest).await?;
        for _ in 0..TORN_MAX {
            match self.place_in(&view, ino.0).await {
                // On the move, maybe: it exists, and no names lead to it.
                Err(error)
                    if error.kind() == Kind::NotFound && view.inode(ino.0).await?.is_some() =>
                {
                    view.fresh = true;
                    tokio::task::yield_now().await;
                }
                place => return place,
            }
        }
        self.place_in(&view, ino.0).await
    }

    pub(crate) async fn place_in(&self, view: &View<'_>, ino: u64) -> Result<(String, Vec<u64>)> {
        if let Some(place) = view.path_of(ino).await? {
            return Ok(place);
        }
        match self.zone.handles.get(ino) {
            Some(file) => Ok((file.path().to_owned(), vec![Ino::ROOT.0, ino])),
            None => Err(gone(ino)),
        }
    }

    /// Removes an inode without a name, unless it is open: then its last close does.
    async fn remove_orphan(&self, ino: u64) -> Result<()> {
        let mut attempt = 0;
        loop {
            let mut tx = Tx::begin(self, attempt);
            if !tx.begin_removal(ino) {
                return Ok(());
            }
            let nameless = tx.inode(ino).await?.is_some_and(|record| record.links == 0);
            if nameless {
                clear_metadata(&mut tx, ino).await?;
                tx.remove_inode(ino).await?;
            } else if tx.view().get(&keys::orphan(ino)).await?.is_none() {
                // An undo has given it a name again, or somebody else was faster.
                return Ok(());
            }
            tx.also(Op::Delete(keys::orphan(ino)));
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(());
            }
            attempt += 1;
        }
    }
}

impl Handle {
    /// The inode.
    #[must_use]
    pub fn ino(&self) -> Ino {
        Ino(self.file.ino())
    }

    /// The version that the file had when this handle was opened.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The attributes, with what is not written back yet.
    ///
    /// # Errors
    ///
    /// Whatever the metastore answers.
    pub async fn stat(&self) -> Result<Stat> {
        self.file.stat(&self.session.zone).await
    }

    /// Up to `length` bytes from `offset`; fewer at the end of the file, none beyond it.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` above [`READ_WHOLE_BYTES_MAX`](crate::READ_WHOLE_BYTES_MAX), `Corrupt`
    /// when stored content is damaged.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        check_length(length)?;
        let end = offset.saturating_add(length as u64);
        self.file
            .read(&self.session.zone, Range { start: offset, end })
            .await
    }

    /// Writes at `offset`, or in [`OpenMode::Append`] at the end, which is that of the flush
    /// if others make the file longer before it; a gap is filled with zeros. Says where the
    /// write ended. Durable after [`fsync`](Self::fsync).
    ///
    /// # Errors
    ///
    /// `PermissionDenied` for a handle opened to read, `LimitExceeded` beyond the largest
    /// file. When so much has gathered that some must be written back first, as
    /// [`flush`](Self::flush), and `LimitExceeded` if it cannot be; then nothing was written.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<u64> {
        self.put((self.mode != OpenMode::Append).then_some(offset), bytes)
            .await
    }

    async fn put(&self, offset: Option<u64>, bytes: Bytes) -> Result<u64> {
        self.check_writable()?;
        self.file.make_room(&self.session, bytes.len()).await?;
        self.file.write(&self.session, offset, bytes).await
    }

    /// Writes at the end, wherever it is, as [`OpenMode::Append`] always does.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn append(&self, bytes: Bytes) -> Result<u64> {
        self.put(None, bytes).await
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn truncate(&self, size: u64) -> Result<()> {
        self.check_writable()?;
        self.file.truncate(&self.session, size).await
    }

    /// Makes what was written a version of the file. Not yet durable.
    ///
    /// # Errors
    ///
    /// As [`Session::write`]; what was written stays and can be flushed again. `Conflict` also when
    /// a lease that the session stands on was lost: what was written under it is in no version if
    /// somebody else has written to the file since.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on in the background.
    pub async fn flush(&self) -> Result<()> {
        self.file.write_back(&self.session).await?;
        check_leases(&self.session).await
    }

    /// Makes what was written a version of the file, and it and all before it durable.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn fsync(&self) -> Result<()> {
        // Others may see it before it is durable, and go on meanwhile: they need not wait for
        // this flush.
        self.flush().await?;
        self.session.sync().await.map(drop)
    }

    /// Flushes and closes.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush); the handle is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on in the background.
    pub async fn close(mut self) -> Result<()> {
        self.closed = true;
        in_background(close(self.session.clone(), Arc::clone(&self.file))).await
    }

    /// Closes, for one who has flushed: what others have written since is theirs to flush. The
    /// last handle of a file flushes all the same.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub async fn release(mut self) -> Result<()> {
        let closed = self.session.zone.handles.close(&self.file, false);
        if let Closed::NotYet = closed {
            return self.close().await;
        }
        self.closed = true;
        if let Closed::Last = closed {
            let (session, file) = (self.session.clone(), Arc::clone(&self.file));
            in_background(async move { remove_nameless(&session, &file).await }).await?;
        }
        Ok(())
    }

    /// Closes. What was written and need not be durable is left to the other handles of the
    /// file, if there are any.
    async fn leave(mut self, durability: Durability) -> Result<()> {
        if durability == Durability::Sync {
            let written = self.fsync().await;
            return written.and(self.close().await);
        }
        self.closed = self.session.zone.handles.leave(&self.file);
        if self.closed {
            return Ok(());
        }
        self.close().await
    }

    fn check_writable(&self) -> Result<()> {
        if self.mode == OpenMode::Read {
            return Err(Error::denied(
                "this handle was opened to read; open it to write",
            ));
        }
        Ok(())
    }
}

/// Whether the leases are held that a session stands on, which may have nothing to commit any more.
async fn check_leases(session: &Session) -> Result<()> {
    let now = session.zone.now();
    session.fence_guards(now).await.map(drop)
}

async fn close(session: Session, file: Arc<OpenFile>) -> Result<()> {
    let (written, closed) = loop {
        let written = file.write_back(&session).await;
        match session.zone.handles.close(&file, written.is_err()) {
            Closed::NotYet => {}
            closed => break (written.and(check_leases(&session).await), closed),
        }
    };
    match closed {
        Closed::Last => written.and(remove_nameless(&session, &file).await),
        _ => written,
    }
}

async fn remove_nameless(session: &Session, file: &OpenFile) -> Result<()> {
    if file.is_nameless(&session.zone).await? {
        session.remove_orphan(file.ino()).await?;
    }
    Ok(())
}

fn listed(directory: &str, child: Child) -> Result<DirEntry> {
    Ok(DirEntry {
        path: path::join(directory, &child.name),
        ino: Ino(child.dentry.ino),
        kind: kind_of(child.dentry.kind)?,
        stat: None,
    })
}

fn check_length(length: usize) -> Result<()> {
    if length as u64 <= crate::READ_WHOLE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit("at most 64 MiB can be read at once").with("length", length))
}

pub(crate) fn gone(ino: u64) -> Error {
    Error::not_found("the inode does not exist any more").with("ino", ino)
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.closed {
            return;
        }
        let (session, file) = (self.session.clone(), Arc::clone(&self.file));
        let ino = file.ino();
        runtime.spawn(async move {
            if let Err(error) = close(session, file).await {
                tracing::error!(?error, ino, "writing a dropped handle back failed");
            }
        });
    }
}

/// Removes the inodes that lost their last name while open, in a process that then ended.
pub(crate) async fn remove_orphans(zone: &Arc<Shared>) -> Result<()> {
    let session = system(zone);
    let view = zone.view(At::Latest).await?;
    let mut range = keys::all_orphans();
    loop {
        let page = view.scan(range.clone(), 500).await?;
        for entry in &page.entries {
            session.remove_orphan(keys::last_number(&entry.key)).await?;
            range.start = next_key(&entry.key);
        }
        if !page.more {
            return Ok(());
        }
    }
}

/// Removes an inode that was open when its last name was to go, if it no longer is.
pub(crate) fn remove_if_closed(zone: &Arc<Shared>, ino: u64) {
    if zone.handles.is_open(ino) {
        return;
    }
    let session = system(zone);
    tokio::spawn(async move {
        if let Err(error) = session.remove_orphan(ino).await {
            // The next start tries again.
            tracing::warn!(?error, ino, "removing a closed file without a name failed");
        }
    });
}

fn system(zone: &Arc<Shared>) -> Session {
    Session {
        zone: Arc::clone(zone),
        context: Context::system(),
    }
}
