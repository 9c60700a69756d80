//! How a draft becomes a stored content: in one pass, a part of it already while it grows.
//!
//! Of a file that grows at its end, what is complete moves into the store chunk by chunk, and
//! only the tail stays in memory. What is stored then also serves the versions to come: to add
//! to a large file that stays open costs what is added. A change further up, and another
//! writer's version, end that: then the content is put together anew, which costs as much as
//! reading and writing all of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nexus_kernel::{Durability, Result};

use super::{OpenFile, in_background, read_parts};
use crate::cache::CachedInode;
use crate::content::{Chunk, ChunkReader, Stored, Upload};
use crate::handles::draft::Draft;
use crate::zone::Shared;

/// The beginning of a content, in the store.
pub(super) struct Progress {
    upload: Upload,
    /// The etag of the version that the draft lies over.
    over: Bytes,
}

/// What a commit did with the chunks of a content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// It refers to them.
    Listed,
    /// It did not need them.
    Unlisted,
}

/// Part of a draft, on its way into the store.
struct Step {
    inode: Arc<CachedInode>,
    window: Vec<super::Part>,
}

/// At most this much of a file that grows at its end is in memory, besides what is being stored.
pub(super) fn memory_max(zone: &Shared) -> usize {
    2 * memory_kept(zone)
}

/// A draft larger than this spills.
fn memory_kept(zone: &Shared) -> usize {
    let sizes = &zone.config.chunks;
    sizes.window() + slack(zone)
}

/// What stays in memory at the end, for writes that do not come in order.
fn slack(zone: &Shared) -> usize {
    zone.config.chunks.bytes_max
}

impl Progress {
    fn new(zone: &Shared, over: &Bytes) -> Self {
        Self {
            upload: Upload::new(&zone.content),
            over: over.clone(),
        }
    }

    /// Whether what is stored is the beginning of a draft over this version, in which nothing
    /// has changed below `intact`.
    pub(super) fn serves(&self, over: &Bytes, intact: u64) -> bool {
        self.over == *over && self.upload.size() <= intact
    }

    /// What a draft over `content` goes on from, now that this is the file's version.
    pub(super) fn committed(progress: &mut Option<Self>, content: &Stored, chunks: Chunks) {
        let Some(progress) = progress else {
            return;
        };
        progress.over = Bytes::copy_from_slice(&content.etag.to_bytes());
        if chunks == Chunks::Listed {
            progress.upload.committed();
        }
    }
}

/// Stores what a draft makes of the content of `inode`, going on from what is stored already;
/// for a relaxed commit.
pub(super) async fn store(
    zone: &Arc<Shared>,
    inode: &Arc<CachedInode>,
    draft: &Draft,
    progress: &mut Option<Progress>,
) -> Result<Stored> {
    let (store, record, reader) = (&zone.content, &inode.record, &ChunkReader::default());
    let size = draft.size(record.size);
    if size <= store.sizes.whole_bytes_max as u64 {
        *progress = None;
        let parts = draft.parts(0..size, record.size);
        let bytes = read_parts(zone, record, reader, parts).await?;
        return store.store(bytes, Durability::Relaxed).await;
    }
    let Progress { upload, .. } = progress.get_or_insert_with(|| Progress::new(zone, &record.etag));
    let window = store.sizes.window() as u64;
    while size - upload.size() > window {
        let range = upload.size()..upload.size() + window;
        let parts = draft.parts(range, record.size);
        let bytes = read_parts(zone, record, reader, parts).await?;
        upload.push(store, bytes).await?;
    }
    let rest = draft.parts(upload.size()..size, record.size);
    upload
        .finish(
            store,
            read_parts(zone, record, reader, rest).await?,
            Durability::Relaxed,
        )
        .await
}

impl OpenFile {
    /// Spills in the background if the draft is large by now. If that fails, the write that
    /// finds no room any more will tell.
    pub(super) fn spill_soon(self: &Arc<Self>, zone: &Arc<Shared>) {
        if self.memory() <= memory_kept(zone) || self.spilling.swap(true, Ordering::AcqRel) {
            return;
        }
        let (file, zone) = (Arc::clone(self), Arc::clone(zone));
        tokio::spawn(async move {
            if let Err(error) = file.spill_all(&zone).await {
                tracing::debug!(?error, ino = file.ino, "a draft stays in memory");
            }
            file.spilling.store(false, Ordering::Release);
        });
    }

    /// Moves what is complete at the beginning of a large draft into the store.
    pub(super) async fn spill(self: &Arc<Self>, zone: &Arc<Shared>) -> Result<()> {
        let (file, zone) = (Arc::clone(self), Arc::clone(zone));
        in_background(async move { file.spill_all(&zone).await }).await
    }

    async fn spill_all(&self, zone: &Arc<Shared>) -> Result<()> {
        let mut progress = self.progress.lock().await;
        let reader = ChunkReader::default();
        while let Some(step) = self.next_step(zone, &mut progress).await? {
            let Progress { upload, .. } = progress.as_mut().expect("the step goes on from it");
            let start = upload.size();
            let record = &step.inode.record;
            let bytes = read_parts(zone, record, &reader, step.window).await?;
            let chunks = upload.push(&zone.content, bytes).await?;
            if !self.spilled(zone, &progress, start, &chunks).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What is to be stored next; none if little is in memory, or the file does not grow at its
    /// end.
    async fn next_step(
        &self,
        zone: &Arc<Shared>,
        progress: &mut Option<Progress>,
    ) -> Result<Option<Step>> {
        let mut state = self.state.lock().await;
        let inode = state.refresh(zone, self.ino).await?;
        let (etag, stored) = (&inode.record.etag, inode.record.size);
        let Some(draft) = state.draft.clone() else {
            return Ok(None);
        };
        if draft.memory() <= memory_kept(zone) {
            return Ok(None);
        }
        match progress {
            Some(progress) if progress.serves(etag, state.intact) => {}
            // Begun once for a draft, and in vain: it is not written in order.
            Some(progress) if !state.pins.is_empty() => return Ok(None),
            _ => *progress = Some(Progress::new(zone, etag)),
        }
        let from = progress
            .as_ref()
            .map_or(0, |progress| progress.upload.size());
        let end = from + zone.config.chunks.window() as u64;
        if end + slack(zone) as u64 > draft.size(stored) {
            return Ok(None);
        }
        state.intact = u64::MAX;
        let window = draft.parts(from..end, stored);
        Ok(Some(Step { inode, window }))
    }

    /// Drops from memory what is stored now as `chunks`, from `start` on; not if it has changed
    /// meanwhile.
    async fn spilled(
        &self,
        zone: &Arc<Shared>,
        progress: &Option<Progress>,
        mut start: u64,
        chunks: &[Chunk],
    ) -> Result<bool> {
        let mut state = self.state.lock().await;
        let record = &state.refresh(zone, self.ino).await?.record;
        let Some(progress) = progress else {
            return Ok(false);
        };
        state.pins.extend(progress.upload.pinned_last().cloned());
        if !progress.serves(&record.etag, state.intact) {
            return Ok(false);
        }
        if let Some(draft) = &mut state.draft {
            let draft = Arc::make_mut(draft);
            for chunk in chunks {
                let length = chunk.bytes.len() as u64;
                draft.spill(start, chunk.etag, length, record.size);
                start += length;
            }
        }
        let memory = state.draft.as_ref().map_or(0, |draft| draft.memory());
        zone.handles.count_if_open(self, memory);
        Ok(true)
    }
}
