//! The state that all handles of an inode share.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream;
use nexus_kernel::{ByteStream, Durability, Error, Outcome, Result, Timestamp};
use tokio::sync::Mutex;

use super::draft::{Draft, Part, zeros};
use super::gone;
use crate::cache::CachedInode;
use crate::content::CONTENT_BYTES_MAX;
use crate::log::ChangeKind;
use crate::records::InodeRecord;
use crate::session::Session;
use crate::steps::replace_content;
use crate::tx::Tx;
use crate::types::{At, Ino, Stat};
use crate::zone::Shared;

/// When this much has gathered in memory, it is written back.
const DRAFT_BYTES_MAX: usize = 64 << 20;
/// Pieces of a content that is put together from a draft.
const PIECE: u64 = 1 << 20;

pub(crate) struct OpenFile {
    ino: u64,
    path: String,
    state: Mutex<State>,
    /// Whether there is a draft in the state.
    has_draft: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The inode as last seen: what is read should it be gone.
    inode: Option<Arc<CachedInode>>,
    draft: Option<Draft>,
    /// When the draft was last written to: the file's time, before and after it is flushed.
    written: Timestamp,
}

impl State {
    /// The inode as it is now; as it was, if it is gone.
    async fn refresh(&mut self, zone: &Shared, ino: u64) -> Result<Arc<CachedInode>> {
        if let Some(now) = zone.view(At::Latest).await?.inode(ino).await? {
            self.inode = Some(now);
        }
        let inode = self.inode.clone();
        inode.ok_or_else(|| gone(ino))
    }

    /// The draft, to be written to now.
    fn draft(&mut self, zone: &Shared) -> &mut Draft {
        self.written = zone.now();
        self.draft.get_or_insert_default()
    }

    /// Keeps the draft for another try after a failed one. If that may have applied, or may
    /// yet, what it appended must not be appended once more.
    fn keep_after(&mut self, error: &Error, stored: u64) {
        if let (Outcome::Unknown, Some(draft)) = (error.outcome(), &mut self.draft) {
            draft.pin(stored);
        }
    }
}

impl OpenFile {
    pub(super) fn new(ino: u64, path: String) -> Self {
        Self {
            ino,
            path,
            state: Mutex::default(),
            has_draft: AtomicBool::new(false),
        }
    }

    pub(super) fn has_draft(&self) -> bool {
        self.has_draft.load(Ordering::Acquire)
    }

    pub(super) fn ino(&self) -> u64 {
        self.ino
    }

