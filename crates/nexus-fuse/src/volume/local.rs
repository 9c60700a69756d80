//! A zone in this process.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use nexus_fs::{
    At, DirEntry, FeedQuery, Handle, Ino, KeyPresence, NewInode, OpenMode, Record, Replace,
    Session, SetAttributes, Stat, Version,
};
use nexus_kernel::{Durability, Result, Revision, Timestamp};

use super::local_past::LocalPast;
use super::{Caller, Name, PastVolume, Volume, VolumeFile};

const RELAXED: Durability = Durability::Relaxed;

/// A zone in this process, as its session sees it.
pub struct LocalVolume {
    session: Session,
}

impl LocalVolume {
    /// The zone as `session` sees it. A mount knows its own changes by the principal and the
    /// request id of the context, which must be its alone; without one, it takes all for those
    /// of others.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

#[async_trait]
impl Volume for LocalVolume {
    fn acting_for(&self, caller: &Caller) -> Arc<dyn Volume> {
        let Caller { session, program } = caller.clone();
        Arc::new(Self::new(self.session.acting_for(session, program)))
    }

    async fn as_of(&self, at: At) -> Result<Arc<dyn Volume>> {
        let past = LocalPast::new(&self.session, at).await?;
        Ok(Arc::new(PastVolume(past)))
    }

    fn is_past(&self) -> bool {
        false
    }

    async fn revision(&self) -> Result<Revision> {
        self.session.revision().await
    }

    fn now(&self) -> Timestamp {
        self.session.now()
    }

    async fn lookup(&self, (parent, name): Name<'_>) -> Result<Stat> {
        self.session.lookup(parent, name).await
    }

    async fn getattr(&self, ino: Ino) -> Result<Stat> {
        self.session.getattr(ino).await
    }

    async fn setattr(&self, ino: Ino, set: SetAttributes) -> Result<Stat> {
        self.session.setattr(ino, set, RELAXED).await
    }

    async fn make(&self, (parent, name): Name<'_>, new: NewInode) -> Result<Stat> {
        self.session.make_at(parent, name, new, RELAXED).await
    }

    async fn unlink(&self, (parent, name): Name<'_>) -> Result<()> {
        let removed = self.session.unlink_at(parent, name, RELAXED);
        removed.await.map(drop)
    }

    async fn rmdir(&self, (parent, name): Name<'_>) -> Result<()> {
        let removed = self.session.rmdir_at(parent, name, RELAXED);
        removed.await.map(drop)
    }

    async fn rename(&self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<()> {
        let renamed = self.session.rename_at(from, to, replace, RELAXED);
        renamed.await.map(drop)
    }

    async fn link(&self, ino: Ino, (parent, name): Name<'_>) -> Result<Stat> {
        self.session.link_at(ino, parent, name, RELAXED).await
    }

    async fn readdir(
        &self,
        directory: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>> {
        if details {
            self.session.readdir_plus(directory, after, limit).await
        } else {
            self.session.readdir(directory, after, limit).await
        }
    }

    async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        self.session.parent_of(ino).await
    }

    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        self.session.metadata_value(ino, key).await
    }

    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        self.session.metadata_keys(ino).await
    }

    async fn set_metadata_value(
        &self,
        ino: Ino,
        key: &str,
        value: Option<Bytes>,
        must: KeyPresence,
    ) -> Result<()> {
        let set = self
            .session
            .set_metadata_value(ino, key, value, must, RELAXED);
        set.await.map(drop)
    }

    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        self.session.versions_of(ino, limit).await
    }

    async fn open(&self, ino: Ino, mode: OpenMode, truncate: bool) -> Result<Arc<dyn VolumeFile>> {
        let handle = self.session.open_handle(ino, mode).await?;
        if truncate && let Err(error) = handle.truncate(0).await {
            handle.release().await?;
            return Err(error);
        }
        Ok(Arc::new(LocalFile {
            handle,
            written: AtomicBool::new(false),
            cut: truncate,
        }))
    }

    async fn sync(&self) -> Result<()> {
        self.session.sync().await.map(drop)
    }

    fn changes(&self, after: Revision) -> BoxStream<'static, Result<Record>> {
        self.session.watch(FeedQuery {
            start: after.into(),
            ..FeedQuery::default()
        })
    }

    fn is_own(&self, record: &Record) -> bool {
        let context = self.session.context();
        context.request_id.is_some()
            && record.request_id.as_deref() == context.request_id.as_deref()
            && record.actor == context.principal.actor()
    }
}

struct LocalFile {
    handle: Handle,
    /// Written to, through this handle, since it was last flushed.
    written: AtomicBool,
    /// Cut to nothing when it was opened. By itself that is a version only in the end: a shell
    /// closes a copy of the descriptor before anything is written, and nobody is to find the
    /// file empty then.
    cut: bool,
}

impl LocalFile {
    /// Notes a write before and after it: a flush meanwhile may have missed it, and the write may
    /// be given up when it has taken place.
    async fn noted<T>(&self, write: impl Future<Output = Result<T>>) -> Result<()> {
        let _after = Unflushed(&self.written);
        self.written.store(true, Ordering::Release);
        write.await.map(drop)
    }
}

/// Notes when it goes that there is something to flush.
struct Unflushed<'a>(&'a AtomicBool);

impl Drop for Unflushed<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[async_trait]
impl VolumeFile for LocalFile {
    fn ino(&self) -> Ino {
        self.handle.ino()
    }

    fn version(&self) -> u64 {
        self.handle.version()
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.handle.read(offset, length).await
    }

    async fn backing(&self) -> Result<Option<File>> {
        Ok(None)
    }

    async fn write(&self, offset: Option<u64>, bytes: Bytes) -> Result<()> {
        match offset {
            Some(offset) => self.noted(self.handle.write(offset, bytes)).await,
            None => self.noted(self.handle.append(bytes)).await,
        }
    }

    async fn truncate(&self, size: u64) -> Result<()> {
        self.noted(self.handle.truncate(size)).await
    }

    /// What others wrote is left to them: it is no version yet.
    async fn flush(&self) -> Result<()> {
        if !self.written.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let unflushed = Unflushed(&self.written);
        self.handle.flush().await?;
        std::mem::forget(unflushed);
        Ok(())
    }

    async fn fsync(&self) -> Result<()> {
        self.handle.fsync().await
    }

    /// With a request still under way that was given up, it closes itself afterwards.
    async fn close(self: Arc<Self>) -> Result<()> {
        let Some(file) = Arc::into_inner(self) else {
            return Ok(());
        };
        if file.cut || file.written.into_inner() {
            file.handle.close().await
        } else {
            file.handle.release().await
        }
    }
}
