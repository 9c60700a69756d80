//! The state that all handles of an inode share.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use nexus_kernel::{Durability, Error, Outcome, Result, Timestamp};
use nexus_service_api::Context;
use tokio::sync::{Mutex, MutexGuard};

use super::draft::{Draft, Part, zeros};
use super::gone;
use super::pieces::Spilled;
use crate::cache::CachedInode;
use crate::content::{CONTENT_BYTES_MAX, ChunkReader, Pinned, Stored};
use crate::locks::is_of_lost_lease;
use crate::log::ChangeKind;
use crate::records::InodeRecord;
use crate::session::Session;
use crate::steps::{ATTEMPTS_MAX, replace_content};
use crate::tx::Tx;
use crate::types::{At, Ino, Stat};
use crate::zone::Shared;

mod spill;

use spill::{Chunks, Progress};

pub(crate) struct OpenFile {
    ino: u64,
    path: String,
    /// Held by whoever changes the draft, from the beginning of a write-back to its end.
    changing: Mutex<()>,
    /// How far the content is in the store already. Held by whoever carries it on; taken after
    /// `changing` and before the state.
    progress: Mutex<Option<Progress>>,
    /// A task spills the draft.
    spilling: AtomicBool,
    state: Mutex<State>,
    reader: ChunkReader,
    /// Bytes that the draft takes; 0 if there is none.
    memory: AtomicUsize,
    /// When the oldest write came that is in the draft.
    since: AtomicI64,
    /// Until then it is not written back because of its age.
    rests_until: AtomicI64,
}

struct State {
    /// The inode as last seen: what is read should it be gone.
    inode: Option<Arc<CachedInode>>,
    draft: Option<Arc<Draft>>,
    /// Who wrote the draft: the author of what it becomes.
    writer: Context,
    /// When the draft was last written to: the file's time, before and after it is flushed.
    written: Timestamp,
    /// Nothing below here has changed since the progress was last brought up to date.
    intact: u64,
    /// Keep from being collected what the draft has spilled.
    pins: Vec<Arc<Pinned>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            inode: None,
            draft: None,
            writer: Context::system(),
            written: Timestamp::default(),
            intact: u64::MAX,
            pins: Vec::new(),
        }
    }
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

    /// The draft, to be changed now, from an offset on.
    fn draft(&mut self, session: &Session, from: u64) -> &mut Draft {
        self.intact = self.intact.min(from);
        self.written = session.zone.now();
        self.writer = session.context.clone();
        Arc::make_mut(self.draft.get_or_insert_default())
    }

    /// Forgets the draft, which is a version now.
    fn committed(&mut self) {
        self.draft = None;
        self.pins = Vec::new();
    }

    /// Forgets the draft, which is never to be one.
    fn drop_draft(&mut self) {
        self.committed();
        self.intact = 0;
    }

    /// Whether there is a draft that must not be one version with what `context` writes: a version
    /// has one author, and stands on one set of leases.
    fn is_of_another(&self, context: &Context) -> bool {
        let writer = &self.writer;
        self.draft.is_some()
            && (writer.fences != context.fences
                || writer.principal != context.principal
                || writer.on_behalf_of != context.on_behalf_of
                || writer.session != context.session)
    }

    /// Keeps the draft for another try after a failed one. If that may have applied, or may
    /// yet, what it appended must not be appended once more.
    fn keep_after(&mut self, error: &Error, stored: u64) {
        if let (Outcome::Unknown, Some(draft)) = (error.outcome(), &mut self.draft) {
            Arc::make_mut(draft).pin(stored);
        }
    }
}

impl OpenFile {
    pub(super) fn new(ino: u64, path: String) -> Self {
        Self {
            ino,
            path,
            changing: Mutex::default(),
            progress: Mutex::default(),
            spilling: AtomicBool::new(false),
            state: Mutex::default(),
            reader: ChunkReader::default(),
            memory: AtomicUsize::new(0),
            since: AtomicI64::new(0),
            rests_until: AtomicI64::new(i64::MIN),
        }
    }

    /// Bytes that the draft takes; 0 if there is none.
    pub(super) fn memory(&self) -> usize {
        self.memory.load(Ordering::Acquire)
    }

    /// Answers what it was before.
    pub(super) fn set_memory(&self, bytes: usize) -> usize {
        self.memory.swap(bytes, Ordering::AcqRel)
    }

