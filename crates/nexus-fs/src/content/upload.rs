//! Storing content, ahead of the commit that names it.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{FuturesUnordered, TryStreamExt};
use nexus_kernel::{ByteStream, Durability, Error, Guard, Result};

use super::chunker::{Chunk, cut};
use super::pins::Pinned;
use super::{CONTENT_BYTES_MAX, ContentStore};
use crate::compute::compute;
use crate::etag::{Etag, Hasher};
use crate::keys;
use crate::records::{self, ChunkRecord, InodeRecord, ManifestPage, place};
use crate::retention::collected;
use crate::tx::Tx;

/// Chunks stored at the same time by one upload.
const UPLOADS_MAX: usize = 4;
/// Chunks in one page of a manifest.
const PAGE_CHUNKS: usize = 4096;

/// A content that is stored and waits for the commit that names it.
pub(crate) struct Stored {
    pub etag: Etag,
    pub size: u64,
    pub placement: Placement,
    pinned: Vec<Arc<Pinned>>,
    /// The count of its uses, where nothing else keeps it until the commit.
    counted: Option<Bytes>,
}

pub(crate) enum Placement {
    Inline(Bytes),
    Blob,
    /// Each page with the offset of its first byte.
    Chunks(Vec<(u64, ManifestPage)>),
    /// The content of an inode that shares it.
    Shared(u32),
}

impl ContentStore {
    /// Whether a content of so many bytes is kept in the metastore.
    pub(crate) fn is_inline(&self, size: usize) -> bool {
        size <= self.inline_bytes_max
    }

    /// No content.
    pub(crate) fn nothing(&self) -> Stored {
        Stored {
            etag: Etag::of(self.algorithm, b""),
            size: 0,
            placement: Placement::Inline(Bytes::new()),
            pinned: Vec::new(),
            counted: None,
        }
    }

    /// Stores a content held in memory, for a commit of this durability.
    pub(crate) async fn store(&self, bytes: Bytes, durability: Durability) -> Result<Stored> {
        if bytes.len() > self.sizes.whole_bytes_max {
            let body = futures::stream::once(async move { Ok(bytes) });
            return self.store_stream(Box::pin(body), durability).await;
        }
        self.store_small(bytes, durability).await
    }

    async fn store_small(&self, bytes: Bytes, durability: Durability) -> Result<Stored> {
        let (etag, size) = (Etag::of(self.algorithm, &bytes), bytes.len() as u64);
        if self.is_inline(bytes.len()) {
            return Ok(Stored {
                etag,
                size,
                // It stays in memory with its inode, and must not keep a larger buffer there.
                placement: Placement::Inline(Bytes::copy_from_slice(&bytes)),
                pinned: Vec::new(),
                counted: None,
            });
        }
        let mut pinned = Pinned::default();
        self.pins.pin(&mut pinned, &etag).await;
        self.put_blob(&etag, bytes, durability).await?;
        Ok(Stored {
            etag,
            size,
            placement: Placement::Blob,
            pinned: vec![Arc::new(pinned)],
            counted: None,
        })
    }

    /// Stores a content as it arrives, for a commit of this durability, holding a few chunks
    /// of it in memory at a time.
    pub(crate) async fn store_stream(
        &self,
        mut body: ByteStream,
        durability: Durability,
    ) -> Result<Stored> {
        let window_bytes = self.sizes.window();
        let mut upload = Upload::new(self);
        let mut window = BytesMut::new();
        while let Some(piece) = body.try_next().await? {
            window.extend_from_slice(&piece);
            if window.len() >= window_bytes {
                let full = window.split().freeze();
                let chunks = upload.push(self, full.clone()).await?;
                let taken = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
                window.extend_from_slice(&full[taken..]);
            }
        }
        upload.finish(self, window.freeze(), durability).await
    }

    async fn put_all(&self, chunks: &[Chunk]) -> Result<()> {
        let mut puts = FuturesUnordered::new();
        for Chunk { etag, bytes } in chunks {
            if puts.len() >= UPLOADS_MAX {
                puts.try_next().await?;
            }
            // One flush for all of them comes at the end, or before the commit is durable.
            puts.push(self.put_blob(etag, bytes.clone(), Durability::Relaxed));
        }
        while let Some(done) = puts.next().await {
            done?;
        }
        Ok(())
    }
}

/// The beginning of a large content, in the store chunk by chunk. It can be gone on with also
/// after it was [finished](Self::finish): what is added then costs what it costs, not what is
/// there already.
pub(crate) struct Upload {
    /// The hash of what is stored.
    whole: Hasher,
    chunks: Vec<ChunkRecord>,
    size: u64,
    pinned: Vec<Arc<Pinned>>,
}

impl Upload {
    pub(crate) fn new(store: &ContentStore) -> Self {
        Self {
            whole: Hasher::new(store.algorithm),
            chunks: Vec::new(),
            size: 0,
            pinned: Vec::new(),
        }
    }

    /// How much of the content is stored.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Keeps from being collected what was taken in last.
    pub(crate) fn pinned_last(&self) -> Option<&Arc<Pinned>> {
        self.pinned.last()
    }

    /// Lets go of what was taken in, for a commit refers to it now.
    pub(crate) fn committed(&mut self) {
        self.pinned.clear();
    }

