//! Storing content, ahead of the commit that names it.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{FuturesUnordered, TryStreamExt};
use nexus_kernel::{ByteStream, Durability, Error, Result};

use super::chunker::{Chunk, Chunker};
use super::pins::Pinned;
use super::{CONTENT_BYTES_MAX, ContentStore, WHOLE_BYTES_MAX};
use crate::etag::Etag;
use crate::keys;
use crate::records::{self, ChunkRecord, InodeRecord, ManifestPage, place};
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
    pinned: Arc<Pinned>,
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
            pinned: Arc::default(),
        }
    }

    /// Stores a content held in memory. It must be durable before the commit that names it,
    /// however relaxed that is, for a metastore makes commits durable when it likes:
    /// `Relaxed` is for those who [`sync`](Self::sync) before they commit.
    pub(crate) async fn store(&self, bytes: Bytes, durability: Durability) -> Result<Stored> {
        if bytes.len() > WHOLE_BYTES_MAX {
            let body = futures::stream::once(async move { Ok(bytes) });
            return self.store_stream(Box::pin(body)).await;
        }
        self.store_small(bytes, durability).await
    }

    async fn store_small(&self, bytes: Bytes, durability: Durability) -> Result<Stored> {
        let (etag, size) = (Etag::of(self.algorithm, &bytes), bytes.len() as u64);
        let mut pinned = Pinned::default();
        if self.is_inline(bytes.len()) {
            return Ok(Stored {
                etag,
                size,
                // It stays in memory with its inode, and must not keep a larger buffer there.
                placement: Placement::Inline(Bytes::copy_from_slice(&bytes)),
                pinned: Arc::new(pinned),
            });
        }
        self.pins.pin(&mut pinned, &etag).await;
        self.put_blob(&etag, bytes, durability).await?;
        Ok(Stored {
            etag,
            size,
            placement: Placement::Blob,
            pinned: Arc::new(pinned),
        })
    }

    /// Stores a content as it arrives, durably, holding a few chunks of it in memory at a
    /// time.
    pub(crate) async fn store_stream(&self, mut body: ByteStream) -> Result<Stored> {
        let mut upload = Upload::new(self);
        while let Some(piece) = body.try_next().await? {
            upload.push(&piece).await?;
        }
        upload.finish().await
    }
}

struct Upload<'a> {
    store: &'a ContentStore,
    chunker: Option<Chunker>,
    size: u64,
    manifest: Vec<ChunkRecord>,
    pinned: Pinned,
}

impl<'a> Upload<'a> {
    fn new(store: &'a ContentStore) -> Self {
        let chunker = Some(Chunker::new(store.algorithm));
        Self {
            store,
            chunker,
            size: 0,
            manifest: Vec::new(),
            pinned: Pinned::default(),
        }
    }

    fn chunker(&mut self) -> &mut Chunker {
        self.chunker.as_mut().expect("put back after each cut")
    }

    async fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.size += piece.len() as u64;
        if self.size > CONTENT_BYTES_MAX {
            return Err(Error::limit("a file has at most 64 GiB; split it")
                .with("bytes_max", CONTENT_BYTES_MAX));
        }
        self.chunker().push(piece);
        if self.chunker().is_full() {
            self.cut(false).await
        } else {
            Ok(())
        }
    }

    async fn cut(&mut self, end: bool) -> Result<()> {
        let chunker = self.chunker.take().expect("put back after each cut");
        let (chunker, chunks) = chunker.cut(end).await?;
        self.chunker = Some(chunker);
        for chunk in &chunks {
            let size = u32::try_from(chunk.bytes.len()).expect("a chunk has a few MiB");
            let etag = Bytes::copy_from_slice(&chunk.etag.to_bytes());
            self.manifest.push(ChunkRecord { etag, size });
            self.store.pins.pin(&mut self.pinned, &chunk.etag).await;
        }
        self.put_all(chunks).await
    }

    async fn put_all(&self, chunks: Vec<Chunk>) -> Result<()> {
        let mut puts = FuturesUnordered::new();
        for Chunk { etag, bytes } in chunks {
            if puts.len() >= UPLOADS_MAX {
                puts.try_next().await?;
            }
            // One flush for all of them comes at the end.
            puts.push(async move { self.store.put_blob(&etag, bytes, Durability::Relaxed).await });
        }
        while let Some(done) = puts.next().await {
            done?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Stored> {
        if self.manifest.is_empty() && self.chunker().pending().len() <= WHOLE_BYTES_MAX {
            let bytes = self.chunker().take_pending();
            return self.store.store_small(bytes, Durability::Sync).await;
        }
        self.cut(true).await?;
        self.store.sync().await?;
        let etag = self
            .chunker
            .take()
            .expect("put back after each cut")
            .finish();
        self.store.pins.pin(&mut self.pinned, &etag).await;
        let placement = Placement::Chunks(pages(self.manifest));
        Ok(Stored {
            etag,
            size: self.size,
            placement,
            pinned: Arc::new(self.pinned),
        })
    }
}

fn pages(chunks: Vec<ChunkRecord>) -> Vec<(u64, ManifestPage)> {
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
            pinned: Arc::default(),
        })
    }
}

impl Tx<'_> {
    /// Makes `stored` the content of a record; the commit counts the reference.
    pub(crate) async fn place_content(
        &mut self,
        stored: &Stored,
        record: &mut InodeRecord,
    ) -> Result<()> {
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