    fn count(&self, zone: &Shared, state: &State) {
        let now = state.draft.as_ref().map_or(0, |draft| draft.memory());
        let before = self.set_memory(now);
        if before == 0 {
            self.since.store(state.written.0, Ordering::Release);
        }
        zone.handles.count_draft(before, now);
    }

    /// Whether something that was written before `then` waits to be written back. Not while
    /// it rests after an earlier time.
    pub(super) fn is_due(&self, now: Timestamp, then: Timestamp) -> bool {
        let since = self.since.load(Ordering::Acquire);
        let rests = now.0 < self.rests_until.load(Ordering::Acquire);
        self.memory() > 0 && since <= then.0 && !rests
    }

    pub(super) fn rest_until(&self, then: Timestamp) {
        self.rests_until.store(then.0, Ordering::Release);
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
        read_parts(zone, &inode.record, &self.reader, parts).await
    }

    /// Spills and writes back until there is room in memory for `more` bytes.
    pub(super) async fn make_room(self: &Arc<Self>, session: &Session, more: usize) -> Result<()> {
        if self.memory() + more > spill::memory_max(&session.zone) {
            self.spill(&session.zone).await?;
        }
        let Shared {
            handles, config, ..
        } = &*session.zone;
        let (mut failed, mut why) = (Vec::new(), None);
        while handles.memory() + more > config.draft_bytes_max {
            let Some(fullest) = handles.fullest_but(&failed) else {
                return why.map_or(Ok(()), |error| Err(too_much_waits(error)));
            };
            // One that cannot be written back is not to stop the writers of all others.
            if let Err(error) = fullest.write_back(session).await {
                failed.push(fullest.ino());
                why = Some(error);
            }
        }
        Ok(())
    }

    /// Writes at `offset`, or at the end; answers where the write ended.
    pub(super) async fn write(
        self: &Arc<Self>,
        session: &Session,
        offset: Option<u64>,
        bytes: Bytes,
    ) -> Result<u64> {
        let _changing = self.changing.lock().await;
        let mut state = self.state_for(session).await?;
        let stored = state.refresh(&session.zone, self.ino).await?.record.size;
        let size = state
            .draft
            .as_ref()
            .map_or(stored, |draft| draft.size(stored));
        let start = offset.unwrap_or(size);
        let end = start.saturating_add(bytes.len() as u64);
        check_size(end)?;
        if bytes.is_empty() {
            return Ok(end);
        }
        let draft = state.draft(session, start.min(size));
        match offset {
            Some(offset) => draft.write(offset, bytes, stored),
            None => draft.append(bytes),
        }
        self.count(&session.zone, &state);
        drop(state);
        self.spill_soon(&session.zone);
        Ok(end)
    }

    pub(super) async fn truncate(&self, session: &Session, size: u64) -> Result<()> {
        check_size(size)?;
        let _changing = self.changing.lock().await;
        let mut state = self.state_for(session).await?;
        let stored = state.refresh(&session.zone, self.ino).await?.record.size;
        // Where it is extended, nothing changes before the end that it has.
        let before = state
            .draft
            .as_ref()
            .map_or(stored, |draft| draft.size(stored));
        state
            .draft(session, size.min(before))
            .truncate(size, stored);
        self.count(&session.zone, &state);
        Ok(())
    }

    /// Makes the draft a version, not yet durable; says whether there was one.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on in the background.
    pub(super) async fn write_back(self: &Arc<Self>, session: &Session) -> Result<bool> {
        let (file, session) = (Arc::clone(self), session.clone());
        in_background(async move {
            let _changing = file.changing.lock().await;
            let is_of_another = file.state.lock().await.is_of_another(&session.context);
            match is_of_another {
                true => file.settle(&session.zone).await,
                false => file.store_draft(&session.zone).await,
            }
        })
        .await
    }