    /// Takes in what follows: stores the chunks at the beginning of a window, and answers
    /// them. The rest belongs into the next window.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken in nothing.
    pub(crate) async fn push(&mut self, store: &ContentStore, window: Bytes) -> Result<Vec<Chunk>> {
        let (whole, chunks, pinned) = self.put_chunks(store, window, false).await?;
        self.whole = whole;
        self.chunks.extend(chunks.iter().map(record));
        if !chunks.is_empty() {
            self.size += chunks
                .iter()
                .map(|chunk| chunk.bytes.len() as u64)
                .sum::<u64>();
            self.pinned.push(Arc::new(pinned));
        }
        check_size(self.size)?;
        Ok(chunks)
    }

    /// The content: what was taken in, and `rest` at the end of it.
    pub(crate) async fn finish(
        &mut self,
        store: &ContentStore,
        mut rest: Bytes,
        durability: Durability,
    ) -> Result<Stored> {
        if self.size == 0 && rest.len() <= store.sizes.whole_bytes_max {
            return store.store_small(rest, durability).await;
        }
        let chunks = self.push(store, rest.clone()).await?;
        rest.advance(chunks.iter().map(|chunk| chunk.bytes.len()).sum());
        let size = self.size + rest.len() as u64;
        check_size(size)?;
        let (whole, last, mut pinned) = self.put_chunks(store, rest, true).await?;
        if let Some(Chunk { etag, bytes }) = last.last() {
            // Who adds to the content needs it again.
            store.cache.insert(*etag, Bytes::copy_from_slice(bytes));
        }
        if durability == Durability::Sync {
            store.sync().await?;
        }
        let etag = whole.finish();
        store.pins.pin(&mut pinned, &etag).await;
        let chunks = self.chunks.iter().cloned().chain(last.iter().map(record));
        let pinned = self.pinned.iter().cloned().chain([Arc::new(pinned)]);
        Ok(Stored {
            etag,
            size,
            placement: Placement::Chunks(pages(&chunks.collect::<Vec<_>>())),
            pinned: pinned.collect(),
            counted: None,
        })
    }

    async fn put_chunks(
        &self,
        store: &ContentStore,
        window: Bytes,
        end: bool,
    ) -> Result<(Hasher, Vec<Chunk>, Pinned)> {
        let (sizes, algorithm, mut whole) = (store.sizes, store.algorithm, self.whole.clone());
        let cut = compute(move || {
            let chunks = cut(sizes, algorithm, &mut whole, window, end);
            (whole, chunks)
        });
        let (whole, chunks) = cut.await?;
        let mut pinned = Pinned::default();
        for chunk in &chunks {
            store.pins.pin(&mut pinned, &chunk.etag).await;
        }
        store.put_all(&chunks).await?;
        Ok((whole, chunks, pinned))
    }
}

fn check_size(size: u64) -> Result<()> {
    if size <= CONTENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit("a file has at most 64 GiB; split it").with("bytes_max", CONTENT_BYTES_MAX))
}

fn record(chunk: &Chunk) -> ChunkRecord {
    ChunkRecord {
        etag: Bytes::copy_from_slice(&chunk.etag.to_bytes()),
        size: u32::try_from(chunk.bytes.len()).expect("a chunk has a few MiB"),
    }
}

fn pages(chunks: &[ChunkRecord]) -> Vec<(u64, ManifestPage)> {
    let mut offset = 0;
    let mut pages = Vec::new();
    for chunks in chunks.chunks(PAGE_CHUNKS) {
        pages.push((
            offset,
            ManifestPage {
                chunks: chunks.to_vec(),
            },
        ));
        offset += chunks
            .iter()
            .map(|chunk| u64::from(chunk.size))
            .sum::<u64>();
    }
    pages
}

impl Stored {
    /// The content of `record`, to be shared with another inode.
    pub(crate) fn shared(record: &InodeRecord) -> Result<Self> {
        let etag = record
            .content_etag()?
            .ok_or_else(|| records::unreadable("file content"))?;
        let placement = match record.place {
            place::INLINE => Placement::Inline(record.inline.clone()),
            place => Placement::Shared(place),
        };
        Ok(Self {
            etag,
            size: record.size,
            placement,
            pinned: Vec::new(),
            counted: None,
        })
    }

    /// The content of a past state, which may be collected before the commit.
    pub(crate) fn of_the_past(record: &InodeRecord) -> Result<Self> {
        let mut stored = Self::shared(record)?;
        stored.counted = match stored.placement {
            Placement::Shared(place::CHUNKS) => Some(keys::manifest_references(&stored.etag)),
            Placement::Shared(_) => Some(keys::references(&stored.etag)),
            _ => None,
        };
        Ok(stored)
    }
}

impl Tx<'_> {
    /// Makes `stored` the content of a record; the commit counts the reference.
    ///
    /// # Errors
    ///
    /// `NotFound` for a content of the past that has been collected meanwhile.
    pub(crate) async fn place_content(
        &mut self,
        stored: &Stored,
        record: &mut InodeRecord,
    ) -> Result<()> {
        if let Some(count) = &stored.counted {
            if self.view().get(count).await?.is_none() {
                return Err(collected(self.zone().floor.get()));
            }
            self.insist(Guard::Present(count.clone()));
        }
        record.size = stored.size;
        record.etag = Bytes::copy_from_slice(&stored.etag.to_bytes());
        record.inline = Bytes::new();
        match &stored.placement {
            Placement::Inline(bytes) => {
                record.place = place::INLINE;
                record.inline = bytes.clone();
            }
            Placement::Blob => record.place = place::BLOB,
            Placement::Shared(place) => record.place = *place,
            Placement::Chunks(pages) => {
                record.place = place::CHUNKS;
                let first = keys::manifest_page(&stored.etag, 0);
                self.place_manifest(&record.etag, &first, pages).await?;
            }
        }
        self.pin(&stored.pinned);
        Ok(())
    }
}