    /// The path it was opened by.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) async fn refresh(&self, zone: &Shared) -> Result<Arc<CachedInode>> {
        let inode = self.state.lock().await.refresh(zone, self.ino).await?;
        if inode.record.is_dir() {
            return Err(crate::steps::is_a_directory(&self.path));
        }
        Ok(inode)
    }

    pub(super) async fn is_nameless(&self, zone: &Shared) -> Result<bool> {
        let view = zone.view(At::Latest).await?;
        Ok(view
            .inode(self.ino)
            .await?
            .is_some_and(|inode| inode.record.links == 0))
    }

    pub(super) async fn stat(&self, zone: &Shared) -> Result<Stat> {
        let mut state = self.state.lock().await;
        let inode = state.refresh(zone, self.ino).await?;
        let mut stat = inode.record.stat(Ino(self.ino), inode.revision)?;
        if let Some(draft) = &state.draft {
            stat.size = draft.size(stat.size);
            stat.modified = state.written;
            stat.changed = stat.changed.max(state.written);
        }
        Ok(stat)
    }

    pub(super) async fn read(&self, zone: &Arc<Shared>, range: Range<u64>) -> Result<Bytes> {
        let (inode, parts) = {
            let mut state = self.state.lock().await;
            let inode = state.refresh(zone, self.ino).await?;
            let size = inode.record.size;
            let parts = match &state.draft {
                Some(draft) => draft.parts(range, size),
                None if range.start >= size => vec![],
                None => vec![Part::Stored(range.start..range.end.min(size))],
            };
            (inode, parts)
        };
        let mut bytes = BytesMut::new();
        let single = parts.len() == 1;
        for part in parts {
            let part = read_part(zone, &inode.record, part).await?;
            if single {
                return Ok(part);
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    }

    /// Answers where the write ended and whether the draft should be written back.
    pub(super) async fn write(
        &self,
        zone: &Shared,
        offset: Option<u64>,
        bytes: Bytes,
    ) -> Result<(u64, bool)> {
        let mut state = self.state.lock().await;
        let inode = state.refresh(zone, self.ino).await?;
        let stored = inode.record.size;
        let size = |draft: &Draft| draft.size(stored);
        let start = offset.unwrap_or_else(|| state.draft.as_ref().map_or(stored, size));
        let end = start.saturating_add(bytes.len() as u64);
        check_size(end)?;
        if bytes.is_empty() {
            return Ok((end, false));
        }
        self.has_draft.store(true, Ordering::Release);
        let draft = state.draft(zone);
        match offset {
            Some(offset) => draft.write(offset, bytes, stored),
            None => draft.append(bytes),
        }
        Ok((end, draft.memory() > DRAFT_BYTES_MAX))
    }

    pub(super) async fn truncate(&self, zone: &Shared, size: u64) -> Result<()> {
        check_size(size)?;
        let mut state = self.state.lock().await;
        let inode = state.refresh(zone, self.ino).await?;
        self.has_draft.store(true, Ordering::Release);
        state.draft(zone).truncate(size, inode.record.size);
        Ok(())
    }

    /// Makes the draft a version; says whether there was one.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on in the background.
    pub(super) async fn write_back(
        self: &Arc<Self>,
        session: &Session,
        durability: Durability,
    ) -> Result<bool> {
        let (file, session) = (Arc::clone(self), session.clone());
        in_background(async move { file.store_draft(&session, durability).await }).await
    }

    async fn store_draft(&self, session: &Session, durability: Durability) -> Result<bool> {
        let mut state = self.state.lock().await;
        let Some(draft) = state.draft.clone() else {
            return Ok(false);
        };
        for attempt in 0.. {
            let inode = state.refresh(&session.zone, self.ino).await?;
            let body = put_together(&session.zone, &inode, &draft);
            let content = session.zone.content.store_stream(body).await?;
            let mut tx = Tx::begin(session, attempt);
            let Some(record) = tx.inode(self.ino).await? else {
                return Err(gone(self.ino));
            };
            if record.etag != inode.record.etag {
                continue;
            }
            let mut record = record.clone();
            let (parent, changed) = (record.parent, record.changed);
            replace_content(&mut tx, &mut record, &content).await?;
            record.modified = state.written.0;
            record.changed = changed.max(record.modified);
            *tx.inode_mut(self.ino).await? = record;
            let place = tx.view().path_of(self.ino).await?;
            let path = place.map_or_else(|| self.path.clone(), |(path, _)| path);
            tx.note(ChangeKind::FileWrite, &path, self.ino, parent);
            match tx.commit(durability).await {
                Ok(None) => {}
                Ok(Some(_)) => break,
                Err(error) => {
                    state.keep_after(&error, inode.record.size);
                    return Err(error);
                }
            }
        }
        state.draft = None;
        self.has_draft.store(false, Ordering::Release);
        Ok(true)
    }
}

/// Runs something to its end, whether or not the caller waits for it.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let ended = tokio::spawn(work).await;
    ended.map_err(|why| {
        Error::unavailable("the file was not written to the end; read it before you try again")
            .because(why)
            .outcome_unknown()
    })?
}

fn check_size(size: u64) -> Result<()> {
    if size <= CONTENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit("a file has at most 64 GiB").with("size", size))
}

async fn read_part(zone: &Arc<Shared>, record: &InodeRecord, part: Part) -> Result<Bytes> {
    match part {
        Part::Written(bytes) => Ok(bytes),
        Part::Stored(range) => zone.content_bytes(record, range).await,
        Part::Zeros(count) => Ok(zeros(count)),
    }
}

/// The content that a draft makes of a stored one.
fn put_together(zone: &Arc<Shared>, inode: &Arc<CachedInode>, draft: &Draft) -> ByteStream {
    let (zone, inode, draft) = (Arc::clone(zone), Arc::clone(inode), draft.clone());
    let stored = inode.record.size;
    let end = draft.size(stored);
    let pieces = (0..end.div_ceil(PIECE)).map(move |i| i * PIECE..((i + 1) * PIECE).min(end));
    let parts = pieces.flat_map(move |piece| draft.parts(piece, stored));
    let read = stream::iter(parts).then(move |part| {
        let (zone, inode) = (Arc::clone(&zone), Arc::clone(&inode));
        async move { read_part(&zone, &inode.record, part).await }
    });
    Box::pin(read)
}