    /// The state, for `session` to add to its draft: what others wrote is a version by then.
    /// `changing` is held.
    async fn state_for(&self, session: &Session) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().await;
        if !state.is_of_another(&session.context) {
            return Ok(state);
        }
        drop(state);
        self.settle(&session.zone).await?;
        Ok(self.state.lock().await)
    }

    /// Makes the draft of somebody else a version, or drops it if the lease that it stands on was
    /// lost: who wrote it is told by the check of a flush. `changing` is held.
    async fn settle(&self, zone: &Arc<Shared>) -> Result<bool> {
        match self.store_draft(zone).await {
            Err(error) if is_of_lost_lease(&error) => {
                let mut state = self.state.lock().await;
                state.drop_draft();
                self.count(zone, &state);
                Ok(false)
            }
            stored => stored,
        }
    }

    /// `changing` is held.
    async fn store_draft(&self, zone: &Arc<Shared>) -> Result<bool> {
        let mut progress = self.progress.lock().await;
        for attempt in 0..ATTEMPTS_MAX {
            let (inode, draft, intact) = {
                let mut state = self.state.lock().await;
                let Some(draft) = state.draft.clone() else {
                    return Ok(false);
                };
                let inode = state.refresh(zone, self.ino).await?;
                (inode, draft, std::mem::replace(&mut state.intact, u64::MAX))
            };
            progress.take_if(|progress| !progress.serves(&inode.record.etag, intact));
            let content = spill::store(zone, &inode, &draft, &mut progress);
            let content = content.await?;
            let stored = self.commit_draft(zone, attempt, &inode, &content);
            if let Some(chunks) = stored.await? {
                Progress::committed(&mut progress, &content, chunks);
                return Ok(true);
            }
        }
        Err(Error::conflict(
            "others replace this file faster than it can be written; flush it again",
        )
        .with("ino", self.ino)
        .with("attempts", ATTEMPTS_MAX))
    }

    /// Makes `content` that of the file, and drops the draft; not if somebody has changed the
    /// file since it was `before`. Says what became of the content's chunks. Readers wait: they
    /// must see neither both nor none.
    async fn commit_draft(
        &self,
        zone: &Arc<Shared>,
        attempt: usize,
        before: &CachedInode,
        content: &Stored,
    ) -> Result<Option<Chunks>> {
        let mut state = self.state.lock().await;
        let session = Session {
            zone: Arc::clone(zone),
            context: state.writer.clone(),
        };
        let mut tx = Tx::begin(&session, attempt);
        let record = tx.inode(self.ino).await?.ok_or_else(|| gone(self.ino))?;
        if record.etag != before.record.etag {
            return Ok(None);
        }
        let mut record = record.clone();
        let (parent, changed) = (record.parent, record.changed);
        replace_content(&mut tx, &mut record, content).await?;
        record.modified = state.written.0;
        record.changed = changed.max(record.modified);
        let chunks = match tx.adds_manifest(&record.etag) {
            true => Chunks::Listed,
            false => Chunks::Unlisted,
        };
        *tx.inode_mut(self.ino).await? = record;
        let place = tx.view().path_of(self.ino).await?;
        let path = place.map_or_else(|| self.path.clone(), |(path, _)| path);
        tx.note(ChangeKind::FileWrite, &path, self.ino, parent);
        let committed = tx.commit(Durability::Relaxed).await;
        let committed = committed.inspect_err(|error| {
            state.keep_after(error, before.record.size);
        })?;
        if committed.is_some() {
            state.committed();
            self.count(zone, &state);
        }
        Ok(committed.map(|_| chunks))
    }
}

/// Runs something to its end, whether or not the caller waits for it. What has nothing to
/// wait for is done in place: a task costs several times as much as a small version.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut work = Box::pin(work);
    if let Poll::Ready(done) = futures::poll!(&mut work) {
        return done;
    }
    let ended = tokio::spawn(work).await;
    ended.map_err(|why| {
        Error::unavailable("the file was not written to the end; read it before you try again")
            .because(why)
            .outcome_unknown()
    })?
}

fn too_much_waits(why: Error) -> Error {
    Error::limit("too much waits to be written to open files; flush some of them").because(why)
}

fn check_size(size: u64) -> Result<()> {
    if size <= CONTENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit("a file has at most 64 GiB").with("size", size))
}

/// A range of what a draft makes of a stored content.
async fn read_parts(
    zone: &Arc<Shared>,
    record: &InodeRecord,
    reader: &ChunkReader,
    parts: Vec<Part>,
) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    let single = parts.len() == 1;
    for part in parts {
        let part = read_part(zone, record, reader, part).await?;
        if single {
            return Ok(part);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

async fn read_part(
    zone: &Arc<Shared>,
    record: &InodeRecord,
    reader: &ChunkReader,
    part: Part,
) -> Result<Bytes> {
    match part {
        Part::Written(bytes) => Ok(bytes),
        Part::Spilled(Spilled { chunk, range }) => {
            Ok(zone.content.blob(&chunk).await?.slice(range))
        }
        Part::Stored(range) => reader.read(zone, record, range).await,
        Part::Zeros(count) => Ok(zeros(count)),
    }
}
