//! Reading content, whole or in part.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, TryStreamExt};
use nexus_kernel::{ByteStream, Error, Freshness, Metastore, Result, Scan};

use super::chunk_reader::Page;
use super::{ContentStore, blob_key};
use crate::etag::Etag;
use crate::keys;
use crate::records::{self, InodeRecord, ManifestPage, place, unreadable};
use crate::retention::Floor;
use crate::zone::Shared;

/// Chunks fetched ahead of the reader.
const READ_AHEAD: usize = 3;

/// A chunk and where it begins in its content.
#[derive(Clone, Copy)]
pub(super) struct Located {
    pub offset: u64,
    size: u32,
    pub etag: Etag,
}

impl Located {
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.size)
    }

    /// What the chunk, which holds these bytes, has of a range of the content.
    pub(super) fn part(&self, bytes: &Bytes, range: Range<u64>) -> Result<Bytes> {
        if bytes.len() as u64 != u64::from(self.size) {
            return Err(unreadable("chunk size").with("etag", self.etag));
        }
        let start = range.start.saturating_sub(self.offset);
        let end = (range.end - self.offset).min(u64::from(self.size));
        Ok(slice(bytes, &(start..end)))
    }
}

impl Shared {
    /// A range of a record's content, which must lie within it, held in memory.
    pub(crate) async fn content_bytes(
        self: &Arc<Self>,
        record: &InodeRecord,
        range: Range<u64>,
    ) -> Result<Bytes> {
        if record.place != place::CHUNKS {
            return self.content.small(record, &range).await;
        }
        let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        collect(self.content_stream(record, range).await?, size).await
    }

    /// A range of a record's content, which must lie within it, as it is read.
    pub(crate) async fn content_stream(
        self: &Arc<Self>,
        record: &InodeRecord,
        range: Range<u64>,
    ) -> Result<ByteStream> {
        if record.place != place::CHUNKS {
            let bytes = self.content.small(record, &range).await?;
            return Ok(Box::pin(stream::once(async move { Ok(bytes) })));
        }
        let etag = record.content_etag()?.ok_or_else(|| unreadable("chunks"))?;
        let zone = Arc::clone(self);
        let pages = zone.content.pages(etag, range.clone());
        let wanted = range.clone();
        let chunks = pages.try_filter(move |chunk| {
            std::future::ready(chunk.offset < wanted.end && chunk.end() > wanted.start)
        });
        // Each chunk on a task of its own, so that hashing it overlaps with reading others.
        let bytes = chunks
            .map_ok(move |chunk| {
                let (zone, range) = (Arc::clone(&zone), range.clone());
                let fetched = tokio::spawn(async move { fetch(&zone, chunk, range).await });
                async { fetched.await.map_err(interrupted)? }
            })
            .try_buffered(READ_AHEAD);
        Ok(Box::pin(bytes))
    }
}

fn interrupted(why: tokio::task::JoinError) -> Error {
    Error::unavailable("reading was interrupted; try again").because(why)
}

async fn fetch(zone: &Shared, chunk: Located, range: Range<u64>) -> Result<Bytes> {
    chunk.part(&zone.content.blob(&chunk.etag).await?, range)
}

impl ContentStore {
    /// A range of a content that is inline or one blob.
    async fn small(&self, record: &InodeRecord, range: &Range<u64>) -> Result<Bytes> {
        if record.place == place::INLINE {
            return Ok(slice(&record.inline, range));
        }
        let etag = record.content_etag()?.ok_or_else(|| unreadable("blob"))?;
        Ok(slice(&self.blob(&etag).await?, range))
    }

    /// The file of this machine that has a content of one blob, if there is one.
    pub(crate) async fn local_file(&self, record: &InodeRecord) -> Result<Option<File>> {
        if record.place != place::BLOB {
            return Ok(None);
        }
        let etag = record.content_etag()?.ok_or_else(|| unreadable("blob"))?;
        self.objects.local_file(&blob_key(&etag)).await
    }

    /// The manifest page of a content that covers an offset.
    pub(super) async fn page(&self, content: &Etag, at: u64) -> Result<Page> {
        let mut upto = keys::manifest(content);
        upto.end = keys::manifest_page(content, at.saturating_add(1));
        let scan = Scan::backward(upto, 1);
        let page = self.metastore.scan(scan, Freshness::Linearizable).await?;
        let entry = page.entries.into_iter().next();
        let Some(entry) = entry else {
            return Err(no_manifest(&*self.metastore, &self.floor, content).await);
        };
        let mut offset = keys::last_number(&entry.key);
        let manifest: ManifestPage = records::decode(entry.value.bytes)?;
        let chunks = manifest.chunks.into_iter().map(|chunk| {
            let located = Located {
                offset,
                size: chunk.size,
                etag: Etag::from_bytes(&chunk.etag)?,
            };
            offset = located.end();
            Ok(located)
        });
        Ok(Page {
            content: *content,
            chunks: chunks.collect::<Result<_>>()?,
        })
    }

    /// The chunks of a content from the manifest page that covers the start of `range`.
    fn pages(&self, etag: Etag, range: Range<u64>) -> ChunkList {
        let (metastore, floor) = (Arc::clone(&self.metastore), self.floor.clone());
        Box::pin(async_stream::try_stream! {
            let mut keys_left = keys::manifest(&etag);
            keys_left.start = {
                let mut upto = keys_left.clone();
                upto.end = keys::manifest_page(&etag, range.start.saturating_add(1));
                let page = metastore.scan(Scan::backward(upto, 1), Freshness::Linearizable).await?;
                match page.entries.into_iter().next() {
                    Some(first) => first.key,
                    None => Err(no_manifest(&*metastore, &floor, &etag).await)?,
                }
            };
            loop {
                let page = metastore.scan(Scan::forward(keys_left.clone(), 1), Freshness::Linearizable).await?;
                let Some(entry) = page.entries.into_iter().next() else { return };
                keys_left.start = crate::view::next_key(&entry.key);
                let mut offset = keys::last_number(&entry.key);
                let manifest: ManifestPage = records::decode(entry.value.bytes)?;
                for chunk in manifest.chunks {
                    let located = Located { offset, size: chunk.size, etag: Etag::from_bytes(&chunk.etag)? };
                    offset += u64::from(chunk.size);
                    yield located;
                }
                if offset >= range.end || !page.more {
                    return;
                }
            }
        })
    }
}

/// Why a content has no list of chunks.
async fn no_manifest(metastore: &dyn Metastore, floor: &Floor, content: &Etag) -> Error {
    let count = keys::manifest_references(content);
    match floor.check_in_use(metastore, &count).await {
        Ok(()) => unreadable("manifest").with("etag", content),
        Err(error) => error,
    }
}

type ChunkList = std::pin::Pin<Box<dyn futures::Stream<Item = Result<Located>> + Send>>;

/// A body as one piece; `size` is a hint.
pub(crate) async fn collect(mut body: ByteStream, size: usize) -> Result<Bytes> {
    let Some(first) = body.try_next().await? else {
        return Ok(Bytes::new());
    };
    if first.len() >= size {
        return match body.try_next().await? {
            None => Ok(first),
            Some(second) => gather(body, size, &[first, second]).await,
        };
    }
    gather(body, size, &[first]).await
}

async fn gather(mut body: ByteStream, size: usize, head: &[Bytes]) -> Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(size);
    head.iter().for_each(|piece| bytes.extend_from_slice(piece));
    while let Some(piece) = body.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(index(range.start)..index(range.end))
}
